"""Made scenes of a school for the picture benchmarks: drawn by a seed, lit by day or by night, with people, cars,
clouds, rain and sensor noise, and sent through a real encoder. No picture of a real place is in them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Final, Literal

import av
import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]
SceneName = Literal["yard", "corridor", "classroom", "gate", "canteen"]
SCENES: Final[tuple[SceneName, ...]] = ("yard", "corridor", "classroom", "gate", "canteen")
WIDTH: Final = 960
HEIGHT: Final = 540
"""Large enough that the judge scales down, small enough that days of pictures take minutes."""
OUTDOOR: Final = frozenset({"yard", "gate"})
BLOCK: Final = 60


@dataclass(frozen=True)
class Light:
    """How a scene is lit at one moment. `level` 1 is a fair day; `infrared` is the camera's own light: grey, with a
    bright middle and dark corners."""

    level: float = 1.0
    infrared: bool = False
    warm: float = 0.0
    """From bluish (-1) to yellowish (1)."""
    shade: float = 0.0
    """How much of a drifting cloud or a shadow lies on it."""
    shade_at: float = 0.5
    headlight: float = 0.0
    lamps: bool = True
    """Whether lamps burn when it is dark."""
    noise: float = 1.5
    """Sigma of the sensor's noise, in grey levels."""


@dataclass
class Scene:
    """One camera's view."""

    name: SceneName
    seed: int
    base: Plane = field(init=False)
    lamps: Plane = field(init=False)
    horizon: int = field(init=False)
    _noise: Plane = field(init=False)
    _grey_noise: Plane = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.horizon = int(HEIGHT * rng.uniform(0.3, 0.45))
        canvas = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        DRAW[self.name](canvas, rng, self.horizon)
        self.base = canvas.astype(np.float32) + texture(rng, 5.0)[..., None]
        self.lamps = lamps(rng, self.name)
        self._noise = rng.standard_normal((HEIGHT + BLOCK, WIDTH + BLOCK, 3), dtype=np.float32)
        self._grey_noise = np.ascontiguousarray(np.repeat(self._noise[..., :1], 3, axis=2))

    def render(self, light: Light, rng: np.random.Generator, *, people: int = 0, rain: float = 0.0) -> Image:
        """One picture of the sensor, before the encoder."""
        canvas = self.base.copy()
        for _ in range(people):
            person(canvas, rng, self.horizon)
        lit = illuminate(canvas, light, self.lamps)
        if light.headlight:
            headlights(lit, light.headlight, rng)
        if rain:
            streaks(lit, rain, rng)
        return self.grain(clip(lit), light, rng)

    def grain(self, picture: Image, light: Light, rng: np.random.Generator) -> Image:
        """Add the sensor's noise."""
        if not light.noise:
            return picture
        dy, dx = int(rng.integers(BLOCK)), int(rng.integers(BLOCK))
        source = self._grey_noise if light.infrared else self._noise
        flip = -1.0 if rng.random() < 0.5 else 1.0
        noise = source[dy : dy + HEIGHT, dx : dx + WIDTH] * np.float32(light.noise * flip)
        return np.asarray(cv2.add(picture, noise, dtype=cv2.CV_8U), np.uint8)


def clip(picture: NDArray[np.floating]) -> Image:
    """Back to bytes."""
    return np.asarray(cv2.add(picture, np.zeros_like(picture), dtype=cv2.CV_8U), np.uint8)


def texture(rng: np.random.Generator, strength: float) -> Plane:
    """Walls and ground are never one colour."""
    out = np.zeros((HEIGHT, WIDTH), np.float32)
    for size in (8, 24, 90, 240):
        small = rng.standard_normal((size * 9 // 16 + 1, size), dtype=np.float32)
        out += cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return (out * strength / 2).astype(np.float32)


def lamps(rng: np.random.Generator, name: SceneName) -> Plane:
    """Where a night's light falls: a few pools."""
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    out = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(2 if name in OUTDOOR else 3):
        x, y, size = rng.uniform(0.1, 0.9) * WIDTH, rng.uniform(0.2, 0.8) * HEIGHT, rng.uniform(0.15, 0.35) * WIDTH
        out += np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * size**2))
    return np.clip(out, 0, 1)


@cache
def infrared_fall() -> Plane:
    """The camera's own lamp: bright in the middle."""
    ys, xs = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
    return np.asarray(1.05 - 0.62 * np.clip(np.hypot(xs, ys), 0, 1.3), np.float32)


