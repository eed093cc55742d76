"""The demo's MQTT broker, a process of its own: `python -m agent.demo.broker PORT`, MQTT 3.1.1 on 127.0.0.1.

amqtt is pure Python, so that nothing needs to be installed beside us; it keeps its sessions in memory, so a restart
forgets them, as a broker's crash may. It prints `READY` when it listens, and ends with its standard input.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from typing import Final

from amqtt.adapters import (  # type: ignore[import-untyped]  # amqtt has types, but does not declare them
    StreamReaderAdapter,
    StreamWriterAdapter,
)
from amqtt.broker import Broker  # type: ignore[import-untyped]  # the same

READY: Final = b"READY\n"
"""What the parent waits for on our standard output."""
SHUTDOWN_S: Final = 1.0
"""A goodbye to two clients takes milliseconds; the kernel closes what is left."""
READ_BYTES: Final = 64
LISTENER: Final = "default"
SETTINGS: Final = {
    "timeout_disconnect_delay": 2,
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}
LEVEL: Final = 4
"""MQTT 3.1.1's protocol level (3.1.2.2)."""
REFUSED: Final = b"\x20\x02\x00\x01"
"""CONNACK, unacceptable protocol level (3.2.2.3)."""
LENGTH_BYTES: Final = 4
"""The remaining length takes at most so many (2.2.3)."""


class OldBroker(Broker):  # type: ignore[misc]  # untyped
    """amqtt, but for clients that speak another version: amqtt reads on and never answers them, MQTT 3.1.1 (3.1.2.2)
    asks for a refusal."""

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """Look at a connection's first packet, and hand it over with all its bytes."""
        try:
            head, level = await begin_connect(reader)
        except (asyncio.IncompleteReadError, OSError):
            writer.close()
            return
        if level != LEVEL:
            writer.write(REFUSED)
            writer.close()
            return
        await self.external_connected(Replayed(reader, head), StreamWriterAdapter(writer), listener_name)


class Replayed(StreamReaderAdapter):  # type: ignore[misc]  # untyped
    """A stream whose first bytes were read before."""

    def __init__(self, reader: asyncio.StreamReader, head: bytes) -> None:
        super().__init__(reader)
        self._head = head

    async def read(self, n: int = -1) -> bytes:
        if n < 0 or not self._head:
            found: bytes = self._head + await super().read(n)
            self._head = b""
            return found
        taken, self._head = self._head[:n], self._head[n:]
        return taken if len(taken) == n else taken + await super().read(n - len(taken))


async def begin_connect(reader: asyncio.StreamReader) -> tuple[bytes, int]:
    """Read a CONNECT up to its protocol level (3.1.2); return all that was read, and the level."""
    head = await reader.readexactly(2)
    while head[-1] & 0x80 and len(head) <= LENGTH_BYTES:
        head += await reader.readexactly(1)
    name_length = await reader.readexactly(2)
    rest = await reader.readexactly(int.from_bytes(name_length, "big") + 1)
    return head + name_length + rest, rest[-1]


async def serve(port: int) -> None:
    """Serve until standard input ends, which it does also when the parent dies."""
    broker = OldBroker({**SETTINGS, "listeners": {LISTENER: {"type": "tcp", "bind": f"127.0.0.1:{port}"}}})
    await broker.start()
    sys.stdout.buffer.write(READY)
    sys.stdout.flush()
    await input_ended()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(broker.shutdown(), SHUTDOWN_S)


async def input_ended() -> None:
    """Return at the end of standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while await reader.read(READ_BYTES):
        pass


def main(argv: list[str]) -> int:
    """Run the broker on the port that `argv` names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which ends our standard input
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(serve(int(argv[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
