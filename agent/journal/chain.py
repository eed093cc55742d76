"""The chain: an event's one canonical form, its hash, and the form that goes out. Pure.

Constraints. The same event must give the same bytes in every language and for decades, so the form is RFC 8785
(JSON Canonicalization Scheme, UTF-8), and the hash is over those bytes. Canonical JSON is made once for each event,
in front of the writer; the writer only fills in the three things that it alone knows (`journal`, `prevhash`,
`seq`).

Format. A CloudEvents 1.0 object (structured mode) with these members, here in canonical order:

    clock, data {boottime_ns, bootid, device?, point?, ...}, datacontenttype, drill, id, journal, lane, prevhash, seq,
    source, specversion, time, type

`hash` = lower-case hex SHA-256 of that. `journal` is the ULID of the journal's life: a fresh file starts a chain of
its own with `seq` 1, and a district must not take it for the old one. `hash`, `late` and `correctedtime` are set at
publication and stand outside the hash; they are appended, so a published event is valid but not canonical JSON.

Numbers are IEEE doubles in RFC 8785. An integer beyond 2^53 - 1 is written as ECMAScript writes the nearest double;
the boot clock passes that bound after 104 days and counts whole microseconds from there on, which doubles hold
exactly for 31 years. Like ECMAScript, NaN and infinities become null, and a lone surrogate becomes U+FFFD: an alarm
is not refused for a bad byte in its name.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Final

import rfc8785

from agent.model import Event, JsonValue, Lane, Site, Stored
from agent.texts import Spoken, say

MAX_SAFE: Final = 2**53 - 1
"""RFC 8785 3.2.2.3, RFC 7493 2.2: the largest integer that every JSON reader keeps exactly."""
OUTSIDE_THE_HASH: Final = frozenset({"hash", "late", "correctedtime"})

_quote = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_SUSPECT: Final = re.compile(rb"[:,\[]-?(?:\d+[.eE]|9\d{15}|\d{17})|^-?\d|[\xed-\xff]")
"""May be a float, a large integer, or a character behind the surrogates. Text can look so too; `_plain` decides."""
_FIRST_SURROGATE: Final = "\ud800"
"""Below it, the order of code points is the order of UTF-16 code units that RFC 8785 sorts keys by."""


class NotJson(Spoken):
    """An event's data holds something that JSON has no form for: a mistake in the calling code."""


@dataclass(slots=True)
class Blank:
    """A canonical event without its place in the chain: what stands before `journal`, before `prevhash`, after
    `seq`.
    """

    before_journal: bytes
    before_prevhash: bytes
    after_seq: bytes
    event: Event

    def fill(self, journal: bytes, prevhash: bytes, seq: int) -> bytes:
        """Return the canonical bytes of the event as number `seq` of `journal`."""
        return b'%b%b%b%b","seq":%d%b' % (
            self.before_journal,
            journal,
            self.before_prevhash,
            prevhash,
            seq,
            self.after_seq,
        )


