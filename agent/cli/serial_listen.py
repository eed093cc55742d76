"""What comes in on a port, cut where the line was silent, with times and gaps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from agent.bus.port import OpenPort, SerialSettings
from agent.bus.timing import bits_per_char, silence_s
from agent.driver import DeviceError

SHORTEST_GAP_S: Final = 0.005
"""USB adapters hand bytes over in packets a millisecond or more apart: shorter silences are not the line's own."""
BURST_BYTES: Final = 256
"""A burst is shown at the latest when it is so long: a line that is never silent shows too."""
WAITING_CHUNKS: Final = 1000
"""What waits to be printed; a slow terminal loses bytes rather than memory."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Bytes without a silence between them. Times in seconds from the start, and since the last byte before."""

    at_s: float
    gap_s: float
    data: bytes

    @property
    def text(self) -> str:
        """The bytes as text where they are any: ASCII, or GB 18030 as printers of Chinese panels send it."""
        shown = self.data.decode("gb18030", "replace")
        return "".join(character if character.isprintable() and character != "\ufffd" else "." for character in shown)


async def listen(
    opener: OpenPort, settings: SerialSettings, seconds: float | None, opened: Callable[[], None] = lambda: None
) -> AsyncIterator[Burst]:
    """Yield what comes, for so long or until cancelled; call `opened` once the port is open. Raises DeviceError."""
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[tuple[float, bytes] | DeviceError] = asyncio.Queue(WAITING_CHUNKS)

    def put(item: tuple[float, bytes] | DeviceError) -> None:
        if not chunks.full():
            chunks.put_nowait(item)

    bits = bits_per_char(settings.bytesize, settings.parity, settings.stopbits)
    gap_s = max(SHORTEST_GAP_S, silence_s(baudrate=settings.baudrate, bits_per_char=bits))
    port = await opener(settings)
    opened()
    start = last = loop.time()
    ends_at = start + seconds if seconds is not None else None
    began, before, data = start, start, b""
    port.start(lambda chunk: put((loop.time(), chunk)), put)
    try:
        while ends_at is None or loop.time() < ends_at:
            wait_s = gap_s if data else (ends_at - loop.time() if ends_at is not None else None)
            try:
                async with asyncio.timeout(wait_s):
                    item = await chunks.get()
            except TimeoutError:
                item = None
            if isinstance(item, DeviceError):
                raise item
            if data and (item is None or item[0] - last > gap_s or len(data) >= BURST_BYTES):
                yield Burst(began - start, began - before, data)
                before, data = last, b""
            if item is not None:
                began = item[0] if not data else began
                last, data = item[0], data + item[1]
        if data:
            yield Burst(began - start, began - before, data)
    finally:
        port.close()
