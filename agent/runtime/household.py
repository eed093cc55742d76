"""The processes beside the core: the eye and the console, started where the configuration has a use for them."""

import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.config.models import Config
from agent.config.skyeye import SkyeyeSettings
from agent.control import ControlError
from agent.control.protocol import Peer, eye_sockets
from agent.control.server import Call, Params
from agent.journal import Journal
from agent.model import JsonValue, Stored
from agent.runtime.cameras import Watcher
from agent.runtime.cameraverbs import CameraVerbs
from agent.runtime.child import Child, ChildLimits
from agent.runtime.desk import AlarmDesk
from agent.runtime.evidence import EvidenceOrders
from agent.runtime.eye import EyeDesk
from agent.runtime.eyeline import EyeAway, EyeLine
from agent.texts import Language, Spoken, Text, say

log = logging.getLogger(__name__)

CONSOLE_MEMORY_BYTES: Final = 256 << 20
"""It holds frames for a few browsers; at rest it takes 60 MB."""
RELOAD_S: Final = 10.0
"""An eye that has not taken a new configuration by then is started anew."""
LIVE_SETTINGS: Final = (
    *("memory_bytes", "evidence_size_bytes", "evidence_keep_s", "media_hosts", "media_ca"),
    *("upload", "clip_after_s"),
)
"""Of [skyeye], what the eye takes over while it runs; for the rest it is started anew."""


class NotTheConsole(Spoken):
    """A process that is not the console speaks for it."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What the processes are started with, before the arguments that both have."""

    eye: tuple[str, ...] = (sys.executable, "-m", "agent.skyeye")
    console: tuple[str, ...] = (sys.executable, "-m", "agent.console")
    eye_limits: ChildLimits = field(default_factory=lambda: ChildLimits(SkyeyeSettings().memory_bytes))
    """Its memory is the configuration's."""
    console_limits: ChildLimits = field(default_factory=lambda: ChildLimits(CONSOLE_MEMORY_BYTES))


