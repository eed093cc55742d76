"""Streams that are pushed to the district's media server, by copy, for as long as their lease is renewed.

Each push has a process of its own for the network's side (`outlet`), fed with the same fragments that browsers get. A
push that fails is tried again, with growing waits, until its lease ends. Its address may hold a password or a key, so
only its host and path are ever told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal

from ulid import ULID

from agent.backoff import Backoff
from agent.camera import StreamRole
from agent.clock import NS_PER_S, Clock
from agent.control.protocol import text_json
from agent.logs import Loudness
from agent.model import JsonValue
from agent.skyeye.live.channel import FragmentChannel, Hub
from agent.skyeye.live.pipe import PipeViewer, run_outlet, srt_available
from agent.skyeye.live.target import BadTarget, Target, parse_target
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

PUSH_LIMIT: Final = 4
"""Each is a process of some 45 MB; the gateway has 2 to 4 small cores and a thin line to the district."""
RETRY_CAP_S: Final = 30.0
"""A media server that restarts is back within a minute."""
SHORTEST_LEASE_S: Final = 5.0
LEASE_LOOK_S: Final = 1.0
"""A renewal may shorten a lease, too."""

State = Literal["starting", "running", "waiting"]
Why = Literal["lease", "stopped", "not-allowed", "closing"]
OnChange = Callable[[str, Mapping[str, JsonValue]], None]
"""Hears `stream-started` and `stream-stopped`, with the data of the event."""


class PushRefused(Spoken):
    """A push that cannot be had."""


@dataclass(slots=True, eq=False)
class Push:
    """One stream on its way."""

    id: str
    camera: str
    role: StreamRole
    target: Target
    began: datetime
    expires_ns: int
    expires: datetime
    state: State = "starting"
    error: Text | None = None
    failures: int = 0
    why: Why = "lease"
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def view(self) -> dict[str, JsonValue]:
        """As replies and events show it."""
        return {
            "stream": self.id,
            "camera": self.camera,
            "role": self.role,
            "url": self.target.shown,
            "state": self.state,
            "began": self.began.isoformat(timespec="milliseconds"),
            "expires": self.expires.isoformat(timespec="milliseconds"),
            "failures": self.failures,
            "error": dict(text_json(self.error)) if self.error else None,
        }


class Pusher:
    """All pushes. `ca` gives the file of the authorities that TLS servers are trusted by, None for the system's."""

    def __init__(
        self,
        hub: Hub,
        allowed: Callable[[], Sequence[str]],
        clock: Clock,
        on_change: OnChange,
        *,
        ca: Callable[[], Path | None] = lambda: None,
        can_srt: Callable[[], Awaitable[bool]] = srt_available,
    ) -> None:
        self._hub = hub
        self._allowed = allowed
        self._clock = clock
        self._on_change = on_change
        self._ca = ca
        self._can_srt = can_srt
        self._pushes: dict[str, Push] = {}
        self._loudness = Loudness()

    async def start(self, camera: str, role: StreamRole, url: str, lease_s: float) -> Mapping[str, JsonValue]:
        """Push a stream, or renew the lease of one that goes to the same address. Raises PushRefused, BadTarget."""
        target = parse_target(url, self._allowed())
        if target.scheme == "srt" and not await self._can_srt():
            raise PushRefused(say("live.push-srt"))
        expires_ns = self._clock.boottime_ns() + round(max(lease_s, SHORTEST_LEASE_S) * NS_PER_S)
        expires = self._clock.wall() + timedelta(seconds=max(lease_s, SHORTEST_LEASE_S))
        for push in self._pushes.values():
            if (push.camera, push.role, push.target.url) == (camera, role, url):
                push.expires_ns, push.expires = expires_ns, expires
                return push.view()
        if len(self._pushes) >= PUSH_LIMIT:
            raise PushRefused(say("live.push-too-many", limit=PUSH_LIMIT))
        push = Push(str(ULID()), camera, role, target, self._clock.wall(), expires_ns, expires)
        self._pushes[push.id] = push
        push.task = asyncio.get_running_loop().create_task(self._run(push), name=f"push {camera}")
        self._on_change("stream-started", push.view())
        return push.view()

    async def stop(self, which: str) -> list[JsonValue]:
        """End one push by its id, or all of a camera; return their ids. Raises PushRefused when there is none."""
        chosen = [push for push in self._pushes.values() if which in (push.id, push.camera)]
        if not chosen:
            raise PushRefused(say("live.push-unknown", which=which))
        await self._end(chosen, "stopped")
        return [push.id for push in chosen]

    def list(self) -> Sequence[Mapping[str, JsonValue]]:
        """Every push."""
        return [push.view() for push in self._pushes.values()]

    async def close(self) -> None:
        """End all."""
        await self._end([*self._pushes.values()], "closing")

    async def _end(self, pushes: Sequence[Push], why: Why) -> None:
        tasks = [push.task for push in pushes if push.task]
        for push in pushes:
            push.why = why
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for push in pushes:  # one that was cancelled before its first turn has told nothing
            self._over(push)

    def _over(self, push: Push) -> None:
        if self._pushes.pop(push.id, None):
            self._loudness.over(push.id)
            self._on_change("stream-stopped", {**push.view(), "reason": push.why})

    async def _run(self, push: Push) -> None:
        feeding = asyncio.get_running_loop().create_task(self._feed(push))
        lease = asyncio.get_running_loop().create_task(self._lease(push))
        try:
            await asyncio.wait({feeding, lease}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (feeding, lease):
                task.cancel()
            await asyncio.gather(feeding, lease, return_exceptions=True)
            self._over(push)

    async def _lease(self, push: Push) -> None:
        while (left_ns := push.expires_ns - self._clock.boottime_ns()) > 0:
            await self._clock.sleep(min(left_ns / NS_PER_S, LEASE_LOOK_S))

    async def _feed(self, push: Push) -> None:
        """Try again and again. Ends only when the address is no longer allowed."""
        backoff = Backoff(RETRY_CAP_S)
        while True:
            try:
                parse_target(push.target.url, self._allowed())
            except BadTarget as error:  # the configuration has changed
                push.why, push.error = "not-allowed", error.text
                return
            backoff.started(self._clock.boottime_ns())
            push.state = "starting"
            text = await self._attempt(push)
            push.state, push.error = "waiting", text
            push.failures += 1
            told = say("live.push-failed", camera=push.camera, url=push.target.shown, reason=text)
            log.log(self._loudness.level(push.id, text.key), told)
            await self._clock.sleep(backoff.failed(self._clock.boottime_ns()))

    async def _attempt(self, push: Push) -> Text:
        """One connection to the server, from the first keyframe to the failure; returns the reason."""
        viewer = PipeViewer(self._clock)
        channel = FragmentChannel(self._hub, push.camera, push.role)

        def running() -> None:
            push.state, push.error = "running", None
            self._loudness.over(push.id)
            log.info(say("live.push-running", camera=push.camera, url=push.target.shown))

        channel.add(viewer)
        try:
            return await run_outlet(viewer, push.target, self._ca(), running)
        finally:
            channel.remove(viewer)
