"""Which broker, and when."""

from random import Random

from agent.clock import NS_PER_S
from agent.uplink.choice import Choice
from agent.uplink.limits import Limits

LIMITS = Limits()


def choice(count: int) -> Choice:
    return Choice(count, LIMITS, Random(1))


def test_the_first_that_works_and_the_next_at_once() -> None:
    brokers = choice(2)
    assert brokers.pick(0) == 0
    brokers.failed(0, 0)
    assert brokers.pick(0) == 1
    brokers.failed(1, 0)
    assert brokers.pick(0) is None
    assert 0 < brokers.wait_s(0) <= LIMITS.retry_first_s


def test_waits_grow_to_the_cap_and_are_spread() -> None:
    waits = []
    for seed in range(200):
        brokers = Choice(1, LIMITS, Random(seed))
        for _ in range(20):
            brokers.failed(0, 0)
        waits.append(brokers.wait_s(0))
    assert max(waits) <= LIMITS.retry_cap_s
    assert max(waits) - min(waits) > LIMITS.retry_cap_s / 2


def test_refused_credentials_wait_the_cap_whatever_hurries() -> None:
    brokers = choice(1)
    brokers.failed(0, 0, refused=True)
    brokers.hurry(0)
    assert brokers.wait_s(0) >= 0.9 * LIMITS.retry_cap_s


def test_an_alarm_shortens_the_wait() -> None:
    brokers = choice(1)
    for _ in range(20):
        brokers.failed(0, 0)
    brokers.hurry(0)
    assert brokers.wait_s(0) <= LIMITS.retry_alarm_s


def test_only_a_long_connection_resets_the_backoff() -> None:
    brokers = choice(1)
    for _ in range(10):
        brokers.failed(0, 0)
    brokers.ended(0, LIMITS.healthy_s + 1, 0)
    assert brokers.wait_s(0) <= LIMITS.retry_first_s


def test_three_unexplained_early_ends_are_taken_for_a_takeover() -> None:
    brokers = choice(1)
    found = [brokers.ended(0, 1.0, 0, unexplained=True) for _ in range(3)]
    assert found == [False, False, True]
    assert brokers.wait_s(0) >= LIMITS.takeover_s / 2


def test_a_told_takeover_waits_long_at_once() -> None:
    brokers = choice(1)
    assert brokers.ended(0, 500.0, 5 * NS_PER_S, takeover=True)
    assert brokers.wait_s(5 * NS_PER_S) >= LIMITS.takeover_s / 2


def test_after_a_return_the_first_is_taken() -> None:
    brokers = choice(2)
    brokers.failed(0, 0)
    brokers.answered(0)
    brokers.left(1, 0)
    assert brokers.pick(0) == 0
