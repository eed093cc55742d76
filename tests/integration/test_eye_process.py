"""The eye fails in every way while buttons are pressed: no press is lost, the eye comes back, and its fault is told.

A stand-in plays the eye (tests/sims/eye.py); core, buttons, broker and journal are the real ones.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from agent.clock import NS_PER_S, SystemClock
from agent.control import ControlClient, ControlError
from agent.control.protocol import eye_sockets
from agent.demo.module import Modules
from agent.journal import verify_path
from agent.model import Site
from agent.runtime.child import rss_bytes
from tests.sims.broker import Broker
from tests.sims.buttons import press_and_release
from tests.sims.daemon import Daemon
from tests.sims.district import District

SITE: Final = Site("370812", "sy-primary")
WAIT_S: Final = 120.0
PRESSES: Final = 3


def config(folder: Path, broker: str, more: str = "") -> str:
    return (
        f"""
    [uplink]
    brokers = ["{broker}"]
    [skyeye]
    memory = "128MiB"
    [[bus]]
    id = "rs485-1"
    port = "{folder}/line"
    [[device]]
    id = "guardroom"
    name = "门卫室报警模块"
    driver = "modbus-io"
    bus = "rs485-1"
    unit = 1
    outputs = 8
    offline_after = "2s"
      [[device.point]]
      id = "panic"
      name = "门卫室一键报警"
      kind = "panic"
      input = 0
      lamp = 0
      cameras = ["gate"]
      [[device.point]]
      id = "duress"
      name = "校长室胁迫报警"
      kind = "duress"
      input = 1
      cameras = ["gate", "yard"]
    [[camera]]
    id = "gate"
    name = "校门口"
    driver = "rtsp"
    address = "127.0.0.1"
    path = "/1"
    [[camera]]
    id = "yard"
    name = "东围墙"
    driver = "rtsp"
    address = "127.0.0.1"
    path = "/2"
      [[camera.point]]
      id = "fence"
      name = "东围墙"
      kind = "perimeter"
      input = "line-crossed/fence"
      cameras = ["yard"]
    """
        + more
    )


def console() -> str:
    """The real one, at a port of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f'\n[console]\nlisten = "127.0.0.1:{free.getsockname()[1]}"\n'


@dataclass
class School:
    """Everything of one test."""

    folder: Path
    daemon: Daemon
    modules: Modules
    district: District
    clock: SystemClock = field(default_factory=lambda: SystemClock("Asia/Shanghai"))

    async def eye(self) -> dict[str, Any]:
        status: dict[str, Any] = (await self.daemon.status())["eye"]
        return status

    async def running(self, *, not_pid: int | None = None) -> int:
        async with asyncio.timeout(WAIT_S):
            while True:
                eye = await self.eye()
                if eye["state"] == "running" and eye["pid"] not in {None, not_pid}:
                    return int(eye["pid"])
                await asyncio.sleep(0.05)

    async def console_running(self, *, not_pid: int | None = None) -> int:
        async with asyncio.timeout(WAIT_S):
            while True:
                console = (await self.daemon.status())["console"]
                if console["state"] == "running" and console["pid"] not in {None, not_pid}:
                    return int(console["pid"])
                await asyncio.sleep(0.05)

    def orders(self, method: str) -> list[dict[str, Any]]:
        path = self.folder / "eye.jsonl"
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        return [note for note in map(json.loads, lines) if note["method"] == method]

    async def until_order(self, method: str, number: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(WAIT_S):
            while len(self.orders(method)) < number:  # noqa: ASYNC110 - a file announces nothing
                await asyncio.sleep(0.02)
        return self.orders(method)[number - 1]

    async def eye_says(self, method: str, **params: Any) -> Any:
        """Have the eye call the core."""
        control = self.daemon.journal.with_suffix(".sock")
        async with ControlClient([eye_sockets(control)[0]]) as eye:
            return await eye.call("do", say=method, params=params)

    async def press(self, number: int = 0) -> None:
        await press_and_release(self.modules, 1, number)

    async def event(self, type_: str, *, after: int = 0, **data: Any) -> dict[str, Any]:
        """The first event behind the first `after` ones of this type whose data have these members."""

        def look() -> dict[str, Any] | None:
            for event in self.district.events()[after:]:
                if event["type"] == type_ and all(event["data"].get(name) == want for name, want in data.items()):
                    return event
            return None

        found: dict[str, Any] = await self.district.until(look, WAIT_S)
        return found

    async def presses(self) -> None:
        """One alarm and its repeats: all of them come, none late."""
        after = len(self.district.events())
        for _ in range(PRESSES):
            await self.press()
        raised = await self.event("campus.alarm.raised", after=after, device="guardroom")
        for count in range(2, PRESSES + 1):
            repeated = await self.event("campus.alarm.repeated", after=after, count=count)
            assert repeated["data"]["event"] == raised["id"]
        assert raised["late"] is False
        assert (await self.district.command("ack", {"event": raised["id"]}))["ok"]
        assert (await self.district.command("reset", {"event": raised["id"]}))["ok"]


@asynccontextmanager
async def a_school(folder: Path, more: str = "") -> AsyncIterator[School]:
    async with AsyncExitStack() as stack:
        broker = stack.enter_context(Broker(folder / "broker", persistent=True))
        modules = await stack.enter_async_context(Modules(folder / "line", (1,)))
        district = await stack.enter_async_context(District(broker.port, SITE))
        daemon = Daemon(folder, config(folder, broker.url, more), program="tests.sims.core")
        await stack.enter_async_context(daemon)
        await district.status("online")
        yield School(folder, daemon, modules, district)
    report = verify_path(folder / "journal.db")
    assert report.ok, report


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as school:
        yield school


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGSEGV, "SIGSEGV"),
        (signal.SIGKILL, "SIGKILL"),
        (signal.SIGSTOP, "3 秒"),
        (signal.SIGUSR1, "128 MiB"),  # it takes memory without end
        (signal.SIGUSR2, "3 秒"),  # it hangs
    ],
)
async def test_an_eye_that_fails_costs_no_press_and_comes_back(
    school: School, number: signal.Signals, reason: str
) -> None:
    pid = await school.running()
    os.kill(pid, number)
    await school.presses()
    told = await school.event("campus.fault.raised", fault="eye")
    await school.running(not_pid=pid)
    cleared = await school.event("campus.fault.cleared", fault="eye")
    assert cleared["data"]["event"] == told["id"]
    said = [line for line in school.daemon.said().splitlines() if reason in line]
    assert said, school.daemon.said()
    await school.presses()
    assert rss_bytes(pid) is None
    assert (await school.eye())["restarts"] == 1


