"""A frozen picture behind encoders that keep a rate, beside a quiet scene that lives, through the same encoders."""

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import av
import cv2
import numpy as np

from agent.skyeye.quality import Baseline, Rest, examine
from agent.skyeye.quality.features import Print
from bench.report import Result, Target
from bench.scenes import HEIGHT, WIDTH, Image, Light, Scene, SceneName, stamp

FPS: Final = 8
SECONDS: Final = 13
GROUP: Final = 2 * FPS
PLACES: Final[tuple[SceneName, ...]] = ("corridor", "yard")
LIGHTS: Final = (Light(0.9, noise=1.5), Light(0.9, noise=0.5), Light(0.8, infrared=True, noise=4.0))
"""By day, by day behind a good noise reduction, and in infrared."""
ENCODERS: Final[Mapping[str, Mapping[str, str]]] = {
    "constant 1000 kbit/s": {"b": "1000000", "maxrate": "1000000", "bufsize": "1000000", "nal-hrd": "cbr"},
    "constant 250 kbit/s": {"b": "250000", "maxrate": "250000", "bufsize": "250000"},
    "mean 512 kbit/s": {"b": "512000"},
    "quality, at most 300 kbit/s": {"crf": "26", "maxrate": "300000", "bufsize": "600000"},
    "constant quality": {"crf": "28"},
}
HOURS: Final = 80
STEP_H: Final = 4
NIGHT_H: Final = 20
"""What rests for less must not be called frozen, whatever it is."""


def keyframes(film: Iterator[Image], options: Mapping[str, str]) -> list[Image]:
    """The keyframes that are left of a film, without the first, which an encoder codes before it knows its rate."""
    settings = dict(options)
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    encoder.bit_rate = int(settings.pop("b", "0"))
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "threads": "1", "g": str(GROUP), **settings}
    decoder = av.CodecContext.create("h264", "r")
    out: list[Image] = []
    for number, picture in enumerate(film):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        for packet in encoder.encode(frame):
            for shown in decoder.decode(packet):
                if packet.is_keyframe:
                    out.append(np.asarray(shown.to_ndarray(format="bgr24"), np.uint8))
    return out[1:]


def film(scene: Scene, light: Light, seed: int, *, frozen: bool) -> Iterator[Image]:
    """Nobody is there; only the clock of the camera runs, and the sensor's noise if it lives."""
    rng = np.random.default_rng(seed)
    empty = scene.render(replace(light, noise=0.0), rng)
    still = scene.grain(empty, light, rng)
    for number in range(FPS * SECONDS):
        picture = still if frozen else scene.grain(empty, light, rng)
        yield stamp(picture, f"2026-11-24 08:00:{number // FPS:02}")


def hours_until_told(pictures: list[Image], baseline: Baseline, at: datetime) -> int | None:
    """Inspect them every few hours, again and again; return the hour in which they are called frozen."""
    rest: Rest | None = None
    previous: Print | None = None
    for look, hour in enumerate(range(0, HOURS, STEP_H)):
        number = look % (len(pictures) - 1)
        earlier, newest = pictures[number : number + 2]
        judged = examine(newest, earlier, baseline, at, previous, rest=rest, now_ns=hour * 3600 * 10**9)
        if any(one.bad and one.fault == "picture-frozen" for one in judged.verdicts):
            return hour
        rest, previous = judged.rest, judged.features.print
        if judged.clean:
            baseline = baseline.learn(judged.features, at, judged.stir)
    return None


def run(name: SceneName, light: Light, encoder: str, seed: int) -> tuple[str, int | None, int | None]:
    """One scene through one encoder: the hours until the frozen one and the living one are told."""
    cv2.setNumThreads(1)
    scene, options = Scene(name, seed), ENCODERS[encoder]
    at = datetime(2026, 11, 24, 22 if light.infrared else 10, tzinfo=ZoneInfo("Asia/Shanghai"))
    living, hangs = (keyframes(film(scene, light, seed + 1, frozen=frozen), options) for frozen in (False, True))
    baseline = Baseline()
    for _ in range(3):
        for earlier, newest in pairwise(living):
            judged = examine(newest, earlier, baseline, at)
            baseline = baseline.learn(judged.features, at, judged.stir)
    told = [hours_until_told(pictures, baseline, at) for pictures in (hangs, living)]
    return encoder, told[0], told[1]


def measure(first_seed: int) -> Result:
    """All scenes, lights and encoders."""
    result = Result(
        "Picture verdicts: frozen behind an encoder that keeps a rate",
        ("encoder (x264)", "frozen ones", "told at once", "within 24 h", "within 72 h", "quiet scenes told by 20 h"),
    )
    jobs = [(name, light, encoder, first_seed) for encoder in ENCODERS for name in PLACES for light in LIGHTS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(run, *zip(*jobs, strict=True)))
    wrong, late = 0, 0
    for encoder in ENCODERS:
        hangs = [frozen for name, frozen, _ in found if name == encoder]
        early = sum(lives is not None and lives <= NIGHT_H for name, _, lives in found if name == encoder)
        counts = [sum(hour is not None and hour <= most for hour in hangs) for most in (0, 24, 72)]
        result.rows.append([encoder, str(len(hangs)), *map(str, counts), str(early)])
        wrong, late = wrong + early, late + len(hangs) - counts[-1]
    result.targets += [
        Target("frozen ones that are not told within three days", str(late), "0", late == 0),
        Target("quiet scenes that are called frozen within a night", str(wrong), "0", wrong == 0),
    ]
    rested = sum(lives is not None for _, _, lives in found)
    result.notes.append(
        "Two scenes in three lights of one seed, nobody there, the clock in the picture running. What differs is "
        "coding noise here and the sensor's there, of one size, so that a day without any change has to tell them "
        f"apart; a scene in which nothing changes for three days is told as well ({rested} of {len(found)} here)."
    )
    return result
