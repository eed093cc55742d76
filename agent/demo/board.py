"""The demo's table of the whole school, by place: what a person would see at each thing, and what the district knows of
it. Only reads."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from rich.table import Table
from rich.text import Text as Styled

from agent.demo import devices
from agent.demo.devices import Where
from agent.demo.eyes import COVERED, EYES, KITCHEN, YARD, Eye
from agent.demo.lamp import LampSeen, LampWatch
from agent.demo.school import Place, School
from agent.demo.trail import STEPS
from agent.texts import Language, say

COLORS: Final[dict[LampSeen, str]] = {
    "off": "bright_black",
    "steady": "bold red",
    "slow": "bold yellow",
    "fast": "bold magenta",
    "turning": "bold",
}
GOOD: Final = "green"
BAD: Final = "bold red"
QUIET: Final = "bright_black"
HEALTH_COLORS: Final = {"ok": GOOD, "unknown": QUIET, "fault": "yellow", "offline": BAD, "failing": BAD}
STATE_COLORS: Final = {
    "idle": GOOD,
    "active": "reverse bold red",
    "acknowledged": "bold red",
    "fault": "yellow",
    "disarmed": QUIET,
}
URGENCY: Final = ("active", "acknowledged", "fault", "disarmed", "idle")
"""What is shown of several points: the first of these."""
HASH_SHOWN: Final = 12
"""Enough to compare by eye."""
LIT, DARK = "●", "○"
BARS: Final = "▁▂▃▄▅▆▇█"
CURVE_SHOWN: Final = 12
CURVE_TOP: Final = 25.0
"""%LEL of a full bar: what the detector alarms at."""
PLACE_CELLS: Final = 10
THING_CELLS: Final = 20
SHOWN_CELLS: Final = 27
KNOWN_CELLS: Final = 36
VALUE_CELLS: Final = 11
STEP_CELLS: Final = 7
SCHOOL_NAME: Final = re.compile(r"^[\[【].*?[\]】] ?")
"""What a short message begins with."""
KEYLESS: Final = " " * 4

Row = tuple[Styled, Styled, Styled]
"""A thing with its key, what it shows, what is known of it."""


class Board:
    """Draws the table of one school in one language."""

    def __init__(self, school: School, language: Language) -> None:
        self._school = school
        self._language = language

    def table(self) -> Table:
        """All places as they are now."""
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold", show_edge=False)
        table.add_column("", no_wrap=True, width=PLACE_CELLS)
        table.add_column(self._say("col-thing"), no_wrap=True, width=THING_CELLS)
        table.add_column(self._say("col-shows"), no_wrap=True, width=SHOWN_CELLS)
        steps = Styled(no_wrap=True)
        for step in STEPS:
            steps.append_text(_right(Styled(self._say(f"step-{step}"))))
        table.add_column(steps, no_wrap=True, width=KNOWN_CELLS)
        for place, rows in self._places():
            for number, row in enumerate(rows):
                table.add_row(Styled(self._say(f"place-{place}") if number == 0 else "", style="bold cyan"), *row)
        return table

    def _places(self) -> Iterator[tuple[str, Iterable[Row]]]:
        places = self._school.places
        yield "gate", (self._button(places["1"]), self._camera(EYES[0]))
        yield "office", (self._button(places["2"]), self._button(places["3"]), self._camera(EYES[2]))
        yield "canteen", (self._gas(), self._fan(), self._outputs(), self._camera(KITCHEN, "c"))
        yield "store", (self._store_door(), self._smoke())
        yield "dormitory", (self._dormitory(),)
        yield "perimeter", (self._partition(), self._fence(), self._camera(YARD, "x", devices.CROSSING))
        yield "outside", (self._centre(), self._phone())

    def _say(self, key: str, **args: object) -> str:
        return say(f"demoview.{key}", **args).render(self._language)

    def _thing(self, name: str, *keys: str, pressed: bool = False) -> Styled:
        found = Styled() if keys else Styled(KEYLESS)
        for key in keys:
            found.append(f" {key} ", style="reverse" if pressed else "bold on blue").append(" ")
        return found.append(self._say(f"thing-{name}"))

    def _state(self, *points: Where) -> Styled:
        """What the district knows of points: the worst of it."""
        states = self._school.district.states
        known = {states.get(point, "idle") for point in points}
        worst = next(state for state in URGENCY if state in known)
        return Styled(self._say(f"state-{worst}"), style=STATE_COLORS[worst])

    def _either(self, on: bool, key: str, *, bad: bool) -> Styled:
        word = self._say(f"{key}-{'on' if on else 'off'}")
        return Styled(word, style="bold yellow" if on is bad else "")

    # buttons and cameras

    def _button(self, place: Place) -> Row:
        thing = self._thing(place.button.device, place.button.key, pressed=place.pressed)
        steps = Styled(no_wrap=True)
        for step in STEPS:
            ms = place.trail.ms(step) if place.trail else None
            steps.append_text(_right(Styled("·", style="dim") if ms is None else Styled(f"{ms:.0f}", style=GOOD)))
        return thing, self._lamp(place), steps

    def _lamp(self, place: Place) -> Styled:
        if not place.plugged:
            return Styled(say("demo.unplugged").render(self._language), style=BAD)
        if place.lamp is None:
            return Styled(say("demo.lamp-none").render(self._language), style="dim")
        mode = place.lamp.mode(self._school.clock.boottime_ns())
        shown = self._lit(place.lamp, COLORS[mode], say(f"demo.lamp-{mode}").render(self._language))
        if place.siren and place.siren.lit:
            shown.append("  ").append(f" {self._say('siren')} ", style="reverse bold red")
        return shown

    def _lit(self, watch: LampWatch, color: str, word: str) -> Styled:
        return Styled.assemble((f"{LIT if watch.lit else DARK} ", color if watch.lit else QUIET), (word, color))

    def _camera(self, eye: Eye, key: str = "", point: Where | None = None) -> Row:
        one = next((camera for camera in self._school.cameras if camera["id"] == eye.id), {})
        state = str(one.get("state", "unknown"))
        faults = [say(f"kinds.{fault}").render(self._language) for fault in one.get("faults", [])]
        words = ", ".join(faults) or say(f"democam.state-{state}").render(self._language)
        shown = Styled.assemble((f"{LIT} ", HEALTH_COLORS.get(state, BAD)), words)
        if self._school.covered and eye is COVERED:
            shown.append(f" ({say('democam.covered').render(self._language)})", style="yellow")
        known = self._state(point).append("  ") if point else Styled()
        if last := self._school.evidence.get(eye.id):
            kind = say(f"democam.kind-{last['kind']}")
            text = say("democam.evidence", kind=kind, sha256=str(last["sha256"])[:HASH_SHOWN])
            known.append(text.render(self._language), style="dim")
        return self._thing("camera-" + eye.id, *([key] if key else [])), shown, known

    # what is measured

    def _value(self, where: Where, form: str) -> Styled:
        if (found := self._school.measures.get(where)) is None:
            return Styled("-", style="dim")
        value = Styled(f"{found[0]:{form}} {found[1]}")
        value.pad_right(max(0, VALUE_CELLS - value.cell_len))
        return value

    def _gas(self) -> Row:
        curve = list(self._school.district.curves.get(devices.GAS, ()))[-CURVE_SHOWN:]
        shown = self._value(devices.GAS, "5.1f")
        value = self._school.measures.get(devices.GAS, (0.0, ""))[0]
        if value > devices.GAS_LIMIT:
            shown.stylize("bold red")
        shown.append("".join(_bar(one) for one in curve), style="cyan")
        return self._thing("gas", "g"), shown, self._state(devices.GAS, devices.GAS_RULE)

    def _fan(self) -> Row:
        fan = self._either(self._school.equipment.canteen.fan_runs, "fan", bad=False)
        shown = self._value(devices.FAN, "5.1f").append_text(fan)
        return self._thing("fan", "v"), shown, self._state(devices.FAN)

    def _outputs(self) -> Row:
        canteen = self._school.equipment.canteen
        shown = self._lit(canteen.siren, "bold red" if canteen.siren.lit else "", self._say("siren")).append("  ")
        valve = self._either(canteen.valve.lit, "valve", bad=True)
        return self._thing("outputs"), shown.append_text(valve), Styled()

    def _smoke(self) -> Row:
        smoke = self._either(self._school.equipment.store.smoke, "smoke", bad=True)
        shown = self._value(devices.HEAT, "5.1f").append_text(smoke)
        return self._thing("smoke", "s"), shown, self._state(devices.SMOKE, devices.HEAT)

    # doors, the fence, and what is outside

    def _store_door(self) -> Row:
        shown = self._either(self._school.equipment.store.door_open, "door", bad=True)
        return self._thing("store", "k", "d"), shown, self._state(devices.STORE_RULE, devices.FORCED)

    def _dormitory(self) -> Row:
        dormitory = self._school.equipment.dormitory
        shown = self._either(dormitory.door_open, "door", bad=True)
        if dormitory.answered_ms is not None:
            shown.append("  ").append(self._say("answered", ms=dormitory.answered_ms), style="dim")
        return self._thing("dormitory", "o"), shown, self._state(devices.DORMITORY)

    def _partition(self) -> Row:
        armed = self._school.armed
        shown = Styled.assemble((f"{LIT if armed else DARK} ", GOOD if armed else QUIET))
        return self._thing("partition", "m"), shown.append(self._say(f"armed-{'on' if armed else 'off'}")), Styled()

    def _fence(self) -> Row:
        cut = self._either(self._school.equipment.fence.cut, "fence", bad=True)
        shown = self._value(devices.VOLTAGE, "5.1f").append_text(cut)
        return self._thing("fence", "f"), shown, self._state(devices.FENCE, devices.VOLTAGE)

    def _path(self, id_: str, count: str) -> Styled:
        state = self._school.paths.get(id_, "unknown")
        shown = Styled.assemble((f"{LIT} ", HEALTH_COLORS.get(state, BAD)), self._say(f"path-{state}"))
        return shown.append("  ").append(count, style="dim")

    def _centre(self) -> Row:
        reported = self._school.equipment.reported
        shown = self._path(devices.CENTRE, self._say("reported", count=len(reported)))
        return self._thing("centre"), shown, Styled(reported[-1] if reported else "", style="yellow")

    def _phone(self) -> Row:
        texts = self._school.equipment.texts
        shown = self._path(devices.DUTY, self._say("texted", count=len(texts)))
        last = SCHOOL_NAME.sub("", texts[-1]) if texts else ""
        return self._thing("phone"), shown, Styled(last, style="yellow", no_wrap=True, overflow="ellipsis")


def _right(text: Styled) -> Styled:
    text.pad_left(max(0, STEP_CELLS - text.cell_len))
    return text


def _bar(value: float) -> str:
    share = min(max(value / CURVE_TOP, 0.0), 1.0)
    return BARS[round(share * (len(BARS) - 1))]
