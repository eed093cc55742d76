"""一机一档: the inventory as a table, one camera a line, as CSV or as a workbook.

What a camera says of itself goes into cells that somebody opens in Excel: text that would be a formula there gets an
apostrophe before it (OWASP, CSV Injection).
"""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Literal

import xlsxwriter  # type: ignore[import-untyped]

from agent.config.models import CameraSettings
from agent.kinds import FAULTS
from agent.skyeye.inventory.facts import Facts
from agent.texts import Language, say

DAY_S: Final = 86_400
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a cell of a formula begins with; the full-width signs too, which Excel of some languages takes for the same."""
CELL_LIMIT: Final = 1000
DIGITS_LIMIT: Final = 15
Cell = str | int | float | datetime | None
Sort = Literal["text", "number", "time"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One camera: how it is configured, what it is, how it does."""

    id: str
    name: str
    address: str
    driver: str
    gb_id: str | None = None
    place: str | None = None
    facts: Facts | None = None
    state: str | None = None
    """ok, fault, offline, unknown; None where nobody knows."""
    faults: tuple[str, ...] = ()
    inspected: str | None = None

    @classmethod
    def of(
        cls, camera: CameraSettings, facts: Facts | None, health: Mapping[str, object] | None = None, place: str = ""
    ) -> "Entry":
        """Put together what is configured, known and seen."""
        health = health or {}
        faults = health.get("faults")
        return cls(
            id=camera.id,
            name=camera.name,
            address=camera.address,
            driver=camera.driver,
            gb_id=camera.gb_id,
            place=place or None,
            facts=facts,
            state=str(health["state"]) if health.get("state") else None,
            faults=tuple(map(str, faults)) if isinstance(faults, list | tuple) else (),
            inspected=str(health["inspected"]) if health.get("inspected") else None,
        )


@dataclass(frozen=True, slots=True)
class Column:
    """One column. Its heading is the text `inventory.col-<name>`."""

    name: str
    width: int
    cell: Callable[[Entry, Language], Cell]
    sort: Sort = "text"


def _fact(name: str) -> Callable[[Entry, Language], Cell]:
    return lambda entry, _language: getattr(entry.facts, name) if entry.facts else None


