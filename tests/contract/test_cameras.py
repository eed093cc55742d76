"""One suite for every driver of cameras: what it must say of itself, and how it must behave when cameras do not."""

import ast
import asyncio
import logging
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.clock import SystemClock
from agent.config.drivers import camera_driver_names, find_camera_driver
from agent.driver import CameraDriver, CameraError, CameraEvent, CameraSession, Move, StreamSource
from drivers import _camera_http
from tests.contract.camera_peers import PEERS, CameraPeer
from tests.sims.onvif_replay import BASE, GOLDEN, HOSTILE, PASSWORD, Replay, TestLink

ROOT = Path(__file__).parents[2]
NAMES = camera_driver_names()
SHORT_S = 0.4
"""A deadline for tests: the drivers' own explains itself where it stands."""
PATIENCE_S = 20.0
"""How long all questions of a session may take, each within its deadline, on a busy machine."""
SLOW = {"silent", "drip", "endless", "drip-header"}
OPERATIONS = ("GetServices", "GetProfiles", "GetStreamUri", "GetSnapshotUri", "CreatePullPointSubscription")


@pytest.fixture(params=NAMES)
def driver(request: pytest.FixtureRequest) -> type[CameraDriver]:
    return find_camera_driver(request.param)


@pytest.fixture
def peer(driver: type[CameraDriver]) -> CameraPeer:
    return PEERS[driver.name]


@pytest.fixture
async def replay() -> AsyncIterator[Replay]:
    async with Replay(BASE, SystemClock("Asia/Shanghai")) as server:
        yield server


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_camera_http, "EXCHANGE_S", SHORT_S)


def test_there_are_drivers_and_each_has_a_peer_to_be_tested_with() -> None:
    assert {"onvif", "rtsp"} <= set(NAMES)
    assert set(NAMES) == set(PEERS)


def test_it_names_its_source(driver: type[CameraDriver]) -> None:
    assert re.search(r"\b(Source|来源)\s*[:：]", driver.__doc__ or "")


