"""A process beside the core: started, limited, watched, ended, and started again. Nothing in here can delay the core.

The child ends with the core by itself (agent.childhood). It is ended by force when it takes more memory than it may,
when it does not answer any more, and when it is stopped (SIGSTOP) for long. Its failure is a fault that stands until
it has lived for some time.
"""

import asyncio
import logging
import os
import resource
import signal
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from agent import childhood
from agent.backoff import HEALTHY_S, Backoff
from agent.clock import NS_PER_S, Clock
from agent.journal import JournalError
from agent.logs import Loudness
from agent.runtime.childlog import ChildLog
from agent.texts import Text, say

log = logging.getLogger(__name__)

ChildState = Literal["off", "starting", "running", "waiting"]
"""off: not wanted. starting: not heard yet. waiting: it failed and will be started again."""

RETRY_CAP_S: Final = 60.0
OWN_STALL_S: Final = 5.0
"""If we have not looked for so long ourselves (a suspended machine), its silence proves nothing."""
TRACE_S: Final = 1.0
"""What a hung child is given to write where its threads stand (SIGABRT, faulthandler)."""
LAST_WORDS_S: Final = 0.5
"""A pipe holds 64 KiB, which is read in a millisecond."""
DRAIN_BYTES: Final = 64 * 1024
NOT_FOR_CHILDREN: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")
"""Of systemd's word to us: only the core reports, and a child's log goes through ours."""
PAGE_BYTES: Final = resource.getpagesize()
PROC: Final = Path("/proc")


@dataclass(frozen=True, slots=True)
class ChildLimits:
    """What a child may do."""

    memory_bytes: int
    """Resident."""
    silence_s: float = 30.0
    """Without a heartbeat it hangs: the eye has missed six, the console fifteen."""
    start_s: float = 90.0
    """The same for the first heartbeat: a slow card takes a while for 100 MB of libraries."""
    look_s: float = 0.5
    """A leak of 100 MB a second is found 50 MB late."""
    stop_s: float = 3.0
    """What a stop gives it to end by itself."""
    steady_s: float = HEALTHY_S
    """It has lived for so long: its fault is over, and the next failure is a first one."""


