"""One door: opened by a card or by the button inside, forced, held open. Pure."""

from dataclasses import dataclass
from typing import Final

from agent.driver import NS_PER_S

GRACE_S: Final = 10.0
"""How long after a grant, or the button inside, an opening is an ordinary one: people fumble with bags."""


@dataclass(frozen=True, slots=True)
class DoorState:
    """What a door shows: open, forced, held."""

    open: bool = False
    forced: bool = False
    held: bool = False


class Door:
    """Judges the contact of a door. Every method returns the state after it."""

    def __init__(self, held_after_s: float) -> None:
        self._held_ns = round(held_after_s * NS_PER_S)
        self._allowed_until_ns = 0
        self._opened_ns: int | None = None
        self.state: DoorState | None = None
        """None until the contact was seen."""

    def allow(self, now_ns: int) -> None:
        """A card was granted, or the button inside was pressed."""
        self._allowed_until_ns = now_ns + round(GRACE_S * NS_PER_S)

    def contact(self, is_open: bool, now_ns: int) -> DoorState:
        """The contact as it was reported. A door that is found open at the start was not forced by anybody we saw."""
        before = self.state
        if not is_open:
            self._opened_ns = None
            self.state = DoorState()
            return self.state
        if before is None or not before.open:
            self._opened_ns = now_ns
            self.state = DoorState(open=True, forced=before is not None and now_ns > self._allowed_until_ns)
            self._allowed_until_ns = 0  # one grant, one opening
        return self.tick(now_ns)

    def tick(self, now_ns: int) -> DoorState:
        """Time has passed."""
        state = self.state or DoorState()
        if self._opened_ns is not None and now_ns - self._opened_ns >= self._held_ns:
            state = DoorState(state.open, state.forced, held=True)
        if self.state is not None:
            self.state = state
        return state
