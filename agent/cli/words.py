"""Values of the agent in the user's words: states, lanes, types, durations, sizes. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from agent.texts import Language, room_texts, say

KIB: Final = 1024
UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def word(family: str, value: object, language: Language) -> str:
    """Return the user's word for `value`: the text `cli.<family>-<value>`, or the value itself if there is none (a
    newer daemon may know more than this command line)."""
    name = f"{family}-{value}"
    return say(f"cli.{name}").render(language) if name in room_texts("cli") else str(value)


def kind_word(kind: str, language: Language) -> str:
    """Return the name of a point's kind or of a fault."""
    return say(f"kinds.{kind}").render(language) if kind in room_texts("kinds") else kind


def size(octets: float) -> str:
    """`1536` -> `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB"):
        if octets < KIB:
            return f"{octets:.0f} {unit}" if unit == "B" else f"{octets:.1f} {unit}"
        octets /= KIB
    return f"{octets:.1f} GiB"


def duration(seconds: float, language: Language) -> str:
    """The two largest units: `3 d 4 h`, `3 天 4 小时`."""
    parts: list[str] = []
    rest = int(seconds)
    for unit, length in UNITS:
        count, rest = divmod(rest, length)
        if count or parts or unit == "s":
            parts.append(f"{count} {word('unit', unit, language)}")
    return " ".join(parts[:2])


def clock_time(text: object) -> str:
    """`2026-11-23T08:00:00.123+08:00` -> `2026-11-23 08:00:00` as people write it, in the school's own time."""
    return str(text)[:19].replace("T", " ") if text else "-"


def precise_time(text: object) -> str:
    """As `clock_time`, with milliseconds."""
    return str(text)[:23].replace("T", " ") if text else "-"


def place(row: Mapping[str, object]) -> str:
    """`guardroom/panic`, `guardroom`, or `-` for the agent itself."""
    parts: Sequence[object] = [part for part in (row.get("device"), row.get("point")) if part]
    return "/".join(map(str, parts)) or "-"


def event_word(type_: str, language: Language, *, failed: bool = False) -> str:
    """`campus.alarm.raised` -> `alarm raised`. Some tell of what was tried: then it matters how it went."""
    name = type_.removeprefix("campus.").replace(".", "-")
    if failed and f"type-{name}-failed" in room_texts("cli"):
        name += "-failed"
    return word("type", name, language)
