"""A camera made of files: it answers each ONVIF request with a reply that was written down.

A case is a folder. `<Operation>.xml` answers an operation; `<service>.<Operation>.xml` that of one service (media,
media2 ...), `<Operation>.2.xml` its second request. What a case lacks is taken from `_base`. A file is a whole reply,
or what stands in its Body; `@HOST@`, `@PORT@` and the parts of `@UTC@` are filled in. `case.toml` has the rest:

    quirk = "what real cameras do"
    login = "token" | "digest" | "digest-sha256" | "basic" | "none"     how it wants a login
    shift_s = 300                                        its clock minus ours
    open = ["GetSystemDateAndTime"]                      operations that need no login
    anonymous_fault = "Sender not Authorized"            what it says to those without
    status = { GetProfiles = 500 }
    [driver]                                             settings of the driver
    [[refuse]]                                           requests that it answers with a fault
    operation = "Renew"
    contains = "PT600S"                                  or lacks = "..."
    fault = "InvalidArgVal"
"""

import asyncio
import base64
import hashlib
import re
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web
from lxml import etree

from agent.clock import Clock, SimClock
from agent.driver import CameraLink, Door, LoginGate, LoginRefused, LoginTry

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "onvif"
BASE: Final = GOLDEN / "_base"
USERNAME: Final = "agent"
PASSWORD: Final = "s3cret-pass"
JPEG: Final = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(200) + b"\xff\xd9"
SKEW_S: Final = 20
"""How far off a token may be: the strictest cameras that we know of."""
_SERVICES: Final = {
    "ver10/device/wsdl": "device",
    "ver10/media/wsdl": "media",
    "ver20/media/wsdl": "media2",
    "ver20/ptz/wsdl": "ptz",
    "ver10/events/wsdl": "events",
    "wsn/b-2": "events",
    "ver10/search/wsdl": "search",
}
_ENVELOPE: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:tds="http://www.onvif.org/ver10/device/wsdl"'
    ' xmlns:trt="http://www.onvif.org/ver10/media/wsdl" xmlns:tr2="http://www.onvif.org/ver20/media/wsdl"'
    ' xmlns:tptz="http://www.onvif.org/ver20/ptz/wsdl" xmlns:tev="http://www.onvif.org/ver10/events/wsdl"'
    ' xmlns:tse="http://www.onvif.org/ver10/search/wsdl" xmlns:wsnt="http://docs.oasis-open.org/wsn/b-2"'
    ' xmlns:wsa="http://www.w3.org/2005/08/addressing" xmlns:ter="http://www.onvif.org/ver10/error"'
    ' xmlns:tns1="http://www.onvif.org/ver10/topics"><s:Body>{}</s:Body></s:Envelope>'
)


def fault(code: str) -> bytes:
    """A SOAP fault."""
    sender = "<s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:{0}</s:Value></s:Subcode></s:Code>"
    reason = '<s:Reason><s:Text xml:lang="en">{0}</s:Text></s:Reason>'
    word = re.sub(r"\W", "", code)
    return _ENVELOPE.format(f"<s:Fault>{sender.format(word)}{reason.format(code)}</s:Fault>").encode()


class TestGate(LoginGate):
    """A gate that counts."""

    __test__ = False

    def __init__(self) -> None:
        self.refusals = 0
        self.acceptances = 0
        self.closed = False

    def check(self, door: Door) -> None:
        if self.closed:
            raise LoginRefused(self._text())

    @asynccontextmanager
    async def trying(self, door: Door) -> AsyncIterator[LoginTry]:
        self.check(door)
        yield self

    def refused(self) -> None:
        self.refusals += 1

    def accepted(self) -> None:
        self.acceptances += 1

    def abandoned(self) -> None:
        """Counted by the real one."""

    @staticmethod
    def _text() -> Any:
        from agent.driver import say

        return say("camera.gate-closed", tries=2, minutes=30)


class TestLink(CameraLink):
    """What a driver is given."""

    __test__ = False

    def __init__(
        self, address: str, clock: Clock, *, username: str | None = USERNAME, password: str | None = PASSWORD
    ) -> None:
        self._address, self._clock, self._username, self._password = address, clock, username, password
        self.test_gate = TestGate()

    @property
    def camera(self) -> str:
        return "test"

    @property
    def clock(self) -> Clock:
        return self._clock

    @property
    def address(self) -> str:
        return self._address

    @property
    def username(self) -> str | None:
        return self._username

    @property
    def gate(self) -> LoginGate:
        return self.test_gate

    def password(self) -> str | None:
        return self._password


def morning() -> SimClock:
    """A clock that stands."""
    return SimClock(datetime(2026, 11, 24, 8, 0, 0, tzinfo=UTC))


