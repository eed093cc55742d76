"""Conditions in words: each subject has its sentence in both languages, and a label that is a name."""

from typing import Any

import pytest

from agent.rules.words import describe, label
from tests.unit.rules.story import rule

CASES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"point": "lab/door"}, "lab/door", "lab/door 接通（触发）", "lab/door is on"),
    (
        {"point": "lab/x", "state": "alarm", "for": "2m"},
        "lab/x",
        "lab/x 有未复位的报警，持续 2m",
        "lab/x is in alarm, for 2m",
    ),
    ({"fault": "offline"}, "offline", "存在故障：设备离线", "the fault stands: device offline"),
    (
        {"fault": "offline", "device": "lab"},
        "offline",
        "lab 存在故障：设备离线",
        "the fault of lab stands: device offline",
    ),
    ({"measure": "lab/gas", "above": 10.0}, "lab/gas", "lab/gas 高于 10", "lab/gas above 10"),
    ({"measure": "lab/gas", "below": 2.5}, "lab/gas", "lab/gas 低于 2.5", "lab/gas below 2.5"),
    ({"measure": "lab/t", "rise": 5.0}, "lab/t", "lab/t 在 1m 内上升 5", "lab/t rises by 5 within 1m"),
    (
        {"measure": "lab/t", "fall": 5.0, "within": "10s"},
        "lab/t",
        "lab/t 在 10s 内下降 5",
        "lab/t falls by 5 within 10s",
    ),
    (
        {"events": {"type": "campus.access.*", "device": "gate", "at_least": 3, "within": "1m", "distinct": "card"}},
        "events campus.access.* gate",
        "campus.access.* gate：1m 内至少 3 次（按 card 去重）",
        "campus.access.* gate: at least 3 within 1m, counted by card",
    ),
    (
        {"absent": {"kind": "guard-tour", "for": "2h"}},
        "absent guard-tour",
        "巡更打卡：2h 没有发生",
        "guard tour tag: none for 2h",
    ),
    (
        {"sequence": {"steps": [{"kind": "perimeter"}, {"point": "hall/door"}], "within": "1m"}},
        "sequence",
        "先后发生：perimeter → hall/door，1m 内",
        "one after the other: perimeter → hall/door, within 1m",
    ),
    (
        {"when": {"days": ["mon"], "times": ["22:00-06:00"]}},
        "when",
        "在时间范围内：mon 22:00-06:00",
        "within the window mon 22:00-06:00",
    ),
    ({"not": {"point": "lab/door"}}, "not", "以下不满足", "not this"),
]


@pytest.mark.parametrize(("condition", "name", "chinese", "english"), CASES, ids=lambda value: str(value)[:30])
def test_a_condition_says_what_it_is(condition: dict[str, Any], name: str, chinese: str, english: str) -> None:
    settings = rule(condition).condition
    assert label(settings) == name
    assert describe(settings).render("zh-CN") == chinese
    assert describe(settings).render("en") == english