async def test_an_alarm_orders_evidence_at_once_and_a_silent_one_says_that_it_is(school: School) -> None:
    await school.running()
    await school.press(1)
    order = await school.until_order("evidence")
    raised = await school.event("campus.alarm.raised", kind="duress")
    assert order["event"] == raised["id"]
    assert (order["device"], order["point"], order["cameras"]) == ("guardroom", "duress", ["gate", "yard"])
    assert (order["silent"], order["drill"]) == (True, False)
    assert order["raised_ns"] == raised["data"]["boottime_ns"]


async def test_an_order_waits_for_an_eye_that_is_away(school: School) -> None:
    pid = await school.running()
    os.kill(pid, signal.SIGSTOP)
    await school.press()
    raised = await school.event("campus.alarm.raised", device="guardroom")
    os.kill(pid, signal.SIGKILL)
    await school.running(not_pid=pid)
    order = await school.until_order("evidence")
    assert order["event"] == raised["id"]


async def test_what_a_stop_leaves_without_evidence_is_told(tmp_path: Path) -> None:
    async with a_school(tmp_path) as school:
        pid = await school.running()
        os.kill(pid, signal.SIGSTOP)
        await school.press()
        raised = await school.event("campus.alarm.raised", device="guardroom")
        await school.daemon.stop()
        missing = await school.event("campus.camera.evidence-missing", event=raised["id"])
        assert missing["data"]["device"] == "gate"
        assert missing["data"]["reason"]["zh-CN"]


async def test_a_point_of_a_camera_is_a_point_like_any_other(school: School) -> None:
    await school.running()
    inputs = ["line-crossed", "line-crossed/fence"]
    seen_ns = school.clock.boottime_ns()
    await school.eye_says("eye-sample", camera="yard", inputs=inputs, active=True, seen_ns=seen_ns)
    raised = await school.event("campus.alarm.raised", device="yard", point="fence")
    assert (raised["data"]["kind"], raised["source"]) == ("perimeter", "/370812/sy-primary/yard/fence")
    state = await school.district.until(lambda: school.district.last("state/yard/fence"))
    assert state.value["state"] in {"active", "idle"}
    assert (await school.until_order("evidence"))["cameras"] == ["yard"]
    for _ in range(2):  # a pulse: begins and ends at once, and is no glitch
        await school.eye_says("eye-sample", camera="yard", inputs=inputs, active=None, seen_ns=seen_ns)
        await asyncio.sleep(0.1)
    again = await school.event("campus.alarm.repeated", device="yard")
    assert again["data"]["count"] == 2


