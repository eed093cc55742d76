"""docs/paths.md: every driver of second paths has its section, with an example that loads, and says all its keys."""

import re
from pathlib import Path

import pytest

from agent.config.drivers import find_path_driver, path_driver_names
from agent.config.fields import keys_of
from agent.config.load import load
from drivers.dc09_dialler import CODES, REPORT_S
from tests.unit.test_driver_pages import HEAD

PAGE = (Path(__file__).parents[2] / "docs" / "paths.md").read_text(encoding="utf-8")
SECTION = re.compile(r"^## ([a-z0-9-]+)：.*?(?=^## )", re.MULTILINE | re.DOTALL)
SECTIONS = {match[1]: match[0] for match in SECTION.finditer(PAGE)}
EXAMPLES = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", path_driver_names())
def test_it_has_a_section_with_an_example_and_all_its_keys(name: str) -> None:
    section = SECTIONS[name]
    assert f'driver = "{name}"' in section
    keys = set(re.findall(r"([a-z0-9_]+) *= |`([a-z0-9_]+)`", section))
    named = {plain or quoted for plain, quoted in keys}
    assert set(keys_of(find_path_driver(name))) - named == set()


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_its_examples_are_configurations_that_load_without_a_warning(number: int, tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(HEAD + EXAMPLES[number], encoding="utf-8")
    rules = [str(problem.rule) for problem in load(path).warnings]
    assert [rule for rule in rules if "device" not in rule] == []


def test_the_tables_of_codes_and_categories_are_those_of_the_driver() -> None:
    for kind, (contact_id, sia, _) in CODES.items():
        if kind != "panel-test":
            assert re.search(rf"{kind}[^|]*\| {contact_id} \| {sia} \|", PAGE), kind
    for category in REPORT_S:
        assert f"`{category}`" in PAGE
