"""What is slow holds up only itself."""

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.sims.broker import Broker
from tests.sims.district import District
from tests.sims.uplink import FAST, SITE, school


async def test_replays_of_many_gaps_do_not_hold_up_an_acknowledgement(tmp_path: Path) -> None:
    slow = replace(FAST, command_workers=1, replay_per_s=2.0)  # 4 s each: far longer than what must not wait for them
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url, limits=slow) as here:
            await here.connected()
            await here.note(40)
            replays = [
                asyncio.ensure_future(district.command("replay", {"from": 1, "to": 8}))
                for _ in range(slow.command_workers + 1)
            ]
            await district.until(lambda: len(district.events(type="campus.event.noted")) > 40)  # one has begun
            assert (await district.command("output", {}))["ok"]
            assert not any(replay.done() for replay in replays), "the test's replays were too short"
            assert all(reply["ok"] for reply in await asyncio.gather(*replays))
