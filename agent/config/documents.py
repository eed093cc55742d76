"""Read TOML files: the main one, and `conf.d/*.toml` beside it. Every reason why a file cannot be read at once."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from agent.config.problems import Problem
from agent.secrets import os_reason
from agent.texts import Text, say

FILE_MAX_BYTES: Final = 4 << 20
"""A school's configuration has some ten KiB; a mistaken path to a journal or an image is refused, not read."""
CONF_D: Final = "conf.d"

_PLACE: Final = re.compile(r"\(at (?:line (\d+), column (\d+)|end of document)\)$")
_REASONS: Final[Mapping[str, str]] = {
    "Invalid statement": "statement",
    "Expected newline or end of document after a statement": "one-per-line",
    "Found invalid character": "character",
    "Illegal character": "character",
    "Cannot declare": "twice",
    "Cannot overwrite a value": "twice",
    "Cannot mutate immutable namespace": "twice",
    "Cannot redefine namespace": "twice",
    "Duplicate inline table key": "twice",
    "Expected ']'": "table-end",
    "Expected ']]'": "table-end",
    "Expected '='": "equals",
    "Invalid initial character for a key part": "key",
    "Unclosed array": "array-end",
    "Unclosed inline table": "inline-end",
    "Unescaped '\\'": "escape",
    "Invalid hex value": "escape",
    "Escaped character is not": "escape",
    "Unterminated string": "string-end",
    "Expected '\"": "string-end",
    "Expected \"'": "string-end",
    "Invalid date or datetime": "value",
    "Invalid value": "value",
}
"""How tomllib's messages begin -> our text. What it does not cover gets a general one; a test holds it against
every message in tomllib's source."""


def read_all(main: Path) -> tuple[list[tuple[Path, dict[str, Any]]], list[Problem]]:
    """Return the documents that could be read, the main one first, and the problems of those that could not."""
    documents: list[tuple[Path, dict[str, Any]]] = []
    files, problems = _files(main)
    for file in files:
        found = read(file)
        if isinstance(found, Problem):
            problems.append(found)
        else:
            documents.append((file, found))
    return documents, problems


def _files(main: Path) -> tuple[list[Path], list[Problem]]:
    folder = main.parent / CONF_D
    try:
        names = [file for file in folder.iterdir() if file.suffix == ".toml" and not file.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return [main], []
    except OSError as error:
        return [main], [_unreadable(folder, error)]
    return [main, *sorted(names, key=lambda file: file.name)], []


def read(file: Path) -> dict[str, Any] | Problem:
    """Read one file."""
    try:
        with file.open("rb") as handle:
            raw = handle.read(FILE_MAX_BYTES + 1)
    except FileNotFoundError:
        return Problem(file, "", say("config.file-exists"), remedy=say("config.file-create"))
    except OSError as error:
        return _unreadable(file, error)
    if len(raw) > FILE_MAX_BYTES:
        found = say("config.file-larger", limit=FILE_MAX_BYTES)
        return Problem(file, "", say("config.file-is-toml"), found, say("config.file-check-path"))
    return parse(file, raw)


def _unreadable(file: Path, error: OSError) -> Problem:
    return Problem(file, "", say("config.file-readable"), os_reason(error), say("config.file-check-rights"))


def parse(file: Path, raw: bytes) -> dict[str, Any] | Problem:
    """Parse the bytes of one file; never raises."""
    try:
        text = raw.decode("utf-8-sig")  # some editors put a mark before the first character
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = say("config.file-not-utf8", line=line)
        return Problem(file, "", say("config.file-utf8"), found, say("config.file-save-utf8"))
    try:
        return tomllib.loads(text)
    except RecursionError:
        return Problem(file, "", say("config.file-is-toml"), say("config.toml-too-deep"), say("config.toml-flatten"))
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        return _syntax_problem(file, text, str(error))


def _syntax_problem(file: Path, text: str, message: str) -> Problem:
    """What tomllib says, with line and column. The line itself is not shown: it may hold a secret."""
    place = _PLACE.search(message)
    lines = text.split("\n")
    if place and place[1]:
        line, column = int(place[1]), int(place[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    rule: Text = say("config.toml-valid")
    for beginning, key in _REASONS.items():
        if message.startswith(beginning):
            rule = say(f"config.toml-{key}")
    where = say("config.toml-end" if place and not place[1] else "config.toml-place", line=line, column=column)
    known = place is not None
    return Problem(file, "", rule, where if known else say("config.toml-no-place"), say("config.toml-fix"))
