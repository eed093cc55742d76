"""Opens the console's port, on loopback only, and serves until told to stop."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from aiohttp import web

from agent.clock import Clock
from agent.config.models import ConsoleSettings
from agent.console.app import Console
from agent.console.guard import LOOPBACK, loopback_of
from agent.console.pulse import beat
from agent.control import ControlClient
from agent.texts import Language, say

log = logging.getLogger(__name__)

BACKLOG: Final = 32
SHUTDOWN_S: Final = 2.0
"""What open pages get to go; they come back by themselves."""
KEEPALIVE_S: Final = 30.0


async def serve(
    settings: ConsoleSettings,
    core: Path,
    media: Path,
    clock: Clock,
    language: Language,
    *,
    stop_on: Sequence[signal.Signals] = (),
    on_ready: Callable[[int], None] = lambda _port: None,
) -> None:
    """Serve until one of `stop_on`, or until cancelled. Raises OSError when the port cannot be had."""
    host = loopback_of(settings.host)
    if host is None:
        log.warning(say("console.loopback-only", listen=settings.listen, host=LOOPBACK, port=settings.port))
        host = LOOPBACK
    listener = bind(host, settings.port)
    port = listener.getsockname()[1]
    connect = partial(ControlClient, [core])
    console = Console(connect, media, clock, language, host=host, port=port)
    runner = web.AppRunner(
        console.app(), access_log=None, shutdown_timeout=SHUTDOWN_S, keepalive_timeout=KEEPALIVE_S, handle_signals=False
    )
    await runner.setup()
    beating = asyncio.get_running_loop().create_task(beat(connect, clock), name="heartbeat")
    try:
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        shown = f"[{host}]" if ":" in host else host
        log.info(say("console.ready", url=f"http://{shown}:{port}/"))
        on_ready(port)
        await stopped(stop_on)
    finally:
        beating.cancel()
        await runner.cleanup()


def bind(host: str, port: int) -> socket.socket:
    """Take the port; a dead console's is free at once."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


async def stopped(signals: Sequence[signal.Signals]) -> None:
    """Wait for a signal."""
    stop = asyncio.Event()
    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
