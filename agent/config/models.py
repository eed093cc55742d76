"""The configuration as frozen settings. TOML's key is the field's alias; the attribute's name has the unit.

The constraints here concern one value each; what concerns several is in `checks`, what concerns the machine
(files that must exist) in `machine`. What each key is for is said in the catalogue (`fields.<table>-<key>`), from
where it goes into the JSON Schema, the reference and error messages, in both languages.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, Field, SerializeAsAny

from agent.config.arming import PartitionSettings, SelftestSettings
from agent.config.base import Settings
from agent.config.calendar import CalendarSettings
from agent.config.escalation import EscalationSettings, PathSettings
from agent.config.merge import Origins, locate
from agent.config.points import LampMeans, PointSettings
from agent.config.problems import KeyPath, Problem, dotted
from agent.config.rulebook import RULES, RuleSettings
from agent.config.skyeye import (
    DEFAULT_PREROLL_S,
    CameraHead,
    CameraSettings,
    PatrolSettings,
    SkyeyeSettings,
    UploadSettings,
)
from agent.config.values import (
    AbsolutePath,
    Broker,
    District,
    Id,
    School,
    TimezoneName,
    Verb,
)
from agent.driver import Driver, Link
from agent.model import Site
from agent.ports import Baudrate, ListenAddress, PortName, split_listen
from agent.secrets import Secret, SecretError
from agent.texts import Language, Text, say
from agent.units import Duration, Size

__all__ = [
    "Broker",
    "BusSettings",
    "CameraHead",
    "CameraSettings",
    "CommandSettings",
    "Config",
    "ConsoleSettings",
    "ControlSettings",
    "DeviceHead",
    "DeviceSettings",
    "JournalSettings",
    "LampMeans",
    "PatrolSettings",
    "PointSettings",
    "RuleSettings",
    "Secret",
    "SecretError",
    "SiteSettings",
    "SkyeyeSettings",
    "TelemetrySettings",
    "TlsSettings",
    "UplinkSettings",
    "UploadSettings",
]

JOURNAL_MIN_BYTES: Final = 64 << 10
"""Below this SQLite's own pages and the reserve leave no room for events."""

NEVER_S: Final = 86_400 * 36_500.0
"""A hundred years: no offline fault by the alarm engine."""

WholeSeconds = Annotated[Duration, AfterValidator(round)]
"""A duration that the wire carries in whole seconds."""


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

    @property
    def supervised(self) -> bool:
        """Whether silence makes it offline. If not, `offline_after_s` counts from when its driver has failed."""
        return "offline_after_s" in self.model_fields_set or self.settings.silence_s() is not None


class CameraInputs(Driver):
    """Stands in the alarm engine for a camera that has points: what the eye sees are its inputs."""

    name: ClassVar[str] = "camera"

    async def run(self, link: Link) -> None:
        raise NotImplementedError("the eye runs it")


class TelemetrySettings(Settings):
    """[telemetry]: the curves of measured values."""

    table: ClassVar[str] = "telemetry"
    every_s: Duration = Field(10.0, alias="every", ge=1, le=3600)
    batch_s: Duration = Field(60.0, alias="batch", ge=1, le=3600)


class RuleInputs(Driver):
    """Stands in the alarm engine for the rules that have a kind: each is an input that is on while it holds."""

    name: ClassVar[str] = "rules"

    async def run(self, link: Link) -> None:
        raise NotImplementedError("agent.runtime.rules feeds it")


class PathState(Driver):
    """Stands in the alarm engine for a second path, whose faults are told like those of a device."""

    name: ClassVar[str] = "path"

    async def run(self, link: Link) -> None:
        raise NotImplementedError("agent.runtime.paths runs it")


class ConsoleSettings(Settings):
    """[console]: the local web page."""

    table: ClassVar[str] = "console"
    listen: ListenAddress = "127.0.0.1:8080"

    @property
    def host(self) -> str:
        """The address without brackets."""
        return split_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """The TCP port."""
        return split_listen(self.listen)[1]


