"""Doors and card readers over OSDP (RS-485): cards granted or denied from a local list, doors forced and held open,
tamper, secure channel.

Source: IEC 60839-11-5:2020 (OSDP v2), spoken by libosdp (Apache-2.0, https://github.com/osdp-dev/libosdp). The
library does addressing, sequence, retries and the secure channel (SCP03, AES-128); bytes come and go through here.
"""

import asyncio
import re
from collections.abc import Container, Mapping
from contextlib import suppress
from typing import Any, ClassVar, Final

from pydantic import field_validator, model_validator

from agent.driver import (
    NS_PER_S,
    BadSetting,
    Baudrate,
    DeviceError,
    Duration,
    Field,
    Input,
    Link,
    Sample,
    Secret,
    SecretError,
    SerialDriver,
    SerialLine,
    Table,
    pulse,
    say,
)
from drivers.osdp.cards import CardList, card_number, find
from drivers.osdp.door import Door
from drivers.osdp.frames import LONGEST, Scanner

__all__ = ["Osdp", "Reader"]

REFRESH_S: Final = 0.02
"""How often the library is given the line; it asks each reader every 50 ms, and answers within 200 ms are in time."""
STALE_S: Final = 0.5
"""A packet that is not complete after so long will not be: the longest takes 1.5 s at 9600 baud only in theory, no
reader sends one."""
MISSING_S: Final = 5.0
"""A reader that has not answered so long after the start is missing; a secure channel takes half a second."""
FRESH_S: Final = 3.0
"""A reader that tells its inputs to a panel that is new does so at once. Later than that it tells a change: a door that
is then seen for the first time, and open, was shut before."""
AGAIN_S: Final = 3.0
"""How often a reader that is away is asked: each try costs the others one reply timeout, 200 ms."""
UNREAD_BYTES: Final = 4 * LONGEST
"""What may wait for the library; it reads everything 50 times a second."""
UNLOCK: Final = 5
"""Output control code: on for a time, then back (IEC 60839-11-5, 6.10)."""
LED_SET: Final = 2
BUZZER_TONE: Final = 2
TICK_S: Final = 0.1
"""OSDP counts times of outputs, lights and tones in tenths of a second."""
SHOW_S: Final = 2.0
"""How long the reader's light and tone tell what became of a card."""
KEY: Final = re.compile(r"[0-9A-Fa-f]{32}")
STATES: Final = ("door", "forced", "held", "tamper", "power", "lost")
PULSES: Final = ("granted", "denied")
KINDS: Final = {
    "denied": "door-denied",
    "forced": "door-forced",
    "held": "door-held",
    "tamper": "tamper",
    "power": "mains-lost",
    "lost": "supervision-lost",
}
"""What is told of an input that no point has. Grants and openings are everyday; who wants them gives them a point."""


class Reader(Table):
    """A reader on the line, and its door."""

    table: ClassVar[str] = "driver-osdp-reader"

    id: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$", description="the reader's name, the first part of its inputs")
    address: int = Field(ge=0, le=126, description="the reader's OSDP address")
    key: Secret | None = Field(None, description="key of the secure channel, 32 hexadecimal digits")
    door_input: int | None = Field(None, ge=0, le=63, description="which of the reader's inputs is the door contact")
    open_is: int = Field(1, ge=0, le=1, description="what that input shows when the door is open")
    exit_input: int | None = Field(None, ge=0, le=63, description="which of its inputs is the button inside")
    held_after_s: Duration = Field(30.0, alias="held_after", ge=1, le=3600, description="how long it may stand open")
    unlock_output: int | None = Field(None, ge=0, le=63, description="which of its outputs opens the door")
    unlock_s: Duration = Field(5.0, alias="unlock", ge=0.1, le=25, description="for how long")

    @field_validator("key")
    @classmethod
    def _literal_is_hex(cls, key: Secret | None) -> Secret | None:
        if key is not None and key.source == "literal" and not KEY.fullmatch(key.reveal()):
            raise BadSetting(say("osdp.key"), say("osdp.key-other"))
        return key


class Osdp(SerialDriver):
    """Card readers with their doors on one RS-485 line.

    Source: IEC 60839-11-5:2020 (OSDP v2), by libosdp.
    """

    name: ClassVar[str] = "osdp"
    retry_cap_s: ClassVar[float] = 5.0

    baudrate: Baudrate = Field(9600, description="speed of the line")
    readers: tuple[Reader, ...] = Field(alias="reader", min_length=1, max_length=32, description="its readers")
    cards: str | None = Field(None, pattern=r"^/", description="file with the cards that may enter")

    @model_validator(mode="after")
    def _once(self) -> "Osdp":
        for values in ([reader.id for reader in self.readers], [str(reader.address) for reader in self.readers]):
            for value in values:
                if values.count(value) > 1:
                    raise BadSetting(say("osdp.reader-once"), value)
        return self

    def inputs_available(self) -> Container[Input]:
        return [f"{reader.id}/{name}" for reader in self.readers for name in (*PULSES, *STATES)]

    async def run(self, link: Link) -> None:
        keys = [self._key(reader) for reader in self.readers]
        cards = CardList(self.cards) if self.cards else None
        if cards:
            cards.cards()  # a list that is not there is told before a door is served
        async with link.serial(self) as line:
            await _Line(self, link, line, keys, cards).serve()

    @staticmethod
    def _key(reader: Reader) -> bytes | None:
        if reader.key is None:
            return None
        try:
            text = reader.key.reveal()
        except SecretError as error:
            raise DeviceError(error.text) from error
        if not KEY.fullmatch(text):
            raise DeviceError(say("osdp.bad-key", reader=reader.id))
        return bytes.fromhex(text)


