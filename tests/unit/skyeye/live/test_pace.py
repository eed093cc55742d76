"""Who is too slow."""

from agent.clock import NS_PER_S
from agent.skyeye.live.pace import Pace


def test_a_quick_viewer_gets_everything() -> None:
    pace = Pace(high_bytes=100, low_bytes=10)
    assert [pace.turn(waiting, keyframe=False, now_ns=0) for waiting in (0, 50, 100)] == ["send"] * 3


def test_a_slow_one_goes_on_at_a_keyframe_when_it_has_caught_up() -> None:
    pace = Pace(high_bytes=100, low_bytes=10, cut_s=15)
    assert pace.turn(101, keyframe=False, now_ns=0) == "skip"
    assert pace.turn(50, keyframe=True, now_ns=1) == "skip"
    assert pace.turn(5, keyframe=False, now_ns=2) == "skip"
    assert pace.turn(5, keyframe=True, now_ns=3) == "send"
    assert pace.turn(90, keyframe=False, now_ns=4) == "send"


def test_one_that_takes_nothing_is_cut() -> None:
    pace = Pace(high_bytes=100, low_bytes=10, cut_s=15)
    assert pace.turn(200, keyframe=True, now_ns=0) == "skip"
    assert pace.turn(200, keyframe=True, now_ns=15 * NS_PER_S) == "skip"
    assert pace.turn(200, keyframe=True, now_ns=15 * NS_PER_S + 1) == "cut"


def test_one_that_waits_for_a_late_keyframe_is_not_cut() -> None:
    pace = Pace(high_bytes=100, low_bytes=10, cut_s=15)
    assert pace.turn(200, keyframe=False, now_ns=0) == "skip"
    assert pace.turn(0, keyframe=False, now_ns=60 * NS_PER_S) == "skip"
    assert pace.turn(0, keyframe=True, now_ns=61 * NS_PER_S) == "send"
