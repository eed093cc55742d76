"""One call to the daemon, for commands that need only that."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

from agent.cli.shared import run_async

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.model import JsonValue

SLOW_S: Final = 65.0
"""The daemon ends a command after a minute; a self-test with a long pulse and a dead path takes most of that."""


def ask(config: "Config", method: str, **params: "JsonValue") -> Any:
    """Call one method of the daemon and return its result. Raises DaemonDown, ControlError."""
    return run_async(_ask(config, method, params))


def command_slowly(config: "Config", verb: str) -> Any:
    """Run a command that may take as long as any command may, and return its reply. Raises DaemonDown, ControlError."""
    return run_async(_ask(config, "command", {"verb": verb}, SLOW_S))


async def _ask(config: "Config", method: str, params: "dict[str, JsonValue]", *patience_s: float) -> Any:
    from agent.control.client import ControlClient

    async with ControlClient.connect(config) as client:
        return await client.call(method, *patience_s, **params)


async def listen(config: "Config", method: str, **params: "JsonValue") -> AsyncIterator[Any]:
    """Yield the items of one stream of the daemon. Raises DaemonDown, ControlError."""
    from agent.control.client import ControlClient

    async with ControlClient.connect(config) as client:
        async for item in client.stream(method, **params):
            yield item
