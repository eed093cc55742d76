"""For each camera driver: a valid configuration, and its pure functions of bytes.

A new driver of cameras gets a line in `PEERS`; the contract suite fails for one that has none.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from agent.driver import CameraDriver, CameraError
from drivers._camera_address import Place, enrolled, mended
from drivers.onvif import Onvif, replies, soap, times, topics
from drivers.rtsp import Rtsp

PLACE: Final = Place("http", "192.168.1.64", 80)


@dataclass(frozen=True)
class CameraPeer:
    """How to test one driver of cameras."""

    config: Mapping[str, object]
    """What stands in [[camera]], in TOML's words."""
    driver: Callable[[int], CameraDriver]
    """Settings for a camera whose HTTP port is that one."""
    decoders: tuple[Callable[[bytes], object], ...]
    """Its pure functions of bytes; they return or raise CameraError."""


def understand(data: bytes) -> None:
    """Read a reply as every kind of reply."""
    reply = soap.read(data)
    for read in (
        replies.identity,
        replies.services,
        replies.profiles,
        replies.sources,
        replies.source_names,
        replies.source_configurations,
        replies.recordings,
        replies.presets,
    ):
        read(reply)
    replies.mac(reply, "192.168.1.64")
    times.system_time(reply, None)
    for message in topics.messages(reply):
        asyncio.run(topics.meaning(message, 0))
    for needed in (replies.uri, replies.preset_token):
        with suppress(CameraError):
            needed(reply, "-")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


PEERS: Final[Mapping[str, CameraPeer]] = {
    "onvif": CameraPeer(
        config={"port": 8000, "channel": 2, "profile": "main"},
        driver=lambda port: Onvif(port=port),
        decoders=(
            understand,
            lambda data: mended(_text(data), PLACE),
            lambda data: mended(_text(data), PLACE, scheme="rtsp"),
            lambda data: times.moment(_text(data)),
            lambda data: times.posix_zone(_text(data)),
        ),
    ),
    "rtsp": CameraPeer(
        config={"path": "/live", "transport": "udp"},
        driver=lambda port: Rtsp(path="/live", snapshot_url=f"http://127.0.0.1:{port}/snap.jpg"),
        decoders=(lambda data: enrolled(_text(data), scheme="rtsp", port=554, path="/"),),
    ),
}
