"""The Unix-socket API of the core, and its client: JSON lines, one object per line.

A request is `{"method": "...", "params": {...}}`. The answer is `{"ok": true, "result": ...}` or `{"ok": false,
"error": {"key", "zh-CN", "en"}}`; a streaming method sends any number of `{"item": ...}` before it. A connection
carries one request after another.
"""

from agent.control.client import ControlClient, ControlError, DaemonDown
from agent.control.protocol import Peer, socket_candidates
from agent.control.server import ControlServer, Methods

__all__ = [
    "ControlClient",
    "ControlError",
    "ControlServer",
    "DaemonDown",
    "Methods",
    "Peer",
    "socket_candidates",
]
