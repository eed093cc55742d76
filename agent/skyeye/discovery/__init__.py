"""Find the cameras that are there (ONVIF WS-Discovery, and a look at those that keep silent), hold them against what is
configured, and write configuration for the new ones. Never logs in."""

from agent.skyeye.discovery.compare import STATES, Difference, Row, compare, host_port, ports_by_host
from agent.skyeye.discovery.model import DiscoveryError, Found, How
from agent.skyeye.discovery.search import TIMEOUT_S, Ports, Progress, Search, discover, resolve
from agent.skyeye.discovery.toml import Appended, Entry, to_toml

__all__ = [
    "STATES",
    "TIMEOUT_S",
    "Appended",
    "Difference",
    "DiscoveryError",
    "Entry",
    "Found",
    "How",
    "Ports",
    "Progress",
    "Row",
    "Search",
    "compare",
    "discover",
    "host_port",
    "ports_by_host",
    "resolve",
    "to_toml",
]
