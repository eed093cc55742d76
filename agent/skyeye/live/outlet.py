"""A process of its own that pushes one stream: fragmented MP4 from standard input goes to a media server, by copy.

It is a process because FFmpeg's connect, handshake and goodbye may wait for a dead server for minutes, and PyAV holds
the interpreter all the while: in the eye it would stop everything. This one is killed instead. The address comes in
the first line of standard input, as JSON, since a command line can be read by everybody. It says one line of JSON on
standard output when the server has taken the stream, and one when it fails: the error's kind, never the address.

Certificates of TLS servers are verified, always; FFmpeg would not do so by itself. Run by its path, so that it loads
nothing of the agent.
"""

import contextlib
import ctypes
import importlib.util
import json
import os
import re
import signal
import socket
import ssl
import sys
from errno import EIO
from pathlib import Path
from typing import Any, Final

PR_SET_PDEATHSIG: Final = 1
"""prctl(2)."""
SRT: Final = Path(__file__).with_name("srt.py")
TLS: Final = frozenset({"rtsps", "rtmps"})
RTSP: Final = {"rtsp_transport": "tcp", "timeout": "10000000"}
TEE_MARKS: Final = re.compile(r"[\\'\[\]:|]")
"""What means something to FFmpeg's tee muxer (ffmpeg-formats(1), tee)."""
LOOK_TIMEOUT_S: Final = 5.0
"""For a second look at a certificate, after FFmpeg has failed for it or for something else."""
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
        push(av, source, order)
    except FFmpegError as error:
        fault = certificate_fault(order) if error.errno == EIO and order["scheme"] in TLS else None
        say(error="Certificate" if fault else type(error).__name__, code=str(error.errno), detail=fault or "")
        return 1
    except (OSError, ValueError) as error:
        say(error=type(error).__name__, code=str(error.args[0] if error.args else ""))
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


def push(av: Any, source: Any, order: dict[str, Any]) -> None:
    """Copy the stream."""
    incoming = av.open(source, "r", format="mp4", options=INPUT, buffer_size=BUFFER)
    stream = incoming.streams.video[0]
    outgoing, sink = opened(av, order)
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
        with contextlib.suppress(av.error.FFmpegError, OSError):  # the failure that brought us here counts
            outgoing.close()
        if sink:
            sink.close()


def opened(av: Any, order: dict[str, Any]) -> tuple[Any, Any]:
    """The way out, and the file below it if that is ours."""
    url, scheme = order["url"], order["scheme"]
    verified = {"tls_verify": "1", "ca_file": order["ca"]} if scheme in TLS else {}
    if scheme in ("rtsp", "rtsps"):
        return av.open(url, "w", format="rtsp", options=RTSP | verified), None
    if scheme == "rtmps":
        # PyAV opens the address of a muxer without options, so without verification; tee hands them on.
        options = {"f": "flv", "flvflags": "no_duration_filesize", **verified}
        slave = ":".join(f"{key}={TEE_MARKS.sub(escaped, value)}" for key, value in options.items())
        return av.open(f"[{slave}]{TEE_MARKS.sub(escaped, url)}", "w", format="tee"), None
    if scheme == "rtmp":
        return av.open(url, "w", format="flv", options={"flvflags": "no_duration_filesize"}), None
    sink = srt_module().SrtFile(order["host"], order["port"], order["srt"])
    return av.open(sink, "w", format="mpegts", options={"flush_packets": "1"}), sink


def escaped(mark: re.Match[str]) -> str:
    """Literally."""
    return "\\" + mark.group()


def srt_module() -> Any:
    """The file beside this one: in Python's isolated mode its folder is not searched."""
    spec = importlib.util.spec_from_file_location("srt", SRT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def certificate_fault(order: dict[str, Any]) -> str | None:
    """What is wrong with a server's certificate, in OpenSSL's words: FFmpeg says "input/output error" for all of it."""
    try:
        context = ssl.create_default_context(cafile=order["ca"])
        address = order["host"], order["port"]
        with socket.create_connection(address, LOOK_TIMEOUT_S) as plain:
            plain.settimeout(LOOK_TIMEOUT_S)
            with context.wrap_socket(plain, server_hostname=order["host"]):
                return None
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except FileNotFoundError:
        return f"no such file: {order['ca']}"
    except (OSError, ValueError):
        return None


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # FFmpeg's own goodbye must not run twice at the interpreter's end
