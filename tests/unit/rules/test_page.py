"""docs/rules.md: its examples load, in a school that has what they name, and ring as the page says (golden cases)."""

import re
import tomllib
from pathlib import Path

from agent.config.load import load

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")
SCHOOL = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[uplink]
brokers = ["mqtts://mq1.example.cn"]
[[bus]]
id = "line"
port = "/dev/null"
[[device]]
id = "canteen"
name = "食堂"
driver = "modbus-io"
bus = "line"
unit = 1
outputs = 8
  [[device.point]]
  id = "fan"
  name = "风机"
  kind = "input"
  input = 0
  [[device.point]]
  id = "gas"
  name = "燃气"
  kind = "gas"
  input = 1
[[device]]
id = "lab"
name = "实验楼"
driver = "modbus-io"
bus = "line"
unit = 2
  [[device.point]]
  id = "store-door"
  name = "危化品室"
  kind = "door"
  input = 0
[[device]]
id = "gate"
name = "校门"
driver = "modbus-io"
bus = "line"
unit = 3
  [[device.point]]
  id = "reader"
  name = "读卡器"
  kind = "door-denied"
  input = 0
[[camera]]
id = "canteen-camera"
name = "食堂"
driver = "rtsp"
address = "192.168.1.64"
path = "/1"
"""


def examples() -> list[str]:
    return re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_examples_load_without_a_warning_of_theirs(tmp_path: Path) -> None:
    path = tmp_path / "agent.toml"
    path.write_text(SCHOOL + "\n".join(examples()), encoding="utf-8")
    config = load(path)
    assert [one for one in config.warnings if one.key.startswith("rule")] == []
    assert len(config.rules) == 4


def test_they_are_those_that_the_golden_cases_play() -> None:
    ids = {tomllib.loads(text)["rule"][0]["id"] for text in examples()}
    assert ids == {"gas-and-fan", "store-outside-hours", "denied-cards", "no-guard-tour"}
