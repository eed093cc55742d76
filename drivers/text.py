"""Devices that print lines: fire panels' printers, old alarm hosts, anything whose words a regular expression can find.

Source: the preset `gst` is after "海湾 GST9000 柜式报警主机通讯协议" (bingoex.cn/news/119.html, and the same on a
dozen sites of fire protection firms): records in GB2312 that end with an empty line, `ESC 6` before the time, `ESC 9`
before the event, with 火警 = BB F0 BE AF and 复位 = B8 B4 CE BB. It documents no faults and nothing masked; other
records of that form are told with their words. What all else prints is in its maker's manual, and here in the
configuration.

Expressions are matched by the `regex` library because it can give up: one that backtracks for ever would hold every
device of the gateway. Lines are bounded, and so is the time that one may take.
"""

import re
import string
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, model_validator

from agent.driver import (
    BadFrame,
    BadSetting,
    Detail,
    Duration,
    Field,
    Input,
    KindName,
    Link,
    Sample,
    SerialDriver,
    Table,
    pulse,
    say,
)
from drivers._line import RETRY_CAP_S, Copies, Repeating, Terminated, serve

if TYPE_CHECKING:
    import regex

LONGEST_LINE: Final = 512
"""In bytes. A printer's line has 40 characters or 80; a record of several lines some 200."""
EXPRESSION_CHARS: Final = 400
PATIENCE_S: Final = 0.05
"""How long one expression may look at one line. Common ones take 20 us; other devices wait meanwhile."""
SLOW_PAUSE_S: Final = 1.0
"""After a line that was given up, others have this long: nobody else waits for a device that prints such lines."""
SHOWN_CHARS: Final = 200
"""How much of a line goes into the event."""
NAME_CHARS: Final = 64
COPIES_WINDOW_S: Final = 5.0
"""A panel that prints the same again so soon says nothing new."""
COPIES_EXPECTED: Final = 8
ACTIVE_KEPT: Final = 1_024
HEARTBEATS_MISSED: Final = 3
CONTROLS: Final = re.compile(r"\x1b[ -~]?|[\x00-\x1f\x7f]+")
"""What steers the printer."""
NAME: Final = re.compile(r"[^\s\x00-\x1f]{1,64}")

Encoding = Literal["utf-8", "ascii", "gb2312", "gbk", "gb18030", "big5", "latin-1"]


def compiled(expression: str) -> "regex.Pattern[str]":
    """Compile an expression. Raises BadSetting."""
    import regex  # only where a device prints: 2 MB

    if not 0 < len(expression) <= EXPRESSION_CHARS:
        raise BadSetting(say("text.expression-length", most=EXPRESSION_CHARS), expression[:SHOWN_CHARS])
    try:
        return regex.compile(expression)
    except regex.error as error:
        raise BadSetting(say("text.expression", reason=str(error)), expression) from None


def _expression(value: str) -> str:
    compiled(value)
    return value


Expression = Annotated[str, AfterValidator(_expression)]
"""A regular expression, found anywhere in a line."""


class Pattern(Table):
    """What one sort of line means."""

    table: ClassVar[str] = "driver-text-pattern"

    match: Expression = Field(description="regular expression; found anywhere in the line")
    input: str | None = Field(
        None, max_length=NAME_CHARS, description="the input it is about; may name groups, as zone-{zone}"
    )
    also: tuple[str, ...] = Field((), max_length=8, description="more general names of that input, for points on all")
    value: bool | Literal["pulse"] = Field(
        True, description="true: active, false: released, pulse: happens and is over"
    )
    kind: KindName | None = Field(None, description="what it is, where no point has the input")
    clears: bool = Field(False, description="everything that was active is released: the panel's reset")
    release_after_s: Duration | None = Field(
        None, alias="release_after", ge=1, le=86_400, description="released by itself after so long"
    )

    @model_validator(mode="after")
    def _names_are_known(self) -> "Pattern":
        if (self.input is None) != self.clears:
            raise BadSetting(say("text.input-or-clears"), self.match)
        groups = compiled(self.match).groupindex
        for name in (self.input or "-", *self.also):
            try:
                fields = [field for _, field, _, _ in string.Formatter().parse(name) if field is not None]
            except ValueError:
                fields = [""]
            if unknown := [field for field in fields if field not in groups]:
                raise BadSetting(say("text.group", name=unknown[0], known=", ".join(groups) or "-"), name)
        return self


