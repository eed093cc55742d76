"""What is wrong with a picture, by its numbers and by what the camera usually looks like. Pure.

A verdict is left out where it cannot be judged: nothing was learnt yet, the picture shows nothing by which to judge,
or another verdict explains it (a black picture is neither blurred nor covered).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from agent.skyeye.model import Image, Verdict
from agent.skyeye.quality.baseline import LEARNT, PITCH, Baseline, Look, mode_of
from agent.skyeye.quality.features import PRINT_HEIGHT, PRINT_WIDTH, Features, Print, measure, print_of
from agent.skyeye.quality.rest import BLOCK, Rest, rest_of
from agent.skyeye.quality.structure import DIMMED, SHIFT_LEAST, Likeness, compare
from agent.texts import say

WHITE_LEAST: Final = 0.5
WHITE_MORE: Final = 0.35
"""Half burnt out, and a third more than usual: a white wall or a lit yard with snow is bright, too."""
BLUR_FACTOR: Final = 1.5
BLUR_MORE_PX: Final = 0.6
"""Edges half as wide again, and by 0.6 of 480 points: a lens that a person would call unsharp."""
BLUR_STRAY_PX: Final = 1.0
FOG_RATIO: Final = 0.45
FOG_STRAYS: Final = 4.0
FOG_LEARNT: Final = 12
"""Pictures, an hour: the lamps of a morning give another contrast than the day that it becomes."""
COVERED: Final = 0.24
"""Share of what usually has edges: a person or a parked car covers less."""
FOREIGN: Final = 0.4
LOST: Final = 0.65
SHIFTED: Final = 0.3
SHIFT_BETTER: Final = 1.35
SHIFT_GONE: Final = 0.6
"""A view has moved if its edges are found elsewhere, clearly better than where they belong."""
CELLS_LEAST: Final = 8
"""Textured cells, of 60, without which neither a cover nor a move can be told."""
CAST: Final = 9.0
"""In Lab: some three steps that an eye can tell, beyond what morning and evening do."""
CAST_DIM: Final = 14.0
CAST_GREY: Final = 6.0
"""Where there should be no colour at all."""
CAST_STRAYS: Final = 4.0
CAST_RATIO: Final = 1.5
CAST_UNKNOWN: Final = 22.0
SPECKS: Final = 0.035
STRIPES: Final = 3.5
STRONG_STRIPES: Final = 2.0
"""Stripes that strong hide where the scene's own edges are."""
STRAYS: Final = 6.0
"""A number must leave what the camera's own strays reach."""
STILL: Final = 0.02
STILL_RATIO: Final = 0.2
"""Two pictures that differ by less than a fifth of what the camera's noise makes are the same one."""
STILL_MOST: Final = 0.15
"""But never more: by day a sensor has a fifth of the noise that it has at dusk."""
BLOCKS_LEAST: Final = 20
FLAT_BLOCK: Final = 1.2
"""A block of less spread (grey levels) is blank: it would be alike in a living picture as well."""
KNOWN_SCENE: Final = 0.8
KNOWN_AGREEMENT: Final = 0.3
"""From here on the view is still the known one, only worse."""

ORDER: Final = (
    "picture-black",
    "picture-white",
    "picture-stripes",
    "picture-snow",
    "picture-frozen",
    "picture-moved",
    "picture-covered",
    "picture-contrast",
    "picture-blurred",
    "picture-cast",
)
_STRUCTURAL: Final = frozenset({"picture-moved", "picture-covered", "picture-blurred", "picture-contrast"})
EXPLAINS: Final[Mapping[str, frozenset[str]]] = {
    "picture-black": frozenset(ORDER) - {"picture-black"},
    "picture-white": frozenset(ORDER) - {"picture-white", "picture-frozen"},
    "picture-stripes": frozenset({"picture-snow", "picture-blurred"}),
    "picture-snow": _STRUCTURAL | {"picture-cast"},
    "picture-moved": _STRUCTURAL | {"picture-cast"},
    "picture-covered": _STRUCTURAL | {"picture-cast"},
    "picture-contrast": frozenset({"picture-blurred", "picture-cast"}),
}
"""What stands first in the order and is bad leaves these open."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdicts of a picture, and what may be learnt from it."""

    verdicts: tuple[Verdict, ...]
    features: Features
    stir: float | None
    rest: Rest
    """For the next inspection."""
    learning: bool
    """Too little is known of the camera for all verdicts."""

    @property
    def clean(self) -> bool:
        """Whether a baseline may learn from it."""
        return not any(verdict.bad for verdict in self.verdicts)


