"""The eye's words, read: each is what every part of us can carry on, or is refused. Pure."""

import json
from collections.abc import Mapping
from typing import Final

from pydantic import ValidationError

from agent.control.protocol import BadRequest, text_of
from agent.control.server import Params
from agent.model import JsonValue
from agent.texts import Spoken, Text, say
from agent.uplink.payloads import CameraInventory, CameraStream

TEXT_CHARS: Final = 1_000
FACT_MEMBERS: Final = ("maker", "model", "firmware")
"""What a camera has in common with any device in the inventory."""
FACT_CHARS: Final = 200


class BadWord(Spoken):
    """A word of the eye that is not taken."""


def bounded(params: Params, name: str, limit: int) -> dict[str, JsonValue]:
    """Take an object out of the parameters, if it is no larger than that. Raises BadWord."""
    value = params.get(name)
    if not isinstance(value, dict):
        raise BadWord(say("runtime.bad-arg", name=name, expected="{...}", got=shown(value)))
    if (size := checked(value)) > limit:
        raise BadWord(say("runtime.bad-arg", name=name, expected=f"<= {limit} bytes", got=str(size)))
    return value


def checked(value: Mapping[str, JsonValue]) -> int:
    """Return the bytes of a value that every part of us can write again as JSON. Raises BadWord: NaN, half a pair of
    surrogates and the like come through `json.loads`, and would fail where nobody expects it."""
    try:
        return len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError) as error:
        raise BadWord(say("runtime.bad-arg", name="-", expected="JSON", got=shown(str(error)))) from None


def known_facts(said: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What the inventory has a place for (agent.uplink.payloads), in the form that it promises. Raises BadWord."""
    camera = {name: said[name] for name in CameraInventory.model_fields if name in said}
    if isinstance(streams := camera.get("streams"), list):
        camera["streams"] = [
            {name: one[name] for name in CameraStream.model_fields if name in one} if isinstance(one, dict) else one
            for one in streams
        ]
    try:
        whole: dict[str, JsonValue] = CameraInventory.model_validate(camera).model_dump(mode="json")
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"]))
        raise BadWord(say("runtime.bad-arg", name=f"facts.{place}", expected="-", got="-")) from None
    for name in FACT_MEMBERS:
        value = said.get(name)
        whole[name] = value[:FACT_CHARS] if isinstance(value, str) and value else None
    return whole


def readable(value: JsonValue) -> Text:
    """A text of the eye, if our catalogue has it and it is no novel. Raises BadWord."""
    try:
        text = text_of(value)
        longest = max(len(text.render("zh-CN")), len(text.render("en")))
    except (BadRequest, LookupError, ValueError, TypeError, AttributeError, OSError) as error:
        raise BadWord(say("runtime.bad-arg", name="text", expected="{key, args}", got=shown(str(error)))) from None
    if longest > TEXT_CHARS:
        raise BadWord(say("runtime.bad-arg", name="text", expected=f"<= {TEXT_CHARS}", got=str(longest)))
    return text


def shown(value: object) -> str:
    """A value as an error repeats it."""
    return repr(value)[:60]
