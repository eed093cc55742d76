"""What holds of partitions and drills whatever happens: people, keys, schedules, restarts, clocks that are off."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from agent.alarms.engine import Refusal, Regime
from agent.config.arming import PartitionSettings
from agent.config.calendar import WindowSettings
from tests.unit.alarms.scenario import START, Site, device

POINTS: list[dict[str, Any]] = [
    {"id": "panic", "kind": "panic", "input": 0},
    {"id": "door", "kind": "intrusion", "input": 1},
    {"id": "window", "kind": "intrusion", "input": 2},
    {"id": "key", "kind": "arm-key", "input": 3},
    {"id": "drill-key", "kind": "drill-key", "input": 4},
]
OFFICE = PartitionSettings(
    id="office",
    name="办公楼",
    points=("hall/door", "hall/window"),
    entry=("hall/door",),
    armed=WindowSettings(times=("18:00-06:00",)),
    key="hall/key",
)
REGIME = Regime((OFFICE,))


class School(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.site = Site(device(POINTS), regime=REGIME, start=START)
        self.inputs = [False] * len(POINTS)
        self.checked = 0
        for number in range(len(POINTS)):
            self.site.look(number, False)

    @rule(number=st.integers(0, len(POINTS) - 1))
    def turn(self, number: int) -> None:
        self.inputs[number] = not self.inputs[number]
        self.site.look(number, self.inputs[number])

    @rule(seconds=st.sampled_from([1.0, 20.0, 40.0, 3600.0, 30_000.0]))
    def wait(self, seconds: float) -> None:
        self.site.go(seconds)

    @rule(force=st.booleans())
    def arm(self, force: bool) -> None:
        with suppress(Refusal):
            self.site.arm("office", force=force)

    @rule()
    def disarm(self) -> None:
        self.site.disarm("office")

    @rule(minutes=st.sampled_from([1, 30, 240]))
    def drill(self, minutes: int) -> None:
        with suppress(Refusal):
            self.site.drill_start(minutes=minutes)

    @rule(real=st.booleans())
    def drill_over(self, real: bool) -> None:
        with suppress(Refusal):
            self.site.drill_stop(real=real)

    @rule(point=st.sampled_from(["panic", "door", "window"]))
    def reset(self, point: str) -> None:
        with suppress(Refusal):
            self.site.reset(device="hall", point=point)

    @rule(boot=st.sampled_from([None, "boot-2", "boot-3"]), down_s=st.sampled_from([0.0, 60.0, 50_000.0]))
    def restart(self, boot: str | None, down_s: float) -> None:
        self.site.restart(down_s=down_s, boot=boot)
        for number, value in enumerate(self.inputs):
            self.site.look(number, value)

    @rule(hours=st.integers(-30, 30))
    def clock_is_off(self, hours: int) -> None:
        self.site.clock.set_wall(self.site.clock.wall() + timedelta(hours=hours), "unsynced")

    @rule()
    def clock_is_set(self) -> None:
        self.site.clock.set_wall(self.site.clock.wall(), "synced")

    @invariant()
    def a_panic_button_always_alarms(self) -> None:
        if self.inputs[0]:
            assert self.site.state("panic") in {"active", "acknowledged"}

    @invariant()
    def only_a_clock_that_is_set_disarms_by_schedule(self) -> None:
        for event in self.site.events[self.checked :]:
            if event.type == "campus.access.disarmed" and event.data["how"] == "schedule":
                assert event.moment.clock == "synced"
        self.checked = len(self.site.events)

    @invariant()
    def an_alarm_is_all_drill_or_all_real(self) -> None:
        drill = {event.id: event.drill for event in self.site.events if event.type == "campus.alarm.raised"}
        for event in self.site.events:
            if event.type.startswith("campus.alarm.") and "event" in event.data:
                assert event.drill == drill[str(event.data["event"])], event

    @invariant()
    def what_is_active_and_armed_has_alarmed_or_was_left_out(self) -> None:
        partition = self.site.partition("office")
        if partition["state"] == "armed" and self.inputs[2]:
            left_out = "hall/window" in partition["bypassed"]
            assert left_out or self.site.state("window") in {"active", "acknowledged"}

    @invariant()
    def a_disarmed_point_raises_nothing(self) -> None:
        armed = True
        for event in self.site.events:
            if event.type in {"campus.access.armed", "campus.access.disarmed"}:
                armed = event.type == "campus.access.armed"
            assert armed or event.type != "campus.alarm.raised" or event.point == "panic" or not real_raise(event)


def real_raise(event: Any) -> bool:
    """Not one that only turns a drill's alarm into a real one."""
    return "不是演练" not in event.data["text"]


TestPartitions = School.TestCase
TestPartitions.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
