"""What is in the repository, in the lock files and in the wheel."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from agent.share import example_config, systemd_file

ROOT: Final = Path(__file__).parents[2]
TOP_LEVEL: Final = {
    *("agent", "drivers", "config", "systemd", "tests", "bench", "docs"),
    *("README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE"),
    *("Makefile", "pyproject.toml", "requirements.lock", "requirements-build.lock", "requirements-dev.lock"),
    *(".ci", ".gitignore"),
}
"""All that may lie at the top; a new entry needs a place in docs/architecture.md first."""
PIN: Final = re.compile(r"^([\w.-]+)==(\S+)( ; .+)? \\$", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    """Return name -> version of a lock file."""
    return {canonicalize_name(name): version for name, version, _ in PIN.findall((ROOT / lock).read_text("utf-8"))}


def wanted(lock: str) -> list[str]:
    """Return the requirements that a lock file answers."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    runtime: list[str] = table["project"]["dependencies"]
    dev: list[str] = table["project"]["optional-dependencies"]["dev"]
    build: list[str] = table["dependency-groups"]["build"]
    return {
        "requirements.lock": runtime,
        "requirements-dev.lock": [*runtime, *dev, *build],
        "requirements-build.lock": build,
    }[lock]


LOCKS: Final = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    return git("ls-files").splitlines()


def test_only_known_entries_lie_at_the_top(tracked: list[str]) -> None:
    assert {path.partition("/")[0] for path in tracked} <= TOP_LEVEL


def test_what_only_the_wheel_has_is_not_in_the_repository(tracked: list[str]) -> None:
    assert not [path for path in tracked if "_share" in path]


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_every_requirement_at_a_version_that_it_allows(lock: str) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, wanted(lock)):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version, f"{requirement.name} is missing in {lock}; run `make lock`"
        assert requirement.specifier.contains(version), f"{lock} has {requirement.name} {version}; run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashes_for_every_pin_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    blocks = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    packages = [block for block in blocks if block and not block.startswith("#")]
    assert len(packages) == len(pins(lock))
    assert all("--hash=sha256:" in block for block in packages)
    assert "://" not in text


def test_lock_files_agree_with_each_other() -> None:
    dev = pins("requirements-dev.lock")
    for lock in ("requirements.lock", "requirements-build.lock"):
        assert pins(lock).items() <= dev.items()


def test_the_files_that_come_along_are_found_in_a_checkout() -> None:
    assert example_config() == ROOT / "config/agent.toml"
    assert systemd_file("campus-agent.service") == ROOT / "systemd/campus-agent.service"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a download."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_has_texts_units_example_and_licence_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    catalogue = {f"agent/texts/{path.name}" for path in (ROOT / "agent/texts").glob("*.toml")}
    units = {f"agent/_share/systemd/{path.name}" for path in (ROOT / "systemd").iterdir()}
    assert catalogue | units | {"agent/_share/agent.toml", "drivers/modbus_io.py"} <= names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"agent", "drivers", "campus_agent"}


def test_the_installed_wheel_finds_its_files_and_speaks(wheel: Path, tmp_path: Path) -> None:
    """Unpacked beside the locked libraries, and run where no checkout is in sight."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "image").mkdir()
    command = [sys.executable, "-P", "-c", "import sys; from agent.cli import main; sys.exit(main())"]
    done = subprocess.run(
        [*command, "--lang", "zh-CN", "install", "--root", str(tmp_path / "image")],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "已创建" in done.stdout
    assert (tmp_path / "image/etc/campus-agent/agent.toml").read_bytes() == (ROOT / "config/agent.toml").read_bytes()
