"""One blocking call at a time, in a thread of its own and with a deadline.

asyncio's default executor is shared by the whole process: a few look-ups that hang would block every other user
of it, and its threads are waited for at exit. Threads from here are daemons, and each owner has its own.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class StillRunning(Exception):
    """The call before this one was given up, and hangs in the kernel or in a library to this moment."""


class Worker:
    """Runs blocking calls, never two at once: so at most one thread of it ever hangs."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: Future[object] | None = None

    async def call(self, work: Callable[[], T], *, deadline_s: float, discard: Callable[[T], None] | None = None) -> T:
        """Return what `work` returns, or raise what it raises; raise TimeoutError after `deadline_s`, and
        StillRunning while an earlier call hangs. A result that comes too late goes to `discard`."""
        if self._running is not None and not self._running.done():
            raise StillRunning(self._name)
        result: Future[T] = Future()
        self._running = result  # type: ignore[assignment]  # only `done()` is asked of it, whatever its type
        threading.Thread(target=_run, args=(work, result), name=self._name, daemon=True).start()
        waiting = asyncio.wrap_future(result)
        try:
            async with asyncio.timeout(deadline_s):
                return await asyncio.shield(waiting)
        except (TimeoutError, asyncio.CancelledError):
            if discard is not None:
                result.add_done_callback(lambda late: _discard(late, discard))
            waiting.cancel()
            raise


def _run(work: Callable[[], T], result: Future[T]) -> None:
    result.set_running_or_notify_cancel()
    try:
        result.set_result(work())
    except Exception as error:  # noqa: BLE001 - not handled here but handed to whoever waits for it
        result.set_exception(error)


def _discard(late: Future[T], discard: Callable[[T], None]) -> None:
    if not late.cancelled() and late.exception() is None:
        discard(late.result())
