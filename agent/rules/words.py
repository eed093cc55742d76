"""Conditions in words: for lists of rules, and for the events that they cause."""

from agent.config.calendar import EVERY_DAY, WindowSettings
from agent.config.rulebook import AbsentSettings, ConditionSettings, EventsSettings, SelectorSettings
from agent.kinds import FAULTS, KINDS
from agent.rules.measures import DEFAULT_WITHIN_S
from agent.texts import Text, say
from agent.units import format_duration


def label(settings: ConditionSettings) -> str:
    """What a condition is about, as a key in an event's `detail`: a name of the configuration, in no language."""
    selector = settings.events or settings.absent
    if selector is not None:
        return f"{settings.subject} {named(selector)}"
    return settings.measure or (settings.point if settings.fault is None else settings.fault) or settings.subject


def describe(settings: ConditionSettings) -> Text:
    """One condition as a sentence; of a group only what sort of group it is."""
    text = _subject(settings)
    return say("rules.lasting", what=text, time=format_duration(settings.for_s)) if settings.for_s else text


def describe_window(window: WindowSettings) -> Text:
    """A window of time."""
    days = () if set(window.days) == set(EVERY_DAY) else window.days
    return say("rules.when", window=" ".join([*days, *window.times, *window.during]) or "-")


def _subject(settings: ConditionSettings) -> Text:
    match settings.subject:
        case "all" | "any" | "not":
            return say(f"rules.{settings.subject}")
        case "fault":
            fault = FAULTS[str(settings.fault)].text
            where = settings.point or settings.device
            return say("rules.fault-of", fault=fault, where=where) if where else say("rules.fault", fault=fault)
        case "point":
            return say("rules.point", point=settings.point, state=say(f"rules.state-{settings.state or 'on'}"))
        case "measure":
            return _measure(settings)
        case "when" if settings.when is not None:
            return describe_window(settings.when)
    return _events(settings)


def _measure(settings: ConditionSettings) -> Text:
    for name in ("above", "below"):
        if (limit := getattr(settings, name)) is not None:
            return say(f"rules.{name}", measure=settings.measure, limit=f"{limit:g}")
    time = format_duration(settings.within_s or DEFAULT_WITHIN_S)
    if settings.rise is not None:
        return say("rules.rise", measure=settings.measure, change=f"{settings.rise:g}", time=time)
    return say("rules.fall", measure=settings.measure, change=f"{settings.fall:g}", time=time)


def _events(settings: ConditionSettings) -> Text:
    if isinstance(settings.events, EventsSettings):
        events = settings.events
        time, what = format_duration(events.within_s), name_of(events)
        if events.distinct:
            return say("rules.distinct", what=what, count=events.at_least, time=time, by=events.distinct)
        return say("rules.events", what=what, count=events.at_least, time=time)
    if isinstance(settings.absent, AbsentSettings):
        return say("rules.absent", what=name_of(settings.absent), time=format_duration(settings.absent.for_s))
    assert settings.sequence is not None, "there is no other subject"
    steps = " → ".join(named(step) for step in settings.sequence.steps)
    return say("rules.sequence", steps=steps, time=format_duration(settings.sequence.within_s))


def name_of(selector: SelectorSettings) -> Text:
    """Which events are meant."""
    kind = KINDS.get(selector.kind or "") or FAULTS.get(selector.kind or "")
    rest = " ".join(part for part in (selector.type, selector.point or selector.device) if part)
    if kind is None:
        return say("rules.selector", what=rest)
    return say("rules.selector-of", kind=kind.text, what=rest) if rest else kind.text


def named(selector: SelectorSettings) -> str:
    """Which events are meant, in the words of the configuration."""
    return " ".join(part for part in (selector.kind, selector.type, selector.point or selector.device) if part)
