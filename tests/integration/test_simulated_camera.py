"""The simulated peers against clients that are not ours: FFmpeg (PyAV), zeep, aiohttp, plain sockets."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import aiohttp
import av
import numpy as np
import onvif  # type: ignore[import-untyped]  # has no types
import pytest
from av.container import InputContainer
from zeep.exceptions import Fault

from tests.sims.camera import SimCameras
from tests.sims.gst import GstServer, GstStream

LOGIN: Final = {"username": "admin", "password": "pw"}
WSDL: Final = Path(onvif.__file__).parent / "wsdl"
DEVICE: Final = "http://www.onvif.org/ver10/device/wsdl"
CAP_BYTES: Final = 1 << 20
OPEN_S, READ_S = 10.0, 5.0
QUICK: Final = {"analyzeduration": "200000", "fpsprobesize": "0"}
"""FFmpeg looks at streams for seconds before it gives any packet; a fifth of one is enough here."""


def opened(url: str, transport: str = "tcp", open_s: float = OPEN_S, read_s: float = READ_S) -> InputContainer:
    return av.open(url, options={"rtsp_transport": transport, **QUICK}, timeout=(open_s, read_s))


def pictures(url: str, count: int, transport: str = "tcp") -> list[av.VideoFrame]:
    """Decode so many pictures."""
    found = []
    with opened(url, transport) as container:
        for frame in container.decode(video=0):
            found.append(frame)
            if len(found) == count:
                break
    return found


def packets(url: str, count: int, open_s: float = OPEN_S) -> "Iterator[av.Packet[av.VideoStream]]":
    with opened(url, open_s=open_s, read_s=1.0) as container:
        for packet in container.demux(video=0):
            if packet.size == 0:
                return
            yield packet
            count -= 1
            if count == 0:
                return


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
async def test_a_player_shows_every_stream(codec: str, transport: str) -> None:
    async with SimCameras({"id": "gate", "main": {"codec": codec}, **LOGIN}) as cameras:
        for role, size in (("main", (640, 360)), ("sub", (320, 180))):
            found = await asyncio.to_thread(pictures, cameras.login_url(role=role), 6, transport)
            assert {(frame.width, frame.height) for frame in found} == {size}
            times = [frame.pts for frame in found if frame.pts is not None]
            assert times == sorted(set(times))
        assert (await cameras.state())["wrong_logins"] == 0


async def test_the_debian_player_and_gstreamer_play_it_too() -> None:
    async with SimCameras({"id": "gate", **LOGIN}, {"id": "yard", "ptz": True}) as cameras:
        for id_ in cameras.cameras:
            url = cameras.login_url(id_)
            probe = [
                "ffprobe",
                "-v",
                "error",
                "-rtsp_transport",
                "tcp",
                "-show_entries",
                "stream=codec_name,width",
                url,
            ]
            assert "codec_name=h264\nwidth=640" in await output(*probe)
            chain = "rtph264depay ! h264parse ! avdec_h264 ! identity eos-after=8 ! fakesink"
            assert "ERROR" not in await output("gst-launch-1.0", "rtspsrc", f"location={url}", "!", *chain.split())


async def output(*command: str) -> str:
    assert shutil.which(command[0]), f"{command[0]} is missing: make test installs it"
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    async with asyncio.timeout(60):
        return (await process.communicate())[0].decode()


async def test_udp_only_means_461_over_the_connection() -> None:
    async with SimCameras({"id": "gate", "transports": ["udp"]}) as cameras:
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(pictures, cameras.url(), 1)
        assert len(await asyncio.to_thread(pictures, cameras.url(), 2, "udp")) == 2


async def test_a_wrong_password_is_refused_and_then_everybody_is() -> None:
    async with SimCameras({"id": "gate", "lock_after": 2, "lock_s": 60, **LOGIN}) as cameras:
        wrong = cameras.login_url().replace(":pw@", ":bad@")
        for _ in range(2):
            with pytest.raises(av.FFmpegError):
                await asyncio.to_thread(pictures, wrong, 1)
        state = await cameras.state()
        assert (state["wrong_logins"], state["locked"]) == (2, True)
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(pictures, cameras.login_url(), 1)
        await cameras.tell("gate", unlock=True)
        assert len(await asyncio.to_thread(pictures, cameras.login_url(), 1)) == 1


async def test_what_the_picture_shows_changes_while_it_plays() -> None:
    async with SimCameras({"id": "gate"}, {"id": "yard", "scene": "yard", "ptz": True}) as cameras:
        for id_ in cameras.cameras:
            bright = await asyncio.to_thread(pictures, cameras.url(id_), 1)
            await cameras.tell(id_, picture="black")
            dark = await asyncio.to_thread(pictures, cameras.url(id_), 1)
            assert np.mean(dark[0].to_ndarray(format="gray")) < 20 < np.mean(bright[0].to_ndarray(format="gray"))


async def test_bad_streams() -> None:
    async with SimCameras({"id": "gate", "after_s": 0.0, "main": {"fps": 25, "gop": 5}}) as cameras:

        async def see(mode: str, count: int = 25, open_s: float = OPEN_S) -> "list[av.Packet[av.VideoStream]]":
            await cameras.tell("gate", rtsp_mode=mode)
            return await asyncio.to_thread(list, packets(cameras.url(), count, open_s))

        for mode in ("hang", "unauthorized", "redirect", "garbage", "closed"):
            with pytest.raises((av.FFmpegError, OSError)):
                await see(mode, open_s=3.0)
        assert not any(packet.is_keyframe for packet in await see("no-keyframe", 15))
        times = [packet.pts for packet in await see("backward", 40) if packet.pts is not None]
        assert times != sorted(times)
        times = [packet.pts for packet in await see("jump", 40) if packet.pts is not None]
        assert max(b - a for a, b in pairwise(times)) > 3000 * 90_000
        await cameras.tell("gate", rtsp_mode="resize")
        assert (await asyncio.to_thread(pictures, cameras.url(), 1))[0].width == 320
        await cameras.tell("gate", rtsp_mode="ok")
        assert (await asyncio.to_thread(pictures, cameras.url(), 1))[0].width == 640


async def test_a_description_that_names_another_codec() -> None:
    async with SimCameras({"id": "gate", "rtsp_mode": "lie"}) as cameras:
        reader, writer = await asyncio.open_connection("127.0.0.1", cameras.cameras["gate"]["rtsp_port"])
        writer.write(f"DESCRIBE {cameras.url()} RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode())
        assert b"H265/90000" in await reader.readuntil(b"framerate")
        writer.close()


def zeep_camera(cameras: SimCameras, id_: str, password: str = "pw") -> Any:
    port = cameras.cameras[id_]["onvif_port"]
    return onvif.ONVIFCamera("127.0.0.1", port, "admin", password, wsdl_dir=str(WSDL))


async def test_an_onvif_client_reads_what_the_camera_is() -> None:
    recorder = {"id": "nvr", "channels": 3, "onvif_login": "wsse", "recordings_days": 40, **LOGIN}
    async with SimCameras({**recorder, "main": {"codec": "h265"}, "media1_hides_h265": True}) as cameras:
        camera = zeep_camera(cameras, "nvr")
        await camera.update_xaddrs()
        device = await camera.create_devicemgmt_service()
        await cameras.tell("nvr", identity={"firmware": "2.0"})
        assert (await device.GetDeviceInformation()).FirmwareVersion == "2.0"
        (interface,) = await device.GetNetworkInterfaces()
        assert interface.Info.HwAddress == cameras.cameras["nvr"]["mac"]
        media = await camera.create_media_service()
        assert [source.token for source in await media.GetVideoSources()] == ["vs_1", "vs_2", "vs_3"]
        profiles = await media.GetProfiles()
        assert len(profiles) == 6
        assert {profile.VideoEncoderConfiguration.Encoding for profile in profiles} == {"H264"}
        search = await camera.create_onvif_service("search")
        summary = await search.GetRecordingSummary()
        assert summary.DataUntil - summary.DataFrom == timedelta(days=40)
        await camera.close()


async def test_an_onvif_client_moves_the_camera_and_hears_its_events() -> None:
    async with SimCameras({"id": "yard", "ptz": True, "event_slots": 1, **LOGIN}) as cameras:
        camera = zeep_camera(cameras, "yard")
        await camera.update_xaddrs()
        ptz = await camera.create_ptz_service()
        token = {"ProfileToken": "profile_1_main"}
        await ptz.ContinuousMove({**token, "Velocity": {"PanTilt": {"x": 1.0, "y": 0.0}}})
        await ptz.Stop(token)
        assert (await cameras.state())["ptz"]["pan"] > 0
        kept = await ptz.SetPreset({**token, "PresetName": "here"})
        assert "here" in [preset.Name for preset in await ptz.GetPresets(token)]
        await ptz.GotoPreset({**token, "PresetToken": kept})
        manager = await camera.create_pullpoint_manager(timedelta(seconds=60), lambda: None)
        await cameras.tell("yard", event={"kind": "motion", "active": True})
        await cameras.tell("yard", event={"kind": "line-crossed", "active": None, "source": "fence"})
        pulled = await manager.get_service().PullMessages({"MessageLimit": 10, "Timeout": timedelta(seconds=5)})
        topics = [message.Topic._value_1 for message in pulled.NotificationMessage]
        assert topics == ["tns1:RuleEngine/CellMotionDetector/Motion", "tns1:RuleEngine/LineDetector/Crossed"]
        events = await camera.create_events_service()
        with pytest.raises(Fault, match="maximum"):
            await events.CreatePullPointSubscription()
        assert (await cameras.state())["event_slots"] == 1
        await manager.shutdown()
        assert (await cameras.state())["event_slots"] == 0
        await camera.close()


def request(name: str, uri: str = DEVICE) -> bytes:
    space = "http://www.w3.org/2003/05/soap-envelope"
    return f'<e:Envelope xmlns:e="{space}"><e:Body><{name} xmlns="{uri}"/></e:Body></e:Envelope>'.encode()


async def test_http_digest_with_sha256_and_a_snapshot() -> None:
    async with SimCameras({"id": "gate", "onvif_login": "digest", "onvif_digest": "SHA-256", **LOGIN}) as cameras:
        url = cameras.address()
        async with aiohttp.ClientSession(middlewares=[aiohttp.DigestAuthMiddleware("admin", "pw")]) as client:
            async with client.post(url, data=request("GetDeviceInformation")) as reply:
                assert b"SIM-2004" in await reply.read()
            async with client.get(f"{url}/snapshot/1") as reply:
                assert (await reply.read())[:2] == b"\xff\xd8"
        async with aiohttp.ClientSession() as client:
            async with client.post(url, data=request("GetSystemDateAndTime")) as reply:
                assert reply.status == 200
            async with client.post(url, data=request("GetDeviceInformation")) as reply:
                assert (reply.status, "SHA-256" in reply.headers["WWW-Authenticate"]) == (401, True)
            async with client.post(url, data=b"nonsense") as reply:
                assert reply.status == 400


HOSTILE: Final = {
    "malformed": b"<unclosed",
    "bomb": b"<!ENTITY",
    "content-type": b"<html>",
    "fault": b"ActionNotSupported",
    "utf8": b"\xc3\x28",
    "empty": b"<env:Body></env:Body>",
    "huge": b"xxxx",
    "endless": b"xxxx",
}


@pytest.mark.parametrize("mode", HOSTILE)
async def test_hostile_answers(mode: str) -> None:
    async with (
        SimCameras({"id": "gate", "onvif_mode": mode, "main": {"width": 64, "height": 64}, "sub": None}) as cameras,
        aiohttp.ClientSession() as client,
        client.post(cameras.address(), data=request("GetDeviceInformation")) as reply,
    ):
        data = b""
        while len(data) <= CAP_BYTES and (chunk := await reply.content.read(CAP_BYTES)):
            data += chunk
        assert HOSTILE[mode] in data
        assert (len(data) > CAP_BYTES) == (mode in ("huge", "endless"))


async def test_answers_that_do_not_come_or_lead_elsewhere() -> None:
    async with SimCameras({"id": "gate"}) as cameras, aiohttp.ClientSession() as client:
        url = cameras.address()
        await cameras.tell("gate", onvif_mode="redirect", operations=["GetDeviceInformation"])
        async with client.post(url, data=request("GetDeviceInformation"), allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"][:18]) == (307, "http://192.0.2.1/o")
        async with client.post(url, data=request("GetServices")) as reply:
            assert reply.status == 200
        await cameras.tell("gate", onvif_mode="cut")
        with pytest.raises(aiohttp.ClientError):
            async with client.post(url, data=request("GetServices")) as reply:
                await reply.read()
        await cameras.tell("gate", onvif_mode="xaddr-ports")
        async with client.post(url, data=request("GetServices")) as reply:
            port = cameras.cameras["gate"]["onvif_port"]
            assert f"127.0.0.1:{port}:{port}/" in await reply.text()
        await cameras.tell("gate", onvif_mode="closed")
        with pytest.raises(aiohttp.ClientConnectionError):
            async with client.post(url, data=request("GetServices")):
                pass
        await cameras.tell("gate", onvif_mode="ok")
        async with client.post(url, data=request("GetServices")) as reply:
            assert reply.status == 200


async def test_cameras_are_found() -> None:
    async with SimCameras({"id": "gate"}, {"id": "yard"}, discovery=True, discovery_port=0) as cameras:
        port = cameras.cameras["gate"]["discovery_port"]
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setblocking(False)
            asking.connect(("127.0.0.1", port))
            await loop.sock_sendall(asking, b"nonsense")
            await loop.sock_sendall(asking, b"<E><MessageID>7</MessageID><Probe/></E>")
            async with asyncio.timeout(60):
                said = [await loop.sock_recv(asking, 9000) for _ in range(2)]
        assert all(cameras.address(id_).encode() in b"".join(said) for id_ in cameras.cameras)


async def test_many_cameras_in_one_process_share_their_film() -> None:
    async with SimCameras({"id": "cam", "sub": None}, copies=20) as cameras:
        assert len({camera["serial"] for camera in cameras.cameras.values()}) == 20
        urls = [cameras.url(id_) for id_ in cameras.cameras]
        found = await asyncio.gather(*(asyncio.to_thread(lambda url: list(packets(url, 5)), url) for url in urls))
        assert [len(each) for each in found] == [5] * 20


async def test_unknown_cameras_and_commands_are_refused() -> None:
    async with SimCameras() as cameras:
        with pytest.raises(ValueError, match="no camera"):
            await cameras.tell("other", picture="black")
        with pytest.raises(ValueError, match="rtsp_mode"):
            await cameras.tell("cam", rtsp_mode="nonsense")
        with pytest.raises(ValueError, match="kind or a topic"):
            await cameras.tell("cam", event={})


async def test_the_gstreamer_server_with_digest() -> None:
    streams = {"h264": GstStream(), "h265": GstStream("h265"), "udp": GstStream(protocols="udp")}
    async with GstServer(streams, username="u", password="p") as server:
        for name, transport in (("h264", "tcp"), ("h265", "tcp"), ("udp", "udp")):
            assert len(await asyncio.to_thread(pictures, server.login_url(name), 3, transport)) == 3
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(pictures, server.url("h264"), 1)
        await server.remove("h264")
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(pictures, server.login_url("h264"), 1)
        await server.freeze("h265")
        with pytest.raises(av.FFmpegError):
            await asyncio.to_thread(lambda: list(packets(server.login_url("h265"), 9)))
        await server.thaw("h265")
