"""Sensors that give measured values over Modbus RTU: gas, smoke, temperature, humidity, voltage, current, pulse fences.

Register, type, scale, unit and limits differ by maker, so they are configured, channel by channel.

Source: MODBUS Application Protocol Specification V1.1b3, 4.2 (byte order), 6.3 (FC03 Read Holding Registers), 6.4 (FC04
Read Input Registers), 7 (exception codes); MODBUS over Serial Line V1.02, 2.5.1 (RTU framing, CRC).
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import model_validator

from agent.driver import (
    NS_PER_S,
    BadFrame,
    BadSetting,
    BusDriver,
    DeviceError,
    Duration,
    Exchange,
    Field,
    Input,
    Link,
    NoReply,
    Seat,
    say,
)
from drivers._modbus import (
    BUSY_CODES,
    READ_HOLDING,
    READ_REGISTERS,
    REGISTERS_MAX,
    REQUEST_BYTES,
    Garbled,
    Refused,
    decode_registers,
    is_begun,
    registers_bytes,
    registers_request,
)
from drivers._outbox import Outbox
from drivers.modbus_sensor.channel import Channel
from drivers.modbus_sensor.watch import Watch

__all__ = ["Channel", "ModbusSensor"]

CHANNELS_MAX: Final = 32
"""Of one unit. A controller with more is several devices to whoever maintains it."""
GONE_S: Final = 3.0
"""A sensor that is silent for so long has lost its power, and must warm up when it is back. A shorter silence is a
disturbed line: to be blind for minutes after each would be worse than a false alarm."""


@dataclass(frozen=True, slots=True)
class Block:
    """Registers that lie together and are read at one go. Gaps are not read across: many devices refuse the whole."""

    function: int
    first: int
    count: int
    channels: tuple[Channel, ...]


def blocks(channels: Sequence[Channel]) -> tuple[Block, ...]:
    """Put channels together into as few reads as there can be."""
    found: list[Block] = []
    for function, name in ((READ_REGISTERS, "input"), (READ_HOLDING, "holding")):
        for channel in sorted((c for c in channels if c.function == name), key=lambda c: c.register_):
            end = channel.register_ + channel.words
            last = found[-1] if found and found[-1].function == function else None
            if last and channel.register_ <= last.first + last.count and end - last.first <= REGISTERS_MAX:
                count = max(last.count, end - last.first)
                found[-1] = Block(function, last.first, count, (*last.channels, channel))
            else:
                found.append(Block(function, channel.register_, channel.words, (channel,)))
    return tuple(found)


class ModbusSensor(BusDriver):
    """A sensor with measured values in registers.

    Source: MODBUS Application Protocol V1.1b3, 4.2, 6.3, 6.4; MODBUS over Serial Line V1.02.
    """

    name: ClassVar[str] = "modbus-sensor"
    retry_cap_s: ClassVar[float] = 5.0
    """A gas detector that comes back should be heard within seconds; asking a silent one costs the others a timeout."""

    unit: int = Field(ge=1, le=247, description="the sensor's address on the line")
    channels: tuple[Channel, ...] = Field(
        alias="channel", min_length=1, max_length=CHANNELS_MAX, description="its measured values"
    )
    poll_every_s: Duration = Field(
        0.5, alias="poll_every", ge=0.05, le=600, description="how often each value is read; buttons keep the line free"
    )
    warm_up_s: Duration = Field(
        0.0, alias="warm_up", ge=0, le=3600, description="how long after power-on its values make no alarm"
    )
    reply_timeout_s: Duration = Field(
        0.2, alias="reply_timeout", ge=0.005, le=1.0, description="how long it may take to begin its reply"
    )

    @model_validator(mode="after")
    def _ids_once(self) -> "ModbusSensor":
        ids = [channel.id for channel in self.channels]
        for id_ in ids:
            if ids.count(id_) > 1:
                raise BadSetting(say("sensor.channel-once"), id_)
        return self

    def inputs_available(self) -> Container[Input]:
        return [channel.id for channel in self.channels]

    def bus_address(self) -> int:
        return self.unit

    def poll(self) -> tuple[Exchange, ...]:
        longest = max(block.count for block in blocks(self.channels))
        return (Exchange(REQUEST_BYTES, registers_bytes(longest)),)

    def output_write(self) -> Exchange | None:
        return None

    def probe_timeout_s(self) -> float:
        return self.reply_timeout_s

    async def run(self, link: Link) -> None:
        if (seat := link.seat) is None:
            raise DeviceError(say("modbus.no-bus", unit=self.unit))
        await _Sensor(self, link, seat).serve()


class _Sensor:
    """One run: what was read since the start."""

    def __init__(self, driver: ModbusSensor, link: Link, seat: Seat) -> None:
        self.driver = driver
        self.link = link
        self.seat = seat
        self.outbox = Outbox(link)
        self.blocks = blocks(driver.channels)
        self.due_ns = [0] * len(self.blocks)
        self.watches = {channel.id: Watch(channel) for channel in driver.channels}
        self.heard_ns: int | None = None
        """When it was heard first: it may have been switched on just then."""
        self.answered_ns = 0
        self.garbled = 0

    async def serve(self) -> None:
        """Poll until cancelled. Raises DeviceError; what was seen by then is handed over first."""
        try:
            async for _ in self.seat.turns():
                self.outbox.check()
                number = min(range(len(self.blocks)), key=self.due_ns.__getitem__)
                if self.link.clock.boottime_ns() >= self.due_ns[number]:
                    await self.turn(number)
                if self.outbox.full:
                    await self.outbox.flush()
        except DeviceError:
            await self.outbox.flush()
            raise
        finally:
            await self.outbox.close()

    async def turn(self, number: int) -> None:
        """Read one block. Raises DeviceError."""
        block = self.blocks[number]
        self.due_ns[number] = self.link.clock.boottime_ns() + round(self.driver.poll_every_s * NS_PER_S)
        try:
            await self.look(block)
        except NoReply as error:
            if is_begun(error.got, self.driver.unit):
                self.unreadable(BadFrame(f"{registers_bytes(block.count)} bytes", error.got))
                return
            if self.link.clock.boottime_ns() - self.answered_ns >= GONE_S * NS_PER_S or self.heard_ns is None:
                raise
        except BadFrame as error:
            self.unreadable(error)
        else:
            self.garbled = 0

    def unreadable(self, error: BadFrame) -> None:
        """Report a reply that cannot be read; who answers is there, and is asked again."""
        self.answered_ns = self.link.clock.boottime_ns()
        self.garbled += 1
        self.link.reject(error.got, Garbled(self.driver.unit, self.garbled, error))

    async def look(self, block: Block) -> None:
        """Read a block and hand over what changed. Raises NoReply, BadFrame, DeviceError."""
        unit = self.driver.unit
        found: bytes | Refused = await self.seat.exchange(
            registers_request(unit, block.function, block.first, block.count),
            lambda data: decode_registers(data, unit, block.function, block.count),
            timeout_s=self.driver.reply_timeout_s,
        )
        if isinstance(found, Refused):
            text = say("modbus.refused", unit=unit, function=f"FC{found.function:02d}", meaning=found.text)
            raise NoReply(text) if found.code in BUSY_CODES else DeviceError(text)
        now_ns = self.link.clock.boottime_ns()
        self.answered_ns = now_ns
        if self.heard_ns is None:
            self.heard_ns = now_ns
        self.link.alive()
        warm = now_ns - self.heard_ns >= self.driver.warm_up_s * NS_PER_S
        for channel in block.channels:
            start = 2 * (channel.register_ - block.first)
            watch = self.watches[channel.id]
            sample = watch.look(found[start : start + 2 * channel.words], now_ns, warm=warm)
            if watch.measure is not None:
                self.link.measure(channel.id, watch.measure, channel.unit)
            if sample is not None:
                self.outbox.add((sample,))
