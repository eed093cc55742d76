"""The contract between the agent and its drivers; all that a file in `drivers/` may import of the agent.

A driver is a frozen model: its fields are its configuration, its state lives in `run`, so a restart starts fresh.
The runtime supervises it: it restarts `run` with backoff, raises the offline fault, logs, and cancels `run` to
stop it. A driver raises `DeviceError` for what only a restart can mend, and hands what it cannot read to
`Link.reject`.
"""

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Container, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Final, Literal, Protocol, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema

from agent.bucket import Bucket
from agent.camera import (
    CAMERA_EVENT_KINDS,
    BadReply,
    CameraError,
    CameraEvent,
    CameraEventKind,
    CameraLink,
    CameraSession,
    Channel,
    Codec,
    Door,
    Features,
    Identity,
    LoginGate,
    LoginRefused,
    LoginTry,
    Move,
    NotOffered,
    Preset,
    Profile,
    Recordings,
    StreamFailed,
    StreamRole,
    StreamSource,
    Transport,
    Unreachable,
)
from agent.clock import NS_PER_S, Clock
from agent.kinds import KINDS
from agent.path import (
    Condition,
    Notice,
    NoticeWhat,
    PathError,
    PathLinkBase,
    PathSession,
    PathSite,
    Supervision,
    Taken,
)
from agent.ports import Baudrate, ListenAddress, PortName, split_listen
from agent.secrets import Secret, SecretError
from agent.texts import Spoken, Text, say
from agent.units import BadSetting, Duration, Size

__all__ = [
    "CAMERA_EVENT_KINDS",
    "NS_PER_S",
    "BadFrame",
    "BadReply",
    "BadSetting",
    "Baudrate",
    "Bucket",
    "BusDriver",
    "CameraDriver",
    "CameraError",
    "CameraEvent",
    "CameraEventKind",
    "CameraLink",
    "CameraSession",
    "Channel",
    "Clock",
    "Codec",
    "Condition",
    "Detail",
    "DeviceError",
    "Door",
    "Driver",
    "Duration",
    "Exchange",
    "Features",
    "Field",
    "Identity",
    "Input",
    "KindName",
    "Link",
    "Listen",
    "ListenAddress",
    "LoginGate",
    "LoginRefused",
    "LoginTry",
    "Modem",
    "Move",
    "NoReply",
    "NotOffered",
    "Notice",
    "NoticeWhat",
    "PathDriver",
    "PathError",
    "PathLink",
    "PathSession",
    "PathSite",
    "Plugin",
    "PortName",
    "Preset",
    "Profile",
    "Recordings",
    "Sample",
    "SampleStatus",
    "Seat",
    "Secret",
    "SecretError",
    "SerialDriver",
    "SerialLine",
    "SerialPort",
    "Size",
    "StreamFailed",
    "StreamRole",
    "StreamSource",
    "Supervision",
    "Table",
    "Taken",
    "Text",
    "Transport",
    "Unreachable",
    "pulse",
    "say",
    "split_listen",
]


def _kind(value: str) -> str:
    if value not in KINDS:
        raise BadSetting(say("config.kind"), value)
    return value


Input = int | str
"""How a driver names one of its inputs: a number counted from 0, or a name."""
Listen = tuple[Literal["tcp", "udp"], str]
"""An address that a driver takes for itself: `("tcp", "0.0.0.0:9999")`."""
KindName = Annotated[str, AfterValidator(_kind), WithJsonSchema({"type": "string", "enum": sorted(KINDS)})]
"""What a device's own words may be called, where no point says it: a name of agent.kinds."""
SampleStatus = Literal["ok", "open", "short", "tamper", "low-battery", "invalid"]
"""What a supervised input says of itself besides its value."""
Detail = Mapping[str, str | int | float | bool | Text]
"""What a device says beside the value: account, zone, user, card. Never a secret; it is published, a `Text` in the
site's language."""
T = TypeVar("T")

SILENCE_S: Final = 10.0
"""For a device that is polled many times a second: a restart is no fault, and a guard hears of a dead one soon."""
REPR_BYTES: Final = 48
"""How much of a bad frame an error shows: enough to recognise it, short enough for a log line."""


class DeviceError(Spoken):
    """The device, its port or its line failed; the runtime restarts the driver with backoff."""


class NoReply(DeviceError):
    """The device did not answer in time; `got` is what came instead of a whole reply."""

    def __init__(self, text: Text, got: bytes = b"") -> None:
        super().__init__(text)
        self.got = got


