"""Alarm hosts that tell their events over IP by DC-09; settings only, what listens is loaded when it runs."""

from collections.abc import Container
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, StringConstraints, model_validator

from agent.driver import (
    BadSetting,
    Driver,
    Duration,
    Field,
    Input,
    Link,
    Listen,
    ListenAddress,
    Secret,
    Table,
    say,
)
from drivers._contact_id import Account
from drivers.dc09.inputs import HostInputs, plain

TimeSense = Literal["utc", "local", "ignore"]
HexNumber = Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{1,6}$"), AfterValidator(str.upper)]
GRACE: Final = 1.25
"""Hosts report every so often by a clock of their own, and a report may be sent twice before it arrives."""
CONNECTIONS_MAX: Final = 1_024
"""File descriptors of the daemon; a district's receiver would have more, a school has some dozens of hosts."""


class Dc09Account(Table):
    """One host, by the account that it reports under."""

    table: ClassVar[str] = "driver-dc09-account"

    account: Account = Field(description="the account that the host reports under, 3 to 16 hexadecimal digits")
    key: Secret | None = Field(None, description="AES key of 16, 24 or 32 bytes, in hexadecimal digits")
    encrypted: Literal["required", "optional"] = Field(
        "required", description="whether messages of a host with a key may also come unencrypted"
    )
    receiver: HexNumber | None = Field(
        None, description="receiver number that the host must send, if it shall be checked"
    )
    line: HexNumber | None = Field(None, description="line number that the host must send, if it shall be checked")
    supervision_s: Duration | None = Field(
        None,
        alias="supervision",
        ge=1,
        le=30 * 86_400,
        description="how often the host reports that it is there (NULL); a quarter more without a word is a fault",
    )
    time: TimeSense = Field(
        "utc", description="the time in its messages: utc as the standard wants, local, or not to be looked at"
    )

    @model_validator(mode="after")
    def _required_needs_a_key(self) -> "Dc09Account":
        if self.key is None and self.encrypted == "required" and "encrypted" in self.model_fields_set:
            raise BadSetting(say("dc09.key-needed"), say("config.none"))
        return self


class Dc09(Driver):
    """Alarm hosts over TCP or UDP: SIA-DCS and Contact ID events, supervised and encrypted.

    Source: ANSI/SIA DC-09-2013; SIA DC-03 and DC-05 for the events.
    """

    name: ClassVar[str] = "dc09"
    tells_events: ClassVar[bool] = True

    listen: ListenAddress = Field(description='address and port that hosts report to: "0.0.0.0:9999", "[::]:9999"')
    transport: Literal["tcp", "udp", "both"] = Field("tcp", description="what hosts report by")
    accounts: tuple[Dc09Account, ...] = Field(alias="account", min_length=1, description="the hosts")
    past_s: Duration = Field(
        40.0, alias="window_past", ge=1, le=86_400, description="how far behind a message's time may be"
    )
    future_s: Duration = Field(
        20.0, alias="window_future", ge=1, le=86_400, description="how far ahead a message's time may be"
    )
    duplicate_s: Duration = Field(
        120.0,
        alias="duplicate_window",
        ge=0,
        le=3_600,
        description="for how long the same message under the same number is acknowledged again and not told again",
    )
    idle_s: Duration = Field(
        600.0, alias="idle_timeout", ge=1, le=86_400, description="close a connection after this silence"
    )
    connections: int = Field(256, ge=1, le=CONNECTIONS_MAX, description="connections at once")
    connections_per_address: int = Field(64, ge=1, le=CONNECTIONS_MAX, description="connections at once of one address")
    frames_per_s: float = Field(
        20.0, ge=1, le=1_000, description="messages per second of one account that are not slowed down"
    )

    @model_validator(mode="after")
    def _accounts_differ(self) -> "Dc09":
        known: dict[str, str] = {}
        for account in self.accounts:
            if (other := known.get(plain(account.account))) is not None:
                raise BadSetting(say("dc09.account-once"), f"{other}, {account.account}")
            known[plain(account.account)] = account.account
        return self

    @property
    def inputs(self) -> HostInputs:
        """The names of its inputs."""
        return HostInputs(tuple(account.account for account in self.accounts))

    def silence_s(self) -> float | None:
        """As long as the slowest host may be silent; if one is not supervised at all, silence says nothing."""
        intervals = [account.supervision_s for account in self.accounts]
        return None if None in intervals else GRACE * max(interval or 0.0 for interval in intervals)

    def inputs_available(self) -> Container[Input]:
        return self.inputs

    def listens(self) -> tuple[Listen, ...]:
        found: list[Listen] = []
        if self.transport != "udp":
            found.append(("tcp", self.listen))
        if self.transport != "tcp":
            found.append(("udp", self.listen))
        return tuple(found)

    async def run(self, link: Link) -> None:
        from drivers.dc09.server import serve

        await serve(self, link)
