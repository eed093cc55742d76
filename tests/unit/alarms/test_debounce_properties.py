"""A contact, looked at now and then: what may never be missed, and what may never be doubled."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from agent.alarms.debounce import Debouncer, Edge

MS = 1_000_000
IDLE_MS = 20_000


@dataclass
class Contact:
    """The true course of a contact: the times at which it changes, in ms, starting open."""

    changes_ms: list[int]

    def at(self, at_ms: int) -> bool:
        return sum(change_ms <= at_ms for change_ms in self.changes_ms) % 2 == 1


def run(contact: Contact, looks_ms: list[int], debounce_ms: int, *, alive: bool = False) -> list[Edge]:
    """Look at a contact as a driver does (only changes are told; the first look always), with every timer served.
    With `alive`, the device is also heard at every look."""
    debouncer = Debouncer(debounce_ms * MS)
    edges: list[Edge] = []
    raw: bool | None = None
    last_ns: int | None = None
    for look_ms in looks_ms:
        look_ns = look_ms * MS
        while (due_ns := debouncer.due_ns) is not None and due_ns <= look_ns:
            edges += debouncer.tick(due_ns)
        value = contact.at(look_ms)
        if value != raw:
            edges += debouncer.look(value, look_ns, last_ns)
            raw = value
        elif alive:
            edges += debouncer.looked(look_ns)
        last_ns = look_ns
    return edges


@st.composite
def looks(draw: st.DrawFn) -> tuple[list[int], int]:
    """Looks at some pace and phase, with up to half a gap of jitter; and the longest gap between two of them."""
    gap_ms = draw(st.integers(2, 900))
    at_ms = draw(st.integers(0, gap_ms))
    jitter = draw(st.lists(st.integers(0, gap_ms // 2), min_size=1, max_size=20))
    times: list[int] = []
    while at_ms < 2 * IDLE_MS:
        times.append(at_ms)
        at_ms += gap_ms + jitter[len(times) % len(jitter)]
    return times, max(b - a for a, b in pairwise(times))


@given(looks(), st.integers(0, 200), st.data(), st.booleans())
def test_a_press_longer_than_debounce_and_gap_is_seen_exactly_once(
    pace: tuple[list[int], int], debounce_ms: int, data: st.DataObject, alive: bool
) -> None:
    looks_ms, longest_gap_ms = pace
    start_ms = data.draw(st.integers(2_000, 6_000))
    shortest_ms = max(debounce_ms, longest_gap_ms)
    length_ms = data.draw(st.integers(shortest_ms, shortest_ms + 2_000))
    edges = run(Contact([start_ms, start_ms + length_ms]), looks_ms, debounce_ms, alive=alive)
    assert [edge.active for edge in edges] == [True, False]


@given(looks(), st.integers(1, 200), st.data(), st.booleans())
def test_bounce_makes_no_second_press(
    pace: tuple[list[int], int], debounce_ms: int, data: st.DataObject, alive: bool
) -> None:
    """Chatter before the contact settles and after it lets go, and a gap in between, each shorter than the debounce.
    Before the gap, and after it, it is held long enough to be seen at all."""
    looks_ms, longest_gap_ms = pace
    shortest_ms, extra_ms = max(debounce_ms, longest_gap_ms), data.draw(st.integers(0, 3_000))
    start_ms = data.draw(st.integers(2_000, 6_000))
    seen_ms = start_ms + debounce_ms + shortest_ms
    let_go_ms = seen_ms + extra_ms
    changes = {start_ms, let_go_ms}
    for from_ms in (start_ms, let_go_ms):
        chatter = data.draw(st.lists(st.integers(1, debounce_ms), max_size=3, unique=True))
        changes.update(from_ms + at_ms for at_ms in chatter[: len(chatter) // 2 * 2])
    held_ms = debounce_ms + longest_gap_ms  # between the gap and the end, to be seen at all: else the two gaps are one
    if extra_ms > held_ms + debounce_ms and data.draw(st.booleans()):
        gap_at_ms = seen_ms + data.draw(st.integers(1, extra_ms - held_ms - 1))
        changes.update((gap_at_ms, gap_at_ms + data.draw(st.integers(1, max(1, debounce_ms - 1)))))
    edges = run(Contact(sorted(changes)), looks_ms, debounce_ms, alive=alive)
    assert [edge.active for edge in edges] == [True, False]


@given(st.integers(1, 50), st.integers(2, 50), st.data())
def test_what_the_looks_prove_to_be_short_is_dropped(gap_ms: int, gaps: int, data: st.DataObject) -> None:
    """Between the looks that saw it inactive lies less than the debounce."""
    looks_ms = list(range(0, IDLE_MS, gap_ms))
    debounce_ms = gap_ms * gaps + data.draw(st.integers(1, 20))
    start_ms = data.draw(st.integers(1_000, 2_000))
    length_ms = data.draw(st.integers(1, gap_ms * (gaps - 1))) if gaps > 1 else 1
    assert run(Contact([start_ms, start_ms + length_ms]), looks_ms, debounce_ms) == []


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 300), st.integers(0, 300) | st.none())), st.integers(0, 100))
def test_edges_alternate_whatever_a_driver_tells(told: list[tuple[bool, int, int | None]], debounce_ms: int) -> None:
    debouncer = Debouncer(debounce_ms * MS)
    now_ns = 1_000 * MS
    edges: list[Edge] = []
    for active, step_ms, previous_ms_ago in told:
        now_ns += step_ms * MS
        edges += debouncer.tick(now_ns)
        previous_ns = None if previous_ms_ago is None else now_ns - previous_ms_ago * MS
        edges += debouncer.look(active, now_ns, previous_ns)
    values = [False, *(edge.active for edge in edges)]
    assert all(a != b for a, b in pairwise(values))
    assert debouncer.stable == values[-1]


def test_a_device_that_reports_edges_is_believed_at_once() -> None:
    debouncer = Debouncer(30 * MS)
    assert debouncer.look(True, 100 * MS, None) == (Edge(True, 100 * MS, None),)
    assert debouncer.look(False, 200 * MS, None) == ()
    assert debouncer.due_ns == 230 * MS
    assert debouncer.tick(230 * MS) == (Edge(False, 200 * MS, None),)


def test_edges_reported_quickly_one_after_another_are_one_press() -> None:
    debouncer = Debouncer(30 * MS)
    debouncer.look(True, 100 * MS, None)
    assert debouncer.look(False, 110 * MS, None) == ()
    assert debouncer.look(True, 120 * MS, None) == ()
    assert debouncer.tick(500 * MS) == ()
    assert debouncer.stable