class ControlSettings(Settings):
    """[control]: the socket through which the command line speaks to the daemon."""

    table: ClassVar[str] = "control"
    socket: AbsolutePath | None = None


def as_device(camera: CameraSettings) -> DeviceSettings:
    """A camera as the alarm engine sees it. Its silence is the eye's business, which knows why."""
    return DeviceSettings.model_construct(
        id=camera.id,
        name=camera.name,
        driver="camera",
        bus=None,
        offline_after_s=NEVER_S,
        points=camera.points,
        settings=CameraInputs(),
    )


def rules_device(rules: Sequence[RuleSettings], language: Language) -> DeviceSettings:
    """The rules that have a kind as the alarm engine sees them: the points of one device, which is never silent."""
    return DeviceSettings.model_construct(
        id=RULES,
        name=say("config.rules-device").render(language),
        driver=RuleInputs.name,
        bus=None,
        offline_after_s=NEVER_S,
        points=tuple(rule.as_point() for rule in rules if rule.kind is not None),
        settings=RuleInputs(),
    )


def path_as_device(path: PathSettings) -> DeviceSettings:
    """A second path as the alarm engine sees it: something that may have faults."""
    return DeviceSettings.model_construct(
        id=path.id,
        name=path.name,
        driver="path",
        bus=None,
        offline_after_s=NEVER_S,
        points=(),
        settings=PathState(),
    )


class Config(Settings):
    """All of it, checked."""

    site: SiteSettings
    journal: JournalSettings = JournalSettings()
    uplink: UplinkSettings
    buses: tuple[BusSettings, ...] = ()
    devices: tuple[DeviceSettings, ...] = ()
    cameras: tuple[CameraSettings, ...] = ()
    console: ConsoleSettings | None = None
    skyeye: SkyeyeSettings = SkyeyeSettings()
    patrols: tuple[PatrolSettings, ...] = ()
    calendar: CalendarSettings = CalendarSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    rules: tuple[RuleSettings, ...] = ()
    partitions: tuple[PartitionSettings, ...] = ()
    selftest: SelftestSettings = SelftestSettings()
    paths: tuple[PathSettings, ...] = ()
    escalations: tuple[EscalationSettings, ...] = ()
    control: ControlSettings = ControlSettings()
    sources: tuple[Path, ...] = ()
    """The files that it was read from."""
    warnings: tuple[Problem, ...] = Field((), exclude=True)
    """What is allowed and probably not meant."""
    origins: Origins = Field({}, exclude=True, repr=False)
    """Which part comes from which file."""

    @property
    def watched(self) -> tuple[DeviceSettings, ...]:
        """Everything that may have points and faults: the devices, each camera and second path as a device of its own,
        the rules."""
        rules = (rules_device(self.rules, self.site.language),) if any(rule.kind for rule in self.rules) else ()
        return (*self.devices, *map(as_device, self.cameras), *map(path_as_device, self.paths), *rules)

    @property
    def skyeye_path(self) -> Path:
        """The folder of evidence, inventory and baselines."""
        return self.skyeye.path or self.journal.path.parent / "skyeye"

    def preroll_s(self, camera: CameraSettings) -> float:
        """How much of a camera's stream is kept for clips: as configured, else some if a point names it."""
        if camera.preroll_s is not None:
            return camera.preroll_s
        named = any(camera.id in point.cameras for device in self.watched for point in device.points)
        return DEFAULT_PREROLL_S if named else 0.0

    def problem(self, path: KeyPath, rule: Text, found: Text | str | None, remedy: Text | None) -> Problem:
        """Make a finding about the part at `path`."""
        main = self.sources[0] if self.sources else Path()
        file, there = locate(self.origins, main, path)
        return Problem(file, dotted(there), rule, found, remedy)

    def as_data(self) -> dict[str, Any]:
        """The whole as JSON values, with TOML's keys; of a secret only where it comes from."""
        return self.model_dump(mode="json", by_alias=True)
