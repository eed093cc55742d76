"""When a finding becomes a fault, and when a fault is over. Pure but for one small file, so that a restart neither
forgets nor flaps.

One bad inspection is a suspicion: somebody stood before the lens, a switch restarted. It is looked at again soon; what
is found twice running (pictures: three times) is told, and it is over after two clean looks. What could not be judged
says neither.
"""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agent.camera import CameraEventKind
from agent.kinds import FAULTS
from agent.model import JsonValue
from agent.skyeye.model import Inspection, Layer
from agent.texts import Text, say

log = logging.getLogger(__name__)

NEED: Final = 2
NEED_PICTURE: Final = 3
"""People and lorries stand before a lens for half a minute and more; a lost network is lost."""
CLEAR: Final = 2
HINT_LOOKS: Final = 3
"""A camera's own suspicion stands beside ours for so many inspections: many never say that it is over."""
STORED_BYTES_MAX: Final = 4 << 20
FILE: Final = "confirmed.json"
PICTURE: Final = "picture-"
ALIKE: Final[Mapping[CameraEventKind, frozenset[str]]] = {
    "picture": frozenset({fault for fault in FAULTS if fault.startswith(PICTURE)}),
    "tamper": frozenset({"picture-covered", "picture-moved", "picture-black", "picture-blurred", "picture-white"}),
    "signal-lost": frozenset({"signal-lost", "stream", "picture-black", "picture-frozen"}),
}
"""What a camera's own word (ImageTooBlurry, GlobalSceneChange, SignalLoss ...) speaks for."""
OF_LAYER: Final[Mapping[Layer, frozenset[str]]] = {
    "network": frozenset({"offline"}),
    "login": frozenset({"login"}),
    "clock": frozenset({"camera-clock"}),
    "profile": frozenset({"stream-format"}),
    "stream": frozenset({"stream"}),
    "packets": frozenset({"stream-rate"}),
    "recordings": frozenset({"recordings"}),
}
"""What a layer that is fine, or is not asked for any more, speaks against."""


@dataclass(frozen=True, slots=True)
class FaultChange:
    """A fault raised, with its text, or cleared."""

    camera: str
    fault: str
    text: Text | None


@dataclass(slots=True)
class Count:
    """One fault of one camera."""

    bad: int = 0
    """Bad inspections running."""
    clean: int = 0
    raised: bool = False


@dataclass(slots=True)
class Hint:
    """What the camera itself said."""

    kind: CameraEventKind
    looks: int = HINT_LOOKS


@dataclass(slots=True)
class Camera:
    """All of one camera."""

    counts: dict[str, Count] = field(default_factory=dict)
    hints: dict[CameraEventKind, Hint] = field(default_factory=dict)


