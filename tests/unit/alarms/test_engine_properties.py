"""What holds whatever happens: presses, commands, commits that wait, restarts at any point."""

from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from agent.alarms.engine import Refusal
from tests.unit.alarms.scenario import Site, device

POINTS: list[dict[str, Any]] = [
    {"id": "panic", "kind": "panic", "input": 0, "lamp": 0, "siren": 3},
    {"id": "duress", "kind": "duress", "input": 1, "lamp": 1, "siren": 4},
    {"id": "leak", "kind": "water-leak", "input": 2, "lamp": 2, "siren": 3},
    {"id": "box", "kind": "tamper", "input": 3, "lamp": 5},
    {"id": "gate", "kind": "door", "input": 4},
]
INPUTS = st.integers(0, len(POINTS) - 1)
NAMES = st.sampled_from([point["id"] for point in POINTS])
LATCHED = ("panic", "duress")


class School(RuleBasedStateMachine):
    """A device that reports edges, its engine and its journal; the model is what a guard would have noted down."""

    def __init__(self) -> None:
        super().__init__()
        self.site = Site(device(POINTS))
        self.inputs = [False] * len(POINTS)
        self.first_looks()

    def first_looks(self) -> None:
        for number, value in enumerate(self.inputs):
            self.site.look(number, value)

    @rule(number=INPUTS)
    def turn(self, number: int) -> None:
        self.inputs[number] = not self.inputs[number]
        self.site.look(number, self.inputs[number])

    @rule(seconds=st.sampled_from([0.1, 1.0, 7.0, 20.0, 400.0]))
    def wait(self, seconds: float) -> None:
        self.site.go(seconds)

    @rule(point=NAMES)
    def ack(self, point: str) -> None:
        before = self.site.state(point)
        try:
            outcome = self.site.ack(device="hall", point=point)
        except Refusal:
            assert before not in {"active", "acknowledged"} or point == "gate"
        else:
            assert (len(outcome.events) == 0) == (before == "acknowledged") == outcome.result["already"]

    @rule(point=NAMES)
    def reset(self, point: str) -> None:
        number = next(i for i, entry in enumerate(POINTS) if entry["id"] == point)
        try:
            self.site.reset(device="hall", point=point)
        except Refusal:
            assert self.inputs[number] or self.site.state(point) in {"idle", "fault"}
        else:
            assert not self.inputs[number], "reset without release"
            assert self.site.state(point) == "idle"

    @rule()
    def hold(self) -> None:
        self.site.hold = True

    @precondition(lambda self: self.site.hold)
    @rule()
    def commit(self) -> None:
        self.site.release()

    @rule(boot=st.sampled_from([None, "boot-2", "boot-3"]), down_s=st.sampled_from([0.0, 3.0, 60.0]))
    def restart(self, boot: str | None, down_s: float) -> None:
        self.site.hold = False
        self.site.restart(down_s=down_s, boot=boot)
        self.first_looks()

    @rule(fares=st.sampled_from(["due", "stuck", "delivered"]))
    def deliver(self, fares: Any) -> None:
        self.site.fares = fares

    @invariant()
    def duress_and_faults_light_nothing(self) -> None:
        plan = self.site.engine.outputs(self.site.clock.boottime_ns(), lambda _seq: "stuck")
        assert {output for _, output in plan.values} == {0, 2, 3}

    @invariant()
    def a_held_panic_input_is_an_alarm(self) -> None:
        for number, point in enumerate(LATCHED):
            if self.inputs[number]:
                assert self.site.state(point) in {"active", "acknowledged"}

    @invariant()
    def the_lamp_shows_what_is_committed(self) -> None:
        for output, point in ((0, "panic"), (2, "leak")):
            told = [t.split()[0].removeprefix("alarm.") for t in self.site.told() if t.endswith(f" {point}")]
            ends = ("reset",) if point in LATCHED else ("reset", "restored")
            since = max((place for place, what in enumerate(told) if what in ends), default=-1)
            current = told[since + 1 :]
            expected = "off"
            if "raised" in current:
                expected = "4Hz" if self.site.fares == "stuck" else "1Hz"
            if "acknowledged" in current:
                expected = "on"
            assert self.site.lamp(output) == expected

    @invariant()
    def the_journal_tells_a_sensible_story(self) -> None:
        for point in (*LATCHED, "leak"):
            active = escalated = acked = False
            for entry in self.site.events:
                if entry.point != point or not entry.type.startswith("campus.alarm."):
                    continue
                what = entry.type.removeprefix("campus.alarm.")
                assert active == (what != "raised"), f"{what} {point}"
                if what == "raised":
                    active, escalated, acked = True, False, False
                elif what == "escalated":
                    assert not escalated
                    assert not acked
                    escalated = True
                elif what == "acknowledged":
                    assert not acked
                    acked = True
                elif what == "reset" or (what == "restored" and point == "leak"):
                    active = False

    @invariant()
    def a_time_that_has_come_is_served(self) -> None:
        due_ns = self.site.engine.next_due_ns()
        if due_ns is not None and due_ns <= self.site.clock.boottime_ns():
            self.site.go(0.0)
            due_ns = self.site.engine.next_due_ns()
        assert due_ns is None or due_ns > self.site.clock.boottime_ns()


TestSchool = School.TestCase
TestSchool.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("turn"), INPUTS),
        st.tuples(st.just("wait"), st.sampled_from([0.1, 1.0, 7.0, 20.0, 400.0])),
        st.tuples(st.just("ack"), NAMES),
        st.tuples(st.just("reset"), NAMES),
        st.tuples(st.just("status"), st.sampled_from(["ok", "open", "tamper"])),
    ),
    max_size=25,
)


@given(STEPS, st.sets(st.integers(0, 25)))
@settings(deadline=None)
def test_a_run_with_restarts_tells_the_same_as_one_without(steps: list[tuple[str, Any]], restarts: set[int]) -> None:
    def play(restart_at: set[int]) -> tuple[list[str], list[Any], list[str]]:
        site = Site(device(POINTS))
        values, status = [False] * len(POINTS), "ok"

        def first_looks() -> None:
            for number, value in enumerate(values):
                site.look(number, value, status=status if number == 0 else "ok")

        first_looks()
        for place, (what, which) in enumerate(steps):
            if place in restart_at:
                site.restart(down_s=0.0)
                first_looks()
            if what == "turn":
                values[which] = not values[which]
                site.look(which, values[which], status=status if which == 0 else "ok")
            elif what == "wait":
                site.go(which)
            elif what == "status":
                status = which
                site.look(0, values[0], status=status)
            else:
                with suppress(Refusal):
                    getattr(site, what)(device="hall", point=which)
        # An input that never changed has been so since the start, which is another one.
        views = [view if view.seq else replace(view, since="") for view in site.engine.views()]
        return site.told(), views, [site.lamp(output) for output in (0, 2, 3)]

    assert play(restarts) == play(set())
