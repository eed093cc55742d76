"""One camera's SOAP exchanges: which way it wants a login, its clock, and what its refusals mean.

A camera wants HTTP digest or a WS-Security token, and does not say which beforehand; a wrong guess counts as a refused
login. So the first request goes without, and its refusal tells: with a digest challenge it is digest, else a token.

Source: ONVIF Core 23.12, 5.9; RFC 7616
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from agent.driver import (
    NS_PER_S,
    BadReply,
    CameraError,
    CameraLink,
    LoginRefused,
    NotOffered,
    Text,
    Unreachable,
    say,
)
from drivers._camera_address import Place
from drivers._camera_http import Account, CameraHttp, Reply, digest_challenge, schemes
from drivers.onvif import soap, times
from drivers.onvif.requests import Login, Service, addressed, library, sealed
from drivers.onvif.soap import Element, Fault

Way = Literal["none", "digest", "token"]
SHIFTED_S: Final = 5.0
"""A clock that was set anew since we read it: cameras refuse tokens that are 5 to 30 s off."""


class NotAllowed(LoginRefused):
    """The login is good, and the account may not do this."""


@dataclass(frozen=True, slots=True)
class _Request:
    service: Service
    operation: str
    arguments: dict[str, object]
    url: str
    reference: tuple[Element, ...] = ()
    timeout_s: float | None = None


class Wire:
    """SOAP to one camera."""

    def __init__(self, link: CameraLink, place: Place) -> None:
        self._link = link
        self.place = place
        self.http = CameraHttp(link, str(place))
        self.xaddrs: dict[Service, str] = {"device": place.url}
        self.way: Way | None = None
        """None until a camera has refused us or let us in."""
        self.shift_s: float | None = None
        """The camera's clock minus ours; None until it is known."""
        self._account: Account | None = None
        self._deciding = asyncio.Lock()

    async def call(
        self,
        service: Service,
        operation: str,
        *,
        url: str | None = None,
        reference: tuple[Element, ...] = (),
        timeout_s: float | None = None,
        **arguments: object,
    ) -> Element:
        """Make one request with whatever login the camera wants. Raises CameraError; NotOffered where the camera has no
        such service or operation."""
        where = url or self.xaddrs.get(service)
        if where is None:
            raise NotOffered(say("onvif.no-service", place=self.place, service=service))
        request = _Request(service, operation, arguments, where, reference, timeout_s)
        try:
            if self.way is None:
                async with self._deciding:  # one spends the login, the others wait for what came of it
                    if self.way is None:
                        return await self._first(request)
            return await self._again(request)
        except Fault as fault:
            raise self._fault(fault) from None

    async def bare(self, service: Service, operation: str) -> Element:
        """Make one request without any login."""
        where = self.xaddrs.get(service, self.place.url)
        return self._read(await self._post(_Request(service, operation, {}, where)))

    async def read_clock(self) -> float:
        """Read the camera's clock, without a login where it lets us; return it minus ours. The camera's clock is taken
        to be read half way. Raises CameraError."""
        began_ns = self._link.clock.boottime_ns()
        try:
            reply = await self.bare("device", "GetSystemDateAndTime")
        except (Fault, LoginRefused):
            if self.way is None or self.account() is None:
                raise
            began_ns = self._link.clock.boottime_ns()
            reply = await self.call("device", "GetSystemDateAndTime")
        here = self._link.clock.wall()
        trip_s = (self._link.clock.boottime_ns() - began_ns) / NS_PER_S
        if (there := times.system_time(reply, here.tzinfo)) is None:
            raise BadReply(say("onvif.no-clock", place=self.place))
        self.shift_s = (there - here).total_seconds() + trip_s / 2
        return self.shift_s

    def account(self) -> Account | None:
        """Name and password; read once, so that one session never tries two. Raises LoginRefused."""
        if self._account is None and self._link.username is not None:
            if ":" in self._link.username:
                raise LoginRefused(say("camera.name-colon"))
            self._account = Account(self._link.username, self._link.password() or "")
        return self._account

    def now(self) -> datetime:
        """The camera's time, as far as it is known."""
        return self._link.clock.wall().astimezone(UTC) + timedelta(seconds=self.shift_s or 0.0)

    async def close(self) -> None:
        """Give the connections back."""
        await self.http.close()

    async def _first(self, request: _Request) -> Element:
        """Find out which way of login is wanted."""
        reply = await self._post(request)
        try:
            found = self._read(reply)
        except LoginRefused:
            pass
        except Fault as fault:
            # Some answer a missing login with whatever fault they like. An operation that is not there is told as such.
            if fault.not_offered or (self.account() is None and not fault.refuses_login):
                raise
        except BadReply:
            if reply.status not in (400, 500) or self.account() is None:
                raise
        else:
            self.way = "none"
            return found
        return await self._login(request, reply)

    async def _login(self, request: _Request, refusal: Reply) -> Element:
        """Try the one way that the refusal asks for, once."""
        if (account := self.account()) is None:
            raise LoginRefused(say("camera.login-wanted", place=self.place))
        self._link.gate.check("http")
        if digest_challenge(refusal) is not None:
            found = self._read(await self._digest(request, account, refusal))
            self.way = "digest"
            return found
        if "digest" in schemes(refusal).lower():  # one that nobody here can answer; a token would be a guess
            raise LoginRefused(say("camera.login-scheme", place=self.place, scheme=schemes(refusal)))
        if self.shift_s is None and refusal.unix_s is not None:
            self.shift_s = refusal.unix_s - self._link.clock.wall().timestamp()
        found = await self._token(request, account)
        self.way = "token"
        return found

    async def _token(self, request: _Request, account: Account) -> Element:
        """Make a request with a token. Raises LoginRefused when that is not taken, other CameraErrors."""
        async with self.http.trying() as attempt:
            reply = await self._post(request, account)
            try:
                found = self._read(reply)
            except (Fault, LoginRefused) as error:
                if isinstance(error, Fault) and not error.refuses_login:
                    raise
                attempt.refused()
                raise LoginRefused(self._why(reply)) from None
            attempt.accepted()
            return found

    async def _again(self, request: _Request) -> Element:
        """Make a request the way that is known."""
        if self.way == "none":
            reply = await self._post(request)
            try:
                return self._read(reply)
            except (LoginRefused, Fault) as error:
                if isinstance(error, Fault) and not error.refuses_login:
                    raise
                return await self._login(request, reply)  # some let everybody read what they are, and no more
        account = self.account()
        assert account is not None
        if self.way == "digest":
            return self._read(await self._digest(request, account, None))
        try:
            return await self._token(request, account)
        except LoginRefused:
            if not await self._clock_moved():
                await self._confirm(request, account)
                raise NotAllowed(say("onvif.not-allowed", place=self.place, operation=request.operation)) from None
        return await self._token(request, account)

    async def _confirm(self, refused: _Request, account: Account) -> None:
        """Is it the account that may not do this, or is it the password, which worked before? Raises LoginRefused."""
        operation = "GetDeviceInformation"
        if refused.operation == operation:
            raise LoginRefused(say("onvif.refused", place=self.place))
        url = self.xaddrs.get("device", self.place.url)
        with suppress(Fault):  # of another kind: it has listened
            await self._token(_Request("device", operation, {}, url), account)

    async def _clock_moved(self) -> bool:
        """Whether the camera's clock was set since we read it."""
        before = self.shift_s
        try:
            now = await self.read_clock_bare()
        except CameraError:
            return False
        return before is None or abs(now - before) > SHIFTED_S

    async def read_clock_bare(self) -> float:
        """Read the clock without a login. Raises CameraError."""
        way, self.way = self.way, None
        try:
            return await self.read_clock()
        finally:
            self.way = way

    async def _digest(self, request: _Request, account: Account, refusal: Reply | None) -> Reply:
        body, headers = await self._written(request, None)
        try:
            return await self.http.login(
                "POST", request.url, account, body, headers, first=refusal, timeout_s=request.timeout_s
            )
        except NotAllowed:
            raise
        except LoginRefused as error:
            if error.text.key == "camera.login-refused":
                raise LoginRefused(say("onvif.refused-digest", place=self.place)) from None
            raise

    async def _post(self, request: _Request, account: Account | None = None) -> Reply:
        login = Login(account.username, account.password, self.now()) if account else None
        body, headers = await self._written(request, login)
        return await self.http.exchange("POST", request.url, body, headers, timeout_s=request.timeout_s)

    async def _written(self, request: _Request, login: Login | None) -> tuple[bytes, dict[str, str]]:
        books = library()
        if not books.loaded(request.service):
            await asyncio.to_thread(books.load, request.service)
        envelope, action = books.envelope(request.service, request.operation, request.arguments)
        if request.service == "events":
            addressed(envelope, action, request.url, request.reference)
        kind = f'application/soap+xml; charset=utf-8; action="{action}"'
        return sealed(envelope, login), {"Content-Type": kind}

    def _read(self, reply: Reply) -> Element:
        """The body of an answer. Raises Fault, LoginRefused for a refusal without words, BadReply."""
        if reply.status == 404:
            raise BadReply(say("onvif.no-such-page", place=self.place))
        if reply.status == 405 or (reply.status == 200 and not reply.body.strip()):
            raise BadReply(say("onvif.not-onvif", place=self.place))
        try:
            return soap.read(reply.body, self.place)
        except Fault:
            raise
        except BadReply:
            if reply.status in (401, 403):
                raise LoginRefused(say("camera.login-refused", place=self.place)) from None
            if reply.status == 503:
                raise Unreachable(say("onvif.busy", place=self.place)) from None
            if reply.status >= 400:
                raise BadReply(say("camera.http-status", place=self.place, status=reply.status)) from None
            if b"<html" in reply.body[:2048].lower():
                raise BadReply(say("onvif.not-onvif", place=self.place)) from None
            raise

    def _fault(self, fault: Fault) -> CameraError:
        if fault.not_offered:
            return NotOffered(fault.text)
        if fault.refuses_login:
            return NotAllowed(fault.text)
        return fault

    def _why(self, refusal: Reply) -> Text:
        """What a refused token may come from."""
        if b"lock" in refusal.body.lower():
            return say("onvif.locked", place=self.place)
        if self.shift_s is None:
            return say("onvif.refused-clock", place=self.place)
        return say("onvif.refused", place=self.place)
