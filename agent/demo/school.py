"""The simulated school: broker, buttons and all other devices at their wires, the real daemon, the district, running.

Everything that is shown or checked is taken from the outside: presses from the simulated modules, commits from the
daemon's control socket, arrivals from MQTT, lamps from the coils that the daemon wrote over the (pseudo) serial lines.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from agent.clock import SystemClock
from agent.config.models import Broker
from agent.control import ControlClient
from agent.control.client import ControlError, DaemonDown
from agent.demo import devices, eyes
from agent.demo.district import District, Event
from agent.demo.equipment import Equipment
from agent.demo.lamp import LampWatch
from agent.demo.module import Modules
from agent.demo.processes import BrokerProcess, CamerasProcess, Child, DaemonProcess, free_port
from agent.demo.settings import BAUDRATE, BUTTONS, INPUT, OUTPUTS, PASSWORD_FILE, SITE, UNIT, Button, Ports, toml
from agent.demo.trail import Trail
from agent.texts import Language, Spoken

PRESS_S: Final = 0.2
"""How long a finger stays on a button, on a machine that has time for it."""
LOOKS: Final = 3
"""Polls that make a press certain; while everything starts on a small board, a module may be asked seldom."""
LONGEST_PRESS_S: Final = 10.0
POLL_S: Final = 0.02
STATUS_EVERY_S: Final = 0.2
"""How often the daemon is asked for its status; a call takes a millisecond."""
EVENTS_KEPT: Final = 50
TIMEZONE: Final = "Asia/Shanghai"


@dataclass
class Place:
    """One button of the running school."""

    button: Button
    module: Modules
    outputs: list[LampWatch]
    """What each coil did on the wire."""
    trail: Trail | None = None
    """What became of the last press."""
    pressed: bool = False
    plugged: bool = True

    @property
    def lamp(self) -> LampWatch | None:
        return None if self.button.lamp is None else self.outputs[self.button.lamp]

    @property
    def siren(self) -> LampWatch | None:
        return None if self.button.siren is None else self.outputs[self.button.siren]


class School:
    """`async with School(folder, language) as school`: started, and gone at the end. Raises ChildFailed."""

    def __init__(self, folder: Path, language: Language) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.clock = SystemClock(TIMEZONE)
        self.places: dict[str, Place] = {}
        """By the button's key."""
        self.arrived: deque[tuple[Event, int]] = deque(maxlen=EVENTS_KEPT)
        """The last events that the district got, with the boot clock of their arrival."""
        self.due: dict[str, int] = {}
        self.seq = 0
        """The end of the daemon's chain."""
        self.uplink_connected = False
        self.cameras: list[dict[str, Any]] = []
        """Each camera's health, as the daemon tells it."""
        self.evidence: dict[str, dict[str, Any]] = {}
        """The last picture or clip of each camera that the district was told of."""
        self.measures: dict[tuple[str, str], tuple[float, str]] = {}
        """What the daemon has measured last: value and unit, by device and input."""
        self.armed = False
        """Whether the perimeter is."""
        self.drill = False
        self.paths: dict[str, str] = {}
        """The state of each second path."""
        self.covered = False
        self.problem: asyncio.Future[Spoken] = asyncio.get_running_loop().create_future()
        """Set when a process ends that should not."""
        self._language = language
        self._stack = contextlib.AsyncExitStack()
        self._port = free_port()
        self._console_port = free_port()
        self._host_port = free_port()
        self.equipment = Equipment(folder, self._host_port, self.clock.boottime_ns)
        self.broker = BrokerProcess(self._port, folder / "broker.log")
        self.eyes = CamerasProcess(folder / "cameras.json", folder / "cameras.log")
        self.daemon = DaemonProcess(self.config, folder)
        self.district = District(Broker(False, "127.0.0.1", self._port), SITE, self.clock, self._arrived)

    @property
    def broker_url(self) -> str:
        return str(self.district.broker)

    @property
    def console_url(self) -> str:
        return f"http://127.0.0.1:{self._console_port}"

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:  # also when cancelled: no process may stay behind
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        self._stack.push_async_callback(self.broker.kill)
        self._stack.push_async_callback(self.eyes.kill)
        (self.folder / "cameras.json").write_text(json.dumps(eyes.spec(self._language)), encoding="utf-8")
        await asyncio.gather(self._begin(self.broker), self._begin(self.eyes))
        self._spawn(self.district.run())
        for button in BUTTONS:
            self.places[button.key] = await self._build(button)
        await self._stack.enter_async_context(self.equipment)
        self._write_files()
        self._stack.push_async_callback(self.daemon.stop)
        await self._begin(self.daemon)
        self._spawn(self._follow_journal())
        async with self.control() as client:
            self._take_status(await client.call("status"))  # keys go by it from the beginning
        self._spawn(self._follow_status())
        self.equipment.go_on_air()

    def _write_files(self) -> None:
        """The daemon's configuration and its secrets."""
        for name, secret in {PASSWORD_FILE: eyes.PASSWORD, **devices.keys()}.items():
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_text(secret, encoding="utf-8")
        (self.folder / devices.CARDS).write_text(devices.card_list(self._language), encoding="utf-8")
        ttys = tuple(str(place.module.link) for place in self.places.values())
        onvif = {name: int(camera["onvif_port"]) for name, camera in self.eyes.cameras.items()}
        listeners = devices.Listeners(self._host_port, self.equipment.centre.port)
        ports = Ports(self._port, self._console_port, onvif, listeners)
        self.config.write_text(toml(self.folder, ports, ttys, self.clock.moment(), self._language), encoding="utf-8")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)

        async def end() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._stack.push_async_callback(end)

    # what a person does

    def press(self, key: str) -> Trail:
        """Press a button for a moment; return the trail of this press, which fills by itself."""
        place = self.places[key]
        place.pressed = True
        place.module.press(UNIT, INPUT)
        place.trail = Trail(self.clock.boottime_ns())
        self.equipment.spawn(self._let_go(place))
        return place.trail

    @staticmethod
    async def _let_go(place: Place) -> None:
        unit = place.module.units[UNIT]
        looked = unit.polls
        await asyncio.sleep(PRESS_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_PRESS_S):
                while unit.polls < looked + LOOKS and place.plugged:  # noqa: ASYNC110 - a line announces nothing
                    await asyncio.sleep(POLL_S)
        place.module.release(UNIT, INPUT)
        place.pressed = False

    async def toggle_broker(self) -> None:
        """Crash the broker, or start it again. Raises ChildFailed."""
        if self.broker.running:
            await self.broker.kill()
        else:
            await self._begin(self.broker)

    def toggle_module(self, key: str) -> None:
        """Pull the plug of a module's serial adapter, or put it in again."""
        place = self.places[key]
        place.plugged = not place.plugged
        if place.plugged:
            place.module.plug()
        else:
            place.module.unplug()

    async def reset_all(self) -> list[dict[str, Any]]:
        """The district resets every alarm, and silences the canteen; return the replies. Raises TimeoutError when the
        broker is away."""
        replies = [await self.district.reset(device, point) for device, point in sorted(self.district.active)]
        return replies + await self.calm_canteen()

    async def calm_canteen(self) -> list[dict[str, Any]]:
        """The district switches the canteen's siren off and its gas on again; return the replies. Raises
        TimeoutError."""
        canteen = self.equipment.canteen
        outputs = [
            number for number, one in ((devices.SIREN, canteen.siren), (devices.VALVE, canteen.valve)) if one.lit
        ]
        return [
            await self.district.command("output", {"device": "kitchen-io", "output": number, "value": False})
            for number in outputs
        ]

    async def toggle_armed(self) -> dict[str, Any]:
        """The district arms the perimeter, or disarms it; return the reply. Raises TimeoutError."""
        return await self.district.command("disarm" if self.armed else "arm", {"partition": devices.PARTITION})

    async def toggle_drill(self) -> dict[str, Any]:
        """The district begins a drill, or ends it; return the reply. Raises TimeoutError."""
        return await self.district.command("drill-stop" if self.drill else "drill-start", {})

    async def cross_line(self) -> None:
        """Somebody climbs over the wall, before the yard's camera."""
        event = {"kind": "line-crossed", "source": devices.LINE, "active": None}
        await self.eyes.tell(eyes.YARD.id, event=event)

    async def toggle_cover(self) -> None:
        """Stick a sheet of white paper on a camera, or take it off. The eye needs not have learnt first what the camera
        sees at this hour, as it must for a dark cloth: the demo may run at night."""
        self.covered = not self.covered
        await self.eyes.tell(eyes.COVERED.id, picture="white" if self.covered else "ok", level=5)

    async def patrol(self) -> dict[str, Any]:
        """The district orders a patrol; return the reply. Raises TimeoutError when the broker is away."""
        return await self.district.command("patrol", {"patrol": eyes.PATROL})

    # what is seen

    def _arrived(self, event: Event, at_ns: int) -> None:
        self.arrived.append((event, at_ns))
        if isinstance(evidence := event["data"].get("evidence"), dict):
            self.evidence[str(evidence["camera"])] = evidence
        self._note(event, "district" if event["type"] != "campus.alarm.acknowledged" else "acknowledged", at_ns)

    def _note(self, event: Event, step: str, at_ns: int) -> None:
        for place in self.places.values():
            data = event["data"]
            if place.trail and (data.get("device"), data.get("point")) == (place.button.device, place.button.point):
                place.trail.note(step, event, at_ns)

    def look(self) -> None:
        """Bring what can only be told by looking up to date: whether the lamps are steady by now."""
        now_ns = self.clock.boottime_ns()
        for place in self.places.values():
            if place.trail and place.lamp:
                place.trail.look(place.lamp, now_ns)

    # what follows along

    async def _begin(self, child: Child) -> None:
        await child.start()
        self._spawn(self._watch(child))

    async def _watch(self, child: Child) -> None:
        await child.wait()
        if not child.meant_to_end and not self.problem.done():
            self.problem.set_result(child.ended())

    async def _follow_journal(self) -> None:
        """Hear of every commit as soon as the daemon tells it."""
        with contextlib.suppress(DaemonDown, ControlError):
            async with self.control() as client:
                async for event in client.stream("events-tail", n=0, follow=True):
                    if isinstance(event, dict):
                        self._note(event, "stored", self.clock.boottime_ns())

    async def _follow_status(self) -> None:
        with contextlib.suppress(DaemonDown, ControlError):
            async with self.control() as client:
                while True:
                    self._take_status(await client.call("status"))
                    await asyncio.sleep(STATUS_EVERY_S)

    def _take_status(self, status: Any) -> None:
        self.due = {lane: int(count) for lane, count in status["due"].items()}
        self.cameras = list(status["cameras"])
        self.seq = int(status["seq"])
        self.uplink_connected = bool(status["uplink"]["connected"])
        self.measures = {
            (device["id"], measure["input"]): (measure["value"], measure["unit"])
            for device in status["devices"]
            for measure in device["measures"]
        }
        self.armed = any(partition["state"] != "disarmed" for partition in status["partitions"])
        self.drill = status["drill"] is not None
        self.paths = {path["id"]: path["state"] for path in status["paths"]}

    def control(self) -> ControlClient:
        """The daemon's control socket."""
        return ControlClient([self.folder / "control.sock"])

    async def _build(self, button: Button) -> Place:
        watches = [LampWatch() for _ in range(OUTPUTS)]

        def on_coil(_unit: int, coil: int, value: bool, _monotonic_ns: int) -> None:
            watches[coil].saw(value, self.clock.boottime_ns())

        modules = Modules(
            self.folder / f"tty-{button.device}", [UNIT], coils=OUTPUTS, baudrate=BAUDRATE, on_coil=on_coil
        )
        await self._stack.enter_async_context(modules)
        return Place(button, modules, watches)
