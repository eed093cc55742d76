"""Opening ports: what cannot be opened says why, and what to do."""

import asyncio
import errno
import os
import pty
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.bus.port import PortOpener, SerialSettings, error_code, host_port, tty_error
from agent.bus.ports import holder, list_ports
from agent.bus.worker import StillRunning, Worker
from agent.driver import DeviceError
from tests.sims.rig import until


@pytest.fixture
def tty() -> Iterator[tuple[int, str]]:
    """A pty: the master's descriptor, and the slave's path."""
    master, slave = pty.openpty()
    os.set_blocking(master, False)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        os.close(fd)


async def refusal(port: str) -> DeviceError:
    with pytest.raises(DeviceError) as raised:
        await PortOpener()(SerialSettings(port))
    error = raised.value
    assert port in error.text.render("zh-CN")
    assert port in error.text.render("en")
    return error


async def test_a_missing_port_names_those_that_are_there() -> None:
    error = await refusal("/dev/serial/by-id/usb-none")
    assert error.text.key == "bus.no-such-port"
    assert "serial list" in error.text.render("zh-CN")


async def test_a_file_is_no_port(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert (await refusal(str(path))).text.key == "bus.not-a-tty"


async def test_a_folder_is_no_port(tmp_path: Path) -> None:
    assert (await refusal(str(tmp_path))).text.key == "bus.not-a-tty"


async def test_a_device_that_is_no_tty_is_no_port() -> None:
    assert (await refusal("/dev/null")).text.key == "bus.not-a-tty"


def test_missing_permission_says_which_group_to_join() -> None:
    error = tty_error(SerialSettings("/dev/ttyS0"), PermissionError(errno.EACCES, "Permission denied"))
    assert error.text.key == "bus.no-permission"
    assert "usermod -aG" in str(error)


async def test_a_port_has_one_user_at_a_time(tty: tuple[int, str]) -> None:
    port = await PortOpener()(SerialSettings(tty[1]))
    assert (await refusal(tty[1])).text.key == "bus.busy"
    port.close()
    (await PortOpener()(SerialSettings(tty[1]))).close()


async def test_the_process_that_holds_a_port_is_named(tty: tuple[int, str]) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"f = open({tty[1]!r}, 'rb', 0); print('open', flush=True); input()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    await child.stdout.readline()
    assert f"({child.pid})" in str(holder(tty[1]))
    child.kill()
    await child.wait()


def test_listing_ports_works_on_a_machine_without_any() -> None:
    assert all(info.path.startswith("/dev/") for info in list_ports())


async def test_bytes_go_out_and_come_in(tty: tuple[int, str]) -> None:
    port = await PortOpener()(SerialSettings(tty[1]))
    came: list[bytes] = []
    port.start(came.append, lambda error: None)
    port.write(b"\x00\x11\x13\xff\r\n")
    assert await readable(tty[0]) == b"\x00\x11\x13\xff\r\n"
    os.write(tty[0], b"\r\n\x03\x04\x1a")
    await until(lambda: b"".join(came) == b"\r\n\x03\x04\x1a")
    port.close()
    port.close()


async def readable(fd: int) -> bytes:
    while True:
        try:
            return os.read(fd, 100)
        except BlockingIOError:
            await asyncio.sleep(0.001)


async def test_what_came_and_was_not_handed_over_can_be_drained(tty: tuple[int, str]) -> None:
    port = await PortOpener()(SerialSettings(tty[1]))
    lost: list[DeviceError] = []
    assert port.drain() == b""
    os.write(tty[0], b"late")
    port.start(lambda data: None, lost.append)
    await asyncio.to_thread(time.sleep, 0.01)
    port.drain()
    await asyncio.sleep(0.01)
    assert lost == [], "an empty read after a drain is no lost port"
    port.close()


async def test_an_unplugged_adapter_is_told_once() -> None:
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    port = await PortOpener()(SerialSettings(path))
    lost: asyncio.Queue[DeviceError] = asyncio.Queue()
    port.start(lambda data: None, lost.put_nowait)
    os.close(slave)
    os.close(master)
    error = await asyncio.wait_for(lost.get(), 30)
    assert error.text.key == "bus.port-lost"
    with pytest.raises(DeviceError):
        port.write(b"x")
    port.close()
    await asyncio.sleep(0.01)
    assert lost.empty()


@pytest.mark.parametrize(
    "url", ["socket://", "socket://host", "socket://host:0", "socket://u:p@host:1", "socket://host:99999", "tcp://h:1"]
)
async def test_an_unreadable_url_says_what_is_expected(url: str) -> None:
    error = await refusal(url)
    assert error.text.key == "bus.bad-url"
    assert "socket://" in error.text.render("zh-CN")


def test_ipv6_addresses_may_stand_in_urls() -> None:
    assert host_port("socket://[::1]:4001") == ("::1", 4001)


async def test_a_refused_connection_says_so() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert (await refusal(f"socket://127.0.0.1:{held.getsockname()[1]}")).text.key == "bus.refused"


async def test_an_unknown_option_of_rfc2217_is_refused() -> None:
    error = await refusal("rfc2217://127.0.0.1:1?logging=debug")
    assert error.text.key == "bus.bad-option"


async def test_a_closed_connection_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = await PortOpener()(SerialSettings(f"socket://127.0.0.1:{server.getsockname()[1]}"))
        peer, _ = server.accept()
        lost: asyncio.Queue[DeviceError] = asyncio.Queue()
        port.start(lambda data: None, lost.put_nowait)
        peer.close()
        assert (await asyncio.wait_for(lost.get(), 30)).text.key == "bus.connection-lost"


def test_the_errno_of_termios_is_found_in_pyserials_text() -> None:
    assert error_code(ValueError("Could not configure port: (25, 'Inappropriate ioctl for device')")) == 25


async def test_a_call_that_hangs_is_given_up_and_its_result_discarded() -> None:
    worker = Worker("test")
    release = threading.Event()
    discarded: list[str] = []

    def work() -> str:
        release.wait(10)
        return "late"

    with pytest.raises(TimeoutError):
        await worker.call(work, deadline_s=0.01, discard=discarded.append)
    with pytest.raises(StillRunning):
        await worker.call(work, deadline_s=0.01)
    release.set()
    await until(lambda: bool(discarded))
    assert await worker.call(lambda: "now", deadline_s=5) == "now"
    assert discarded == ["late"]
