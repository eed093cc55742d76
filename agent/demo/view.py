"""The live view of the demo: what a terminal shows of the running school. Only reads it."""

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from rich.box import ROUNDED
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Styled

from agent.demo.board import BAD, GOOD, LIT, Board
from agent.demo.school import School
from agent.texts import Language, Text, room_texts, say

EVENTS_SHOWN: Final = 8
EVENTS_LEAST: Final = 2
BEATS_SHOWN: Final = 3
"""Lines about what a key did, or how a story goes."""
WIDTH: Final = 100
"""Columns of the whole view, also on wider terminals: steps stay together."""
BOARD_LINES, KEYS_LINES, HEAD_LINES, BORDER_LINES = 20, 3, 6, 2
"""A low terminal shows fewer events, then no head, then no events: the school and its keys come first."""
LANE_COLORS: Final = {"alarm": "bold red", "fault": "yellow", "event": "cyan"}


class View:
    """Draws one school in one language. `beats` are lines about what happens, the newest last."""

    def __init__(self, school: School, language: Language) -> None:
        self.beats: deque[Text] = deque(maxlen=BEATS_SHOWN)
        self.story: Text | None = None
        """What plays; keys do nothing then."""
        self._school = school
        self._language = language
        self._board = Board(school, language)

    def _say(self, key: str, **args: object) -> str:
        return say(f"demo.{key}", **args).render(self._language)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self._school.look()
        left = console.height - BOARD_LINES - KEYS_LINES - BEATS_SHOWN
        if with_head := left >= HEAD_LINES + BORDER_LINES + EVENTS_LEAST:
            yield self._panel(self._head(), title=self._title())
        yield self._panel(self._board.table(), title="" if with_head else self._title(), subtitle=self._say("caption"))
        rows = min(EVENTS_SHOWN, left - BORDER_LINES - (HEAD_LINES if with_head else 0))
        if rows >= EVENTS_LEAST:
            yield self._panel(self._events(rows), title=self._events_title())
        yield Styled(self._say("keys-story", story=self.story) if self.story else self._say("keys"), style="bold")
        beats = list(self.beats)[-max(1, min(BEATS_SHOWN, left + BEATS_SHOWN)) :]
        yield Styled("\n".join(beat.render(self._language) for beat in beats), style="yellow")

    def _panel(self, inner: RenderableType, *, title: str | Styled = "", subtitle: str = "") -> Panel:
        return Panel(
            inner, title=title or None, subtitle=subtitle or None, box=ROUNDED, width=WIDTH, border_style="blue"
        )

    def _title(self) -> Styled:
        title = Styled(self._say("title"))
        if self._school.drill:
            title.append("  ").append(f" {say('demoview.drill').render(self._language)} ", style="reverse bold yellow")
        return title

    def _head(self) -> Table:
        school = self._school
        table = Table.grid(padding=(0, 2))
        up = school.broker.running
        broker = Styled.assemble((LIT + " ", GOOD if up else BAD), self._say("running" if up else "stopped"))
        table.add_row(self._say("broker"), broker, school.broker_url)
        lanes = "  ".join(self._say(f"lane-{lane}", count=count) for lane, count in school.due.items())
        web = say("demoview.web", url=school.console_url).render(self._language)
        table.add_row(self._say("daemon"), self._linked(school.uplink_connected), f"{self._say('due')}: {lanes}  {web}")
        automatic = self._say("auto-on" if school.district.automatic else "auto-off")
        table.add_row(self._say("district"), self._linked(school.district.connected), automatic)
        table.add_row(self._say("config"), "", Styled(str(school.config), style="dim"))
        return table

    def _linked(self, up: bool) -> Styled:
        return Styled.assemble((LIT + " ", GOOD if up else BAD), self._say("connected" if up else "disconnected"))

    def _events_title(self) -> str:
        district = self._school.district
        chain = self._say("chain-ok" if district.chain_problem() is None else "chain-broken")
        return self._say("events", held=district.held, chain=chain)

    def _events(self, rows: int) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        for event, _ in list(self._school.arrived)[-rows:]:
            data = event["data"]
            marks = [self._say("late")] if event["late"] else []
            marks += [say("demoview.drill-mark").render(self._language)] if event["drill"] else []
            what = Styled(self._type(event["type"]), style=LANE_COLORS[event["lane"]])
            seq, at = str(event["seq"]), event["time"][11:23]
            table.add_row(seq, at, what, who(data), Styled(" ".join(marks), style="yellow"))
        for _ in range(rows - table.row_count):
            table.add_row("")
        return table

    def _type(self, type_: str) -> str:
        """An event's type in the reader's words."""
        name = f"type-{type_.removeprefix('campus.').replace('.', '-')}"
        return say(f"cli.{name}").render(self._language) if name in room_texts("cli") else type_


def who(data: Mapping[str, Any]) -> str:
    """What an event is about: a point, a device, a command's verb, or the agent itself."""
    return str(data.get("name") or data.get("device") or data.get("verb") or "-")
