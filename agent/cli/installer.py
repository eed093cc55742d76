"""What `install` puts into a system and `uninstall` takes away again: account, unit, directories, udev rules,
example configuration.

Both work on the running system, or with `root` on a tree that becomes one (an image): there nothing is started, and
what needs a running system, like the account, is made by systemd at the first start out of the files put in place.
"""

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import agent
from agent.share import example_config, systemd_file
from agent.texts import Spoken, Text, say

ACCOUNT: Final = "campus-agent"
UNIT: Final = "campus-agent.service"
DEFAULT_PREFIX: Final = Path("/opt/campus-agent")
EXECUTABLE: Final = Path("bin/campus-agent")
TOOL_TIMEOUT_S: Final = 60.0
"""`systemctl disable --now` waits for a stop, which takes 15 s at most; udev may be busy for a while."""
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named to be avoided
"""What ProtectHome= and PrivateTmp= of the unit keep from the daemon."""
TIMESYNCD: Final = ("lib/systemd/systemd-timesyncd", "usr/lib/systemd/systemd-timesyncd")

CONFIG: Final = Path("etc/campus-agent")
STATE: Final = Path("var/lib/campus-agent")
UNITS: Final = Path("etc/systemd/system")
DROP_IN: Final = UNITS / f"{UNIT}.d" / "10-kernel-clock.conf"
WANTS: Final = UNITS / "multi-user.target.wants" / UNIT
COMMAND: Final = Path("usr/local/bin/campus-agent")
PLAIN: Final = {
    Path("etc/sysusers.d/campus-agent.conf"): "campus-agent.sysusers",
    Path("etc/tmpfiles.d/campus-agent.conf"): "campus-agent.tmpfiles",
    Path("etc/udev/rules.d/99-campus-agent.rules"): "99-campus-agent.rules",
}
"""Files that are copied as they are: where to, and their name in `systemd/`."""
MADE: Final = "X-CampusAgentMade="
"""The line of the installed unit that names the directories which were missing before; systemd ignores X- settings
(systemd.unit(5)), and `uninstall` removes what it names, so that nothing is left."""
REHEARSED: Final = {
    "install.created": "install.would-create",
    "install.updated": "install.would-update",
    "install.removed": "install.would-remove",
}
"""How a rehearsal words what it would have done."""


class InstallError(Spoken):
    """The installation cannot go on; nothing is half done that a second call would not complete."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to install. `root` is `/` for the running system; `prefix` is the installation as that system sees it."""

    root: Path
    prefix: Path

    @property
    def here(self) -> bool:
        """Whether it is the running system."""
        return self.root == Path("/")

    @property
    def live(self) -> bool:
        """Whether systemd runs it now (sd_booted(3))."""
        return self.here and Path("/run/systemd/system").is_dir()

    @property
    def executable(self) -> Path:
        return self.prefix / EXECUTABLE

    def shown(self, path: Path) -> Path:
        """The path of something below `root`, as the user sees it from here."""
        return self.root / path


def target(root: Path | None, prefix: Path | None) -> Target:
    """Fill in what was not said: the running system, and the installation that runs this, or /opt/campus-agent in
    an image."""
    if root is None or root.resolve() == Path("/"):
        return Target(Path("/"), prefix or Path(sys.prefix))
    return Target(root.resolve(), prefix or DEFAULT_PREFIX)