def test_every_field_is_described(driver: type[CameraDriver]) -> None:
    assert [name for name, field in driver.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_knows_nothing_of_the_agent_but_the_contract(name: str) -> None:
    module = ROOT / "drivers" / name.replace("-", "_")
    own = sorted(module.rglob("*.py")) if module.is_dir() else [module.with_suffix(".py")]
    for path in [*own, *sorted((ROOT / "drivers").glob("_[a-z]*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert [m for m in modules if m.split(".")[0] == "agent" and m != "agent.driver"] == [], path


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_load_nothing_heavy(name: str) -> None:
    code = f"import sys\nimport drivers.{name.replace('-', '_')}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (
        set(done.stdout.split()) & {"aiohttp", "zeep", "onvif", "onvif_parsers", "lxml", "av", "cv2", "numpy"} == set()
    )


def test_its_configuration_is_read_and_frozen(driver: type[CameraDriver], peer: CameraPeer) -> None:
    settings = driver.model_validate(peer.config)
    with pytest.raises(ValueError, match="frozen"):
        settings.__setattr__(next(iter(driver.model_fields)), None)
    with pytest.raises(ValueError, match="no_such_key"):
        driver.model_validate({**peer.config, "no_such_key": 1})


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=700))
@example(data=b"<a:b/>")
@example(data=b"<Envelope><Body><x/></Body></Envelope>")
@example(data=b"rtsp://[::1]:99999999999999999999/x")
@example(data=b"9999-99-99T99:99:99+99:99")
def test_any_bytes_are_understood_or_a_camera_error(name: str, data: bytes) -> None:
    for decode in PEERS[name].decoders:
        with suppress(CameraError):
            decode(data)


def spoil(data: bytes, rng: random.Random) -> bytes:
    """A reply with some bytes turned, cut, doubled or swapped for others."""
    found = bytearray(data)
    for _ in range(rng.randint(1, 12)):
        at = rng.randrange(len(found) or 1)
        match rng.randrange(5):
            case 0:
                found[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del found[at : at + rng.randint(1, 40)]
            case 2:
                found[at:at] = found[at : at + rng.randint(1, 200)]
            case 3:
                found[at:at] = rng.choice([b"<", b">", b"&", b"]]>", b"<!--", b"\x00", b"</s:Body>", b"-1", b"\xff"])
            case _:
                found = found[: max(at, 1)] if rng.random() < 0.1 else found
    return bytes(found)


@pytest.mark.parametrize("file", sorted(BASE.glob("*.xml")), ids=lambda path: path.stem)
def test_a_spoiled_reply_is_understood_or_a_camera_error(file: Path) -> None:
    rng = random.Random(file.name)
    start = b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="t" xmlns:trt="r"><s:Body>'
    good = start + file.read_bytes().strip() + b"</s:Body></s:Envelope>"
    for _ in range(150):
        for decode in PEERS["onvif"].decoders[:1]:
            with suppress(CameraError):
                decode(spoil(good, rng))


@pytest.mark.parametrize("seed", range(8))
async def test_spoiled_replies_at_the_wire_are_values_or_camera_errors(
    seed: int, peer: CameraPeer, replay: Replay, impatient: None
) -> None:
    rng = random.Random(seed)
    replay.spoiled = lambda data: spoil(data, rng) if rng.random() < 0.6 else data
    with suppress(CameraError):
        session = await peer.driver(replay.port).open(replay.link())
        await ask_everything(session, replay)
        await session.close()


@pytest.mark.parametrize("how", HOSTILE)
async def test_a_hostile_peer_is_a_camera_error_within_the_deadline(
    how: str, peer: CameraPeer, replay: Replay, impatient: None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    replay.hostile = how
    before = open_files()
    link = replay.link()
    async with asyncio.timeout(PATIENCE_S):
        session = None
        try:
            session = await peer.driver(replay.port).open(link)
            errors = await ask_everything(session, replay)
            assert errors
        except CameraError as error:
            assert_spoken(error)
        finally:
            if session is not None:
                await session.close()
    assert link.test_gate.refusals <= 1
    assert PASSWORD not in caplog.text
    if how not in SLOW:
        await until(lambda: open_files() <= before)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("how", ["silent", "endless", "reset", "garbage", "bomb", "redirect", "web-page", "error"])
async def test_a_camera_that_turns_hostile_later_is_a_camera_error(
    how: str, operation: str, replay: Replay, impatient: None
) -> None:
    replay.hostile, replay.hostile_at = how, operation
    session = None
    async with asyncio.timeout(PATIENCE_S):
        try:
            session = await PEERS["onvif"].driver(replay.port).open(replay.link())
            await ask_everything(session, replay)
        except CameraError as error:
            assert_spoken(error)
        finally:
            if session is not None:
                await session.close()
    assert replay.refused_logins == 0


async def test_closing_gives_every_file_descriptor_back(peer: CameraPeer, replay: Replay) -> None:
    before = open_files()
    for _ in range(3):
        session = await peer.driver(replay.port).open(replay.link())
        await ask_everything(session, replay)
        await session.close()
        await session.close()
    await until(lambda: open_files() <= before)


@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.03, 0.1])
async def test_it_may_be_cancelled_at_any_time(after_s: float, peer: CameraPeer, replay: Replay) -> None:
    before = open_files()

    async def use() -> None:
        session = await peer.driver(replay.port).open(replay.link())
        try:
            await ask_everything(session, replay)
        finally:
            await session.close()

    task = asyncio.create_task(use())
    await asyncio.sleep(after_s)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await until(lambda: open_files() <= before)


@pytest.mark.parametrize("case", ["login-wrong", "login-wrong-digest"])
async def test_a_wrong_password_costs_one_login_each_time(case: str, peer: CameraPeer) -> None:
    async with Replay(GOLDEN / case, SystemClock("Asia/Shanghai")) as replay:
        link = replay.link(password="wrong-Pass-77")
        for tries in (1, 2):
            with suppress(CameraError):
                session = await peer.driver(replay.port).open(link)
                for error in await ask_everything(session, replay):
                    assert "wrong-Pass-77" not in str(error) + repr(error) + repr(error.text)
                await session.close()
            assert replay.refused_logins <= tries
            assert link.test_gate.refusals == replay.refused_logins


async def test_nothing_is_tried_while_the_gate_is_closed(peer: CameraPeer) -> None:
    async with Replay(GOLDEN / "login-wrong-digest", SystemClock("Asia/Shanghai")) as replay:
        link = replay.link(password="wrong")
        link.test_gate.closed = True
        with suppress(CameraError):
            session = await peer.driver(replay.port).open(link)
            await ask_everything(session, replay)
            await session.close()
        assert replay.refused_logins == 0


async def test_secrets_show_nowhere(peer: CameraPeer, replay: Replay, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = await peer.driver(replay.port).open(replay.link())
    source = await session.stream("main")
    assert source.password == PASSWORD
    assert PASSWORD not in source.url + repr(source) + repr(session) + repr(vars(session))
    await ask_everything(session, replay)
    await session.close()
    assert PASSWORD not in caplog.text


async def test_a_closed_port_is_unreachable_with_words(peer: CameraPeer) -> None:
    link = TestLink("127.0.0.1:1", SystemClock("Asia/Shanghai"))

    async def use() -> None:
        session = await peer.driver(1).open(link)
        try:
            await session.snapshot()
        finally:
            await session.close()

    with pytest.raises(CameraError) as caught:
        await use()
    assert_spoken(caught.value)
    assert caught.value.text.key == "camera.port-closed"


@pytest.mark.parametrize("address", ["", "a b", "http://", "user:pw@host", "ftp://x", "host:0", "host:70000", "[::1"])
async def test_an_address_that_is_none_is_a_camera_error(address: str, peer: CameraPeer) -> None:
    with pytest.raises(CameraError) as caught:
        await peer.driver(80).open(TestLink(address, SystemClock("Asia/Shanghai")))
    assert "pw" not in str(caught.value)


async def ask_everything(session: CameraSession, replay: Replay) -> list[CameraError]:
    """Ask all that can be asked; return what went wrong. Every address stays on the enrolled host."""

    async def first_event() -> CameraEvent | None:
        async with asyncio.timeout(2):
            async for event in session.events():
                return event
        return None

    questions: list[Callable[[], Awaitable[object]]] = [
        session.identity,
        session.features,
        session.clock_offset_s,
        session.profiles,
        session.channels,
        lambda: session.stream("main"),
        lambda: session.stream("sub"),
        session.snapshot,
        session.recordings,
        lambda: session.move(Move(pan=1)),
        session.stop,
        session.presets,
        lambda: session.goto("gate"),
        lambda: session.save_preset("x"),
        first_event,
    ]
    errors: list[CameraError] = []
    for ask in questions:
        try:
            found = await ask()
        except CameraError as error:
            assert_spoken(error)
            errors.append(error)
        except TimeoutError:
            assert ask is first_event
        else:
            if isinstance(found, StreamSource):
                assert urlsplit(found.url).hostname == "127.0.0.1"
                assert "@" not in urlsplit(found.url).netloc
    return errors


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen in time")


def assert_spoken(error: CameraError) -> None:
    """An error has words in both languages, without the password."""
    for said in (error.text.render("zh-CN"), error.text.render("en")):
        assert said
        assert PASSWORD not in said
