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

from amqtt.broker import Broker  # type: ignore[import-untyped]  # amqtt has types, but does not declare them

READY: Final = b"READY\n"
"""What the parent waits for on our standard output."""
SHUTDOWN_S: Final = 1.0
"""A goodbye to two clients takes milliseconds; the kernel closes what is left."""
SETTINGS: Final = {
    "timeout_disconnect_delay": 2,
    "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
}


async def serve(port: int) -> None:
    """Serve until standard input ends, which it does also when the parent dies."""
    broker = Broker({**SETTINGS, "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}})
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
    while await reader.read(64):
        pass


def main(argv: list[str]) -> int:
    """Run the broker on the port that `argv` names."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the demo, which ends its standard input
    logging.basicConfig(level=logging.CRITICAL)
    asyncio.run(serve(int(argv[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
