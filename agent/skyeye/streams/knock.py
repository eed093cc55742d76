"""Where a stream hangs: FFmpeg only says that its time was up. One connection, one OPTIONS, no login."""

import asyncio
from contextlib import suppress
from typing import Final, Literal

from agent.camera import CameraError, StreamFailed, StreamSource, Unreachable
from agent.skyeye.streams.opening import CONNECT_TIMEOUT_S, OPEN_TIMEOUT_S, address_of
from agent.texts import say

Found = Literal["closed", "nobody", "mute", "answers"]
ANSWER_MAX: Final = 64
REQUEST: Final = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: campus-agent\r\n\r\n"


async def knock(source: StreamSource, timeout_s: float = CONNECT_TIMEOUT_S) -> Found:
    """See who is at the door. Raises BadReply for an unusable address."""
    host, port = address_of(source)
    writer: asyncio.StreamWriter | None = None
    connected = False
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            connected = True
            if source.url.startswith("rtsps:"):
                return "answers"
            writer.write(REQUEST)
            return "answers" if (await reader.read(ANSWER_MAX)).startswith(b"RTSP/") else "mute"
    except ConnectionRefusedError:
        return "closed"
    except (OSError, TimeoutError):
        return "mute" if connected else "nobody"
    finally:
        if writer:
            with suppress(OSError):
                writer.close()


async def diagnosed(source: StreamSource) -> CameraError:
    """Say why a stream that should have begun gave nothing."""
    host, port = address_of(source)
    place = f"{host}:{port}"
    found = await knock(source)
    if found == "closed":
        return Unreachable(say("streams.port-closed", place=place))
    if found == "nobody":
        return Unreachable(say("streams.no-answer", place=place, seconds=OPEN_TIMEOUT_S))
    if found == "mute":
        return StreamFailed(say("streams.mute", place=place))
    return StreamFailed(say("streams.no-packets", place=place, seconds=OPEN_TIMEOUT_S))
