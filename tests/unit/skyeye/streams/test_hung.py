"""Threads that are left behind are counted, and too many end the process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

from agent.camera import CameraError, StreamSource
from agent.clock import NS_PER_S
from agent.skyeye.model import Packet, StreamInfo
from agent.skyeye.streams.hung import GRACE_S, Hung
from agent.skyeye.streams.reader import Reader
from agent.skyeye.streams.times import Forward


class Nobody:
    def begun(self, _reader: Reader, _info: StreamInfo) -> None: ...
    def packet(self, _reader: Reader, _packet: Packet) -> None: ...
    def ended(self, _reader: Reader, _error: CameraError) -> None: ...


@contextmanager
def readers(count: int) -> Iterator[list[Reader]]:
    """Readers that wait for a camera which takes the connection and says nothing."""
    with socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(count)
        source = StreamSource(f"rtsp://127.0.0.1:{mute.getsockname()[1]}/")
        made = [Reader(source, "tcp", Forward, Nobody(), lambda: 0) for _ in range(count)]
        for reader in made:
            reader.start()
        yield made
    for thread in threading.enumerate():  # closing the socket has ended them
        if thread.name.startswith("stream "):
            thread.join(15)


def test_who_is_late_counts_and_who_has_ended_does_not() -> None:
    now, exhausted = [0], list[int]()
    hung = Hung(lambda: now[0], exhausted.append, limit=2)
    with readers(3) as made:
        hung.leave(made[0])
        assert (hung.look(), hung.ending) == (0, 1), "it has its time"
        now[0] = int(GRACE_S * NS_PER_S)
        assert (hung.look(), exhausted) == (1, [])
        hung.leave(made[1], grace_s=0)
        assert exhausted == [2]
        hung.leave(made[2])
    assert (hung.look(), hung.ending) == (0, 0)
