"""What is examined: the configuration as far as it can be read, and the daemon as far as it answers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.texts import Spoken

if TYPE_CHECKING:
    from agent.config.models import Config

ASK_S: Final = 5.0
"""The daemon answers `status` from memory; one that takes so long is stuck."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One gateway."""

    config_path: Path
    config: "Config | None"
    config_error: Spoken | None
    status: Mapping[str, Any] | None
    """The daemon's own word, or None when it does not answer."""
    down: Spoken | None
    full: bool
    """Whether to read the whole journal."""

    @property
    def daemon_pid(self) -> int | None:
        return int(self.status["pid"]) if self.status else None


async def examine(config_path: Path, *, full: bool) -> Subject:
    """Load the configuration and ask the daemon."""
    from agent.config.load import ConfigErrors, load

    try:
        config = load(config_path)
    except ConfigErrors as error:
        return Subject(config_path, None, error, None, None, full)
    status, down = await ask_status(config)
    return Subject(config_path, config, None, status, down, full)


async def ask_status(config: "Config") -> tuple[Mapping[str, Any] | None, Spoken | None]:
    """Return the daemon's status, or why there is none."""
    from agent.control.client import ControlClient, ControlError, DaemonDown
    from agent.texts import say

    try:
        async with asyncio.timeout(ASK_S), ControlClient.connect(config) as client:
            answer = await client.call("status")
    except (DaemonDown, ControlError) as error:
        return None, error
    except TimeoutError:
        return None, DaemonDown(say("control.no-answer", method="status", timeout_s=ASK_S))
    return (answer, None) if isinstance(answer, dict) else (None, DaemonDown(say("control.went-away")))