async def test_an_input_that_a_dead_eye_left_on_does_not_swallow_the_next_event(school: School) -> None:
    pid = await school.running()
    await school.eye_says("eye-sample", camera="yard", inputs=["line-crossed/fence"], active=True, seen_ns=0)
    raised = await school.event("campus.alarm.raised", device="yard")
    os.kill(pid, signal.SIGKILL)
    await school.running(not_pid=pid)
    await school.event("campus.alarm.restored", device="yard")
    await school.eye_says("eye-sample", camera="yard", inputs=["line-crossed/fence"], active=True, seen_ns=0)
    again = await school.event("campus.alarm.repeated", device="yard")
    assert again["data"]["event"] == raised["id"]


async def test_what_the_eye_tells_is_checked_journaled_and_published(school: School) -> None:
    await school.running()
    seen_ns = school.clock.boottime_ns() - 2 * NS_PER_S
    data = {"active": True, "source": "1", "topic": "tns1:VideoSource/MotionAlarm"}
    told = await school.eye_says("eye-event", camera="gate", type="motion", data=data, seen_ns=seen_ns)
    event = await school.event("campus.camera.motion", device="gate")
    assert (event["id"], event["seq"], event["lane"]) == (told["id"], told["seq"], "event")
    assert event["data"]["boottime_ns"] == seen_ns
    assert event["data"]["name"] == "校门口"
    for wrong in (
        {"camera": "gate", "type": "no-such", "data": {}},
        {"camera": "nobody", "type": "motion", "data": {}},
        {"camera": "gate", "type": "motion", "data": {"x": "y" * 20_000}},
        {"camera": "gate", "type": "motion", "data": {"device": "guardroom"}},
        {"camera": "gate", "type": "motion", "data": []},
    ):
        with pytest.raises(ControlError):
            await school.eye_says("eye-event", seen_ns=seen_ns, **wrong)
    with pytest.raises(ControlError):  # from another process than the eye
        await school.daemon.call("eye-event", camera="gate", type="motion", data={}, seen_ns=seen_ns)

    text = {"key": "runtime.eye-starting", "args": {}}
    await school.eye_says("eye-fault", camera="gate", fault="picture-black", text=text)
    raised = await school.event("campus.fault.raised", fault="picture-black")
    assert raised["data"]["device"] == "gate"
    await school.eye_says("eye-fault", camera="gate", fault="picture-black", text=None)
    await school.event("campus.fault.cleared", fault="picture-black")
    for fault, said in (("storage", text), ("picture-black", {"key": "../../x.y", "args": {}})):
        with pytest.raises(ControlError):
            await school.eye_says("eye-fault", camera="gate", fault=fault, text=said)

    facts = {"maker": "ACME", "model": "X1", "firmware": "1.2", "serial": "42", "ptz": True, "clock_offset_ms": 1500}
    await school.eye_says("eye-inventory", camera="gate", facts=facts)
    message = await school.district.until(
        lambda: (found := school.district.last("inventory/gate")) and found.value["maker"] == "ACME" and found
    )
    assert message.value["camera"]["serial"] == "42"
    with pytest.raises(ControlError):
        await school.eye_says("eye-inventory", camera="gate", facts={"ptz": "perhaps"})
    assert message.value["health"] == "online"


async def test_commands_to_cameras_reach_the_eye_and_keep_their_secrets(school: School) -> None:
    await school.running()
    url = "rtmp://user:hunter2@media.example.cn:1935/live/streamkey?sign=abc"
    reply = await school.district.command("stream-start", {"camera": "gate", "url": url, "lease_s": 60}, actor="区平台")
    assert reply["ok"], reply
    order = await school.until_order("stream-start")
    assert (order["url"], order["lease_s"], order["actor"]) == (url, 60, "区平台")
    received = await school.event("campus.command.received", verb="stream-start")
    assert received["data"]["args"]["url"] == "rtmp://media.example.cn:1935/..."
    for verb, args, said in (
        ("snapshot", {"camera": "gat"}, "gate"),
        ("clip", {"camera": "gate", "before_s": 999}, "0..60"),
        ("clip", {"camera": "gate", "befor_s": 9}, "befor_s"),
        ("ptz", {"camera": "gate", "move": {}, "stop": True}, "move, stop"),
        ("stream-start", {"camera": "gate", "url": "http://user:hunter2@x/y"}, "rtsp://"),
        ("patrol", {"patrol": "morning"}, "morning"),
        ("inspect", {"cameras": "gate"}, "cameras"),
    ):
        refused = await school.district.command(verb, args)
        assert not refused["ok"]
        assert said in refused["reason"]
        assert "hunter2" not in refused["reason"]
    everything = json.dumps([message.value for message in school.district.messages if "/command/" not in message.topic])
    for secret in ("hunter2", "streamkey", "sign=abc"):
        assert secret not in everything
        assert secret not in school.daemon.said()


