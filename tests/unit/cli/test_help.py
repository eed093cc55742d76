"""Every help page, in both languages: complete, translated, within the terminal."""

import importlib
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

import pytest
import typer.main

from agent.cli.app import COMMANDS, root
from agent.cli.layout import width
from agent.texts import rooms
from tests.unit.cli.conftest import Run, has_chinese

MODULES = {name: module for rows in COMMANDS.values() for name, module in rows}
ENGLISH = (
    "Usage",
    "Options",
    "Arguments",
    "Commands",
    "Show this",
    "default",
    "required",
    "COMMAND",
    "OPTIONS",
    "range",
)
"""Words of click and of our English pages, none of which belongs on a Chinese page."""
RAW_KEY = re.compile(rf"\b(?:{'|'.join(rooms())})\.[a-z]+-[a-z-]+")


def paths() -> list[tuple[str, ...]]:
    """Every command and subcommand."""
    found: list[tuple[str, ...]] = []
    for name, module in MODULES.items():
        if find_spec(module) is None:  # its tests fail one by one, and not the collection of all
            found.append((name,))
            continue
        command: Any = typer.main.get_command(importlib.import_module(module).app)
        found.append((name,))
        found += [(name, sub) for sub in getattr(command, "commands", {})]
    return found


@pytest.fixture(params=paths(), ids=" ".join)
def path(request: pytest.FixtureRequest) -> tuple[str, ...]:
    found: tuple[str, ...] = request.param
    return found


def without_options(page: str) -> str:
    """A page without the names of options, which are no words of any language."""
    return re.sub(r"--[a-z-]+", "", page)


def test_chinese_help_has_no_english_left(run: Run, path: tuple[str, ...]) -> None:
    ran = run(*path, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"用法：campus-agent {' '.join(path)}")
    assert not any(word in without_options(ran.out) for word in ENGLISH), ran.out
    assert not RAW_KEY.search(ran.out)
    for line in ran.out.splitlines():
        explained = line.startswith("  ") and line.strip() and not line.strip().startswith(("-", "campus-agent"))
        assert not explained or has_chinese(ran.out)


def test_english_help_has_no_chinese_left(run: Run, path: tuple[str, ...]) -> None:
    ran = run("--lang", "en", *path, "--help")
    assert ran.code == 0
    assert ran.out.startswith(f"Usage: campus-agent {' '.join(path)}")
    assert not has_chinese(ran.out)
    assert not RAW_KEY.search(ran.out)


def test_every_option_is_explained(run: Run, path: tuple[str, ...]) -> None:
    command: Any = root()
    ctx = command.make_context("campus-agent", ["--lang", "en"], resilient_parsing=True)
    for name in path:
        command = command.get_command(ctx, name)
    for param in command.params:
        assert getattr(param, "hidden", False) or param.help, param.name


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_pages_fit_into_80_columns(run: Run, path: tuple[str, ...], language: str) -> None:
    ran = run("--lang", language, *path, "--help")
    too_wide = [line for line in ran.out.splitlines() if width(line) > 80]
    assert too_wide == []


def test_the_root_page_names_every_command(run: Run) -> None:
    for language in ("zh-CN", "en"):
        page = run("--lang", language, "--help").out
        assert all(re.search(rf"^  {name} ", page, re.MULTILINE) for name in MODULES)
        assert all(width(line) <= 80 for line in page.splitlines())


def test_the_root_page_is_translated(run: Run) -> None:
    assert not any(word in run("--help").out for word in ENGLISH)
    assert not has_chinese(run("--lang", "en", "--help").out)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "用法"),
        ({"LANG": "en_US.UTF-8"}, "Usage"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_CN.UTF-8"}, "用法"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "Usage"),
        ({"LANG": "C.UTF-8"}, "用法"),
        ({"LANG": "de_DE.UTF-8"}, "用法"),
    ],
)
def test_the_locale_chooses_the_language(
    run: Run, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run("--help").out.startswith(expected)


@pytest.mark.parametrize(
    ("words", "position", "expected"),
    [
        ("campus-agent ev", 1, "events"),
        ("campus-agent queue re", 2, "retry"),
        ("campus-agent queue list --l", 3, "--lane"),
    ],
)
def test_a_shell_completes_commands_and_options(words: str, position: int, expected: str) -> None:
    asked = {"_CAMPUS_AGENT_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    done = subprocess.run(
        [sys.executable, "-m", "agent.cli"], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert expected in done.stdout.split(), done
