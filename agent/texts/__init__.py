"""The catalogue of texts for people, in Chinese and English.

A `Text` is a key with its arguments; it is rendered only where a person reads it, so no module below the rim
knows a language. The catalogue is one TOML file per room beside this module: the part of a key before its first
dot names the file, the rest names the table in it, and each table has one string per language, in `str.format`
syntax.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final, Literal

Language = Literal["zh-CN", "en"]
DEFAULT_LANGUAGE: Final[Language] = "zh-CN"


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence of the catalogue. An argument may itself be a `Text`, or an error that has one."""

    key: str
    args: Mapping[str, object] = field(default_factory=dict)

    def render(self, language: Language) -> str:
        """Return the sentence in `language`; raise KeyError if the catalogue lacks it (a test looks for that)."""
        values = {name: rendered(value, language) for name, value in self.args.items()}
        return template(self.key)[language].format_map(values)

    def __str__(self) -> str:
        return self.render("en")


def say(key: str, /, **args: object) -> Text:
    """Name a sentence of the catalogue: `say("bus.port-lost", port="/dev/ttyUSB0")`."""
    return Text(key, args)


class Spoken(Exception):
    """An error with a text for people; `str()` gives it in English, `text.render(language)` in theirs."""

    def __init__(self, text: Text) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return str(self.text)


def rendered(value: object, language: Language) -> object:
    """Put an argument into the reader's language if it has one."""
    if isinstance(value, Spoken):
        value = value.text
    return value.render(language) if isinstance(value, Text) else value


def template(key: str) -> Mapping[Language, str]:
    """Return the templates of one key by language."""
    room, _, name = key.partition(".")
    return room_texts(room)[name]


@cache
def room_texts(room: str) -> Mapping[str, Mapping[Language, str]]:
    """Read one file of the catalogue: `{"port-lost": {"zh-CN": "...", "en": "..."}}`."""
    return tomllib.loads((files(__name__) / f"{room}.toml").read_text(encoding="utf-8"))


def rooms() -> tuple[str, ...]:
    """Name every file of the catalogue."""
    return tuple(sorted(f.name.removesuffix(".toml") for f in files(__name__).iterdir() if f.name.endswith(".toml")))


def pick_language(*candidates: str | None) -> Language:
    """Take the first candidate that names a language (`zh_CN.UTF-8`, `en`, ...); Chinese if none does."""
    for candidate in candidates:
        if candidate and candidate.lower().startswith("zh"):
            return "zh-CN"
        if candidate and candidate.lower().startswith("en"):
            return "en"
    return DEFAULT_LANGUAGE