class BadFrame(Spoken):
    """Bytes that are no valid frame: what was expected, and what came."""

    def __init__(self, expected: str, got: bytes) -> None:
        shown = got[:REPR_BYTES].hex(" ") + (" ..." if len(got) > REPR_BYTES else "")
        super().__init__(say("driver.bad-frame", expected=expected, got=shown or "-", length=len(got)))
        self.expected = expected
        self.got = got


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one input. Drivers emit every change, and every input once after a start.

    `seen_ns` is the boot clock at the look. `previous_ns` is the boot clock at the last look before it, when the
    input still had its other value, or None if there was none or the device reports edges by itself: between the
    two the input may have changed at any time, which is what debouncing must know.

    A device that names its inputs by itself (a panel's zones, a radio's buttons) may speak of one that no point has.
    `kind` is then what it calls it (one of agent.kinds), so that it is told in the right lane. `also` are more general
    names of the same input: any zone with this code, any code of this zone. A point on such a name is active while any
    of the inputs behind it is. `detail` goes into the event; `measure` is the measured value behind a boolean one, in
    `unit`.

    Such a device tells events rather than levels: with `press` an active sample is a press of its own, also while the
    input is active already. Where a release may never come, the input falls back by itself after `hold_s`.
    """

    input: Input
    value: bool | int | float
    seen_ns: int
    previous_ns: int | None = None
    status: SampleStatus = "ok"
    kind: str | None = None
    detail: Detail = field(default_factory=dict, hash=False)
    measure: float | None = None
    unit: str = ""
    also: tuple[Input, ...] = ()
    press: bool = False
    hold_s: float | None = None


def pulse(sample: Sample) -> tuple[Sample, Sample]:
    """A press of something that has no release (a radio button, a read card): on, and off again at once. It falls back
    by itself, so that it is over also for whoever did not come to see its end."""
    press = replace(sample, hold_s=0.0)
    return press, replace(press, value=False, kind=None, detail={}, measure=None, press=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one poll of a device puts on its line, in bytes: for the bus timing that `check-config` shows."""

    request_bytes: int
    reply_bytes: int


class Seat(Protocol):
    """A device's place on a shared bus. One seat at a time speaks; panic units come first in every round."""

    def turns(self) -> AsyncIterator[None]:
        """Yield once in every round, when it is this device's turn; the turn ends when the next is asked for.
        Raises DeviceError when the port cannot be opened or is lost."""
        ...

    async def exchange(self, request: bytes, decode: Callable[[bytes], T | None], *, timeout_s: float) -> T:
        """Write `request`, collect the reply until `decode` returns a value, and return that. Only in a turn.

        `decode` gets all bytes so far and returns None while more are needed. Raises NoReply after `timeout_s`
        (counted from the end of the request on the line), BadFrame as `decode` raised it (the line is then
        drained), and DeviceError when the port is lost."""
        ...


@dataclass(frozen=True, slots=True)
class Modem:
    """The input lines of a serial port, as RS-232 names them."""

    cts: bool
    dsr: bool
    dcd: bool
    ri: bool


class SerialLine(Protocol):
    """An open port of the driver's own. What came and was not read is bounded; a driver that reads too slowly for it
    loses the oldest."""

    async def read(self) -> bytes:
        """Wait for bytes, and return all that have come. Raises DeviceError when the port is lost."""
        ...

    def write(self, data: bytes) -> None:
        """Send. Raises DeviceError if the port is lost or does not take it all at once."""
        ...

    def modem(self) -> Modem:
        """The modem lines now. Raises DeviceError if the port is lost, or has none."""
        ...

    def set_modem(self, *, rts: bool, dtr: bool) -> None:
        """Set the output lines. Raises DeviceError as above."""
        ...


class Link(Protocol):
    """What the runtime offers one running driver."""

    @property
    def clock(self) -> Clock: ...

    @property
    def seat(self) -> Seat | None:
        """The device's place on its bus; None for a driver without one."""
        ...

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs that points have, for a device that speaks of all of them at once."""
        ...

    @property
    def desired(self) -> Mapping[int, bool]:
        """The outputs as the agent wants them now. The driver makes it so, also after the device restarted, and
        answers each with `wrote`. An output that is not in here is left alone."""
        ...

    def serial(self, settings: "SerialDriver") -> AbstractAsyncContextManager[SerialLine]:
        """Open a port for this driver alone; it is given back at the end of the block. Raises DeviceError that says
        what is wrong with the port."""
        ...

    def wrote(self, output: int, value: bool) -> None:
        """The device has confirmed an output."""
        ...

    async def emit(self, *samples: Sample) -> None:
        """Hand over samples; returns when every event that they cause is durable, so that the driver may then
        acknowledge its panel. Also counts as `alive`."""
        ...

    def measure(self, input: Input, value: float, unit: str) -> None:
        """Hand over a measured value as it is now, for curves and rules: not durable, never waits."""
        ...

    def alive(self) -> None:
        """The device was heard: it is not offline."""
        ...

    def reject(self, raw: bytes, error: BadFrame) -> None:
        """Count and report bytes that could not be read. Never waits."""
        ...

    def identify(self, **facts: str) -> None:
        """Tell what the device says of itself: maker, model, firmware, serial."""
        ...


class Plugin(BaseModel):
    """A protocol, of devices or of cameras. Subclasses name their source in the docstring, and describe every field. A
    field with a unit has the unit in its name and TOML's key as its alias; Python code may use either."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    name: ClassVar[str]
    """As configuration writes it: `driver = "modbus-io"` is class `ModbusIo` in `drivers/modbus_io.py`."""


