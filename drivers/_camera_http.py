"""HTTP to one camera: one host, capped replies, a deadline for each exchange, no redirects, digest. Loaded when a
camera is opened, for it brings aiohttp.

Source: RFC 7616 (digest), RFC 7617 (basic), RFC 9110
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, cast

import aiohttp
from aiohttp.client_middleware_digest_auth import DigestAuthChallenge, DigestFunctions, parse_header_pairs
from multidict import CIMultiDictProxy
from yarl import URL

from agent.driver import BadReply, CameraError, CameraLink, LoginRefused, LoginTry, Unreachable, say

EXCHANGE_S: Final = 8.0
"""One exchange: slow cameras take 2 to 3 s to list their profiles; recorders with 64 channels up to 6."""
REPLY_BYTES: Final = 1 << 20
"""No honest SOAP reply is larger: the profiles of 64 channels take some 300 KiB."""
PICTURE_BYTES: Final = 8 << 20
"""A 4K JPEG takes 2 to 4 MiB."""
CONNECTIONS: Final = 4
"""At once to one camera: a poll of its events, a request, a picture. Cheap ones take no more than 8 in all."""
_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status."""

    status: int
    body: bytes
    headers: CIMultiDictProxy[str]

    @property
    def unix_s(self) -> float | None:
        """The sender's clock by its `Date` header, in Unix time."""
        try:
            return parsedate_to_datetime(self.headers["Date"]).timestamp()
        except (KeyError, ValueError, TypeError, OverflowError):
            return None


@dataclass(slots=True)
class Account:
    """Name and password for digest. Its answers count up per nonce, so each host and port has its own."""

    username: str
    password: str = field(repr=False)
    digests: dict[str, "Digest"] = field(default_factory=dict, repr=False)


class Digest(aiohttp.DigestAuthMiddleware):
    """aiohttp's digest, told which challenge to answer. As a middleware it would take the first challenge only (Basic,
    on some cameras), prefer auth-int, which cameras get wrong, and not tell how many logins it spent."""

    known: bool = False
    once: bool = False
    """The camera takes no nonce twice and does not say so: an old one would look like a refused login."""

    def take(self, challenge: Mapping[str, str]) -> None:
        """Answer this challenge from now on."""
        wanted = {
            name: challenge[name] for name in ("realm", "nonce", "qop", "algorithm", "opaque") if name in challenge
        }
        if "auth" in {one.strip() for one in wanted.get("qop", "").split(",")}:
            wanted["qop"] = "auth"
        self._challenge = cast("DigestAuthChallenge", wanted)
        self.known = True

    async def answer(self, method: str, url: URL, body: bytes) -> str:
        """The `Authorization` header of one request. Raises aiohttp.ClientError where the challenge makes no sense."""
        return await self._encode(method, url, body)  # type: ignore[arg-type]  # bytes are what auth-int hashes


def digest_challenge(reply: Reply) -> dict[str, str] | None:
    """The first digest challenge that can be answered. A camera may offer several, MD5 and SHA-256, and Basic."""
    for header in reply.headers.getall("WWW-Authenticate", []):
        scheme, _, rest = header.partition(" ")
        if scheme.lower() == "digest":
            found = {key.lower(): value for key, value in parse_header_pairs(rest).items()}
            if found.get("nonce") and "realm" in found and found.get("algorithm", "MD5").upper() in DigestFunctions:
                return found
    return None


def schemes(reply: Reply) -> str:
    """The ways of login that a camera offers, for people."""
    offered = reply.headers.getall("WWW-Authenticate", [])
    return ", ".join(sorted({one.partition(" ")[0][:20] for one in offered if one.strip()})) or "-"


