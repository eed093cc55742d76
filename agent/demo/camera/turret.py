"""Pan, tilt and zoom of a moving camera: a position that follows speeds for a time. Pure; the clock is a parameter."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from agent.demo.camera.pictures import View

FULL_RANGE_S: Final = 4.0
"""From one end to the other at full speed."""
DEFAULT_TIMEOUT_S: Final = 10.0
"""A continuous move without a time ends by itself (PTZ 5.3.3 leaves it to the device)."""
PRESETS_MAX: Final = 64


@dataclass
class Turret:
    """One moving camera. Speeds from -1 to 1."""

    now_s: Callable[[], float]
    presets: dict[str, tuple[str, View]] = field(default_factory=dict)
    """Token to name and place."""
    moves: int = 0
    _view: View = field(default_factory=View)
    _speed: View = field(default_factory=View)
    _since_s: float = 0.0
    _until_s: float = 0.0

    def view(self) -> View:
        """Where it looks now."""
        passed_s = max(0.0, min(self.now_s(), self._until_s) - self._since_s)
        step = 2 * passed_s / FULL_RANGE_S
        return View(
            clamp(self._view.pan + self._speed.pan * step, -1),
            clamp(self._view.tilt + self._speed.tilt * step, -1),
            clamp(self._view.zoom + self._speed.zoom * step / 2, 0),
        )

    @property
    def moving(self) -> bool:
        return self.now_s() < self._until_s and self._speed != View()

    def move(self, speed: View, seconds: float | None = None) -> None:
        """Begin to move."""
        self.moves += 1
        self._view = self.view()
        self._speed = View(clamp(speed.pan, -1), clamp(speed.tilt, -1), clamp(speed.zoom, -1))
        self._since_s = self.now_s()
        self._until_s = self._since_s + (DEFAULT_TIMEOUT_S if seconds is None else seconds)

    def stop(self) -> None:
        self._view, self._speed = self.view(), View()

    def place(self, view: View) -> None:
        """Be there at once."""
        self.moves += 1
        self._view, self._speed = View(clamp(view.pan, -1), clamp(view.tilt, -1), clamp(view.zoom, 0)), View()

    def save(self, name: str, token: str | None = None) -> str:
        """Keep the place as a preset; return its token. Raises KeyError for an unknown token, or when all are used."""
        if token is None:
            if len(self.presets) >= PRESETS_MAX:
                raise KeyError("presets")
            token = next(str(number) for number in range(1, PRESETS_MAX + 1) if str(number) not in self.presets)
        elif token not in self.presets:
            raise KeyError(token)
        self.presets[token] = (name or f"Preset {token}", self.view())
        return token

    def goto(self, token: str) -> None:
        """Raises KeyError."""
        self.place(self.presets[token][1])


def clamp(value: float, least: float) -> float:
    return min(1.0, max(least, value))
