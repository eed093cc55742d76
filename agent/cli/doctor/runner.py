"""Runs checks side by side, each with its own deadline."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from agent.cli.doctor.finding import Check, Finding, fail
from agent.texts import Spoken, say

T = TypeVar("T")


async def run_checks(checks: Sequence[Check]) -> list[Finding]:
    """Run all checks at once; return their findings in the order of the checks."""
    found = await asyncio.gather(*map(run_check, checks))
    return [finding for findings in found for finding in findings]


async def run_check(check: Check) -> Sequence[Finding]:
    """Run one check; an error or the end of its time is a finding."""
    try:
        async with asyncio.timeout(check.deadline_s):
            return await check.probe()
    except TimeoutError:
        message = say("doctor.timed-out", seconds=round(check.deadline_s))
        return [fail(check.name, message, say("doctor.timed-out-remedy"))]
    except Spoken as error:
        return [fail(check.name, error.text, say("doctor.see-message"))]
    except OSError as error:
        message = say("doctor.os-error", error=error.strerror or str(error), path=error.filename or "-")
        return [fail(check.name, message, say("doctor.see-message"))]
    except Exception as error:  # noqa: BLE001 - one check's bug must not hide what all the others found
        message = say("doctor.bug", error=f"{type(error).__name__}: {error}")
        return [fail(check.name, message, say("doctor.bug-remedy"))]


async def in_thread(work: Callable[[], T]) -> T:
    """Run blocking `work` in a thread that is left behind when the deadline strikes: a hung disk or resolver must
    not keep the command from ending, as a thread of the default pool would."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # a result whenever there is no error

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - handed to the waiting task, as an executor does
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await future
