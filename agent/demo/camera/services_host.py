"""What the services ask of the server that they are part of."""

from collections.abc import Callable
from typing import Protocol

from agent.demo.camera.camera import Camera
from agent.demo.camera.soap import Call


class Host(Protocol):
    """What the services ask of the server."""

    camera: Camera

    def base(self) -> str:
        """The address of the services, as it is told: `http://host:port`."""
        ...

    def stream_uri(self, channel: int, role: str) -> str: ...


Answer = Callable[[Host, Call], str]
"""What answers one operation: the inside of the body; raises Fault."""