@dataclass(frozen=True, slots=True)
class Preset:
    """A device whose lines are known."""

    encoding: Encoding
    line_end: str
    patterns: tuple[Pattern, ...]


PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "gst": Preset(
            "gb18030",
            "\n\n",
            (
                Pattern(
                    match=r"(?P<loop>\d{3})-(?P<part>\d{3})\n\x1b9[^\n]{0,8}火警[^\n]*(?:\n(?P<place>[^\n]+))?(?:\n(?P<detector>[^\n]+))?",
                    input="{loop}-{part}",
                    also=("fire",),
                    kind="fire",
                    release_after_s=600.0,
                ),
                Pattern(match=r"\x1b9[^\n]{0,8}复位", clears=True),
                Pattern(
                    match=r"\x1b6\d\d/\d\d/\d\d  \d\d:\d\d\n[^\n]{0,40}\n\x1b9(?P<event>[^\n]{1,40})",
                    input="other",
                    value="pulse",
                    kind="panel-trouble",
                ),
            ),
        )
    }
)
"""A fire falls back after ten minutes, if the panel's reset was not heard: it can then be reset here."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """A line that was understood."""

    pattern: Pattern
    input: str
    also: tuple[str, ...]
    detail: Detail


@dataclass(frozen=True)
class Reader:
    """Understands lines."""

    encoding: str
    patterns: tuple[tuple["regex.Pattern[str]", Pattern], ...]
    ignored: tuple["regex.Pattern[str]", ...]
    heartbeat: "regex.Pattern[str] | None"

    def decode(self, line: bytes) -> Meaning | Literal["heartbeat"] | None:
        """Decode one line; None for one that says nothing. Raises BadFrame. A damaged character does not hide the
        words around it."""
        text = line[:LONGEST_LINE].decode(self.encoding, "replace").strip("\r\n")
        if not CONTROLS.sub("", text).strip():
            return None
        try:
            if self.heartbeat and self.heartbeat.search(text, timeout=PATIENCE_S):
                return "heartbeat"
            if any(ignored.search(text, timeout=PATIENCE_S) for ignored in self.ignored):
                return None
            for expression, pattern in self.patterns:
                if match := expression.search(text, timeout=PATIENCE_S):
                    return meaning(pattern, match.groupdict(), text, line)
        except TimeoutError:
            raise TooSlow(line) from None
        raise BadFrame("pattern, ignore", line)


class TooSlow(BadFrame):
    """An expression that finds no end."""

    def __init__(self, line: bytes) -> None:
        super().__init__("-", line)
        self.text = say("text.too-slow", milliseconds=round(PATIENCE_S * 1e3), length=len(line))
        self.args = (self.text,)


def meaning(pattern: Pattern, groups: Mapping[str, Any], text: str, line: bytes) -> Meaning:
    """What a match means. Raises BadFrame for a name that no input can have."""
    said = {name: str(value).strip() for name, value in groups.items() if value is not None}
    shown = " ".join(CONTROLS.sub(" ", text).split())[:SHOWN_CHARS]
    if pattern.input is None:
        return Meaning(pattern, "", (), {"text": shown})
    every = {name: said.get(name, "") for name in groups}
    name, *also = (word.format_map(every) for word in (pattern.input, *pattern.also))
    if not all(NAME.fullmatch(word) for word in (name, *also)):
        raise BadFrame(pattern.input, line)
    return Meaning(pattern, name, tuple(also), {**said, "text": shown})


class AnyName(Container[Input]):
    """Every name: what a device may print is known only when it does."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and NAME.fullmatch(name) is not None


