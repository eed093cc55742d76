"""The gate before a camera's login."""

from datetime import UTC, datetime

import pytest

from agent.camera import LoginRefused
from agent.clock import SimClock
from agent.skyeye.login import COOL_OFF_S, TRIES, Gate


@pytest.fixture
def clock() -> SimClock:
    return SimClock(datetime(2026, 11, 24, 8, tzinfo=UTC))


def test_it_is_open_until_two_logins_in_a_row_were_refused(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(TRIES - 1):
        gate.refused()
        gate.check()
    gate.refused()
    with pytest.raises(LoginRefused) as caught:
        gate.check()
    assert "30" in str(caught.value)
    assert gate.closed_for_s == COOL_OFF_S


def test_a_login_that_is_accepted_begins_the_count_anew(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(10):
        gate.refused()
        gate.accepted()
    gate.check()
    assert gate.closed_for_s == 0


def test_after_the_cool_off_one_try_is_allowed_and_a_refusal_closes_it_again(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(TRIES):
        gate.refused()
    clock.tick(COOL_OFF_S - 1)
    with pytest.raises(LoginRefused):
        gate.check()
    clock.tick(1)
    gate.check()
    gate.refused()
    with pytest.raises(LoginRefused):
        gate.check()


def test_a_step_of_the_wall_clock_does_not_open_it(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(TRIES):
        gate.refused()
    clock.set_wall(datetime(2027, 1, 1, tzinfo=UTC))
    with pytest.raises(LoginRefused):
        gate.check()
