"""433 MHz receivers on a serial line: radio buttons with an EV1527 encoder, 20 bits of identity and 4 bits of keys.

Source: EV1527 data sheet (Silvan Chip): 24 bits a word, C0-C19 fixed in the factory, D0-D3 the keys; a word is sent
again and again while a key is pressed. The format has no authentication and no supervision. Receivers frame the words
as their makers like: `rf-bridge` is the Sonoff RF bridge (`AA A4`, three times of two bytes, three bytes of data, `55`;
the same in ESPHome's rf_bridge and Portisch's RF-Bridge-EFM8BB1); `lc` is a line `LC:A1B2C1` as modules from Chinese
shops are said to print it, and not verified against a manual.
"""

import re
from collections.abc import Container, Mapping
from re import Pattern
from types import MappingProxyType
from typing import ClassVar, Final, Literal

from pydantic import model_validator

from agent.driver import (
    BadFrame,
    BadSetting,
    Baudrate,
    Duration,
    Field,
    Input,
    Link,
    Sample,
    SerialDriver,
    Table,
    pulse,
    say,
)
from drivers._line import RETRY_CAP_S, Copies, Matched, serve

CODE_BYTES: Final = 3
ID_DIGITS: Final = 5
MARK_LONGEST: Final = 16
SURE_BYTES: Final = 3
"""A frame with fewer fixed bytes is found in noise now and then: it counts only when it comes twice."""
MERGE_S: Final = 1.0
"""A pressed key is sent every 30-100 ms, three times at least; two presses of a hand are further apart."""
BUTTON: Final = re.compile(r"[0-9A-F]{5}(?:/[0-9A-F])?")


class Frame(Table):
    """How a receiver frames a word."""

    table: ClassVar[str] = "driver-ev1527-frame"

    code: Literal["hex", "bytes"] = Field(description="the word as six hexadecimal digits, or as three bytes")
    start: str = Field(
        "", max_length=3 * MARK_LONGEST, description="what stands before it: text, or bytes in hexadecimal"
    )
    skip: int = Field(0, ge=0, le=32, description="how many bytes between start and word mean something else")
    end: str = Field("", max_length=3 * MARK_LONGEST, description="what stands behind it")

    @model_validator(mode="after")
    def _can_be_found(self) -> "Frame":
        self.pattern()
        if not self.start + self.end:
            raise BadSetting(say("ev1527.frame"), "start, end")
        return self

    def marks(self) -> tuple[bytes, bytes]:
        """What stands before and behind a word. Raises BadSetting."""
        try:
            if self.code == "bytes":
                return bytes.fromhex(self.start), bytes.fromhex(self.end)
            return self.start.encode("ascii"), self.end.encode("ascii")
        except ValueError:
            raise BadSetting(say("ev1527.frame"), f"{self.start!r}, {self.end!r}") from None

    def pattern(self) -> Pattern[bytes]:
        """What finds a frame."""
        start, end = map(re.escape, self.marks())
        word = rb"[0-9A-Fa-f]{6}" if self.code == "hex" else rb"[\x00-\xff]{3}"
        return re.compile(rb"%b[\x00-\xff]{%d}(%b)%b" % (start, self.skip, word, end))

    @property
    def length(self) -> int:
        """How many bytes a frame has."""
        return len(b"".join(self.marks())) + self.skip + (2 * CODE_BYTES if self.code == "hex" else CODE_BYTES)

    @property
    def is_sure(self) -> bool:
        """Whether noise does not look like it."""
        return self.code == "hex" or len(b"".join(self.marks())) >= SURE_BYTES


PRESETS: Final[Mapping[str, Frame]] = MappingProxyType(
    {
        "lc": Frame(code="hex", start="LC:"),
        "rf-bridge": Frame(code="bytes", start="AA A4", skip=6, end="55"),
    }
)


def decode(data: bytes, frame: Frame) -> tuple[str, str]:
    """Decode one frame: identity and keys as hexadecimal digits. Raises BadFrame."""
    if not (match := frame.pattern().fullmatch(data)):
        raise BadFrame(f"{frame.start} ... {frame.end}", data)
    word = match[1].decode("ascii").upper() if frame.code == "hex" else match[1].hex().upper()
    return word[:ID_DIGITS], word[ID_DIGITS]


def framer(frame: Frame) -> Matched:
    """Frames out of the bytes of a line."""
    return Matched(frame.pattern(), frame.length, f"{frame.start} ... {frame.end}")


class Buttons(Container[Input]):
    """`A1B2C/1`: one key of one transmitter; `A1B2C`: any key of it."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and BUTTON.fullmatch(name) is not None


class Ev1527(SerialDriver):
    """A 433 MHz receiver.

    Source: EV1527 data sheet (Silvan Chip); framing by the receiver's maker, see the module.
    """

    name: ClassVar[str] = "ev1527"
    retry_cap_s: ClassVar[float] = RETRY_CAP_S
    tells_events: ClassVar[bool] = True
    supervised: ClassVar[bool] = False

    baudrate: Baudrate = Field(9600, description="speed of the line; the RF bridge has 19200")
    preset: Literal["lc", "rf-bridge"] | None = Field(None, description="a receiver whose framing is known")
    frame: Frame | None = Field(None, description="the framing of another receiver")
    repeats: int = Field(
        0, ge=0, le=10, description="how often a word must come to count; 0: as often as its frame needs"
    )
    merge_s: Duration = Field(
        MERGE_S, alias="merge", ge=0.2, le=10, description="words that come so soon again belong to one press"
    )

    @model_validator(mode="after")
    def _one_framing(self) -> "Ev1527":
        if (self.preset is None) == (self.frame is None):
            raise BadSetting(say("ev1527.one-framing", known=", ".join(PRESETS)), self.preset or "-")
        return self

    def inputs_available(self) -> Container[Input]:
        return Buttons()

    def framing(self) -> Frame:
        """How its words are framed."""
        if self.frame is not None:
            return self.frame
        assert self.preset is not None, "one of the two is given"
        return PRESETS[self.preset]

    def needed(self) -> int:
        """How often a word must come to count."""
        return self.repeats or (1 if self.framing().is_sure else 2)

    async def run(self, link: Link) -> None:
        frame, needed = self.framing(), self.needed()
        copies = Copies(self.merge_s)

        async def take(data: bytes) -> None:
            transmitter, keys = decode(data, frame)
            now_ns = link.clock.boottime_ns()
            count = copies.count((transmitter, keys), None, now_ns)
            link.alive()
            if count == needed:
                await link.emit(*press(transmitter, keys, now_ns))

        async with link.serial(self) as line:
            link.alive()
            await serve(link, line, framer(frame), take)


def press(transmitter: str, keys: str, seen_ns: int) -> tuple[Sample, ...]:
    """One press of a key. It has no kind: who lives in the street and what they press is nobody's business, so that
    only a button that has a point is told."""
    detail = {"transmitter": transmitter, "keys": keys}
    return pulse(Sample(f"{transmitter}/{keys}", True, seen_ns, detail=detail, also=(transmitter,), press=True))
