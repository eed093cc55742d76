"""What systemd and udev get from us, checked by their own tools."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from agent.childhood import OOM_SCORE
from agent.cli.installer import unit_text
from agent.journal.journal import CLOSE_TIMEOUT_S
from agent.journal.opening import MIGRATE_TIMEOUT_S
from agent.runtime.child import ChildLimits
from agent.runtime.core import DESK_STALL_S, DRAIN_S
from agent.runtime.field import STOP_TIMEOUT_S
from agent.secrets import CREDENTIALS_HOME, CREDENTIALS_PREFIX
from agent.share import systemd_file

EXPOSURE_LIMIT: Final = 1.5
KERNEL_CLOCK_LIMIT: Final = 2.0
"""With the drop-in for other time daemons, which lets one system call back in."""
RULE: Final = re.compile(
    r"(ACTION|SUBSYSTEMS?|KERNEL|DRIVER|ENV\{[\w.]+\}|ATTR\{\w+\}|IMPORT\{builtin\}|GROUP|MODE|SYMLINK|GOTO|LABEL)"
    r'(==|!=|=|\+=)"[^"]*"'
)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is missing; `make test` installs it"
)


def run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def settings(name: str = "campus-agent.service") -> dict[str, list[str]]:
    """The unit's settings, without its comments."""
    found: dict[str, list[str]] = {}
    for line in systemd_file(name).read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def exposure(unit: Path) -> float:
    told = run("systemd-analyze", "security", "--offline=true", "--no-pager", unit).stdout
    match = re.search(r"exposure level for \S+: ([\d.]+)", told)
    assert match, told
    return float(match[1])


@needs_systemd
def test_the_unit_s_exposure_stays_low() -> None:
    assert exposure(systemd_file("campus-agent.service")) <= EXPOSURE_LIMIT


@needs_systemd
def test_the_drop_in_for_other_time_daemons_gives_back_no_more_than_it_says(tmp_path: Path) -> None:
    unit = tmp_path / "campus-agent.service"
    parts = (systemd_file(name).read_text("utf-8") for name in ("campus-agent.service", "kernel-clock.conf"))
    unit.write_text("\n".join(parts), encoding="utf-8")
    assert exposure(unit) <= KERNEL_CLOCK_LIMIT


