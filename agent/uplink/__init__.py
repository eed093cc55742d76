"""The uplink: journal -> district, and commands and receipts back (DESIGN 4 and 6)."""

from agent.uplink.commands import CommandDesk
from agent.uplink.uplink import Uplink, UplinkStatus

__all__ = ["CommandDesk", "Uplink", "UplinkStatus"]
