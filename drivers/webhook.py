"""A message by HTTP POST: to a platform of one's own as CloudEvents, or into a chat group of DingTalk, WeCom or Feishu
through its robot.

Source: CloudEvents 1.0.2, HTTP binding 3.2 (structured mode); DingTalk open platform, "custom robot" (signature:
HmacSHA256 of timestamp and secret); WeCom developer centre, "group robot"; Feishu open platform, "custom bot". The
robots answer 200 to everything: only the code in the answer says whether the group has it. Their token stands in the
URL, so the URL is a secret, and only its host is ever shown.
"""

import asyncio
import base64
import hashlib
import hmac
import ipaddress
import json
import os
import ssl
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import SplitResult, urlencode, urlsplit

from agent.driver import (
    NS_PER_S,
    Condition,
    Duration,
    Field,
    Notice,
    PathDriver,
    PathError,
    PathLink,
    PathSession,
    PathSite,
    Secret,
    SecretError,
    Supervision,
    Taken,
    say,
)

if TYPE_CHECKING:
    import aiohttp

Format = Literal["cloudevent", "dingtalk", "wecom", "feishu"]

ANSWER_BYTES: Final = 64 * 1024
"""The robots answer in a hundred bytes; a login page of a captive portal may have more, and is none of ours."""
REASON_CHARS: Final = 80
"""How much of a robot's reason is shown."""
GOOD: Final = range(200, 300)
OK_CODES: Final[Mapping[str, tuple[str, ...]]] = {
    "dingtalk": ("errcode",),
    "wecom": ("errcode",),
    "feishu": ("code", "StatusCode"),
}
"""The member of an answer that is 0 when the group has it; Feishu renamed its own."""
REASONS: Final = ("errmsg", "msg", "StatusMessage")
CLOUDEVENT: Final = "application/cloudevents+json"


class Webhook(PathDriver):
    """A URL that takes messages, of a platform or of a chat group's robot.

    Source: CloudEvents 1.0.2, HTTP binding 3.2; the robot pages of DingTalk, WeCom and Feishu."""

    name = "webhook"
    url: Secret = Field(description="where to; its token makes it a secret")
    format: Format = Field("cloudevent", description="how the message is written")
    secret: Secret | None = Field(None, description="the robot's signing secret (DingTalk, Feishu)")
    token: Secret | None = Field(None, description="sent as Authorization: Bearer")
    ca: str | None = Field(None, pattern="^/", description="certificates to trust beside the system's")
    at_all: bool = Field(False, description="call everybody in the group")
    timeout_s: Duration = Field(10.0, alias="timeout", ge=1, le=60, description="how long an answer may take")
    interval_s: Duration = Field(300.0, alias="interval", ge=10, le=86_400, description="how often it is looked at")

    def supervision(self) -> Supervision:
        return Supervision(self.interval_s, 2 * self.interval_s)

    def target(self) -> SplitResult:
        """The URL in parts. Raises PathError, which never shows it."""
        try:
            parts = urlsplit(revealed(self.url))
            _ = parts.port
        except ValueError:
            raise PathError(say("webhook.bad-url")) from None
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise PathError(say("webhook.bad-url"))
        if parts.scheme == "http" and not is_near(parts.hostname):
            raise PathError(say("webhook.needs-https", host=parts.hostname))
        return parts

    async def open(self, link: PathLink) -> PathSession:
        target = self.target()
        # both take tens of milliseconds, in which an alarm would wait for the loop
        aiohttp = await asyncio.to_thread(import_module, "aiohttp")
        context = await asyncio.to_thread(trust, self.ca)
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        connector = aiohttp.TCPConnector(ssl=context, limit=1, force_close=True)
        client = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return WebhookSession(self, link, target, client, context)


