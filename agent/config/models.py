"""The configuration as frozen settings. TOML's key is the field's alias; the attribute's name has the unit.

The constraints here concern one value each; what concerns several is in `checks`, what concerns the machine
(files that must exist) in `machine`. What each key is for is said in the catalogue (`fields.<table>-<key>`), from
where it goes into the JSON Schema, the reference and error messages, in both languages.
"""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializeAsAny

from agent.config.merge import Origins, locate
from agent.config.problems import KeyPath, Problem, dotted
from agent.config.values import (
    AbsolutePath,
    Baudrate,
    Broker,
    CameraAddress,
    District,
    GbId,
    Id,
    InputName,
    KindName,
    ListenAddress,
    PortName,
    School,
    TimezoneName,
    Verb,
)
from agent.driver import Driver
from agent.model import Site
from agent.secrets import Secret, SecretError
from agent.texts import Language, Text
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

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True, hide_input_in_errors=True
    )
    table: ClassVar[str] = ""
    """The first part of its texts' keys in the catalogue."""


class SiteSettings(Settings):
    """[site]: which school this is."""

    table: ClassVar[str] = "site"
    district: District
    school: School
    name: str = Field(min_length=1, max_length=100)
    timezone: TimezoneName = "Asia/Shanghai"
    language: Language = "zh-CN"

    @property
    def site(self) -> Site:
        """The part of it that topics and events are made of."""
        return Site(self.district, self.school)


class JournalSettings(Settings):
    """[journal]: where events are kept until the district has them, and for how long after."""

    table: ClassVar[str] = "journal"
    path: AbsolutePath = Path("/var/lib/campus-agent/journal.db")
    max_size_bytes: Size = Field(1 << 30, alias="max_size", ge=JOURNAL_MIN_BYTES)
    keep_s: Duration = Field(180 * 86_400.0, alias="keep", gt=0)


class TlsSettings(Settings):
    """[uplink.tls]: how mqtts:// brokers are verified, and how we prove who we are."""

    table: ClassVar[str] = "uplink-tls"
    ca: AbsolutePath | None = None
    cert: AbsolutePath | None = None
    key: Secret | None = None

    def key_path(self) -> Path | None:
        """The file that holds the private key; raises SecretError if it can be in none."""
        return self.key.path() if self.key else None


class CommandSettings(Settings):
    """[uplink.commands]: which commands of the district are carried out."""

    table: ClassVar[str] = "uplink-commands"
    allow: tuple[Verb, ...] | None = None
    actors: tuple[Annotated[str, Field(min_length=1)], ...] | None = None


class UplinkSettings(Settings):
    """[uplink]: the way to the district."""

    table: ClassVar[str] = "uplink"
    brokers: tuple[Broker, ...] = Field(min_length=1)
    username: str | None = Field(None, min_length=1)
    password: Secret | None = None
    client_id: str = Field("", max_length=128)
    keepalive_s: WholeSeconds = Field(30, alias="keepalive", ge=1, le=3600)
    receipts: bool = True
    ack_timeout_s: Duration = Field(15.0, alias="ack_timeout", gt=0, le=3600)
    receipt_timeout_s: Duration = Field(10.0, alias="receipt_timeout", gt=0, le=3600)
    lamp_means: LampMeans = "acknowledged"
    tls: TlsSettings | None = None
    commands: CommandSettings = CommandSettings()


class BusSettings(Settings):
    """[[bus]]: one serial line, which its devices share."""

    table: ClassVar[str] = "bus"
    id: Id
    port: PortName
    baudrate: Baudrate = 9600
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    poll_interval_s: Duration = Field(0.05, alias="poll_interval", ge=0.005, le=60)


class PointSettings(Settings):
    """[[device.point]]: one input that means something."""

    table: ClassVar[str] = "point"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    kind: KindName
    input: InputName
    contact: Literal["no", "nc"] = "no"
    debounce_s: Duration = Field(0.03, alias="debounce", ge=0, le=10)
    lamp: int | None = Field(None, ge=0)
    siren: int | None = Field(None, ge=0)
    lamp_means: LampMeans | None = None
    stuck_after_s: Duration = Field(300.0, alias="stuck_after", gt=0)
    cameras: tuple[Id, ...] = ()
    gb_id: GbId | None = None


class DeviceHead(Settings):
    """[[device]]: one piece of hardware; its remaining keys are its driver's."""

    table: ClassVar[str] = "device"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    driver: str
    bus: str | None = None
    offline_after_s: Duration = Field(10.0, alias="offline_after", gt=0, le=86_400)


class DeviceSettings(DeviceHead):
    """A device with its points and its driver, ready to run."""

    points: tuple[PointSettings, ...] = Field((), alias="point")
    settings: SerializeAsAny[Driver]


class CameraSettings(Settings):
    """[[camera]]: one camera."""

    table: ClassVar[str] = "camera"
    id: Id
    name: str = Field(min_length=1, max_length=100)
    driver: Literal["onvif", "rtsp"]
    address: CameraAddress
    username: str | None = Field(None, min_length=1)
    password: Secret | None = None
    preroll_s: Duration = Field(10.0, alias="preroll", ge=0, le=60)
    gb_id: GbId | None = None


class ConsoleSettings(Settings):
    """[console]: the local web page."""

    table: ClassVar[str] = "console"
    listen: ListenAddress = "127.0.0.1:8080"

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

    table: ClassVar[str] = "control"
    socket: AbsolutePath | None = None


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
    warnings: tuple[Problem, ...] = Field((), exclude=True)
    """What is allowed and probably not meant."""
    origins: Origins = Field({}, exclude=True, repr=False)
    """Which part comes from which file."""

    def problem(self, path: KeyPath, rule: Text, found: Text | str | None, remedy: Text | None) -> Problem:
        """Make a finding about the part at `path`."""
        main = self.sources[0] if self.sources else Path()
        file, there = locate(self.origins, main, path)
        return Problem(file, dotted(there), rule, found, remedy)

    def as_data(self) -> dict[str, Any]:
        """The whole as JSON values, with TOML's keys; of a secret only where it comes from."""
        return self.model_dump(mode="json", by_alias=True)
