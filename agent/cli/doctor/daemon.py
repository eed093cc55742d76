"""Checks of the daemon: does it run, what does it say of itself."""

from collections.abc import Sequence

from agent.cli.doctor import judge
from agent.cli.doctor.finding import Check, Finding, fail, ok, warn
from agent.cli.doctor.subject import Subject
from agent.cli.words import duration
from agent.texts import Text, say


def checks(subject: Subject) -> list[Check]:
    """Name the checks of the daemon."""
    if subject.config is None:
        return []
    return [Check("daemon", lambda: told(subject))]


async def told(subject: Subject) -> Sequence[Finding]:
    """Judge the daemon's `status`; when it is dead, say only that."""
    status = subject.status
    if status is None:
        reason = subject.down.text if subject.down else say("doctor.no-reason")
        socket = socket_finding(subject)
        return [fail("daemon", reason, say("doctor.daemon-remedy")), *socket]
    found = [
        ok("daemon", say("doctor.daemon-ok", pid=status["pid"], version=status["version"], uptime=Uptime(status))),
        *socket_finding(subject),
        judge.store("journal-store", status["journal"]),
        judge.uplink("uplink", status["uplink"]),
        judge.receipts("receipts", status["uplink"]["receipts"]),
    ]
    found += [judge.child(name, status[name]) for name in ("eye", "console") if status.get(name)]
    if status.get("cameras"):
        found.append(judge.cameras("cameras", status["cameras"]))
    if status.get("drill"):
        found.append(judge.drill("drill", status["drill"]))
    found += [judge.path(f"path {path['id']}", path) for path in status.get("paths", ())]
    if status["refused"]:
        message = say("doctor.refused", count=status["refused"])
        found.append(warn("refused", message, say("doctor.refused-remedy")))
    for fault in status["faults"]:
        place = "/".join(part for part in (fault["device"], fault["point"]) if part) or "-"
        message = say("doctor.fault", place=place, text=judge.Said(fault["text"]))
        found.append(warn("fault", message, say("doctor.fault-remedy")))
    return found


class Uptime(Text):
    """A duration in the reader's language."""

    def __init__(self, status: object) -> None:
        super().__init__("cli.unit-s", {"seconds": status["uptime_s"]} if isinstance(status, dict) else {})

    def render(self, language: str) -> str:
        return duration(float(str(self.args.get("seconds", 0))), "en" if language == "en" else "zh-CN")


def socket_finding(subject: Subject) -> Sequence[Finding]:
    """Look for the control socket's file."""
    from agent.control.protocol import socket_candidates

    assert subject.config is not None, "asked only with a configuration"
    candidates = socket_candidates(subject.config.control.socket, subject.config.journal.path)
    there = [path for path in candidates if path.is_socket()]
    if subject.status is not None:
        return [ok("control-socket", say("doctor.socket-ok", socket=there[0] if there else "-"))]
    if there:
        message = say("doctor.socket-dead", socket=there[0])
        return [warn("control-socket", message, say("doctor.socket-dead-remedy"))]
    return []
