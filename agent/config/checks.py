"""What concerns several settings at once, beside buses and devices: the site, the uplink, ids and secrets. Pure."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from pydantic import BaseModel

from agent.config.fields import secrets_of
from agent.config.models import JournalSettings, SiteSettings, UplinkSettings
from agent.config.problems import KeyPath
from agent.config.report import Report
from agent.config.sections import Parts
from agent.config.values import nearest
from agent.texts import say
from agent.units import format_size, shown

COUNTY: Final = re.compile(r"(1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[12])[0-9]{2}(?!00)[0-9]{2}")
"""GB/T 2260-2007: two digits of the province, two of the prefecture, two of the county."""
SMALL_JOURNAL_BYTES: Final = 64 << 20
"""Some hundred thousand events: a district that is away for a month still loses nothing."""
VERBS: Final = frozenset(
    {"ack", "reset", "output", "snapshot", "clip", "stream-start", "stream-stop", "ptz", "inspect", "drill-start"}
    | {"drill-stop", "arm", "disarm", "selftest", "replay", "ping", "inventory", "patrol"}
)
"""The verbs of the contract (DESIGN 6); of the families only the beginnings are fixed."""
VERB_FAMILIES: Final = ("hazard-", "config-")
TOPIC_ARRAYS: Final = ("device", "camera", "path")
"""Whose ids are levels of topics."""
LOCAL_NAMES: Final = frozenset({"localhost", "localhost.localdomain", "ip6-localhost"})


def check_general(parts: Parts, report: Report) -> None:
    """Report what does not fit together."""
    if isinstance(site := parts.tables.get("site"), SiteSettings):
        check_site(site, report)
    if isinstance(uplink := parts.tables.get("uplink"), UplinkSettings):
        check_brokers(uplink, report)
        check_tls(uplink, report)
        check_commands(uplink, report)
    if isinstance(journal := parts.tables.get("journal"), JournalSettings):
        check_journal(journal, report)
    check_ids(parts, report)
    check_literals(parts, report)


def check_site(site: SiteSettings, report: Report) -> None:
    """A district code that no county has is probably a slip; new counties come up, so it is no error."""
    if not COUNTY.fullmatch(site.district):
        report.warn(
            ("site", "district"), say("config.county"), found=f'"{site.district}"', remedy=say("config.county-check")
        )


def check_brokers(uplink: UplinkSettings, report: Report) -> None:
    """Brokers given twice, and passwords that anybody on the way can read."""
    for position, broker in enumerate(uplink.brokers):
        at: KeyPath = ("uplink", "brokers", position)
        if broker in uplink.brokers[:position]:
            report.warn(at, say("config.broker-once"), found=str(broker), remedy=say("config.broker-remove"))
        if uplink.password is not None and not broker.tls and not is_loopback(broker.host):
            report.warn(at, say("config.password-tls"), found=str(broker), remedy=say("config.use-mqtts"))
    if uplink.password is not None and uplink.username is None:
        remedy = say("config.add-username")
        report.warn(("uplink", "username"), say("config.username-with-password"), remedy=remedy)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() in LOCAL_NAMES


def check_tls(uplink: UplinkSettings, report: Report) -> None:
    """Certificates without a use, and halves of pairs."""
    at: KeyPath = ("uplink", "tls")
    if (tls := uplink.tls) is None:
        return
    if not any(broker.tls for broker in uplink.brokers):
        brokers = ", ".join(map(str, uplink.brokers))
        report.error(at, say("config.tls-used"), found=brokers, remedy=say("config.tls-use"))
    if tls.cert is not None and tls.key is None:
        report.error((*at, "key"), say("config.key-with-cert"), remedy=say("config.add-key-file"))
    if tls.key is not None and tls.cert is None:
        report.error((*at, "cert"), say("config.cert-with-key"), remedy=say("config.add-cert"))
    if tls.key is not None and tls.key.source not in ("file", "credential"):
        report.error(
            (*at, "key"),
            say("config.key-in-file"),
            found=say(f"config.source-{tls.key.source}"),
            remedy=say("config.add-key-file"),
        )


def check_commands(uplink: UplinkSettings, report: Report) -> None:
    """A verb that nobody knows allows nothing."""
    for position, verb in enumerate(uplink.commands.allow or ()):
        if verb not in VERBS and not verb.startswith(VERB_FAMILIES):
            best = nearest(verb, VERBS)
            remedy = say("config.nearest", best=best) if best else say("config.one-of", known=", ".join(sorted(VERBS)))
            at: KeyPath = ("uplink", "commands", "allow", position)
            report.warn(at, say("config.verb-known"), found=f'"{verb}"', remedy=remedy)


def check_journal(journal: JournalSettings, report: Report) -> None:
    """A journal that is full within days."""
    if journal.max_size_bytes < SMALL_JOURNAL_BYTES:
        rule = say("config.journal-size", size=format_size(SMALL_JOURNAL_BYTES))
        found = format_size(journal.max_size_bytes)
        report.warn(("journal", "max_size"), rule, found=found, remedy=say("config.journal-grow"))


def check_ids(parts: Parts, report: Report) -> None:
    """Ids twice. Devices, cameras and paths share one space: each is a level of the same topics."""
    check_unique(report, parts.ids.get("bus", []))
    check_unique(report, parts.ids.get("patrol", []))
    check_unique(report, [one for array in TOPIC_ARRAYS for one in parts.ids.get(array, [])])
    for array, ids in parts.ids.items():
        if array not in ("bus", "patrol", *TOPIC_ARRAYS):
            check_unique(report, ids)


def check_unique(report: Report, ids: Iterable[tuple[KeyPath, str]]) -> None:
    """Report every id that came before."""
    first: dict[str, KeyPath] = {}
    for at, id_ in ids:
        if id_ in first:
            found = say("config.also-at", value=shown(id_), place=report.place((*first[id_], "id"), at))
            report.error((*at, "id"), say("config.id-once"), found=found, remedy=say("config.rename"))
        else:
            first[id_] = at


def check_literals(parts: Parts, report: Report) -> None:
    """Secrets that stand in the file itself."""
    tables: list[tuple[KeyPath, BaseModel]] = [((name,), table) for name, table in parts.tables.items()]
    tables += [(part.at, part.head) for part in parts.cameras if part.head is not None]
    tables += [(part.at, part.driver) for part in parts.with_drivers if part.driver is not None]
    for at, table in tables:
        for place, secret in secrets_of(table, at):
            if secret.source == "literal":
                report.warn(place, say("config.no-literal"), remedy=say("config.move-secret"))
