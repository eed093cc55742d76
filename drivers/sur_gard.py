"""Sur-Gard receivers (MLR2, System I to III, and what speaks like them): reports of alarm hosts on a serial line.

Source: MLR2-E Installation Manual, section 9 (automation protocols, acknowledgement, Contact-ID protocol, internal
messages); MLR2-DG manual, "Communication protocol with central station computer" (supervisory heartbeat).
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import ClassVar, Final

from agent.driver import BadFrame, Baudrate, Duration, Field, Input, Link, Sample, SerialDriver, pulse
from drivers._contact_id import RELEASE_AFTER_S, Account, PanelInputs, Report, decode_event
from drivers._contact_id_host import COPIES_WINDOW_S, Reports
from drivers._line import RETRY_CAP_S, Terminated, serve

END: Final = b"\x14"
ACK: Final = b"\x06"
ACK_WITHIN_S: Final = 4.0
"""Section 9.2: then the receiver sends the report again, three times, and keeps what follows to itself."""
LONGEST_FRAME: Final = 128
"""The longest are internal messages and SIA blocks of some 80 characters."""
HEARTBEATS_MISSED: Final = 2
"""So many may be lost before the line is opened anew; after one more the device is offline."""
SLACK_S: Final = 5.0
"""A heartbeat waits for a report that is being sent."""
CONTACT_ID: Final = re.compile(rb"5[0-9A-F]{2}[0-9A-Z]{1,3} 18([0-9A-F]{4,6})([136ERP][0-9B-F]{3}[0-9A-F]{5})\Z")
"""`5RRLs18AAAAQXYZGGCCC`; System III has lines of three characters."""
HEARTBEAT: Final = re.compile(rb"1[0-9A-F]{2}[0-9A-Z]{1,3} +@ *\Z")
OTHER: Final = re.compile(rb"([0-46-9A-Z])[0-9A-F]{2}[0-9A-Z][ -~]{12,}")
"""Protocol, receiver, line, and what it says: other formats of hosts, and the receiver's own messages. The shortest
that the manual has are 16 characters long, and noise does not make so many printable ones in a row. Protocol 5 is
Contact ID: one that is not right is damaged, and comes again."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The receiver is alive."""


@dataclass(frozen=True, slots=True)
class OtherFormat:
    """A frame that is right, and not Contact ID."""

    protocol: str
    text: str


Message = Report | Heartbeat | OtherFormat


def decode(frame: bytes) -> Message:
    """Decode one frame without its end; what stands before it may be the rest of one that was cut off. Raises
    BadFrame."""
    if match := CONTACT_ID.search(frame):
        return decode_event(match[2], match[1].decode("ascii"))
    if HEARTBEAT.search(frame):
        return Heartbeat()
    if match := OTHER.fullmatch(frame):
        return OtherFormat(match[1].decode("ascii"), frame.decode("ascii").strip())
    raise BadFrame("5RRL 18AAAAQXYZGGCCC, 1RRL ... @", frame)


def framer() -> Terminated:
    """Frames out of the bytes of a line."""
    return Terminated(END, LONGEST_FRAME, tail=True)


def format_input(protocol: str) -> str:
    """The input that a frame in another format is told as."""
    return f"format-{protocol}"


@dataclass(frozen=True, slots=True)
class ReceiverInputs(Container[Input]):
    """Those of the hosts, and one for each protocol that is not Contact ID."""

    panels: PanelInputs

    def __contains__(self, name: object) -> bool:
        return name in self.panels or (isinstance(name, str) and re.fullmatch(r"format-[0-9A-Z]", name) is not None)


class SurGard(SerialDriver):
    """A Sur-Gard receiver.

    Source: MLR2-E Installation Manual, section 9; MLR2-DG manual, communication protocol with central station computer.
    """

    name: ClassVar[str] = "sur-gard"
    retry_cap_s: ClassVar[float] = RETRY_CAP_S
    tells_events: ClassVar[bool] = True

    baudrate: Baudrate = Field(
        9600, description="speed of the line: MLR2000 9600 8N1, MLR2-E 19200 7E1, older 1200 7E1"
    )
    accounts: tuple[Account, ...] = Field(
        min_length=1, max_length=256, description="the hosts' accounts, as the receiver prints them"
    )
    heartbeat_s: Duration = Field(
        30.0, alias="heartbeat", ge=0, le=3600, description="how often its heartbeat comes; 0 if it is switched off"
    )
    window_s: Duration = Field(
        COPIES_WINDOW_S,
        alias="copies_window",
        ge=1,
        le=300,
        description="a report like the last one is a copy for so long",
    )
    release_after_s: Duration = Field(
        RELEASE_AFTER_S,
        alias="release_after",
        ge=1,
        le=3600,
        description="how long a panic button counts as pressed, if no restore is sent",
    )

    def inputs_available(self) -> Container[Input]:
        return ReceiverInputs(PanelInputs(self.accounts))

    def silence_s(self) -> float | None:
        return (HEARTBEATS_MISSED + 1) * self.heartbeat_s + SLACK_S if self.heartbeat_s else None

    async def run(self, link: Link) -> None:
        async with link.serial(self) as line:
            reports = Reports(
                link,
                line,
                PanelInputs(self.accounts),
                ack=ACK,
                ack_within_s=ACK_WITHIN_S,
                window_s=self.window_s,
                release_after_s=self.release_after_s,
            )

            async def take(frame: bytes) -> None:
                message = decode(frame)
                if isinstance(message, Report):
                    await reports.take(message, frame)
                elif isinstance(message, OtherFormat):
                    # Acknowledged, or the receiver keeps the alarms that come after it to itself.
                    now_ns = link.clock.boottime_ns()
                    await reports.hand_over(message, None, told(message, now_ns), frame, now_ns)
                else:
                    link.alive()
                    reports.acknowledge()

            if not self.heartbeat_s:
                link.alive()
            await serve(link, line, framer(), take, silence_s=self.reopen_s())

    def reopen_s(self) -> float | None:
        """After how long a silence the line is opened anew."""
        return HEARTBEATS_MISSED * self.heartbeat_s + SLACK_S if self.heartbeat_s else None


def told(message: OtherFormat, seen_ns: int) -> tuple[Sample, ...]:
    """What cannot be understood is told in its own words: it may be an alarm."""
    detail = {"text": message.text}
    return pulse(Sample(format_input(message.protocol), True, seen_ns, kind="panel-trouble", detail=detail, press=True))
