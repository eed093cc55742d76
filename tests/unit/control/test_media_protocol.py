"""The media socket's lines and frames."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control import ControlError
from agent.control.media import (
    BadMedia,
    EvidenceRequest,
    FrameParser,
    LiveRequest,
    MediaAnswer,
    MediaRequest,
    PictureRequest,
    dump_media_answer,
    dump_media_refusal,
    dump_media_request,
    frame,
    parse_media_answer,
    parse_media_request,
)
from agent.texts import say

names = st.text(min_size=1, max_size=128)
requests: st.SearchStrategy[MediaRequest] = st.one_of(
    st.builds(LiveRequest, names, st.sampled_from(["main", "sub"]), st.sampled_from(["fmp4", "mjpeg"])),
    st.builds(PictureRequest, names),
    st.builds(EvidenceRequest, names),
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


@given(requests)
def test_a_request_is_read_as_it_was_written(request: MediaRequest) -> None:
    assert parse_media_request(dump_media_request(request)) == request


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_a_request_or_bad(line: bytes) -> None:
    with suppress(BadMedia):
        parse_media_request(line)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "method": st.sampled_from(["live", "picture", "evidence"]) | values,
            "camera": values,
            "role": st.sampled_from(["main", "sub"]) | values,
            "format": st.sampled_from(["fmp4", "mjpeg"]) | values,
            "id": values,
        },
    )
)
def test_members_of_any_type_are_a_request_or_bad(value: dict[str, object]) -> None:
    with suppress(BadMedia):
        parse_media_request(json.dumps(value).encode())


@given(st.binary(max_size=200) | values.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_an_answer_a_refusal_or_bad(line: bytes) -> None:
    with suppress(BadMedia, ControlError):
        parse_media_answer(line)


def test_an_answer_and_a_refusal() -> None:
    answer = MediaAnswer("image/jpeg", 7, "a.jpg")
    assert parse_media_answer(dump_media_answer(answer)) == answer
    with pytest.raises(ControlError) as refused:
        parse_media_answer(dump_media_refusal(say("live.no-camera", camera="gate")))
    assert refused.value.text.key == "live.no-camera"
    assert "gate" in refused.value.text.render("zh-CN")


@pytest.mark.parametrize(
    "line",
    [
        b'{"method":"live"}',
        b'{"method":"live","camera":"gate","role":"third"}',
        b'{"method":"live","camera":"gate","format":"flv"}',
        b'{"method":"picture","camera":""}',
        b'{"method":"evidence","id":7}',
        b'{"method":"picture","camera":"' + b"x" * 20_000 + b'"}',
        b"[]",
        b"",
    ],
)
def test_bad_requests(line: bytes) -> None:
    with pytest.raises(BadMedia):
        parse_media_request(line)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 9))
def test_frames_are_found_in_any_pieces(payloads: list[bytes], piece: int) -> None:
    wire = b"".join(map(frame, payloads))
    parser = FrameParser()
    found = [one for at in range(0, len(wire), piece) for one in parser.feed(wire[at : at + piece])]
    assert found == payloads


@given(st.binary(max_size=100))
def test_whatever_comes_is_frames_or_bad(data: bytes) -> None:
    parser = FrameParser(limit=50)
    with suppress(BadMedia):
        assert all(len(one) <= 50 for one in parser.feed(data))


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    with pytest.raises(BadMedia):
        FrameParser().feed(b"\x7f\xff\xff\xff")
