"""The pure parts of the pump: lanes, repeats, suspects, extras, overdue receipts."""

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import NS_PER_S
from agent.model import Lane, Stored
from agent.uplink.awaiting import Awaiting
from agent.uplink.extras import Extra, Extras
from agent.uplink.lanes import REPEATED, LaneQueue, Repeats, SeqSet, Suspects


def row(seq: int, type_: str = "campus.alarm.raised", point: str = "panic", lane: Lane = Lane.ALARM) -> Stored:
    return Stored(seq, f"id{seq}", type_, lane, "guardroom", point, b"{}", "0" * 64, 0, "boot", "synced")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300))))
def test_seq_sets_agree_with_sets(steps: list[tuple[bool, int]]) -> None:
    ours, real = SeqSet(), set[int]()
    for add, seq in steps:
        if add:
            ours.add(seq)
            real.add(seq)
        else:
            ours.discard(seq)
            real.discard(seq)
        assert all((number in ours) == (number in real) for number in range(302))


def test_a_fresh_row_goes_straight_in_only_behind_everything_older() -> None:
    lane = LaneQueue(Lane.ALARM, page=4)
    assert not lane.offer(row(9)), "older rows may still be in the journal"
    assert lane.wants_page
    lane.reading, lane.missed = True, False
    lane.page_read([row(8), row(9)], 2)
    assert lane.caught_up
    assert lane.offer(row(10))
    assert [r.seq for r in lane.rows][-1] == 10


def test_a_full_queue_leaves_rows_to_the_journal() -> None:
    lane = LaneQueue(Lane.EVENT, page=2, caught_up=True)
    assert lane.offer(row(1))
    assert lane.offer(row(2))
    assert not lane.offer(row(3))
    lane.rows.clear()
    assert lane.wants_page


def test_repeats_are_spaced_per_point_and_keep_their_order() -> None:
    repeats = Repeats(1.0, 10)
    assert repeats.admit(row(1, REPEATED), 0)
    assert not repeats.admit(row(2, REPEATED), 1)
    assert not repeats.admit(row(3, REPEATED), 2 * NS_PER_S), "2 has not gone out yet"
    assert repeats.admit(row(4, REPEATED, point="duress"), 3)
    assert repeats.admit(row(5), 3)
    assert repeats.release(NS_PER_S // 2) is None
    held = repeats.release(NS_PER_S)
    assert held is not None
    assert held.seq == 2
    assert repeats.next_ns() == 2 * NS_PER_S


def test_more_repeats_than_room_are_left_to_the_journal() -> None:
    repeats = Repeats(1.0, 2)
    for seq in range(1, 6):
        repeats.admit(row(seq, REPEATED), 0)
    assert repeats.count == 2
    assert repeats.overflowed


def test_a_row_that_kills_alone_is_convicted_and_its_companions_are_not() -> None:
    suspects = Suspects()
    assert suspects.blame([1, 2, 3], surely=True) is None
    assert suspects.careful
    suspects.clear(1)
    assert suspects.blame([2], surely=True) == 2
    suspects.clear(2)
    suspects.clear(3)
    assert not suspects.careful


def test_without_a_reason_it_takes_three_ends_alone() -> None:
    suspects = Suspects()
    assert [suspects.blame([7], surely=False) for _ in range(3)] == [None, None, 7]
    assert suspects.goes_last(7)


def test_extras_keep_the_latest_of_a_topic_and_everything_for_a_birth() -> None:
    extras = Extras(3)
    for value in (b"1", b"2"):
        extras.retained("a", value)
    extra = extras.next_retained()
    assert extra is not None
    assert (extra.payload, extra.retain) == (b"2", True)
    assert extras.next_retained() is None
    extras.birth([("b", b"x")])
    topics = {extra.topic for extra in iter(extras.next_retained, None) if extra}
    assert topics == {"a", "b"}


def test_extras_are_bounded_and_tell_whom_they_drop() -> None:
    extras, told = Extras(2), list[int | None]()
    for number in range(4):
        extras.add(Extra("t", b"%d" % number, done=told.append))
    assert told == [None, None]
    assert extras.dropped == 2
    for number in range(5):
        extras.retained(f"t{number}", b"x")
    assert extras.dropped == 5


def test_a_receipt_is_overdue_once_per_try_and_backs_off() -> None:
    waits = Awaiting(10.0, 600.0)
    waits.acked(5, 0)
    assert waits.overdue(9 * NS_PER_S) == []
    assert waits.overdue(10 * NS_PER_S) == [5]
    assert waits.overdue(11 * NS_PER_S) == []
    waits.acked(5, 12 * NS_PER_S)
    assert waits.overdue(31 * NS_PER_S) == []
    assert waits.overdue(32 * NS_PER_S) == [5]
    assert waits.is_overdue(5, 12 * NS_PER_S)
    waits.prune(lambda seq: seq == 5)
    assert not waits.is_overdue(5, 40 * NS_PER_S)