def illuminate(canvas: Plane, light: Light, pools: Plane) -> Plane:
    """Colour, cloud and darkness."""
    if light.infrared:
        grey = cv2.transform(canvas, np.array([[0.25, 0.35, 0.4]], np.float32))
        return np.asarray(cv2.cvtColor(grey * (infrared_fall() * light.level), cv2.COLOR_GRAY2BGR), np.float32)
    level = np.full((HEIGHT, WIDTH), light.level, np.float32)
    if light.level < 0.35 and light.lamps:
        level += pools * (0.35 - light.level) * 0.9
    if light.shade:
        xs = np.linspace(0, 1, WIDTH, dtype=np.float32)
        level *= 1 - light.shade / (1 + np.exp(-(xs - light.shade_at) * 12))[None, :]
    tint = np.array([1 - 0.1 * light.warm, 1.0, 1 + 0.1 * light.warm], np.float32)
    gain = cv2.merge([level * one for one in tint])
    return np.asarray(cv2.multiply(canvas, gain), np.float32)


def headlights(picture: Plane, strength: float, rng: np.random.Generator) -> None:
    """A car looks into the camera."""
    x, y = rng.uniform(0.25, 0.75) * WIDTH, rng.uniform(0.45, 0.7) * HEIGHT
    ys, xs = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    for side in (-45, 45):
        distance = (xs - x - side) ** 2 + (ys - y) ** 2
        picture += ((np.exp(-distance / 900) * 255 + np.exp(-distance / 30_000) * 90) * strength)[..., None]