class Replay:
    """The server of one case."""

    def __init__(self, folder: Path, clock: Clock, extra: Path = BASE) -> None:
        self.folder, self._base, self._clock = folder, extra, clock
        told = folder / "case.toml"
        self.case: dict[str, Any] = tomllib.loads(told.read_text("utf-8")) if told.exists() else {}
        self.counts: Counter[str] = Counter()
        self.refused_logins = 0
        self.requests: list[tuple[str, str, bytes]] = []
        self.port = 0
        self.hostile: str | None = None
        """How it misbehaves (HOSTILE) ..."""
        self.hostile_at: str | None = None
        """... at this operation; at every one if None."""
        self.spoiled: Callable[[bytes], bytes] | None = None
        """What it does to its replies before it sends them."""
        self._nonce = 0
        self._runner: web.AppRunner | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def link(self, **account: Any) -> TestLink:
        return TestLink(self.address, self._clock, **account)

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner:
            await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if self.hostile and self.hostile_at is None:
            return await misbehave(request, self.hostile)
        if request.method == "GET":
            return self._picture(request)
        first = etree.fromstring(body).find("{*}Body")[0]  # type: ignore[index]
        namespace, operation = etree.QName(first).namespace or "", etree.QName(first).localname
        service = next((name for part, name in _SERVICES.items() if namespace.endswith(part)), "?")
        self.requests.append((request.path_qs, operation, body))
        if (refusal := self._login(request, operation, body)) is not None:
            return refusal
        self.counts[operation] += 1
        if self.hostile and self.hostile_at == operation:
            return await misbehave(request, self.hostile)
        for rule in self.case.get("refuse", []):
            if rule["operation"] == operation and (
                rule["contains"].encode() in body
                if "contains" in rule
                else rule["lacks"].encode() not in body
                if "lacks" in rule
                else True
            ):
                return web.Response(status=400, body=fault(rule.get("fault", "InvalidArgVal")))
        status = self.case.get("status", {}).get(operation)
        if self.spoiled is not None:
            good = self._find(service, operation) or fault("ActionNotSupported")
            return web.Response(body=self.spoiled(good), headers={"Content-Type": "text/xml"})
        if (data := self._find(service, operation)) is None:
            return web.Response(status=status or 400, body=fault("ActionNotSupported"))
        kind = self.case.get("content_type", "application/soap+xml; charset=utf-8")
        return web.Response(
            status=status or (400 if b":Fault>" in data else 200), body=data, headers={"Content-Type": kind}
        )

    def _find(self, service: str, operation: str) -> bytes | None:
        number = self.counts[operation]
        for folder in (self.folder, self._base):
            for name in (
                f"{service}.{operation}.{number}",
                f"{service}.{operation}",
                f"{operation}.{number}",
                f"{operation}",
            ):
                if (path := folder / f"{name}.xml").exists():
                    return self._filled(path.read_bytes())
        return None

    def _filled(self, data: bytes) -> bytes:
        now = self._clock.wall().astimezone(UTC) + timedelta(seconds=self.case.get("shift_s", 0))
        words = {"HOST": "127.0.0.1", "PORT": str(self.port), "NOW": now.strftime("%Y-%m-%dT%H:%M:%SZ")}
        words["LATER"] = (now + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
        local = now + timedelta(hours=8)
        for prefix, when in (("", now), ("LOCAL", local)):
            for part in ("year", "month", "day", "hour", "minute", "second"):
                words[prefix + part.upper()] = str(getattr(when, part))
        for word, value in words.items():
            data = data.replace(f"@{word}@".encode(), value.encode())
        if b"Envelope" not in data and b"<html" not in data:
            data = _ENVELOPE.encode().replace(b"{}", data.strip())
        return data

    def _picture(self, request: web.Request) -> web.Response:
        self.requests.append((request.path_qs, "GET", b""))
        if (refusal := self._login(request, "GET", b"")) is not None:
            return refusal
        if self.spoiled is not None:
            return web.Response(body=self.spoiled(JPEG))
        self.counts["GET"] += 1
        return web.Response(body=JPEG + b"\r\n\r\n", headers={"Content-Type": "image/jpeg"})

    def _login(self, request: web.Request, operation: str, body: bytes) -> web.Response | None:
        way = self.case.get("login", "token")
        if way == "none" or operation in self.case.get("open", ["GetSystemDateAndTime"]):
            return None
        if way == "basic" or (way == "token" and operation == "GET"):
            return self._basic(request)
        return self._digest(request, way) if way.startswith("digest") else self._token(body)

    def _basic(self, request: web.Request) -> web.Response | None:
        given = request.headers.get("Authorization")
        if given == "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode():
            return None
        self.refused_logins += given is not None
        return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="camera"'})

    def _digest(self, request: web.Request, way: str) -> web.Response | None:
        given = request.headers.get("Authorization", "")
        algorithm, hashed = ("SHA-256", hashlib.sha256) if way.endswith("256") else ("MD5", hashlib.md5)
        if given:
            found = {key: quoted or bare for key, quoted, bare in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', given)}

            def h(text: str) -> str:
                return hashed(text.encode()).hexdigest()

            first = h(f"{found['username']}:{found['realm']}:{PASSWORD}")
            second = h(f"{request.method}:{request.path_qs}")
            middle = [found["nonce"], found["nc"], found["cnonce"], found["qop"]]
            right = h(":".join([first, *middle, second])) == found["response"] and found["username"] == USERNAME
            if right and found["nonce"] == f"n{self._nonce}" and self._nonce >= 0:
                if self.case.get("one_use_nonce"):
                    self._nonce += 1
                return None
            self.refused_logins += not right
        else:
            self._nonce += 1
        offers = [f'Digest realm="camera", qop="auth,auth-int", nonce="n{self._nonce}", algorithm={algorithm}']
        if self.case.get("offers_basic"):
            offers.insert(0, 'Basic realm="camera"')
        response = web.Response(status=401, body=b"<html>401</html>", headers={"Content-Type": "text/html"})
        for offer in offers:
            response.headers.add("WWW-Authenticate", offer)
        return response

    def _token(self, body: bytes) -> web.Response | None:
        tree = etree.fromstring(body)
        token = tree.find(".//{*}UsernameToken")
        said = self.case.get("anonymous_fault", "NotAuthorized")
        status = self.case.get("anonymous_status", 400)
        if token is None:
            return web.Response(status=status, body=fault(said) if said else b"")
        given = {etree.QName(part).localname: part.text or "" for part in token}
        created = given["Created"]
        digest = hashlib.sha1(base64.b64decode(given["Nonce"]) + created.encode() + PASSWORD.encode()).digest()
        now = self._clock.wall().astimezone(UTC) + timedelta(seconds=self.case.get("shift_s", 0))
        fresh = created.endswith("Z") and abs((datetime.fromisoformat(created) - now).total_seconds()) <= SKEW_S
        right = base64.b64encode(digest).decode() == given["Password"] and given["Username"] == USERNAME
        if right and fresh and len(given["Nonce"]) <= 32:
            return None
        self.refused_logins += 1
        return web.Response(status=400, body=fault("NotAuthorized"))


RAW: Final[dict[str, bytes]] = {
    "garbage": bytes(range(256)) * 4,
    "not-http": b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n",
    "reset": b"",
    "long-header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n<s:Envelope>",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n",
    "bad-length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
    "odd-challenge": b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="x"\r\nContent-Length: 0\r\n\r\n',
    "odd-algorithm": b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest nonce=a, realm=b, algorithm=FOO\r\n"
    b"Content-Length: 0\r\n\r\n",
}
ANSWERS: Final[dict[str, tuple[int, dict[str, str], bytes]]] = {
    "redirect": (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b""),
    "redirect-unauthorised": (307, {"Location": "http://169.254.169.254/latest"}, b""),
    "empty": (200, {}, b""),
    "web-page": (200, {"Content-Type": "text/html"}, b"<html><body>login</body></html>"),
    "compressed": (200, {"Content-Encoding": "gzip"}, b"\x1f\x8b" + bytes(100)),
    "bomb": (
        200,
        {},
        b'<!DOCTYPE a [<!ENTITY b "' + b"x" * 1000 + b'">]><s:Envelope xmlns:s="u"><s:Body>&b;</s:Body></s:Envelope>',
    ),
    "deep": (200, {}, b"<a>" * 100_000),
    "error": (500, {}, b"oops"),
    "unavailable": (503, {}, b""),
    "forbidden": (403, {}, b""),
    "challenge-forever": (401, {"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth", stale=true'}, b""),
}
HOSTILE: Final = (*RAW, *ANSWERS, "silent", "drip", "endless", "huge", "drip-header")


async def misbehave(request: web.Request, how: str) -> web.StreamResponse:
    """Answer as no camera should."""
    transport = request.transport
    assert transport is not None
    if how in ANSWERS:
        status, headers, body = ANSWERS[how]
        return web.Response(status=status, headers=headers, body=body)
    if how in RAW:
        transport.write(RAW[how])
        if how == "reset":
            transport.abort()
        else:
            await asyncio.sleep(0.05)
            transport.close()
        return web.Response()
    if how == "silent":
        await asyncio.sleep(60)
    if how == "drip-header":
        transport.write(b"HTTP/1.1 200 OK\r\n")
        while not transport.is_closing():
            transport.write(b"X: y\r\n")
            await asyncio.sleep(0.02)
    response = web.StreamResponse()
    if how == "huge":
        response.content_length = 1 << 30
    else:
        response.enable_chunked_encoding()
    with suppress(ConnectionError):
        await response.prepare(request)
        while not transport.is_closing():
            await response.write(b"<" if how == "drip" else b"<a>b</a>" * 8192)
            await asyncio.sleep(0.02 if how == "drip" else 0)
    return response
