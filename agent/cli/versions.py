"""What is installed: for `version` and the support bundle."""

import platform
import ssl
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from agent import __version__

LIBRARIES: Final = (
    "paho-mqtt", "pymodbus", "pyserial", "pyserial-asyncio-fast", "sqlite-utils", "pydantic", "cryptography",
    "rfc8785", "python-ulid", "typer", "rich", "amqtt",
)  # fmt: skip


def installed() -> dict[str, str]:
    """Return name -> version, the agent first; "-" for what is missing."""
    return {
        "campus-agent": __version__,
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        "system": platform.platform(),
        **{name: version_of(name) for name in LIBRARIES},
    }


def version_of(distribution: str) -> str:
    """Return the version of an installed distribution."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "-"
