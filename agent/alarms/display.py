"""What of a point's alarm is committed, and so may be shown: by its lamp, its siren. Pure."""

from collections import deque
from typing import Final

from agent.alarms.lamp import Delivery, LampMeans, LampMode, Shown, lamp_mode
from agent.alarms.state import Alarm
from agent.model import Stored

WAITING_LIMIT: Final = 64
"""Changes that wait for their commit. The journal commits in milliseconds; beyond this only the newest matter."""


class Display:
    """Follows the changes of one point's alarm, each when its event is stored."""

    __slots__ = ("_seq", "_shown", "_waiting")

    def __init__(self) -> None:
        self._shown = Shown()
        self._seq: int | None = None
        self._waiting: deque[tuple[str, Shown]] = deque(maxlen=WAITING_LIMIT)

    def change(self, event_id: str, alarm: Alarm | None) -> None:
        """The alarm is another now: shown when that event is stored."""
        self._waiting.append((event_id, to_show(alarm)))

    def stored(self, stored: Stored) -> None:
        """An event is committed, and with it every change before its own."""
        for place, (event_id, shown) in enumerate(self._waiting):
            if event_id == stored.id:
                self._shown = shown
                for _ in range(place + 1):
                    self._waiting.popleft()
                break
        if stored.id == self._shown.alarm:
            self._seq = stored.seq

    def restore(self, alarm: Alarm | None) -> None:
        """Continue from what was saved, which is committed by being there."""
        self._shown = to_show(alarm)
        self._seq = alarm.seq if alarm else None

    @property
    def stands(self) -> bool:
        """Whether there is an alarm to show."""
        return self._shown.alarm is not None

    @property
    def sounding(self) -> bool:
        """Whether the siren sounds."""
        return self._shown.siren

    @property
    def undelivered_seq(self) -> int | None:
        """The event whose delivery the lamp depends on."""
        return None if self._shown.alarm is None or self._shown.acknowledged else self._seq

    def mode(self, delivery: Delivery, means: LampMeans) -> LampMode:
        """What the lamp shows, given how the raised event fares."""
        return lamp_mode(self._shown, delivery, means)


def to_show(alarm: Alarm | None) -> Shown:
    """As much of an alarm as lamps and sirens need."""
    if alarm is None:
        return Shown()
    sounding = alarm.siren or (not alarm.plan and alarm.escalated is not None)
    reached = bool(alarm.reached)
    siren = sounding and not alarm.acknowledged
    return Shown(alarm.id, alarm.acknowledged, siren, reached, bool(alarm.failed) and not reached)
