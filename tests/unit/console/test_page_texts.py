"""The page says nothing that the catalogue does not have, and the catalogue nothing that the page does not say."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from agent.console.app import STATIC
from agent.console.words import own_names, page_texts
from agent.texts import Language

FOLDER = Path(str(files("agent.console") / "static"))
SCRIPTS = "\n".join(file.read_text(encoding="utf-8") for file in sorted(FOLDER.glob("*.js")))
PAGE = (FOLDER / "index.html").read_text(encoding="utf-8")
KEYS = set(page_texts("en")["page"])
FAMILIES = ("state-", "sum-", "alarm-")
"""Put together from a value."""
BY_VALUE = {"live", "stills"}
CHINESE = re.compile("[\u4e00-\u9fff]")


def said() -> set[str]:
    in_scripts = re.findall(r'\bsay\("([a-z-]+)"', SCRIPTS)
    in_page = re.findall(r'data-(?:say|label|placeholder)="([a-z-]+)"', PAGE)
    return {*in_scripts, *in_page, *BY_VALUE}


def test_every_text_that_the_page_says_exists() -> None:
    assert said() <= KEYS


def test_no_text_is_left_over() -> None:
    unused = {key for key in KEYS - said() if not key.startswith(FAMILIES)}
    assert unused == {"own-name"}


def test_the_page_has_no_sentence_of_its_own() -> None:
    assert not CHINESE.search(PAGE + SCRIPTS)
    shown = re.sub(r"<[^>]*>", "", PAGE.split("<body>")[1])
    assert not re.search("[A-Za-z]{3,}", shown)


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_state_and_fault_has_its_word(language: Language) -> None:
    texts = page_texts(language)
    for state in ("ok", "fault", "offline", "unknown"):
        assert texts["page"][f"state-{state}"]
        assert "{count}" in texts["page"][f"sum-{state}"]
    assert texts["faults"]["picture-blurred"]
    assert texts["kinds"]["panic"]
    assert set(own_names()) == {"zh-CN", "en"}


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    assert not re.search(r"<script(?![^>]*\bsrc=)", PAGE)
    assert not re.search(r"\s(on\w+|style)=", PAGE)
    css = (FOLDER / "wall.css").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//[a-z]", re.sub(r"http://www\.w3\.org/\S*", "", PAGE + css))
    assert {file.name for file in FOLDER.iterdir()} == {*STATIC, "index.html"}
