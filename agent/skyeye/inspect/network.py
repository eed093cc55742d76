"""Whether there is anybody at a camera's address at all: one TCP connection, before anything is asked."""

import asyncio
import errno
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agent.config.models import CameraSettings
from agent.skyeye.model import Check
from agent.texts import Text, say

CONNECT_TIMEOUT_S: Final = 4.0
"""On a school's network a connection takes milliseconds; the kernel repeats a lost SYN after 1 and 3 s."""
NAME_TIMEOUT_S: Final = 5.0
"""glibc asks a name server again after so long."""
NAME_THREADS: Final = 2
"""Look-ups have their own threads: hung ones must not hold up anybody else (FACTS 2)."""
PORTS: Final = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
DRIVER_PORTS: Final = {"rtsp": 554}
DEFAULT_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Reached:
    """What a knock found. Somebody is there also where the port is closed: the rest of the inspection says more."""

    there: bool
    check: Check


def place_of(camera: CameraSettings) -> tuple[str, int]:
    """The host and the port that the camera's first conversation goes to."""
    address = camera.address
    default = getattr(camera.settings, "port", None) or DRIVER_PORTS.get(camera.driver, DEFAULT_PORT)
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.hostname or address, port or PORTS.get(parts.scheme, default)


class Knocker:
    """Tries connections."""

    def __init__(self) -> None:
        self._names = ThreadPoolExecutor(NAME_THREADS, thread_name_prefix="names")

    async def knock(self, camera: CameraSettings) -> Reached:
        """Try one connection. Never raises."""
        host, port = place_of(camera)
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            numeric = await self._resolve(host)
        except (OSError, TimeoutError, UnicodeError) as error:
            reason = str(error) or type(error).__name__
            return _away(say("inspect.network-name", host=host, error=reason))
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, writer = await asyncio.open_connection(numeric, port)
        except TimeoutError:
            return _away(say("inspect.network-silent", where=where, seconds=CONNECT_TIMEOUT_S))
        except ConnectionRefusedError:
            check = Check("network", False, say("inspect.network-closed", where=where), "offline", {"port": port})
            return Reached(False, check)
        except OSError as error:
            reason = errno.errorcode.get(error.errno or 0, type(error).__name__)
            return _away(say("inspect.network-unreachable", where=where, error=reason))
        writer.transport.abort()
        return Reached(True, Check("network", True, say("inspect.network-ok", where=where), data={"port": port}))

    def close(self) -> None:
        """Wait for nobody."""
        self._names.shutdown(wait=False, cancel_futures=True)

    async def _resolve(self, host: str) -> str:
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(NAME_TIMEOUT_S):
            found = await loop.run_in_executor(
                self._names, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            )
        return str(found[0][4][0])


def _away(text: Text) -> Reached:
    return Reached(False, Check("network", False, text, "offline"))
