"""What video costs an alarm: presses while the eye watches, inspects, analyses and cuts clips, and presses without."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.latency import EVENTS, Samples, agent_burst
from bench.report import Result, percentile, spread
from bench.rig import Receiver, connected, daemon, folder, helper, mosquitto, status
from tests.sims.camera import SimCameras

CAMERAS: Final = 8
"""Watched all the time at 1080p25, 4 Mbit/s each: 32 Mbit/s."""
ANALYSED: Final = 2
BURSTS: Final = 18
"""Of eight presses, in each run; runs alternate, without and with video."""
ROUNDS: Final = 2
RATIO: Final = 1.5
SETTLE_S: Final = 15.0
"""The eye's start, its first inventory and its first inspections are part of no day."""
LOGIN: Final = {"username": "admin", "password": "bench-pw"}
MAIN: Final = {"width": 1920, "height": 1080, "fps": 25, "kbps": 4000, "gop": 50}
START_S: Final = 60.0


def cameras_toml(cameras: SimCameras, place: Path) -> str:
    """The eye's part of the configuration: everything that it can do, all at once."""
    text = f"""
[skyeye]
path = "{place}/skyeye"
inspect_every = "20s"
clip_after = "5s"
"""
    for number, (id_, one) in enumerate(cameras.cameras.items()):
        address = urlsplit(str(one["address"]))
        text += f"""
[[camera]]
id = "{id_}"
name = "{id_}"
driver = "onvif"
address = "{address.hostname}"
port = {address.port}
username = "{LOGIN["username"]}"
password = "{LOGIN["password"]}"
preroll = "10s"
"""
        if number < ANALYSED:
            text += """
  [[camera.zone]]
  id = "all"
  polygon = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
  detect = ["intrusion", "motion"]
"""
    return text


@contextlib.asynccontextmanager
async def watched(place: Path) -> AsyncIterator[str]:
    """Run the simulated cameras, and yield the configuration of them."""
    spec: dict[str, Any] = {"id": "cam", "main": MAIN, "loop_s": 8, **LOGIN}
    async with SimCameras(spec, copies=CAMERAS) as cameras:
        yield cameras_toml(cameras, place)


async def presses(*, video: bool) -> tuple[Samples, dict[str, Any]]:
    """Press buttons for a while; return how long each took, and the daemon's last word on the eye."""
    samples = Samples()
    with folder() as name:
        place = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            more = await stack.enter_async_context(watched(place)) if video else ""
            port = await stack.enter_async_context(mosquitto(place))
            modules = await stack.enter_async_context(helper("bench.modules", place, "agent=1"))
            of_alarms = ("cam-001", "cam-002") if video else ()
            await stack.enter_async_context(daemon(place, port, place / "agent", 1, more=more, cameras=of_alarms))
            await connected(place)
            if video:
                await eye_up(place)
            with Receiver(port, (EVENTS,)) as receiver:
                for _ in range(BURSTS):
                    await agent_burst(modules, receiver, samples)
                    await asyncio.sleep(0.1)
            return samples, (await status(place))["eye"]


async def eye_up(place: Path) -> None:
    """Wait until the eye runs, and has settled."""
    async with asyncio.timeout(START_S):
        while (await status(place))["eye"]["state"] != "running":  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    await asyncio.sleep(SETTLE_S)


async def measure() -> list[Result]:
    """Without and with, by turns."""
    without, with_ = Samples(), Samples()
    eye: dict[str, Any] = {}
    for _ in range(ROUNDS):
        plain, _ = await presses(video=False)
        loaded, eye = await presses(video=True)
        for into, one in ((without, plain), (with_, loaded)):
            into.pressed += one.pressed
            into.seen += one.seen
    result = Result("Alarms with video at full load", ("ms", "p50", "p99", "max", "n"))
    result.rows = [
        ["without video: press -> subscriber", *spread(without.pressed)],
        ["with video: press -> subscriber", *spread(with_.pressed)],
        ["without video: seen -> subscriber", *spread(without.seen)],
        ["with video: seen -> subscriber", *spread(with_.seen)],
    ]
    ratio = percentile(with_.pressed, 99) / percentile(without.pressed, 99)
    result.aim("press -> subscriber, p99 with video against without", ratio, RATIO)
    result.notes = [
        f"{CAMERAS} cameras at 1080p25 with 10 s of pre-roll (4 Mbit/s each), all inspected every 20 s, {ANALYSED} of "
        "them analysed at 3 fps; every alarm takes a picture and a clip of two cameras. The simulated cameras run on "
        f"the same two cores. The eye's memory at the end: {(eye.get('rss_bytes') or 0) / 2**20:.0f} MiB, restarts: "
        f"{eye.get('restarts')}."
    ]
    return [result]
