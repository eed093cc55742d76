"""The core process: builds the rooms, wires them together, runs them, and stops them in order."""

import asyncio
import logging
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from agent import __version__
from agent.alarms.engine import Alarms, Regime
from agent.alarms.escalation import Plans
from agent.bus import Bus
from agent.clock import NS_PER_S, Clock
from agent.config.models import Config
from agent.control import ControlServer, socket_candidates
from agent.journal import Journal, Trouble, read_floor
from agent.kinds import UNASSIGNED
from agent.model import JsonValue, Lane, new_event
from agent.runtime.clockwatch import ClockWatch
from agent.runtime.curves import Curves
from agent.runtime.desk import AlarmDesk
from agent.runtime.field import Field
from agent.runtime.household import Household, Programs
from agent.runtime.methods import ControlMethods
from agent.runtime.modeverbs import ModeVerbs
from agent.runtime.notify import Notifier
from agent.runtime.paths import Paths
from agent.runtime.reload import Reloader
from agent.runtime.ruleacts import RuleActs
from agent.runtime.rules import RuleDesk
from agent.runtime.selftest import SelfTest
from agent.runtime.status import Parts, dump, inventory, retained, state_payload
from agent.runtime.verbs import Verbs
from agent.texts import Language, Text, say
from agent.uplink import CommandDesk, Uplink

log = logging.getLogger(__name__)

MAINTAIN_EVERY_S: Final = 60.0
"""Retention, quotas and the time floor; none of them is urgent."""
STATUS_EVERY_S: Final = 10.0
"""How often `systemctl status` gets a new line."""
DRAIN_S: Final = 5.0
"""What a stop gives the alarm lane to empty; systemd kills after TimeoutStopSec (20 s in our unit)."""
TAIL: Final = 200
"""Events that an outcome's saves may be behind at a crash: one batch of the journal's writer, rounded up."""
DESK_STALL_S: Final = 20.0
"""The desk turns every 5 s at least; four turns missed means that it hangs."""
COMMIT_STALL_S: Final = 15.0
"""A commit takes milliseconds, seconds on a dying SD card; one that takes this is not coming back."""
STOPPED_KEY: Final = "agent/stopped"
"""Saved with the event of a clean stop; its absence at a start means a crash or a power cut."""
STORE_FAULTS: Final = {
    "memory": "storage",
    "kept-aside": "storage",
    "disk-full": "disk-full",
    "altered": "altered",
    "evicted": "evicted",
    "refused-events": "no-room",
}
"""The fault of each trouble of the journal; a receipt that disagrees is told by the uplink."""
RESTART_EXIT: Final = 75
"""EX_TEMPFAIL (sysexits.h): ended to be started again."""


class Restart(Exception):
    """The core ends itself so that systemd starts it with a better store."""