@needs_systemd
@pytest.mark.parametrize("folder", ["plain", "with space and 100%"])
def test_systemd_takes_the_unit_as_installed(tmp_path: Path, folder: str) -> None:
    executable = tmp_path / folder / "bin/campus-agent"
    executable.parent.mkdir(parents=True)
    executable.symlink_to("/bin/true")
    unit = tmp_path / "campus-agent.service"
    template = systemd_file(unit.name).read_text("utf-8")
    unit.write_text(unit_text(template, executable, [Path("etc/udev"), Path("etc/udev/rules.d")]), encoding="utf-8")
    done = run("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("systemd-sysusers") is None, reason="systemd is missing; `make test` installs it")
def test_the_account_is_made_with_access_to_serial_ports(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").write_text("root:x:0:\ndialout:x:20:\n", encoding="utf-8")
    done = run("systemd-sysusers", f"--root={tmp_path}", systemd_file("campus-agent.sysusers"))
    assert done.returncode == 0, done.stderr
    assert "campus-agent:x:" in (tmp_path / "etc/passwd").read_text("utf-8")
    assert "dialout:x:20:campus-agent" in (tmp_path / "etc/group").read_text("utf-8")


@pytest.mark.skipif(shutil.which("systemd-tmpfiles") is None, reason="systemd is missing; `make test` installs it")
def test_directories_get_their_modes_and_a_loose_secret_is_closed(tmp_path: Path) -> None:
    (tmp_path / "etc/campus-agent/credentials").mkdir(parents=True)
    uid, gid = os.geteuid(), os.getegid()  # whoever runs the tests stands for both accounts
    (tmp_path / "etc/passwd").write_text(f"root:x:{uid}:{gid}::/:\ncampus-agent:x:{uid}:{gid}::/:\n", encoding="utf-8")
    (tmp_path / "etc/group").write_text(f"root:x:{gid}:\ncampus-agent:x:{gid}:\n", encoding="utf-8")
    for name in ("agent.toml", "credentials/mqtt-password"):
        (tmp_path / "etc/campus-agent" / name).touch(0o644)
    done = run("systemd-tmpfiles", f"--root={tmp_path}", "--create", systemd_file("campus-agent.tmpfiles"))
    assert done.returncode == 0, done.stderr
    modes = {
        str(path.relative_to(tmp_path)): oct(path.stat().st_mode & 0o777)
        for path in [*tmp_path.glob("etc/campus-agent/**/*"), tmp_path / "var/lib/campus-agent"]
    }
    assert modes == {
        "etc/campus-agent/agent.toml": "0o640",
        "etc/campus-agent/conf.d": "0o750",
        "etc/campus-agent/credentials": "0o700",
        "etc/campus-agent/credentials/mqtt-password": "0o600",
        "var/lib/campus-agent": "0o750",
    }


def test_udev_rules_are_well_formed_and_every_jump_has_its_label() -> None:
    text = systemd_file("99-campus-agent.rules").read_text("utf-8")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    for rule in rules:
        for part in re.split(r",\s*", rule):
            assert RULE.fullmatch(part), part
    jumps, labels = (set(re.findall(rf'{word}="(\w+)"', text)) for word in ("GOTO", "LABEL"))
    assert jumps == labels


def test_the_unit_s_limits_leave_room_for_what_the_core_does_at_most() -> None:
    unit = settings()
    assert float(unit["WatchdogSec"][0]) > DESK_STALL_S
    assert float(unit["TimeoutStartSec"][0]) > MIGRATE_TIMEOUT_S
    console_s = ChildLimits(1).stop_s + 2  # and two seconds to be gone
    field_and_eye_s = max(STOP_TIMEOUT_S, ChildLimits(1).stop_s + 2)
    assert float(unit["TimeoutStopSec"][0]) > console_s + field_and_eye_s + DRAIN_S + CLOSE_TIMEOUT_S


def test_a_child_that_the_kernel_ends_for_its_memory_ends_nothing_else() -> None:
    unit = settings()
    assert unit["OOMPolicy"] == ["continue"]
    assert unit["KillMode"] == ["mixed"]
    assert int(unit["OOMScoreAdjust"][0]) < int(OOM_SCORE)
    assert int(unit["LimitNOFILE"][0]) >= 4096
    assert int(unit["TasksMax"][0]) >= 512


def test_a_start_waits_for_no_network_and_no_clock_and_is_never_given_up() -> None:
    unit = settings()
    assert unit["After"] == ["network.target"]
    assert "Wants" not in unit
    assert "Requires" not in unit
    assert (unit["Restart"], unit["StartLimitIntervalSec"]) == (["always"], ["0"])


def test_credentials_lie_where_the_agent_looks_for_them() -> None:
    unit = settings()
    assert unit["LoadCredential"] == [f"{CREDENTIALS_PREFIX.removesuffix('_')}:{CREDENTIALS_HOME}"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing; `make test` installs it")
@pytest.mark.parametrize(("touched", "quality"), [(True, "synced"), (False, "unsynced")])
def test_the_clock_is_judged_by_timesyncd_where_the_kernel_may_not_be_asked(
    tmp_path: Path, touched: bool, quality: str
) -> None:
    mark = tmp_path / "synchronized"
    if touched:
        mark.touch()
    program = (
        "import sys, pathlib; from agent.clock import SystemClock;"
        "print(SystemClock('Asia/Shanghai', timesyncd=pathlib.Path(sys.argv[1])).quality())"
    )
    forbidden = "inject=clock_adjtime,adjtimex:error=EPERM"
    done = run("strace", "-f", "-o", "/dev/null", "-e", forbidden, sys.executable, "-c", program, mark)
    assert done.stdout.strip() == quality, done.stderr
