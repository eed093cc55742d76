"""Made sequences for the analysis benchmark: a school's scene, people who walk, stand, gather and leave things behind,
and weather, light and a shaking mast; with a sensor's noise, and through a real H.264 encoder at a substream's quality.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import pi, sin
from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.scenes import HEIGHT as SCENE_HEIGHT
from bench.scenes import Scene, SceneName

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]
Place = tuple[float, float]
WIDTH: Final = 640
HEIGHT: Final = 360
FPS: Final = 3
WALK: Final = 0.8
"""Heights of a person in a second: 1.4 m/s at 1.7 m."""
QUANTISER: Final = 31
"""Of H.264: what 512 kbit/s leave of a busy yard."""
GROUP: Final = 12
"""Pictures from keyframe to keyframe: 4 s."""
Effect = Callable[[Plane, float, np.random.Generator], Plane]


@dataclass
class Stage:
    """Where it happens."""

    name: SceneName
    seed: int
    infrared: bool = False
    level: float = 1.0
    noise: float = 1.8
    horizon: float = field(init=False)
    base: Plane = field(init=False)

    def __post_init__(self) -> None:
        scene = Scene(self.name, self.seed)
        self.horizon = scene.horizon / SCENE_HEIGHT
        self.base = np.asarray(cv2.resize(scene.base, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.float32)
        rng = np.random.default_rng(self.seed)
        self._noise = rng.standard_normal((HEIGHT + 64, WIDTH + 64, 3), dtype=np.float32)
        ys, xs = np.mgrid[-1 : 1 : HEIGHT * 1j, -1 : 1 : WIDTH * 1j]
        self._fall = (1.05 - 0.62 * np.clip(np.hypot(xs, ys), 0, 1.3)).astype(np.float32)[..., None]

    def tall(self, y: float) -> float:
        """The height of a person whose feet are at `y`, both in parts of the picture's height."""
        return max(0.05, 0.85 * (y - self.horizon))

    def light(self, canvas: Plane) -> Plane:
        if self.infrared:
            grey = canvas @ np.array([0.25, 0.35, 0.4], np.float32)
            return np.asarray(grey[..., None] * self._fall * self.level, np.float32).repeat(3, axis=2)
        return canvas * np.float32(self.level)

    def grain(self, picture: Plane, rng: np.random.Generator) -> Image:
        dy, dx = rng.integers(0, 64, 2)
        noise = self._noise[dy : dy + HEIGHT, dx : dx + WIDTH]
        return np.asarray(np.clip(picture + noise * np.float32(self.noise), 0, 255), np.uint8)


