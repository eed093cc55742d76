"""Evidence on its way out: HTTP PUT, one file at a time, again and again until it is there.

What is due is kept in the evidence's own record, so a restart forgets nothing. S3: a pre-signed address per file comes
with the command; WebDAV: a folder is configured. A file is small, so a broken transfer begins anew.

Source: RFC 9110 9.3.4 (PUT), RFC 4918 9.7 (PUT in WebDAV), Amazon S3 "Sharing objects with presigned URLs".
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import aiohttp
from yarl import URL

from agent.backoff import Backoff
from agent.clock import Clock
from agent.config.models import UploadSettings
from agent.logs import Loudness
from agent.secrets import SecretError, os_reason
from agent.skyeye.evidence.store import EvidenceStore
from agent.skyeye.model import Evidence
from agent.texts import Spoken, Text, say

log = logging.getLogger(__name__)

RETRY_CAP_S: Final = 600.0
"""A district's store that is down is down for a while; ten minutes late is still today's evidence."""
CONNECT_TIMEOUT_S: Final = 15.0
"""DNS, TCP and TLS over a bad mobile line."""
SLOWEST_BYTES_PER_S: Final = 16 << 10
"""A transfer that is slower than this is hung; a 5 MiB clip gets five minutes."""
SPARE_S: Final = 30.0
IDLE_LOOK_S: Final = 60.0
"""How often the queue is looked at without being told: a safety net, `poke` does the work."""
OK_FROM: Final = 200
OK_TO: Final = 300
UNAUTHORIZED: Final = 401
GIVE_UP: Final = frozenset({400, 403, 404, 405, 409, 410, 411, 413})
"""Answers to a pre-signed address that no retry changes: expired, not for us, too large."""
GIVE_UP_AFTER: Final = 3
"""So many such answers, as a store behind a load balancer may say 403 once for no reason."""


class UploadError(Spoken):
    """One try failed. `final` if another try cannot help."""

    def __init__(self, text: Text, *, final: bool = False) -> None:
        super().__init__(text)
        self.final = final


@dataclass(frozen=True, slots=True)
class Target:
    """Where one file goes."""

    url: str
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    signed: bool = False

    def __repr__(self) -> str:
        return f"Target({host_of(self.url)!r})"


def host_of(url: str) -> str:
    """Host and port of an address, as it may be shown; empty if it is none."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{parts.port}" if parts.port else host


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def is_allowed(url: str, hosts: Sequence[str]) -> bool:
    """Whether the host of `url` is one of `hosts`: by name as it is written, with its port where one is given there."""
    parts = _split(url)
    if parts is None or not parts.hostname:
        return False
    default = {"http": 80, "https": 443, "rtsp": 554, "rtmp": 1935}.get(parts.scheme)
    port = parts.port or default
    for one in hosts:
        allowed = _split(f"tcp://{one}")
        if allowed is None or not allowed.hostname:
            continue
        if _same_host(parts.hostname, allowed.hostname) and allowed.port in (None, port):
            return True
    return False


def _same_host(one: str, other: str) -> bool:
    try:
        return ip_address(one) == ip_address(other)
    except ValueError:
        return one.lower().rstrip(".") == other.lower().rstrip(".")


Told = Callable[[Evidence, str], Awaitable[None]]
"""Hears what was uploaded, and to which host."""


