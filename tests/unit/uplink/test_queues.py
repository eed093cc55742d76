"""The pure parts of the pump: lanes, repeats, suspects, extras, overdue receipts."""

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import NS_PER_S
from agent.model import Lane, Stored
from agent.uplink.awaiting import Awaiting
from agent.uplink.extras import Extra, Extras
from agent.uplink.lanes import REPEATED, RESTORED, LaneQueue, Repeats, SeqSet, Suspects


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


def test_a_release_waits_behind_the_held_presses_of_its_point_and_goes_out_with_them() -> None:
    repeats = Repeats(1.0, 10)
    assert repeats.admit(row(1, RESTORED), 0), "nothing is held"
    assert repeats.admit(row(2, REPEATED), 0)
    assert repeats.admit(row(3, RESTORED), 1)
    for seq in range(4, 8):  # the contact chatters
        assert not repeats.admit(row(seq, REPEATED if seq % 2 == 0 else RESTORED), seq)
    assert repeats.admit(row(8, RESTORED, point="duress"), 9), "another point's"
    assert repeats.admit(row(9, "campus.alarm.escalated"), 9), "urgent"
    sent = []
    for now_ns in (NS_PER_S // 2, NS_PER_S, 2 * NS_PER_S):
        while held := repeats.release(now_ns):
            sent.append((now_ns // NS_PER_S, held.seq))
    assert sent == [(1, 4), (1, 5), (2, 6), (2, 7)]
    assert repeats.count == 0
    assert repeats.next_ns() is None
    assert repeats.admit(row(10, RESTORED), 2 * NS_PER_S)


def test_what_follows_a_row_that_was_left_to_the_journal_is_left_there_too() -> None:
    repeats = Repeats(1.0, 1)
    assert repeats.admit(row(1, REPEATED), 0)
    assert not repeats.admit(row(2, REPEATED), 0)
    assert repeats.admit(row(3, REPEATED, point="duress"), 0)
    assert not repeats.admit(row(4, REPEATED, point="duress"), 0), "no room"
    assert not repeats.admit(row(5, RESTORED, point="duress"), 0), "its press is still in the journal"
    assert repeats.overflowed
    assert repeats.count == 1
    repeats.release(NS_PER_S)
    repeats.overflowed = False  # as the pump does when it asks the journal again
    assert repeats.admit(row(4, REPEATED, point="duress"), NS_PER_S)
    assert repeats.admit(row(5, RESTORED, point="duress"), NS_PER_S)


@given(
    st.lists(
        st.tuples(st.sampled_from([REPEATED, RESTORED]), st.sampled_from("ab"), st.integers(0, NS_PER_S)), max_size=60
    )
)
def test_presses_and_releases_of_a_point_keep_their_order(steps: list[tuple[str, str, int]]) -> None:
    repeats, now_ns, sent = Repeats(1.0, 100), 0, list[Stored]()
    for seq, (type_, point, wait_ns) in enumerate(steps, 1):
        now_ns += wait_ns
        one = row(seq, type_, point)
        if repeats.admit(one, now_ns):
            sent.append(one)
        while held := repeats.release(now_ns):
            sent.append(held)
    while (due_ns := repeats.next_ns()) is not None:
        now_ns = max(now_ns, due_ns)
        held = repeats.release(now_ns)
        assert held is not None
        sent.append(held)
    for point in "ab":
        seqs = [one.seq for one in sent if one.point == point]
        assert seqs == sorted(seqs)
    assert len(sent) == len(steps)


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
    extras = Extras(3, curves=3)
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
    extras, told = Extras(2, curves=3), list[int | None]()
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


def test_measures_wait_bounded_and_the_oldest_make_room() -> None:
    extras = Extras(4, curves=3)
    for number in range(5):
        extras.curve(f"telemetry/gas/{number}", b"[]")
    assert (extras.curves, extras.curves_evicted) == (3, 2)
    assert [extras.next_curve() for _ in range(4)] == [
        ("telemetry/gas/2", b"[]"),
        ("telemetry/gas/3", b"[]"),
        ("telemetry/gas/4", b"[]"),
        None,
    ]


def test_a_lost_connection_takes_no_measures_along() -> None:
    extras = Extras(4, curves=3)
    extras.curve("telemetry/gas/value", b"[]")
    extras.connection_lost()
    assert extras.curves == 1
