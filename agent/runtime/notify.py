"""What systemd hears of us: READY, STATUS, WATCHDOG, STOPPING (sd_notify(3))."""

import logging
import os
import socket
from collections.abc import Mapping
from typing import Final

log = logging.getLogger(__name__)

US_PER_S: Final = 1_000_000
NOTIFY_TIMEOUT_S: Final = 0.2
"""A datagram to the manager's socket takes microseconds; a full queue must not stop the loop."""


class Notifier:
    """Sends to `$NOTIFY_SOCKET`; does nothing where there is none."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET")
        self._watchdog_us = int(environ.get("WATCHDOG_USEC", "0"))
        self._socket: socket.socket | None = None
        if self._address:  # kept: without file descriptors a healthy process must still feed its watchdog
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(NOTIFY_TIMEOUT_S)
        if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
            self._watchdog_us = 0

    @property
    def watchdog_interval_s(self) -> float | None:
        """How often to report: a third of the limit, so that one late report does no harm."""
        return self._watchdog_us / US_PER_S / 3 if self._watchdog_us else None

    def send(self, **fields: str) -> None:
        """Send `READY="1"`, `STATUS="..."` and the like."""
        if self._socket is None or not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            self._socket.sendto("\n".join(f"{k}={v}" for k, v in fields.items()).encode(), address)
        except OSError as error:
            log.debug("sd_notify: %s", error)
