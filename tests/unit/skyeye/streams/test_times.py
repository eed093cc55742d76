"""Timestamps run forward whatever comes."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import NS_PER_S
from agent.skyeye.streams.times import LARGEST_LEAD_S, Forward

BASE = (1, 90_000)
FRAME = 3600
FRAME_NS = NS_PER_S // 25
STAMP = st.none() | st.integers(-(2**63), 2**63 - 1)


def run(stamps: list[int | None], forward: Forward | None = None) -> list[int]:
    forward = forward or Forward(BASE)
    return [forward.repair(stamp, stamp, n * FRAME_NS)[1] for n, stamp in enumerate(stamps)]


def test_good_times_are_kept() -> None:
    forward = Forward(BASE)
    out = run([1000 + n * FRAME for n in range(10)], forward)
    assert [b - a for a, b in itertools.pairwise(out)] == [FRAME] * 9
    assert forward.bad == 0


def test_a_jump_a_repeat_and_a_step_back_become_the_time_that_passed() -> None:
    forward = Forward(BASE)
    hour = 3600 * 90_000
    out = run([0, FRAME, FRAME + hour, 2 * FRAME + hour, 2 * FRAME + hour, 0, FRAME], forward)
    assert [b - a for a, b in itertools.pairwise(out)] == [FRAME] * 6
    assert forward.bad == 3


def test_a_new_connection_goes_on_where_the_last_one_ended() -> None:
    forward = Forward(BASE)
    run([0, FRAME], forward)
    forward.restart()
    assert forward.repair(5, 5, 4 * NS_PER_S)[1] == FRAME + round((4 - 0.04) * 90_000)
    assert forward.bad == 0


def test_reordered_pictures_keep_their_order() -> None:
    forward = Forward(BASE)
    shown = [0, 3, 1, 2, 6, 4, 5]
    out = [forward.repair((1 + s) * FRAME, n * FRAME, n * FRAME_NS) for n, s in enumerate(shown)]
    assert [dts for _, dts in out] == [n * FRAME for n in range(7)]
    assert sorted(range(7), key=lambda n: out[n][0]) == sorted(range(7), key=lambda n: shown[n])
    assert forward.bad == 0


def test_reordered_pictures_without_decoding_times_are_no_fault() -> None:
    forward = Forward(BASE)
    for n, s in enumerate([0, 3, 1, 2, 6, 4, 5]):
        forward.repair(s * FRAME, None, n * FRAME_NS)
    assert forward.bad == 0


@given(
    st.lists(st.tuples(STAMP, STAMP, st.integers(-NS_PER_S, 3600 * NS_PER_S))), st.sampled_from([BASE, (1, 1), (0, 0)])
)
def test_decoding_times_rise_and_nothing_is_shown_before_it_is_decoded(
    stamps: list[tuple[int | None, int | None, int]], base: tuple[int, int]
) -> None:
    forward, now, last = Forward(base), 0, -1
    for pts, dts, passed in stamps:
        now += passed
        shown, decoded = forward.repair(pts, dts, now)
        assert decoded > last
        assert 0 <= shown - decoded <= LARGEST_LEAD_S * 90_000
        last = decoded
