"""Wall clock with its quality, boot clock, sleep: a real one, and a simulated one for tests and replays."""

import asyncio
import ctypes
import heapq
import itertools
import time
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from agent.model import ClockQuality, Moment

BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
NS_PER_S: Final = 1_000_000_000

_TIME_ERROR: Final = 5
"""adjtimex(2): return value when the clock is not synchronised (TIME_ERROR in <sys/timex.h>)."""
_TIMESYNCD_FILE: Final = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches it at every synchronisation (systemd-timesyncd.service(8)). It answers where adjtimex(2)
is forbidden, as in our own unit; elsewhere the kernel, which also knows other time daemons, has the word."""
_SYNC_HOLDS_S: Final = 32_000
"""For how long one synchronisation counts: the kernel's own measure, a maximum error of 16 s, which grows by
500 ppm (MAXFREQ and NTP_PHASE_LIMIT in Linux' include/linux/timex.h)."""
_TIMEX_BYTES: Final = 208
"""sizeof(struct timex) on 64-bit Linux; larger than on 32-bit, which is all that the call needs."""


class Clock(Protocol):
    """All that the agent knows of time. Intervals are measured on the boot clock, which also runs in suspend."""

    @property
    def bootid(self) -> str: ...
    def wall(self) -> datetime: ...
    def boottime_ns(self) -> int: ...
    def quality(self) -> ClockQuality: ...
    async def sleep(self, seconds: float) -> None: ...

    def moment(self) -> Moment:
        """Both clocks now."""
        return Moment(self.wall(), self.boottime_ns(), self.bootid, self.quality())


class When(Protocol):
    """A moment, in whatever form it is kept."""

    @property
    def wall(self) -> datetime: ...
    @property
    def boottime_ns(self) -> int: ...
    @property
    def bootid(self) -> str: ...
    @property
    def clock(self) -> ClockQuality: ...


class SystemClock(Clock):
    """The machine's clocks."""

    QUALITY_TTL_NS: Final = NS_PER_S
    """The kernel is asked at most once a second: the answer changes once a start, and a call costs 1 us."""

    def __init__(self, zone: str, *, timesyncd: Path = _TIMESYNCD_FILE) -> None:
        self._zone: tzinfo = ZoneInfo(zone)
        self._bootid = read_bootid()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timesyncd = timesyncd
        self._quality: ClockQuality = "unsynced"
        self._quality_until_ns = 0

    @property
    def bootid(self) -> str:
        return self._bootid

    def wall(self) -> datetime:
        return datetime.now(self._zone)

    def boottime_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def quality(self) -> ClockQuality:
        now_ns = self.boottime_ns()
        if now_ns >= self._quality_until_ns:
            self._quality = "synced" if self._synced() else "unsynced"
            self._quality_until_ns = now_ns + self.QUALITY_TTL_NS
        return self._quality

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _synced(self) -> bool:
        state = int(self._libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))  # modes = 0: only read
        return state < _TIME_ERROR if state >= 0 else recently_synced(self._timesyncd, time.time())


def elapsed_ns(since: When, now: When) -> int | None:
    """Time between two moments: by the boot clock within one boot, by the wall clock where both ends were synced and it
    did not go backwards, else None (unknown)."""
    if since.bootid == now.bootid:
        return max(0, now.boottime_ns - since.boottime_ns)
    if since.clock == now.clock == "synced" and now.wall >= since.wall:
        return (now.wall - since.wall) // timedelta(microseconds=1) * 1_000
    return None


def recently_synced(path: Path, now_s: float) -> bool:
    """Tell whether timesyncd has synchronised lately, by its file; `now_s` is Unix time."""
    try:
        since_s = now_s - path.stat().st_mtime
    except OSError:
        return False
    return 0 <= since_s < _SYNC_HOLDS_S


def read_bootid(path: Path = BOOT_ID_FILE) -> str:
    """Return the kernel's id of this boot, without its line end."""
    return path.read_text(encoding="ascii").strip()


class SimClock(Clock):
    """A clock that stands until it is told to move. Sleepers wake in order as `advance` passes them."""

    def __init__(self, wall: datetime, *, bootid: str = "sim", quality: ClockQuality = "synced") -> None:
        if wall.tzinfo is None:
            raise ValueError("wall must be aware of its zone")
        self._wall = wall
        self._boottime_ns = NS_PER_S
        self._bootid = bootid
        self._quality: ClockQuality = quality
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    @property
    def bootid(self) -> str:
        return self._bootid

    def wall(self) -> datetime:
        return self._wall

    def boottime_ns(self) -> int:
        return self._boottime_ns

    def quality(self) -> ClockQuality:
        return self._quality

    def set_wall(self, wall: datetime, quality: ClockQuality = "synced") -> None:
        """Step the wall clock, as a first sync does; the boot clock does not move."""
        self._wall = wall
        self._quality = quality

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._boottime_ns + round(seconds * NS_PER_S), next(self._order), future))
        await future

    @property
    def sleepers(self) -> int:
        """How many wait for it to move."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def tick(self, seconds: float) -> None:
        """Move both clocks without running anybody (for pure code)."""
        self._boottime_ns += round(seconds * NS_PER_S)
        self._wall += timedelta(seconds=seconds)

    async def advance(self, seconds: float) -> None:
        """Move both clocks, and let every sleeper run at its own time."""
        end_ns = self._boottime_ns + round(seconds * NS_PER_S)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            due_ns, _, future = heapq.heappop(self._sleepers)
            self.tick(max(0, due_ns - self._boottime_ns) / NS_PER_S)
            if not future.done():
                future.set_result(None)
            await settle()
        self.tick((end_ns - self._boottime_ns) / NS_PER_S)


async def settle(rounds: int = 20) -> None:
    """Give the tasks that are ready a few turns of the loop."""
    for _ in range(rounds):
        await asyncio.sleep(0)
