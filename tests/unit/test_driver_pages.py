"""docs/drivers: every driver of devices has a page with its wiring, settings, an example that loads, and its faults."""

import re
from pathlib import Path

import pytest

from agent.config.drivers import driver_names
from agent.config.load import load

FOLDER = Path(__file__).parents[2] / "docs" / "drivers"
SECTIONS = ("## 接线", "## 设置", "## 示例", "## 故障", "## English")
HEAD = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"

[uplink]
brokers = ["mqtts://mq1.example.cn:8883"]
"""


def page(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", driver_names())
def test_it_has_a_page_that_says_what_a_technician_needs(name: str) -> None:
    text = page(name)
    places = [text.find(section) for section in SECTIONS]
    assert min(places) >= 0
    assert places == sorted(places)


@pytest.mark.parametrize("name", driver_names())
def test_its_examples_are_configurations_that_load_without_a_warning(name: str, tmp_path: Path) -> None:
    examples = re.findall(r"^```toml\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    assert f'driver = "{name}"' in examples[0]
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(HEAD + example, encoding="utf-8")
        assert [str(problem.rule) for problem in load(path).warnings] == []


@pytest.mark.parametrize("name", driver_names())
def test_the_list_of_pages_has_it(name: str) -> None:
    assert f"({name}.md)" in page("README")