def blank(event: Event, site: Site) -> Blank:
    """Make the canonical form of `event` but for its place in the chain; raise NotJson."""
    moment = event.moment
    boottime_ns: int | float = moment.boottime_ns
    if boottime_ns > MAX_SAFE:
        boottime_ns = float(boottime_ns // 1000 * 1000)
    data: dict[str, JsonValue] = {**event.data, "bootid": moment.bootid, "boottime_ns": boottime_ns}
    source = f"/{site.district}/{site.school}"
    if event.device is not None:
        data["device"] = event.device
        source += f"/{event.device}"
    if event.point is not None:
        data["point"] = event.point
        source += f"/{event.point}"
    before_journal = b'{"clock":%b,"data":%b,"datacontenttype":"application/json","drill":%b,"id":%b,"journal":"' % (
        _word(moment.clock),
        canonical_json(data),
        b"true" if event.drill else b"false",
        _text(event.id),
    )
    before_prevhash = b'","lane":%b,"prevhash":"' % _word(event.lane)
    after_seq = b',"source":%b,"specversion":"1.0","time":%b,"type":%b}' % (
        _word(source),
        _text(moment.wall.isoformat(timespec="milliseconds")),
        _word(event.type),
    )
    return Blank(before_journal, before_prevhash, after_seq, event)


def canonical(event: Event, site: Site, journal_id: str, seq: int, prevhash: str) -> bytes:
    """Return the canonical JSON (RFC 8785, UTF-8) of an event without `hash`, `late`, `correctedtime`; raise
    NotJson.
    """
    return blank(event, site).fill(journal_id.encode(), prevhash.encode(), seq)


def hash_of(body: bytes) -> str:
    """Return the lower-case hex SHA-256 of a canonical event."""
    return sha256(body).hexdigest()


def published(stored: Stored, late: bool, correctedtime: str | None = None) -> bytes:
    """Return the event as it goes out: a CloudEvents JSON object with `hash`, `late` and, if known, `correctedtime`."""
    corrected = b'"correctedtime":%b,' % _text(correctedtime) if correctedtime is not None else b""
    tail = b',%b"hash":"%b","late":%b}' % (corrected, stored.hash.encode(), b"true" if late else b"false")
    return stored.body[:-1] + tail


def stored_from(body: bytes, hash_: str) -> Stored:
    """Read a row back from its canonical bytes, which the caller has checked against `hash_`."""
    event = json.loads(body)
    data = event["data"]
    return Stored(
        event["seq"],
        event["id"],
        event["type"],
        Lane(event["lane"]),
        data.get("device"),
        data.get("point"),
        body,
        hash_,
        int(data["boottime_ns"]),
        data["bootid"],
        event["clock"],
    )


def canonical_json(value: "JsonValue | Mapping[str, JsonValue]") -> bytes:
    """Return the RFC 8785 form of any JSON value. The fast path is the C encoder, for values where the two agree
    byte by byte (a property test holds them together); raise NotJson.
    """
    try:
        try:
            text = _encode(value).encode()
            if not _SUSPECT.search(text) or _plain(value):
                return text
        except (UnicodeEncodeError, ValueError, TypeError):  # half a pair; NaN; no JSON, which `_mended` says better
            pass
        return rfc8785.dumps(_mended(value))
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise NotJson(say("journal.not-json", got=str(error))) from error


def _plain(value: object) -> bool:
    """Tell whether Python's encoder writes `value` as RFC 8785 does: no floats, no large integers, keys in order."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return -MAX_SAFE <= value <= MAX_SAFE  # type: ignore[operator]  # mypy does not narrow by type()
    if kind is dict:
        for key, item in value.items():  # type: ignore[attr-defined]  # the same
            if type(key) is not str or not (key.isascii() or max(key) < _FIRST_SURROGATE) or not _plain(item):
                return False
        return True
    if kind is list:
        return all(map(_plain, value))  # type: ignore[call-overload]  # the same
    return False


def _mended(value: object) -> JsonValue:
    """Return `value` as ECMAScript would write it: doubles for large integers, null for NaN, U+FFFD for half a pair."""
    if isinstance(value, str):
        return str(value).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value) if -MAX_SAFE <= value <= MAX_SAFE else _double(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_key(key): _mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    raise NotJson(say("journal.not-json", got=type(value).__name__))


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise NotJson(say("journal.not-json", got=f"key {key!r}"))
    return str(_mended(key))


def _double(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:  # beyond 1.8e308: infinity for ECMAScript, and so null
        return None


@lru_cache(maxsize=1024)
def _word(value: str) -> bytes:
    """Quote one of the strings that come again and again: types, sources."""
    return _text(value)


def _text(value: str) -> bytes:
    """Quote one string."""
    try:
        return _quote(value).encode()
    except UnicodeEncodeError:
        return _quote(str(_mended(value))).encode()
