"""The demo's cameras: what is simulated, and what the daemon's configuration says of them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from agent.demo import devices
from agent.texts import Language, Text, say

USERNAME: Final = "agent"
PASSWORD: Final = "demo-2026"  # noqa: S105 - of simulated cameras, on this machine only
CLIP_AFTER_S: Final = 3
"""Shorter than in production (20 s), so that nobody waits for a clip."""
INSPECT_EVERY_S: Final = 15
"""Shorter than in production (5 min), for the same reason."""
PREROLL_S: Final = 5
PATROL: Final = "round"
PRESET: Final = "操场"
"""One that the simulated moving camera has."""


@dataclass(frozen=True, slots=True)
class Eye:
    """One camera. `button` is the device of the button that it looks at."""

    id: str
    scene: Literal["gate", "canteen", "corridor", "yard"]
    button: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    preroll_s: int | None = None
    preset: str | None = None

    @property
    def name(self) -> Text:
        """The camera's name for people."""
        return say(f"democam.camera-{self.id}")


EYES: Final = (
    Eye("gate", "gate", "guardroom", {"main": {"width": 1280, "height": 720, "kbps": 1500}}, PREROLL_S),
    Eye("canteen", "canteen"),
    Eye("corridor", "corridor", "office", {"main": {"codec": "h265"}}, PREROLL_S),
    Eye("yard", "yard", None, {"ptz": True}, PREROLL_S, PRESET),
)
COVERED: Final = EYES[1]
"""The camera that somebody covers."""
KITCHEN: Final = EYES[1]
YARD: Final = EYES[3]
"""The camera that watches the fence."""


def spec(language: Language) -> dict[str, Any]:
    """What the process of the simulated cameras is told."""
    login = {"username": USERNAME, "password": PASSWORD}
    cameras = [
        {"id": eye.id, "name": eye.name.render(language), "scene": eye.scene, **login, **eye.spec} for eye in EYES
    ]
    return {"cameras": cameras}


def toml(ports: Mapping[str, int], console_port: int, password: Path, language: Language) -> str:
    """The part of the configuration about cameras, with comments in the reader's language. `password` is a file."""

    def note(key: str) -> str:
        return f"# {say(f'democam.toml-{key}').render(language)}"

    cameras = "".join(_camera(eye, ports[eye.id], password, language) for eye in EYES)
    stops = "".join(
        f'  [[patrol.stop]]\n  camera = "{eye.id}"\n'
        + (f'  preset = "{eye.preset}"\n' if eye.preset else "")
        + '  dwell = "1s"\n'
        for eye in (EYES[0], EYES[3])
    )
    return f"""
{note("skyeye")}
[skyeye]
inspect_every = "{INSPECT_EVERY_S}s"
clip_after = "{CLIP_AFTER_S}s"
ring = "32MiB"
evidence_size = "256MiB"

{note("console")}
[console]
listen = "127.0.0.1:{console_port}"
{cameras}
[[patrol]]
id = "{PATROL}"
name = "{say("democam.patrol").render(language)}"
{stops}"""


def _camera(eye: Eye, port: int, password: Path, language: Language) -> str:
    preroll = f'preroll = "{eye.preroll_s}s"\n' if eye.preroll_s else ""
    points = devices.yard_point(language) if eye is YARD else ""
    return f"""
[[camera]]
id = "{eye.id}"
name = "{eye.name.render(language)}"
driver = "onvif"
address = "127.0.0.1"
port = {port}
username = "{USERNAME}"
password = {{ file = "{password}" }}
{preroll}{points}"""
