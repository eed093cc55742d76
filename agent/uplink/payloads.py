"""Every message between school and district as a type: read with these, generated into JSON Schema from these.

Shapes: DESIGN 6. An event is a CloudEvents 1.0.2 JSON object (structured mode); times are RFC 3339 with offset.
Members that we send are all required; unknown members of what we receive are ignored, so that a district may add
its own.
"""

from datetime import datetime
from typing import Annotated, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agent.model import ClockQuality, Command, PointState, Receipt, Reply
from agent.texts import Spoken, say
from agent.uplink.topics import COMMAND_ID

PAYLOAD_LIMIT: Final = 64 * 1024
"""Bytes of a command or receipt. The longest sensible one, a receipt with a few hundred ranges, has 10 KiB."""
RANGES_LIMIT: Final = 1000
"""Ranges in a receipt's `also`: lanes overtake each other in a few places, so a hundred is already odd."""
SEQ_LIMIT: Final = 2**53 - 1
"""The largest integer that every JSON reader keeps exactly (RFC 8259 6)."""
NAME_LIMIT: Final = 128
SHOWN_PROBLEMS: Final = 3

Seq = Annotated[int, Field(ge=0, le=SEQ_LIMIT)]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_LIMIT)]
CommandId = Annotated[str, StringConstraints(pattern=f"^{COMMAND_ID.pattern}$")]


class Sent(BaseModel):
    """A message of the school."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Received(BaseModel):
    """A message of the district."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Due(Sent):
    """What the district does not hold yet, by lane."""

    alarm: int = Field(ge=0)
    fault: int = Field(ge=0)
    event: int = Field(ge=0)


class StatusMessage(Sent):
    """`status`, retained: birth, heartbeat every 30 s, will, and the last word of a clean shutdown."""

    state: Literal["online", "offline"] = Field(description="offline also comes from the broker, as the will")
    session: str = Field(description="one run of the agent, a ULID")
    journal: str = Field(description="the journal whose chain `seq` and `hash` end")
    seq: Seq = Field(description="the last event of the chain")
    hash: Hash = Field(description="its hash; 64 zeros for an empty journal")
    due: Due
    oldest_due: Time | None = Field(description="time of the oldest event that is due")
    version: str = Field(description="of campus-agent")
    clock: ClockQuality
    started: Time
    drill: bool = Field(description="a drill goes on: what it covers is marked so, and rings at nobody")


class EventData(BaseModel):
    """`data` of an event; what goes beside these members depends on the event's type."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    device: str | None = None
    point: str | None = None
    kind: str | None = Field(default=None, description="what the point is: panic, fire, gas ...")
    name: str | None = Field(default=None, description="the point's name for people")
    priority: int | None = Field(default=None, ge=1, le=5, description="1 is a person in danger")
    bootid: str = Field(description="the gateway's boot during which it happened")
    boottime_ns: int = Field(ge=0, description="time since that boot, not touched by clock changes")


class EventMessage(Sent):
    """`event/{lane}/{device}/{point}`: one event, as a CloudEvents 1.0 JSON object."""

    specversion: Literal["1.0"]
    id: str = Field(description="a ULID; de-duplicate by it")
    source: str = Field(
        pattern=r"^/[^/]+/[^/]+(/[^/]+){0,2}$",
        description="/{district}/{school}/{device}/{point}; shorter where there is no device or point",
    )
    type: str = Field(pattern=r"^campus\.[a-z0-9.-]+$")
    time: Time = Field(description="when it happened, by the gateway's clock of that time")
    datacontenttype: Literal["application/json"]
    lane: Literal["alarm", "fault", "event"]
    journal: str = Field(description="the journal that holds it; each one has a chain of its own")
    seq: int = Field(ge=1, le=SEQ_LIMIT, description="place in the chain, without gaps from 1")
    prevhash: Hash = Field(description="`hash` of `seq` - 1; 64 zeros for the first")
    hash: Hash = Field(description="SHA-256 of the canonical JSON (RFC 8785) without hash, late and correctedtime")
    late: bool = Field(description="published more than 30 s after it happened")
    correctedtime: Time | None = Field(
        default=None, description="true time of an event that was recorded before the clock was set"
    )
    drill: bool
    clock: ClockQuality
    data: EventData


class StateMessage(Sent):
    """`state/{device}/{point}`, retained: the point's present state."""

    kind: str
    state: PointState
    value: bool | int | float | None
    since: Time | None
    seq: Seq | None = Field(description="the event that brought it into this state")


class CameraStream(Sent):
    """One stream that a camera offers."""

    name: str | None = None
    codec: str | None = Field(default=None, description="h264, h265, mjpeg, mpeg4 or other")
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    bitrate_kbps: int | None = None
    channel: str | None = Field(default=None, description="of a recorder")


class CameraInventory(Sent):
    """What is known of a camera beside what every device has; null is what it did not say."""

    at: Time | None = Field(default=None, description="when it was asked last")
    serial: str | None = None
    mac: str | None = Field(default=None, description="aa:bb:cc:dd:ee:ff")
    hardware: str | None = None
    streams: list[CameraStream] | None = Field(default=None, description="best first")
    channels: list[str] | None = Field(default=None, description="names of a recorder's channels, in order")
    presets: list[str] | None = Field(default=None, description="names of stored positions")
    ptz: bool | None = Field(default=None, description="it can be moved")
    events: bool | None = Field(default=None, description="it tells events by itself")
    snapshot: bool | None = Field(default=None, description="it gives pictures by HTTP")
    clock_offset_ms: int | None = Field(default=None, description="its clock minus ours")
    recorded_from: Time | None = Field(default=None, description="the oldest recording; gaps do not show")
    recorded_to: Time | None = None
    gb_id: str | None = Field(default=None, description="GB/T 28181 number, as configured")


