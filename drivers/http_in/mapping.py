"""What a posted body means by the configuration of its source. Pure."""

import re
from typing import Final

from agent.driver import BadFrame
from drivers.http_in import ANY, HttpSource
from drivers.http_in.bodies import Fields, find, read_any, read_form, read_json
from drivers.http_in.posted import Posted, samples_of

FILLED: Final = re.compile(r"\{([A-Za-z0-9_]+)\}")
FILL: Final = re.compile(r"[^A-Za-z0-9_.-]")
"""What a value of a body may not bring into the name of an input."""
FILL_MAX: Final = 32


def read(source: HttpSource, body: bytes, content_type: str) -> Posted:
    """Read a body of a source. Raises BadFrame."""
    if source.format == "json":
        fields = read_json(body)
    elif source.format == "form":
        fields = read_form(body)
    else:
        fields = read_any(body, content_type)
    if source.preset == "hikvision-isapi":
        from drivers.http_in import hikvision

        return hikvision.read(fields)
    return mapped(source, fields, body)


def mapped(source: HttpSource, fields: Fields, body: bytes) -> Posted:
    """What fields mean by a source's own mapping. Raises BadFrame for an event that it does not have."""
    event = find(fields, source.event or "")
    if event is None:
        raise BadFrame(f"a value at {source.event}", body)
    found = next((one for one in source.maps if one.value == event), None)
    found = found or next((one for one in source.maps if one.value == ANY), None)
    if found is None:
        raise BadFrame(f"{source.event} = {' | '.join(one.value for one in source.maps)}", event.encode("utf-8"))
    if found.state == "alive":
        return Posted()
    values = {path.rpartition(".")[2]: value for path in source.detail if (value := find(fields, path))}
    if found.input is None and found.value == ANY:
        name = _filling(event)
    else:
        name = FILLED.sub(lambda match: _filling(values.get(match[1], "-")), found.input or found.value)
    number = find(fields, source.event_id) if source.event_id else None
    time = find(fields, source.event_time) if source.event_time else None
    same = f"{number or ''}/{time or ''}/{event}/{name}" if number or time else ""
    return Posted(samples_of(name, "", found.kind, found.state, {"event": event, **values}), same)


def _filling(value: str) -> str:
    """A value as it may stand in the name of an input."""
    return FILL.sub("-", value)[:FILL_MAX] or "-"
