"""What a `ptz` command may ask for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import Move
from agent.model import JsonValue
from agent.skyeye.ptz import BadPtz, Ptz, parse_ptz


@pytest.mark.parametrize(
    ("args", "wish"),
    [
        ({"move": {"pan": -0.5}}, Ptz("move", Move(pan=-0.5))),
        ({"move": {"tilt": 1, "zoom": 0.2, "seconds": 2}}, Ptz("move", Move(0, 1, 0.2, 2))),
        ({"stop": True, "goto": None}, Ptz("stop")),
        ({"goto": "大门"}, Ptz("goto", preset="大门")),
        ({"save": "1"}, Ptz("save", preset="1")),
        ({"list": True}, Ptz("list")),
    ],
)
def test_one_act_at_a_time(args: dict[str, JsonValue], wish: Ptz) -> None:
    assert parse_ptz(args) == wish


@pytest.mark.parametrize(
    "args",
    [
        {},
        {"stop": True, "list": True},
        {"move": {}},
        {"move": {"pan": 2}},
        {"move": {"pan": True}},
        {"move": {"pan": 0.1, "seconds": 3600}},
        {"move": {"pan": float("nan")}},
        {"move": "left"},
        {"goto": ""},
        {"goto": "x" * 65},
        {"save": 3},
    ],
)
def test_anything_else_is_refused_with_what_was_expected(args: dict[str, JsonValue]) -> None:
    with pytest.raises(BadPtz) as caught:
        parse_ptz(args)
    assert caught.value.text.render("zh-CN")


@given(
    st.dictionaries(
        st.sampled_from(["move", "stop", "goto", "save", "list"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70),
            lambda inner: st.dictionaries(st.sampled_from(["pan", "tilt", "zoom", "seconds"]), inner, max_size=4),
        ),
    )
)
def test_any_json_is_an_act_or_refused(args: dict[str, JsonValue]) -> None:
    try:
        wish = parse_ptz(args)
    except BadPtz:
        return
    assert all(-1 <= speed <= 1 for speed in (wish.move.pan, wish.move.tilt, wish.move.zoom))
    assert 0 <= wish.move.seconds <= 10
