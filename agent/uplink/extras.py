"""What is published beside the journal's events: status, retained states, replies. Bounded, latest wins. Pure."""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass


def nobody(_code: int | None) -> None:
    """Takes the acknowledgement of a message that nobody waits for."""


@dataclass(frozen=True, slots=True)
class Extra:
    """One message. `done` gets the reason code of its acknowledgement, None if the connection ended before."""

    topic: str
    payload: bytes
    retain: bool = False
    correlation: bytes | None = None
    content_type: str = "application/json"
    done: Callable[[int | None], None] = nobody
    sticky: bool = False
    """Send again on the next connection if this one ended before the acknowledgement."""


class Extras:
    """Replies go first, in order; then retained messages, of which only the latest per topic is kept."""

    def __init__(self, limit: int, curves: int) -> None:
        self._limit = limit
        self._curves: deque[tuple[str, bytes]] = deque(maxlen=curves)
        self.curves_evicted = 0
        """Batches of measures that made room for newer ones before they were sent."""
        self._urgent: deque[Extra] = deque()
        self._known: dict[str, bytes] = {}
        self._changed: OrderedDict[str, bytes] = OrderedDict()
        self.dropped = 0
        """Messages that found no room: nobody took them for so long."""

    def __bool__(self) -> bool:
        return bool(self._urgent or self._changed)

    @property
    def urgent(self) -> int:
        """How many replies and statuses wait."""
        return len(self._urgent)

    def add(self, extra: Extra) -> None:
        """Queue a reply or a status. The oldest makes room when nobody takes them."""
        if len(self._urgent) >= self._limit:
            self._urgent.popleft().done(None)
            self.dropped += 1
        self._urgent.append(extra)

    def retained(self, topic: str, payload: bytes) -> None:
        """Set what a topic retains; an empty payload empties it."""
        if topic not in self._known and len(self._known) >= self._limit:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self._changed.pop(oldest, None)
            self.dropped += 1
        if payload:
            self._known[topic] = payload
        else:
            self._known.pop(topic, None)
        self._changed[topic] = payload
        self._changed.move_to_end(topic)

    def curve(self, topic: str, payload: bytes) -> None:
        """Queue a batch of measures. They are no evidence: the oldest make room, and are counted."""
        if len(self._curves) == self._curves.maxlen:
            self.curves_evicted += 1
        self._curves.append((topic, payload))

    @property
    def curves(self) -> int:
        """How many batches wait."""
        return len(self._curves)

    def next_curve(self) -> tuple[str, bytes] | None:
        """Take the oldest batch."""
        return self._curves.popleft() if self._curves else None

    def birth(self, states: Iterable[tuple[str, bytes]]) -> None:
        """A new connection: everything retained goes out again, and replies that were not acknowledged stay."""
        for topic, payload in states:
            self.retained(topic, payload)
        for topic, payload in self._known.items():
            self._changed.setdefault(topic, payload)

    def connection_lost(self) -> None:
        """What was said of a moment is not said later: a status from before would contradict the next birth."""
        passing = [extra for extra in self._urgent if not extra.sticky]
        self._urgent = deque(extra for extra in self._urgent if extra.sticky)
        for extra in passing:
            extra.done(None)

    def next_urgent(self) -> Extra | None:
        """Take the next reply or status."""
        return self._urgent.popleft() if self._urgent else None

    def next_retained(self) -> Extra | None:
        """Take the next changed retained message."""
        if not self._changed:
            return None
        topic, payload = self._changed.popitem(last=False)
        return Extra(topic, payload, retain=True)

    def back(self, extra: Extra) -> None:
        """Put a sticky message back, first in the queue."""
        self._urgent.appendleft(extra)
