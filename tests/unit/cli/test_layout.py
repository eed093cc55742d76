"""Text in columns, Chinese counted twice."""

from hypothesis import given
from hypothesis import strategies as st

from agent.cli.layout import NEVER_FIRST, definitions, pad, width, wrap

words = st.text(st.sampled_from("ab é门卫室报警，。（）0123/ -"), max_size=120)


def test_a_chinese_character_takes_two_columns() -> None:
    assert width("门卫室 A1") == 9
    assert pad("门", 4) == "门  "


@given(words, st.integers(10, 60))
def test_wrapping_loses_nothing_but_spaces(text: str, columns: int) -> None:
    assert "".join("".join(wrap(text, columns)).split()) == "".join(text.split())


@given(st.text(st.sampled_from("门卫室报警ab "), max_size=200), st.integers(10, 60))
def test_lines_stay_within_the_columns(text: str, columns: int) -> None:
    assert all(width(line) <= columns or (" " not in line.strip() and line.isascii()) for line in wrap(text, columns))


def test_punctuation_never_begins_a_line() -> None:
    lines = wrap("报警，故障。事件、回执；" * 12, 21)
    assert not any(line[0] in NEVER_FIRST for line in lines)


def test_an_opening_bracket_never_ends_a_line() -> None:
    for columns in range(8, 30):
        assert not any(line.endswith("（") for line in wrap("默认值（见说明）与其他（见下文）", columns))


def test_a_path_stays_whole() -> None:
    path = "/var/lib/campus-agent/a-very-long-directory-name/journal.db"
    assert path in wrap(f"日志 {path} 无法写入", 20)


def test_definitions_stand_in_columns() -> None:
    lines = definitions([("--json", "输出 JSON"), ("--help", "显示本帮助")], 40)
    assert lines == ["  --json  输出 JSON", "  --help  显示本帮助"]


def test_a_long_term_has_its_own_line() -> None:
    lines = definitions([("x" * 12, "long"), ("y", "short")], 40, term_limit=8)
    assert lines == ["  " + "x" * 12, "            long", "  y         short"]
