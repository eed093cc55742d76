"""Serial ports: there, allowed, and not in somebody else's hands."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from agent.cli.doctor.finding import Check, Finding, fail, ok, warn
from agent.cli.doctor.runner import in_thread
from agent.cli.doctor.subject import Subject
from agent.texts import say

if TYPE_CHECKING:
    from agent.config.models import BusSettings


@dataclass(frozen=True, slots=True)
class Port:
    """What can be seen of a device file without opening it."""

    path: str
    exists: bool
    character_device: bool = False
    may_use: bool = False
    group: str = "-"
    holder: str | None = None
    """A process that has it open, as "name (pid)", as far as this user may see."""


def checks(subject: Subject) -> list[Check]:
    """One check per line of the configuration."""
    buses = subject.config.buses if subject.config else ()
    return [Check(f"port {bus.id}", partial(probe, bus, subject)) for bus in buses]


async def probe(bus: "BusSettings", subject: Subject) -> Sequence[Finding]:
    """Look at one line's port. An address in the network is left to the check of its devices."""
    name = f"port {bus.id}"
    if "://" in bus.port:
        return [ok(name, say("doctor.port-remote", port=bus.port))]
    told = subject.status["buses"] if subject.status else []
    if any(state["id"] == bus.id and state["open"] for state in told):
        return [ok(name, say("doctor.port-ours", port=bus.port))]
    return [judge(name, await in_thread(lambda: look(bus.port)), daemon_alive=subject.status is not None)]


def look(path: str) -> Port:
    """Look at a device file."""
    from agent.bus.ports import group_of, holder, is_character_device

    if not Path(path).exists():
        return Port(path, exists=False)
    return Port(
        path,
        exists=True,
        character_device=is_character_device(path),
        may_use=os.access(path, os.R_OK | os.W_OK),
        group=group_of(path) or "-",
        holder=holder(path),
    )


def judge(name: str, port: Port, *, daemon_alive: bool) -> Finding:
    """Judge a port that the daemon has not open. Pure."""
    if not port.exists:
        return fail(name, say("doctor.port-missing", port=port.path), say("doctor.port-missing-remedy"))
    if not port.character_device:
        return fail(name, say("doctor.port-no-device", port=port.path), say("doctor.port-missing-remedy"))
    if port.holder:
        message = say("doctor.port-busy", port=port.path, holder=port.holder)
        return fail(name, message, say("doctor.port-busy-remedy"))
    if not port.may_use:
        message = say("doctor.port-denied", port=port.path, group=port.group)
        remedy = say("doctor.port-denied-remedy", group=port.group)
        # This user need not be the daemon's, which is running and says itself why it cannot open the port.
        return warn(name, message, remedy) if daemon_alive else fail(name, message, remedy)
    return ok(name, say("doctor.port-ok", port=port.path))
