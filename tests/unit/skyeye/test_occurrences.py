"""Every occurrence begins at once and ends once, whatever cameras say, repeat or forget."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import CAMERA_EVENT_KINDS, CameraEvent, CameraEventKind
from agent.clock import NS_PER_S
from agent.skyeye.occurrences import (
    BURST,
    EVERY_S,
    EXPIRY_S,
    MERGE_S,
    PULSE_S,
    SOURCES_MAX,
    Occurrences,
    Transition,
    inputs_of,
)


def event(
    kind: CameraEventKind, active: bool | None, at_s: float, source: str = "1", topic: str = "tns1:Rule"
) -> CameraEvent:
    return CameraEvent(kind, active, source, topic, round(at_s * NS_PER_S))


@dataclass
class Told:
    """What came out, with a clock that looks every second, as the eye does."""

    occurrences: Occurrences
    all: list[tuple[float, Transition]]
    now_s: int = 0

    def hear(self, said: CameraEvent, camera: str = "gate") -> None:
        self.until(said.seen_ns / NS_PER_S)
        self.all += [(said.seen_ns / NS_PER_S, one) for one in self.occurrences.take(camera, said)]

    def until(self, at_s: float) -> None:
        while self.now_s + 1 <= at_s:
            self.now_s += 1
            self.all += [(self.now_s, one) for one in self.occurrences.expire(self.now_s * NS_PER_S)]

    @property
    def brief(self) -> list[tuple[float, bool | None]]:
        return [(at_s, one.event.active) for at_s, one in self.all]


@pytest.fixture
def told() -> Told:
    return Told(Occurrences(), [])


def test_a_begin_is_told_at_once_and_its_end_when_it_has_held(told: Told) -> None:
    told.hear(event("intrusion", True, 10, "yard"))
    told.hear(event("intrusion", False, 20, "yard"))
    told.until(60)
    assert told.brief == [(10, True), (20 + MERGE_S, False)]
    assert [one.inputs for _, one in told.all] == [("intrusion", "intrusion/yard")] * 2
    assert told.all[1][1].event.topic == "tns1:Rule"


def test_repeats_and_short_pauses_are_one_occurrence(told: Told) -> None:
    for at_s in range(10, 40, 4):
        told.hear(event("motion", True, at_s))
        told.hear(event("motion", True, at_s + 0.5))
        told.hear(event("motion", False, at_s + 2))
    told.until(60)
    assert told.brief == [(10, True), (43, False)]


def test_an_off_that_was_never_on_says_nothing(told: Told) -> None:
    told.hear(event("tamper", False, 1))  # the initial state of a new subscription
    told.until(10)
    assert told.all == []


@pytest.mark.parametrize("kind", CAMERA_EVENT_KINDS)
def test_a_missing_off_expires(told: Told, kind: CameraEventKind) -> None:
    told.hear(event(kind, True, 10))
    told.until(10 + EXPIRY_S[kind] + 1)
    assert told.brief == [(10, True), (10 + EXPIRY_S[kind], False)]


def test_what_repeats_does_not_expire(told: Told) -> None:
    for at_s in range(10, 600, 10):
        told.hear(event("intrusion", True, at_s))
    assert told.brief == [(10, True)]


def test_what_has_no_end_gets_one(told: Told) -> None:
    told.hear(event("line-crossed", None, 10, "fence"))
    told.hear(event("line-crossed", None, 12, "fence"))
    told.until(30)
    assert told.brief == [(10, True), (12 + PULSE_S, False)]


def test_a_pulse_does_not_shorten_a_state(told: Told) -> None:
    told.hear(event("intrusion", True, 10))
    told.hear(event("intrusion", None, 11))
    told.until(60)
    assert told.brief == [(10, True)]


def test_the_kind_is_on_as_long_as_one_source_is(told: Told) -> None:
    told.hear(event("intrusion", True, 1, "yard"))
    told.hear(event("intrusion", True, 2, "roof"))
    told.hear(event("intrusion", False, 5, "yard"))
    told.hear(event("intrusion", False, 15, "roof"))
    told.until(30)
    assert [one.inputs for _, one in told.all[2:]] == [("intrusion/yard",), ("intrusion", "intrusion/roof")]


def test_cameras_and_sources_are_apart(told: Told) -> None:
    told.hear(event("motion", True, 1, "a"), "gate")
    told.hear(event("motion", True, 1, "a"), "yard")
    told.hear(event("motion", True, 1, "b"), "yard")
    told.hear(event("crowd", True, 1, "b"), "yard")
    assert [(one.camera, one.event.kind, one.event.source) for _, one in told.all] == [
        ("gate", "motion", "a"),
        ("yard", "motion", "a"),
        ("yard", "motion", "b"),
        ("yard", "crowd", "b"),
    ]


def test_a_branch_in_the_wind_is_limited_and_the_person_behind_it_is_not_lost(told: Told) -> None:
    for at_s in range(0, 7200, 8):
        told.hear(event("motion", True, at_s))
        told.hear(event("motion", False, at_s + 1))
    begins = [at_s for at_s, active in told.brief if active]
    assert begins[:BURST] == [0, 8, 16, 24, 32, 40]
    assert len(begins) <= BURST + 7200 / EVERY_S
    assert len(begins) >= 7200 / (EVERY_S + 8)


def test_a_camera_that_invents_sources_stays_bounded(told: Told) -> None:
    for number in range(1000):
        told.hear(event("other", True, 1, f"source {number}"))
    assert len(told.all) == SOURCES_MAX + 1
    assert told.all[-1][1].event.source == ""
    assert told.all[-1][1].inputs == ("other",)


def test_a_camera_that_is_taken_away_leaves_nothing_on(told: Told) -> None:
    told.hear(event("intrusion", True, 1, "yard"))
    told.hear(event("motion", True, 1, "yard"))
    ended = told.occurrences.forget("gate", 2 * NS_PER_S)
    assert [(one.event.kind, one.event.active) for one in ended] == [("intrusion", False), ("motion", False)]
    assert told.occurrences.forget("gate", 3 * NS_PER_S) == ()
    assert told.occurrences.expire(10**15) == ()


def test_inputs() -> None:
    assert inputs_of("line-crossed", "fence") == ["line-crossed", "line-crossed/fence"]
    assert inputs_of("motion", "") == ["motion"]


words = st.lists(
    st.tuples(
        st.floats(0, 90),
        st.sampled_from([True, True, False, None]),
        st.sampled_from(["motion", "intrusion", "line-crossed"]),
        st.sampled_from(["a", "b"]),
    ),
    max_size=60,
)


@given(words)
def test_whatever_is_said(said: Sequence[tuple[float, bool | None, CameraEventKind, str]]) -> None:
    told = Told(Occurrences(), [])
    heard: list[tuple[float, CameraEventKind, str]] = []
    now_s = 0.0
    for pause_s, active, kind, source in said:
        now_s += pause_s
        told.hear(event(kind, active, now_s, source))
        if active is not False:
            heard.append((now_s, kind, source))
    told.until(now_s + 2000)
    spans: dict[tuple[str, str], list[list[float]]] = defaultdict(list)
    for at_s, one in told.all:
        of = spans[one.event.kind, one.event.source]
        if one.event.active:
            assert not of or len(of[-1]) == 2  # no second begin before the end
            of.append([at_s])
        else:
            assert len(of[-1]) == 1  # at most one end
            of[-1].append(at_s)
    for of in spans.values():
        assert all(len(span) == 2 for span in of)  # an end always comes
        begins = [span[0] for span in of]
        for first, last in zip(begins, begins[BURST:], strict=False):
            assert last - first >= EVERY_S - 0.01  # the limit: what came BURST begins later is a minute later
        for (_, end_s), (begin_s, _) in pairwise(of):
            assert begin_s >= end_s
    for at_s, kind, source in heard:  # no begin is lost: it lies within one that was told
        assert any(begin_s <= at_s + 1e-6 and at_s <= end_s for begin_s, end_s in spans[kind, source])


@given(words)
def test_inputs_are_on_exactly_while_something_is(
    said: Sequence[tuple[float, bool | None, CameraEventKind, str]],
) -> None:
    told = Told(Occurrences(), [])
    now_s = 0.0
    for pause_s, active, kind, source in said:
        now_s += pause_s
        told.hear(event(kind, active, now_s, source))
    told.until(now_s + 2000)
    inputs: dict[str, bool] = {}
    on: set[tuple[str, str]] = set()
    for _, one in told.all:
        key = (one.event.kind, one.event.source)
        (on.add if one.event.active else on.discard)(key)
        inputs |= dict.fromkeys(one.inputs, bool(one.event.active))
        for of, by in on:
            assert inputs[of]
            assert inputs[f"{of}/{by}"]
    assert not any(inputs.values())
