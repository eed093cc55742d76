"""docs/troubleshooting.md: its titles are the beginnings of the literal messages, in both languages.

A text that needs a section says so in the catalogue, by a comment beside the name of its table: `[busy]  # help`.
Every fault that the agent knows needs one anyway.
"""

import re
from pathlib import Path

import pytest

from agent.kinds import FAULTS
from agent.texts import Language, room_texts, rooms, template

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^### (?P<zh>.+) / (?P<en>.+)\n<!-- (?P<key>[a-z0-9]+\.[a-z0-9-]+) -->$", re.MULTILINE)
MARKED = re.compile(r"^\[\"?([a-z0-9-]+)\"?\][ \t]+# help$", re.MULTILINE)
ENDS: dict[Language, tuple[str, ...]] = {"zh-CN": ("：", "。", "；"), "en": (": ", ". ", "; ")}
SHORTEST = 4


def head(key: str, language: Language) -> str:
    """The beginning of a message, up to its first stop: `…` for what is filled in, without what is in brackets."""
    text = re.sub(r"\{[^{}]*\}", "…", template(key)[language].replace("{{", "(").replace("}}", ")"))
    text = re.sub(r"（[^（）]*）| ?\([^()]*\)", "", text)
    stops = [match.start() for end in ENDS[language] for match in re.finditer(re.escape(end), text)]
    far = [stop for stop in stops if len(re.sub(r"[…\s]", "", text[:stop])) >= SHORTEST]
    return text[: min(far, default=len(text))].rstrip(" .。").replace("\n", " ")


def marked() -> list[str]:
    found = []
    for room in rooms():
        text = (ROOT / "agent" / "texts" / f"{room}.toml").read_text(encoding="utf-8")
        found += [f"{room}.{name}" for name in MARKED.findall(text)]
    return found


NEEDED = sorted({*marked(), *(f"kinds.{name}" for name in FAULTS)})
SECTIONS = {match["key"]: match for match in SECTION.finditer(PAGE)}


@pytest.mark.parametrize("key", NEEDED)
def test_a_text_that_needs_help_has_its_section(key: str) -> None:
    assert key in SECTIONS


@pytest.mark.parametrize("key", sorted(SECTIONS))
def test_a_title_is_the_literal_message(key: str) -> None:
    room, _, name = key.partition(".")
    assert name in room_texts(room), "the message is gone from the catalogue"
    assert (SECTIONS[key]["zh"], SECTIONS[key]["en"]) == (head(key, "zh-CN"), head(key, "en"))


def test_every_title_names_its_message() -> None:
    assert len(re.findall(r"^### ", PAGE, re.MULTILINE)) == len(SECTIONS)


def test_every_section_says_something_in_both_languages() -> None:
    """Several titles in a row share what stands below the last of them."""
    ends = [match.end() for match in SECTION.finditer(PAGE)]
    for end in ends:
        body = re.split(r"^#", PAGE[end:], maxsplit=1, flags=re.MULTILINE)[0].strip()
        if body or "###" not in PAGE[end:].lstrip()[:3]:
            assert re.search(r"[\u4e00-\u9fff]", body), body
            assert re.search(r"^[\"A-Z][^\u4e00-\u9fff]+$", body, re.MULTILINE), body


def test_there_is_something_to_help_with() -> None:
    assert len(marked()) > 40
