"""Pushes by SRT and over TLS, to real receivers: srt-live-transmit, ffmpeg and a TLS end before ffmpeg."""

import asyncio
import json
import os
import runpy
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.model import JsonValue
from agent.skyeye.live.pipe import SRT, srt_available
from tests.integration.test_live_push import pushing, recorded, running, state
from tests.sims.gst import PYTHON

PASSPHRASE = "s3cret-s3cret"
DEADLINE_S = 40.0


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def receiver(port: int, file: Path, passphrase: str = PASSPHRASE) -> tuple[str, ...]:
    """A listener that writes the stream into a file; the shell is replaced, so that a kill hits the receiver."""
    listen = f"srt://127.0.0.1:{port}?mode=listener&passphrase={passphrase}"
    return "sh", "-c", f'exec srt-live-transmit -q "{listen}" file://con > "{file}"'


def outlets() -> list[int]:
    """The push processes that we are the parent of."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdecimal() and b"outlet.py" in (entry / "cmdline").read_bytes():
                parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == os.getpid():
                    found.append(int(entry.name))
    return found


def error_key(error: JsonValue) -> JsonValue:
    return error["key"] if isinstance(error, dict) else None


def visible(pid: int) -> bytes:
    """What everybody may read of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.05)


def probed(file: Path) -> dict[str, object]:
    """What ffprobe says of the pictures."""
    command = ["ffprobe", "-v", "error", "-select_streams", "v", "-count_frames", "-show_streams", "-of", "json"]
    done = subprocess.run([*command, str(file)], capture_output=True, check=True)
    (stream,) = json.loads(done.stdout)["streams"]
    found: dict[str, object] = stream
    return found


async def test_srt_plays_and_ends_with_its_lease_and_shows_no_secret(tmp_path: Path) -> None:
    port, file = free_port(socket.SOCK_DGRAM), tmp_path / "received.ts"
    url = f"srt://127.0.0.1:{port}?streamid=publish:gate&passphrase={PASSPHRASE}&pbkeylen=32&latency=60"
    async with running(*receiver(port, file)), pushing(url) as pusher:
        view = await state(pusher, "running")
        assert PASSPHRASE not in repr(view)
        (pid,) = outlets()
        assert PASSPHRASE.encode() not in visible(pid)
        await recorded(file, "mpegts")
        await pusher.start("gate", "main", url, 0.1)  # a renewal may shorten it, to the shortest lease
        await until(lambda: not pusher.list())
        assert outlets() == []
    stream = probed(file)
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 320, 180)
    assert int(str(stream["nb_read_frames"])) >= 15


async def test_a_receiver_that_is_killed_is_told_and_called_again(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    async with pushing(f"srt://127.0.0.1:{port}?passphrase={PASSPHRASE}", codec="h265") as pusher:
        async with running(*receiver(port, tmp_path / "first.ts")):
            await state(pusher, "running")
        view = await state(pusher, "waiting")
        assert error_key(view["error"]) == "live.push-broken"
        async with running(*receiver(port, tmp_path / "second.ts")):
            await state(pusher, "running")
            await recorded(tmp_path / "second.ts", "mpegts")
    assert outlets() == []
    assert probed(tmp_path / "second.ts")["codec_name"] == "hevc"


async def test_a_receiver_with_another_passphrase(tmp_path: Path) -> None:
    port = free_port(socket.SOCK_DGRAM)
    command = receiver(port, tmp_path / "none.ts", "another-secret")
    async with running(*command), pushing(f"srt://127.0.0.1:{port}?passphrase={PASSPHRASE}") as pusher:
        await until(lambda: error_key(pusher.list()[0]["error"]) == "live.push-login")


async def test_whether_the_library_is_there_is_seen() -> None:
    assert await srt_available()
    module = runpy.run_path(str(SRT))
    with pytest.raises(module["NoLibrary"]):
        module["load"](["libsrt-that-is-not-there.so.1"])


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a host name, with its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run([*command, *names, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@asynccontextmanager
async def tls_before(port: int, cert: Path, key: Path) -> AsyncIterator[int]:
    """A TLS end that hands everything on to a plain server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


async def test_rtmps_to_a_server_with_a_certificate_of_our_authority(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "localhost")
    port, file = free_port(socket.SOCK_STREAM), tmp_path / "recorded.flv"
    plain = f"rtmp://127.0.0.1:{port}/live/gate"
    command = ["ffmpeg", "-hide_banner", "-loglevel", "quiet", "-y", "-listen", "1", "-f", "flv", "-i", plain]
    async with (
        running(*command, "-c", "copy", "-flush_packets", "1", str(file)),
        tls_before(port, cert, key) as tls,
        pushing(f"rtmps://localhost:{tls}/live/gate", ca=cert),
    ):
        await recorded(file, "flv")


async def test_rtsps_to_a_server_with_a_certificate_of_our_authority(tmp_path: Path) -> None:
    recorder = Path(__file__).parents[1] / "sims" / "gst_record.py"
    cert, key = certificate(tmp_path, "localhost")
    file = tmp_path / "recorded.h264"
    async with running(PYTHON, str(recorder), str(file), "pub", "s3cret") as server:
        assert server.stdout
        port = int(await server.stdout.readline())
        async with tls_before(port, cert, key) as tls, pushing(f"rtsps://pub:s3cret@localhost:{tls}/push", ca=cert):
            await recorded(file, "h264")


@pytest.mark.parametrize("scheme", ["rtsps", "rtmps"])
async def test_a_certificate_that_is_not_trusted_or_of_another_host_gets_nothing(tmp_path: Path, scheme: str) -> None:
    cert, key = certificate(tmp_path, "media.example.cn")
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server, tls_before(server.sockets[0].getsockname()[1], cert, key) as tls:
        for ca, words in ((None, "self-signed"), (cert, "mismatch")):
            async with pushing(f"{scheme}://localhost:{tls}/live/gate", ca=ca) as pusher:
                error = (await state(pusher, "waiting"))["error"]
                assert error_key(error) == "live.push-certificate"
                assert words in repr(error)
    assert not any(heard)