class TextDevice(SerialDriver):
    """A device that prints lines.

    Source: of the preset `gst` see the module; of all else the device's manual, by configuration.
    """

    name: ClassVar[str] = "text"
    retry_cap_s: ClassVar[float] = RETRY_CAP_S
    tells_events: ClassVar[bool] = True

    preset: Literal["gst"] | None = Field(None, description="a device whose lines are known")
    pattern: tuple[Pattern, ...] = Field(
        (), max_length=100, description="what a line means; the first that fits counts"
    )
    ignore: tuple[Expression, ...] = Field((), max_length=50, description="lines that mean nothing")
    encoding: Encoding | None = Field(None, description="how characters are written; gb18030 by default")
    line_end: str | None = Field(
        None, min_length=1, max_length=8, description="what ends a line or record; a line feed by default"
    )
    heartbeat: Expression | None = Field(None, description="a line that comes regularly")
    heartbeat_every_s: Duration = Field(
        60.0, alias="heartbeat_every", ge=1, le=86_400, description="how often it comes at least"
    )
    window_s: Duration = Field(
        COPIES_WINDOW_S, alias="copies_window", ge=0.1, le=300, description="the same line again is a copy for so long"
    )

    @model_validator(mode="after")
    def _means_something(self) -> "TextDevice":
        if not self.preset and not self.pattern:
            raise BadSetting(say("text.some-pattern", known=", ".join(PRESETS)), "-")
        return self

    def inputs_available(self) -> Container[Input]:
        return AnyName()

    def silence_s(self) -> float | None:
        return HEARTBEATS_MISSED * self.heartbeat_every_s if self.heartbeat else None

    def reader(self) -> Reader:
        """What understands its lines."""
        known = PRESETS[self.preset] if self.preset else None
        patterns = (*self.pattern, *(known.patterns if known else ()))
        return Reader(
            self.encoding or (known.encoding if known else "gb18030"),
            tuple((compiled(pattern.match), pattern) for pattern in patterns),
            tuple(map(compiled, self.ignore)),
            compiled(self.heartbeat) if self.heartbeat else None,
        )

    def framer(self) -> Terminated:
        """Lines out of the bytes of the device."""
        known = PRESETS[self.preset] if self.preset else None
        end = self.line_end or (known.line_end if known else "\n")
        return Terminated(end.encode("utf-8"), LONGEST_LINE, tail=False)

    async def run(self, link: Link) -> None:
        async with link.serial(self) as line:
            if not self.heartbeat:
                link.alive()
            take = partial(_Lines(self, link).take)
            await serve(link, line, self.framer(), take, silence_s=self.silence_s())


class _Lines:
    """One run: what was told as active."""

    def __init__(self, driver: TextDevice, link: Link) -> None:
        self._reader = driver.reader()
        self._link = link
        self._copies = Copies(driver.window_s)
        self._active: dict[str, tuple[str, ...]] = {}

    async def take(self, line: bytes) -> None:
        """One line. Raises BadFrame."""
        try:
            found = self._reader.decode(line)
        except TooSlow:
            await self._link.clock.sleep(SLOW_PAUSE_S)
            raise
        self._link.alive()
        if not isinstance(found, Meaning):
            return
        now_ns = self._link.clock.boottime_ns()
        count = self._copies.count(found.input, (found.pattern.value, line), now_ns)
        if count == 1:
            await self._link.emit(*self._samples(found, now_ns))
        elif count > COPIES_EXPECTED:
            self._link.reject(line, Repeating(count, line))

    def _samples(self, found: Meaning, now_ns: int) -> tuple[Sample, ...]:
        pattern = found.pattern
        if pattern.clears:
            over = {str(name): () for name in self._link.inputs} | self._active
            self._active = {}  # what became active before the gateway was started is known by its points only
            return tuple(Sample(name, False, now_ns, also=also) for name, also in over.items())
        sample = Sample(
            found.input,
            bool(pattern.value),
            now_ns,
            kind=pattern.kind,
            detail=found.detail,
            also=found.also,
            press=bool(pattern.value),
            hold_s=pattern.release_after_s,
        )
        if pattern.value == "pulse":
            return pulse(sample)
        if not sample.value:
            self._active.pop(found.input, None)
        elif len(self._active) < ACTIVE_KEPT:
            self._active[found.input] = found.also
        return (sample,)
