"""Moving a camera. It is asked to stop by itself, and told to stop as well: some forget the first, some the second.

Source: ONVIF PTZ 23.12, 5.3 (moves), 5.4 (presets)
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from agent.driver import BadReply, CameraError, CameraLink, Move, NotOffered, Preset, say
from drivers.onvif import replies
from drivers.onvif.wire import Wire

LONGEST_S: Final = 30.0
"""Of one move. Who wants more asks again."""
LEAVE_S: Final = 2.0
"""To stop a camera that still moves on the way out."""


class Ptz:
    """The PTZ service of one camera."""

    def __init__(self, link: CameraLink, wire: Wire, token: Callable[[], Awaitable[str | None]]) -> None:
        self._link = link
        self._wire = wire
        self._token = token
        self._stopping: asyncio.Task[None] | None = None
        self._waits = True
        """It takes a timeout with a move."""

    async def move(self, move: Move) -> None:
        """Start to move. Raises CameraError."""
        token = await self._profile()
        self._cancel()
        seconds = min(max(move.seconds, 0.1), LONGEST_S)
        speed = {
            "PanTilt": {"x": _speed(move.pan), "y": _speed(move.tilt)},
            "Zoom": {"x": _speed(move.zoom)},
        }
        if not move.zoom:
            del speed["Zoom"]  # many have no zoom, and refuse the whole request for it
        elif not (move.pan or move.tilt):
            del speed["PanTilt"]
        try:
            await self._start(token, speed, timedelta(seconds=seconds) if self._waits else None)
        except (BadReply, NotOffered):
            if not self._waits:
                raise
            await self._start(token, speed, None)
            self._waits = False
        self._stopping = asyncio.create_task(self._stop_after(seconds), name=f"stop {self._link.camera}")

    async def stop(self) -> None:
        """Stop. Raises CameraError."""
        self._cancel()
        await self._stop(await self._profile())

    async def presets(self) -> tuple[Preset, ...]:
        """The stored positions. Raises CameraError."""
        return replies.presets(await self._wire.call("ptz", "GetPresets", ProfileToken=await self._profile()))

    async def goto(self, preset: str) -> None:
        """Move to a preset by its token or name. Raises CameraError; NotOffered where there is no such preset."""
        known = await self.presets()
        found = next((one for one in known if one.token == preset), None) or next(
            (one for one in known if one.name == preset), None
        )
        if found is None:
            names = ", ".join(one.name for one in known[:20]) or "-"
            raise NotOffered(say("onvif.no-preset", place=self._wire.place, preset=preset[:64], known=names))
        self._cancel()
        await self._wire.call("ptz", "GotoPreset", ProfileToken=await self._profile(), PresetToken=found.token)

    async def save(self, name: str) -> Preset:
        """Store the present position, over the one of that name if there is one. Raises CameraError."""
        token = await self._profile()
        known = next((one for one in await self.presets() if one.name == name), None)
        arguments = {"PresetToken": known.token} if known else {}
        reply = await self._wire.call("ptz", "SetPreset", ProfileToken=token, PresetName=name, **arguments)  # type: ignore[arg-type]  # strings
        return known or Preset(replies.preset_token(reply, self._wire.place), name)

    async def leave(self) -> None:
        """Stop what still moves. Never raises."""
        moving = self._stopping is not None and not self._stopping.done()
        self._cancel()
        if moving:
            with suppress(CameraError, TimeoutError):  # it was told to stop by itself, too
                async with asyncio.timeout(LEAVE_S):
                    await self._stop(await self._profile())

    async def _profile(self) -> str:
        if "ptz" not in self._wire.xaddrs or (token := await self._token()) is None:
            raise NotOffered(say("onvif.no-service", place=self._wire.place, service="ptz"))
        return token

    async def _start(self, token: str, speed: dict[str, dict[str, float]], timeout: timedelta | None) -> None:
        arguments: dict[str, object] = {"ProfileToken": token, "Velocity": speed}
        if timeout is not None:
            arguments["Timeout"] = timeout
        await self._wire.call("ptz", "ContinuousMove", **arguments)  # type: ignore[arg-type]  # they are the operation's

    async def _stop(self, token: str) -> None:
        await self._wire.call("ptz", "Stop", ProfileToken=token, PanTilt=True, Zoom=True)

    async def _stop_after(self, seconds: float) -> None:
        await self._link.clock.sleep(seconds)
        with suppress(CameraError):  # it was told to stop by itself, too
            await self._stop(await self._profile())

    def _cancel(self) -> None:
        if self._stopping is not None:
            self._stopping.cancel()
            self._stopping = None


def _speed(value: float) -> float:
    return round(min(1.0, max(-1.0, value)), 3)
