"""Whole days of cameras with which nothing is wrong: dawn and dusk, clouds, rain, lessons and breaks, light switches,
headlights, a focus that hunts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import cv2
import numpy as np

from bench.scenes import OUTDOOR, Image, Light, Scene, SceneName, stamp

Night = Literal["infrared", "lamps", "nothing"]
CAMERAS: Final[tuple[tuple[SceneName, Night], ...]] = (
    ("yard", "infrared"),
    ("yard", "nothing"),
    ("gate", "lamps"),
    ("corridor", "infrared"),
    ("classroom", "infrared"),
    ("canteen", "nothing"),
)
"""What is at night: infrared, some lamps, or nothing at all to see."""
DAWN: Final = 6.6
DUSK: Final = 17.3
HUNTS: Final = 0.01
"""Share of pictures that meet the focus while it hunts."""


@dataclass
class Day:
    """One day of one camera."""

    scene: Scene
    night: Night
    rng: np.random.Generator
    rain_from: float
    rain_hours: float
    cloudy: float
    weekend: bool

    def outside(self, hour: float) -> float:
        """Daylight, from 0 to 1."""
        up = np.clip((hour - DAWN) / 0.9, 0, 1) * np.clip((DUSK + 0.6 - hour) / 0.9, 0, 1)
        return float(up)

    def light(self, hour: float) -> Light:
        """The light at an hour."""
        rng, sun = self.rng, self.outside(hour)
        clouds = 1 - self.cloudy * float(rng.uniform(0.1, 0.5))
        if self.scene.name in OUTDOOR:
            level, noise = sun * clouds, 1.5 + 3 * (1 - sun)
            warm = 0.7 * (1 - abs(2 * sun - 1)) - 0.3 * self.cloudy
        else:
            busy = 7 <= hour < 21 and not self.weekend
            switched = busy and rng.random() > 0.06
            level = 0.35 * sun * clouds + (0.6 if switched else 0.0)
            noise, warm = 1.5 + 2 * (level < 0.3), 0.3 if switched else -0.2
        if level < 0.16:
            if self.night == "infrared":
                return Light(0.8, infrared=True, noise=4.0, headlight=self.beam(hour))
            if self.night == "lamps":
                return Light(max(level, 0.08), noise=5.0, warm=0.8, headlight=self.beam(hour))
            return Light(max(level, 0.004), lamps=False, noise=1.0)
        shade = float(rng.uniform(0, 0.55)) if sun > 0.5 and rng.random() < 0.6 else 0.0
        lamps = self.night == "lamps"
        return Light(level, lamps=lamps, warm=float(warm), shade=shade, shade_at=(hour - 6) / 12, noise=float(noise))

    def beam(self, hour: float) -> float:
        """A car, now and then, where cars are."""
        often = 0.15 if 17 < hour < 22 else 0.04
        return float(self.rng.uniform(0.5, 1.2)) if self.scene.name == "gate" and self.rng.random() < often else 0.0

    def people(self, hour: float) -> int:
        """How many are there."""
        if self.weekend or not 7 <= hour < 18:
            return int(self.rng.random() < 0.05)
        crowd = 14 if 11.5 < hour < 12.5 or 16.5 < hour < 17 else 6
        return int(self.rng.integers(0, crowd))

    def pair(self, at: datetime) -> list[Image]:
        """The earlier and the newest picture of one inspection, before the encoder."""
        hour = at.hour + at.minute / 60 + at.second / 3600
        light, people = self.light(hour), self.people(hour)
        rain = 0.0
        if self.scene.name in OUTDOOR and self.rain_from <= hour < self.rain_from + self.rain_hours:
            rain = float(self.rng.uniform(0.3, 1.0))
        pictures = [self.scene.render(light, self.rng, people=people, rain=rain) for _ in (0, 1)]
        if self.rng.random() < HUNTS:
            sigma = float(self.rng.uniform(2, 5))
            pictures = [np.asarray(cv2.GaussianBlur(one, (0, 0), sigma), np.uint8) for one in pictures]
        return [stamp(one, f"{at:%Y-%m-%d %H:%M:}{at.second + step:02}") for step, one in enumerate(pictures)]


def day_of(scene: Scene, night: Night, number: int) -> Day:
    """The weather of one day."""
    rng = np.random.default_rng(scene.seed * 97 + number)
    return Day(
        scene,
        night,
        rng,
        rain_from=float(rng.uniform(0, 20)),
        rain_hours=float(rng.uniform(1, 6)),
        cloudy=float(rng.random()),
        weekend=number % 4 == 2,
    )
