"""From what was seen to what is to be said: the judgement of every check. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from agent.cli.doctor.finding import Finding, fail, ok, warn
from agent.cli.words import size
from agent.texts import Text, say

CERTIFICATE_WARN: Final = timedelta(days=30)
"""A month to have a new certificate signed."""
INODES_LOW: Final = 1_000
"""SQLite needs three files; below this something else is filling the disk with small ones."""
FREE_LOW_BYTES: Final = 64 << 20
"""The journal's reserve, its write-ahead log at its longest, and a package upgrade."""
RESTARTS_MANY: Final = 3
"""A gateway that was started again so often since boot has a cause worth finding."""
CAMERAS_SHOWN: Final = 5
"""Camera list shows the rest."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What statvfs(3) says of the journal's file system."""

    path: str
    free_bytes: int
    free_inodes: int
    total_inodes: int
    read_only: bool


def clock(name: str, synced: bool, now: datetime, floor: datetime | None) -> Finding:
    """Judge the wall clock. `floor` is the latest time that the journal has seen: now cannot be before it."""
    shown = now.isoformat(sep=" ", timespec="seconds")
    if floor is not None and now < floor:
        seen = floor.isoformat(sep=" ", timespec="seconds")
        return fail(name, say("doctor.clock-behind", now=shown, floor=seen), say("doctor.clock-remedy"))
    if not synced:
        return warn(name, say("doctor.clock-unsynced", now=shown), say("doctor.clock-remedy"))
    return ok(name, say("doctor.clock-ok", now=shown))


def disk(name: str, seen: Disk, journal_bytes: int, max_bytes: int) -> Finding:
    """Judge the room for the journal: it may grow up to its limit."""
    free = size(seen.free_bytes)
    if seen.read_only:
        return fail(name, say("doctor.disk-read-only", path=seen.path), say("doctor.disk-read-only-remedy"))
    if seen.total_inodes and seen.free_inodes < INODES_LOW:
        message = say("doctor.disk-inodes", path=seen.path, free=seen.free_inodes)
        return warn(name, message, say("doctor.disk-inodes-remedy", path=seen.path))
    if seen.free_bytes < FREE_LOW_BYTES:
        return fail(name, say("doctor.disk-full", path=seen.path, free=free), say("doctor.disk-remedy"))
    growth = max(0, max_bytes - journal_bytes)
    if seen.free_bytes < growth:
        message = say("doctor.disk-tight", path=seen.path, free=free, growth=size(growth))
        return warn(name, message, say("doctor.disk-remedy"))
    return ok(name, say("doctor.disk-ok", path=seen.path, free=free))


def store(name: str, journal: Mapping[str, Any]) -> Finding:
    """Judge where the running daemon keeps its events, by its `status`."""
    trouble = Said(journal["trouble"]) if journal.get("trouble") else say("doctor.no-reason")
    if journal["store"] == "memory":
        return fail(name, say("doctor.store-memory", trouble=trouble), say("doctor.store-memory-remedy"))
    if journal["store"] == "fresh":
        kept = journal.get("kept_aside") or "-"
        return warn(name, say("doctor.store-fresh", kept=kept, trouble=trouble), say("doctor.store-fresh-remedy"))
    return ok(name, say("doctor.store-file", path=journal["path"]))


def child(name: str, state: Mapping[str, Any]) -> Finding:
    """Judge a process that the daemon watches over: the eye, the console."""
    if state["state"] == "running":
        return ok(name, say("doctor.child-ok", pid=state["pid"], memory=size(state["rss_bytes"] or 0)))
    why = Said(state["error"]) if state.get("error") else say("doctor.no-reason")
    return warn(name, say("doctor.child-away", why=why), say("doctor.child-remedy"))


def cameras(name: str, told: Sequence[Mapping[str, Any]]) -> Finding:
    """Judge the cameras together: how many are fine, and which are not."""
    bad = [str(camera["id"]) for camera in told if camera["state"] in {"fault", "offline"}]
    if bad:
        shown = ", ".join(bad[:CAMERAS_SHOWN]) + (" ..." if len(bad) > CAMERAS_SHOWN else "")
        message = say("doctor.cameras-bad", count=len(bad), of=len(told), cameras=shown)
        return warn(name, message, say("doctor.cameras-remedy", camera=bad[0]))
    waiting = sum(camera["state"] == "unknown" for camera in told)
    return ok(name, say("doctor.cameras-ok", count=len(told), waiting=waiting))


class Said(Text):
    """A text that the daemon sent in every language."""

    def __init__(self, said: Mapping[str, str]) -> None:
        super().__init__(str(said.get("key", "")), dict(said))

    def render(self, language: str) -> str:
        return str(self.args.get(language, self.key))