class Table(BaseModel):
    """A table inside a driver's, as `[[device.channel]]` is: fields as in a driver. `table` begins the keys of its
    texts in the catalogue: `driver-modbus-sensor-channel`, the key of the driver's own field."""

    model_config = Plugin.model_config

    table: ClassVar[str]


class CameraDriver(Plugin):
    """A protocol of cameras and recorders (agent.camera). It runs in the eye; the core only reads its settings, so
    its module loads what is heavy inside `open`."""

    @abstractmethod
    async def open(self, link: CameraLink) -> CameraSession:
        """Begin a conversation. Raises CameraError. Tries a login at most once."""


class Driver(Plugin):
    """A protocol of devices."""

    retry_cap_s: ClassVar[float] = 60.0
    """The longest wait between two starts of a device that fails. On a bus it grows with the number of units that are
    away, so that those that are there keep the line."""
    supervised: ClassVar[bool] = True
    """Whether a device of this sort is heard while nothing happens. Of one that is not, silence says nothing: it may be
    dead. It counts as there from `alive` after its port was opened until its driver fails."""

    tells_events: ClassVar[bool] = False
    """Whether it tells events that a device has judged, as a panel does, rather than what it sees at a contact: points
    are then not debounced unless their configuration says so."""

    def silence_s(self) -> float | None:
        """How long the device may be silent, where the configuration has no `offline_after`; None if silence says
        nothing."""
        return SILENCE_S if self.supervised else None

    def inputs_available(self) -> Container[Input]:
        """The inputs that a point may name."""
        return ()

    def outputs_available(self) -> Container[int]:
        """The outputs that a lamp or a siren may name."""
        return ()

    def listens(self) -> tuple[Listen, ...]:
        """The addresses that it listens on, which nobody else may."""
        return ()

    @abstractmethod
    async def run(self, link: Link) -> None:
        """Serve the device until cancelled. Raises DeviceError; releases all it holds on the way out."""


class BusDriver(Driver):
    """A driver of one unit among several on a shared line; it takes turns on `link.seat`."""

    def bus_address(self) -> int:
        """The unit's address, which no other unit of the bus may have."""
        raise NotImplementedError

    def poll(self) -> tuple[Exchange, ...]:
        """The exchanges of one poll without output changes."""
        raise NotImplementedError

    def output_write(self) -> Exchange | None:
        """The exchange that changes an output; None if there are no outputs."""
        raise NotImplementedError

    def probe_timeout_s(self) -> float:
        """How long the line stands still when this unit is dead and is probed."""
        raise NotImplementedError

    def input_hold_s(self) -> float:
        """How long the device itself holds a short press (its own latch); 0 if it does not."""
        return 0.0


class SerialPort(Plugin):
    """The settings of a serial port that is one plugin's own. Subclasses give the defaults of their device by
    declaring a field anew."""

    port: PortName = Field(description="serial device, socket://host:port or rfc2217://host:port")
    baudrate: Baudrate = Field(9600, description="speed of the line")
    bytesize: Literal[7, 8] = Field(8, description="data bits")
    parity: Literal["N", "E", "O"] = Field("N", description="parity")
    stopbits: Literal[1, 2] = Field(1, description="stop bits")


class SerialDriver(Driver, SerialPort):
    """A driver with a serial port of its own; `link.serial(self)` opens it."""


class PathLink(PathLinkBase, Protocol):
    """What the runtime offers one path."""

    def serial(self, settings: SerialPort) -> AbstractAsyncContextManager[SerialLine]:
        """Open a port for this path alone. Raises DeviceError that says what is wrong with it."""
        ...


class PathDriver(Plugin):
    """A second path (agent.path). Runs in the core, so its module loads what is heavy inside `open`."""

    tells: ClassVar[frozenset[NoticeWhat]] = frozenset({"alarm", "acknowledged", "ended", "test"})
    """What it can say; it is asked to say nothing else."""

    @abstractmethod
    def supervision(self) -> Supervision:
        """How it is to be watched."""

    @abstractmethod
    async def open(self, link: PathLink) -> PathSession:
        """Begin a conversation. Raises PathError."""
