"""What comes from outside is read or refused, and nothing else; what is generated is fresh."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agent.model import Receipt, Reply, Site
from agent.uplink.payloads import MESSAGES, Malformed, command_id, parse_command, parse_receipt, reply_bytes
from agent.uplink.schema import CHANNELS, asyncapi, documents, schema
from agent.uplink.topics import COMMAND_ID, PARTS_AFTER, Topics, split
from tests.sims.district import validate_message

DOCS = Path(__file__).parents[3] / "docs"
SITE = Site("370812", "sy-primary")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
near_commands = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("id", "args", "actor", "expires", "seq", "hash", "also", "journal"), json_values)
)


@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), json_values | near_commands))
def test_bytes_are_a_command_and_a_receipt_or_malformed(payload: bytes) -> None:
    parsers: tuple[Callable[[], object], ...] = (lambda: parse_command(payload, "ping"), lambda: parse_receipt(payload))
    for parse in parsers:
        try:
            parse()
        except Malformed as error:
            said = error.text.render("zh-CN")
            if not said:
                raise
    id_ = command_id(payload)
    assert id_ is None or COMMAND_ID.fullmatch(id_)


@given(st.text())
def test_any_text_is_a_topic_of_ours_or_not(topic: str) -> None:
    split(topic)
    Topics.of(SITE).verb(topic)
    Topics.of(SITE).answerable(topic)


def test_a_receipt_is_read_with_its_ranges() -> None:
    payload = json.dumps({"seq": 7, "hash": "a" * 64, "also": [[9, 12]], "journal": "01J", "more": True})
    assert parse_receipt(payload.encode()) == (Receipt(7, "a" * 64, ((9, 12),)), "01J")


def test_an_id_that_would_change_the_topic_is_refused() -> None:
    for bad in ("a/b", "+", "#", "", "a\0b", "a\n", "ü", "x" * 65):
        with pytest.raises(Malformed):
            parse_command(json.dumps({"id": bad}).encode(), "ping")


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("campus/v1/370812/sy-primary/reply/x", True),
        ("campus/v1/370812/_/reply/desk", True),
        ("campus/v1/370812/sy-primary/status", False),
        ("campus/v1/370812/other/reply/x", False),
        ("campus/v1/370812/sy-primary/reply/#", False),
        ("desk/7/answers", True),
        ("elsewhere", True),
        ("$SYS/broker/uptime", False),
        ("answers/+", False),
        ("", False),
    ],
)
def test_a_response_topic_may_not_reach_what_schools_publish(topic: str, allowed: bool) -> None:
    assert Topics.of(SITE).answerable(topic) is allowed


def test_every_kind_of_message_has_a_topic_a_type_and_a_channel() -> None:
    assert set(PARTS_AFTER) == set(MESSAGES) == {channel.kind for channel in CHANNELS}


def test_generated_documents_are_fresh() -> None:
    for name, text in documents().items():
        found = (DOCS / name).read_text(encoding="utf-8") if (DOCS / name).exists() else ""
        assert found == text, f"docs/{name} is stale: run python -m agent.uplink.schema"


def test_schemas_are_valid_and_say_what_the_types_say() -> None:
    for kind in MESSAGES:
        Draft202012Validator.check_schema(schema(kind))
    reply = json.loads(reply_bytes(Reply("c1", False, {"code": "expired"}, "过期")))
    Draft202012Validator(schema("reply")).validate(reply)
    assert not Draft202012Validator(schema("command")).is_valid({"id": "a/b"})
    assert Draft202012Validator(schema("receipt")).is_valid({"seq": 1, "hash": "0" * 64, "also": [[3, 4]]})


def test_the_asyncapi_document_refers_to_what_it_has() -> None:
    document = asyncapi()
    for operation in document["operations"].values():
        assert resolve(document, operation["channel"]["$ref"])
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            assert (DOCS / resolve(document, message["$ref"])["payload"]["$ref"]).exists()


def resolve(document: dict[str, Any], reference: str) -> dict[str, Any]:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    assert isinstance(found, dict)
    return found


def test_a_message_on_the_wrong_topic_is_noticed() -> None:
    with pytest.raises((ValueError, AssertionError)):
        validate_message(f"{SITE.root}/reply/c1", b'{"seq": 1}')
    with pytest.raises(AssertionError):
        validate_message(f"{SITE.root}/nonsense", b"{}")
