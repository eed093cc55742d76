"""Modbus RTU modules with digital inputs (buttons, detectors) and coils (lamps, sirens) on a shared serial line.

Source: MODBUS Application Protocol Specification V1.1b3, 6.1 (FC01 Read Coils), 6.2 (FC02 Read Discrete Inputs),
6.5 (FC05 Write Single Coil), 6.11 (FC15 Write Multiple Coils), 7 (exception codes); MODBUS over Serial Line V1.02,
2.5.1 (RTU framing, CRC). Common 8-in/8-out module: FC02 inputs 0-7, coils 0-7, 9600 8N1, unit 1.
"""

import random
from collections.abc import Collection, Container, Mapping, Sequence
from typing import ClassVar, Final, Literal

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
    Sample,
    Seat,
    Text,
    say,
)
from drivers._modbus import (
    ADDRESSES,
    BUSY_CODES,
    READ_COILS,
    READ_INPUTS,
    READ_MAX,
    REQUEST_BYTES,
    WRITE_MAX,
    Garbled,
    Refused,
    decode_bits,
    decode_write,
    is_begun,
    read_request,
    reply_bytes,
    write_reply,
    write_request,
)
from drivers._outbox import Outbox

MISSES_ALLOWED: Final = 3
"""Silences in a row before the module counts as failed: a spark costs one, a module that restarts some more."""
REFRESH_S: Final = 5.0
"""How often the coils are read back: a module that lost its power for an instant, unseen, shows it within this time.
Reading is as short as a poll (a write is not), so even then a press of 50 ms meets a look on a line of its own."""
OUTPUT_RETRY_S: Final = 5.0
"""A module that refuses or ignores a write is asked again after so long: its inputs matter more than its lamps."""


class WriteFailed(BadFrame):
    """An output could not be written: what the module said, in words."""

    def __init__(self, text: Text, expected: bytes, got: bytes) -> None:
        super().__init__(expected.hex(" "), got)
        self.args = (text,)
        self.text = text


def next_write(wanted: Mapping[int, bool], changed: Collection[int]) -> tuple[int, tuple[bool, ...]]:
    """Choose what to write first: the lowest changed output and all changed ones that follow it, as long as nothing
    lies between that is to be left alone. Returns the first output, and the values from it on."""
    first = last = min(changed)
    for output in sorted(changed):
        if not all(between in wanted for between in range(last, output)):
            break
        last = output
    return first, tuple(wanted[output] for output in range(first, last + 1))


class ModbusIo(BusDriver):
    """A module with digital inputs and coils.

    Source: MODBUS Application Protocol V1.1b3, 6.1, 6.2, 6.5, 6.11; MODBUS over Serial Line V1.02.
    """

    name: ClassVar[str] = "modbus-io"
    retry_cap_s: ClassVar[float] = 2.0
    """A module that comes back may have a panic button. Asking a silent one costs the others one reply timeout, 5 % of
    2 s; the more of them are silent, the less often the agent asks each."""

    unit: int = Field(ge=1, le=247, description="the module's address on the line")
    inputs: int = Field(8, ge=1, le=READ_MAX, description="how many inputs it has")
    outputs: int = Field(0, ge=0, le=WRITE_MAX, description="how many coils it has that may be switched")
    function: Literal["discrete", "coil"] = Field(
        "discrete", description="how inputs are read: discrete inputs (FC02), or coils (FC01) on modules without"
    )
    first_input: int = Field(0, ge=0, lt=ADDRESSES, description="Modbus address of input 0, counted from 0")
    first_output: int = Field(0, ge=0, lt=ADDRESSES, description="Modbus address of output 0, counted from 0")
    reply_timeout_s: Duration = Field(
        0.1,
        alias="reply_timeout",
        ge=0.005,
        le=1.0,
        description="how long it may take to begin its reply; modules take 2-10 ms, USB and network adapters add 20-50",
    )
    hold_s: Duration = Field(
        0.0,
        alias="input_hold",
        ge=0,
        le=60,
        description="how long the module itself holds a short press; 0 if it does not",
    )

    @model_validator(mode="after")
    def _addresses_fit(self) -> "ModbusIo":
        for first, count in ((self.first_input, self.inputs), (self.first_output, self.outputs)):
            if first + count > ADDRESSES:
                raise BadSetting(say("modbus.addresses", last=ADDRESSES - 1), f"{first} + {count}")
        return self

    @property
    def read_function(self) -> int:
        """The function code that reads the inputs."""
        return READ_INPUTS if self.function == "discrete" else READ_COILS

    def inputs_available(self) -> Container[Input]:
        return range(self.inputs)

    def outputs_available(self) -> Container[int]:
        return range(self.outputs)

    def bus_address(self) -> int:
        return self.unit

    def poll(self) -> tuple[Exchange, ...]:
        return (Exchange(REQUEST_BYTES, reply_bytes(self.inputs)),)

    def output_write(self) -> Exchange | None:
        if self.outputs == 0:
            return None
        values = [False] * self.outputs
        return Exchange(len(write_request(self.unit, 0, values)), len(write_reply(self.unit, 0, values)))

    def probe_timeout_s(self) -> float:
        return self.reply_timeout_s

    def input_hold_s(self) -> float:
        return self.hold_s

    async def run(self, link: Link) -> None:
        if (seat := link.seat) is None:
            raise DeviceError(say("modbus.no-bus", unit=self.unit))
        await _Module(self, link, seat).serve()


