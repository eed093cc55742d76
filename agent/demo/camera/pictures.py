"""Made scenes: what the simulated cameras look at. Drawn with OpenCV, the same for the same arguments."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.demo.camera.spec import Light, SceneName

Image: TypeAlias = NDArray[np.uint8]
WORLD: Final = (1280, 720)
"""Width and height of a scene, before a camera looks at all or a part of it."""
NOISES: Final = 4
NIGHT_GAIN: Final = 0.42
WIDEST_ZOOM: Final = 1.6
"""A moving camera sees so much less than the whole scene, and can turn."""
MOST_ZOOM: Final = 6.0
Color: TypeAlias = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class View:
    """Where a moving camera looks: pan and tilt from -1 to 1, zoom from 0 to 1."""

    pan: float = 0.0
    tilt: float = 0.0
    zoom: float = 0.0


@dataclass(frozen=True, slots=True)
class Figure:
    """Somebody who walks from one place to the other and back, once in a period times `laps`. Places are parts of the
    scene."""

    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    color: Color
    laps: int = 1
    offset: float = 0.0


FIGURES: Final[dict[SceneName, tuple[Figure, ...]]] = {
    "gate": (
        Figure((0.10, 0.86), (0.90, 0.82), 0.26, (60, 60, 190)),
        Figure((0.48, 0.62), (0.55, 0.97), 0.20, (180, 120, 40), 1, 0.3),
    ),
    "canteen": (
        Figure((0.15, 0.70), (0.80, 0.72), 0.22, (240, 240, 240)),
        Figure((0.85, 0.90), (0.25, 0.93), 0.30, (80, 160, 60), 1, 0.5),
    ),
    "corridor": (
        Figure((0.50, 0.60), (0.42, 0.98), 0.24, (170, 90, 60)),
        Figure((0.56, 0.58), (0.62, 0.80), 0.18, (70, 70, 70), 2, 0.2),
    ),
    "yard": (
        Figure((0.05, 0.75), (0.95, 0.78), 0.14, (50, 170, 200)),
        Figure((0.80, 0.90), (0.30, 0.62), 0.16, (150, 60, 150), 1, 0.4),
        Figure((0.30, 0.84), (0.60, 0.86), 0.15, (60, 60, 60), 2, 0.1),
    ),
}


def draw(
    scene: SceneName,
    seconds: float,
    size: tuple[int, int],
    *,
    period_s: float = 8.0,
    light: Light = "day",
    view: View | None = None,
    label: str = "",
    seed: int = 0,
) -> Image:
    """Draw what a camera sees at a time. `view` is a moving camera's; `label` is burnt in, with the time."""
    world = background(scene).copy()
    for figure in FIGURES[scene]:
        walk(world, figure, seconds / period_s)
    if view:
        world = looked_at(world, view)
    image = np.asarray(cv2.resize(world, size, interpolation=cv2.INTER_AREA), np.uint8)
    if light == "night":
        image = darken(image)
    above, below = grain(size, 5 if light == "night" else 2, seed)[int(seconds * 1000) // 37 % NOISES]
    image = np.asarray(cv2.subtract(cv2.add(image, above), below), np.uint8)
    burn(image, label, seconds)
    return image


def walk(world: Image, figure: Figure, turns: float) -> None:
    """Draw one figure; it goes there and back."""
    part = (turns * figure.laps + figure.offset) % 1.0
    along = 2 * part if part < 0.5 else 2 - 2 * part
    width, height = WORLD
    x = int((figure.start[0] + (figure.end[0] - figure.start[0]) * along) * width)
    foot = int((figure.start[1] + (figure.end[1] - figure.start[1]) * along) * height)
    tall = int(figure.height * height)
    swing = int(math.sin(turns * figure.laps * 40) * tall * 0.12)
    hip, neck = foot - int(tall * 0.45), foot - int(tall * 0.82)
    cv2.ellipse(world, (x, foot), (tall // 5, tall // 20), 0, 0, 360, (60, 60, 60), -1)
    for side in (swing, -swing):
        cv2.line(world, (x, hip), (x + side, foot), (50, 40, 40), max(2, tall // 12))
    cv2.ellipse(world, (x, (hip + neck) // 2), (tall // 8, (hip - neck) // 2 + 4), 0, 0, 360, figure.color, -1)
    cv2.circle(world, (x, neck - tall // 12), max(2, tall // 11), (150, 180, 220), -1)


def looked_at(world: Image, view: View) -> Image:
    """The part of the scene that a moving camera sees."""
    zoom = WIDEST_ZOOM + (MOST_ZOOM - WIDEST_ZOOM) * min(1.0, max(0.0, view.zoom))
    width, height = int(WORLD[0] / zoom), int(WORLD[1] / zoom)
    left = int((WORLD[0] - width) * (min(1.0, max(-1.0, view.pan)) + 1) / 2)
    top = int((WORLD[1] - height) * (1 - min(1.0, max(-1.0, view.tilt))) / 2)
    return world[top : top + height, left : left + width]


def darken(image: Image) -> Image:
    """Night under infra-red light: grey, dark, brighter in the middle."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    height, width = image.shape[:2]
    return np.asarray(cv2.multiply(grey, lamp(width, height), dtype=cv2.CV_8U), np.uint8)


@lru_cache(maxsize=8)
def lamp(width: int, height: int) -> NDArray[np.float32]:
    """The cone of an infra-red light."""
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    cone = NIGHT_GAIN * (1.35 - 0.6 * (across**2 + down**2))
    return np.repeat(cone[:, :, None], 3, axis=2).astype(np.float32)


@lru_cache(maxsize=8)
def grain(size: tuple[int, int], sigma: int, seed: int) -> tuple[tuple[Image, Image], ...]:
    """Some pictures of sensor noise: what it adds, and what it takes (two additions of bytes are quicker than one of
    wider numbers)."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(NOISES):
        noise = random.standard_normal((size[1], size[0], 3), np.float32) * sigma
        made.append((np.maximum(noise, 0).astype(np.uint8), np.maximum(-noise, 0).astype(np.uint8)))
    return tuple(made)


def burn(image: Image, label: str, seconds: float) -> None:
    """Name and time, as cameras write them: white on black."""
    height, width = image.shape[:2]
    scale = height / 720
    whole = int(seconds)
    clock = f"{whole // 3600 % 24:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{int(seconds * 10) % 10}"
    for text, place in ((clock, (int(20 * scale), int(40 * scale))), (label, (int(20 * scale), int(700 * scale)))):
        (wide, tall), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        cv2.rectangle(
            image, (place[0] - 2, place[1] - tall - 2), (place[0] + wide + 2, place[1] + below), (30,) * 3, -1
        )
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    cv2.circle(image, (width - int(30 * scale), int(30 * scale)), max(2, int(8 * scale)), (40, 40, 220), -1)


@lru_cache(maxsize=4)
def background(scene: SceneName) -> Image:
    """What stands still."""
    width, height = WORLD
    image = np.zeros((height, width, 3), np.uint8)
    {"gate": gate, "canteen": canteen, "corridor": corridor, "yard": yard}[scene](image)
    texture = np.random.default_rng(len(scene)).normal(0, 5, (height, width, 1)).astype(np.int16)
    return np.asarray(cv2.add(image, np.repeat(texture, 3, axis=2), dtype=cv2.CV_8U), np.uint8)


def shade(image: Image, top: int, bottom: int, above: Color, below: Color) -> None:
    """Fill rows with a colour that turns into another."""
    part = np.linspace(0, 1, bottom - top)[:, None, None]
    image[top:bottom] = (np.array(above) * (1 - part) + np.array(below) * part).astype(np.uint8)


def box(
    image: Image, corner: tuple[int, int], other: tuple[int, int], color: Color, edge: Color = (40, 40, 40)
) -> None:
    cv2.rectangle(image, corner, other, color, -1)
    cv2.rectangle(image, corner, other, edge, 2)


def tree(image: Image, x: int, foot: int, tall: int) -> None:
    cv2.line(image, (x, foot), (x, foot - tall // 2), (40, 60, 90), max(4, tall // 14))
    for across, up, part in ((0, 80, 30), (-22, 62, 24), (22, 64, 24), (0, 55, 26)):
        center = (x + across * tall // 100, foot - up * tall // 100)
        cv2.circle(image, center, part * tall // 100, (50 + across, 120 + up // 4, 50), -1)


def gate(image: Image) -> None:
    """The school gate: road, pillars, sliding gate, the gatehouse."""
    shade(image, 0, 330, (235, 200, 160), (230, 225, 215))
    shade(image, 330, 720, (120, 125, 125), (90, 95, 95))
    for x in range(-200, 1480, 160):
        box(image, (x, 150 + x % 3 * 20), (x + 120, 330), (150, 165 + x % 7 * 5, 180))
        for row in range(180, 320, 40):
            for column in range(x + 12, x + 110, 28):
                cv2.rectangle(image, (column, row), (column + 16, row + 22), (110, 90, 70), -1)
    cv2.fillPoly(image, [np.array([[420, 330], [860, 330], [1200, 720], [80, 720]])], (105, 105, 108))
    for at in range(340, 720, 60):
        cv2.line(image, (640, at), (640, at + 26), (220, 220, 220), 3 + (at - 330) // 60)
    for x in (330, 900):
        box(image, (x, 190), (x + 60, 480), (90, 110, 160))
        box(image, (x - 10, 170), (x + 70, 195), (120, 140, 190))
    for x in range(395, 640, 18):
        cv2.line(image, (x, 260), (x, 440), (160, 160, 165), 4)
    cv2.rectangle(image, (390, 260), (640, 440), (150, 150, 155), 4)
    box(image, (980, 250), (1230, 500), (170, 190, 200))
    box(image, (1010, 300), (1110, 390), (150, 120, 90))
    box(image, (1140, 310), (1200, 500), (60, 80, 110))
    cv2.line(image, (960, 430), (700, 380), (40, 40, 220), 8)
    tree(image, 140, 470, 330)


def canteen(image: Image) -> None:
    """The canteen: counter, tables, lamps."""
    shade(image, 0, 300, (205, 215, 220), (190, 205, 212))
    for row in range(300, 720, 42):
        for column in range(0, 1280, 64):
            tone = 165 if (row // 42 + column // 64) % 2 else 190
            cv2.rectangle(image, (column, row), (column + 64, row + 42), (tone, tone + 4, tone + 8), -1)
    box(image, (60, 180), (1220, 300), (170, 170, 180))
    for x in range(90, 1200, 140):
        box(image, (x, 90), (x + 110, 175), (220, 235, 240))
        box(image, (x + 10, 195), (x + 100, 235), (40, 90 + x % 90, 180))
    for x in range(120, 1280, 290):
        cv2.ellipse(image, (x, 30), (60, 14), 0, 0, 360, (250, 250, 250), -1)
    for row, tall in ((390, 46), (520, 62), (650, 78)):
        for x in range(60, 1280, 300):
            box(image, (x, row), (x + 200, row + tall), (70, 130, 190))
            for seat in (x + 30, x + 150):
                cv2.circle(image, (seat, row + tall + 14), tall // 3, (60, 70, 160), -1)


def corridor(image: Image) -> None:
    """A corridor in perspective: doors, lamps, a notice board."""
    image[:] = (200, 212, 215)
    center = np.array([640, 330])
    corners = [np.array(corner) for corner in ([0, 0], [1280, 0], [1280, 720], [0, 720])]
    inner = [center + (corner - center) * 12 // 100 for corner in corners]
    tones = ((225, 228, 230), (185, 200, 205), (120, 130, 140), (175, 195, 200))
    for number, tone in enumerate(tones):
        after = (number + 1) % 4
        face = np.array([corners[number], corners[after], inner[after], inner[number]])
        cv2.fillPoly(image, [face], tone)
    for part in (0.16, 0.24, 0.36, 0.54, 0.80):
        for side in (-1, 1):
            near, far = part, part * 0.82
            door = [(640 + side * 640 * near, 330 + 390 * near), (640 + side * 640 * far, 330 + 390 * far)]
            door += [(640 + side * 640 * far, 330 - 200 * far), (640 + side * 640 * near, 330 - 200 * near)]
            cv2.fillPoly(image, [np.array(door).astype(int)], (80, 110, 150 if side > 0 else 130))
            cv2.polylines(image, [np.array(door).astype(int)], True, (40, 50, 60), 2)
        cv2.ellipse(image, (640, int(330 - 320 * part)), (int(120 * part), int(26 * part)), 0, 0, 360, (255,) * 3, -1)
        cv2.line(
            image,
            (int(640 - 640 * part), int(330 + 390 * part)),
            (int(640 + 640 * part), int(330 + 390 * part)),
            (95, 105, 115),
            2,
        )
    box(image, (590, 290), (690, 360), (150, 170, 180))
    box(image, (620, 305), (660, 360), (60, 90, 120))


def yard(image: Image) -> None:
    """The yard: running track, basket, building, trees."""
    shade(image, 0, 260, (240, 205, 160), (235, 230, 220))
    shade(image, 260, 720, (80, 140, 90), (60, 115, 70))
    box(image, (180, 60), (980, 300), (165, 185, 205))
    for row in range(85, 280, 50):
        for column in range(205, 960, 52):
            box(image, (column, row), (column + 34, row + 30), (130, 110, 90))
    cv2.ellipse(image, (640, 520), (600, 180), 0, 0, 360, (70, 80, 170), -1)
    for inset in range(0, 90, 18):
        cv2.ellipse(image, (640, 520), (600 - inset, 180 - inset // 2), 0, 0, 360, (210, 210, 215), 2)
    cv2.ellipse(image, (640, 520), (500, 130), 0, 0, 360, (70, 150, 80), -1)
    cv2.line(image, (1090, 560), (1090, 330), (90, 90, 90), 10)
    box(image, (1040, 300), (1140, 370), (230, 230, 235))
    cv2.ellipse(image, (1090, 372), (24, 8), 0, 0, 360, (30, 90, 230), 3)
    cv2.line(image, (90, 470), (90, 90), (170, 170, 175), 6)
    cv2.rectangle(image, (95, 95), (190, 155), (40, 40, 210), -1)
    for x, foot in ((60, 330), (1060, 300), (1190, 310)):
        tree(image, x, foot, 170)
