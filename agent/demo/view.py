"""The live view of the demo: what a terminal shows of the running school. Only reads it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Styled

from agent.demo.eyes import COVERED, EYES
from agent.demo.lamp import LampSeen
from agent.demo.school import Place, School
from agent.demo.trail import STEPS
from agent.texts import Language, Text, room_texts, say

EVENTS_SHOWN: Final = 8
WIDTH: Final = 100
"""Columns of the whole view, also on wider terminals: steps stay together."""
COLORS: Final[dict[LampSeen, str]] = {
    "off": "bright_black",
    "steady": "bold red",
    "slow": "bold yellow",
    "fast": "bold magenta",
    "turning": "bold",
}
LANE_COLORS: Final = {"alarm": "bold red", "fault": "yellow", "event": "cyan"}
GOOD: Final = "green"
BAD: Final = "bold red"
HEALTH_COLORS: Final = {"ok": GOOD, "unknown": "bright_black", "fault": "yellow", "offline": BAD}
HASH_SHOWN: Final = 16
"""Enough to compare by eye."""
LIT, DARK = "●", "○"


class View:
    """Draws one school in one language. `note` is a line for the last thing that a key did."""

    def __init__(self, school: School, language: Language) -> None:
        self.note: Text | None = None
        self._school = school
        self._language = language

    def _say(self, key: str, **args: object) -> str:
        return say(f"demo.{key}", **args).render(self._language)

    def __rich__(self) -> RenderableType:
        self._school.look()
        return Group(
            Panel(self._head(), title=self._say("title"), box=ROUNDED, width=WIDTH, border_style="blue"),
            Panel(self._buttons(), subtitle=self._say("caption"), box=ROUNDED, width=WIDTH, border_style="blue"),
            Panel(
                self._cameras(),
                title=say("democam.title", url=self._school.console_url).render(self._language),
                box=ROUNDED,
                width=WIDTH,
                border_style="blue",
            ),
            Panel(self._events(), title=self._events_title(), box=ROUNDED, width=WIDTH, border_style="blue"),
            Styled(self._say("keys"), style="bold"),
            Styled(self.note.render(self._language) if self.note else "", style="yellow"),
        )

    def _head(self) -> Table:
        school = self._school
        table = Table.grid(padding=(0, 2))
        up = school.broker.running
        broker = Styled.assemble((LIT + " ", GOOD if up else BAD), self._say("running" if up else "stopped"))
        table.add_row(self._say("broker"), broker, school.broker_url)
        linked = school.uplink_connected
        gateway = Styled.assemble(
            (LIT + " ", GOOD if linked else BAD), self._say("connected" if linked else "disconnected")
        )
        lanes = "  ".join(self._say(f"lane-{lane}", count=count) for lane, count in school.due.items())
        table.add_row(self._say("daemon"), gateway, f"{self._say('due')}: {lanes}")
        automatic = school.district.automatic
        district = Styled.assemble(
            (LIT + " ", GOOD if school.district.connected else BAD),
            self._say("connected" if school.district.connected else "disconnected"),
        )
        table.add_row(self._say("district"), district, self._say("auto-on" if automatic else "auto-off"))
        table.add_row(self._say("config"), "", Styled(str(school.config), style="dim"))
        return table

    def _buttons(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        table.add_column(self._say("col-button"), no_wrap=True)
        table.add_column(self._say("col-lamp"), no_wrap=True, min_width=14)
        for step in STEPS:
            table.add_column(self._say(f"col-step-{step}"), justify="right", no_wrap=True, min_width=7)
        for key, place in self._school.places.items():
            name = Styled.assemble((f" {key} ", "reverse" if place.pressed else "bold on blue"), " ")
            name.append(place.button.name.render(self._language))
            table.add_row(name, self._outputs(place), *self._steps(place))
        return table

    def _outputs(self, place: Place) -> Styled:
        if not place.plugged:
            return Styled(self._say("unplugged"), style=BAD)
        if place.lamp is None:
            return Styled(self._say("lamp-none"), style="dim")
        mode = place.lamp.mode(self._school.clock.boottime_ns())
        lit = place.lamp.lit
        shown = Styled.assemble(
            (f"{LIT if lit else DARK} ", COLORS[mode] if lit else COLORS["off"]),
            (self._say(f"lamp-{mode}"), COLORS[mode]),
        )
        if place.siren and place.siren.lit:
            shown.append(f" {self._say('siren')}!", style="reverse bold red")
        return shown

    def _steps(self, place: Place) -> Iterator[Styled]:
        for step in STEPS:
            ms = place.trail.ms(step) if place.trail else None
            yield Styled("·", style="dim") if ms is None else Styled(f"{ms:.0f}", style=GOOD)

    def _cameras(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, min_width=22)
        table.add_column(no_wrap=True, min_width=20)
        table.add_column(no_wrap=True)
        health = {camera["id"]: camera for camera in self._school.cameras}
        for eye in EYES:
            one = health.get(eye.id, {})
            state = str(one.get("state", "unknown"))
            words = say(f"democam.state-{state}").render(self._language)
            faults = [say(f"kinds.{fault}").render(self._language) for fault in one.get("faults", [])]
            shown = Styled.assemble((f"{LIT} ", HEALTH_COLORS.get(state, BAD)), ", ".join(faults) or words)
            name = eye.name.render(self._language)
            if self._school.covered and eye is COVERED:
                name += f" ({say('democam.covered').render(self._language)})"
            table.add_row(name, shown, Styled(self._evidence(eye.id), style="dim"))
        return table

    def _evidence(self, camera: str) -> str:
        last = self._school.evidence.get(camera)
        if last is None:
            return ""
        kind = say(f"democam.kind-{last['kind']}")
        return say("democam.evidence", kind=kind, sha256=str(last["sha256"])[:HASH_SHOWN]).render(self._language)

    def _events_title(self) -> str:
        district = self._school.district
        chain = self._say("chain-ok" if district.chain_problem() is None else "chain-broken")
        return self._say("events", held=district.held, chain=chain)

    def _events(self) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for event, _ in list(self._school.arrived)[-EVENTS_SHOWN:]:
            data = event["data"]
            late = Styled(self._say("late") if event["late"] else "", style="yellow")
            what = Styled(self._type(event["type"]), style=LANE_COLORS[event["lane"]])
            table.add_row(str(event["seq"]), event["time"][11:23], what, who(data), late)
        for _ in range(EVENTS_SHOWN - table.row_count):
            table.add_row("")
        if not self._school.arrived:
            return Styled(self._say("no-events"), style="dim")
        return table

    def _type(self, type_: str) -> str:
        """An event's type in the reader's words."""
        name = f"type-{type_.removeprefix('campus.').replace('.', '-')}"
        return say(f"cli.{name}").render(self._language) if name in room_texts("cli") else type_


def who(data: Mapping[str, Any]) -> str:
    """What an event is about: a point, a device, a command's verb, or the agent itself."""
    return str(data.get("name") or data.get("device") or data.get("verb") or "-")
