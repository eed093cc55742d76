"""The daemon on disks that fail it: alarms still go out, and the fault is told."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from agent.demo.module import Modules
from agent.model import Site
from tests.sims.broker import Broker
from tests.sims.daemon import Daemon
from tests.sims.district import District

SITE: Final = Site("370812", "sy-primary")
DISK_SIZE: Final = "6m"
"""Room for a journal, its log and its ballast, and quickly full."""

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="mounting a small disk needs root and mount(8)"
)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    path = tmp_path / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_SIZE}", "campus-test", str(path)], check=True)
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def remount(disk: Path, mode: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{mode}", str(disk)], check=True)


def fill(disk: Path) -> None:
    """Take every byte that is left."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (65536, 512, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


@asynccontextmanager
async def on_disk(folder: Path, disk: Path) -> AsyncIterator[tuple[Daemon, Modules, District]]:
    """Broker, module and district; the daemon is made and not yet started, and its journal lies on `disk`."""
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker"))
        modules = await stack.enter_async_context(Modules(folder / "line", [1]))
        district = await stack.enter_async_context(District(broker.port, SITE))
        text = f"""
        [journal]
        path = "{disk}/journal.db"
        [uplink]
        brokers = ["{broker.url}"]
        [[bus]]
        id = "line"
        port = "{folder}/line"
        [[device]]
        id = "guardroom"
        name = "门卫室"
        driver = "modbus-io"
        bus = "line"
        unit = 1
        outputs = 8
          [[device.point]]
          id = "panic"
          name = "一键报警"
          kind = "panic"
          input = 0
          lamp = 0
        """
        daemon = Daemon(folder, text)
        stack.push_async_callback(daemon.stop)
        yield daemon, modules, district


def contents(paths: list[Path]) -> list[bytes]:
    """Read whole files."""
    return [path.read_bytes() for path in paths]


async def storage_fault(district: District) -> None:
    """Wait for the word that something is wrong with the store."""
    await district.until(lambda: [e for e in district.events(lane="fault") if e["data"].get("fault") == "storage"])


async def presses_arrive(modules: Modules, district: District, count: int = 3) -> None:
    """Press some times, and wait for each."""
    for number in range(count):
        modules.press(1, 0)
        if number == 0:
            await arrived(district, "campus.alarm.raised", 1)
        else:
            await arrived(district, "campus.alarm.repeated", number)
        modules.release(1, 0)
        await arrived(district, "campus.alarm.restored", number + 1)


async def arrived(district: District, type_: str, count: int) -> None:
    """Wait for so many different events of a type."""
    await district.until(lambda: len({event["id"] for event in district.events(type=type_)}) >= count)


async def test_a_disk_that_is_full_at_the_start(tmp_path: Path, disk: Path) -> None:
    async with on_disk(tmp_path, disk) as (daemon, modules, district):
        fill(disk)
        await daemon.start()
        await storage_fault(district)
        await presses_arrive(modules, district)
        assert (await daemon.status())["journal"]["store"] == "memory"


async def test_a_disk_that_fills_up_while_running(tmp_path: Path, disk: Path) -> None:
    async with on_disk(tmp_path, disk) as (daemon, modules, district):
        await daemon.start()
        await district.status("online")
        fill(disk)
        await presses_arrive(modules, district, 6)


async def test_a_disk_that_is_read_only_at_the_start(tmp_path: Path, disk: Path) -> None:
    async with on_disk(tmp_path, disk) as (daemon, modules, district):
        remount(disk, "ro")
        await daemon.start()
        await storage_fault(district)
        await presses_arrive(modules, district)
        status = await daemon.status()
        assert status["journal"]["store"] == "memory"
        assert status["journal"]["trouble"]["zh-CN"]


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
async def test_a_damaged_journal_is_kept_and_a_fresh_one_begun(tmp_path: Path, disk: Path, content: bytes) -> None:
    async with on_disk(tmp_path, disk) as (daemon, modules, district):
        (disk / "journal.db").write_bytes(content)
        await daemon.start()
        await storage_fault(district)
        await presses_arrive(modules, district)
        status = await daemon.status()
        assert status["journal"]["store"] == "fresh"
        kept = Path(status["journal"]["kept_aside"])
    assert kept.parent == disk
    assert contents([kept]) == [content]
