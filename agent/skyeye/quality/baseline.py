"""What one camera usually looks like: by day, in the dark, and in its grey night mode; and which of them at what hour.

It learns slowly, and from undisturbed pictures only, so that neither a season nor a fault surprises it. A baseline is
a value that is kept as JSON; who learns gets a new one.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Final, Literal

import cv2
import numpy as np

from agent.model import JsonValue
from agent.skyeye.quality.features import GREY, SCENE, STRIPE_BINS, STRIPE_FIRST, Bars, Features
from agent.skyeye.quality.structure import COLUMNS, FIELD_HEIGHT, FIELD_WIDTH, ROWS, Field, Grid
from agent.texts import Spoken, say

Mode = Literal["day", "dim", "grey"]
MODES: Final[tuple[Mode, ...]] = ("day", "dim", "grey")
VERSION: Final = 1
DIM: Final = 55.0
"""Mean luma below which a colour picture is one of the dark: contrast, noise and edges are others there."""
LEARNT: Final = 4
"""Pictures of a mode from which on it is judged by them."""
SLOWEST: Final = 0.04
"""Part of the new in the old once it has settled: at an inspection every 5 min half is renewed in an hour and a half,
so that the day's light is followed, and a thing that slips in is not."""
USUAL: Final = 0.12
"""Share of an hour's pictures from which on a mode is usual at it: dusk moves through an hour within weeks."""
HOUR_PACE: Final = 0.03
"""Of an hour's shares: some 12 pictures a day, so that three days settle it."""
HOUR_KNOWN: Final = 36
"""Pictures of an hour of the night without darkness from which on darkness is no longer expected: three days at an
inspection every 5 min, as dusk falls in the middle of an hour, and rooms are lit on some days only. The picture itself
does not tell sooner: encoders leave nothing of the noise of an unlit yard, and its black is that of a dead sensor."""
NIGHT_HOURS: Final = frozenset({17, 18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 6, 7})
"""Hours at which it may be dark somewhere in China in winter: what is dark then is believed until the hour is known."""
PITCH: Final = 0.97
"""Share of dark pixels from which on there is nothing to see: all but a clock that the camera writes."""
BARS_SCALE: Final = 2.5
BARS_MARGIN: Final = 1.2
BARS_AROUND: Final = 11
GRIDS: Final = ("bars", "scene", "busy")
MOST_SAVED: Final = 1 << 20


class BadBaseline(Spoken):
    """A stored baseline that cannot be read."""