def uplink(name: str, state: Mapping[str, Any]) -> Finding:
    """Judge the running daemon's connection."""
    if state["connected"]:
        return ok(name, say("doctor.uplink-ok", broker=state["broker"]))
    reason = Said(state["error"]) if state.get("error") else say("doctor.no-reason")
    return fail(name, say("doctor.uplink-down", reason=reason), say("doctor.uplink-down-remedy"))


def receipts(name: str, state: str) -> Finding:
    """Judge whether the district confirms what it stores."""
    if state == "live":
        return ok(name, say("cli.receipts-live"))
    if state == "off":
        return ok(name, say("cli.receipts-off"))
    return warn(name, say("doctor.receipts-never"), say("doctor.receipts-never-remedy"))


def drill(name: str, told: Mapping[str, Any]) -> Finding:
    """A drill that was forgotten keeps the police away."""
    minutes, scope = -(-told["left_s"] // 60), ", ".join(told["scope"]) or say("armcli.scope-all")
    message = say("armcli.status-drill", minutes=minutes, actor=told["actor"] or "-", scope=scope)
    return warn(name, message, say("armcli.drill-remedy"))


def device(name: str, state: Mapping[str, Any]) -> Finding:
    """Judge one device by the running daemon's `status`."""
    if state["state"] == "online":
        return ok(name, say("doctor.device-online", name=state["name"]))
    reason = Said(state["error"]) if state.get("error") else say("doctor.no-reason")
    message = say("doctor.device-offline", name=state["name"], reason=reason)
    return fail(name, message, say("doctor.device-remedy"))


def path(name: str, state: Mapping[str, Any]) -> Finding:
    """Judge one second path by the running daemon's `status`."""
    if state["state"] == "ok":
        return ok(name, say("doctor.path-ok", name=state["name"]))
    if state["state"] == "unknown":
        return ok(name, say("doctor.path-unknown", name=state["name"]))
    reason = Said(state["error"]) if state.get("error") else say("doctor.no-reason")
    return fail(
        name, say("doctor.path-failing", name=state["name"], reason=reason), say("doctor.path-remedy", path=state["id"])
    )


def certificate(name: str, subject: str, not_before: datetime, not_after: datetime, now: datetime) -> Finding:
    """Judge a certificate's dates."""
    until = not_after.astimezone(now.tzinfo).date().isoformat()
    if now < not_before:
        since = not_before.isoformat(sep=" ", timespec="seconds")
        message = say("doctor.certificate-early", subject=subject, since=since)
        return fail(name, message, say("doctor.certificate-early-remedy"))
    if now >= not_after:
        message = say("doctor.certificate-expired", subject=subject, until=until)
        return fail(name, message, say("doctor.certificate-remedy"))
    days = (not_after - now).days
    if not_after - now < CERTIFICATE_WARN:
        message = say("doctor.certificate-soon", subject=subject, until=until, days=days)
        return warn(name, message, say("doctor.certificate-remedy"))
    return ok(name, say("doctor.certificate-ok", subject=subject, until=until, days=days))


def unit(name: str, shown: Mapping[str, str]) -> Sequence[Finding]:
    """Judge what `systemctl show` says of the service."""
    if shown.get("LoadState") != "loaded":
        return [warn(name, say("doctor.unit-missing"), say("doctor.unit-missing-remedy"))]
    found: list[Finding] = []
    if shown.get("UnitFileState") not in {"enabled", "enabled-runtime"}:
        message = say("doctor.unit-disabled", state=shown.get("UnitFileState") or "-")
        found.append(warn(name, message, say("doctor.unit-disabled-remedy")))
    else:
        found.append(ok(name, say("doctor.unit-enabled")))
    if shown.get("ActiveState") == "failed":
        message = say("doctor.unit-failed", result=shown.get("Result", "-"))
        found.append(fail(name, message, say("doctor.unit-failed-remedy")))
    restarts = int(shown.get("NRestarts", "0") or 0)
    if restarts >= RESTARTS_MANY:
        message = say("doctor.unit-restarts", count=restarts)
        found.append(warn(name, message, say("doctor.unit-failed-remedy")))
    return found


def watchdog(name: str, shown: Mapping[str, str]) -> Finding:
    """Judge whether systemd would notice a hung daemon. `WatchdogUSec` is `30s`, or `0` and `infinity` for none."""
    limit = shown.get("WatchdogUSec", "0")
    if limit in {"", "0", "infinity"}:
        return warn(name, say("doctor.watchdog-off"), say("doctor.watchdog-remedy"))
    return ok(name, say("doctor.watchdog-on", limit=limit))


def properties(shown: str) -> dict[str, str]:
    """Parse the output of `systemctl show`: `Name=value` lines."""
    return {match[1]: match[2] for match in re.finditer(r"^([A-Za-z]+)=(.*)$", shown, re.MULTILINE)}