class PathInventory(Sent):
    """A second way out of the school: how it is supervised, and how it is."""

    state: Literal["unknown", "ok", "failing"] = Field(description="unknown: not looked at yet")
    since: Time
    interval_s: float = Field(description="between two looks")
    report_s: float = Field(description="without an answer for so long it is a fault")
    facts: dict[str, str] = Field(description="receiver and role of a dialler, signal of a modem, host of a webhook")
    error: dict[str, str] | None = Field(description="why it fails, by language")


class InventoryMessage(Sent):
    """`inventory/{device}`, retained: what it is and how it is."""

    device: str
    name: str
    driver: str
    maker: str | None
    model: str | None
    firmware: str | None
    address: str | None = Field(description="without secrets")
    health: Literal["online", "offline", "unknown"] = Field(
        description="unknown: a camera that nobody has looked at yet, or while the process that does is away"
    )
    supervised: bool = Field(
        default=True, description="false: it speaks only when something happens, and may be dead while it is online"
    )
    camera: CameraInventory | None = Field(default=None, description="of cameras only")
    path: PathInventory | None = Field(default=None, description="of second paths only")


class HazardMessage(BaseModel):
    """`hazard/{id}`, retained until closed: an open hazard and its stage."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    id: str
    stage: str


class TelemetryMessage(Sent):
    """`telemetry/{device}/{point}`, QoS 0: a batch of equally spaced measures."""

    t0: Time
    dt_s: float = Field(gt=0)
    values: list[float | None]
    unit: str


class CommandMessage(Received):
    """`command/{verb}`: a wish of the district. Never retained."""

    id: CommandId = Field(description="unique; the reply goes to reply/{id}, and a known id never runs twice")
    args: dict[str, object] = Field(default_factory=dict)
    actor: Name | None = Field(default=None, description="who wishes it; kept in the journal")
    expires: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        default=None, description="refused after this time, if the gateway's clock is set; RFC 3339 with offset"
    )


class ReplyMessage(Sent):
    """`reply/{command id}`, and the response topic of an MQTT 5 command: what became of it."""

    id: str
    ok: bool
    result: dict[str, object] = Field(description='of a refusal: {"code": machine-readable reason}')
    reason: str | None = Field(description="for people; null when ok")


class ReceiptMessage(Received):
    """`receipt`: the district holds every event from 1 to `seq`, and the closed ranges `also` beyond."""

    seq: Seq
    hash: Hash = Field(description="of event `seq`; 64 zeros for 0")
    journal: Name | None = Field(
        default=None, description="the chain that it speaks of; a receipt for another one clears nothing"
    )
    also: list[tuple[Seq, Seq]] = Field(default_factory=list, max_length=RANGES_LIMIT)


MESSAGES: Final[dict[str, type[BaseModel]]] = {
    "status": StatusMessage,
    "event": EventMessage,
    "state": StateMessage,
    "inventory": InventoryMessage,
    "hazard": HazardMessage,
    "command": CommandMessage,
    "reply": ReplyMessage,
    "receipt": ReceiptMessage,
    "telemetry": TelemetryMessage,
}
"""The type of each kind of message, by the name that its topic has."""


class Malformed(Spoken):
    """A payload that is not what its topic asks for. `id` is the command's id, when that much could be read."""

    def __init__(self, error: ValidationError) -> None:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or '-'}: {item['msg']}"
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        super().__init__(say("uplink.malformed", problems=shown + ("; ..." if len(problems) > SHOWN_PROBLEMS else "")))


def parse_command(payload: bytes, verb: str) -> Command:
    """Read a command; raise Malformed and nothing else."""
    try:
        message = CommandMessage.model_validate_json(payload)
    except ValidationError as error:
        raise Malformed(error) from None
    return Command(message.id, verb, message.args, message.actor, message.expires)  # type: ignore[arg-type]  # read from JSON, so they are JSON values


class _OnlyId(Received):
    id: CommandId


def command_id(payload: bytes) -> str | None:
    """Return the id of a command that could not be read as a whole, so that its refusal finds its sender."""
    try:
        return _OnlyId.model_validate_json(payload).id
    except ValidationError:
        return None


def parse_receipt(payload: bytes) -> tuple[Receipt, str | None]:
    """Read a receipt, and the journal that it names; raise Malformed and nothing else."""
    try:
        message = ReceiptMessage.model_validate_json(payload)
    except ValidationError as error:
        raise Malformed(error) from None
    return Receipt(message.seq, message.hash, tuple(message.also)), message.journal


def reply_bytes(reply: Reply) -> bytes:
    """A reply as it goes on the wire."""
    message = ReplyMessage(id=reply.id, ok=reply.ok, result=dict(reply.result), reason=reply.reason)
    return message.model_dump_json().encode()


def rfc3339(moment: datetime) -> str:
    """A time as messages carry it, in milliseconds."""
    return moment.isoformat(timespec="milliseconds")