def _when(text: str | None) -> datetime | None:
    """A time as Excel has it: local, without zone."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None)
    except ValueError:
        return None


def _recorded_from(entry: Entry, _language: Language) -> Cell:
    """In the school's own time like the table's other times: cameras tell UTC (ONVIF Recording Search 5.5)."""
    facts = entry.facts
    if facts is None or not facts.recorded_from:
        return None
    try:
        start, zone = datetime.fromisoformat(facts.recorded_from), datetime.fromisoformat(facts.at).tzinfo
    except ValueError:
        return None
    return (start.astimezone(zone) if start.tzinfo and zone else start).replace(tzinfo=None)


def _stream(entry: Entry, position: int) -> str | None:
    streams = (entry.facts.streams or ()) if entry.facts else ()
    best = sorted(streams, key=lambda one: -one.width * one.height)
    return None if len(best) <= position else str(best[position]).replace("x", "×")


def _codecs(entry: Entry, _language: Language) -> Cell:
    streams = (entry.facts.streams or ()) if entry.facts else ()
    return ", ".join(sorted({one.codec.upper().replace("H26", "H.26") for one in streams})) or None


def _days(entry: Entry, _language: Language) -> Cell:
    facts = entry.facts
    start, end = (_when(facts.recorded_from), _when(facts.recorded_to or facts.at)) if facts else (None, None)
    return round((end - start).total_seconds() / DAY_S, 1) if start and end and end >= start else None


def _offset(entry: Entry, _language: Language) -> Cell:
    offset_ms = entry.facts.clock_offset_ms if entry.facts else None
    return None if offset_ms is None else round(offset_ms / 1000, 1)


def _yes(name: str) -> Callable[[Entry, Language], Cell]:
    def cell(entry: Entry, language: Language) -> Cell:
        value = getattr(entry.facts, name) if entry.facts else None
        return None if value is None else say("inventory.yes" if value else "inventory.no").render(language)

    return cell


def _faults(entry: Entry, language: Language) -> Cell:
    if entry.state is None:
        return None
    names = [say(f"kinds.{name}").render(language) if name in FAULTS else name for name in entry.faults]
    return ("、" if language == "zh-CN" else ", ").join(names) or say("inventory.none").render(language)


def _state(entry: Entry, language: Language) -> Cell:
    known = {"ok", "fault", "offline", "unknown"}
    return say(f"inventory.state-{entry.state}").render(language) if entry.state in known else entry.state


COLUMNS: Final[tuple[Column, ...]] = (
    Column("gb-id", 22, lambda entry, _: entry.gb_id),
    Column("id", 18, lambda entry, _: entry.id),
    Column("name", 22, lambda entry, _: entry.name),
    Column("place", 22, lambda entry, _: entry.place),
    Column("maker", 14, _fact("maker")),
    Column("model", 22, _fact("model")),
    Column("serial", 30, _fact("serial")),
    Column("mac", 18, _fact("mac")),
    Column("address", 18, lambda entry, _: entry.address),
    Column("driver", 8, lambda entry, _: entry.driver),
    Column("firmware", 20, _fact("firmware")),
    Column("codecs", 14, _codecs),
    Column("main", 20, lambda entry, _: _stream(entry, 0)),
    Column("sub", 20, lambda entry, _: _stream(entry, 1)),
    Column("ptz", 8, _yes("ptz")),
    Column("events", 8, _yes("events")),
    Column("recorded-from", 18, _recorded_from, "time"),
    Column("recorded-days", 12, _days, "number"),
    Column("clock-offset", 14, _offset, "number"),
    Column("state", 10, _state),
    Column("faults", 30, _faults),
    Column("inspected", 18, lambda entry, _: _when(entry.inspected), "time"),
    Column("asked", 18, lambda entry, _: _when(entry.facts.at) if entry.facts else None, "time"),
)


def headings(language: Language) -> list[str]:
    """The heading of every column."""
    return [say(f"inventory.col-{column.name}").render(language) for column in COLUMNS]


def cells(entry: Entry, language: Language) -> list[Cell]:
    """One line."""
    return [column.cell(entry, language) for column in COLUMNS]


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    kept = "".join(c for c in text if c.isprintable() or c in "\t\r\n")[:CELL_LIMIT]
    return f"'{kept}" if kept.lstrip(" ").startswith(FORMULA) else kept


def _whole(text: str) -> str:
    return f"'{text}" if text.isdigit() and len(text) > DIGITS_LIMIT else harmless(text)


def export_csv(entries: Iterable[Entry], language: Language) -> bytes:
    """CSV (RFC 4180) in UTF-8 with a byte order mark, without which Excel in China reads GBK. Its numbers
    have 15 digits, so that it would round GB ids of 20: these begin with an apostrophe too."""
    target = io.StringIO()
    writer = csv.writer(target, quoting=csv.QUOTE_ALL)
    writer.writerow(headings(language))
    for entry in entries:
        writer.writerow([_csv_cell(cell) for cell in cells(entry, language)])
    return b"\xef\xbb\xbf" + target.getvalue().encode()


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.strftime("%Y-%m-%d %H:%M:%S")
    return _whole(cell) if isinstance(cell, str) else str(cell)


def export_xlsx(path: Path, entries: Sequence[Entry], language: Language) -> None:
    """A workbook with one sheet: a heading that stays, a filter, real times and numbers. Raises OSError."""
    options = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False, "in_memory": True}
    try:
        with xlsxwriter.Workbook(str(path), options) as book:
            sheet = book.add_worksheet(say("inventory.sheet").render(language))
            head = book.add_format({"bold": True, "bg_color": "#D9E2F3", "border": 1, "text_wrap": True})
            time = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
            number = book.add_format({"num_format": "0.0"})
            for at, (column, title) in enumerate(zip(COLUMNS, headings(language), strict=True)):
                sheet.set_column(at, at, column.width)
                sheet.write_string(0, at, title, head)
            for row, entry in enumerate(entries, start=1):
                for at, cell in enumerate(cells(entry, language)):
                    if isinstance(cell, datetime):
                        sheet.write_datetime(row, at, cell, time)
                    elif isinstance(cell, int | float):
                        sheet.write_number(row, at, cell, number)
                    elif cell is not None:
                        sheet.write_string(row, at, harmless(cell))
            sheet.freeze_panes(1, 3)
            sheet.autofilter(0, 0, len(entries), len(COLUMNS) - 1)
    except xlsxwriter.exceptions.FileCreateError as error:
        cause = error.args[0] if error.args else error
        raise cause if isinstance(cause, OSError) else OSError(str(cause)) from None
