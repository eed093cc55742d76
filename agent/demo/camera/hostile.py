"""Bad answers over HTTP: what cameras, or those who pretend to be one, send instead of what was asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from agent.demo.camera.soap import Fault, chunks, envelope, fault
from agent.demo.camera.spec import OnvifMode

HUGE_BYTES: Final = 64 << 20
CHUNK: Final = b"<!-- " + b"x" * 65_000 + b" -->"
DRIP_S: Final = 0.1
ELSEWHERE: Final = "http://192.0.2.1/onvif/device_service"
"""A host of documentation's range (RFC 5737): nothing must ever connect to it."""
SILENCE_S: Final = 3600.0
XML: Final = "application/soap+xml; charset=utf-8"
BOMB: Final = (
    b'<?xml version="1.0"?>\n<!DOCTYPE lolz [<!ENTITY a0 "aaaaaaaaaaaaaaaa">'
    + b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 16) for n in range(1, 10))
    + b']>\n<env:Envelope xmlns:env="http://www.w3.org/2003/05/soap-envelope"><env:Body>&a9;</env:Body></env:Envelope>'
)
"""Entities of entities: a few hundred bytes that want to be a terabyte."""

Spoil = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


def plain(data: bytes) -> web.Response:
    """An answer as it should be."""
    return web.Response(body=data, headers={"Content-Type": XML})


async def streamed(request: web.Request, length: int | None = None) -> web.StreamResponse:
    answer = web.StreamResponse(headers={"Content-Type": XML})
    answer.content_length = length
    await answer.prepare(request)
    return answer


async def huge(request: web.Request, _good: bytes) -> web.StreamResponse:
    answer = await streamed(request, HUGE_BYTES)
    for _ in range(HUGE_BYTES // len(CHUNK)):
        await answer.write(CHUNK)
    return answer


async def endless(request: web.Request, good: bytes) -> web.StreamResponse:
    answer = await streamed(request)
    await answer.write(good[: good.index(b"<env:Body>")])
    while True:
        await answer.write(CHUNK)


async def drip(request: web.Request, good: bytes) -> web.StreamResponse:
    answer = await streamed(request, len(good))
    for byte in chunks(good, 1):
        await answer.write(byte)
        await asyncio.sleep(DRIP_S)
    return answer


async def silent(_request: web.Request, _good: bytes) -> web.StreamResponse:
    await asyncio.sleep(SILENCE_S)
    return web.Response()


async def cut(request: web.Request, good: bytes) -> web.StreamResponse:
    answer = await streamed(request, len(good))
    await answer.write(good[: len(good) // 2])
    if request.transport:
        request.transport.abort()
    return answer


async def redirect(_request: web.Request, _good: bytes) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": ELSEWHERE})


async def malformed(_request: web.Request, good: bytes) -> web.StreamResponse:
    return plain(good[: len(good) * 3 // 4] + b"<open><unclosed attr=></env:Body>")


async def utf8(_request: web.Request, good: bytes) -> web.StreamResponse:
    return plain(good.replace(b"</tt:Name>", b"\xff\xfe\xc0</tt:Name>").replace(b"<tds:Model>", b"<tds:Model>\xc3\x28"))


async def bomb(_request: web.Request, _good: bytes) -> web.StreamResponse:
    return plain(BOMB)


async def web_page(_request: web.Request, _good: bytes) -> web.StreamResponse:
    return web.Response(text="<html><body><h1>Login</h1></body></html>", content_type="text/html")


async def faulty(_request: web.Request, _good: bytes) -> web.StreamResponse:
    error = fault(Fault("ter:ActionNotSupported", "Optional Action Not Implemented", sender=False))
    return web.Response(status=500, body=error, headers={"Content-Type": XML})


async def empty(_request: web.Request, _good: bytes) -> web.StreamResponse:
    return plain(envelope(""))


SPOILERS: Final[dict[OnvifMode, Spoil]] = {
    "silent": silent,
    "huge": huge,
    "endless": endless,
    "drip": drip,
    "malformed": malformed,
    "utf8": utf8,
    "bomb": bomb,
    "redirect": redirect,
    "content-type": web_page,
    "cut": cut,
    "fault": faulty,
    "empty": empty,
}
"""The modes that put another answer in place of the good one."""
