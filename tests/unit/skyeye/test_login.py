"""The gate before a camera's login."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.camera import Door, LoginRefused
from agent.clock import SimClock, settle
from agent.skyeye.login import ANSWER_S, COOL_OFF_S, TRIES, Gate


@pytest.fixture
def clock() -> SimClock:
    return SimClock(datetime(2026, 11, 24, 8, tzinfo=UTC))


async def refuse(gate: Gate, door: Door = "http") -> None:
    async with gate.trying(door) as login:
        login.refused()


async def accept(gate: Gate, door: Door = "http") -> None:
    async with gate.trying(door) as login:
        login.accepted()


def closed(gate: Gate, door: Door = "http") -> bool:
    try:
        gate.check(door)
    except LoginRefused:
        return True
    return False


async def test_it_is_open_until_two_logins_in_a_row_were_refused(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(TRIES - 1):
        await refuse(gate)
        gate.check("http")
    await refuse(gate)
    with pytest.raises(LoginRefused) as caught:
        gate.check("http")
    assert "30" in str(caught.value)
    assert gate.closed_for_s == COOL_OFF_S
    with pytest.raises(LoginRefused):
        await accept(gate)


async def test_a_login_that_is_accepted_begins_the_count_anew(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(10):
        await refuse(gate)
        await accept(gate)
    gate.check("http")
    assert gate.closed_for_s == 0


async def test_a_login_without_an_answer_counts_for_nothing(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(10):
        async with gate.trying("http"):
            pass
    gate.check("http")


async def test_after_the_cool_off_one_try_is_allowed_and_a_refusal_closes_it_again(clock: SimClock) -> None:
    gate = Gate(clock)
    await refuse(gate)
    await refuse(gate, "rtsp")
    clock.tick(COOL_OFF_S - 1)
    assert closed(gate, "rtsp")
    clock.tick(1)
    async with gate.trying("rtsp") as login:
        second = asyncio.create_task(refuse(gate))
        await settle()
        assert not second.done()
        login.refused()
        with pytest.raises(LoginRefused):
            await second
    assert closed(gate)


async def test_a_step_of_the_wall_clock_does_not_open_it(clock: SimClock) -> None:
    gate = Gate(clock)
    for _ in range(TRIES):
        await refuse(gate)
    clock.set_wall(datetime(2027, 1, 1, tzinfo=UTC))
    assert closed(gate)


async def test_tries_on_their_way_are_as_good_as_refused(clock: SimClock) -> None:
    gate = Gate(clock)
    sent = 0

    async def wrong(door: Door) -> None:
        nonlocal sent
        async with gate.trying(door) as login:
            sent += 1
            await clock.sleep(1)
            login.refused()

    tries = [asyncio.create_task(wrong(door)) for door in ("http", "rtsp", "http", "rtsp", "http")]
    await settle()
    assert sent == TRIES
    await clock.advance(2)
    results = await asyncio.gather(*tries, return_exceptions=True)
    assert sent == TRIES
    assert sum(isinstance(result, LoginRefused) for result in results) == len(tries) - TRIES


async def test_a_try_that_is_cancelled_lets_the_next_one_go(clock: SimClock) -> None:
    gate = Gate(clock)

    async def hang() -> None:
        async with gate.trying("http"):
            await asyncio.Event().wait()

    await accept(gate)
    hanging = [asyncio.create_task(hang()) for _ in range(TRIES)]
    await settle()
    waiting = asyncio.create_task(accept(gate))
    await settle()
    assert not waiting.done()
    hanging[0].cancel()
    await waiting
    hanging[1].cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*hanging)


async def test_a_try_that_nobody_waits_for_counts_unless_the_login_is_proven(clock: SimClock) -> None:
    """One of two requests is refused, and ends the conversation of both."""
    gate = Gate(clock)
    await accept(gate)
    async with gate.trying("http") as proven:
        proven.abandoned()
    async with gate.trying("http") as old:
        await refuse(gate)
        clock.tick(ANSWER_S)
        old.abandoned()
    assert not closed(gate)
    async with gate.trying("http") as fresh:
        fresh.abandoned()
    assert closed(gate)


async def test_an_acceptance_of_what_was_sent_before_a_refusal_does_not_open_the_gate(clock: SimClock) -> None:
    """A long poll that began before the password was changed."""
    gate = Gate(clock)
    async with gate.trying("http") as poll:
        await refuse(gate)
        poll.accepted()
    await refuse(gate)
    assert closed(gate)


async def test_an_account_of_its_own_for_streams_does_not_close_onvif_that_works(clock: SimClock) -> None:
    gate = Gate(clock)
    await refuse(gate, "rtsp")
    await accept(gate, "http")
    assert not closed(gate, "rtsp")
    await refuse(gate, "rtsp")
    assert closed(gate, "rtsp")
    assert not closed(gate, "http")
    await accept(gate, "http")
    assert closed(gate, "rtsp")


async def test_a_password_that_was_changed_closes_both_doors(clock: SimClock) -> None:
    gate = Gate(clock)
    await accept(gate, "http")
    await accept(gate, "rtsp")
    await refuse(gate, "http")
    await refuse(gate, "rtsp")
    assert closed(gate, "http")
    assert closed(gate, "rtsp")


steps = st.lists(st.tuples(st.sampled_from(["http", "rtsp"]), st.integers(0, 3)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(steps, st.integers(0, 29))
def test_however_things_meet_two_wrong_logins_at_most_follow_a_change_of_the_password(
    steps: list[tuple[Door, int]], change: int
) -> None:
    """Tries of any length at both doors; from one moment on the camera refuses what arrives."""

    async def run() -> None:
        clock = SimClock(datetime(2026, 11, 24, 8, tzinfo=UTC))
        gate, wrong, good = Gate(clock), 0, True

        async def login(door: Door, length: int) -> None:
            nonlocal wrong
            with suppress(LoginRefused):
                async with gate.trying(door) as attempt:
                    taken = good
                    wrong += not taken
                    await clock.sleep(length)
                    (attempt.accepted if taken else attempt.refused)()

        tasks = []
        for number, (door, length) in enumerate(steps):
            good = good and number < change
            tasks.append(asyncio.create_task(login(door, length)))
            await clock.advance(0.5)
        await clock.advance(120)
        await asyncio.gather(*tasks)
        assert wrong <= TRIES

    asyncio.run(run())
