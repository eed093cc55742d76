"""When a finding becomes a fault, and when it is over."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.skyeye.inspect import Confirmer, FaultChange
from agent.skyeye.inspect.confirm import CLEAR, FILE, NEED, NEED_PICTURE, cameras_from
from tests.unit.skyeye.inspect.make import FAULT_OF, PICTURES, WORDS, inspection

ALL = (*FAULT_OF, *PICTURES)


def raised(changes: tuple[FaultChange, ...]) -> set[str]:
    return {change.fault for change in changes if change.text is not None}


def cleared(changes: tuple[FaultChange, ...]) -> set[str]:
    return {change.fault for change in changes if change.text is None}


@pytest.mark.parametrize(
    ("fault", "need"), [("offline", NEED), ("camera-clock", NEED), ("picture-covered", NEED_PICTURE)]
)
def test_a_fault_is_told_once_it_was_found_often_enough(fault: str, need: int) -> None:
    confirmer = Confirmer()
    for _ in range(need - 1):
        assert confirmer.feed(inspection(fault)) == ()
        assert confirmer.unsettled("gate")
    assert confirmer.feed(inspection(fault)) == (FaultChange("gate", fault, WORDS),)
    assert confirmer.standing("gate") == {fault}
    assert not confirmer.unsettled("gate")
    assert confirmer.feed(inspection(fault)) == ()


def test_it_is_over_after_two_clean_looks() -> None:
    confirmer = Confirmer()
    for _ in range(NEED):
        confirmer.feed(inspection("camera-clock"))
    assert confirmer.feed(inspection()) == ()
    assert confirmer.unsettled("gate")
    assert confirmer.feed(inspection()) == (FaultChange("gate", "camera-clock", None),)
    assert not confirmer.unsettled("gate")


def test_who_passes_by_is_no_fault() -> None:
    confirmer = Confirmer()
    for _ in range(10):
        assert confirmer.feed(inspection("picture-covered")) == ()
        assert confirmer.feed(inspection("picture-covered")) == ()
        assert confirmer.feed(inspection()) == ()


def test_offline_stands_alone_and_clears_nothing() -> None:
    confirmer = Confirmer()
    for _ in range(NEED_PICTURE):
        confirmer.feed(inspection("picture-black"))
    for _ in range(NEED):
        changes = confirmer.feed(inspection("offline", "stream", "camera-clock"))
    assert raised(changes) == {"offline"}
    for _ in range(5):
        assert confirmer.feed(inspection("offline")) == ()
    assert confirmer.standing("gate") == {"offline", "picture-black"}
    confirmer.feed(inspection())
    assert cleared(confirmer.feed(inspection())) == {"offline", "picture-black"}


def test_what_cannot_be_judged_says_neither() -> None:
    confirmer = Confirmer()
    for _ in range(NEED_PICTURE):
        confirmer.feed(inspection("picture-covered"))
    for _ in range(10):
        assert confirmer.feed(inspection(unknown={"picture-covered"})) == ()
    assert confirmer.standing("gate") == {"picture-covered"}


@pytest.mark.parametrize("kind", ["tamper", "picture"])
def test_the_cameras_own_word_counts_as_one_confirmation(kind: str) -> None:
    confirmer = Confirmer()
    confirmer.hint("gate", kind, True)  # type: ignore[arg-type]
    assert confirmer.feed(inspection("picture-covered")) == ()
    assert raised(confirmer.feed(inspection("picture-covered"))) == {"picture-covered"}


def test_the_cameras_own_word_alone_is_no_fault() -> None:
    confirmer = Confirmer()
    for _ in range(10):
        confirmer.hint("gate", "tamper", True)
        assert confirmer.feed(inspection()) == ()


def test_a_hint_that_is_taken_back_or_old_counts_no_more() -> None:
    confirmer = Confirmer()
    confirmer.hint("gate", "tamper", True)
    confirmer.hint("gate", "tamper", False)
    confirmer.feed(inspection("picture-covered"))
    assert confirmer.feed(inspection("picture-covered")) == ()
    confirmer = Confirmer()
    confirmer.hint("gate", "tamper", None)
    for _ in range(3):
        confirmer.feed(inspection())
    confirmer.feed(inspection("picture-covered"))
    assert confirmer.feed(inspection("picture-covered")) == ()


def test_a_recorders_lost_channel_is_told_and_ends() -> None:
    confirmer = Confirmer()
    confirmer.hint("gate", "signal-lost", True)
    assert raised(confirmer.feed(inspection())) == {"signal-lost"}
    confirmer.hint("gate", "signal-lost", False)
    confirmer.feed(inspection())
    assert cleared(confirmer.feed(inspection())) == {"signal-lost"}


def test_a_restart_neither_forgets_nor_flaps(tmp_path: Path) -> None:
    before = Confirmer(tmp_path)
    for _ in range(NEED):
        before.feed(inspection("offline"))
    after = Confirmer(tmp_path)
    assert after.standing("gate") == {"offline"}
    assert after.feed(inspection("offline")) == ()
    after.feed(inspection())
    assert cleared(after.feed(inspection())) == {"offline"}
    assert Confirmer(tmp_path).standing("gate") == frozenset()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"gate": 3}', b'{"gate": {"offline": {"bad": "x"}}}', b"\x00\xff"])
def test_a_state_that_cannot_be_read_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert Confirmer(tmp_path).standing("gate") == frozenset()


def test_a_camera_that_goes_takes_its_faults_along(tmp_path: Path) -> None:
    confirmer = Confirmer(tmp_path)
    for _ in range(NEED):
        confirmer.feed(inspection("offline"))
    assert cleared(confirmer.forget("gate")) == {"offline"}
    assert Confirmer(tmp_path).standing("gate") == frozenset()


findings = st.lists(st.sets(st.sampled_from(ALL)), max_size=40)


@given(findings)
def test_nothing_is_told_without_confirmation(rounds: list[set[str]]) -> None:
    confirmer, standing = Confirmer(), set[str]()
    for number, found in enumerate(rounds):
        for change in confirmer.feed(inspection(*found)):
            run = [found for found in rounds[: number + 1] if change.fault == "offline" or "offline" not in found]
            if change.text is None:
                assert change.fault in standing
                standing.discard(change.fault)
                assert all(change.fault not in before for before in run[-CLEAR:])
            else:
                need = NEED_PICTURE if change.fault in PICTURES else NEED
                assert change.fault not in standing
                standing.add(change.fault)
                assert all(change.fault in before for before in run[-need:])
                assert len(run) >= need
        assert confirmer.standing("gate") == standing


@given(findings)
def test_every_fault_ends_on_clean_looks(rounds: list[set[str]]) -> None:
    confirmer = Confirmer()
    for found in rounds:
        confirmer.feed(inspection(*found))
    for _ in range(CLEAR):
        confirmer.feed(inspection())
    assert confirmer.standing("gate") == frozenset()
    assert not confirmer.unsettled("gate")


NAMES = st.sampled_from(["gate", "offline", "bad", "clean", "raised"])
LEAVES = st.none() | st.integers() | st.text(max_size=5)


@given(st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner)))
def test_whatever_was_stored_is_a_state_or_refused(stored: object) -> None:
    with suppress(ValueError):
        cameras_from(stored)