def judge(
    image: Image, earlier: Image | None, baseline: Baseline, now: datetime, previous: Print | None = None
) -> tuple[Verdict, ...]:
    """Judge a picture. `earlier` is one of the same stream some seconds before, `previous` the print of the last
    inspection's; `now` is local time."""
    return examine(image, earlier, baseline, now, previous).verdicts


def examine(
    image: Image,
    earlier: Image | None,
    baseline: Baseline,
    now: datetime,
    previous: Print | None = None,
    *,
    moves: bool = False,
    rest: Rest | None = None,
    now_ns: int = 0,
) -> Judged:
    """Judge a picture, and keep its numbers. A camera that `moves` may look elsewhere. `rest` is that of the last
    inspection, `now_ns` the boot clock, for those who keep the one that comes back."""
    features = measure(image)
    mode = mode_of(features)
    look = baseline.look_for(mode, now)
    usually_dark = baseline.dark_is_usual(now)
    stir = None if earlier is None else stir_of(features.print, print_of(earlier))
    since = None if previous is None else stir_of(features.print, previous)
    pitch = features.dark >= PITCH
    found: dict[str, Verdict] = {"picture-black": _black(features, usually_dark)}
    if not pitch:
        likeness = likeness_of(features, look) if look and not moves else None
        found |= {one.fault: one for one in _others(features, look, likeness, mode == "dim")}
    usual = look.stir.mean if look and look.stirs >= LEARNT else 0.0
    after = rest.then(features.print, now_ns, stir, usual) if rest else rest_of(features.print, now_ns, usual)
    if frozen := _frozen(stir, since, usual, None if pitch else after):
        found[frozen.fault] = frozen
    verdicts = explain(found)
    return Judged(verdicts, features, stir, after, learning=look is None and not pitch)


def likeness_of(features: Features, look: Look) -> Likeness:
    """How the edges compare, by what can be expected of them in this light."""
    dimmed = features.luma / look.luma.mean if look.luma.mean > 0 else 1.0
    return compare(look.structure, features.structure, look.busy, features.busy, dimmed=dimmed, noise=features.noise)


def explain(found: Mapping[str, Verdict]) -> tuple[Verdict, ...]:
    """Put verdicts in order, and leave out what another one explains."""
    silent: set[str] = set()
    kept = []
    for fault in ORDER:
        if (verdict := found.get(fault)) is None or fault in silent:
            continue
        kept.append(verdict)
        if verdict.bad:
            silent |= EXPLAINS.get(fault, frozenset())
            if fault == "picture-stripes" and verdict.measure > STRONG_STRIPES * verdict.threshold:
                silent |= _STRUCTURAL
    return tuple(kept)


def _verdict(name: str, measured: str, value: float, threshold: float, *, bad: bool, scale: float = 1.0) -> Verdict:
    key = f"quality.{name}" if bad else f"quality.{name}-fine"
    text = say(key, measure=round(value * scale, 2), threshold=round(threshold * scale, 2))
    return Verdict(f"picture-{name}", bad, value, threshold, measured, text)


def _black(features: Features, usually_dark: bool) -> Verdict:
    if usually_dark and features.dark >= PITCH:
        text = say("quality.black-night")
        return Verdict("picture-black", False, features.dark, PITCH, "dark-share", text)
    return _verdict("black", "dark-share", features.dark, PITCH, bad=features.dark >= PITCH, scale=100)


def _others(features: Features, look: Look | None, likeness: Likeness | None, dim: bool) -> Iterator[Verdict]:
    """All but black and frozen."""
    most = max(WHITE_LEAST, look.bright.mean + WHITE_MORE) if look else WHITE_LEAST + 0.1
    most = min(most, 0.97)
    yield _verdict("white", "bright-share", features.bright, most, bad=features.bright > most, scale=100)
    most = max(SPECKS, 3 * look.specks.mean + STRAYS * look.specks.stray) if look else 2 * SPECKS
    yield _verdict("snow", "speck-share", features.specks, most, bad=features.specks > most, scale=100)
    yield from _cast(features, look, dim or bool(look and features.luma < DIMMED * look.luma.mean))
    if look is None:
        return
    stripes, most = look.stripes_in(features), max(STRIPES, 2 * look.stripes.mean + STRAYS * look.stripes.stray)
    yield _verdict("stripes", "stripe-levels", stripes, most, bad=stripes > most)
    same = look.scene_likeness(features) > KNOWN_SCENE
    known = same or likeness is None or likeness.textured < CELLS_LEAST or likeness.agreement > KNOWN_AGREEMENT
    worse = [*_blurred(features, look), *_dull(features, look)] if known else []
    yield from worse
    if likeness is None or likeness.textured < CELLS_LEAST:
        return
    if not (same and any(one.bad for one in worse)):  # a dull or unsharp picture loses edges everywhere
        yield from _structural(likeness)