class CameraHttp:
    """HTTP to one camera. No connection outlives its exchange: cameras have few, and a stale one fails the next.

    TLS is not verified: cameras have certificates that they signed themselves, so it keeps listeners out, and no
    more."""

    def __init__(self, link: CameraLink, place: str) -> None:
        self._link = link
        self._place = place
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS, force_close=True, ssl=False),
            timeout=aiohttp.ClientTimeout(total=None),  # `exchange` has one deadline for everything
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "identity", "User-Agent": "campus-agent"},
        )

    async def exchange(
        self,
        method: str,
        url: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        timeout_s: float | None = None,
        limit_bytes: int = REPLY_BYTES,
    ) -> Reply:
        """Send one request and read the whole answer. Raises CameraError."""
        began = False
        timeout_s = EXCHANGE_S if timeout_s is None else timeout_s
        try:
            async with (
                asyncio.timeout(timeout_s),
                self._session.request(
                    method,
                    URL(url, encoded=True),
                    data=body or None,
                    headers=headers,
                    allow_redirects=False,
                ) as response,
            ):
                began = True
                if response.status in range(300, 400):
                    raise BadReply(say("camera.redirect", place=self._place, status=response.status))
                if (encoding := response.headers.get("Content-Encoding", "identity").lower()) != "identity":
                    raise BadReply(say("camera.encoded", place=self._place, encoding=encoding[:20]))
                return Reply(response.status, await self._body(response, limit_bytes), response.headers)
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # TimeoutError is an OSError
            raise self._meaning(error, began, timeout_s) from None
        except asyncio.CancelledError:
            # A connector that is closed cancels whoever waits for one of its connections (aiohttp 3.14): nobody has
            # asked this task to end, and it must not end without a word.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Unreachable(say("camera.ended", place=self._place)) from None

    async def login(
        self,
        method: str,
        url: str,
        account: Account,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        first: Reply | None = None,
        timeout_s: float | None = None,
        limit_bytes: int = REPLY_BYTES,
    ) -> Reply:
        """Send one request with digest. `first` is a refusal that has the challenge, if one is at hand. Raises
        LoginRefused when the camera, or the gate, does not want the login, CameraError for what else goes wrong."""
        where = URL(url, encoded=True)
        digest = account.digests.setdefault(str(where.origin()), Digest(account.username, account.password))
        reply, doubted = first, False

        async def send(**login: str) -> Reply:
            extra = {**(headers or {}), **login}
            return await self.exchange(method, url, body, extra, timeout_s=timeout_s, limit_bytes=limit_bytes)

        async def answer() -> str:
            try:
                return await digest.answer(method, where, body)
            except aiohttp.ClientError:
                raise LoginRefused(say("camera.login-scheme", place=self._place, scheme="Digest ?")) from None

        for _ in range(3):  # without a login, with an old nonce, with a fresh one
            if reply is not None:
                if (challenge := digest_challenge(reply)) is None:
                    raise LoginRefused(say("camera.login-scheme", place=self._place, scheme=schemes(reply)))
                digest.take(challenge)
            fresh = reply is not None
            if not digest.known or (digest.once and not fresh):
                reply = await send()
            else:
                async with self.trying() as attempt:
                    reply = await send(Authorization=await answer())
                    if reply.status != 401:
                        attempt.accepted()
                        digest.once = digest.once or doubted
                    elif fresh or (digest_challenge(reply) or {}).get("stale", "").lower() != "true":
                        attempt.refused()
                        doubted = True
            if reply.status != 401:
                return reply
            if fresh:
                break
        raise LoginRefused(say("camera.login-refused", place=self._place))

    async def picture(self, url: str, account: Account | None, *, timeout_s: float | None = None) -> bytes:
        """Fetch a JPEG, with digest, or basic where nothing else is offered. Raises CameraError."""
        digest = account.digests.get(str(URL(url, encoded=True).origin())) if account else None
        if account and digest and digest.known:
            reply = await self.login("GET", url, account, timeout_s=timeout_s, limit_bytes=PICTURE_BYTES)
        else:
            reply = await self.exchange("GET", url, timeout_s=timeout_s, limit_bytes=PICTURE_BYTES)
            if reply.status == 401:
                reply = await self._picture_login(url, account, reply, timeout_s)
        if reply.status in (401, 403):
            raise LoginRefused(say("camera.login-refused", place=self._place))
        if reply.status != 200:
            raise BadReply(say("camera.http-status", place=self._place, status=reply.status))
        return self.jpeg(reply.body)

    @asynccontextmanager
    async def trying(self) -> AsyncIterator[LoginTry]:
        """Hold a try of the login while it is sent and answered. Raises LoginRefused."""
        async with self._link.gate.trying("http") as attempt:
            try:
                yield attempt
            except CameraError:
                if self._session.closed:  # another request was refused, and the conversation ended
                    attempt.abandoned()
                raise

    async def close(self) -> None:
        """Give all connections back."""
        await self._session.close()
        await asyncio.sleep(0)  # the transports close their sockets in the next turn of the loop

    def jpeg(self, body: bytes) -> bytes:
        """Check that it is a whole JPEG (ITU-T T.81 B.1.1.3); what some append is cut off. Raises BadReply."""
        end = body.rfind(b"\xff\xd9")
        if not body.startswith(b"\xff\xd8\xff") or end < 0:
            raise BadReply(say("camera.no-jpeg", place=self._place, length=len(body)))
        return body[: end + 2]

    async def _picture_login(self, url: str, account: Account | None, refusal: Reply, timeout_s: float | None) -> Reply:
        if account is None:
            raise LoginRefused(say("camera.login-wanted", place=self._place))
        if digest_challenge(refusal) is None and "basic" in schemes(refusal).lower():
            basic = {"Authorization": aiohttp.encode_basic_auth(account.username, account.password, "utf-8")}
            async with self.trying() as attempt:
                reply = await self.exchange("GET", url, headers=basic, timeout_s=timeout_s, limit_bytes=PICTURE_BYTES)
                if reply.status == 401:
                    attempt.refused()
                elif reply.status == 200:
                    attempt.accepted()
            return reply
        return await self.login("GET", url, account, first=refusal, timeout_s=timeout_s, limit_bytes=PICTURE_BYTES)

    async def _body(self, response: aiohttp.ClientResponse, limit_bytes: int) -> bytes:
        body = bytearray()
        while chunk := await response.content.read(_CHUNK_BYTES):
            body += chunk
            if len(body) > limit_bytes:
                raise BadReply(say("camera.too-long", place=self._place, limit=limit_bytes >> 10))
        return bytes(body)

    def _meaning(self, error: Exception, began: bool, timeout_s: float) -> CameraError:
        """What a failure means to whoever must mend it."""
        if isinstance(error, TimeoutError):
            return (BadReply if began else Unreachable)(say("camera.no-answer", place=self._place, seconds=timeout_s))
        if isinstance(error, aiohttp.ClientConnectorError):
            if error.os_error.errno == errno.ECONNREFUSED:
                return Unreachable(say("camera.port-closed", place=self._place))
            return Unreachable(say("camera.no-route", place=self._place, error=error.os_error.strerror or "-"))
        if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError | ConnectionError):
            return Unreachable(say("camera.dropped", place=self._place))
        return BadReply(say("camera.broken-off" if began else "camera.not-http", place=self._place))
