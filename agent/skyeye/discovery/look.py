"""The TCP half of a search, for hosts that keep silent on UDP: is there an ONVIF service, or at least an RTSP server?

Asked is only what needs no login (ONVIF Core 5.12, GetSystemDateAndTime is PRE_AUTH; RFC 2326 10.1, OPTIONS), so that
no camera counts a refused one.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import aiohttp

from agent.skyeye.discovery.answers import plain
from agent.skyeye.discovery.model import DEFAULT_PORTS, SERVICE_PATH, Found

ONVIF_PORTS: Final = (80, 8000, 8080, 8899, 2020, 5000, 8090, 10080)
"""Where cameras have their device service: the standard, Hikvision's and others' second port, XiongMai 8899,
TP-Link 2020, Foscam and Jovision."""
RTSP_PORTS: Final = (554, 8554)
CONNECT_TIMEOUT_S: Final = 1.5
"""In a school network an answer takes milliseconds; a lost SYN is sent again after 1 s."""
REPLY_TIMEOUT_S: Final = 4.0
"""Slow cameras need some seconds for their first SOAP answer."""
REPLY_LIMIT: Final = 64 * 1024
_QUESTION: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
    '<GetSystemDateAndTime xmlns="http://www.onvif.org/ver10/device/wsdl"/></s:Body></s:Envelope>'
)
_HEADERS: Final = {
    "Content-Type": 'application/soap+xml; charset=utf-8; action="http://www.onvif.org/ver10/device/wsdl/GetSystemDateAndTime"'
}
_OPTIONS: Final = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
_LINE_LIMIT: Final = 4096


async def open_ports(address: str, ports: Sequence[int]) -> list[int]:
    """Those of `ports` that take a connection."""

    async def try_one(port: int) -> int | None:
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return port
        return None

    return [port for port in await asyncio.gather(*map(try_one, ports)) if port]


async def look(
    address: str, onvif_ports: Sequence[int] = ONVIF_PORTS, rtsp_ports: Sequence[int] = RTSP_PORTS
) -> Found | None:
    """Look at one host. None if it is no camera."""
    there = await open_ports(address, tuple(dict.fromkeys((*onvif_ports, *rtsp_ports))))
    for port in there:
        if port in onvif_ports and await speaks_onvif(address, port):
            shown = "" if port == DEFAULT_PORTS["http"] else f":{port}"
            return Found(address, port, "onvif", xaddrs=(f"http://{address}{shown}{SERVICE_PATH}",))
    for port in there:
        if port in rtsp_ports and (server := await speaks_rtsp(address, port)) is not None:
            return Found(address, port, "rtsp", name=server or None)
    return None


async def speaks_onvif(address: str, port: int) -> bool:
    """Whether a device service answers there. A refusal in SOAP is an answer too."""
    timeout = aiohttp.ClientTimeout(total=REPLY_TIMEOUT_S)
    url = f"http://{address}:{port}{SERVICE_PATH}"
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session,
            session.post(url, data=_QUESTION, headers=_HEADERS, allow_redirects=False) as reply,
        ):
            body = bytearray()
            async for chunk in reply.content.iter_chunked(4096):
                body += chunk
                if len(body) > REPLY_LIMIT:
                    return False
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return False
    return b"Envelope" in body and (b"SystemDateAndTime" in body or b"Fault" in body)


async def speaks_rtsp(address: str, port: int) -> str | None:
    """The name of the RTSP server there, perhaps empty; None if there is none."""
    writer = None
    try:
        async with asyncio.timeout(REPLY_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port, limit=_LINE_LIMIT)
            writer.write(_OPTIONS)
            head = await reader.readuntil(b"\r\n\r\n")
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return None
    finally:
        if writer is not None:
            writer.close()
    if not head.startswith(b"RTSP/"):
        return None
    lines = head.decode("utf-8", errors="replace").split("\r\n")
    return next((plain(line[7:]) for line in lines if line.lower().startswith("server:")), "")
