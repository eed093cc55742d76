"""Keys of the terminal, one by one, without Enter and without echo."""

import asyncio
import contextlib
import os
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import Final

READ_BYTES: Final = 64


@contextlib.contextmanager
def keys(pressed: Callable[[str], None]) -> Iterator[None]:
    """Call `pressed` for each key until the end of the block; Ctrl-C stays a signal."""
    fd = sys.stdin.fileno()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for character in os.read(fd, READ_BYTES).decode(errors="ignore"):
            pressed(character)

    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSADRAIN)
    loop.add_reader(fd, read)
    try:
        yield
    finally:
        loop.remove_reader(fd)
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
