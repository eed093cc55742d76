"""One measured value of a Modbus sensor: which registers, what they mean, and when that is an alarm. Pure."""

import math
import struct
from typing import ClassVar, Final, Literal

from pydantic import model_validator

from agent.driver import BadSetting, Duration, Field, SampleStatus, Table, say
from drivers._modbus import ADDRESSES

Order = Literal["abcd", "cdab", "badc", "dcba"]
ORDERS: Final[dict[str, tuple[int, ...]]] = {
    "abcd": (0, 1, 2, 3),
    "cdab": (2, 3, 0, 1),
    "badc": (1, 0, 3, 2),
    "dcba": (3, 2, 1, 0),
}
"""Where each byte of the value lies in the two registers, as manuals write it: the standard sends a register's high
byte first (V1.1b3, 4.2), and leaves the order of registers to the maker."""
FORMATS: Final = {
    "uint16": struct.Struct(">H"),
    "int16": struct.Struct(">h"),
    "uint32": struct.Struct(">I"),
    "int32": struct.Struct(">i"),
    "float32": struct.Struct(">f"),
}
NUMBERS: Final = {
    "uint16": (0, 0xFFFF),
    "int16": (-0x8000, 0x7FFF),
    "uint32": (0, 0xFFFF_FFFF),
    "int32": (-0x8000_0000, 0x7FFF_FFFF),
    "float32": (-math.inf, math.inf),
}
"""The lowest and the highest number of each type."""
STATES: Final[dict[str, tuple[bool, SampleStatus]]] = {
    "normal": (False, "ok"),
    "alarm": (True, "ok"),
    "open": (False, "open"),
    "short": (False, "short"),
    "tamper": (False, "tamper"),
    "low-battery": (False, "low-battery"),
    "fault": (False, "invalid"),
}
"""What a supervised line's code means: is it an alarm, and what does the line say of itself."""
SAYS_NOTHING: Final = frozenset(["open", "short", "tamper", "invalid"])
"""What a line that says this watches cannot be known: a fire may have burnt it through. An alarm stands, and none
begins."""
State = Literal["normal", "alarm", "open", "short", "tamper", "low-battery", "fault"]
Codes = dict[State, tuple[int, ...]]


class Channel(Table):
    """A measured value, or a code, in the registers of a sensor."""

    table: ClassVar[str] = "driver-modbus-sensor-channel"

    id: str = Field(min_length=1, max_length=64, description="the input that points name")
    register_: int = Field(alias="register", ge=0, lt=ADDRESSES, description="address of the register, from 0")
    function: Literal["input", "holding"] = Field("holding", description="FC04 or FC03")
    type: Literal["uint16", "int16", "uint32", "int32", "float32"] = Field("uint16", description="how it is stored")
    order: Order = Field("abcd", description="order of the bytes")
    mask: int | None = Field(None, ge=1, lt=1 << 32, description="which bits of it count")
    scale: float = Field(1.0, description="the value is the number times this")
    offset: float = Field(0.0, description="and plus this")
    unit: str = Field("", max_length=16, description="unit of the value")
    lowest: float | None = Field(None, description="below it the sensor is broken")
    highest: float | None = Field(None, description="above it the sensor is broken")
    alarm_above: float | None = Field(None, description="alarm above this value")
    alarm_below: float | None = Field(None, description="alarm below this value")
    hysteresis: float = Field(0.0, ge=0, description="how far the value must come back")
    rise_per_minute: float | None = Field(None, gt=0, description="alarm when it rises by so much within a minute")
    delay_s: Duration = Field(0.0, alias="delay", ge=0, le=3600, description="how long it must last")
    codes: Codes = Field(default_factory=dict, description="codes of a supervised line")

    @model_validator(mode="after")
    def _fits(self) -> "Channel":
        if self.register_ + self.words > ADDRESSES:
            raise BadSetting(say("modbus.addresses", last=ADDRESSES - 1), f"{self.register_} + {self.words}")
        if self.codes and (self.thresholds or self.type == "float32"):
            raise BadSetting(say("sensor.codes-alone"), self.id)
        if self.mask is not None and self.type not in ("uint16", "uint32"):
            raise BadSetting(say("sensor.mask-unsigned"), self.type)
        numbers = [code for codes in self.codes.values() for code in codes]
        if len(numbers) != len(set(numbers)):
            raise BadSetting(say("sensor.codes-once"), self.id)
        low, high = self.alarm_below, self.alarm_above
        if low is not None and high is not None and low + self.hysteresis >= high - self.hysteresis:
            raise BadSetting(say("sensor.thresholds"), f"{low:g} .. {high:g}")
        if self.lowest is not None and self.highest is not None and self.lowest >= self.highest:
            raise BadSetting(say("sensor.range"), f"{self.lowest:g} .. {self.highest:g}")
        if self.scale == 0:
            raise BadSetting(say("sensor.scale"), "0")
        least, most = self.numbers
        if outside := [code for code in numbers if not least <= code <= most]:
            raise BadSetting(say("sensor.code-range", least=f"{least:g}", most=f"{most:g}"), outside[0])
        self._check_reach()
        return self

    def _check_reach(self) -> None:
        """A limit that no valid value can pass, or come back from, makes no alarm, or one without an end. Raises
        BadSetting."""
        low, high = self.reach
        within = say("sensor.reach", low=f"{low:g}", high=f"{high:g}")
        if (above := self.alarm_above) is not None and not (low <= above - self.hysteresis and above < high):
            raise BadSetting(within, f"alarm_above = {above:g}")
        if (below := self.alarm_below) is not None and not (low < below and below + self.hysteresis <= high):
            raise BadSetting(within, f"alarm_below = {below:g}")

    @property
    def numbers(self) -> tuple[float, float]:
        """The lowest and the highest number that its registers can hold."""
        return NUMBERS[self.type] if self.mask is None else (0, self.mask // (self.mask & -self.mask))

    @property
    def reach(self) -> tuple[float, float]:
        """The lowest and the highest valid value."""
        low, high = sorted(number * self.scale + self.offset for number in self.numbers)
        return (
            low if self.lowest is None else max(low, self.lowest),
            high if self.highest is None else min(high, self.highest),
        )

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Every limit that makes an alarm of a value."""
        return tuple(x for x in (self.alarm_above, self.alarm_below, self.rise_per_minute) if x is not None)

    @property
    def words(self) -> int:
        """How many registers it takes."""
        return FORMATS[self.type].size // 2

    def number(self, raw: bytes) -> float:
        """The number in the bytes of its registers, before scale and offset."""
        if self.words == 2:
            raw = bytes(raw[place] for place in ORDERS[self.order])
        elif self.order in ("badc", "dcba"):
            raw = raw[::-1]
        (number,) = FORMATS[self.type].unpack(raw)
        if self.mask is None:
            return float(number)
        return float((number & self.mask) // (self.mask & -self.mask))

    def state(self, raw: bytes) -> tuple[bool, SampleStatus]:
        """What a code says; one that is not configured is no valid value."""
        code = int(self.number(raw))
        for state, codes in self.codes.items():
            if code in codes:
                return STATES[state]
        return False, "invalid"

    def value(self, raw: bytes) -> float | None:
        """The measured value; None if it is none, or out of range."""
        value = self.number(raw) * self.scale + self.offset
        if not math.isfinite(value):
            return None
        if (self.lowest is not None and value < self.lowest) or (self.highest is not None and value > self.highest):
            return None
        return round(value, 6)