@dataclass
class Person:
    """Somebody who goes from place to place, and waits at some. Feet, in parts of the picture."""

    stage: Stage
    start_s: float
    way: Sequence[tuple[Place, float]]
    """Places, and how long to stay at each."""
    coat: tuple[float, float, float]
    trousers: tuple[float, float, float] = (45.0, 40.0, 35.0)
    marks: list[tuple[float, Place]] = field(init=False)
    """When where: arrivals and departures."""

    def __post_init__(self) -> None:
        now_s, here = self.start_s, self.way[0][0]
        self.marks = []
        for place, stay_s in self.way:
            dx, dy = (place[0] - here[0]) * WIDTH / HEIGHT, place[1] - here[1]
            tall = self.stage.tall((here[1] + place[1]) / 2)
            now_s += (dx * dx + (2.5 * dy) ** 2) ** 0.5 / (WALK * tall)
            self.marks.append((now_s, place))
            if stay_s:
                now_s += stay_s
                self.marks.append((now_s, place))
            here = place

    @property
    def end_s(self) -> float:
        return self.marks[-1][0]

    def where(self, at_s: float) -> tuple[Place, bool] | None:
        """The feet, and whether they walk; None before and after."""
        if not self.marks[0][0] <= at_s <= self.end_s:
            return None
        for (t0, a), (t1, b) in zip(self.marks, self.marks[1:], strict=False):
            if t0 <= at_s <= t1:
                part = (at_s - t0) / max(1e-6, t1 - t0)
                return (a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part), a != b
        return self.marks[-1][1], False

    def when(self, reached: Callable[[Place], bool]) -> list[tuple[float, bool]]:
        """The times at which `reached` changes, and to what; by tenths of a second."""
        changes, before = [], False
        for tenth in range(int(self.marks[0][0] * 10), int(self.end_s * 10) + 1):
            here = self.where(tenth / 10)
            if here and reached(here[0]) != before:
                before = not before
                changes.append((tenth / 10, before))
        return changes

    def draw(self, canvas: Plane, at_s: float) -> None:
        if (here := self.where(at_s)) is None:
            return
        (fx, fy), walks = here
        tall = self.stage.tall(fy) * HEIGHT
        step = sin(2 * pi * 0.95 * at_s + self.coat[0]) if walks else 0.15 * sin(at_s * 0.9 + self.coat[1])
        sway = 0 if walks else 0.03 * tall * sin(at_s * 0.7 + self.coat[2])
        x, y = int(fx * WIDTH + sway), int(fy * HEIGHT)
        wide, hip = max(3, int(tall * 0.13)), int(y - tall * 0.47)
        thick = max(2, int(tall * 0.085))
        for way in (1, -1):
            foot = (int(x + way * step * tall * 0.16), y)
            cv2.line(canvas, (x, hip), foot, self.trousers, thick, cv2.LINE_AA)
            hand = (int(x - way * step * tall * 0.15 + way * wide), int(y - tall * 0.45))
            cv2.line(canvas, (x + way * wide // 2, int(y - tall * 0.78)), hand, self.coat, max(2, thick * 2 // 3))
        middle = (x, int(y - tall * 0.63))
        cv2.ellipse(canvas, middle, (wide, max(3, int(tall * 0.2))), 0, 0, 360, self.coat, -1, cv2.LINE_AA)
        head = (x, int(y - tall * 0.91))
        cv2.circle(canvas, head, max(2, int(tall * 0.075)), (130.0, 155.0, 200.0), -1, cv2.LINE_AA)
        cv2.ellipse(canvas, head, (max(2, int(tall * 0.075)), max(1, int(tall * 0.05))), 0, 180, 360, (25, 25, 25), -1)


@dataclass
class Bag:
    """Something put down at a time, and perhaps taken away."""

    stage: Stage
    place: Place
    from_s: float
    to_s: float
    colour: tuple[float, float, float]

    def draw(self, canvas: Plane, at_s: float) -> None:
        if self.from_s <= at_s <= self.to_s:
            tall = self.stage.tall(self.place[1]) * HEIGHT
            x, y, w, h = int(self.place[0] * WIDTH), int(self.place[1] * HEIGHT), int(tall * 0.16), int(tall * 0.22)
            cv2.rectangle(canvas, (x - w, y - h), (x + w, y), self.colour, -1)
            cv2.ellipse(canvas, (x, y - h), (w // 2, max(2, h // 3)), 0, 180, 360, (30, 30, 30), max(1, w // 5))


@dataclass
class Play:
    """One sequence."""

    stage: Stage
    seconds: float
    seed: int
    actors: Sequence[Person | Bag] = ()
    effects: Sequence[Effect] = ()
    """On the light of the scene, before the sensor."""
    shake: float = 0.0
    """Pixels (sigma) that the mast moves from picture to picture."""

    def pictures(self) -> Iterator[tuple[float, Image]]:
        """Every picture and its time, as it comes out of the decoder."""
        rng = np.random.default_rng(self.seed)
        times = [index / FPS for index in range(int(self.seconds * FPS))]
        yield from zip(times, coded(self._render(at_s, rng) for at_s in times), strict=True)

    def _render(self, at_s: float, rng: np.random.Generator) -> Image:
        canvas = self.stage.base.copy()
        present = [(here[0][1], actor) for actor in self.actors if (here := _foot(actor, at_s))]
        for _, actor in sorted(present, key=lambda one: one[0]):
            actor.draw(canvas, at_s)
        lit = self.stage.light(canvas)
        for effect in self.effects:
            lit = effect(lit, at_s, rng)
        if self.shake:
            dx, dy = rng.normal(0, self.shake, 2)
            turn = rng.normal(0, self.shake * 0.03)
            matrix = cv2.getRotationMatrix2D((WIDTH / 2, HEIGHT / 2), turn, 1.0)
            matrix[:, 2] += (dx, dy)
            lit = np.asarray(cv2.warpAffine(lit, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT), np.float32)
        return self.stage.grain(lit, rng)


def _foot(actor: Person | Bag, at_s: float) -> tuple[Place, bool] | None:
    if isinstance(actor, Person):
        return actor.where(at_s)
    return (actor.place, False) if actor.from_s <= at_s <= actor.to_s else None


def coded(pictures: Iterator[Image]) -> Iterator[Image]:
    """What a substream's encoder leaves of them: one picture in, one out."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = Fraction(1, FPS)
    options = {"preset": "superfast", "tune": "zerolatency", "qp": str(QUANTISER), "g": str(GROUP), "threads": "1"}
    encoder.options = options
    decoder = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        frame.pts = number
        for packet in encoder.encode(frame):
            for out in decoder.decode(packet):
                yield np.asarray(out.to_ndarray(format="bgr24"), np.uint8)


# What disturbs.


def rain(amount: float) -> Effect:
    def effect(lit: Plane, _: float, rng: np.random.Generator) -> Plane:
        layer = np.zeros((HEIGHT, WIDTH), np.uint8)
        for _ in range(int(500 * amount)):
            x, y, length = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)), int(rng.integers(6, 26))
            cv2.line(layer, (x, y), (x + length // 5, y + length), int(rng.integers(20, 80)), 1)
        for _ in range(rng.poisson(2 * amount)):  # drops near the lens
            x, y, length = int(rng.integers(WIDTH)), int(rng.integers(HEIGHT)), int(rng.integers(30, 90))
            cv2.line(layer, (x, y), (x + length // 4, y + length), int(rng.integers(30, 90)), int(rng.integers(2, 5)))
        return lit * np.float32(1 - 0.2 * amount) + layer[..., None]

    return effect


def lights(every_s: float, low: float) -> Effect:
    """Lamps are switched; exposure follows within a second."""

    def effect(lit: Plane, at_s: float, _: np.random.Generator) -> Plane:
        phase, since_s = int(at_s / every_s) % 2, at_s % every_s
        level = low if phase else 1.0
        before = 1.0 if phase else low
        overshoot = 0.25 * (level - before) * np.exp(-since_s / 0.5) if at_s > every_s else 0.0
        window = np.linspace(0.75, 1.25, WIDTH, dtype=np.float32)[None, :, None]  # daylight comes from one side
        return np.asarray(lit * (level + overshoot) * (window if phase else 1.0), np.float32)

    return effect


def clouds(depth: float, every_s: float) -> Effect:
    """Shadows that wander over the ground."""
    xs, ys = np.meshgrid(np.linspace(0, 1, WIDTH, dtype=np.float32), np.linspace(0, 1, HEIGHT, dtype=np.float32))

    def effect(lit: Plane, at_s: float, _: np.random.Generator) -> Plane:
        at = at_s / every_s * 2 * pi
        wave = np.sin(3.1 * xs + 1.3 * ys - at) + 0.6 * np.sin(5.3 * xs - 2.2 * ys - 1.7 * at)
        shade = 1 / (1 + np.exp(-8 * (wave - 0.4)))
        return np.asarray(lit * (1 - depth * shade)[..., None], np.float32)

    return effect


def headlights(every_s: float, strength: float) -> Effect:
    """Cars outside the picture whose beams sweep over walls and ground."""
    xs, ys = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))

    def effect(lit: Plane, at_s: float, _: np.random.Generator) -> Plane:
        since_s = at_s % every_s
        if since_s > 6:
            return lit
        way = 1 if int(at_s / every_s) % 2 else -1
        middle = WIDTH * (0.5 + way * (since_s / 6 - 0.5) * 1.4)
        pool = np.exp(-(((xs - middle) / 80) ** 2) - ((ys - HEIGHT * 0.6) / 70) ** 2)
        pool += 0.7 * np.exp(-(((xs - middle - 120) / 60) ** 2) - ((ys - HEIGHT * 0.62) / 50) ** 2)
        return np.asarray(lit * (1 + strength * pool)[..., None] + (strength * 12 * pool)[..., None], np.float32)

    return effect


def trees(stage: Stage, seed: int, count: int = 3, gust: float = 1.0) -> Effect:
    """Branches before the camera, in gusts."""
    rng = np.random.default_rng(seed)
    crowns = [(rng.uniform(0, WIDTH), rng.uniform(0.25, 0.7) * HEIGHT) for _ in range(count)]
    leaves = [
        (crown, rng.normal(0, 38, 2), int(rng.integers(4, 12)), tuple(float(v) for v in rng.integers(20, 130, 3)))
        for crown in crowns
        for _ in range(90)
    ]

    def effect(lit: Plane, at_s: float, gusts: np.random.Generator) -> Plane:
        force = gust * (6 + 6 * sin(at_s * 0.21) + 3 * sin(at_s * 0.053 + 2))
        for index, ((cx, cy), (dx, dy), size, colour) in enumerate(leaves):
            x = cx + dx + force * sin(at_s * 2.3 + index // 90 + 0.02 * dy) + gusts.normal(0, 0.3 * abs(force))
            y = cy + dy + 0.4 * force * sin(at_s * 3.1 + 0.05 * dx)
            cv2.circle(lit, (int(x), int(y)), size, tuple(v * stage.level for v in colour), -1, cv2.LINE_AA)
        return lit

    return effect


def insects(count: int, seed: int) -> Effect:
    """Moths near the infrared lamps: bright, blurred, quick, and never straight on."""
    rng = np.random.default_rng(seed)
    state = [[rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(0, 2 * pi)] for _ in range(count)]

    def effect(lit: Plane, _: float, rng: np.random.Generator) -> Plane:
        layer: Plane = np.zeros((HEIGHT, WIDTH), np.float32)
        for moth in state:
            before = int(moth[0]), int(moth[1])
            moth[2] += rng.normal(0, 1.3)
            far = rng.uniform(15, 120)
            moth[0] = (moth[0] + far * np.cos(moth[2])) % WIDTH
            moth[1] = (moth[1] + far * np.sin(moth[2])) % HEIGHT
            after = int(moth[0]), int(moth[1])
            middle = (before[0] * 2 + after[0]) // 3, (before[1] * 2 + after[1]) // 3
            if abs(after[0] - before[0]) < WIDTH / 2 and abs(after[1] - before[1]) < HEIGHT / 2:
                cv2.line(layer, middle, after, float(rng.uniform(60, 180)), int(rng.integers(4, 14)), cv2.LINE_AA)
        return np.asarray(lit + cv2.GaussianBlur(layer, (7, 7), 0)[..., None], np.float32)

    return effect