class Household:
    """Builds and keeps the eye, the console, and what speaks to them."""

    def __init__(
        self,
        config: Callable[[], Config],
        config_path: Path,
        language: Language,
        desk: AlarmDesk,
        clock: Clock,
        programs: Programs,
    ) -> None:
        self._config = config
        self._config_path = config_path
        self._language = language
        self._desk = desk
        self._programs = programs
        self._group: asyncio.TaskGroup | None = None
        self._control: Path | None = None
        self.eye = Child("eye", self._eye_command, programs.eye_limits, clock, self._eye_fault)
        self.console = Child("console", self._console_command, programs.console_limits, clock, self._console_fault)
        self.eye_desk = EyeDesk(config, desk, clock, pid=lambda: self.eye.pid, on_beat=self.eye.beat)
        self.line = EyeLine(self.eye, self._eye_socket, lambda: bool(config().cameras))
        self.cameras = Watcher(config, self.eye_desk, self.line, self.eye)
        self.verbs = CameraVerbs(config, self.cameras, self.line)
        self.evidence = EvidenceOrders(config, desk, self.line, clock)
        self.on_inventory: Callable[[], None] = lambda: None
        """Called when the health of every camera may have changed. Must not wait or raise."""
        self.eye.on_change = self._eye_changed

    def listen(self, journal: Journal, tail: Sequence[Stored]) -> None:
        """Hear of alarms from now on, and take up what the last run has left at the end of the chain."""
        self.evidence.resume(tail)
        journal.on_stored(self.evidence.stored)

    async def start(self, group: asyncio.TaskGroup, control: Path | None) -> None:
        """Start what the configuration wants; `control` is the socket that both processes speak to us through. Raises
        JournalError."""
        self._group, self._control = group, control
        config = self._config()
        for camera in config.cameras:
            if not camera.inspect:
                await self._clear_faults(camera.id)
        await self._settle(config)

    async def apply(self, old: Config) -> list[str]:
        """Bring the processes in line with a changed configuration; return what was touched. Raises JournalError."""
        config = self._config()
        self.eye_desk.prune()
        touched: list[str] = []
        if old.console != config.console:
            await self.console.stop()
            touched.append("console")
        if self.eye.state != "off" and config.cameras and eye_part(old) != eye_part(config):
            touched.append("eye")
            if not same_start(old.skyeye, config.skyeye) or not await self._eye_reloads():
                await self.eye.stop()
        elif bool(old.cameras) != bool(config.cameras):
            touched.append("eye")
        await self._settle(config)
        return touched

    async def stop_console(self) -> None:
        """End the console, which meets people: they see at once that it is over."""
        await self.console.stop()

    async def stop_eye(self) -> None:
        """End the eye. The control socket must still be open: it may have last words."""
        await self.eye.stop()
        await self.evidence.close()

    async def _settle(self, config: Config) -> None:
        """Start and stop what is and is not wanted."""
        assert self._group is not None, "start first"
        self.eye.allow(config.skyeye.memory_bytes)
        for child, wanted in ((self.eye, bool(config.cameras)), (self.console, config.console is not None)):
            if not wanted:
                await child.stop()
                await self._desk.fault(child.name, None)
                if child is self.eye:
                    await self._desk.fault("evidence", None)
            elif self._control is None:
                await self._desk.fault(
                    child.name, say("runtime.child-no-socket", name=say(f"runtime.child-{child.name}"))
                )
            else:
                child.start(self._group)

    async def _eye_reloads(self) -> bool:
        try:
            await self.line.call("reload", RELOAD_S)
        except (EyeAway, ControlError) as error:
            log.warning(say("runtime.eye-no-reload", error=error))
            return False
        return True

    async def _clear_faults(self, camera: str) -> None:
        """Nobody looks after this camera: what is said of it would stand for ever."""
        for view in self._desk.engine.faults():
            if view.device == camera and view.point is None:
                await self._desk.fault(view.fault, None, device=camera)

    def calls(self) -> dict[str, Call]:
        """The methods of the control socket that are the eye's and the console's."""
        return {**self.eye_desk.calls(), "console-alive": self._console_alive}

    async def _console_alive(self, _params: Params, peer: Peer) -> JsonValue:
        if peer.pid != self.console.pid:
            raise NotTheConsole(say("runtime.not-the-console"))
        self.console.beat()
        return {}

    async def _eye_fault(self, text: Text | None) -> None:
        await self._desk.fault("eye", text)

    async def _console_fault(self, text: Text | None) -> None:
        await self._desk.fault("console", text)

    def _eye_changed(self) -> None:
        self.evidence.poke()
        self.on_inventory()

    def _eye_socket(self) -> Path | None:
        return eye_sockets(self._control)[0] if self._control else None

    def _eye_command(self) -> tuple[str, ...]:
        assert self._control is not None, "start first"
        socket, media = eye_sockets(self._control)
        return (*self._programs.eye, *self._common(), "--socket", str(socket), "--media", str(media))

    def _console_command(self) -> tuple[str, ...]:
        assert self._control is not None, "start first"
        _, media = eye_sockets(self._control)
        return (*self._programs.console, *self._common(), "--media", str(media))

    def _common(self) -> tuple[str, ...]:
        """JSON, as its log goes through ours (agent.runtime.childlog)."""
        return (
            *("--config", str(self._config_path)),
            *("--core", str(self._control)),
            *("--lang", self._language),
            *("--log-format", "json", "--log-level", log_level()),
        )


def eye_part(config: Config) -> tuple[object, ...]:
    """What the eye reads of a configuration."""
    return config.cameras, config.patrols, config.skyeye, config.devices, config.rules


def same_start(old: SkyeyeSettings, new: SkyeyeSettings) -> bool:
    """Whether the eye can go on with changed settings of its own."""
    return all(
        getattr(old, name) == getattr(new, name) for name in SkyeyeSettings.model_fields if name not in LIVE_SETTINGS
    )


def log_level() -> str:
    """What we log ourselves, as both processes take it."""
    level = logging.getLogger().getEffectiveLevel()
    return {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}.get(level, "error")
