"""Addresses that are listened on: no two may be one, or the second to start would not. Pure."""

from collections.abc import Iterator
from typing import Final

from agent.config.models import ConsoleSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.sections import Parts
from agent.driver import Listen
from agent.ports import split_listen
from agent.texts import say
from agent.units import shown

EVERYWHERE: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - nothing is bound here
"""All addresses of the machine; the second takes IPv4 as well."""


def check_listeners(parts: Parts, report: Report) -> None:
    """Report every address that overlaps one before it."""
    known: list[tuple[KeyPath, Listen]] = []
    for at, (transport, address) in listeners(parts):
        host, port = split_listen(address)
        for other_at, (other_transport, other) in known:
            other_host, other_port = split_listen(other)
            same_host = host == other_host or not EVERYWHERE.isdisjoint((host, other_host))
            if (transport, port) == (other_transport, other_port) and same_host:
                found = say("config.also-at", value=shown(address), place=report.place((*other_at, "listen"), at))
                report.error((*at, "listen"), say("config.listen-once"), found=found, remedy=say("config.listen-other"))
                break
        known.append((at, (transport, address)))


def listeners(parts: Parts) -> Iterator[tuple[KeyPath, Listen]]:
    """What is listened on, by whom."""
    if isinstance(console := parts.tables.get("console"), ConsoleSettings):
        yield ("console",), ("tcp", console.listen)
    for part in parts.devices:
        if part.driver is not None:
            yield from ((part.at, listen) for listen in part.driver.listens())
