"""`campus-agent test path`: a test notice over one second path, step by step."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from agent.cli.shared import OK, PROBLEM, Environment, JsonFlag, environment, print_json_line, run_async
from agent.texts import Spoken, say

if TYPE_CHECKING:
    from agent.config.models import Config

TEST_S: Final = 360.0
"""What a session may take to send to twenty phones, and a little more."""


class TooLong(Spoken):
    """The path is still at it."""


def path(
    ctx: typer.Context,
    path: Annotated[str, typer.Argument(metavar="PATH", help="cli.arg-path")],
    as_json: JsonFlag = False,
) -> int:
    """Send a test notice, and print what the path does."""
    env = environment(ctx)
    try:
        last = run_async(follow(env, env.config(), path, as_json=as_json))
    except TimeoutError:
        raise TooLong(say("cli.test-path-timeout", path=path, seconds=round(TEST_S))) from None
    return OK if last.get("state") == "passed" else PROBLEM


async def follow(env: Environment, config: "Config", path: str, *, as_json: bool) -> dict[str, Any]:
    """Print each step; return the last. Raises TimeoutError, DaemonDown, ControlError."""
    from agent.cli.calls import listen

    last: dict[str, Any] = {}
    async with asyncio.timeout(TEST_S):
        async for step in listen(config, "test-path", path=path):
            last = dict(step)
            if as_json:
                print_json_line(step)
            else:
                mark = {"passed": "OK  ", "failed": "!!  "}.get(str(step["state"]), "    ")
                print(mark + env.pick(step["text"]), flush=True)
    return last
