"""Which fault an input's status is, and what faults and status events say."""

from typing import Final

from agent.driver import SampleStatus

STATUS_FAULTS: Final[dict[SampleStatus, str]] = {
    "open": "line-open",
    "short": "line-short",
    "tamper": "tamper",
    "low-battery": "battery-low",
}
"""What an input says of itself -> the fault that this is."""
STUCK: Final = "stuck"
FAULT_TEXTS: Final = {
    "line-open": "alarms.line-open",
    "line-short": "alarms.line-short",
    "tamper": "alarms.tamper",
    "battery-low": "alarms.battery-low",
    STUCK: "alarms.stuck",
}
"""Faults of a point that have more to say than their name."""
STATUS_TEXTS: Final = {
    "campus.access.opened": "alarms.opened",
    "campus.access.closed": "alarms.closed",
    "campus.access.granted": "alarms.granted",
    "campus.access.denied": "alarms.denied",
    "campus.access.tour": "alarms.tour",
    "campus.access.armed": "alarms.armed",
    "campus.access.disarmed": "alarms.disarmed",
    "campus.test.panel": "alarms.panel-test",
    "campus.input.on": "alarms.on",
    "campus.input.off": "alarms.off",
}
"""What the events of status kinds say."""
