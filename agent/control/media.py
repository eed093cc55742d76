"""The media socket: pictures, streams and files from the eye, past the core.

One request a connection: a JSON line, answered by a JSON line; then frames of 4 bytes length (big endian) and payload,
until one side closes. The eye serves it (agent.skyeye.live), the console and the command line ask.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self, TypeAlias

from agent.camera import StreamRole
from agent.control.client import CONNECT_TIMEOUT_S, ControlError
from agent.control.protocol import dump_line, text_json
from agent.model import JsonValue
from agent.texts import Spoken, Text, say

LiveFormat = Literal["fmp4", "mjpeg"]
ROLES: Final[Mapping[str, StreamRole]] = {"main": "main", "sub": "sub"}
FORMATS: Final[Mapping[str, LiveFormat]] = {"fmp4": "fmp4", "mjpeg": "mjpeg"}

FRAME_LIMIT: Final = 8 << 20
"""Bytes of one frame: a 4K keyframe has 1 to 2 MiB at the best quality that cameras offer."""
MEDIA_LINE_LIMIT: Final = 16 * 1024
"""Bytes of a request or an answer."""
NAME_LIMIT: Final = 128
"""Characters of a camera's or an evidence file's id."""
LENGTH_BYTES: Final = 4
ANSWER_TIMEOUT_S: Final = 20.0
"""The eye answers a stream with its first keyframe, or tells after 15 s why there is none."""
SHOWN: Final = 60


class BadMedia(Spoken):
    """Bytes that are none of this protocol."""


class MediaDown(Spoken):
    """Nobody serves the media socket, or the eye has closed it before it answered."""


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """A stream as fragmented MP4 or, from its keyframes, as JPEGs."""

    camera: str
    role: StreamRole = "sub"
    format: LiveFormat = "fmp4"


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """The latest snapshot."""

    camera: str


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """One file, whole."""

    id: str


MediaRequest: TypeAlias = LiveRequest | PictureRequest | EvidenceRequest


@dataclass(frozen=True, slots=True)
class MediaAnswer:
    """What follows: its type, and its size and name where they are known."""

    mime: str
    bytes: int | None = None
    name: str | None = None


def dump_media_request(request: MediaRequest) -> bytes:
    """Write a request line."""
    match request:
        case LiveRequest():
            return dump_line(
                {"method": "live", "camera": request.camera, "role": request.role, "format": request.format}
            )
        case PictureRequest():
            return dump_line({"method": "picture", "camera": request.camera})
        case EvidenceRequest():
            return dump_line({"method": "evidence", "id": request.id})


def parse_media_request(line: bytes) -> MediaRequest:
    """Read a request line; raise BadMedia and nothing else."""
    value = _object(line)
    method, role, format_ = value.get("method"), value.get("role", "sub"), value.get("format", "fmp4")
    if method == "live" and isinstance(role, str) and isinstance(format_, str) and role in ROLES and format_ in FORMATS:
        return LiveRequest(_name(value, "camera", line), ROLES[role], FORMATS[format_])
    if method == "picture":
        return PictureRequest(_name(value, "camera", line))
    if method == "evidence":
        return EvidenceRequest(_name(value, "id", line))
    raise _bad(line)


def dump_media_answer(answer: MediaAnswer) -> bytes:
    """Write the line of an answer."""
    return dump_line({"ok": True, "mime": answer.mime, "bytes": answer.bytes, "name": answer.name})


def dump_media_refusal(text: Text) -> bytes:
    """Write the line of a refusal."""
    return dump_line({"ok": False, "error": text_json(text)})


def parse_media_answer(line: bytes) -> MediaAnswer:
    """Read the line of an answer. Raises BadMedia, and ControlError with the eye's text where it has refused."""
    value = _object(line)
    mime, size, name, error = value.get("mime"), value.get("bytes"), value.get("name"), value.get("error")
    if value.get("ok") is True and isinstance(mime, str):
        size = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
        return MediaAnswer(mime, size, name if isinstance(name, str) else None)
    if value.get("ok") is False and isinstance(error, dict):
        raise ControlError({key: str(said) for key, said in error.items()})
    raise _bad(line)


def frame(payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


class FrameParser:
    """Finds the frames in bytes that come in any pieces. Holds at most one unfinished frame."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes; return the frames that they finish. Raises BadMedia and nothing else."""
        self._held += data
        frames: list[bytes] = []
        at = 0
        while len(self._held) - at >= LENGTH_BYTES:
            length = int.from_bytes(self._held[at : at + LENGTH_BYTES], "big")
            if length > self._limit:
                raise BadMedia(say("live.frame-too-long", limit=self._limit, got=length))
            end = at + LENGTH_BYTES + length
            if len(self._held) < end:
                break
            frames.append(bytes(self._held[at + LENGTH_BYTES : end]))
            at = end
        del self._held[:at]
        return frames


class MediaClient:
    """One request: `async with MediaClient(path, request) as client`, then `client.answer` and `client.frames()`."""

    def __init__(self, path: Path, request: MediaRequest) -> None:
        self._path = path
        self._request = request
        self.answer = MediaAnswer("")

    async def __aenter__(self) -> Self:
        """Ask. Raises MediaDown, ControlError (the eye refuses) and BadMedia."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self._reader, self._writer = await asyncio.open_unix_connection(str(self._path), limit=MEDIA_LINE_LIMIT)
        except (OSError, TimeoutError):
            raise MediaDown(say("live.eye-away")) from None
        try:
            self._writer.write(dump_media_request(self._request))
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise MediaDown(say("live.eye-away"))
            self.answer = parse_media_answer(line)
        except (OSError, TimeoutError):
            self._writer.close()
            raise MediaDown(say("live.eye-away")) from None
        except ValueError:  # a line over the limit
            self._writer.close()
            raise BadMedia(say("live.bad-media", got="-")) from None
        except BaseException:  # also a cancellation: the connection must not outlive the attempt
            self._writer.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames as they come, until the eye closes. Raises BadMedia."""
        while True:
            try:
                length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
                if length > FRAME_LIMIT:
                    raise BadMedia(say("live.frame-too-long", limit=FRAME_LIMIT, got=length))
                payload = await self._reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                return
            yield payload


def _object(line: bytes) -> Mapping[str, JsonValue]:
    try:
        value = json.loads(line) if len(line) <= MEDIA_LINE_LIMIT else None
    except (ValueError, RecursionError):  # UnicodeDecodeError is a ValueError
        value = None
    if not isinstance(value, dict):
        raise _bad(line)
    return value


def _name(value: Mapping[str, JsonValue], key: str, line: bytes) -> str:
    name = value.get(key)
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LIMIT:
        raise _bad(line)
    return name


def _bad(line: bytes) -> BadMedia:
    return BadMedia(say("live.bad-media", got=repr(line[:SHOWN])))
