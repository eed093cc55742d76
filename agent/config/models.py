"""The configuration as frozen settings. TOML's key is the field's alias; the attribute's name has the unit.

The constraints here concern one value each; what concerns several is in `checks`, what concerns the machine
(files that must exist) in `files`. Descriptions are in English, and go into the JSON Schema and the reference.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny

from agent.config.problems import Problem
from agent.config.values import (
    AbsolutePath,
    Baudrate,
    Broker,
    District,
    Id,
    InputName,
    KindName,
    ListenAddress,
    PortName,
    TimezoneName,
    Verb,
)
from agent.driver import Driver
from agent.model import Site
from agent.secrets import Secret, SecretError
from agent.texts import Language
from agent.units import Duration, Size

__all__ = [
    "Broker",
    "BusSettings",
    "CameraSettings",
    "CommandSettings",
    "Config",
    "ConsoleSettings",
    "ControlSettings",
    "DeviceHead",
    "DeviceSettings",
    "JournalSettings",
    "LampMeans",
    "PointSettings",
    "Secret",
    "SecretError",
    "SiteSettings",
    "TlsSettings",
    "UplinkSettings",
]

LampMeans = Literal["acknowledged", "delivered"]
"""What a steady lamp says: somebody at the district has it, or the district's system has it (DESIGN 7)."""
JOURNAL_MIN_BYTES: Final = 64 << 10
"""Below this SQLite's own pages and the reserve leave no room for events."""

WholeSeconds = Annotated[Duration, AfterValidator(round)]
"""A duration that the wire carries in whole seconds."""


class Settings(BaseModel):
    """What all tables have in common: frozen, and no key that we do not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)


class SiteSettings(Settings):
    """[site]: which school this is."""

    district: District = Field(description="GB/T 2260 county code, six digits")
    school: str = Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="the school in topics: lower-case letters, digits, hyphens"
    )
    name: str = Field(min_length=1, max_length=100, description="the school's name for people")
    timezone: TimezoneName = Field("Asia/Shanghai", description="IANA time zone of all times that are shown and sent")
    language: Language = Field("zh-CN", description="language of texts in events, logs and pages")

    @property
    def site(self) -> Site:
        """The part of it that topics and events are made of."""
        return Site(self.district, self.school)


class JournalSettings(Settings):
    """[journal]: where events are kept until the district has them, and for how long after."""

    path: AbsolutePath = Field(Path("/var/lib/campus-agent/journal.db"), description="the journal's SQLite file")
    max_size_bytes: Size = Field(
        1 << 30, alias="max_size", ge=JOURNAL_MIN_BYTES, description="largest size of the journal on disk"
    )
    keep_s: Duration = Field(180 * 86_400.0, alias="keep", gt=0, description="how long delivered events are kept")


class TlsSettings(Settings):
    """[uplink.tls]: how mqtts:// brokers are verified, and how we prove who we are."""

    ca: AbsolutePath | None = Field(None, description="CA certificates (PEM); the system's if not given")
    cert: AbsolutePath | None = Field(None, description="our certificate (PEM), together with key")
    key: Secret | None = Field(
        None, description="our private key (PEM): { file = ... } or { credential = ... }, read from a file"
    )

    def key_path(self) -> Path | None:
        """The file that holds the private key; raises SecretError if it can be in none."""
        return self.key.path() if self.key else None


class CommandSettings(Settings):
    """[uplink.commands]: which commands of the district are carried out."""

    allow: tuple[Verb, ...] | None = Field(None, description="verbs that are carried out; all if not given")
    actors: tuple[Annotated[str, Field(min_length=1)], ...] | None = Field(
        None, description="who may give commands; everybody if not given"
    )


class UplinkSettings(Settings):
    """[uplink]: the way to the district."""

    brokers: tuple[Broker, ...] = Field(
        min_length=1, description="mqtt://host:port or mqtts://host:port, best first; returns to the first"
    )
    username: str | None = Field(None, min_length=1, description="name to log in with at the broker")
    password: Secret | None = Field(None, description="password to log in with at the broker")
    client_id: str = Field(
        "", max_length=128, description="MQTT client identifier; campus-{district}-{school} if not given"
    )
    keepalive_s: WholeSeconds = Field(
        30, alias="keepalive", ge=1, le=3600, description="MQTT keep alive: a dead connection shows within 1.5 times"
    )
    receipts: bool = Field(True, description="wait for the district's receipts; false for a district that sends none")
    ack_timeout_s: Duration = Field(
        15.0, alias="ack_timeout", gt=0, le=3600, description="an alarm that nobody acknowledged by then escalates"
    )
    receipt_timeout_s: Duration = Field(
        10.0, alias="receipt_timeout", gt=0, le=3600, description="an alarm without receipt by then is sent again"
    )
    lamp_means: LampMeans = Field("acknowledged", description="what a steady lamp says")
    tls: TlsSettings | None = Field(None, description="certificates for mqtts:// brokers")
    commands: CommandSettings = Field(CommandSettings(), description="which commands are carried out")


