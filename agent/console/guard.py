"""What stands between a browser and the page: hosts, origins, headers.

The page has no logins yet and listens on loopback alone; but any page of the internet in the same browser can send
requests to loopback. So the Host must be one of ours (a rebound name is not), a socket or an act must come from our
own page (Origin), and an act needs a header that no other page can send without asking first (CORS preflight, which
nothing here answers). Source: OWASP Cross-Site Request Forgery Prevention, "Custom Request Headers"; W3C CSP level 3.
"""

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from agent.control.protocol import text_json
from agent.texts import Text, say

ACT_HEADER: Final = "X-Campus-Agent"
LOOPBACK: Final = "127.0.0.1"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


def loopback_of(host: str) -> str | None:
    """The address to listen on if `host` is loopback; None if others could reach it."""
    if host == "localhost":
        return LOOPBACK
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return str(address) if address.is_loopback else None


def own_hosts(host: str, port: int) -> frozenset[str]:
    """What a browser on this machine writes into Host when it means us."""
    bracketed = f"[{host}]" if ":" in host else host
    names = {bracketed, "localhost", LOOPBACK, "[::1]"}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def from_own_page(request: web.Request, hosts: frozenset[str]) -> bool:
    """Whether a request comes from our own page. A program that sends no Origin is no browser's other page."""
    origin = request.headers.get("Origin")
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        return False
    return origin is None or origin.removeprefix("http://") in hosts


def policy(hosts: frozenset[str]) -> str:
    """The Content-Security-Policy. Sockets are named: not every browser counts them as 'self'. IPv6 addresses cannot
    be (CSP 3, 2.3.1, host-char)."""
    sockets = " ".join(f"ws://{host}" for host in sorted(hosts) if "[" not in host)
    return (
        f"default-src 'self'; connect-src 'self' {sockets}; img-src 'self' blob:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def guard(hosts: frozenset[str]) -> Middleware:
    """The middleware that refuses what is not ours."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host.lower() not in hosts:
            return refusal(421, say("console.wrong-host"))
        acts = request.method not in SAFE_METHODS
        if (acts or request.headers.get("Upgrade")) and not from_own_page(request, hosts):
            return refusal(403, say("console.wrong-origin"))
        if acts and request.headers.get(ACT_HEADER) is None:
            return refusal(403, say("console.wrong-origin"))
        return await handler(request)

    return check


def headers(hosts: frozenset[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """The signal handler that gives every answer its headers."""
    fixed = {
        "Content-Security-Policy": policy(hosts),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    }

    async def add(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(fixed)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.pop("Server", None)

    return add


def refusal(status: int, text: Text) -> web.Response:
    """A refusal with its text in every language."""
    return web.json_response({"error": text_json(text)}, status=status)
