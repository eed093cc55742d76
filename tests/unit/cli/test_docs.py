"""docs/commands.md names every command and every option of it."""

import re
from pathlib import Path
from typing import Any

import pytest

from agent.cli.app import root
from tests.unit.cli.test_help import paths

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text(encoding="utf-8")


def section(path: tuple[str, ...]) -> str:
    """The Chinese section of a command."""
    match = re.search(rf"^### `campus-agent {' '.join(path)}`\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def leaves() -> list[tuple[str, ...]]:
    """The commands that do something: not those that only group others."""
    found = paths()
    return [path for path in found if not any(other[: len(path)] == path and other != path for other in found)]


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_a_command_has_its_section_and_its_place_in_the_english_table(path: tuple[str, ...]) -> None:
    assert section(path).strip()
    english = PAGE.partition("## English")[2]
    assert re.search(rf"`{' '.join(path)}[ `]", english)


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_every_option_is_mentioned(path: tuple[str, ...]) -> None:
    command: Any = root()
    for name in path:
        command = command.get_command(None, name)
    text = section(path)
    options = [max(param.opts, key=len) for param in command.params if param.param_type_name == "option"]
    assert [option for option in options if option not in text and not param_of(command, option).hidden] == []


def param_of(command: Any, option: str) -> Any:
    return next(param for param in command.params if option in param.opts)


def test_exit_codes_are_told_for_every_command_that_finds_problems() -> None:
    for path in leaves():
        if path[0] in {"status", "doctor", "events", "queue", "test", "check-config", "support-bundle", "run"}:
            assert "退出码" in section(path), path


def test_no_section_is_about_a_command_that_is_not_there() -> None:
    known = {" ".join(path) for path in leaves()}
    assert set(re.findall(r"^### `campus-agent ([a-z -]+)`$", PAGE, re.MULTILINE)) <= known