class BusSettings(Settings):
    """[[bus]]: one serial line, which its devices share."""

    id: Id = Field(description="the line's name, unique in the school")
    port: PortName = Field(description="serial device, socket://host:port or rfc2217://host:port")
    baudrate: Baudrate = Field(9600, description="bits per second")
    bytesize: Literal[7, 8] = Field(8, description="data bits")
    parity: Literal["N", "E", "O"] = Field("N", description="N none, E even, O odd")
    stopbits: Literal[1, 2] = Field(1, description="stop bits")
    poll_interval_s: Duration = Field(
        0.05, alias="poll_interval", ge=0.005, le=60, description="every input is looked at once in this time"
    )


class PointSettings(Settings):
    """[[device.point]]: one input that means something."""

    id: Id = Field(description="the point's name, unique in its device")
    name: str = Field(min_length=1, max_length=100, description="the point's name for people: where it is")
    kind: KindName = Field(description="what it is; gives class, latch and priority")
    input: InputName = Field(description="the device's input, counted from 0, or its name")
    contact: Literal["no", "nc"] = Field("no", description="no: closes on alarm; nc: opens on alarm")
    debounce_s: Duration = Field(
        0.03, alias="debounce", ge=0, le=10, description="a change must last so long to be taken"
    )
    lamp: int | None = Field(None, ge=0, description="the device's output that shows whether the district has it")
    siren: int | None = Field(None, ge=0, description="the device's output that sounds when it escalates")
    lamp_means: LampMeans | None = Field(
        None, description="what a steady lamp says here; uplink.lamp_means if not given"
    )
    stuck_after_s: Duration = Field(
        300.0, alias="stuck_after", gt=0, description="an input active for so long is stuck: a fault"
    )
    cameras: tuple[Id, ...] = Field((), description="cameras that look here: snapshot and clip on alarm")
    gb_id: str | None = Field(None, pattern=r"^[0-9]{20}$", description="GB/T 28181 code, 20 digits")


class DeviceHead(Settings):
    """[[device]]: one piece of hardware; its remaining keys are its driver's."""

    id: Id = Field(description="the device's name, unique in the school")
    name: str = Field(min_length=1, max_length=100, description="the device's name for people")
    driver: str = Field(description="its protocol; `campus-agent drivers` lists them")
    bus: str | None = Field(None, description="the line it is on, for a driver of a bus")
    offline_after_s: Duration = Field(
        10.0, alias="offline_after", gt=0, le=86_400, description="silent for so long it is offline: a fault"
    )


class DeviceSettings(DeviceHead):
    """A device with its points and its driver, ready to run."""

    points: tuple[PointSettings, ...] = Field((), alias="point", description="its inputs that mean something")
    settings: SerializeAsAny[Driver] = Field(description="the driver, made of the device's remaining keys")


class CameraSettings(Settings):
    """[[camera]]: one camera."""

    id: Id = Field(description="the camera's name, unique in the school")
    name: str = Field(min_length=1, max_length=100, description="the camera's name for people")
    driver: Literal["onvif", "rtsp"] = Field(description="its protocol")
    address: str = Field(min_length=1, description="host or IP address; for rtsp, its URL without name and password")
    username: str | None = Field(None, min_length=1, description="name to log in with")
    password: Secret | None = Field(None, description="password to log in with")
    preroll_s: Duration = Field(
        10.0, alias="preroll", ge=0, le=60, description="how much a clip shows before the alarm"
    )
    gb_id: str | None = Field(None, pattern=r"^[0-9]{20}$", description="GB/T 28181 code, 20 digits")


class ConsoleSettings(Settings):
    """[console]: the local web page."""

    listen: ListenAddress = Field("127.0.0.1:8080", description="address and port of the web page")

    @property
    def host(self) -> str:
        """The address without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.listen.rpartition(":")[2])


class ControlSettings(Settings):
    """[control]: the socket through which the command line speaks to the daemon."""

    socket: AbsolutePath | None = Field(None, description="the Unix socket; in the runtime directory if not given")


class Config(Settings):
    """All of it, checked."""

    site: SiteSettings
    journal: JournalSettings = JournalSettings()
    uplink: UplinkSettings
    buses: tuple[BusSettings, ...] = ()
    devices: tuple[DeviceSettings, ...] = ()
    cameras: tuple[CameraSettings, ...] = ()
    console: ConsoleSettings = ConsoleSettings()
    control: ControlSettings = ControlSettings()
    sources: tuple[Path, ...] = ()
    """The files that it was read from."""
    warnings: Annotated[tuple[Problem, ...], Field(exclude=True)] = ()
    """What is allowed and probably not meant."""

    def as_data(self) -> dict[str, Any]:
        """The whole as JSON values, with TOML's keys; of a secret only where it comes from."""
        return self.model_dump(mode="json", by_alias=True)
