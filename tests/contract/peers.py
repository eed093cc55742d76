"""For each driver: a valid configuration of it, and a simulated device that it talks to.

A new driver gets a module `peers_<name>.py` beside this one, with a `PEER`; the contract suite fails for one that has
none.
"""

import importlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.driver import BadFrame, Input
from tests.sims.rig import RecordedLink


@dataclass(frozen=True)
class Talk:
    """A driver in touch with its simulated device."""

    start: Callable[[], RecordedLink]
    """Run the driver, with restarts."""
    end: Callable[[], Awaitable[None]]
    """Cancel it, and whatever it stood on; raises if that ends in an error."""
    silence: Callable[[], None]
    """The device says nothing any more."""
    speak: Callable[[], None]
    """It does again."""
    unplug: Callable[[], None]
    """Its port goes away."""
    garbage: Callable[[bytes], None]
    """Bytes come that nobody can read, with every reply and between."""
    change: Callable[[bool], None]
    """The peer's input changes."""


class Framer(Protocol):
    """Takes bytes as they come and returns the frames that are whole; hands what is none to `reject`."""

    def feed(self, data: bytes, reject: Callable[[bytes, BadFrame], None], /) -> Iterable[bytes]: ...


@dataclass(frozen=True)
class Peer:
    """How to test one driver."""

    config: Mapping[str, object]
    """What stands in [[device]], in TOML's words."""
    decoders: tuple[Callable[[bytes], object], ...]
    """Its pure functions of bytes."""
    talk: Callable[[Path], AbstractAsyncContextManager[Talk]]
    input: Input = 0
    """The input that `Talk.change` changes."""
    asked: bool = True
    """The driver asks the device, and so knows every input after a start. Not so a panel that speaks when it likes:
    its inputs are told as they change, and its silence is judged by `offline_after` alone."""
    drowned: bool = True
    """Noise on its line drowns what the device says. Not so where the two go over wires of their own."""
    noisy: bool = True
    """It has a line on which bytes come that nobody can read. Not so where the kernel tells values."""
    port: bool = True
    """The driver holds a port that can be lost. Not so a server, whose clients come and go."""
    releases: bool = True
    """The device tells a release. Not so a radio button: the driver makes a pulse of each press."""
    framers: tuple[Callable[[], Framer], ...] = ()
    """How it finds frames in the bytes of a line, for drivers that do."""


def peers() -> dict[str, Peer]:
    """Every peer by its driver's name: the modules `peers_*.py` beside this one."""
    found: dict[str, Peer] = {}
    for path in sorted(Path(__file__).parent.glob("peers_*.py")):
        name = path.stem.removeprefix("peers_").replace("_", "-")
        found[name] = importlib.import_module(f"tests.contract.{path.stem}").PEER
    return found
