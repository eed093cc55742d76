"""Hosts and receivers that send Contact ID reports on a line and wait to hear that they were taken."""

from collections.abc import Hashable
from typing import Final

from agent.driver import NS_PER_S, Link, Sample, SerialLine
from drivers._contact_id import PanelInputs, Report, samples
from drivers._line import Copies, Repeating

COPIES_WINDOW_S: Final = 20.0
"""A Sur-Gard receiver sends a report four times, 4 s apart; hosts are done sooner."""
COPIES_EXPECTED: Final = 4
"""The first and three resends: more of one report, and its sender does not hear us, or does not stop."""


class Reports:
    """Hands reports over once, and acknowledges each copy, the first when it is durable."""

    def __init__(
        self,
        link: Link,
        line: SerialLine,
        inputs: PanelInputs,
        *,
        ack: bytes,
        ack_within_s: float,
        window_s: float,
        release_after_s: float,
    ) -> None:
        self._link = link
        self._line = line
        self._inputs = inputs
        self._ack = ack
        self._ack_within_ns = round(ack_within_s * NS_PER_S)
        self._copies = Copies(window_s)
        self._release_after_s = release_after_s

    async def take(self, report: Report, frame: bytes) -> None:
        """One report, as it came in `frame`."""
        now_ns = self._link.clock.boottime_ns()
        found = samples(report, self._inputs, now_ns, release_after_s=self._release_after_s)
        subject = (report.account, report.code, report.partition, report.zone)
        await self.hand_over(subject, report.qualifier, found, frame, now_ns)

    async def hand_over(
        self, subject: Hashable, report: Hashable, found: tuple[Sample, ...], frame: bytes, now_ns: int
    ) -> None:
        """Tell it if it is new; then acknowledge. Who has waited too long has given up this copy and sends another,
        and might take a late acknowledgement for that of its next report."""
        count = self._copies.count(subject, report, now_ns)
        if count == 1:
            await self._link.emit(*found)
        else:
            self._link.alive()
            if count > COPIES_EXPECTED:
                self._link.reject(frame, Repeating(count, frame))
        if self._link.clock.boottime_ns() - now_ns <= self._ack_within_ns:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the sender that it was taken."""
        if self._ack:
            self._line.write(self._ack)