@dataclass(frozen=True, slots=True)
class Usual:
    """A number's usual value and how far it strays (mean absolute deviation)."""

    mean: float = 0.0
    stray: float = 0.0

    def learn(self, value: float, pace: float) -> "Usual":
        """Take one more value."""
        if pace >= 1:
            return Usual(value)
        stray = abs(value - self.mean)
        return Usual(self.mean + pace * (value - self.mean), self.stray + pace * (stray - self.stray))


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One mode of one camera."""

    count: int
    luma: Usual = Usual()
    """0 where nobody has noted it yet."""
    bright: Usual = Usual()
    contrast: Usual = Usual()
    chroma: Usual = Usual()
    a: Usual = Usual()
    b: Usual = Usual()
    blur_px: Usual = Usual()
    edges: int = 0
    """Of the pictures, how many had edges to measure."""
    specks: Usual = Usual()
    stripes: Usual = Usual()
    """What is left of the bars when the usual ones are taken off."""
    stir: Usual = Usual()
    """How much two pictures of one inspection differ where nothing moves."""
    stirs: int = 0
    structure: Field = field(default_factory=lambda: np.zeros((FIELD_HEIGHT, FIELD_WIDTH, 2), np.int8))
    bars: Bars = field(default_factory=lambda: np.zeros(2 * STRIPE_BINS, np.float32))
    scene: Grid = field(default_factory=lambda: np.zeros(SCENE[::-1], np.float32))
    busy: Grid = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.float32))

    def stripes_in(self, new: Features) -> float:
        """Strength of the waves that are not usually there, in grey levels: floors and fences have some of their own,
        stronger and weaker with the light."""
        usual = cv2.dilate(self.bars.reshape(2, -1), np.ones((1, 3), np.uint8)).ravel()
        scale = float(np.clip(usual @ new.bars / max(float(usual @ usual), 1e-6), 1.0, BARS_SCALE))
        left = np.clip(new.bars - BARS_MARGIN * scale * usual, 0, None).reshape(2, -1)
        cycles = np.arange(STRIPE_FIRST, STRIPE_FIRST + STRIPE_BINS, dtype=np.float32)
        around = cv2.blur(left * cycles, (BARS_AROUND, 1), borderType=cv2.BORDER_REFLECT) / cycles
        return max(0.0, float((left - around).max()))  # an edge has all frequencies, falling; a wave has one

    def scene_likeness(self, new: Features) -> float:
        """How alike light and dark are distributed, from -1 to 1: by ranks, which some white letters do not upset."""
        one, other = _ranks(self.scene), _ranks(new.scene)
        size = float(np.sqrt((one * one).sum() * (other * other).sum()))
        return float((one * other).sum()) / max(size, 1e-6)

    @property
    def grey(self) -> bool:
        """Whether it has no colours."""
        return self.chroma.mean < GREY

    @property
    def learnt(self) -> bool:
        """Whether it may be judged by."""
        return self.count >= LEARNT

    def learn(self, new: Features, stir: float | None) -> "Look":
        """Take one more picture."""
        pace = max(SLOWEST, 1 / (self.count + 1))
        numbers = {
            name: getattr(self, name).learn(getattr(new, name), pace)
            for name in ("luma", "bright", "contrast", "chroma", "a", "b", "specks")
        }
        old, now = self.structure.astype(np.float32), new.structure.astype(np.float32)
        structure = np.rint(old + pace * (now - old)).astype(np.int8)
        grids = {
            name: np.asarray(old + pace * (getattr(new, name) - old), np.float32)
            for name in GRIDS
            for old in (getattr(self, name),)
        }
        stripes = self.stripes.learn(self.stripes_in(new), pace) if self.count else Usual()
        look = replace(self, count=self.count + 1, structure=structure, stripes=stripes, **numbers, **grids)  # type: ignore[arg-type]
        if new.blur_px is not None:
            blur = self.blur_px.learn(new.blur_px, max(SLOWEST, 1 / (self.edges + 1)))
            look = replace(look, blur_px=blur, edges=self.edges + 1)
        if stir is not None:
            usual = self.stir.learn(stir, max(SLOWEST, 1 / (self.stirs + 1)))
            look = replace(look, stir=usual, stirs=self.stirs + 1)
        return look


def _ranks(grid: Grid) -> Grid:
    ranks = np.argsort(np.argsort(grid, axis=None)).astype(np.float32)
    return np.asarray(ranks - ranks.mean(), np.float32)


def mode_of(features: Features) -> Mode:
    """The mode that a picture is in."""
    if features.grey:
        return "grey"
    return "dim" if features.luma < DIM else "day"


@dataclass(frozen=True, slots=True)
class Hour:
    """What is usual at one hour of the day."""

    count: int = 0
    shares: Mapping[Mode, float] = field(default_factory=dict)
    pitch: float = 0.0
    """Share of the pictures in which there was nothing to see."""

    def learn(self, mode: Mode, pitch: bool) -> "Hour":
        """Take one more picture."""
        pace = max(HOUR_PACE, 1 / (self.count + 1))
        shares: dict[Mode, float] = {
            one: (1 - pace) * self.shares.get(one, 0.0) + pace * (one == mode) for one in MODES
        }
        return Hour(self.count + 1, shares, (1 - pace) * self.pitch + pace * pitch)


@dataclass(frozen=True, slots=True, eq=False)
class Baseline:
    """What one camera (at one preset) usually looks like."""

    looks: Mapping[Mode, Look] = field(default_factory=dict)
    hours: Mapping[int, Hour] = field(default_factory=dict)

    def learn(self, new: Features, now: datetime, stir: float | None = None) -> "Baseline":
        """Take one undisturbed picture."""
        mode = mode_of(new)
        looks = {**self.looks, mode: self.looks.get(mode, Look(0)).learn(new, stir)}
        pitch = new.dark >= PITCH
        hours = {**self.hours, now.hour: self.hours.get(now.hour, Hour()).learn(mode, pitch)}
        return Baseline(looks, hours)

    def dark_is_usual(self, now: datetime) -> bool:
        """Whether there may be nothing to see at this hour: it often is so now or an hour beside, or nobody knows yet
        and it is night."""
        around = self._around(now)
        if any(hour.pitch > USUAL for hour in around):
            return True
        known = self.hours.get(now.hour)
        return now.hour in NIGHT_HOURS and (known is None or known.count < HOUR_KNOWN)

    def usual_at(self, mode: Mode, now: datetime) -> bool:
        """Whether the camera is often in this mode at this hour or one beside; by night what is not known yet is
        believed, by day it is not."""
        if any(hour.shares.get(mode, 0) > USUAL for hour in self._around(now)):
            return True
        known = self.hours.get(now.hour)
        if known is not None and known.count >= LEARNT:
            return False
        return now.hour in NIGHT_HOURS or not self.looks

    def look_for(self, mode: Mode, now: datetime) -> Look | None:
        """What a picture in this mode is to be compared with: the same mode's look; where that mode is not usual at
        this hour, the look that is (a cloth over the lens by day makes the camera go grey)."""
        own = self.looks.get(mode)
        own = own if own is not None and own.learnt else None
        if self.usual_at(mode, now):
            return own
        shares = {one: sum(hour.shares.get(one, 0) for hour in self._around(now)) for one in self.looks}
        known = [one for one, share in shares.items() if share > USUAL and self.looks[one].learnt]
        return self.looks[max(known, key=lambda one: shares[one])] if known else own

    def _around(self, now: datetime) -> list[Hour]:
        return [found for step in (-1, 0, 1) if (found := self.hours.get((now.hour + step) % 24))]

    def to_json(self) -> dict[str, JsonValue]:
        """As it is stored."""
        looks: dict[str, JsonValue] = {mode: _look_json(look) for mode, look in self.looks.items()}
        hours: dict[str, JsonValue] = {
            str(hour): {"count": one.count, "pitch": round(one.pitch, 4), "shares": _rounded(one.shares)}
            for hour, one in self.hours.items()
        }
        return {"version": VERSION, "looks": looks, "hours": hours}

    @classmethod
    def from_json(cls, stored: Any) -> "Baseline":
        """Read it back. Raises BadBaseline and nothing else."""
        try:
            if stored["version"] != VERSION:
                raise BadBaseline(say("quality.baseline-unreadable", error=f"version {stored['version']!r:.20}"))
            looks = {mode: _look_from(stored["looks"][mode]) for mode in MODES if mode in stored["looks"]}
            hours = {int(hour): _hour_from(one) for hour, one in stored["hours"].items() if 0 <= int(hour) < 24}
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, binascii.Error, zlib.error) as error:
            raise BadBaseline(say("quality.baseline-unreadable", error=f"{type(error).__name__}")) from None
        return cls(looks, hours)


def _rounded(shares: Mapping[Mode, float]) -> JsonValue:
    return {mode: round(share, 4) for mode, share in shares.items()}


def _look_json(look: Look) -> JsonValue:
    out: dict[str, JsonValue] = {
        "count": look.count,
        "edges": look.edges,
        "stirs": look.stirs,
        "structure": _pack(look.structure.tobytes()),
        **{name: _pack(getattr(look, name).astype("<f4").tobytes()) for name in GRIDS},
    }
    for one in fields(look):
        value = getattr(look, one.name)
        if isinstance(value, Usual):
            out[one.name] = {name: round(number, 5) for name, number in asdict(value).items()}
    return out


def _pack(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw, 6)).decode()


def _unpack(packed: str, size: int) -> bytes:
    raw = zlib.decompressobj().decompress(base64.b64decode(packed, validate=True), size + 1)
    if len(raw) != size:
        raise ValueError
    return raw


def _number(value: Any) -> float:
    number = float(value)
    if not np.isfinite(number):
        raise ValueError
    return number


def _grid_from(packed: str, like: Grid) -> Grid:
    grid = np.frombuffer(_unpack(packed, like.size * 4), "<f4").astype(np.float32).reshape(like.shape)
    if not np.isfinite(grid).all():
        raise ValueError
    return grid


def _look_from(stored: Any) -> Look:
    raw = _unpack(stored["structure"], FIELD_HEIGHT * FIELD_WIDTH * 2)
    grids = {name: _grid_from(stored[name], getattr(Look(0), name)) for name in GRIDS}
    known = [one.name for one in fields(Look) if isinstance(one.default, Usual)]
    if "luma" not in stored:  # kept by an earlier version
        known.remove("luma")
    usual = {name: Usual(_number(stored[name]["mean"]), _number(stored[name]["stray"])) for name in known}
    structure = np.frombuffer(raw, np.int8).reshape(FIELD_HEIGHT, FIELD_WIDTH, 2)
    counts = {name: max(0, int(stored[name])) for name in ("count", "edges", "stirs")}
    return Look(structure=structure, **counts, **usual, **grids)  # type: ignore[arg-type]


def _hour_from(stored: Any) -> Hour:
    shares: dict[Mode, float] = {mode: _number(stored["shares"].get(mode, 0)) for mode in MODES}
    return Hour(max(0, int(stored["count"])), shares, _number(stored["pitch"]))