class Core:
    """One run of the daemon."""

    def __init__(
        self, config: Config, config_path: Path, clock: Clock, language: Language, programs: Programs | None = None
    ) -> None:
        """`programs` are the processes beside the core, if not our own."""
        self._config = config
        self._programs = programs or Programs()
        self._config_path = config_path
        self._clock = clock
        self._language = language
        self._notifier = Notifier()
        self._stop = asyncio.Event()
        self._started_ns = clock.boottime_ns()
        self._told_states: dict[str, bytes] = {}
        self._told_config: Config | None = None

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT. Raises JournalLocked, JournalError, Restart."""
        self._catch_signals()
        self._floor = read_floor(self._config.journal.path)
        journal = await Journal.open(self._config.journal, self._config.site.site, self._clock)
        try:
            await self._run_with(journal)
        finally:
            await journal.close()

    async def _run_with(self, journal: Journal) -> None:
        config = self._config
        engine = Alarms(
            config.watched,
            ack_timeout_s=config.uplink.ack_timeout_s,
            lamp_means=config.uplink.lamp_means,
            language=config.site.language,
            regime=Regime.of(config),
            plans=Plans.of(config),
        )
        desk = AlarmDesk(engine, journal, self._clock)
        for problem in engine.restore(journal.saved, self._clock.moment()):
            log.warning(problem)
        tail = await journal.tail(TAIL)
        engine.stored(tail)  # their places in the chain, if the last run ended before it saved them
        async with asyncio.TaskGroup() as group:
            field = Field(group, desk, self._clock)
            paths = Paths(group, desk, self._clock, journal.saved)
            household = Household(
                lambda: self._parts.config, self._config_path, self._language, desk, self._clock, self._programs
            )
            verbs = {
                **Verbs(desk, self._clock, field.links).handlers(),
                **ModeVerbs(desk, self._clock).handlers(),
                **household.verbs.handlers(),
            }
            commands = CommandDesk(journal, self._clock, config.uplink, verbs, config.site.language)
            uplink = self._make_uplink(journal, commands)
            self._parts = Parts(
                config,
                self._clock,
                journal,
                engine,
                uplink,
                field.buses,
                field.links,
                household,
                paths,
                self._clock.wall(),
                self._started_ns,
            )
            self._desk, self._field, self._household = desk, field, household
            curves = Curves(
                lambda: self._parts.config.telemetry,
                lambda: self._parts.config.devices,
                self._clock,
                uplink.publish_curve,
            )
            field.on_measure.append(curves.take)
            acts = RuleActs(desk, commands, self._clock, config.site.language)
            self._rules = rules = RuleDesk(lambda: self._parts.config, desk, journal, self._clock, acts)
            rules.listen(field)
            selftest = SelfTest(self._parts, desk, self._clock, journal.saved)
            commands.drill = lambda: engine.modes.drill.covers(None, None)
            commands.add_verb("selftest", lambda command: selftest.test(command.actor))
            self._wire(journal, uplink)
            reloader = Reloader(self._config_path, self._parts, desk, field, household, curves.reload, rules.reload)
            methods = ControlMethods(self._parts, desk, commands, reloader.reload, rules.calls())
            server = await self._serve_control(methods)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.request)
            await self._begin(journal)
            await commands.close_interrupted()
            await field.apply(config)
            await paths.apply(config)
            household.listen(journal, tail)
            await household.start(group, server.path)
            tasks = [
                group.create_task(work, name=name)
                for name, work in {
                    "desk": desk.run(),
                    "uplink": uplink.run(),
                    "clock": ClockWatch(self._clock, journal, desk, self._floor).run(),
                    "maintain": self._maintain(journal),
                    "reload": reloader.run(),
                    "watchdog": self._watchdog(journal, uplink, field),
                    "status": self._tell_status(),
                    "eye's words": household.eye_desk.run(),
                    "evidence": household.evidence.run(),
                    "curves": curves.run(),
                    "rules": rules.run(),
                    "rules' actions": acts.run(),
                    "self-test": selftest.run(),
                }.items()
            ]
            self._ready()
            await self._stop.wait()
            await self._shut_down(server, tasks)

    def _make_uplink(self, journal: Journal, commands: CommandDesk) -> Uplink:
        return Uplink(
            self._config.uplink,
            self._config.site.site,
            self._clock,
            journal,
            commands,
            states=self._birth_states,
            version=__version__,
            started=self._clock.wall(),
            language=self._config.site.language,
        )

    def _wire(self, journal: Journal, uplink: Uplink) -> None:
        desk, field = self._desk, self._field
        uplink.drill = lambda: desk.engine.modes.drill.record is not None
        desk.delivery = uplink.delivery
        desk.on_outputs = field.outputs
        desk.on_states = self._publish_states
        desk.on_notices = self._parts.paths.offer
        desk.on_again = uplink.again
        desk.engine.escalation.fares = uplink.delivery
        self._parts.paths.on_inventory = self._publish_path
        field.on_inventory = self._publish_inventory
        self._household.eye_desk.on_camera = self._publish_camera
        self._household.on_inventory = self._publish_cameras
        uplink.on_change(desk.poke)
        loop = asyncio.get_running_loop()
        pending: set[asyncio.Task[None]] = set()

        def fault(name: str, text: Text | None) -> None:
            task = loop.create_task(desk.fault(name, text))
            pending.add(task)
            task.add_done_callback(pending.discard)

        uplink.on_fault(fault)

        def trouble(told: Trouble) -> None:
            log.log(logging.ERROR if told.raised else logging.INFO, told.text)
            if name := STORE_FAULTS.get(told.kind):
                fault(name, told.text if told.raised else None)

        journal.on_trouble(trouble)

    async def _serve_control(self, methods: ControlMethods) -> ControlServer:
        config = self._config
        server = ControlServer(socket_candidates(config.control.socket, config.journal.path), methods.methods())
        try:
            await server.start()
        except OSError as error:
            log.error(say("runtime.control-failed", error=str(error)))
        return server

    async def _begin(self, journal: Journal) -> None:
        """Say in the chain that the agent has started, and what it found of its store."""
        event = new_event(
            "campus.agent.started",
            Lane.EVENT,
            self._clock.moment(),
            version=__version__,
            store=journal.store,
            clean_stop=STOPPED_KEY in journal.saved or not journal.head.seq,
            kept_aside=str(journal.kept_aside) if journal.kept_aside else None,
        )
        await self._desk.tell(event, save={STOPPED_KEY: None})
        text: Text | None = None
        reason = journal.trouble or ""
        if journal.store == "memory":
            text = say("runtime.storage-memory", reason=reason)
        elif journal.store == "fresh":
            text = say("runtime.storage-fresh", kept=str(journal.kept_aside), reason=reason)
        if text:
            log.error(text)
        await self._desk.fault("storage", text)
        for name in ("configuration", *(set(STORE_FAULTS.values()) - {"storage"})):  # found anew if they still stand
            await self._desk.fault(name, None)
        for device in self._parts.config.devices:
            for name in ("bus", "driver", "output", UNASSIGNED):  # judged anew
                await self._desk.fault(name, None, device=device.id)

    def _publish_states(self) -> None:
        self._parts.uplink.tell_drill()
        for view in self._parts.engine.views():
            self._publish(f"state/{view.device}/{view.point}", state_payload(view))
        self._publish_inventory()
        if self._told_config is not self._parts.config:
            self._told_config = self._parts.config
            self._empty_removed()
            self._publish_cameras()
            for path in self._parts.config.paths:
                self._publish_path(path.id)

    def _birth_states(self) -> Iterable[tuple[str, bytes]]:
        """What a new connection sends, remembered as told."""
        self._told_config = self._told_config or self._parts.config
        for topic, raw in retained(self._parts):
            self._told_states[topic] = raw
            yield topic, raw

    def _empty_removed(self) -> None:
        """Empty what the broker retains of points and devices that the configuration no longer has."""
        topics = {f"state/{view.device}/{view.point}" for view in self._parts.engine.views()}
        topics |= {f"inventory/{device.id}" for device in self._parts.config.watched}
        for topic in [topic for topic in self._told_states if topic not in topics]:
            del self._told_states[topic]
            self._parts.uplink.publish_retained(topic, b"")

    def _publish_inventory(self) -> None:
        for device in self._parts.config.devices:
            if device.id in self._field.links:
                self._publish(f"inventory/{device.id}", inventory(device, self._parts))

    def _publish_cameras(self) -> None:
        """Not with every event, as of devices: there may be 200."""
        for camera in self._parts.config.cameras:
            self._publish(f"inventory/{camera.id}", self._household.cameras.inventory(camera))

    def _publish_camera(self, id_: str) -> None:
        for camera in self._parts.config.cameras:
            if camera.id == id_:
                self._publish(f"inventory/{id_}", self._household.cameras.inventory(camera))

    def _publish_path(self, id_: str) -> None:
        if told := self._parts.paths.inventory(id_):
            self._publish(f"inventory/{id_}", told)

    def _publish(self, topic: str, payload: Mapping[str, JsonValue]) -> None:
        raw = dump(payload)
        if self._told_states.get(topic) != raw:
            self._told_states[topic] = raw
            self._parts.uplink.publish_retained(topic, raw)

    def _ready(self) -> None:
        seconds = round((self._clock.boottime_ns() - self._started_ns) / NS_PER_S, 2)
        config = self._parts.config
        log.info(
            say(
                "runtime.started",
                version=__version__,
                devices=len(config.devices),
                points=sum(len(device.points) for device in config.watched),
                store=say(f"runtime.store-{self._parts.journal.store}"),
                seconds=seconds,
            )
        )
        self._notifier.send(READY="1", STATUS=self._status_line())

    async def _maintain(self, journal: Journal) -> None:
        while True:
            await self._clock.sleep(MAINTAIN_EVERY_S)
            await journal.maintain()
            if journal.store == "memory" and not any(journal.due_counts().values()) and journal.disk_is_back():
                log.warning(say("runtime.storage-back"))
                raise Restart

    async def _tell_status(self) -> None:
        while True:
            await self._clock.sleep(STATUS_EVERY_S)
            self._notifier.send(STATUS=self._status_line())

    def _status_line(self) -> str:
        state = self._parts.uplink.status()
        uplink = say("runtime.uplink-up", broker=state.broker) if state.connected else say("runtime.uplink-down")
        return say(
            "runtime.ready",
            online=sum(link.online for link in self._field.links.values()),
            devices=len(self._field.links),
            uplink=uplink,
            due=sum(self._parts.journal.due_counts().values()),
        ).render(self._language)

    async def _watchdog(self, journal: Journal, uplink: Uplink, field: Field) -> None:
        """Feed the watchdog as long as poll, commit and acknowledgement make progress."""
        interval_s = self._notifier.watchdog_interval_s
        if interval_s is None:
            return
        while True:
            if stuck := self._stuck(journal, uplink, field):
                log.critical(say("runtime.watchdog", what=stuck))
            else:
                self._notifier.send(WATCHDOG="1")
            await self._clock.sleep(interval_s)

    def _stuck(self, journal: Journal, uplink: Uplink, field: Field) -> Text | str | None:
        if self._clock.boottime_ns() - self._desk.last_turn_ns > DESK_STALL_S * NS_PER_S:
            return "alarms"
        if journal.progress().stuck(COMMIT_STALL_S):
            return "journal"
        return uplink.progress() or field.stalled()

    async def _shut_down(self, server: ControlServer, tasks: list[asyncio.Task[None]]) -> None:
        """The console first, then devices and the eye, then the alarm lane, then the word that we are offline; the
        journal is closed last."""
        self._notifier.send(STOPPING="1")
        reload = [task for task in tasks if task.get_name() == "reload"]
        for task in reload:  # one under way would start devices that nobody stops again
            task.cancel()
        await asyncio.wait(reload)
        await self._household.stop_console()
        await asyncio.gather(self._field.stop(), self._household.stop_eye(), self._parts.paths.stop())
        await server.close()
        await self._rules.close()
        event = new_event("campus.agent.stopped", Lane.EVENT, self._clock.moment(), version=__version__)
        await self._desk.tell(event, save={STOPPED_KEY: event.id})
        await self._parts.uplink.close(DRAIN_S)
        for task in tasks:
            task.cancel()
        log.info(say("runtime.stopped"))

    def _catch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signal, number)

    def _signal(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning(say("runtime.stopped-at-once"))
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        log.info(say("runtime.stopping", signal=number.name))
        self._stop.set()


__all__ = ["RESTART_EXIT", "Bus", "Core", "Programs", "Restart"]
