"""Which fault an input's status is, what faults and status events say, and what goes into an event beside them."""

from typing import Final

from agent.driver import Detail, Sample, SampleStatus
from agent.model import JsonValue
from agent.texts import Language, Text

STATUS_FAULTS: Final[dict[SampleStatus, str]] = {
    "open": "line-open",
    "short": "line-short",
    "tamper": "tamper",
    "low-battery": "battery-low",
    "invalid": "measure",
}
"""What an input says of itself -> the fault that this is."""
STUCK: Final = "stuck"
FAULT_TEXTS: Final = {
    "line-open": "alarms.line-open",
    "line-short": "alarms.line-short",
    "tamper": "alarms.tamper",
    "battery-low": "alarms.battery-low",
    "measure": "alarms.measure",
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


def detail_of(detail: Detail, language: Language) -> dict[str, JsonValue]:
    """A sample's `detail` as an event has it."""
    return {name: value.render(language) if isinstance(value, Text) else value for name, value in detail.items()}


def beside(sample: Sample, language: Language) -> dict[str, JsonValue]:
    """What a sample says beside its value, as members of an event's data."""
    more: dict[str, JsonValue] = {"detail": detail_of(sample.detail, language)} if sample.detail else {}
    if sample.measure is not None:
        more |= {"measure": sample.measure, "unit": sample.unit}
    return more
