"""Conditions of the configuration become the parts of a rule."""

from collections.abc import Mapping

from agent.config.rulebook import ConditionSettings
from agent.rules.events import AbsentPart, EventsPart, SequencePart
from agent.rules.facts import Place
from agent.rules.measures import DEFAULT_WITHIN_S, MeasurePart, RatePart
from agent.rules.parts import FaultPart, GroupPart, LastingPart, NotPart, Part, PointPart, WindowPart, place_of


def build(settings: ConditionSettings, inputs: Mapping[Place, str]) -> Part:
    """Make the parts of a condition. `inputs` names the input behind each point."""
    part = _build(settings, inputs)
    if settings.for_s:
        part.settings = settings
        part = LastingPart(part, settings.for_s)
    part.settings = settings
    return part


def _build(settings: ConditionSettings, inputs: Mapping[Place, str]) -> Part:
    match settings.subject:
        case "all" | "any":
            group = [build(part, inputs) for _, part in settings.parts]
            return GroupPart(group, every=settings.all_ is not None)
        case "not":
            assert settings.not_ is not None
            return NotPart(build(settings.not_, inputs))
        case "fault":
            device, point = place_of(settings.point) if settings.point else (settings.device, None)
            return FaultPart(str(settings.fault), device, point)
        case "point":
            return PointPart(place_of(str(settings.point)), settings.state or "on")
        case "measure":
            return _measure(settings, inputs)
        case "when":
            assert settings.when is not None
            return WindowPart(settings.when)
    if settings.events is not None:
        return EventsPart(settings.events)
    if settings.absent is not None:
        return AbsentPart(settings.absent)
    assert settings.sequence is not None, "the configuration knows no other"
    return SequencePart(settings.sequence)


def _measure(settings: ConditionSettings, inputs: Mapping[Place, str]) -> Part:
    place = place_of(str(settings.measure))
    place = (place[0], inputs.get(place, place[1]))
    within_s = settings.within_s or DEFAULT_WITHIN_S
    hysteresis = settings.hysteresis or 0.0
    if settings.above is not None:
        return MeasurePart(place, settings.above, above=True, hysteresis=hysteresis)
    if settings.below is not None:
        return MeasurePart(place, settings.below, above=False, hysteresis=hysteresis)
    if settings.rise is not None:
        return RatePart(place, settings.rise, rise=True, within_s=within_s)
    return RatePart(place, settings.fall or 0.0, rise=False, within_s=within_s)
