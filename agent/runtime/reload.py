"""SIGHUP: read the configuration again and apply the differences; a broken file leaves the old one in force."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from agent.alarms.engine import Regime
from agent.alarms.escalation import Plans
from agent.config.load import ConfigErrors, load
from agent.config.models import Config
from agent.model import JsonValue
from agent.runtime.desk import AlarmDesk
from agent.runtime.field import Field
from agent.runtime.household import Household
from agent.runtime.status import Parts
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)


class ReloadRefused(Spoken):
    """The new configuration is not taken."""


class Reloader:
    """Applies a changed configuration to the running parts. The journal is never touched by it."""

    def __init__(
        self,
        path: Path,
        parts: Parts,
        desk: AlarmDesk,
        field: Field,
        household: Household,
        *others: Callable[[], None],
    ) -> None:
        """`others` look at the configuration anew when it has changed."""
        self._path = path
        self._parts = parts
        self._desk = desk
        self._field = field
        self._household = household
        self._others = others
        self._wanted = asyncio.Event()
        self._lock = asyncio.Lock()

    def request(self) -> None:
        """Ask for a reload, from a signal handler."""
        self._wanted.set()

    async def run(self) -> None:
        """Serve requests until cancelled. Raises JournalError."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.reload()
            except ReloadRefused as error:
                log.error(error.text)

    async def reload(self) -> JsonValue:
        """Read and apply. Raises ReloadRefused, JournalError."""
        async with self._lock:
            try:
                config = await asyncio.to_thread(load, self._path)
            except ConfigErrors as error:
                first = error.problems[0]
                text = say("runtime.reload-failed", count=len(error.problems), first=first.text)
                await self._desk.fault("configuration", text)
                raise ReloadRefused(text) from None
            return await self._apply(config)

    async def _apply(self, config: Config) -> JsonValue:
        old = self._parts.config
        fixed = tuple(name for name in ("site", "journal", "control") if getattr(old, name) != getattr(config, name))
        if fixed:  # ids of topics and the store: a running chain can't change them under way
            config = config.model_copy(update={name: getattr(old, name) for name in fixed})
        self._parts.config = config
        outcome = self._desk.engine.reconfigure(
            config.watched,
            self._desk.moment(),
            ack_timeout_s=config.uplink.ack_timeout_s,
            lamp_means=config.uplink.lamp_means,
            regime=Regime.of(config),
            plans=Plans.of(config),
        )
        await self._desk.take(outcome)
        touched: list[JsonValue] = [*await self._field.apply(config), *await self._household.apply(old)]
        for look_anew in self._others:
            look_anew()
        touched += await self._parts.paths.apply(config)
        if config.uplink != old.uplink:
            await self._parts.uplink.reconfigure(config.uplink)
            touched.append("uplink")
        text: Text | None = say("runtime.reload-needs-restart", parts=", ".join(fixed)) if fixed else None
        await self._desk.fault("configuration", text)
        self._desk.on_states()
        log.info(say("runtime.reloaded", changed=", ".join(map(str, touched)) or "-"))
        return {"changed": touched, "needs_restart": list(fixed)}
