"""TLS handshakes, counted. asyncio's own server takes any number of connections that never say a word, and tells of one
only when its handshake is over: whoever opens thousands would take every file descriptor of the daemon."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import Final

from drivers.http_in.guard import REQUEST_S, plain_address

BACKLOG: Final = 64
AGAIN_S: Final = 1.0
"""Without a file descriptor left nothing can be accepted; others give theirs back within seconds."""


class Handshakes:
    """Accepts connections, and hands them over when their handshake is done. Where there are too many at once, the
    oldest is dropped: a device takes milliseconds."""

    def __init__(
        self,
        place: socket.socket,
        context: ssl.SSLContext,
        protocol: Callable[[], asyncio.Protocol],
        *,
        most: int,
        most_of_address: int,
    ) -> None:
        self._place = place
        self._context = context
        self._protocol = protocol
        self._most = most
        self._most_of_address = most_of_address
        self._under_way: dict[asyncio.Task[None], str] = {}
        self._place.listen(BACKLOG)
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    async def close(self) -> None:
        """Give the port back, and drop what is under way."""
        tasks = [self._accepting, *self._under_way]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        self._place.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(self._place)
            except OSError:
                await asyncio.sleep(AGAIN_S)
                continue
            address = plain_address(str(peer[0]))
            self._make_room(address)
            task = loop.create_task(self._shake_hands(connection))
            self._under_way[task] = address
            task.add_done_callback(self._under_way.pop)

    def _make_room(self, address: str) -> None:
        same = [task for task, other in self._under_way.items() if other == address]
        if len(same) >= self._most_of_address:
            same[0].cancel()
        elif len(self._under_way) >= self._most:
            next(iter(self._under_way)).cancel()

    async def _shake_hands(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(
                self._protocol, connection, ssl=self._context, ssl_handshake_timeout=REQUEST_S
            )
        except OSError:
            connection.close()  # no TLS, or none in time; ssl.SSLError is one too
        except asyncio.CancelledError:
            connection.close()
            raise
