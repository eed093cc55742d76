"""Cameras without ONVIF: their addresses are put together, and their snapshot is fetched."""

from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.driver import BadReply, CameraError, Features, Identity, LoginRefused, NotOffered
from drivers.rtsp import Rtsp
from tests.sims.onvif_replay import JPEG, PASSWORD, Replay, TestLink

CLOCK = SystemClock("Asia/Shanghai")


@pytest.mark.parametrize(
    ("address", "settings", "main", "sub"),
    [
        ("192.168.1.70", {}, "rtsp://192.168.1.70/", "rtsp://192.168.1.70/"),
        (
            "192.168.1.70:8554",
            {"path": "/live/0"},
            "rtsp://192.168.1.70:8554/live/0",
            "rtsp://192.168.1.70:8554/live/0",
        ),
        ("cam", {"port": 5554, "path": "a", "sub_path": "b?c=1&d=2"}, "rtsp://cam:5554/a", "rtsp://cam:5554/b?c=1&d=2"),
        ("rtsp://cam:5554/one", {"sub_path": "/two"}, "rtsp://cam:5554/one", "rtsp://cam:5554/two"),
        ("rtsps://cam/one", {}, "rtsps://cam/one", "rtsps://cam/one"),
        ("[fd00::7]:8554", {"path": "/x"}, "rtsp://[fd00::7]:8554/x", "rtsp://[fd00::7]:8554/x"),
        ("fd00::7", {"path": "/x y"}, "rtsp://[fd00::7]/x y", "rtsp://[fd00::7]/x y"),
    ],
)
async def test_addresses(address: str, settings: dict[str, object], main: str, sub: str) -> None:
    session = await Rtsp.model_validate(settings).open(TestLink(address, CLOCK))
    found = [await session.stream("main"), await session.stream("sub")]
    assert [one.url.replace("%20", " ") for one in found] == [main, sub]
    assert found[0].username
    assert found[0].password == PASSWORD
    assert PASSWORD not in repr(found)
    await session.close()


async def test_it_has_nothing_to_tell() -> None:
    session = await Rtsp(transport="udp").open(TestLink("cam", CLOCK))
    assert await session.identity() == Identity()
    assert await session.features() == Features()
    assert await session.profiles() == ()
    assert (await session.stream("main")).transport == "udp"
    with pytest.raises(NotOffered):
        await session.snapshot()
    with pytest.raises(NotOffered):
        session.events()
    await session.close()


async def test_a_snapshot_on_another_host_is_refused() -> None:
    with pytest.raises(BadReply):
        await Rtsp(snapshot_url="http://10.0.0.1/x.jpg").open(TestLink("10.0.0.2", CLOCK))


@pytest.mark.parametrize("login", ["digest", "digest-sha256", "basic", "none"])
async def test_a_snapshot_is_fetched_with_whatever_login_is_wanted(login: str, tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(f'login = "{login}"')
    async with Replay(tmp_path, CLOCK) as replay:
        session = await Rtsp(snapshot_url=f"http://{replay.address}/snap.jpg").open(TestLink("127.0.0.1", CLOCK))
        assert await session.snapshot() == JPEG
        assert await session.snapshot() == JPEG
        await session.close()
        assert replay.refused_logins == 0


@pytest.mark.parametrize("login", ["digest", "basic"])
async def test_a_wrong_password_is_tried_once(login: str, tmp_path: Path) -> None:
    (tmp_path / "case.toml").write_text(f'login = "{login}"')
    async with Replay(tmp_path, CLOCK) as replay:
        link = TestLink("127.0.0.1", CLOCK, password="wrong")
        session = await Rtsp(snapshot_url=f"http://{replay.address}/snap.jpg").open(link)
        with pytest.raises(LoginRefused):
            await session.snapshot()
        await session.close()
        assert replay.refused_logins == link.test_gate.refusals == 1


async def test_what_is_no_jpeg_is_refused() -> None:
    async with Replay(Path("/nonexistent"), CLOCK) as replay:
        replay.hostile = "web-page"
        session = await Rtsp(snapshot_url=f"http://{replay.address}/snap.jpg").open(TestLink("127.0.0.1", CLOCK))
        with pytest.raises(CameraError) as caught:
            await session.snapshot()
        assert caught.value.text.key == "camera.no-jpeg"
        await session.close()
