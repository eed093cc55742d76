"""Who is inspected when."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.clock import NS_PER_S
from agent.skyeye.inspect.plan import FOLLOW_S, FOLLOWS_MAX, SICK_AFTER, SICK_MOST, Plan


def plan(count: int, *, every_s: float = 300, places: int = 8, kbps: float = 60_000) -> Plan:
    made = Plan(every_s, places, kbps, random.Random(1))
    made.know([f"c{number}" for number in range(count)], 0)
    return made


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def test_cameras_are_spread_over_the_round() -> None:
    due = sorted(turn.due_ns / NS_PER_S for turn in plan(100).turns.values())
    assert all(3 * number <= at <= 3 * (number + 1) for number, at in enumerate(due))


def test_one_that_is_asked_for_goes_first() -> None:
    one = plan(100, places=1)
    one.ask("c99")
    one.ask("c98")
    assert one.begin(ns(300)) == ["c99"]
    one.done("c99", ns(301), sick=False, unsettled=False)
    assert one.begin(ns(301)) == ["c98"]


def test_there_are_never_more_than_the_places() -> None:
    one = plan(100, places=3)
    assert len(one.begin(ns(300))) == 3
    assert one.begin(ns(300)) == []


def test_the_bandwidth_holds_them_back_but_one_always_goes() -> None:
    one = plan(10, kbps=10_000)
    assert len(one.begin(ns(300))) == 2  # of 4 Mbit/s each, as long as nothing is known
    tight = plan(10, kbps=1000)
    assert len(tight.begin(ns(300))) == 1


def test_what_a_camera_needs_is_remembered() -> None:
    one = plan(10, kbps=10_000)
    for camera in [*one.turns]:
        one.turns[camera].kbps = 500
    assert len(one.begin(ns(300))) == 8


def test_a_suspicion_is_looked_at_soon_but_not_for_ever() -> None:
    one, now = plan(1), 300.0
    for number in range(FOLLOWS_MAX + 1):
        assert one.begin(ns(now)) == ["c0"]
        one.done("c0", ns(now), sick=False, unsettled=True)
        wait_s = one.turns["c0"].due_ns / NS_PER_S - now
        assert (wait_s == FOLLOW_S) == (number < FOLLOWS_MAX)
        now += wait_s


def test_a_hint_while_it_is_inspected_brings_it_back_soon() -> None:
    one = plan(1)
    one.begin(ns(300))
    one.soon("c0", ns(302))
    one.done("c0", ns(305), sick=False, unsettled=False)
    assert one.turns["c0"].due_ns == ns(305 + FOLLOW_S)


def test_sick_ones_come_less_often_and_hold_half_the_places() -> None:
    one = plan(10, places=4, kbps=1e9)
    for turn in one.turns.values():
        turn.sick = SICK_AFTER
    one.know([*one.turns, "well"], 0)
    one.turns["well"].due_ns = ns(299)
    assert "well" in one.begin(ns(300))
    assert len(one.running) == 3
    one.done("c0", ns(300), sick=True, unsettled=False)
    assert one.turns["c0"].due_ns <= ns(300 + 300 * SICK_MOST * 1.05)


def test_a_camera_that_goes_leaves_no_turn() -> None:
    one = plan(2)
    one.begin(ns(300))
    one.know(["c1"], ns(300))
    one.done("c0", ns(301), sick=False, unsettled=False)
    assert set(one.turns) == {"c1"}
    assert one.ask("c0") is False


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 40),
    places=st.integers(1, 8),
    sick=st.sets(st.integers(0, 39)),
    fickle=st.sets(st.integers(0, 39)),
    seed=st.integers(0, 1000),
)
def test_no_camera_starves(count: int, places: int, sick: set[int], fickle: set[int], seed: int) -> None:
    """Inspections of 5 s (sick: 45 s), more than there is time for: each still comes, and none twice as often."""
    every_s = 60.0
    one = Plan(every_s, places, 60_000, random.Random(seed))
    names = [f"c{number}" for number in range(count)]
    one.know(names, 0)
    ends: dict[str, float] = {}
    began: dict[str, list[float]] = {name: [] for name in names}
    cost = {name: 45.0 if int(name[1:]) in sick else 5.0 for name in names}
    now = 0.0
    horizon = 6 * max(every_s * (SICK_MOST + 1), sum(cost.values()) / max(1, places // 2) * (FOLLOWS_MAX + 2))
    while now < horizon:
        for name in [name for name, end in ends.items() if end <= now]:
            del ends[name]
            one.done(name, ns(now), sick=int(name[1:]) in sick, unsettled=int(name[1:]) in fickle)
        for name in one.begin(ns(now)):
            assert name not in ends
            ends[name] = now + cost[name]
            began[name].append(now)
        assert len(ends) <= places
        now += 2.5
    assert all(len(times) >= 3 for times in began.values())
