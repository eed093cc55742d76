"""`campus-agent mqtt ping|watch` against a real broker, with the daemon dead."""

import asyncio
import json
import sys
from pathlib import Path

from agent.cli.mqtt import line
from agent.uplink.words import Incoming
from tests.sims.broker import Broker, free_port
from tests.sims.district import District
from tests.sims.uplink import SITE, school


def configuration(tmp_path: Path, url: str) -> str:
    path = tmp_path / "agent.toml"
    site = f'[site]\ndistrict = "{SITE.district}"\nschool = "{SITE.school}"\nname = "兖州区实验小学"\n'
    path.write_text(f'{site}[journal]\npath = "{tmp_path}/none/journal.db"\n[uplink]\nbrokers = ["{url}"]\n')
    return str(path)


async def run(*argv: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent.cli", *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_ping_works_with_the_daemon_dead(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        code, out, err = await run("--config", configuration(tmp_path, broker.url), "mqtt", "ping", "--json")
    assert code == 0
    assert json.loads(out)["by"] == "self"
    assert "campus-agent" in err


async def test_ping_says_why_there_is_no_way(tmp_path: Path) -> None:
    url = f"mqtt://127.0.0.1:{free_port()}"
    code, _, err = await run("--config", configuration(tmp_path, url), "--lang", "zh-CN", "mqtt", "ping")
    assert code == 1
    assert f"连不上 {url}" in err


async def test_watch_shows_messages_and_disturbs_nobody(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with District(broker.port, SITE) as district, school(tmp_path, broker.url) as here:
            await district.status("online")
            watching = asyncio.ensure_future(
                run("--config", configuration(tmp_path, broker.url), "--lang", "zh-CN", "mqtt", "watch", "-n", "2")
            )
            await here.until(lambda: "sy-primary-watch 1 campus" in broker.log)
            await here.press()
            code, out, _ = await watching
            assert code == 0
            assert out.splitlines()[0].startswith("status  ")
            assert out.splitlines()[1].startswith("event/alarm/guardroom/panic  #1 ")
            assert "门卫室一键报警" in out
            assert here.uplink.status().connected


def test_any_payload_makes_a_line() -> None:
    for payload in (b"", b"\xff", b"[1]", b"{}", b'{"due": 5}', b'{"data": 7}', b"[" * 10_000, b"1e999"):
        for topic in ("status", "event/alarm/a/b", "state/a/b", "reply/x", ""):
            assert line(Incoming(f"{SITE.root}/{topic}", payload, True, 1, 1), SITE.root, "en")
