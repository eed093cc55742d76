"""The files that come with the agent and are no code: systemd's, and the example configuration.

A wheel carries them as `agent/_share/`; in a checkout, also an editable installation of it, they lie where they
are edited.
"""

from pathlib import Path
from typing import Final

import agent

PACKAGED: Final = Path(agent.__file__).parent / "_share"
CHECKOUT: Final = Path(agent.__file__).parent.parent


def systemd_file(name: str) -> Path:
    """Return the path of a file of `systemd/`: `campus-agent.service`, `99-campus-agent.rules`, ..."""
    return (PACKAGED if PACKAGED.is_dir() else CHECKOUT) / "systemd" / name


def example_config() -> Path:
    """Return the path of the commented example of `agent.toml`."""
    return PACKAGED / "agent.toml" if PACKAGED.is_dir() else CHECKOUT / "config" / "agent.toml"
