"""Every value of the example, replaced by every sort of nonsense: settings or problems, and never a secret."""

import copy
import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config.checks import check_general
from agent.config.checks_field import check_field
from agent.config.load import ConfigErrors, load
from agent.config.merge import merge
from agent.config.report import Report
from agent.config.sections import read_sections
from agent.texts import Language

LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
EXAMPLE = Path(__file__).parents[3] / "config" / "agent.toml"
LONGEST = 900
"""Characters that a problem may have: ten lines of a terminal."""
NONSENSE: list[Any] = [
    *("", "\0", "\ud7ff", "x" * 5000, "no", "15s", "1GiB", "..", "Asia", "a/b", "modbus-io", "rs485-1", "panic"),
    *("mqtt://u:hunter2@h", "mqtt://[::1", "socket://h:1", "{file}", "%s"),
    *(0, -1, 10**30, 1.5, float("nan"), float("inf"), True),
    *(datetime.datetime.fromisoformat("2026-11-23T08:00:00+08:00"), datetime.date(2026, 11, 23), datetime.time(8)),
    *([], [[]], [{}], [1, "hunter2"], {}, {"a": {}}, {"file": "/x"}, {"env": "X"}, {"hunter2": "hunter2"}),
]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*path, key)
        yield from places(inner, (*path, key))


PARSED = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))


def document() -> dict[str, Any]:
    return copy.deepcopy(PARSED)


def report(data: dict[str, Any]) -> Report:
    """What the loader does with a document."""
    merged = merge([(Path("agent.toml"), data)])
    found = Report(merged)
    parts = read_sections(merged, found)
    check_general(parts, found)
    check_field(parts, found)
    return found


def is_told_well(found: Report) -> bool:
    for problem in (*found.errors, *found.warnings):
        for language in LANGUAGES:
            said = problem.text.render(language)
            assert len(said) < LONGEST
            assert "\n" not in said
            assert "Input should" not in said
            assert "://u:hunter2" not in said
    return True


@pytest.mark.parametrize("path", list(places(document())), ids=lambda path: ".".join(map(str, path)))
def test_nonsense_in_place_of_a_value_is_told_well(path: tuple[Any, ...]) -> None:
    for nonsense in NONSENSE:
        data: Any = document()
        here = data
        for part in path[:-1]:
            here = here[part]
        here[path[-1]] = copy.deepcopy(nonsense)
        assert is_told_well(report(data))


@pytest.mark.parametrize("path", list(places(document())), ids=lambda path: ".".join(map(str, path)))
def test_a_value_that_is_gone_is_told_well(path: tuple[Any, ...]) -> None:
    data: Any = document()
    here = data
    for part in path[:-1]:
        here = here[part]
    del here[path[-1]]
    assert is_told_well(report(data))


def test_brackets_as_deep_as_toml_can_read_are_told(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    for depth in (50, 100, 200, 400, 1000):
        file.write_text(f"[site]\nname = {'[' * depth}{']' * depth}\n", encoding="utf-8")
        with pytest.raises(ConfigErrors) as caught:
            load(file)
        assert caught.value.problems