class Installer:
    """One run of `install` or `uninstall`. `tell` hears every step, also the ones that change nothing."""

    def __init__(self, where: Target, tell: Callable[[Text], None], *, dry_run: bool = False) -> None:
        self._where = where
        self._tell = tell
        self._dry = dry_run

    def install(self) -> None:
        """Put everything in place. Raises InstallError before the first change, or where a tool fails."""
        self._require_root()
        if self._where.here:
            check_visible(self._where)
        elif not (self._where.root / self._where.executable.relative_to("/")).exists():
            self._tell(say("install.no-executable-yet", path=self._where.executable))
        made = self._made_before() | self._make_parents()
        for path, name in PLAIN.items():
            self._put(path, systemd_file(name).read_bytes())
        if self._where.here:
            self._run("systemd-sysusers", "/etc/sysusers.d/campus-agent.conf")
        self._configuration()
        if self._where.here:
            self._run("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/campus-agent.conf")
        unit = unit_text(systemd_file(UNIT).read_text("utf-8"), self._where.executable, made)
        self._put(UNITS / UNIT, unit.encode())
        if not any((self._where.root / path).exists() for path in TIMESYNCD):
            self._put(DROP_IN, systemd_file("kernel-clock.conf").read_bytes())
        self._link(COMMAND, self._where.executable)
        self._enable()

    def uninstall(self, *, purge: bool) -> None:
        """Take everything away; configuration and journal, and the account that owns it, only with `purge`."""
        self._require_root()
        made = self._made_before()
        if self._where.live and (self._where.root / UNITS / UNIT).exists():
            self._run("systemctl", "disable", "--now", UNIT)
        command = self._where.root / COMMAND
        if command.is_symlink() and command.readlink().parts[-2:] == EXECUTABLE.parts:
            self._remove(COMMAND)
        for path in (WANTS, DROP_IN, UNITS / UNIT, *PLAIN):
            self._remove(path)
        for path in (DROP_IN.parent, *sorted(made, reverse=True)):
            self._remove_if_empty(path)
        if self._where.live:
            self._run("systemctl", "daemon-reload")
            self._reload_udev()
        for path in (CONFIG, STATE):
            if purge:
                self._remove(path)
            elif (self._where.root / path).exists():
                self._tell(say("install.kept", path=self._where.shown(path)))
        if purge and self._where.here:
            self._remove_account()

    def running(self) -> bool:
        """Whether the service runs now."""
        return self._where.live and _call("systemctl", "is-active", "--quiet", UNIT).returncode == 0

    def _require_root(self) -> None:
        if self._where.here and os.geteuid() != 0:
            raise InstallError(say("install.not-root", uid=os.geteuid()))
        if not self._where.root.is_dir():
            raise InstallError(say("install.no-root", path=self._where.root))

    def _made_before(self) -> set[Path]:
        """The directories that an earlier installation had to make."""
        unit = self._where.root / UNITS / UNIT
        lines = unit.read_text("utf-8").splitlines() if unit.exists() else []
        return {Path(word) for line in lines if line.startswith(MADE) for word in line.removeprefix(MADE).split()}

    def _make_parents(self) -> set[Path]:
        """Make the directories that are missing of those that systems usually have."""
        missing = {
            folder
            for path in (*PLAIN, UNITS / UNIT, WANTS, COMMAND)
            for folder in path.parents
            if not (self._where.root / folder).exists()
        }
        for folder in sorted(missing):
            if not self._dry:
                (self._where.root / folder).mkdir(mode=0o755)
            self._did("install.created", folder)
        return missing

    def _configuration(self) -> None:
        self._directory(CONFIG, 0o750)
        self._directory(CONFIG / "conf.d", 0o750)
        self._directory(CONFIG / "credentials", 0o700)
        path = CONFIG / "agent.toml"
        if (self._where.root / path).exists():
            self._tell(say("install.kept", path=self._where.shown(path)))
        else:
            self._put(path, example_config().read_bytes(), 0o640)

    def _enable(self) -> None:
        if not self._where.live:
            self._link(WANTS, Path("/") / UNITS / UNIT)
            return
        self._run("systemctl", "daemon-reload")
        self._run("systemctl", "enable", UNIT)
        self._reload_udev()

    def _reload_udev(self) -> None:
        if shutil.which("udevadm"):
            self._run("udevadm", "control", "--reload")
            self._run("udevadm", "trigger", "--subsystem-match=tty")

    def _remove_account(self) -> None:
        if ACCOUNT in {line.partition(":")[0] for line in Path("/etc/passwd").read_text("utf-8").splitlines()}:
            self._run("userdel", ACCOUNT)

    # --- single steps: each tells what it did, and does nothing a second time

    def _put(self, path: Path, content: bytes, mode: int = 0o644) -> None:
        place = self._where.root / path
        known = place.exists()
        if known and place.read_bytes() == content:
            self._did("install.unchanged", path)
            return
        if not self._dry:
            place.parent.mkdir(parents=True, exist_ok=True)
            write(place, content, mode)
        self._did("install.updated" if known else "install.created", path)

    def _directory(self, path: Path, mode: int) -> None:
        place = self._where.root / path
        if place.is_dir():
            self._did("install.unchanged", path)
            return
        if not self._dry:
            place.mkdir(parents=True)
            place.chmod(mode)
        self._did("install.created", path)

    def _link(self, path: Path, to: Path) -> None:
        place = self._where.root / path
        if place.is_symlink() and place.readlink() == to:
            self._did("install.unchanged", path)
        elif place.exists() and not place.is_symlink():
            self._tell(say("install.foreign", path=self._where.shown(path)))
        else:
            if not self._dry:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.unlink(missing_ok=True)
                place.symlink_to(to)
            self._tell(
                say("install.would-link" if self._dry else "install.linked", path=self._where.shown(path), to=to)
            )

    def _remove(self, path: Path) -> None:
        place = self._where.root / path
        if not os.path.lexists(place):
            return
        if not self._dry:
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink()
        self._did("install.removed", path)

    def _remove_if_empty(self, path: Path) -> None:
        place = self._where.root / path
        if place.is_dir() and not any(place.iterdir()):
            if not self._dry:
                place.rmdir()
            self._did("install.removed", path)

    def _did(self, key: str, path: Path) -> None:
        self._tell(say(REHEARSED.get(key, key) if self._dry else key, path=self._where.shown(path)))

    def _run(self, *command: str) -> None:
        line = " ".join(command)
        if self._dry:
            self._tell(say("install.would-run", command=line))
            return
        done = _call(*command)
        if done.returncode != 0:
            raise InstallError(
                say("install.tool-failed", command=line, code=done.returncode, output=done.stderr.strip() or "-")
            )
        self._tell(say("install.ran", command=line))


