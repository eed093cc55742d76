"""The core process: builds the rooms, wires them together, runs them, and stops them in order."""

import asyncio
import logging
import signal
from collections.abc import Coroutine
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
from agent.model import Lane, new_event
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
from agent.runtime.retained import Retained
from agent.runtime.ruleacts import RuleActs
from agent.runtime.rules import RuleDesk
from agent.runtime.selftest import SelfTest
from agent.runtime.status import Parts
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
        engine = self._restored(journal)
        tail = await journal.tail(TAIL)
        engine.stored(tail)  # their places in the chain, if the last run ended before it saved them
        async with asyncio.TaskGroup() as group:
            commands = self._make_parts(group, journal, engine)
            self._make_judges(journal, commands)
            self._wire(journal)
            desk, field, household, rules = self._desk, self._field, self._household, self._rules
            others = (self._curves.reload, rules.reload)
            reloader = Reloader(self._config_path, self._parts, desk, field, household, *others)
            methods = ControlMethods(self._parts, desk, commands, reloader.reload, rules.calls())
            server = await self._serve_control(methods)
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.request)
            await self._begin(journal)
            await commands.close_interrupted()
            await field.apply(config)
            await self._parts.paths.apply(config)
            household.listen(journal, tail)
            await household.start(group, server.path)
            tasks = [group.create_task(work, name=name) for name, work in self._work(journal, reloader).items()]
            self._ready()
            await self._stop.wait()
            await self._shut_down(server, tasks)

    def _restored(self, journal: Journal) -> Alarms:
        """The alarm engine, as the last run left it."""
        config = self._config
        engine = Alarms(
            config.watched,
            ack_timeout_s=config.uplink.ack_timeout_s,
            lamp_means=config.uplink.lamp_means,
            language=config.site.language,
            regime=Regime.of(config),
            plans=Plans.of(config),
        )
        for problem in engine.restore(journal.saved, self._clock.moment()):
            log.warning(problem)
        return engine

    def _make_parts(self, group: asyncio.TaskGroup, journal: Journal, engine: Alarms) -> CommandDesk:
        """Make what everything else is built on."""
        config, clock = self._config, self._clock
        self._desk = desk = AlarmDesk(engine, journal, clock)
        self._field = field = Field(group, desk, clock)
        self._household = household = Household(
            lambda: self._parts.config, self._config_path, self._language, desk, clock, self._programs
        )
        verbs = {
            **Verbs(desk, clock, field.links).handlers(),
            **ModeVerbs(desk, clock).handlers(),
            **household.verbs.handlers(),
        }
        commands = CommandDesk(journal, clock, config.uplink, verbs, config.site.language)
        self._parts = Parts(
            config,
            clock,
            journal,
            engine,
            self._make_uplink(journal, commands),
            field.buses,
            field.links,
            household,
            Paths(group, desk, clock, journal.saved),
            clock.wall(),
            self._started_ns,
        )
        self._retained = Retained(self._parts)
        return commands

    def _make_judges(self, journal: Journal, commands: CommandDesk) -> None:
        """Make what looks at all that happens: curves, rules, the self-test."""
        desk, field, clock = self._desk, self._field, self._clock
        self._curves = Curves(
            lambda: self._parts.config.telemetry,
            lambda: self._parts.config.devices,
            clock,
            self._parts.uplink.publish_curve,
        )
        field.on_measure.append(self._curves.take)
        self._acts = RuleActs(desk, commands, clock, self._config.site.language)
        self._rules = RuleDesk(lambda: self._parts.config, desk, journal, clock, self._acts)
        self._rules.listen(field)
        self._selftest = selftest = SelfTest(self._parts, desk, clock, journal.saved)
        commands.drill = lambda: desk.engine.modes.drill.covers(None, None)
        commands.add_verb("selftest", lambda command: selftest.test(command.actor))

    def _work(self, journal: Journal, reloader: Reloader) -> dict[str, Coroutine[None, None, None]]:
        """What runs until the stop, by name."""
        return {
            "desk": self._desk.run(),
            "uplink": self._parts.uplink.run(),
            "clock": ClockWatch(self._clock, journal, self._desk, self._floor).run(),
            "maintain": self._maintain(journal),
            "reload": reloader.run(),
            "watchdog": self._watchdog(journal, self._parts.uplink, self._field),
            "status": self._tell_status(),
            "eye's words": self._household.eye_desk.run(),
            "evidence": self._household.evidence.run(),
            "curves": self._curves.run(),
            "rules": self._rules.run(),
            "rules' actions": self._acts.run(),
            "self-test": self._selftest.run(),
        }

    def _make_uplink(self, journal: Journal, commands: CommandDesk) -> Uplink:
        return Uplink(
            self._config.uplink,
            self._config.site.site,
            self._clock,
            journal,
            commands,
            states=lambda: self._retained.births(),
            version=__version__,
            started=self._clock.wall(),
            language=self._config.site.language,
        )

    def _wire(self, journal: Journal) -> None:
        desk, field, uplink, told = self._desk, self._field, self._parts.uplink, self._retained
        uplink.drill = lambda: desk.engine.modes.drill.record is not None
        desk.delivery = uplink.delivery
        desk.on_outputs = field.outputs
        desk.on_states = told.states
        desk.on_notices = self._parts.paths.offer
        desk.on_again = uplink.again
        desk.engine.escalation.fares = uplink.delivery
        self._parts.paths.on_inventory = told.path
        field.on_inventory = told.devices
        self._household.eye_desk.on_camera = told.camera
        self._household.on_inventory = told.cameras
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
