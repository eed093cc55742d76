"""Devices that can only post: access terminals, alarm hosts, anything that sends JSON; settings only, what serves is
loaded when it runs."""

import re
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, StringConstraints, model_validator

from agent.driver import (
    BadSetting,
    Driver,
    Duration,
    Field,
    Input,
    KindName,
    Link,
    Listen,
    ListenAddress,
    Secret,
    Size,
    Table,
    say,
)

GRACE: Final = 1.25
"""Devices report every so often by a clock of their own, and may have to try twice."""
PLAIN_BYTES: Final = 64 << 10
"""What a body without pictures may have; devices send one or two KiB."""
PICTURE_BYTES: Final = 1 << 20
"""With a picture, which is dropped."""
SUPERVISION: Final = "supervision"
ANY: Final = "*"
"""The value of a mapping for every event that no other has."""
FILLED: Final = re.compile(r"\\\{[A-Za-z0-9_]+\\\}")
PARTS: Final = r"[A-Za-z0-9_.-]{1,32}"


def _network(value: str) -> str:
    try:
        ip_network(value, strict=False)
    except ValueError:
        raise BadSetting(say("httpin.network"), value) from None
    return value


Network = Annotated[str, AfterValidator(_network)]
FieldPath = Annotated[str, StringConstraints(pattern=r"^[^.\s]{1,64}(\.[^.\s]{1,64}){0,15}$")]
UrlPath = Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9._~/-]{0,127}$")]
SourceId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
InputName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9{][A-Za-z0-9_./{}-]{0,63}$")]


class HttpMap(Table):
    """One event of a source, and the input that it is."""

    table: ClassVar[str] = "driver-http-in-source-map"

    value: str = Field(min_length=1, max_length=64, description='the event as the device calls it; "*" for any other')
    input: InputName | None = Field(
        None, description="the input that it is, with {name} for a value out of detail; the event itself if not given"
    )
    kind: KindName = Field("input", description="what it is where no point has the input: a kind of points")
    state: Literal["pulse", "on", "off", "alive"] = Field(
        "pulse", description="what becomes of the input: pulse, on, off; alive for a report that all is well"
    )


class HttpSource(Table):
    """One sender."""

    table: ClassVar[str] = "driver-http-in-source"

    id: SourceId = Field(description="its name in the inputs' names, if there are several sources")
    path: UrlPath = Field(description="the path that it posts to")
    token: Secret = Field(description="what it must send: as bearer token, in X-Token, or as password of basic login")
    username: str | None = Field(None, min_length=1, description="the user of a basic login")
    token_in_query: bool = Field(False, description="take ?token=... too, for devices that can do nothing else")
    allow: tuple[Network, ...] = Field(
        (), description="addresses or networks that it may come from; all if none is given"
    )
    format: Literal["json", "form", "isapi"] = Field(
        "json", description="what it posts; isapi is XML or JSON, alone or beside a picture"
    )
    preset: Literal["hikvision-isapi"] | None = Field(None, description="a ready mapping")
    event: FieldPath | None = Field(None, description="where in the body the event is named: data.type")
    maps: tuple[HttpMap, ...] = Field((), alias="map", description="what events mean")
    event_id: FieldPath | None = Field(None, description="where the device's own number of the event is")
    event_time: FieldPath | None = Field(None, description="where the time of the event is")
    detail: tuple[FieldPath, ...] = Field((), max_length=16, description="values to put into the event")
    silence_s: Duration | None = Field(
        None, alias="silence", ge=1, le=30 * 86_400, description="how often it posts at least; longer is a fault"
    )
    requests_per_s: float = Field(20.0, ge=0.1, le=1_000, description="requests per second; more are put off (429)")
    body_max_bytes: Size | None = Field(None, alias="body_max", ge=256, le=8 << 20, description="the largest body")

    @model_validator(mode="after")
    def _has_a_mapping(self) -> "HttpSource":
        if self.preset is None and (self.event is None or not self.maps):
            raise BadSetting(say("httpin.mapping"), say("config.none"))
        if self.preset is not None and self.maps:
            raise BadSetting(say("httpin.one-mapping"), self.preset)
        if self.preset is not None and self.format == "form":
            raise BadSetting(say("httpin.preset-format"), self.format)
        return self

    @property
    def limit_bytes(self) -> int:
        """The largest body."""
        return self.body_max_bytes or (PICTURE_BYTES if self.format == "isapi" or self.preset else PLAIN_BYTES)

    def has_input(self, name: str) -> bool:
        """Whether it may tell of an input."""
        if name == SUPERVISION:
            return self.silence_s is not None
        if self.preset is not None:
            from drivers._contact_id import NAME
            from drivers.http_in.hikvision import INPUT

            return INPUT.fullmatch(name) is not None or (NAME.fullmatch(name) is not None and ":" not in name)
        patterns = (
            PARTS if one.input is None and one.value == ANY else FILLED.sub(PARTS, re.escape(one.input or one.value))
            for one in self.maps
            if one.state != "alive"
        )
        return any(re.fullmatch(pattern, name) for pattern in patterns)


