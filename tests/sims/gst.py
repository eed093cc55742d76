"""A real GStreamer RTSP server (Debian's gir1.2-gst-rtsp-server-1.0) as the peer of tests and benches.

`async with GstServer({"h264": GstStream(), "h265": GstStream("h265")}, username="u", password="p") as server:` serves
`server.url("h264")`. A stream is encoded live from a test pattern, which costs CPU (640x360 at 10 a second: 2-4 % of
a core), and only while somebody looks; `GstStream.loop(file)` repeats an encoded file instead, at next to none.
"""

import asyncio
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

PYTHON: Final = "/usr/bin/python3"
"""Debian's: the bindings are built for it alone."""
SERVER: Final = Path(__file__).with_name("gst_server.py")
READY_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 30.0
PARSE: Final = {"h264": "h264parse", "h265": "h265parse"}
PAY: Final = {"h264": "rtph264pay", "h265": "rtph265pay"}
CACHE: Final = Path("/tmp/campus-agent-tests-media")
"""Made once, for all test runs of this machine."""
LOOP_S: Final = 4
"""How long a made file is before it repeats."""


@dataclass(frozen=True, slots=True)
class GstStream:
    """One mount. `pattern` is videotestsrc's (ball, smpte, black, white, snow, ...)."""

    codec: Literal["h264", "h265"] = "h264"
    width: int = 640
    height: int = 360
    fps: int = 10
    kbps: int = 500
    gop: int = 10
    """Frames from keyframe to keyframe."""
    pattern: str = "ball"
    file: Path | None = None
    """An Annex B file that is repeated instead."""
    protocols: Literal["tcp", "udp", "both"] = "both"

    @property
    def mount(self) -> dict[str, Any]:
        """What the server is told."""
        mount = {"launch": self.launch, "protocols": self.protocols, "codec": self.codec, "fps": self.fps}
        return {**mount, "file": str(self.file)} if self.file else mount

    @property
    def launch(self) -> str:
        """The pipeline, for gst-rtsp-server."""
        pay = f"{PARSE[self.codec]} ! valve name=valve ! {PAY[self.codec]} name=pay0 pt=96 config-interval=-1"
        if self.file:
            caps = f"video/x-{self.codec},stream-format=byte-stream,alignment=au,framerate={self.fps}/1"
            return f"( appsrc name=loop is-live=true format=time caps={caps} ! {pay} )"
        source = (
            f"videotestsrc is-live=true pattern={self.pattern} ! "
            f"video/x-raw,width={self.width},height={self.height},framerate={self.fps}/1,format=I420"
        )
        return f"( {source} ! {self._encoder()} ! {pay} )"

    def _encoder(self) -> str:
        name = {"h264": "x264enc", "h265": "x265enc"}[self.codec]
        threads = " threads=1" if self.codec == "h264" else ' option-string="pools=none:frame-threads=1:log-level=none"'
        return (
            f"{name} tune=zerolatency speed-preset=ultrafast bitrate={self.kbps} key-int-max={self.gop}{threads} ! "
            f"video/x-{self.codec},profile={'main' if self.codec == 'h265' else 'constrained-baseline'}"
        )

    @classmethod
    def loop(
        cls,
        codec: Literal["h264", "h265"] = "h264",
        *,
        width: int = 1920,
        height: int = 1080,
        fps: int = 25,
        kbps: int = 4000,
        gop: int = 50,
        protocols: Literal["tcp", "udp", "both"] = "both",
    ) -> "GstStream":
        """A stream out of a file that is encoded once per machine, with ffmpeg, to the given rate."""
        file = CACHE / f"aud-{codec}-{width}x{height}-{fps}-{kbps}-{gop}.{codec}"
        if not file.exists():
            CACHE.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(f".part-{os.getpid()}")
            subprocess.run(encode(codec, width, height, fps, kbps, gop, part), check=True, stdin=subprocess.DEVNULL)
            part.rename(file)
        return cls(codec, width, height, fps, kbps, gop, file=file, protocols=protocols)


def encode(codec: str, width: int, height: int, fps: int, kbps: int, gop: int, out: Path) -> list[str]:
    """The ffmpeg command that makes a repeatable Annex B file; noise keeps the rate up, as a real scene does."""
    options = f"aud=1:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:repeat-headers=1:nal-hrd=cbr"
    rate = ["-b:v", f"{kbps}k", "-minrate", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k"]
    coder = (
        ["-c:v", "libx264", "-preset", "ultrafast", "-x264-params", options]
        if codec == "h264"
        else ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", options.replace("nal-hrd=cbr", "log-level=1")]
    )
    source = f"testsrc2=size={width}x{height}:rate={fps},noise=alls=12:allf=t"
    head = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-y", "-f", "lavfi", "-i", source, "-t", str(LOOP_S)]
    form = {"h264": "h264", "h265": "hevc"}[codec]
    return [*head, "-pix_fmt", "yuv420p", *coder, *rate, "-f", form, str(out)]


class GstServer:
    """The server; it starts with the context and ends with it."""

    def __init__(
        self,
        streams: Mapping[str, GstStream],
        *,
        username: str | None = None,
        password: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.streams = dict(streams)
        self.host = host
        self.port = port
        self.username = username
        self.password = password
        self._process: asyncio.subprocess.Process | None = None

    def url(self, name: str) -> str:
        """The address of one stream, without credentials."""
        return f"rtsp://{self.host}:{self.port}/{name}"

    def login_url(self, name: str) -> str:
        """The same with credentials, for tools that take them so."""
        return f"rtsp://{self.username}:{self.password}@{self.host}:{self.port}/{name}"

    @property
    def pid(self) -> int:
        assert self._process, "start it first"
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start, and wait until it listens. A second start takes the same port."""
        spec = {
            "host": self.host,
            "port": self.port,
            "username": self.username,
            "password": self.password,
            "mounts": {f"/{name}": stream.mount for name, stream in self.streams.items()},
        }
        self._process = await asyncio.create_subprocess_exec(
            PYTHON,
            str(SERVER),
            json.dumps(spec),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "GST_DEBUG": os.environ.get("GST_DEBUG", "0")},
        )
        ready = await self._line(READY_TIMEOUT_S)
        self.port = int(ready["ready"])

    async def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def remove(self, name: str) -> None:
        """Serve a stream no more to new clients (404)."""
        await self._tell(f"remove /{name}")

    async def add(self, name: str) -> None:
        """Serve it again."""
        await self._tell(f"add /{name}")

    async def freeze(self, name: str) -> None:
        """No more packets; the connections stay."""
        await self._tell(f"freeze /{name}")

    async def thaw(self, name: str) -> None:
        await self._tell(f"thaw /{name}")

    async def drop(self) -> int:
        """Close every connection; return how many there were."""
        return int((await self._tell("drop"))["clients"])

    async def clients(self) -> int:
        """How many connections there are."""
        return int((await self._tell("clients"))["clients"])

    async def _tell(self, line: str) -> dict[str, Any]:
        assert self._process, "start it first"
        assert self._process.stdin
        self._process.stdin.write(line.encode() + b"\n")
        answer = await self._line(ANSWER_TIMEOUT_S)
        assert answer.get("ok"), answer
        return answer

    async def _line(self, timeout_s: float) -> dict[str, Any]:
        assert self._process
        assert self._process.stdout
        async with asyncio.timeout(timeout_s):
            line = await self._process.stdout.readline()
        assert line, "the GStreamer server ended; see its standard error"
        answer: dict[str, Any] = json.loads(line)
        return answer
