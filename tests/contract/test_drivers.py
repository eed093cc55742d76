"""One suite for every driver in `drivers/`: what it must say of itself, and how it must behave when things go wrong."""

import ast
import asyncio
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.drivers import driver_names, find_driver
from agent.driver import BadFrame, DeviceError, Driver
from tests.contract.peers import Peer, Talk, peers
from tests.sims.rig import RecordedLink, until

ROOT = Path(__file__).parents[2] / "drivers"
NAMES = driver_names()
PEERS = peers()
BUFFER_LIMIT = 64 * 1024
"""More than any protocol's longest frame; what no driver or bus may hold back per device."""
NOISE = bytes(range(7, 256, 3)) * 4


@pytest.fixture(params=NAMES)
def driver(request: pytest.FixtureRequest) -> type[Driver]:
    return find_driver(request.param)


@pytest.fixture
def peer(driver: type[Driver]) -> Peer:
    return PEERS[driver.name]


def sources(name: str) -> list[Path]:
    """The files of a driver, with those that it shares."""
    module = ROOT / name.replace("-", "_")
    own = sorted(module.rglob("*.py")) if module.is_dir() else [module.with_suffix(".py")]
    return [*own, *sorted(ROOT.glob("_[a-z]*.py"))]


def test_there_are_drivers_and_each_has_a_peer_to_be_tested_with() -> None:
    assert "modbus-io" in NAMES
    assert set(NAMES) == set(PEERS)


def test_it_names_its_source(driver: type[Driver]) -> None:
    assert re.search(r"\b(Source|来源)\s*[:：]", driver.__doc__ or "")


def test_every_field_is_described(driver: type[Driver]) -> None:
    assert [name for name, field in driver.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_knows_nothing_of_the_agent_but_the_contract(name: str) -> None:
    for path in sources(name):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert [m for m in modules if m.split(".")[0] == "agent" and m != "agent.driver"] == [], path


def test_its_configuration_is_read_and_frozen(driver: type[Driver], peer: Peer) -> None:
    settings = driver.model_validate(peer.config)
    with pytest.raises(ValueError, match="frozen"):
        settings.__setattr__(next(iter(driver.model_fields)), None)
    with pytest.raises(ValueError, match="no_such_key"):
        driver.model_validate({**peer.config, "no_such_key": 1})


@pytest.mark.parametrize("name", NAMES)
@given(data=st.binary(max_size=700))
def test_any_bytes_decode_or_are_a_bad_frame(name: str, data: bytes) -> None:
    for decode in PEERS[name].decoders:
        with suppress(BadFrame):
            decode(data)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_are_frames_or_rejected(name: str, data: list[bytes]) -> None:
    for make in PEERS[name].framers:
        framer = make()
        found = [frame for part in data for frame in framer.feed(part, lambda _raw, _error: None)]
        assert sum(map(len, found)) <= sum(map(len, data))


async def test_every_input_comes_once_after_a_start_and_then_as_it_changes(peer: Peer, tmp_path: Path) -> None:
    known = [False] if peer.asked else []
    async with peer.talk(tmp_path) as talk:
        link = await started(peer, talk)
        first = len(link.samples)
        assert len({sample.input for sample in link.samples}) == first
        talk.change(True)
        await until(lambda: link.edges(peer.input) == [*known, *pressed(peer)])
        talk.change(False)
        await until(lambda: link.edges(peer.input) == [*known, True, False])
        if peer.asked:  # a panel's word may mean several inputs
            assert len(link.samples) == first + 2
        assert all(sample.seen_ns <= link.clock.boottime_ns() for sample in link.samples)
        for sample in link.samples[first:]:
            assert sample.previous_ns is None or sample.previous_ns < sample.seen_ns


async def test_silence_is_an_error_and_a_restart_starts_fresh(peer: Peer, tmp_path: Path) -> None:
    known = [False] if peer.asked else []
    async with peer.talk(tmp_path) as talk:
        link = await started(peer, talk)
        talk.silence()
        if peer.asked:
            await until(lambda: bool(link.errors))
            assert_spoken(link.errors[0])
        talk.change(True)
        talk.speak()
        await until(lambda: link.edges(peer.input) == [*known, *pressed(peer)])
        assert link.samples[-1].previous_ns is None
        assert (link.starts > 1) == peer.asked


async def test_an_unplugged_port_is_an_error(peer: Peer, tmp_path: Path) -> None:
    async with peer.talk(tmp_path) as talk:
        link = await started(peer, talk)
        talk.unplug()
        if peer.port:
            await until(lambda: bool(link.errors))
            assert_spoken(link.errors[0])
        else:  # whoever comes next is heard
            talk.change(True)
            await until(lambda: True in link.edges(peer.input))
            assert not link.errors


async def test_cancelling_gives_every_file_descriptor_back(peer: Peer, tmp_path: Path) -> None:
    async with peer.talk(tmp_path) as talk:
        before = open_files()
        await started(peer, talk)
        await talk.end()
        await until(lambda: open_files() <= before)


async def test_noise_is_reported_and_never_a_sample(peer: Peer, tmp_path: Path) -> None:
    if not peer.noisy:
        pytest.skip("no bytes come from it, so none can be noise")
    async with peer.talk(tmp_path) as talk:
        talk.garbage(NOISE)
        link = talk.start()
        await until(lambda: len(link.rejected) >= 3)
        assert [sample for sample in link.samples if peer.drowned or sample.value] == []
        assert max(len(raw) for raw, _ in link.rejected) < BUFFER_LIMIT


async def test_noise_ends_no_driver_and_what_follows_it_is_seen(peer: Peer, tmp_path: Path) -> None:
    if not peer.noisy:
        pytest.skip("no bytes come from it, so none can be noise")
    async with peer.talk(tmp_path) as talk:
        link = await started(peer, talk)
        talk.garbage(NOISE)
        await until(lambda: len(link.rejected) >= 10)
        talk.change(True)
        talk.garbage(b"")
        await until(lambda: True in link.edges(peer.input))
        assert link.starts == 1
        assert not link.errors


async def test_endless_noise_does_not_fill_the_memory(peer: Peer, tmp_path: Path) -> None:
    if not peer.noisy:
        pytest.skip("no bytes come from it, so none can be noise")
    async with peer.talk(tmp_path) as talk:
        link = await started(peer, talk)
        seen = len(link.samples)
        for _ in range(200):
            talk.garbage(NOISE * 4)
            await asyncio.sleep(0)
        await until(lambda: bool(link.rejected or link.errors))
        assert all(len(raw) < BUFFER_LIMIT for raw, _ in link.rejected)
        talk.garbage(b"")
        heard = link.heard
        await until(lambda: link.heard > heard or not peer.asked)
        assert {sample.value for sample in link.samples[seen:]} <= {False}


async def started(peer: Peer, talk: Talk) -> RecordedLink:
    """A driver that has come into touch with its device: it knows every input, or the device was heard once."""
    link = talk.start()
    if peer.asked:
        await until(lambda: link.edges(peer.input) == [False])
    else:
        await until(lambda: link.heard > 0)
    return link


def pressed(peer: Peer) -> list[bool]:
    """What a press looks like."""
    return [True] if peer.releases else [True, False]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def assert_spoken(error: DeviceError) -> None:
    """An error has words in both languages."""
    assert error.text.render("zh-CN")
    assert error.text.render("en")
