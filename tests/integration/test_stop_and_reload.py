"""A stop and a reload that meet, on the real daemon."""

from pathlib import Path

from tests.integration.test_spine import a_school, until


async def test_a_stop_is_not_held_up_by_a_reload_that_comes_with_it(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        school.broker.freeze()  # so the stop waits for the broker, and the reload has the time to start devices anew
        try:
            school.press()
            await until(lambda: school.lamps.of(1, 0), "the alarm is taken")
            changed = school.daemon.config.read_text().replace("outputs = 8", "outputs = 7")
            school.daemon.config.write_text(changed)
            school.daemon.hang_up()
            assert await school.daemon.stop() == 0
        finally:
            school.broker.thaw()