def _call(*command: str) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=False)
    except FileNotFoundError:
        raise InstallError(say("install.no-tool", tool=command[0])) from None
    except subprocess.TimeoutExpired:
        raise InstallError(
            say("install.tool-hangs", command=" ".join(command), seconds=round(TOOL_TIMEOUT_S))
        ) from None


def write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file in one step; it is never there with other contents, or open to others for a moment."""
    spare = path.with_name(f".{path.name}.new")
    spare.unlink(missing_ok=True)
    with os.fdopen(os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    spare.replace(path)


def unit_text(template: str, executable: Path, made: Iterable[Path] = ()) -> str:
    """Return the unit with the ExecStart= of this installation, and the directories that it had to make."""
    default = str(DEFAULT_PREFIX / EXECUTABLE)
    assert f"ExecStart={default} " in template, "the unit's ExecStart= is what is replaced here"
    text = template.replace(f"ExecStart={default} ", f"ExecStart={exec_word(str(executable))} ")
    return text + (f"{MADE}{' '.join(map(str, sorted(made)))}\n" if made else "")


def exec_word(word: str) -> str:
    """Quote one word of a command line in a unit (systemd.service(5), "Command lines"; systemd.unit(5) for `%`)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if any(character in " ;'\"\\" for character in word) else escaped


def check_visible(where: Target) -> None:
    """Raise InstallError where the service could not start this installation: it is missing, in a place that the
    unit hides from the daemon, or closed to the daemon's account."""
    if not os.access(where.executable, os.X_OK):
        raise InstallError(say("install.no-executable", path=where.executable))
    for path in needed(where):
        for hidden in HIDDEN:
            if path.is_relative_to(hidden):
                raise InstallError(say("install.hidden", path=path, hidden=hidden, prefix=DEFAULT_PREFIX))
        for part in (path, *path.parents):
            if not part.stat().st_mode & stat.S_IXOTH:
                raise InstallError(say("install.closed", path=part))


def needed(where: Target) -> Iterator[Path]:
    """Name what must be visible: the executable, its Python, and the code."""
    yield where.executable
    yield (where.prefix / "bin" / "python").resolve()
    yield Path(agent.__file__).resolve().parent