async def test_cameras_are_shown_as_last_known_while_the_eye_is_away(school: School) -> None:
    pid = await school.running()
    assert {camera["state"] for camera in await school.daemon.call("cameras")} == {"ok"}  # type: ignore[union-attr, call-overload, index]
    async with school.daemon.client() as client:
        watched = [item async for item in client.stream("camera-inspect", cameras=["gate"])]
    assert [item["camera"] for item in watched] == ["gate"]  # type: ignore[index, call-overload]
    os.kill(pid, signal.SIGSTOP)
    async with asyncio.timeout(WAIT_S):
        while (await school.eye())["state"] == "running":  # noqa: ASYNC110 - `status` is asked, it announces nothing
            await asyncio.sleep(0.05)
    shown: Any = await school.daemon.call("camera", camera="gate")
    if shown["state"] != "ok":  # it may be back already
        assert (shown["state"], shown["name"]) == ("unknown", "校门口")
        assert shown["why"]["en"]
    refused = await school.district.command("snapshot", {"camera": "gate"})
    assert refused["ok"] or refused["reason"]


async def test_a_changed_configuration_reaches_the_processes(school: School) -> None:
    pid = await school.running()
    text = config(school.folder, (await school.daemon.status())["uplink"]["broker"])
    school.daemon.write(text + '\n[[patrol]]\nid = "morning"\nname = "早巡"\n[[patrol.stop]]\ncamera = "gate"\n')
    assert "eye" in (await school.daemon.call("reload"))["changed"]  # type: ignore[index, call-overload, operator]
    await school.until_order("reload")
    assert await school.running() == pid, "it took the change over"
    school.daemon.write(text.replace('memory = "128MiB"', 'memory = "128MiB"\nstreams = 4'))
    await school.daemon.call("reload")
    again = await school.running(not_pid=pid)
    school.daemon.write(text + console())
    await school.daemon.call("reload")
    await school.console_running()
    without = (
        text[: text.index("[[camera]]")].replace('cameras = ["gate"]', "").replace('cameras = ["gate", "yard"]', "")
    )
    school.daemon.write(without)
    await school.daemon.call("reload")
    status = await school.daemon.status()
    assert (status["eye"]["state"], status["console"]["state"], status["cameras"]) == ("off", "off", [])
    assert rss_bytes(again) is None
    with pytest.raises(ControlError):
        await school.daemon.call("streams")


async def test_a_daemon_that_is_killed_leaves_no_eye_behind(tmp_path: Path) -> None:
    async with a_school(tmp_path, console()) as school:
        pid = await school.running()
        page = await school.console_running()
        await school.daemon.kill()
        async with asyncio.timeout(WAIT_S):
            while not {rss_bytes(pid), rss_bytes(page)} <= {None, 0}:  # noqa: ASYNC110 - other processes
                await asyncio.sleep(0.05)


async def test_a_console_that_stands_still_is_begun_anew_while_buttons_are_pressed(tmp_path: Path) -> None:
    async with a_school(tmp_path, console()) as school:
        pid = await school.console_running()
        os.kill(pid, signal.SIGSTOP)
        await school.presses()
        fault = await school.event("campus.fault.raised", fault="console")
        assert "did not answer" in repr(fault["data"]["text"]) or "没有应答" in repr(fault["data"]["text"])
        await school.console_running(not_pid=pid)
        await school.presses()
        await school.event("campus.fault.cleared", fault="console")
        with pytest.raises(ControlError):
            await school.daemon.call("console-alive")  # we are not the console


async def test_orders_that_wait_when_the_core_is_killed_reach_the_next_eye(school: School) -> None:
    os.kill(await school.running(), signal.SIGSTOP)
    await school.press()
    raised = await school.event("campus.alarm.raised", device="guardroom")
    await school.daemon.kill()
    await school.daemon.start()
    order = await school.until_order("evidence")
    assert order["event"] == raised["id"]
    assert order["cameras"] == ["gate"]
