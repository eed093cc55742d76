"""The field: buses and supervised devices, started, changed and stopped one by one."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from agent.bus import Bus
from agent.clock import NS_PER_S, Clock
from agent.config.models import BusSettings, Config, DeviceSettings
from agent.runtime.desk import AlarmDesk
from agent.runtime.devices import DeviceLink, Measure, rank_of, supervise

STOP_TIMEOUT_S: Final = 3.0
"""A driver gives its port back in milliseconds; one that hangs on its way out is left behind."""
BUS_STALL_S: Final = 30.0
"""An open bus that finished no round for so long is stuck; 32 dead units take 5 s."""


class Field:
    """Everything that is wired to the gateway."""

    def __init__(self, group: asyncio.TaskGroup, desk: AlarmDesk, clock: Clock) -> None:
        self._group = group
        self._desk = desk
        self._clock = clock
        self.buses: dict[str, Bus] = {}
        self.links: dict[str, DeviceLink] = {}
        self._bus_settings: dict[str, BusSettings] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._rounds: dict[str, tuple[int, int]] = {}
        self.on_inventory: Callable[[], None] = lambda: None
        """Called when a device comes, goes, or tells more of itself."""
        self.on_measure: list[Callable[[Measure], None]] = []
        """Each is called with every measured value."""

    async def apply(self, config: Config) -> tuple[str, ...]:
        """Stop what is gone or changed, start what is new; return the names of what was touched."""
        buses = {bus.id: bus for bus in config.buses}
        changed_buses = {
            name for name in {*buses, *self._bus_settings} if buses.get(name) != self._bus_settings.get(name)
        }
        devices = {device.id: device for device in config.devices}
        touched = {
            name
            for name in {*devices, *self.links}
            if not (link := self.links.get(name)) or needs_restart(link.device, devices.get(name), changed_buses)
        }
        await self._stop([f"device:{name}" for name in touched] + [f"bus:{name}" for name in changed_buses])
        for name in touched:
            link = self.links.pop(name, None)
            if link and link.device.bus in self.buses:
                self.buses[link.device.bus].leave(name)
        for name in changed_buses:
            self.buses.pop(name, None)
            if name in buses:
                self._start_bus(buses[name])
        self._bus_settings = buses
        for device in config.devices:
            if device.id in touched:
                self._start_device(device)
            else:
                self.links[device.id].device = device  # a name or a point: the driver need not stop
        return tuple(sorted(touched | changed_buses))

    async def stop(self) -> None:
        """Stop every device, then every bus."""
        await self._stop([name for name in self._tasks if name.startswith("device:")])
        await self._stop(list(self._tasks))

    def outputs(self, values: Mapping[tuple[str, int], bool]) -> None:
        """Hand each device the outputs that are wanted of it."""
        wanted: dict[str, dict[int, bool]] = {name: {} for name in self.links}
        for (device, output), value in values.items():
            if device in wanted:
                wanted[device][output] = value
        for name, link in self.links.items():
            link.want(wanted[name])

    def stalled(self) -> str | None:
        """Name an open bus that makes no progress, for the watchdog."""
        now_ns = self._clock.boottime_ns()
        for name, bus in self.buses.items():
            stats = bus.stats()
            rounds, since_ns = self._rounds.get(name, (-1, now_ns))
            if not stats.open or stats.rounds != rounds or not any(link.online for link in self._links_on(name)):
                self._rounds[name] = (stats.rounds, now_ns)
            elif now_ns - since_ns > BUS_STALL_S * NS_PER_S:
                return name
        return None

    def _links_on(self, bus: str) -> list[DeviceLink]:
        return [link for link in self.links.values() if link.device.bus == bus]

    def _measured(self, measure: Measure) -> None:
        for listener in self.on_measure:
            listener(measure)

    def _start_bus(self, settings: BusSettings) -> None:
        bus = Bus(settings, self._clock)
        self.buses[settings.id] = bus
        self._tasks[f"bus:{settings.id}"] = self._group.create_task(bus.run(), name=f"bus:{settings.id}")

    def _start_device(self, device: DeviceSettings) -> None:
        bus = self.buses[device.bus] if device.bus else None
        seat = bus.seat(device.id, rank_of(device)) if bus else None
        link = DeviceLink(device, self._desk, self._clock, seat)
        link.on_inventory = self.on_inventory
        link.on_measure = self._measured
        self.links[device.id] = link

        def neighbours() -> list[DeviceLink]:
            return self._links_on(device.bus) if device.bus else []

        work = supervise(device, link, bus, self._desk, self._clock, neighbours)
        self._tasks[f"device:{device.id}"] = self._group.create_task(work, name=f"device:{device.id}")

    async def _stop(self, names: list[str]) -> None:
        tasks = [task for name in names if (task := self._tasks.pop(name, None))]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_TIMEOUT_S)


def needs_restart(now: DeviceSettings, wanted: DeviceSettings | None, changed_buses: set[str]) -> bool:
    """Whether a device must be stopped: it is gone, its driver's settings or its bus changed, or its rank did."""
    return (
        wanted is None
        or (now.driver, now.bus, now.settings) != (wanted.driver, wanted.bus, wanted.settings)
        or now.bus in changed_buses
        or rank_of(now) != rank_of(wanted)
    )
