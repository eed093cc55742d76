"""Checks of this machine: clock, disk, journal directory, systemd."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.doctor import judge
from agent.cli.doctor.finding import CHECK_S, Check, Finding, fail, ok, warn
from agent.cli.doctor.runner import in_thread
from agent.cli.doctor.subject import Subject
from agent.texts import say

if TYPE_CHECKING:
    from agent.config.models import Config

UNIT: Final = "campus-agent.service"
PROPERTIES: Final = "LoadState,ActiveState,UnitFileState,WatchdogUSec,NRestarts,Result"
UNKNOWN_ZONE: Final = "Asia/Shanghai"
"""For the clock check when the configuration cannot be read."""


def checks(subject: Subject) -> list[Check]:
    """Name the checks of the machine that make sense for this subject."""
    found = [Check("systemd", lambda: systemd(subject.daemon_pid is not None)), Check("clock", lambda: clock(subject))]
    if (config := subject.config) is not None:
        found += [
            Check("disk", lambda: in_thread(lambda: disk(config))),
            Check("journal-directory", lambda: in_thread(lambda: directory(config, subject.daemon_pid is not None))),
        ]
    return found


async def clock(subject: Subject) -> Sequence[Finding]:
    """Ask the kernel whether the clock is disciplined, and compare it with the latest time on record."""
    from agent.clock import SystemClock

    zone = subject.config.site.timezone if subject.config else UNKNOWN_ZONE
    machine = SystemClock(zone)
    floor = None
    if (config := subject.config) is not None:
        from agent.journal.floor import read_floor

        floor = await in_thread(lambda: read_floor(config.journal.path))
    return [judge.clock("clock", machine.quality() == "synced", machine.wall(), floor)]


def disk(config: "Config") -> Sequence[Finding]:
    """Look at the journal's file system."""
    path = config.journal.path
    directory = next(parent for parent in path.parents if parent.is_dir())
    found = os.statvfs(directory)
    seen = judge.Disk(
        str(directory),
        free_bytes=found.f_bavail * found.f_frsize,
        free_inodes=found.f_favail,
        total_inodes=found.f_files,
        read_only=bool(found.f_flag & os.ST_RDONLY),
    )
    used = sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) if path.parent.is_dir() else 0
    return [judge.disk("disk", seen, used, config.journal.max_size_bytes)]


def directory(config: "Config", daemon_alive: bool) -> Sequence[Finding]:
    """Try whether a file can be made beside the journal, as SQLite must do for its write-ahead log."""
    name, path = "journal-directory", config.journal.path.parent
    if not path.is_dir():
        message = say("doctor.directory-missing", path=path)
        return [fail(name, message, say("doctor.directory-missing-remedy", path=path))]
    try:
        with tempfile.TemporaryFile(dir=path) as file:
            file.write(b"campus-agent doctor")
            file.flush()
            os.fsync(file.fileno())
    except PermissionError:
        message = say("doctor.directory-denied", path=path, owner=owner_of(path))
        remedy = say("doctor.directory-denied-remedy", path=path)
        # The running daemon is another user, and has proved that it can write; without it nobody knows.
        return [ok(name, say("doctor.directory-daemon", path=path)) if daemon_alive else warn(name, message, remedy)]
    return [ok(name, say("doctor.directory-ok", path=path))]


def owner_of(path: Path) -> str:
    """Return `user:group` of a file."""
    try:
        return f"{path.owner()}:{path.group()}"
    except KeyError:  # a user that was deleted
        found = path.stat()
        return f"{found.st_uid}:{found.st_gid}"


async def systemd(daemon_alive: bool) -> Sequence[Finding]:
    """Ask systemd about the unit and its watchdog."""
    shown = await in_thread(systemctl_show)
    if shown is None:
        message, remedy = say("doctor.no-systemd"), say("doctor.no-systemd-remedy")
        return [warn("systemd-unit", message, remedy)]
    found = [*judge.unit("systemd-unit", shown)]
    if shown.get("LoadState") == "loaded":
        found.append(judge.watchdog("watchdog", shown))
        if daemon_alive and shown.get("ActiveState") == "inactive":
            message = say("doctor.unit-not-ours")
            found.append(warn("systemd-unit", message, say("doctor.unit-not-ours-remedy")))
    return found


def systemctl_show() -> dict[str, str] | None:
    """Return the unit's properties; None where there is no systemd to ask."""
    try:
        done = subprocess.run(
            ["systemctl", "show", UNIT, "--property", PROPERTIES],
            capture_output=True,
            text=True,
            timeout=CHECK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return judge.properties(done.stdout) if done.returncode == 0 and done.stdout else None