class Uploader:
    """Sends what is due in `store`."""

    def __init__(
        self,
        store: EvidenceStore,
        clock: Clock,
        settings: Callable[[], UploadSettings | None],
        allowed: Callable[[], Sequence[str]],
        on_uploaded: Told,
        on_fault: Callable[[Text | None], Awaitable[None]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._settings = settings
        self._allowed = allowed
        self._on_uploaded = on_uploaded
        self._on_fault = on_fault
        self._poke = asyncio.Event()
        self._loudness = Loudness()
        self._refusals: dict[str, int] = {}

    def poke(self) -> None:
        """Something may be due."""
        self._poke.set()

    def check_url(self, url: str) -> None:
        """Refuse an address that nothing may be sent to. Raises UploadError."""
        parts = _split(url)
        if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
            raise UploadError(say("evidence.upload-url"), final=True)
        if not is_allowed(url, self._allowed()):
            raise UploadError(say("evidence.upload-refused", host=host_of(url)), final=True)

    async def run(self) -> None:
        """Send until cancelled."""
        backoff = Backoff(RETRY_CAP_S)
        while True:
            self._poke.clear()
            backoff.started(self._clock.boottime_ns())
            failed = False
            for id_ in self._store.due():
                if (evidence := await self._store.get(id_)) is None:
                    continue
                failed = not await self._send_one(evidence) or failed
                if failed and not evidence.put_url:
                    break  # the folder is away: the rest would fail as well
            await self._nap(backoff.failed(self._clock.boottime_ns()) if failed else None)

    async def _nap(self, wait_s: float | None) -> None:
        if wait_s is not None:
            await self._clock.sleep(wait_s)
            return
        sleeper = asyncio.ensure_future(self._clock.sleep(IDLE_LOOK_S))
        poked = asyncio.ensure_future(self._poke.wait())
        try:
            await asyncio.wait((sleeper, poked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeper.cancel()
            poked.cancel()

    async def _send_one(self, evidence: Evidence) -> bool:
        try:
            target = self._target(evidence)
            if target is None:  # the folder was taken out of the configuration
                await self._store.uploaded(evidence.id, "none")
                return True
            await put(target, evidence)
        except UploadError as error:
            return await self._failed(evidence, error)
        self._refusals.pop(evidence.id, None)
        self._loudness.over("upload")
        await self._store.uploaded(evidence.id, "done")
        await self._on_uploaded(evidence, host_of(target.url))
        await self._on_fault(None)
        return True

    async def _failed(self, evidence: Evidence, error: UploadError) -> bool:
        settings = self._settings()
        host = host_of(evidence.put_url or (settings.url if settings else ""))
        text = say("evidence.upload-failed", host=host, reason=error.text)
        log.log(self._loudness.level("upload", error.text.key), text)
        if error.final:
            count = self._refusals[evidence.id] = self._refusals.get(evidence.id, 0) + 1
            if count >= GIVE_UP_AFTER:
                self._refusals.pop(evidence.id)
                await self._store.uploaded(evidence.id, "failed")
                return True
        await self._on_fault(text)
        return False

    def _target(self, evidence: Evidence) -> Target | None:
        if evidence.put_url:
            self.check_url(evidence.put_url)
            return Target(evidence.put_url, signed=True)
        if (settings := self._settings()) is None:
            return None
        try:
            password = settings.password.reveal() if settings.password else None
        except SecretError as error:
            raise UploadError(error.text) from None
        url = f"{settings.url.rstrip('/')}/{quote(evidence.path.name)}"
        return Target(url, settings.username, password, settings.ca)


async def put(target: Target, evidence: Evidence) -> None:
    """Send one file. Raises UploadError."""
    seconds = SPARE_S + evidence.bytes / SLOWEST_BYTES_PER_S
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT_S)
    try:
        data = await asyncio.to_thread(evidence.path.read_bytes)
        context = ssl.create_default_context(cafile=target.ca) if target.ca else True
        async with aiohttp.ClientSession(timeout=timeout, middlewares=_logins(target)) as session:
            headers = {"Content-Type": evidence.content_type}
            address = URL(target.url, encoded=True)  # a signature covers its very characters
            async with session.put(address, data=data, headers=headers, allow_redirects=False, ssl=context) as answer:
                if not OK_FROM <= answer.status < OK_TO:
                    text = say("evidence.upload-status", status=answer.status, reason=(answer.reason or "")[:80])
                    raise UploadError(text, final=target.signed and answer.status in GIVE_UP)
    except FileNotFoundError:
        raise UploadError(say("evidence.upload-gone"), final=True) from None
    except TimeoutError:
        raise UploadError(say("evidence.upload-timeout", seconds=round(seconds))) from None
    except aiohttp.ClientConnectorError as error:
        raise UploadError(say("evidence.upload-connect", reason=os_reason(error.os_error))) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:  # their texts may hold the signed address
        raise UploadError(say("evidence.upload-connect", reason=type(error).__name__)) from None


def _logins(target: Target) -> tuple[aiohttp.ClientMiddlewareType, ...]:
    """Digest where the server asks for it; it answers a Basic challenge with Basic over TLS only."""
    if not target.username:
        return ()
    username, password = target.username, target.password or ""
    digest = aiohttp.DigestAuthMiddleware(username, password)

    async def login(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        answer = await digest(request, handler)
        asked = answer.headers.get("WWW-Authenticate", "").lower()
        if answer.status == UNAUTHORIZED and asked.startswith("basic") and request.url.scheme == "https":
            request.headers["Authorization"] = aiohttp.encode_basic_auth(username, password)
            answer.release()
            answer = await handler(request)
        return answer

    return (login,)
