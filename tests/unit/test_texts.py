"""The catalogue is complete: every key that the code names exists, in both languages, with the same fields."""

import ast
import string
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from agent.texts import Language, room_texts, rooms

ROOT = Path(__file__).parents[2]
SOURCES = [*sorted((ROOT / "agent").rglob("*.py")), *sorted((ROOT / "drivers").rglob("*.py"))]
LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")

# Families of keys that are put together from a value (`word("state", ...)`, `say(f"kinds.{name}")`): the code
# that does so is named here, so that an orphan does not hide behind a wildcard.
FAMILIES = {
    "cli.about-*": "agent/cli/help.py",
    "cli.unit-*": "agent/cli/words.py",
    "cli.type-*": "agent/cli/words.py",
    "cli.state-*": "agent/cli/status.py",
    "cli.lane-*": "agent/cli/status.py",
    "cli.store-*": "agent/cli/status.py",
    "cli.label-*": "agent/cli/status.py",
    "runtime.store-*": "agent/runtime/core.py",
    "cli.button-*": "agent/cli/test.py",
    "cli.mark-*": "agent/cli/events.py",
    "cli.proof-*": "agent/cli/events.py",
    "cli.rule-*": "agent/cli/rules.py",
    "cli.then-*": "agent/cli/rules.py",
    "contactid.code-*": "drivers/_contact_id.py",
}


def keys() -> list[str]:
    return [f"{room}.{name}" for room in rooms() for name in room_texts(room)]


def strings(path: Path) -> Iterator[str]:
    """Every string of a module that may name a key; of an f-string the pattern that it makes."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values]
            if "." in parts[0]:
                yield "".join(parts)


def said(path: Path) -> Iterator[tuple[int, str]]:
    """Every key that a module gives to `say`, `env.say` or `help=` as a plain string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        explained = node.keywords if name != "add_argument" else []  # argparse: for developers, in English
        candidates = [keyword.value for keyword in explained if keyword.arg in {"help", "help_key"}]
        if name == "say" and node.args:
            candidates.append(node.args[0])
        for value in candidates:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield node.lineno, value.value


def test_every_key_that_the_code_says_exists() -> None:
    known = set(keys())
    missing = [
        f"{path.relative_to(ROOT)}:{line}: {key}" for path in SOURCES for line, key in said(path) if key not in known
    ]
    assert missing == []


@pytest.mark.parametrize("key", keys())
def test_every_entry_has_both_languages_with_the_same_fields(key: str) -> None:
    room, _, name = key.partition(".")
    entry = room_texts(room)[name]
    assert set(entry) == set(LANGUAGES)
    fields = {
        language: {field for _, field, _, _ in string.Formatter().parse(entry[language])} for language in LANGUAGES
    }
    named = {language: {f.split(".")[0].split("[")[0] for f in found if f} for language, found in fields.items()}
    assert named["zh-CN"] == named["en"]


def test_no_key_is_left_over() -> None:
    patterns = {text for path in SOURCES for text in strings(path) if "." in text}
    families = [family for family, module in FAMILIES.items() if (ROOT / module).exists()]
    exact = {text for text in patterns if "*" not in text}
    wild = [text for text in patterns if "*" in text and not text.startswith("*")] + families
    unused = [key for key in keys() if key not in exact and not any(fnmatchcase(key, w) for w in wild)]
    assert unused == []


@pytest.mark.parametrize("key", keys())
def test_chinese_is_chinese_and_english_has_none(key: str) -> None:
    room, _, name = key.partition(".")
    entry = room_texts(room)[name]
    assert not any("\u4e00" <= character <= "\u9fff" for character in entry["en"])
    letters = [c for c in entry["zh-CN"] if c.isalpha()]
    if len([c for c in entry["en"] if c.isalpha()]) > 40:  # longer than a name, an acronym or a pattern
        assert any("\u4e00" <= character <= "\u9fff" for character in letters)
