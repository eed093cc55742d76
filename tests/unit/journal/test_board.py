"""The board against a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from agent.journal.board import LANES, STATES, Board, RowState
from agent.model import Lane

lanes = st.sampled_from(LANES)
states = st.sampled_from(STATES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), lanes, st.integers(1, 3)),
        st.tuples(st.just("move"), st.lists(st.integers(1, 60)), st.none() | states),
        st.tuples(st.just("clear"), st.integers(1, 60), st.integers(1, 60)),
        st.tuples(st.just("trim")),
    ),
    max_size=40,
)


@given(steps)
def test_board_is_a_dictionary_of_lanes_and_states(todo: list[tuple[object, ...]]) -> None:
    board, model, last = Board(), dict[int, tuple[Lane, RowState]](), 0
    for step in todo:
        match step:
            case ("add", Lane() as lane, int(skip)):
                last += skip
                board.add(last, lane)
                model[last] = (lane, "due")
            case ("move", list(seqs), state):
                moved = [seq for seq in dict.fromkeys(seqs) if seq in model]
                assert board.move(dict.fromkeys(seqs), state) == len(moved)  # type: ignore[arg-type]  # match forgets it
                for seq in moved:
                    if state is None:
                        del model[seq]
                    else:
                        model[seq] = (model[seq][0], state)  # type: ignore[assignment]  # the same
            case ("clear", int(first), int(end)):
                held = [seq for seq in model if first <= seq <= end]
                assert board.any_in(first, end) == bool(held)
                assert board.clear(first, end) == len(held)
                for seq in held:
                    del model[seq]
            case _:
                board.trim()
        for seq in range(last + 3):
            assert board.state(seq) == (model[seq][1] if seq in model else None)
        for lane in LANES:
            for state in STATES:
                seqs = sorted(seq for seq, value in model.items() if value == (lane, state))
                assert board.count(lane, state) == len(seqs)
                assert board.list(lane, state, 0, 100) == seqs
                assert board.list(lane, state, 5, 2) == [seq for seq in seqs if seq > 5][:2]
                assert board.first(lane, (state,)) == (seqs[0] if seqs else None)
    again = Board()
    again.load(((seq, *model[seq]) for seq in sorted(model)), last)
    assert [again.state(seq) for seq in range(last + 2)] == [board.state(seq) for seq in range(last + 2)]


def test_rows_of_a_damaged_outbox_do_no_harm() -> None:
    board = Board()
    board.load(
        [(-5, "alarm", "due"), (2, "alarn", "due"), (3, "event", "dve"), (1, "alarm", "due"), (2**50, "x", "y")], 4
    )
    assert board.state(2) == "due"
    assert board.state(3) == "due"
    assert board.count(Lane.FAULT, "due") == 1
    board.add(5, Lane.ALARM)
    assert board.list(Lane.ALARM, "due", 0, 9) == [5]
