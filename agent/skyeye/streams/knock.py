"""Who is at the door: one connection and one DESCRIBE without a login, before FFmpeg is let in.

FFmpeg says only that its time was up, follows redirects to other hosts, takes descriptions of any size, and tries a
login although it cannot compute the digest that the camera wants (it knows MD5 only). All that shows here, in
milliseconds, and costs no try of the camera's lock-out counter: every digest login begins with a refusal.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agent.camera import BadReply, CameraError, StreamFailed, StreamSource, Unreachable
from agent.skyeye.streams.opening import OPEN_TIMEOUT_S, address_of, bare_url
from agent.texts import say

ANSWER_TIMEOUT_S: Final = 5.0
"""Over the school's own network an answer is there in milliseconds; cameras that wake up need two seconds."""
HEAD_MAX: Final = 8192
DESCRIPTION_MAX: Final = 64 << 10
"""A description is one or two KiB."""
_STATUS: Final = re.compile(rb"RTSP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_HEADER: Final = re.compile(rb"^([A-Za-z-]{1,40})[ \t]*:[ \t]*([^\r\n]*)", re.MULTILINE)
_ALGORITHM: Final = re.compile(rb"\balgorithm\s*=\s*\"?([A-Za-z0-9-]+)", re.IGNORECASE)


class BadHead(ValueError):
    """No RTSP answer."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of an RTSP answer (RFC 2326, section 7), as far as it matters."""

    status: int
    length: int
    logins: tuple[str, ...]
    """`basic`, `md5`, `sha-256` ...: what it would take."""


def parse_head(data: bytes) -> Head:
    """Read a head. Raises BadHead and nothing else."""
    if not (status := _STATUS.match(data)):
        raise BadHead("expected RTSP/1.0 and a status")
    length, logins = 0, []
    for match in _HEADER.finditer(data, status.end()):
        name, value = match[1].lower(), match[2].strip()
        if name == b"content-length":
            if not re.fullmatch(rb"\d{1,12}", value):
                raise BadHead("expected a length")
            length = int(value)
        elif name == b"www-authenticate":
            scheme = value.split(b" ", 1)[0].lower()
            algorithm = _ALGORITHM.search(value)
            logins.append((algorithm[1] if algorithm else b"md5").decode().lower() if scheme == b"digest" else "basic")
    return Head(int(status[1]), length, tuple(logins))


async def knock(source: StreamSource, timeout_s: float = ANSWER_TIMEOUT_S) -> None:
    """Return if FFmpeg may try. Raises CameraError."""
    host, port = address_of(source)
    if source.url.startswith("rtsps:"):
        return
    place = f"{host}:{port}"
    head = await _exchange(source, host, port, timeout_s)
    if 300 <= head.status < 400:
        raise BadReply(say("streams.redirect", place=place))
    if head.length > DESCRIPTION_MAX:
        raise BadReply(say("streams.huge", place=place, bytes=head.length, limit=DESCRIPTION_MAX))
    if head.status == 401 and head.logins and not {"basic", "md5", "md5-sess"} & {*head.logins}:
        raise StreamFailed(say("streams.digest", place=place, algorithm=", ".join(head.logins)))


async def _exchange(source: StreamSource, host: str, port: int, timeout_s: float) -> Head:
    place = f"{host}:{port}"
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port, limit=HEAD_MAX)
            writer.write(
                f"DESCRIBE {bare_url(source)} RTSP/1.0\r\nCSeq: 1\r\nAccept: application/sdp\r\n"
                "User-Agent: campus-agent\r\n\r\n".encode()
            )
            return parse_head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        raise BadReply(say("streams.huge", place=place, bytes=HEAD_MAX, limit=HEAD_MAX)) from None
    except (BadHead, asyncio.IncompleteReadError):
        raise BadReply(say("streams.bad-reply", place=place)) from None
    except ConnectionRefusedError:
        raise Unreachable(say("streams.port-closed", place=place)) from None
    except TimeoutError:
        text = say("streams.mute", place=place) if writer else say("streams.no-answer", place=place, seconds=timeout_s)
        raise (StreamFailed if writer else Unreachable)(text) from None
    except OSError:
        if writer:
            raise BadReply(say("streams.bad-reply", place=place)) from None
        raise Unreachable(say("streams.no-route", place=place)) from None
    finally:
        if writer:
            with suppress(OSError):
                writer.close()


def nothing_came(source: StreamSource) -> CameraError:
    """It did answer, and then sent nothing."""
    host, port = address_of(source)
    return StreamFailed(say("streams.no-packets", place=f"{host}:{port}", seconds=OPEN_TIMEOUT_S))