def _dull(features: Features, look: Look) -> Iterator[Verdict]:
    if look.count < FOG_LEARNT:
        return
    least = max(0.1, min(FOG_RATIO, 1 - FOG_STRAYS * look.contrast.stray / max(look.contrast.mean, 0.01)))
    ratio = features.contrast / max(look.contrast.mean, 0.01)
    yield _verdict("contrast", "contrast-ratio", ratio, least, bad=ratio < least, scale=100)


def _cast(features: Features, look: Look | None, dim: bool) -> Iterator[Verdict]:
    if look is None:
        length = float(np.hypot(features.a, features.b))
        bad = length > CAST_UNKNOWN and features.cast > CAST_RATIO
        yield _verdict("cast", "lab-cast", length, CAST_UNKNOWN, bad=bad)
        return
    shift = float(np.hypot(features.a - look.a.mean, features.b - look.b.mean))
    least = CAST_GREY if look.grey else CAST_DIM if dim else CAST
    most = max(least, CAST_STRAYS * max(look.a.stray, look.b.stray))
    if not features.grey:  # without colours there is none that could be wrong
        yield _verdict("cast", "lab-shift", shift, most, bad=shift > most)


def _blurred(features: Features, look: Look) -> Iterator[Verdict]:
    if features.blur_px is None or look.edges < LEARNT:
        return
    usual = look.blur_px
    most = max(
        usual.mean * BLUR_FACTOR, usual.mean + BLUR_MORE_PX, usual.mean + min(BLUR_STRAY_PX, STRAYS * usual.stray)
    )
    yield _verdict("blurred", "edge-width-px", features.blur_px, most, bad=features.blur_px > most)


def _structural(likeness: Likeness) -> Iterator[Verdict]:
    lost = likeness.covered + likeness.foreign
    found_again = (
        likeness.shift >= SHIFT_LEAST
        and likeness.shift_agreement > SHIFTED
        and likeness.shift_agreement > SHIFT_BETTER * likeness.agreement
        and likeness.agreement < SHIFT_GONE
    )
    elsewhere = lost > LOST and likeness.foreign > max(FOREIGN, likeness.covered)
    moved = found_again or elsewhere
    yield _verdict("moved", "edges-lost", lost, LOST, bad=moved, scale=100)
    yield _verdict("covered", "covered-share", likeness.covered, COVERED, bad=likeness.covered > COVERED, scale=100)


def _frozen(stir: float | None, since: float | None, usual: float, rest: Rest | None) -> Verdict | None:
    """Frozen if this picture is like the one before it in the stream, and like that of the last inspection; or if it
    has not changed at large for longer than any night lasts."""
    witnesses = [one for one in (stir, since) if one is not None]
    if not witnesses:
        return None
    most, value = min(STILL_MOST, max(STILL, STILL_RATIO * usual)), max(witnesses)
    if value >= most and rest and rest.seconds >= rest.limit_s:
        text = say("quality.frozen-rest", hours=round(rest.seconds / 3600))
        return Verdict("picture-frozen", True, rest.seconds, rest.limit_s, "unchanged-s", text)
    return _verdict("frozen", "still-difference", value, most, bad=value < most)


def stir_of(one: Print, other: Print) -> float | None:
    """How much two prints differ, in grey levels, in the stillest quarter of the blocks: people move, and a clock that
    the camera writes runs on, which an encoder carries to its neighbours. None where the pictures are blank."""
    rows, columns = PRINT_HEIGHT // BLOCK, PRINT_WIDTH // BLOCK

    def blocks(print_: NDArray[np.float32]) -> NDArray[np.float32]:
        return print_.reshape(rows, BLOCK, columns, BLOCK).transpose(0, 2, 1, 3).reshape(rows * columns, -1)

    first = blocks(one.astype(np.float32))
    counted = first.std(axis=1) > FLAT_BLOCK
    if int(counted.sum()) < BLOCKS_LEAST:
        return None
    different = np.abs(first - blocks(other.astype(np.float32))).mean(axis=1)[counted]
    return float(np.percentile(different, 25))
