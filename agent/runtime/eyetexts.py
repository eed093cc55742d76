"""What an event of a camera says to people, in a sentence (agent/texts/camevents.toml). Pure.

The members that are used come from the eye: whatever they are, a sentence comes out or none.
"""

from collections.abc import Mapping
from typing import Final

from agent.camera import CAMERA_EVENT_KINDS
from agent.model import JsonValue
from agent.texts import Text, say

WORD_CHARS: Final = 100
KEPT: Final[Mapping[str, str]] = {"snapshot": "picture", "patrol": "picture", "fault": "picture", "clip": "clip"}
"""Kinds of evidence, and what people call them."""


def words_of(type_: str, camera: str | None, data: Mapping[str, JsonValue]) -> Text | None:
    """The sentence of one event of `camera` (its name); None where there is nothing to say."""
    name = camera or "-"
    if type_ in CAMERA_EVENT_KINDS:
        over = data.get("active") is False
        sentence = "camevents.over" if over else "camevents.seen"
        return say(sentence, camera=name, what=say(f"camevents.kind-{type_}"), where=_where(data.get("source")))
    if type_ == "evidence":
        evidence = _object(data.get("evidence"))
        what = KEPT.get(str(evidence.get("kind")), "picture")
        return say(f"camevents.{what}", camera=name)
    if type_ == "evidence-missing":
        return say("camevents.missing", camera=name) if camera else say("camevents.removed", count=_word(data, "count"))
    if type_ in ("uploaded", "new", "clock"):
        return say(f"camevents.{type_}", camera=name)
    if type_ == "changed":
        return say(
            "camevents.changed", camera=name, what=_word(data, "what"), old=_word(data, "old"), new=_word(data, "new")
        )
    if type_ in ("patrol-started", "patrol-ended"):
        of = "stops" if type_ == "patrol-started" else "of"
        return say(f"camevents.{type_}", patrol=_word(data, "name"), made=_word(data, "made"), of=_word(data, of))
    if type_ == "patrol-stop":
        good = data.get("ok") is True
        key = "camevents.stop-fine" if good else "camevents.stop-wrong"
        return say(key, patrol=_word(data, "name"), camera=name)
    if type_ in ("stream-started", "stream-stopped"):
        return say(f"camevents.{type_}", camera=name)
    return None


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _word(data: Mapping[str, JsonValue], name: str) -> str:
    value = data.get(name)
    return str(value)[:WORD_CHARS] if isinstance(value, str | int | float) else "-"


def _where(source: JsonValue) -> str:
    return f" ({source[:WORD_CHARS]})" if isinstance(source, str) and source else ""
