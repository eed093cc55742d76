"""Sockets of drivers that are servers."""

import asyncio
import socket
from typing import Final

from agent.driver import DeviceError, say, split_listen

KEEPALIVE_S: Final = 60
KEEPALIVE_EVERY_S: Final = 10
KEEPALIVE_TRIES: Final = 3
"""A host that lost its power does not say so: the kernel asks after a minute, and half a minute later it is gone."""


async def bind(address: str, kind: socket.SocketKind) -> socket.socket:
    """Take an address; an IPv6 one for all addresses takes IPv4 as well. Raises DeviceError."""
    host, port = split_listen(address)
    try:
        loop = asyncio.get_running_loop()
        family, *_, where = (await loop.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE))[0]
        found = socket.socket(family, kind)
        try:
            if kind is socket.SOCK_STREAM:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family is socket.AF_INET6:
                found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            found.setblocking(False)
            found.bind(where)
        except OSError:
            found.close()
            raise
    except OSError as error:
        raise DeviceError(say("driver.listen", address=address, reason=error.strerror or str(error))) from error
    return found


def keep_alive(connection: socket.socket) -> None:
    """Let the kernel find out that a host is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_EVERY_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_TRIES)