def streaks(picture: Plane, amount: float, rng: np.random.Generator) -> None:
    """Rain: bright short lines, and a little less to see."""
    layer = np.zeros((HEIGHT, WIDTH), np.uint8)
    for _ in range(int(900 * amount)):
        x, y, length = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)), int(rng.integers(8, 28))
        cv2.line(layer, (x, y), (x + length // 5, y + length), int(rng.integers(20, 70)), 1)
    mean = float(picture.mean())
    picture *= 1 - 0.25 * amount
    picture += layer[..., None].astype(np.float32) + 0.25 * amount * mean


def person(canvas: Plane, rng: np.random.Generator, horizon: int) -> None:
    """A standing figure of a size that fits its place."""
    foot = int(rng.integers(min(horizon + 60, HEIGHT - 40), HEIGHT))
    tall = max(24, int((foot - horizon) * rng.uniform(0.7, 0.95)))
    x, wide = int(rng.integers(20, WIDTH - 20)), max(6, tall // 4)
    coat = tuple(float(v) for v in rng.integers(15, 200, 3))
    cv2.ellipse(canvas, (x, foot - tall // 2), (wide // 2, tall // 3), 0, 0, 360, coat, -1, cv2.LINE_AA)
    trousers = (40.0, 35.0, 30.0)
    cv2.rectangle(canvas, (x - wide // 3, foot - tall // 3), (x + wide // 3, foot), trousers, -1)
    cv2.circle(canvas, (x, foot - int(tall * 0.88)), max(3, tall // 9), (120, 150, 200), -1, cv2.LINE_AA)


def shade_of(rng: np.random.Generator, low: int, high: int) -> tuple[int, int, int]:
    """A muted colour."""
    grey = int(rng.integers(low, high))
    blue, green, red = (int(np.clip(grey + v, 0, 255)) for v in rng.integers(-18, 19, 3))
    return blue, green, red


def draw_yard(canvas: Image, rng: np.random.Generator, horizon: int) -> None:
    canvas[:horizon] = (225, 205, 180)
    canvas[horizon:] = shade_of(rng, 95, 140)
    left = int(rng.integers(0, WIDTH // 4))
    right = left + int(rng.integers(WIDTH // 3, WIDTH // 2))
    cv2.rectangle(canvas, (left, 40), (right, horizon + 30), shade_of(rng, 130, 190), -1)
    for y in range(60, horizon, 45):
        for x in range(left + 20, right - 30, 55):
            cv2.rectangle(canvas, (x, y), (x + 30, y + 26), shade_of(rng, 40, 80), -1)
            cv2.rectangle(canvas, (x, y), (x + 30, y + 26), (215, 215, 215), 2)
    for _ in range(int(rng.integers(3, 6))):
        x = int(rng.integers(right, WIDTH))
        cv2.rectangle(canvas, (x - 5, horizon - 50), (x + 5, horizon + 30), (40, 60, 85), -1)
        for _ in range(90):
            dx, dy = rng.normal(0, 32, 2)
            leaf = (int(rng.integers(25, 60)), int(rng.integers(70, 140)), int(rng.integers(30, 80)))
            cv2.circle(canvas, (int(x + dx), int(horizon - 80 + dy)), int(rng.integers(3, 10)), leaf, -1)
    for i in range(-4, 12):
        cv2.line(canvas, (i * 120, HEIGHT), (WIDTH // 2 + (i - 4) * 30, horizon + 30), (215, 215, 215), 3, cv2.LINE_AA)
    cv2.ellipse(canvas, (WIDTH // 2, HEIGHT - 60), (260, 50), 0, 0, 360, (80, 90, 190), 4, cv2.LINE_AA)


def draw_corridor(canvas: Image, rng: np.random.Generator, horizon: int) -> None:
    canvas[:] = shade_of(rng, 165, 200)
    cx, cy = WIDTH // 2 + int(rng.integers(-90, 90)), horizon + 20
    box = (cx - 90, cy - 60, cx + 90, cy + 80)
    corners = [(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)]
    inner = [(box[0], box[1]), (box[2], box[1]), (box[2], box[3]), (box[0], box[3])]
    for index, grey in ((0, 205), (1, 175), (2, 120), (3, 165)):
        after = (index + 1) % 4
        quad = np.array([corners[index], corners[after], inner[after], inner[index]], np.int32)
        cv2.fillPoly(canvas, [quad], shade_of(rng, grey - 15, grey + 10))
    cv2.rectangle(canvas, box[:2], box[2:], shade_of(rng, 90, 150), -1)
    for outer, point in zip(corners, inner, strict=True):
        cv2.line(canvas, outer, point, (70, 70, 70), 2, cv2.LINE_AA)
    for depth in (0.15, 0.35, 0.52, 0.66, 0.78):
        for side in (0, 1):
            a, b = corners[side], inner[side]
            lower_a, lower_b = corners[3 - side], inner[3 - side]
            x0, x1 = (int(a[0] + (b[0] - a[0]) * d) for d in (depth, depth + 0.09))
            top = [int(a[1] + (b[1] - a[1]) * d + 90 * (1 - d)) for d in (depth, depth + 0.09)]
            low = [int(lower_a[1] + (lower_b[1] - lower_a[1]) * d) for d in (depth, depth + 0.09)]
            door = np.array([(x0, top[0]), (x1, top[1]), (x1, low[1]), (x0, low[0])], np.int32)
            cv2.fillPoly(canvas, [door], shade_of(rng, 60, 110))
            cv2.polylines(canvas, [door], True, (35, 45, 60), 2, cv2.LINE_AA)
        y = int(cy - 60 - (1 - depth) * (cy - 60))
        cv2.rectangle(canvas, (cx - int(90 * (1 - depth)), y), (cx + int(90 * (1 - depth)), y + 8), (245, 245, 245), -1)
    for depth in np.linspace(0, 0.9, 9):
        y = int(HEIGHT - (HEIGHT - box[3]) * depth)
        cv2.line(canvas, (int(box[0] * depth), y), (int(WIDTH - (WIDTH - box[2]) * depth), y), (95, 95, 100), 1)


def draw_classroom(canvas: Image, rng: np.random.Generator, horizon: int) -> None:
    canvas[:] = shade_of(rng, 175, 205)
    canvas[horizon + 40 :] = shade_of(rng, 100, 130)
    cv2.rectangle(canvas, (WIDTH // 4, 50), (3 * WIDTH // 4, horizon - 20), (60, 80, 45), -1)
    cv2.rectangle(canvas, (WIDTH // 4, 50), (3 * WIDTH // 4, horizon - 20), (90, 120, 150), 5)
    for line in range(4):
        start = (WIDTH // 4 + 30, 80 + line * 22)
        cv2.putText(canvas, "a+b=c 3x-5y=12", start, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (200, 210, 205), 1)
    for x in (20, 110):
        cv2.rectangle(canvas, (x, 40), (x + 70, horizon + 20), (235, 225, 205), -1)
        cv2.rectangle(canvas, (x, 40), (x + 70, horizon + 20), (120, 120, 120), 3)
        cv2.line(canvas, (x + 35, 40), (x + 35, horizon + 20), (120, 120, 120), 2)
    for row in range(5):
        y, size = horizon + 60 + row * row * 14 + row * 22, 34 + row * 14
        for column in range(-4, 5):
            x = WIDTH // 2 + int(column * size * 1.9)
            desk = shade_of(rng, 120, 160)
            cv2.rectangle(canvas, (x - size // 2, y), (x + size // 2, y + size // 3), desk, -1)
            cv2.rectangle(canvas, (x - size // 2, y), (x + size // 2, y + size // 3), (50, 60, 80), 2)
            cv2.line(canvas, (x - size // 3, y + size // 3), (x - size // 3, y + size), (60, 60, 60), 2)
            cv2.line(canvas, (x + size // 3, y + size // 3), (x + size // 3, y + size), (60, 60, 60), 2)


def draw_gate(canvas: Image, rng: np.random.Generator, horizon: int) -> None:
    canvas[:horizon] = (230, 210, 190)
    canvas[horizon:] = shade_of(rng, 80, 115)
    for x in range(0, WIDTH, 70):
        tall = int(rng.integers(50, 140))
        cv2.rectangle(canvas, (x, horizon - tall), (x + 68, horizon), shade_of(rng, 100, 180), -1)
    for x in (150, WIDTH - 190):
        cv2.rectangle(canvas, (x, horizon - 90), (x + 50, HEIGHT - 130), shade_of(rng, 90, 130), -1)
        cv2.rectangle(canvas, (x, horizon - 90), (x + 50, HEIGHT - 130), (50, 50, 60), 3)
    for x in range(205, WIDTH - 195, 22):
        cv2.line(canvas, (x, horizon), (x, HEIGHT - 150), (190, 195, 200), 4)
    cv2.line(canvas, (200, horizon + 20), (WIDTH - 190, horizon + 20), (190, 195, 200), 5)
    kiosk = int(rng.integers(10, 60))
    cv2.rectangle(canvas, (kiosk, horizon - 40), (kiosk + 120, HEIGHT - 100), shade_of(rng, 150, 200), -1)
    cv2.rectangle(canvas, (kiosk + 20, horizon), (kiosk + 100, horizon + 60), (90, 70, 50), -1)
    for i in range(8):
        cv2.line(canvas, (250 + i * 60, HEIGHT - 60), (280 + i * 60, HEIGHT - 60), (225, 225, 225), 5)
    cv2.putText(canvas, "SCHOOL", (WIDTH // 2 - 90, horizon - 25), cv2.FONT_HERSHEY_DUPLEX, 1.4, (40, 40, 170), 3)


def draw_canteen(canvas: Image, rng: np.random.Generator, horizon: int) -> None:
    canvas[:] = shade_of(rng, 170, 200)
    canvas[horizon:] = shade_of(rng, 140, 165)
    for x in range(0, WIDTH, 48):
        cv2.line(canvas, (x, 0), (x, horizon), (150, 150, 150), 1)
    for y in range(0, horizon, 36):
        cv2.line(canvas, (0, y), (WIDTH, y), (150, 150, 150), 1)
    cv2.rectangle(canvas, (WIDTH // 2, horizon - 70), (WIDTH - 20, horizon + 40), shade_of(rng, 150, 190), -1)
    for x in range(WIDTH // 2 + 20, WIDTH - 60, 70):
        cv2.ellipse(canvas, (x, horizon - 40), (26, 14), 0, 0, 360, shade_of(rng, 60, 110), -1, cv2.LINE_AA)
    for row in range(4):
        y, size = horizon + 70 + row * 75, 110 + row * 34
        for column in range(-3, 4):
            x = WIDTH // 2 + int(column * size * 1.5) + int(rng.integers(-12, 12))
            cv2.ellipse(canvas, (x, y), (size // 2, size // 6), 0, 0, 360, shade_of(rng, 80, 125), -1, cv2.LINE_AA)
            cv2.ellipse(canvas, (x, y), (size // 2, size // 6), 0, 0, 360, (50, 55, 60), 2, cv2.LINE_AA)
            for dx in (-size // 2, size // 2):
                cv2.circle(canvas, (x + dx, y + size // 5), size // 9, (60, 90, 160), -1, cv2.LINE_AA)


DRAW: Final[dict[SceneName, Callable[[Image, np.random.Generator, int], None]]] = {
    "yard": draw_yard,
    "corridor": draw_corridor,
    "classroom": draw_classroom,
    "gate": draw_gate,
    "canteen": draw_canteen,
}


def stamp(picture: Image, words: str) -> Image:
    """The camera's own clock in the corner: it runs also where the sensor hangs."""
    out = picture.copy()
    cv2.putText(out, words, (14, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 4, cv2.LINE_AA)
    cv2.putText(out, words, (14, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2, cv2.LINE_AA)
    return out


def through_h264(pictures: Sequence[Image], quantiser: int = 27) -> list[Image]:
    """What is left after a real encoder and decoder; each picture is a keyframe, as the judge gets them.
    The quantiser stands still, as that of a camera at a constant bit rate settles on a still scene."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"preset": "veryfast", "qp": str(quantiser), "g": "1", "tune": "zerolatency", "threads": "1"}
    decoder = av.CodecContext.create("h264", "r")
    packets = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    out: list[Image] = []
    for packet in [*packets, None]:
        out += [np.asarray(frame.to_ndarray(format="bgr24"), np.uint8) for frame in decoder.decode(packet)]
    return out


def through_jpeg(pictures: Sequence[Image], quality: int = 60) -> list[Image]:
    """The same through JPEG, as a snapshot has it."""
    coded = [cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for picture in pictures]
    return [np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8) for data in coded]