class _Wire:
    """What the library reads from and writes to (osdp.Channel)."""

    def __init__(self, line: SerialLine) -> None:
        self._line = line
        self._unread = bytearray()
        self.error: DeviceError | None = None

    def feed(self, packet: bytes) -> None:
        """Take a packet from the line."""
        self._unread += packet
        del self._unread[:-UNREAD_BYTES]

    def read(self, max_bytes: int) -> bytes:
        data = bytes(self._unread[:max_bytes])
        del self._unread[:max_bytes]
        return data

    def write(self, data: bytes) -> int:
        try:
            self._line.write(bytes(data))
        except DeviceError as error:  # it must not pass through the library
            self.error = error
        return len(data)

    def flush(self) -> None:
        self._unread.clear()


class _Line:
    """One run: the line, the library's panel, the doors."""

    def __init__(
        self, driver: Osdp, link: Link, line: SerialLine, keys: list[bytes | None], cards: CardList | None
    ) -> None:
        self.driver = driver
        self.link = link
        self.line = line
        self.cards = cards
        self.wire = _Wire(line)
        self.scanner = Scanner()
        self.came_ns = 0
        self.started_ns = link.clock.boottime_ns()
        self.doors = [Door(reader.held_after_s) for reader in driver.readers]
        self.told: dict[str, bool] = {}
        self.identified: set[int] = set()
        self.online_ns: dict[int, int] = {}
        """Since when each reader answers."""
        self.ask_again_ns = [self.started_ns + round(MISSING_S * NS_PER_S)] * len(driver.readers)
        self.events: list[tuple[int, dict[str, Any]]] = []
        self.orders: list[tuple[int, dict[str, Any]]] = []
        self.panel = _panel(driver.readers, keys, self.wire, lambda pd, event: self.events.append((pd, event)))

    async def serve(self) -> None:
        """Serve the line until cancelled. Raises DeviceError."""
        listening = asyncio.get_running_loop().create_task(self._listen())
        try:
            while True:
                if listening.done():
                    listening.result()
                self.panel.refresh()
                if self.wire.error is not None:
                    raise self.wire.error
                await self._turn(self.link.clock.boottime_ns())
                await self.link.clock.sleep(REFRESH_S)
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, DeviceError):
                await listening

    async def _listen(self) -> None:
        while True:
            data = await self.line.read()
            self.came_ns = self.link.clock.boottime_ns()
            packets, errors = self.scanner.feed(data)
            for packet in packets:
                self.wire.feed(packet)
            for error in errors:
                self.link.reject(error.got, error)

    async def _turn(self, now_ns: int) -> None:
        if now_ns - self.came_ns > STALE_S * NS_PER_S:
            for error in self.scanner.give_up():
                self.link.reject(error.got, error)
        online = self.panel.status()
        samples: list[Sample] = []
        for number, reader in enumerate(self.driver.readers):
            is_there = bool(online >> number & 1)
            if is_there:
                self.online_ns.setdefault(number, now_ns)
            else:
                self.online_ns.pop(number, None)
            if is_there or f"{reader.id}/lost" in self.told or self._long_silent(now_ns):
                samples += self._state(reader, "lost", not is_there, now_ns)
            if is_there and number not in self.identified:
                self._identify(number)
            if not is_there and now_ns >= self.ask_again_ns[number]:
                self._ask_again(number, now_ns)
        events, self.events = self.events, []
        for number, event in events:
            samples += self._event(number, event, now_ns)
        for reader, door in zip(self.driver.readers, self.doors, strict=True):
            if door.state is not None:
                samples += self._door(reader, door, now_ns)
        if samples:
            await self.link.emit(*samples)
        elif online:
            self.link.alive()
        orders, self.orders = self.orders, []
        for number, order in orders:
            self.panel.submit_command(number, order)

    def _long_silent(self, now_ns: int) -> bool:
        """Whether a reader that never answered has had its time."""
        return now_ns - self.started_ns > MISSING_S * NS_PER_S

    def _ask_again(self, number: int, now_ns: int) -> None:
        """A reader that is away is asked again after seconds; the library alone would wait for minutes. It forgets its
        wait when the reader is switched off and on."""
        if self.panel.is_pd_enabled(number):
            self.panel.disable_pd(number)
        elif self.panel.enable_pd(number):
            self.ask_again_ns[number] = now_ns + round(AGAIN_S * NS_PER_S)

    def _identify(self, number: int) -> None:
        self.identified.add(number)
        about = self.panel.get_pd_id(number)
        if isinstance(about, Mapping) and len(self.driver.readers) == 1:
            vendor = about["vendor_code"] & 0xFFFFFF
            self.link.identify(
                maker=f"OUI {vendor:06X}", model=str(about["model"]), firmware=str(about["firmware_version"])
            )

    def _event(self, number: int, event: Mapping[str, Any], now_ns: int) -> list[Sample]:
        import osdp  # type: ignore[import-untyped]  # it has none

        reader = self.driver.readers[number]
        match event.get("event"):
            case osdp.Event.CardRead:
                return self._card(number, reader, event, now_ns)
            case osdp.Event.Status if event.get("type") == osdp.StatusReportType.Local:
                tamper, power = (*bytes(event["report"]), 0, 0)[:2]
                return [
                    *self._state(reader, "tamper", bool(tamper), now_ns),
                    *self._state(reader, "power", bool(power), now_ns),
                ]
            case osdp.Event.Status if event.get("type") == osdp.StatusReportType.Input:
                return self._inputs(number, reader, bytes(event["report"]), now_ns)
        return []

    def _inputs(self, number: int, reader: Reader, report: bytes, now_ns: int) -> list[Sample]:
        door = self.doors[number]
        if reader.exit_input is not None and reader.exit_input < len(report) and report[reader.exit_input]:
            door.allow(now_ns)
        if reader.door_input is None or reader.door_input >= len(report):
            return []
        is_open = bool(report[reader.door_input]) == bool(reader.open_is)
        if door.state is None and is_open and now_ns - self.online_ns.get(number, now_ns) > FRESH_S * NS_PER_S:
            door.contact(False, now_ns)
        door.contact(is_open, now_ns)
        return self._door(reader, door, now_ns)

    def _door(self, reader: Reader, door: Door, now_ns: int) -> list[Sample]:
        state = door.tick(now_ns)
        return [
            *self._state(reader, "door", state.open, now_ns),
            *self._state(reader, "forced", state.forced, now_ns),
            *self._state(reader, "held", state.held, now_ns),
        ]

    def _card(self, number: int, reader: Reader, event: Mapping[str, Any], now_ns: int) -> list[Sample]:
        data = bytes(event["data"])
        card = card_number(data, int(event.get("length", 8 * len(data))))
        known = find(self.cards.cards(), card) if self.cards else None
        granted = known is not None and known.opens(reader.id)
        if granted:
            self.doors[number].allow(now_ns)
        self._answer(number, reader, granted=granted)
        name = "granted" if granted else "denied"
        detail = {"card": card, **({"holder": known.name} if known and known.name else {})}
        return [*pulse(Sample(f"{reader.id}/{name}", True, now_ns, kind=KINDS.get(name), detail=detail))]

    def _answer(self, number: int, reader: Reader, *, granted: bool) -> None:
        """Open the door, and let the reader show what became of the card."""
        import osdp

        if granted and reader.unlock_output is not None:
            order = {"output_no": reader.unlock_output, "control_code": UNLOCK, "timer_count": _ticks(reader.unlock_s)}
            self.orders.append((number, {"command": osdp.Command.Output, **order}))
        light: dict[str, Any] = {"reader": 0, "led_number": 0, "temporary": True, "control_code": LED_SET}
        light["timer_count"] = _ticks(SHOW_S)
        light["on_color"] = osdp.CommandLEDColor.Green if granted else osdp.CommandLEDColor.Red
        blink = {"on_count": 2, "off_count": 0 if granted else 2, "off_color": osdp.CommandLEDColor.Black}
        self.orders.append((number, {"command": osdp.Command.LED, **light, **blink}))
        tone = {"reader": 0, "control_code": BUZZER_TONE, "on_count": 1, "off_count": 1}
        self.orders.append((number, {"command": osdp.Command.Buzzer, **tone, "rep_count": 1 if granted else 3}))

    def _state(self, reader: Reader, name: str, value: bool, now_ns: int) -> list[Sample]:
        """A sample if the input has changed, or was not told yet."""
        input_ = f"{reader.id}/{name}"
        if self.told.get(input_) is value:
            return []
        self.told[input_] = value
        return [Sample(input_, value, now_ns, kind=KINDS.get(name), detail={"reader": reader.id})]


def _ticks(seconds: float) -> int:
    return round(seconds / TICK_S)


def _panel(readers: tuple[Reader, ...], keys: list[bytes | None], wire: _Wire, on_event: Any) -> Any:
    """The library's control panel, driven from here instead of its own thread."""
    import osdp

    infos = [
        osdp.PDInfo(
            reader.address,
            wire,
            scbk=key,
            flags=[osdp.LibFlag.EnforceSecure] if key else [],
            name=reader.id,
        )
        for reader, key in zip(readers, keys, strict=True)
    ]
    panel = osdp.ControlPanel(infos, log_level=osdp.LogLevel.Emergency)

    def heard(number: int, event: dict[str, Any]) -> int:
        on_event(number, event)
        return 0

    panel.ctx.set_event_callback(heard)  # past the library's own queue, which nobody would empty
    return panel.ctx