class Confirmer:
    """Takes inspections, gives faults."""

    def __init__(self, folder: Path | None = None) -> None:
        self._path = folder / FILE if folder else None
        self._cameras: dict[str, Camera] = {}
        if self._path:
            self._load(self._path)

    def feed(self, inspection: Inspection) -> tuple[FaultChange, ...]:
        """Take one inspection; return what is raised and cleared by it."""
        camera = self._cameras.setdefault(inspection.camera, Camera())
        found = set(inspection.faults)
        if "signal-lost" in camera.hints:
            found.add("signal-lost")
        fine = fine_in(inspection) - found
        if "signal-lost" not in found:
            fine.add("signal-lost")
        if "offline" in found:  # nothing else can be known now
            found, fine = {"offline"}, set()
        changes = [
            *(self._bad(inspection, camera, fault) for fault in sorted(found)),
            *(self._fine(inspection, camera, fault) for fault in sorted(fine)),
        ]
        for hint in [*camera.hints.values()]:
            hint.looks -= 1
            if hint.looks <= 0:
                del camera.hints[hint.kind]
        told = tuple(change for change in changes if change)
        if told and self._path:
            self._save(self._path)
        return told

    def hint(self, camera: str, kind: CameraEventKind, active: bool | None) -> None:
        """Take the camera's own word. It never raises a fault alone, but counts as one confirmation."""
        if kind not in ALIKE:
            return
        hints = self._cameras.setdefault(camera, Camera()).hints
        if active is False:
            hints.pop(kind, None)
        else:
            hints[kind] = Hint(kind)

    def standing(self, camera: str) -> frozenset[str]:
        """The faults of a camera that are raised."""
        one = self._cameras.get(camera)
        return frozenset(fault for fault, count in one.counts.items() if count.raised) if one else frozenset()

    def unsettled(self, camera: str) -> bool:
        """Whether one more look soon would tell: something is suspected, or seems to be over."""
        one = self._cameras.get(camera)
        return one is not None and any(
            count.clean > 0 if count.raised else count.bad > 0 for count in one.counts.values()
        )

    def forget(self, camera: str) -> tuple[FaultChange, ...]:
        """Drop a camera that is no more, or begins anew; return its faults as cleared."""
        gone = tuple(FaultChange(camera, fault, None) for fault in sorted(self.standing(camera)))
        self._cameras.pop(camera, None)
        if gone and self._path:
            self._save(self._path)
        return gone

    def _bad(self, inspection: Inspection, camera: Camera, fault: str) -> FaultChange | None:
        count = camera.counts.setdefault(fault, Count())
        count.bad, count.clean = count.bad + 1, 0
        need = NEED_PICTURE if fault.startswith(PICTURE) else NEED
        helped = any(fault in ALIKE[kind] for kind in camera.hints)
        if count.raised or count.bad + helped < need:
            return None
        count.raised = True
        return FaultChange(inspection.camera, fault, text_of(inspection, fault))

    def _fine(self, inspection: Inspection, camera: Camera, fault: str) -> FaultChange | None:
        if (count := camera.counts.get(fault)) is None:
            return None
        count.bad, count.clean = 0, count.clean + 1
        if count.raised and count.clean < CLEAR:
            return None
        del camera.counts[fault]
        return FaultChange(inspection.camera, fault, None) if count.raised else None

    def _save(self, path: Path) -> None:
        state: dict[str, JsonValue] = {
            camera: {
                fault: {"bad": count.bad, "clean": count.clean, "raised": count.raised}
                for fault, count in one.counts.items()
            }
            for camera, one in self._cameras.items()
            if one.counts
        }
        new = path.with_suffix(".new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with new.open("wb") as file:
                file.write(json.dumps(state).encode())
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError as error:
            log.warning(say("inspect.state-unwritable", path=str(path), error=str(error)))

    def _load(self, path: Path) -> None:
        try:
            with path.open("rb") as file:
                self._cameras = cameras_from(json.loads(file.read(STORED_BYTES_MAX)))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError) as error:
            log.warning(say("inspect.state-unreadable", path=str(path), error=f"{type(error).__name__}"))


def cameras_from(stored: Any) -> dict[str, Camera]:
    """Read what was stored. Raises ValueError and nothing else."""
    try:
        return {
            str(camera): Camera(
                {
                    fault: Count(
                        min(99, max(0, int(one["bad"]))), min(99, max(0, int(one["clean"]))), one["raised"] is True
                    )
                    for fault, one in counts.items()
                    if fault in FAULTS
                }
            )
            for camera, counts in stored.items()
        }
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a state: {error}") from None


def fine_in(inspection: Inspection) -> set[str]:
    """The faults that an inspection speaks against."""
    fine: set[str] = set()
    layers = {check.layer for check in inspection.checks}
    for check in inspection.checks:
        if check.ok is not False:
            fine |= OF_LAYER.get(check.layer, frozenset())
    if "stream" in layers:  # the whole conversation was had, and no answer was odd
        fine.add("camera-reply")
    fine |= {verdict.fault for verdict in inspection.verdicts if not verdict.bad}
    return fine - inspection.faults


def text_of(inspection: Inspection, fault: str) -> Text:
    """What is told of a fault: the words of the check or verdict that found it."""
    for verdict in inspection.verdicts:
        if verdict.bad and verdict.fault == fault:
            return verdict.text
    for check in inspection.checks:
        if check.ok is False and check.fault == fault:
            return check.text
    return say("inspect.signal-lost")