class Child:
    """One child process. `command` is asked before every start; `on_fault` raises its fault, or clears it (None)."""

    def __init__(
        self,
        name: Literal["eye", "console"],
        command: Callable[[], Sequence[str]],
        limits: ChildLimits,
        clock: Clock,
        on_fault: Callable[[Text | None], Awaitable[None]],
    ) -> None:
        self.name = name
        self.limits = limits
        self._command = command
        self._clock = clock
        self._on_fault = on_fault
        self._output = ChildLog(name, clock)
        self._loudness = Loudness()
        self._task: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._stopping = False
        self._heard_ns = 0
        self._looked_ns = 0
        self.state: ChildState = "off"
        self.restarts = 0
        self.error: Text | None = None
        """Why it failed last; forgotten when it has lived for some time."""
        self.rss_bytes: int | None = None
        self.starts = 0
        self.on_change: Callable[[], None] = lambda: None
        """Called when `state` changes. Must not wait or raise."""

    @property
    def pid(self) -> int | None:
        """The process, if there is one."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def allow(self, memory_bytes: int) -> None:
        """Change the limit of its memory."""
        self.limits = replace(self.limits, memory_bytes=memory_bytes)

    def beat(self) -> None:
        """It has shown that it lives."""
        self._heard_ns = self._clock.boottime_ns()
        if self.state == "starting":
            self._become("running")

    def start(self, group: asyncio.TaskGroup) -> None:
        """Have it run from now on."""
        if self._task is None:
            self._stopping = False
            self._task = group.create_task(self._run(), name=self.name)

    async def stop(self) -> None:
        """End it: SIGTERM, then by force."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        if (process := self._process) is not None and process.returncode is None:
            self._signal(signal.SIGTERM)
            self._signal(signal.SIGCONT)  # a stopped process hears nothing else
            with suppress(TimeoutError):
                async with asyncio.timeout(self.limits.stop_s):
                    await process.wait()
        task.cancel()
        await asyncio.wait({task})
        self.error = None
        self._become("off")

    async def _run(self) -> None:
        backoff = Backoff(RETRY_CAP_S)
        while not self._stopping:
            backoff.started(self._clock.boottime_ns())
            try:
                why = await self._run_once()
            except JournalError:
                raise
            except Exception as error:  # our own mistake here must not end the buttons (DESIGN 2.5)
                log.exception("the supervision of %s failed", self.name)
                why = say("runtime.child-unstartable", name=self._title, error=f"{type(error).__name__}: {error}")
            if self._stopping:
                return
            self.error = why
            self.restarts += 1
            self._become("waiting")
            log.log(self._loudness.level(self.name, why.key), why)
            await self._on_fault(why)
            await self._clock.sleep(backoff.failed(self._clock.boottime_ns()))

    @property
    def _title(self) -> Text:
        return say(f"runtime.child-{self.name}")

    async def _run_once(self) -> Text:
        """One life; return why it ended."""
        memory = childhood.environment(os.getpid(), self.limits.memory_bytes)
        env = {name: value for name, value in os.environ.items() if name not in NOT_FOR_CHILDREN}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command(),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=STDOUT,
                env={**env, **memory, "PYTHONFAULTHANDLER": "1"},
                process_group=0,  # Ctrl-C at a terminal is for the core, which ends its children in its own order
            )
        except OSError as error:
            return say("runtime.child-unstartable", name=self._title, error=error.strerror or str(error))
        self._process = process
        self.starts += 1
        self._heard_ns = self._looked_ns = self._clock.boottime_ns()
        self._become("starting")
        assert process.stdout is not None
        reading = asyncio.ensure_future(self._output.read(process.stdout))
        try:
            found = await self._watch(process)
            if found is not None:
                await self._end(process, trace=found.key == "runtime.child-hung")
            return found or self._ended(process)
        finally:
            if not self._stopping:
                self._become("waiting")
            self._signal(signal.SIGKILL)
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await process.wait()
            with suppress(TimeoutError):  # its last words: why an interpreter ended
                async with asyncio.timeout(LAST_WORDS_S):
                    await asyncio.wait({reading})
            reading.cancel()
            await asyncio.wait({reading})
            with suppress(TimeoutError):  # to the end, or its pipe would stay open
                async with asyncio.timeout(LAST_WORDS_S):
                    while await process.stdout.read(DRAIN_BYTES):
                        pass
            self._process = None
            self.rss_bytes = None

    async def _watch(self, process: Process) -> Text | None:
        """Look at it until it ends by itself (None), or must be ended (why)."""
        started_ns = self._clock.boottime_ns()
        steady = False
        ended = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait({ended}, timeout=self.limits.look_s))[0]:
                now_ns = self._clock.boottime_ns()
                if (found := self._judge(process.pid, now_ns)) is not None:
                    return found
                if not steady and self.state == "running" and now_ns - started_ns >= self.limits.steady_s * NS_PER_S:
                    steady = True
                    self.error = None
                    self._loudness.over(self.name)
                    await self._on_fault(None)
            return None
        finally:
            ended.cancel()

    def _judge(self, pid: int, now_ns: int) -> Text | None:
        limits = self.limits
        if now_ns - self._looked_ns > OWN_STALL_S * NS_PER_S:
            self._heard_ns = now_ns
        self._looked_ns = now_ns
        self.rss_bytes = rss_bytes(pid)
        if self.rss_bytes is not None and self.rss_bytes > limits.memory_bytes:
            mib = {"mib": self.rss_bytes >> 20, "limit_mib": limits.memory_bytes >> 20}
            return say("runtime.child-memory", name=self._title, **mib)
        allowed_s = limits.start_s if self.state == "starting" else limits.silence_s
        if now_ns - self._heard_ns > allowed_s * NS_PER_S:
            return say("runtime.child-hung", name=self._title, seconds=f"{allowed_s:g}")
        return None

    async def _end(self, process: Process, *, trace: bool) -> None:
        """End it by force; a hung one may write where it hangs."""
        if trace:
            self._signal(signal.SIGABRT)
            with suppress(TimeoutError):
                async with asyncio.timeout(TRACE_S):
                    await process.wait()
        self._signal(signal.SIGKILL)

    def _ended(self, process: Process) -> Text:
        code = process.returncode or 0
        if code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = str(-code)
            return say("runtime.child-signal", name=self._title, signal=name)
        return say("runtime.child-exited", name=self._title, code=code)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it may have started. Not once it has ended: its number may be another's."""
        if (process := self._process) is not None and process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)

    def _become(self, state: ChildState) -> None:
        if state != self.state:
            self.state = state
            self.on_change()


def rss_bytes(pid: int) -> int | None:
    """Resident memory of a process (proc(5), statm); None if it is gone."""
    try:
        return int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, LookupError, ValueError):
        return None