class _Module:
    """One run: what was read and written since the start."""

    def __init__(self, driver: ModbusIo, link: Link, seat: Seat) -> None:
        self.driver = driver
        self.link = link
        self.seat = seat
        self.outbox = Outbox(link)
        self.heard = False
        self.misses = 0
        self.garbled = 0
        """Replies in a row that could not be read."""

        self.request = read_request(driver.unit, driver.read_function, driver.first_input, driver.inputs)
        self.values: tuple[bool, ...] = ()
        self.raw = b""
        """The last good reply: the same bytes again need no second look at them."""
        self.looked_ns = 0

        self.written: dict[int, bool] = {}
        self.retry_ns: dict[int, int] = {}
        """When to try those outputs again that were not confirmed."""
        self.write_failures = 0
        self.refresh_ns = 0
        self.reads_coils = driver.function == "discrete"
        """Whether coils can be read back. Not where inputs are read with FC01 too: a late reply to one could be
        taken for the other's."""

    async def serve(self) -> None:
        """Poll until cancelled. Raises DeviceError; what was seen by then is handed over first."""
        try:
            async for _ in self.seat.turns():
                self.outbox.check()
                await self.turn()
                if self.outbox.full:
                    await self.outbox.flush()
        except DeviceError:
            await self.outbox.flush()
            raise
        finally:
            await self.outbox.close()

    async def turn(self) -> None:
        """Look at the inputs, then see to one output. The inputs come first, so a write delays the next unit's look
        and not this one's."""
        try:
            await self.look()
        except NoReply as error:
            if is_begun(error.got, self.driver.unit):
                self.unreadable(BadFrame(f"{reply_bytes(self.driver.inputs)} bytes", error.got))
            else:
                self.missed(error)
        except BadFrame as error:
            self.unreadable(error)
        else:
            self.heard = True
            self.misses = self.garbled = 0
            if self.driver.outputs and self.link.desired != self.written:
                await self.write()
            elif self.written and self.link.clock.boottime_ns() >= self.refresh_ns:
                await self.refresh()

    def missed(self, error: NoReply) -> None:
        """Count a missed reply; raise `error` if the module is gone."""
        self.misses += 1
        self.garbled = 0
        self.written.clear()  # it may have lost its power, and its coils with it
        if self.misses >= MISSES_ALLOWED or not self.heard:
            raise error

    def unreadable(self, error: BadFrame) -> None:
        """Report a reply that cannot be read. Who answers is alive, and its next reply may show a press: it is asked
        in every round, as before. It is not `alive` to the agent, which tells it offline if nothing better comes."""
        self.heard = True
        self.misses = 0
        self.garbled += 1
        self.link.reject(error.got, Garbled(self.driver.unit, self.garbled, error))

    async def look(self) -> None:
        """Read the inputs and hand over what changed. Raises NoReply, BadFrame, DeviceError."""
        asked_ns = self.link.clock.boottime_ns()
        timeout_s = self.driver.reply_timeout_s
        found: tuple[bool, ...] | Refused = await self.seat.exchange(self.request, self.decode, timeout_s=timeout_s)
        if isinstance(found, Refused):
            if found.code in BUSY_CODES:
                raise NoReply(self.refusal(found))
            raise DeviceError(self.refusal(found))
        self.link.alive()
        if found is not self.values:
            self.outbox.add(changes(self.values, found, self.link.clock.boottime_ns(), self.looked_ns))
            self.values = found
        self.looked_ns = asked_ns

    def decode(self, data: bytes) -> tuple[bool, ...] | Refused | None:
        if data == self.raw:
            return self.values
        found = decode_bits(data, self.driver.unit, self.driver.read_function, self.driver.inputs)
        if isinstance(found, tuple):
            if found == self.values:
                found = self.values
            self.raw = data
        return found

    def refusal(self, found: Refused) -> Text:
        """Say what the module refused."""
        return say("modbus.refused", unit=self.driver.unit, function=f"FC{found.function:02d}", meaning=found.text)

    async def write(self) -> None:
        """Bring one run of outputs to what is wanted. Failure costs the lamp, not the buttons: it is reported, and
        tried again later. Raises DeviceError when the port is lost."""
        wanted = {output: value for output, value in self.link.desired.items() if output < self.driver.outputs}
        for output in [output for output in self.written if output not in wanted]:
            del self.written[output]
        now_ns = self.link.clock.boottime_ns()
        changed = [
            output
            for output, value in wanted.items()
            if self.written.get(output) is not value and now_ns >= self.retry_ns.get(output, 0)
        ]
        if not changed:
            return
        if not self.written:
            self.refresh_ns = self.next_refresh_ns(now_ns)
        first, values = next_write(wanted, changed)
        unit, address = self.driver.unit, self.driver.first_output + first
        expected = write_reply(unit, address, values)
        request = write_request(unit, address, values)
        if await self.confirmed(request, expected):
            self.write_failures = 0
            for output, value in enumerate(values, first):
                self.written[output] = value
                self.retry_ns.pop(output, None)
                self.link.wrote(output, value)
        else:
            self.write_failures += 1
            wait_s = OUTPUT_RETRY_S if self.write_failures > 1 else 0.0  # the first may have been a spark
            retry_ns = now_ns + round(wait_s * NS_PER_S)
            self.retry_ns.update(dict.fromkeys(range(first, first + len(values)), retry_ns))

    async def confirmed(self, request: bytes, expected: bytes) -> bool:
        """Write, and report it if the module does not confirm."""
        got = b""
        try:
            answer = await self.seat.exchange(
                request, lambda data: decode_write(data, expected), timeout_s=self.driver.reply_timeout_s
            )
        except NoReply as error:
            why = error.text
        except BadFrame as error:
            why, got = error.text, error.got
        else:
            if answer is True:
                return True
            assert isinstance(answer, Refused)
            why = self.refusal(answer)
        text = say("modbus.not-written", unit=self.driver.unit, error=why)
        self.link.reject(got, WriteFailed(text, expected, got))
        return False

    async def refresh(self) -> None:
        """Read the coils back; those that are not as written are forgotten, and so written again. Where coils cannot
        be read, all are."""
        driver = self.driver
        self.refresh_ns = self.next_refresh_ns(self.link.clock.boottime_ns())
        if not self.reads_coils:
            self.written.clear()
            return
        request = read_request(driver.unit, READ_COILS, driver.first_output, driver.outputs)
        try:
            coils: tuple[bool, ...] | Refused = await self.seat.exchange(
                request,
                lambda data: decode_bits(data, driver.unit, READ_COILS, driver.outputs),
                timeout_s=driver.reply_timeout_s,
            )
        except (NoReply, BadFrame):
            self.written.clear()
            return
        if isinstance(coils, Refused):
            self.reads_coils = False
            return
        for output in [output for output, value in self.written.items() if coils[output] is not value]:
            del self.written[output]

    @staticmethod
    def next_refresh_ns(now_ns: int) -> int:
        """When to read the coils back; with jitter, so that not all units do it in one round."""
        return now_ns + round(REFRESH_S * random.uniform(0.7, 1.0) * NS_PER_S)


def changes(old: Sequence[bool], new: Sequence[bool], seen_ns: int, previous_ns: int) -> list[Sample]:
    """Return a sample for each input that differs; for every input if there is no old look."""
    if not old:
        return [Sample(number, value, seen_ns) for number, value in enumerate(new)]
    return [
        Sample(number, value, seen_ns, previous_ns)
        for number, (before, value) in enumerate(zip(old, new, strict=True))
        if before is not value
    ]
