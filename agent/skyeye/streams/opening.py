"""Opening an RTSP stream with FFmpeg, and saying in our words what it says in its own.

FFmpeg is told as little as it needs, so that it neither waits nor decodes to find out what the SDP already says; only
video is set up. It is asked to answer for its time, but it is not trusted to: whoever calls has a deadline of his own.
FFmpeg sends the keepalive by itself (OPTIONS, or GET_PARAMETER where it is offered, at half the session's timeout).
Its errors hold the whole URL, so none of them is ever shown: the kind of the error is, and its number.
"""

import errno
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

import av
import av.error
from av.container import InputContainer
from av.video.stream import VideoStream

from agent.camera import BadReply, CameraError, Codec, LoginRefused, StreamFailed, StreamSource, Transport, Unreachable
from agent.skyeye.model import StreamInfo
from agent.skyeye.streams.nal import BadParameterSet, parameter_sets, picture_size
from agent.texts import say

OPEN_TIMEOUT_S: Final = 10.0
"""Connection, five requests and the first packet."""
SILENCE_S: Final = 10.0
"""A stream without a packet for so long has failed. It counts packets, not keyframes: H.264+ has one in minutes."""
CREDENTIALS_MAX: Final = 127
"""FFmpeg's rtsp.c cuts name and password, percent-encoded, off there, and would log in with a wrong one."""
SCHEMES: Final = frozenset({"rtsp", "rtsps"})
CODECS: Final[Mapping[str, Codec]] = {"h264": "h264", "hevc": "h265", "mjpeg": "mjpeg", "mpeg4": "mpeg4"}
FFMPEG_NAMES: Final[Mapping[Codec, str]] = {codec: name for name, codec in CODECS.items()}


class TransportRefused(StreamFailed):
    """The camera does not speak this transport (RTSP 461); the other one may work."""


class Silent(Unreachable):
    """No answer in time."""


def address_of(source: StreamSource) -> tuple[str, int]:
    """The host and the port of a stream. Raises BadReply."""
    try:
        parts = urlsplit(source.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or parts.scheme not in SCHEMES:
        raise BadReply(say("streams.bad-url"))
    return host, (322 if parts.scheme == "rtsps" else 554) if port is None else port


def bare_url(source: StreamSource) -> str:
    """The URL without a login, even if one was in it."""
    parts = urlsplit(source.url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def url_with_login(source: StreamSource) -> str:
    """The URL as FFmpeg wants it. Never show it. Raises BadReply, LoginRefused."""
    address_of(source)
    parts = urlsplit(source.url)
    if source.username is None:
        return bare_url(source)
    login = quote(source.username, safe="!$&'()*+,;=~")
    if source.password is not None:
        login += ":" + quote(source.password, safe="!$&'()*+,;=:~")
    if len(login) > CREDENTIALS_MAX:
        raise LoginRefused(say("streams.password-long", limit=CREDENTIALS_MAX))
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


def open_input(source: StreamSource, transport: Transport) -> tuple[InputContainer, VideoStream]:
    """Connect and start the stream. Blocks; raises CameraError."""
    options = {
        "rtsp_transport": transport,
        "allowed_media_types": "video",
        "timeout": str(int(SILENCE_S * 1e6)),
        "probesize": "32",  # the least: information comes from the SDP and the first keyframe
        "analyzeduration": "1",  # 0 would mean the default, 5 s
        "fpsprobesize": "0",
        "reorder_queue_size": "64" if transport == "udp" else "0",
        "protocol_whitelist": "rtsp,rtsps,tcp,udp,rtp,tls",
    }
    url = url_with_login(source)
    try:
        container = av.open(url, options=options, timeout=(OPEN_TIMEOUT_S, SILENCE_S))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise explained(error, source) from None
    if not container.streams.video:
        container.close()
        raise StreamFailed(say("streams.no-video"))
    return container, container.streams.video[0]


def info_of(stream: VideoStream) -> StreamInfo | None:
    """What the SDP told; None when the picture's size is not known yet."""
    context = stream.codec_context
    codec = CODECS.get(context.name, "other")
    extradata = bytes(context.extradata or b"")
    width, height = context.width, context.height
    if codec in ("h264", "h265"):
        extradata = parameter_sets(codec, extradata)
        try:
            width, height = picture_size(codec, extradata)
        except BadParameterSet:
            return None
    if not (width and height and stream.time_base):
        return None
    rate = stream.average_rate
    fps = float(rate) if rate and 0 < rate <= 240 else None
    base = stream.time_base
    return StreamInfo(codec, width, height, fps, extradata, (base.numerator, base.denominator))


def explained(error: Exception, source: StreamSource) -> CameraError:
    """An error of FFmpeg in our words, without a word of its own: those hold the URL."""
    host, port = address_of(source)
    place = f"{host}:{port}"
    number = getattr(error, "errno", None)
    if isinstance(error, av.error.HTTPUnauthorizedError):
        return LoginRefused(say("streams.login-refused" if source.username else "streams.login-wanted", place=place))
    if isinstance(error, av.error.HTTPForbiddenError):
        return StreamFailed(say("streams.forbidden", place=place))
    if isinstance(error, av.error.HTTPNotFoundError):
        return StreamFailed(say("streams.not-found", place=place, path=urlsplit(source.url).path or "/"))
    if number == errno.EPROTONOSUPPORT:
        return TransportRefused(say("streams.transport", place=place))
    if number == errno.ECONNREFUSED:
        return Unreachable(say("streams.port-closed", place=place))
    if number in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN):
        return Unreachable(say("streams.no-route", place=place))
    if isinstance(error, av.error.ExitError) or number in (errno.ETIMEDOUT, errno.EAGAIN):
        return Silent(say("streams.no-answer", place=place, seconds=OPEN_TIMEOUT_S))
    if isinstance(error, av.error.EOFError) or number in (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED):
        return StreamFailed(say("streams.ended", place=place))
    if isinstance(error, av.error.HTTPError):
        # GStreamer's 461 comes out of FFmpeg as a 5xx when it is told to set up video only: the other transport may do.
        return TransportRefused(say("streams.server-error", place=place, error=type(error).__name__))
    if isinstance(error, av.error.InvalidDataError):
        return BadReply(say("streams.bad-reply", place=place))
    return StreamFailed(say("streams.failed", place=place, error=type(error).__name__, number=number or 0))
