"""The table of kinds: its rules, its words, and the page that shows it."""

import re
from pathlib import Path

import pytest

from agent.kinds import FAULTS, KINDS, LOWEST_PRIORITY
from agent.model import Lane
from agent.texts import room_texts

PAGE = Path(__file__).parents[3] / "docs" / "alarms.md"
CLASSES = {"alarm": "报警", "fault": "故障", "status": "状态"}
YES_NO = {True: "是", False: "否"}


@pytest.mark.parametrize("name", ["panic", "duress"])
def test_panic_and_duress_cannot_be_disarmed_and_latch(name: str) -> None:
    kind = KINDS[name]
    assert (kind.class_, kind.lane, kind.priority) == ("alarm", Lane.ALARM, 1)
    assert kind.latch
    assert not kind.can_disarm


def test_only_duress_is_silent() -> None:
    assert [kind.name for kind in KINDS.values() if kind.silent] == ["duress"]


def test_rows_make_sense() -> None:
    for table in (KINDS, FAULTS):
        for name, kind in table.items():
            assert kind.name == name
            assert 1 <= kind.priority <= LOWEST_PRIORITY
            assert (kind.events is not None) == (kind.class_ == "status")
            assert kind.class_ == "alarm" or not (kind.latch or kind.silent or kind.button)
    assert all(kind.class_ == "fault" for kind in FAULTS.values())
    assert all(name in FAULTS for name, kind in KINDS.items() if kind.class_ == "fault")


def test_every_kind_and_fault_has_its_name_in_both_languages() -> None:
    assert room_texts("kinds").keys() == KINDS.keys() | FAULTS.keys()
    for kind in (*KINDS.values(), *FAULTS.values()):
        assert kind.text.render("zh-CN")
        assert kind.text.render("en")


def test_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        KINDS["panic"] = KINDS["door"]  # type: ignore[index]  # that is the point


def test_the_page_shows_the_table() -> None:
    rows = [
        f"| `{kind.name}` | {kind.text.render('zh-CN')} | {kind.text.render('en')} | {CLASSES[kind.class_]} "
        f"| {kind.priority} | {YES_NO[kind.latch]} | {YES_NO[kind.can_disarm]} |"
        for kind in KINDS.values()
    ]
    table = "\n".join(
        ["| `kind` | 名称 | name | 类别 | 优先级 | 锁存 | 可撤防 |", "|---|---|---|---|---|---|---|", *rows]
    )
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/alarms.md should have:\n{table}"


def test_the_page_names_every_fault() -> None:
    named = set(re.findall(r"`([a-z-]+)`", PAGE.read_text(encoding="utf-8")))
    assert FAULTS.keys() <= named
