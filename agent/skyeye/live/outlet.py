"""A process of its own that pushes one stream: fragmented MP4 from standard input goes to a media server, by copy.

It is a process because FFmpeg's connect, handshake and goodbye may wait for a dead server for minutes, and PyAV holds
the interpreter all the while: in the eye it would stop everything. This one is killed instead. The address comes in
the first line of standard input, as JSON, since a command line can be read by everybody. It says one line of JSON on
standard output when the server has taken the stream, and one when it fails: the error's kind, never the address.

Run by its path, so that it loads nothing of the agent.
"""

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""
MUXERS: Final = {"rtsp": "rtsp", "rtmp": "flv", "srt": "mpegts"}
OPTIONS: Final = {
    "rtsp": {"rtsp_transport": "tcp", "timeout": "10000000"},
    "rtmp": {"flvflags": "no_duration_filesize"},
    "srt": {},
}
INPUT: Final = {"probesize": "65536", "analyzeduration": "0", "fflags": "nobuffer"}
BUFFER: Final = 32 << 10


def say(**what: str) -> None:
    """One line to the eye."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Push until the input ends; return 0, or 1 for a failure."""
    parent = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        return 1
    source = os.fdopen(os.dup(0), "rb", buffering=0)
    order = json.loads(read_line(source))

    import av
    import av.logging
    from av.error import FFmpegError

    av.logging.set_level(av.logging.PANIC)  # its messages have the address in them
    try:
        push(av, source, order["url"], order["scheme"])
    except FFmpegError as error:
        say(error=type(error).__name__, code=str(error.errno))
        return 1
    except (OSError, ValueError) as error:
        say(error=type(error).__name__, code="")
        return 1
    return 0


def read_line(source: Any) -> bytes:
    """The first line, and not a byte more."""
    line = b""
    while not line.endswith(b"\n"):
        byte = source.read(1)
        if not byte:
            break
        line += byte
    return line


def push(av: Any, source: Any, url: str, scheme: str) -> None:
    """Copy the stream."""
    incoming = av.open(source, "r", format="mp4", options=INPUT, buffer_size=BUFFER)
    stream = incoming.streams.video[0]
    outgoing = av.open(url, "w", format=MUXERS[scheme], options=OPTIONS[scheme])
    try:
        copy = outgoing.add_stream_from_template(stream, opaque=True)
        outgoing.start_encoding()
        say(state="running")
        first = None
        for packet in incoming.demux(stream):
            if packet.dts is None:
                continue
            first = packet.dts if first is None else first
            packet.dts -= first
            packet.pts -= first
            packet.stream = copy
            outgoing.mux_one(packet)
    finally:
        with contextlib.suppress(av.error.FFmpegError):  # the failure that brought us here counts
            outgoing.close()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # FFmpeg's own goodbye must not run twice at the interpreter's end