@dataclass(frozen=True, slots=True)
class HttpInputs(Container[Input]):
    """Names begin with their source, as `gate:granted/1`, unless there is only one source."""

    sources: tuple[HttpSource, ...]

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        return any(
            source.has_input(name.removeprefix(prefix))
            for source in self.sources
            if name.startswith(prefix := self.prefix(source))
        )

    @property
    def examples(self) -> tuple[str, ...]:
        """Some of the names, for whoever wrote a wrong one."""
        first = self.sources[0]
        names = (
            ("granted/1", "denied/1", "130/003")
            if first.preset
            else [one.input or one.value for one in first.maps if one.input or one.value != ANY]
        )
        return tuple(self.prefix(first) + name for name in names)

    def prefix(self, source: HttpSource) -> str:
        """What stands before the names of a source's inputs."""
        return f"{source.id}:" if len(self.sources) > 1 else ""


class HttpIn(Driver):
    """Devices that post their events by HTTP: access terminals, Hikvision's ISAPI push, any JSON or form.

    Source: RFC 9110 and 9112 (HTTP), 6750 (bearer tokens), 7617 (basic login); for ISAPI see drivers.http_in.hikvision.
    """

    name: ClassVar[str] = "http-in"
    tells_events: ClassVar[bool] = True

    listen: ListenAddress = Field(description='address and port that devices post to: "0.0.0.0:8088"')
    cert: str | None = Field(None, pattern=r"^/", description="certificate with its chain, for HTTPS")
    key: Secret | None = Field(None, description="private key of the certificate, in a file")
    sources: tuple[HttpSource, ...] = Field(alias="source", min_length=1, description="the senders")

    @model_validator(mode="after")
    def _fits_together(self) -> "HttpIn":
        for name in ("id", "path"):
            values = [getattr(source, name) for source in self.sources]
            if len(set(values)) < len(values):
                raise BadSetting(say("httpin.source-once", name=name), ", ".join(values))
        if (self.cert is None) != (self.key is None):
            raise BadSetting(say("httpin.cert-and-key"), "cert" if self.cert else "key")
        if self.key is not None and self.key.source not in ("file", "credential"):
            raise BadSetting(say("httpin.key-file"), self.key.source)
        return self

    @property
    def inputs(self) -> HttpInputs:
        """The names of its inputs."""
        return HttpInputs(self.sources)

    def inputs_available(self) -> Container[Input]:
        return self.inputs

    def silence_s(self) -> float | None:
        """As long as the slowest sender may be silent; if one is not expected to post, silence says nothing."""
        expected = [source.silence_s for source in self.sources]
        return None if None in expected else GRACE * max(silence or 0.0 for silence in expected)

    def listens(self) -> tuple[Listen, ...]:
        return (("tcp", self.listen),)

    async def run(self, link: Link) -> None:
        from drivers.http_in.server import serve  # aiohttp: memory that a core without such devices does not need

        await serve(self, link)