class WebhookSession(PathSession):
    """One client; each message has a connection of its own."""

    def __init__(
        self,
        settings: Webhook,
        link: PathLink,
        target: SplitResult,
        client: "aiohttp.ClientSession",
        context: ssl.SSLContext,
    ) -> None:
        self._settings = settings
        self._link = link
        self._target = target
        self._client = client
        self._context = context
        self._host = target.hostname or ""

    async def send(self, notice: Notice) -> Taken:
        settings = self._settings
        secret = revealed(settings.secret) if settings.secret else None
        seconds = self._link.clock.wall().timestamp()
        body, query = message(settings.format, notice, self._link.site, secret, seconds, at_all=settings.at_all)
        content = CLOUDEVENT if settings.format == "cloudevent" else "application/json"
        headers = {"Content-Type": f"{content}; charset=utf-8"}
        if settings.token:
            headers["Authorization"] = f"Bearer {revealed(settings.token)}"
        self._link.step(say("webhook.posting", host=self._host))
        began_ns = self._link.clock.boottime_ns()
        status, answer = await self._post(with_query(self._target, query), body, headers)
        if status not in GOOD:
            raise PathError(say("webhook.status", host=self._host, status=status))
        check_answer(settings.format, answer, self._host)
        ms = (self._link.clock.boottime_ns() - began_ns) * 1000 // NS_PER_S
        return Taken(self._host, say("webhook.taken", host=self._host, status=status, ms=ms))

    async def probe(self) -> Condition:
        """As far as a connection and its certificate: a message would be read by people."""
        secure = self._target.scheme == "https"
        port = self._target.port or (443 if secure else 80)
        context = self._context if secure else None
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                _, writer = await asyncio.open_connection(self._host, port, ssl=context)
                writer.close()
        except (OSError, ValueError) as error:  # ssl's errors are OSErrors, TimeoutError too
            raise PathError(say("webhook.unreachable", host=self._host, reason=reason_of(error))) from None
        return Condition(say("webhook.reachable", host=self._host), {"host": self._host})

    async def close(self) -> None:
        await self._client.close()

    async def _post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Redirects are answers like any other: the token goes where it was meant to, and nowhere else."""
        import aiohttp
        from yarl import URL

        try:
            async with self._client.post(
                URL(url, encoded=True), data=body, headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, await answer.content.read(ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise PathError(say("webhook.unreachable", host=self._host, reason=reason_of(error))) from None


def message(
    format_: Format, notice: Notice, site: PathSite, secret: str | None, seconds: float, *, at_all: bool
) -> tuple[bytes, dict[str, str]]:
    """Return the body, and what is added to the URL. Pure."""
    if format_ == "cloudevent":
        return dump(event(notice, site)), {}
    text = f"【{site.name}】{notice.text}\n{notice.time:%Y-%m-%d %H:%M:%S}"
    if site.language == "en":
        text = f"[{site.name}] {notice.text}\n{notice.time:%Y-%m-%d %H:%M:%S}"
    made: dict[str, Any]
    if format_ == "feishu":
        stamp = str(int(seconds))
        made = {"msg_type": "text", "content": {"text": text + ('\n<at user_id="all"></at>' if at_all else "")}}
        return dump(made | ({"timestamp": stamp, "sign": feishu_sign(stamp, secret)} if secret else {})), {}
    if format_ == "wecom":
        mentioned = {"mentioned_list": ["@all"]} if at_all else {}
        return dump({"msgtype": "text", "text": {"content": text, **mentioned}}), {}
    stamp = str(int(seconds * 1000))
    made = {"msgtype": "text", "text": {"content": text}, "at": {"isAtAll": at_all}}
    return dump(made), {"timestamp": stamp, "sign": dingtalk_sign(stamp, secret)} if secret else {}


def event(notice: Notice, site: PathSite) -> dict[str, Any]:
    """A notice as a CloudEvent; `id` is the same however often it is tried."""
    place = "/".join(part for part in (site.district, site.school, notice.device, notice.point) if part)
    return {
        "specversion": "1.0",
        "id": notice.id,
        "source": f"/{place}",
        "type": f"campus.notice.{notice.what}",
        "time": notice.time.isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
        "data": {
            "alarm": notice.alarm,
            "kind": notice.kind,
            "priority": notice.priority,
            "site": site.name,
            "device": notice.device,
            "point": notice.point,
            "name": notice.name,
            "text": notice.text,
        },
    }


def dingtalk_sign(stamp: str, secret: str) -> str:
    """HmacSHA256 of `timestamp LF secret` with the secret, in Base64; `stamp` is in milliseconds."""
    return base64.b64encode(hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256)).decode()


def feishu_sign(stamp: str, secret: str) -> str:
    """HmacSHA256 of nothing with `timestamp LF secret` as the key, in Base64; `stamp` is in seconds."""
    return base64.b64encode(hmac.digest(f"{stamp}\n{secret}".encode(), b"", hashlib.sha256)).decode()


def check_answer(format_: Format, answer: bytes, host: str) -> None:
    """See whether a robot has really taken it. Raises PathError."""
    if (members := OK_CODES.get(format_)) is None:
        return
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not (codes := [found[name] for name in members if name in found]):
        raise PathError(say("webhook.no-robot", host=host))
    if codes[0] != 0:
        reason = next((str(found[name]) for name in REASONS if name in found), "-")
        printable = "".join(char for char in reason[:REASON_CHARS] if char.isprintable())
        raise PathError(say("webhook.robot-refused", host=host, code=str(codes[0])[:REASON_CHARS], reason=printable))


def with_query(target: SplitResult, more: Mapping[str, str]) -> str:
    """The URL with something added to its query."""
    query = "&".join(part for part in (target.query, urlencode(more)) if part)
    return target._replace(query=query, fragment="").geturl()


def trust(ca: str | None) -> ssl.SSLContext:
    """Certificates are always verified. Raises PathError for a file that holds none."""
    context = ssl.create_default_context()
    if ca:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise PathError(say("webhook.bad-ca", path=ca, reason=reason_of(error))) from None
    return context


def is_near(host: str) -> bool:
    """Whether a host is this machine or an address of the school's own network: all that plain HTTP is good for."""
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host == "localhost"


def revealed(secret: Secret) -> str:
    """A secret's value. Raises PathError."""
    try:
        return secret.reveal()
    except SecretError as error:
        raise PathError(error.text) from None


def reason_of(error: Exception) -> str:
    """Why it failed, without what the library says: that may hold the URL."""
    inner = getattr(error, "certificate_error", None) or error.__cause__ or getattr(error, "os_error", None)
    for one in (inner, error):  # aiohttp's own error has the name of ssl's, and not what it says
        if said := getattr(one, "verify_message", None):
            return str(said)
    if isinstance(error, TimeoutError):
        return "timeout"
    code = error if isinstance(error, OSError) else inner
    number = getattr(code, "errno", None)  # the system's own words: asyncio's name the address again
    if isinstance(number, int) and number > 0:
        return os.strerror(number)
    return getattr(code, "strerror", None) or type(error).__name__


def dump(value: Mapping[str, Any]) -> bytes:
    """JSON as it goes out."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
