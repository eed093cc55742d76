"""What of a rule outlives a restart, as JSON that the journal keeps beside its events: since when its parts have been
true, what they have counted, whether it holds.

Each value carries its version `v`, and the moment at which its times were valid: they are of the boot clock, and are
moved into the boot of now, by the boot clock within one boot, by the wall clock where both ends were synced. Where
nobody can tell how long the gateway was away, it is taken as no time.
"""

import json
from datetime import datetime
from typing import Final, cast

from agent.clock import elapsed_ns
from agent.model import ClockQuality, JsonValue, Moment
from agent.rules.parts import whole
from agent.rules.rule import Rule

PREFIX: Final = "rule/"
VERSION: Final = 1
PROBLEM_CHARS: Final = 120


class BadRule(ValueError):
    """A saved value that cannot be read."""


def dump(rule: Rule, moment: Moment) -> str:
    """Return the JSON to save."""
    at = {
        "wall": moment.wall.isoformat(),
        "boottime_ns": moment.boottime_ns,
        "bootid": moment.bootid,
        "clock": moment.clock,
    }
    return json.dumps({"v": VERSION, "at": at, "seq": rule.seq, **rule.state()}, separators=(",", ":"))


def load(rule: Rule, text: str, moment: Moment) -> None:
    """Give a rule back what was saved of it; one whose condition has changed since is left as it is. Raises BadRule and
    nothing else; the rule is then half loaded, and of no use."""
    try:
        saved = json.loads(text)
        if saved["rule"] != rule.fingerprint:
            return
        at = moment_of(saved["at"])
        shift_ns = moment.boottime_ns - (elapsed_ns(at, moment) or 0) - at.boottime_ns
        parts = [*rule.root.walk()]
        if len(parts) != len(saved["parts"]):
            raise ValueError("parts")
        for part, state in zip(parts, saved["parts"], strict=True):
            if state is not None:
                part.load(state, shift_ns)
        rule.holds = bool(saved["holds"])
        rule.since_ns = _time(saved["since"], shift_ns)
        rule.acted_ns = _time(saved["acted"], shift_ns)
        rule.count = whole(saved["count"])
        rule.open = None if saved["open"] is None else bool(saved["open"])
        rule.seq = whole(saved["seq"])
        rule.resume(at.wall if at.clock == "synced" else None)
        rule.saved = rule.state()
    except (ValueError, TypeError, KeyError, IndexError, RecursionError, OverflowError, AttributeError) as error:
        raise BadRule(f"{type(error).__name__}: {error}"[:PROBLEM_CHARS]) from None


def moment_of(saved: dict[str, JsonValue]) -> Moment:
    """A saved moment. Raises ValueError, TypeError, KeyError."""
    wall = datetime.fromisoformat(str(saved["wall"]))
    if wall.tzinfo is None or saved["clock"] not in ("synced", "unsynced"):
        raise ValueError(saved)
    return Moment(wall, whole(saved["boottime_ns"]), str(saved["bootid"]), cast("ClockQuality", saved["clock"]))


def _time(saved: JsonValue, shift_ns: int) -> int | None:
    return None if saved is None else whole(saved) + shift_ns
