"""`campus-agent discover` against cameras on loopback."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.skyeye.discovery import search
from agent.skyeye.discovery.search import Ports
from tests.unit.cli.conftest import Run
from tests.unit.cli.sims import CONFIG
from tests.unit.skyeye.discovery.responder import answer, responder

GATE = """
[[camera]]
id = "gate"
name = "校门口"
driver = "onvif"
address = "127.0.0.2"
"""


@contextmanager
def cameras(*addresses: str) -> Iterator[int]:
    """Cameras that answer single questions, in a thread of their own; yields their port."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    stop: asyncio.Event = asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        async with _all(addresses) as port:
            ports.append(port)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


class _all:
    def __init__(self, addresses: tuple[str, ...]) -> None:
        self.addresses = addresses

    async def __aenter__(self) -> int:
        self.held = []
        port = 0
        for address in self.addresses:
            one = responder(
                address,
                lambda question, address=address: [  # type: ignore[misc]
                    answer(question, endpoint=f"urn:uuid:{address}", scopes="onvif://www.onvif.org/hardware/M1")
                ],
                port,
            )
            port = await one.__aenter__()
            self.held.append(one)
        return port

    async def __aexit__(self, *_: object) -> None:
        for one in self.held:
            await one.__aexit__(None, None, None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """127.0.0.2 and 127.0.0.3 are cameras; a configuration without any."""
    (tmp_path / "agent.toml").write_text(CONFIG.format(folder=tmp_path), encoding="utf-8")
    with ExitStack() as stack:
        port = stack.enter_context(cameras("127.0.0.2", "127.0.0.3"))
        monkeypatch.setattr(search, "DEFAULTS", Ports(port, (1,), (1,)))
        monkeypatch.setattr(search, "GRACE_S", 0.2)
        yield tmp_path


WORDS = ("discover", "--interface", "lo", "--timeout", "1", "--range", "127.0.0.2-3")


def test_what_is_found_is_shown(run: Run, folder: Path) -> None:
    ran = run("--config", str(folder / "agent.toml"), *WORDS)
    assert ran.code == 0, ran.err
    assert "127.0.0.2" in ran.out
    assert "找到 2 台：新的 2" in ran.out
    assert "--write" in ran.out
    assert ran.err == ""


def test_it_works_without_a_configuration(run: Run, folder: Path) -> None:
    ran = run("--config", str(folder / "none.toml"), "--lang", "en", *WORDS)
    assert ran.code == 0
    assert "no configuration" in ran.err
    assert "2 found: 2 new" in ran.out


def test_a_configured_camera_is_known_and_one_that_is_away_is_gone(run: Run, folder: Path) -> None:
    with (folder / "agent.toml").open("a", encoding="utf-8") as file:
        file.write(GATE + GATE.replace("gate", "yard").replace("127.0.0.2", "127.0.0.77"))
    ran = run("--config", str(folder / "agent.toml"), *WORDS, "--json")
    assert ran.code == 1
    rows = {tuple(row["cameras"]): row["state"] for row in json.loads(ran.out)["cameras"]}
    assert rows == {(): "new", ("gate",): "known", ("yard",): "gone"}


def test_what_is_new_is_written_once_and_loads(run: Run, folder: Path) -> None:
    config, file = str(folder / "agent.toml"), folder / "conf.d" / "cameras.toml"
    first = run("--config", config, *WORDS, "--write")
    assert first.code == 0, first.err
    assert "cam-127-0-0-2, cam-127-0-0-3" in first.out
    file.write_text(file.read_text(encoding="utf-8") + "# by hand\n", encoding="utf-8")
    before = file.read_bytes()
    again = run("--config", config, *WORDS, "--write")
    assert "没有新的" in again.out
    assert file.read_bytes() == before
    assert run("--config", config, "check-config", "--no-files").code == 0


def test_a_broken_configuration_is_not_written_to(run: Run, folder: Path) -> None:
    (folder / "agent.toml").write_text("[site]\n", encoding="utf-8")
    assert run("--config", str(folder / "agent.toml"), *WORDS, "--write").code == 2
    assert not (folder / "conf.d").exists()
    shown = run("--config", str(folder / "agent.toml"), *WORDS)
    assert "127.0.0.2" in shown.out
    assert "check-config" in shown.err


def test_nobody_there_says_what_to_try(run: Run, folder: Path) -> None:
    ran = run("--config", str(folder / "agent.toml"), "discover", "--interface", "lo", "--timeout", "1")
    assert ran.code == 1
    assert "--range" in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--range", "10.0.0.0/8"], "4096"),
        (["--range", "x"], "192.168.1.0/24"),
        (["--interface", "wlan9"], "lo (127.0.0.1)"),
    ],
)
def test_a_search_that_cannot_be_made_is_told(run: Run, folder: Path, words: list[str], said: str) -> None:
    ran = run("--config", str(folder / "agent.toml"), "discover", *words)
    assert ran.code == 1
    assert said in ran.err


def test_a_password_is_not_taken_from_the_command_line_or_a_pipe(run: Run, folder: Path) -> None:
    ran = run("--config", str(folder / "agent.toml"), *WORDS, "--username", "admin", "--write")
    assert ran.code == 2
    assert "--password-file" in ran.err
