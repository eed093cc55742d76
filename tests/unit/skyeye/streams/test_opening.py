"""URLs with logins, answers at the door, and FFmpeg's errors in our words."""

from contextlib import suppress
from typing import cast
from urllib.parse import unquote, urlsplit

import av
import av.error
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.camera import BadReply, CameraError, LoginRefused, StreamSource
from agent.skyeye.streams.knock import BadHead, parse_head
from agent.skyeye.streams.opening import CREDENTIALS_MAX, address_of, bare_url, explained, url_with_login
from agent.texts import Language

LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@given(WORD.filter(lambda name: ":" not in name), WORD)
def test_a_login_survives_the_url(username: str, password: str) -> None:
    source = StreamSource("rtsp://192.0.2.7:8554/Streaming/Channels/101?x=1", username, password)
    try:
        url = url_with_login(source)
    except LoginRefused:
        return
    authority = url[len("rtsp://") :].split("/", 1)[0]
    login, _, host = authority.rpartition("@")
    assert host == "192.0.2.7:8554"
    name, _, word = login.partition(":")
    assert (unquote(name), unquote(word)) == (username, password)
    assert urlsplit(url).path == "/Streaming/Channels/101"


def test_a_login_that_ffmpeg_would_cut_off_is_refused_before_it_costs_a_try() -> None:
    with pytest.raises(LoginRefused):
        url_with_login(StreamSource("rtsp://192.0.2.7/", "admin", "密" * (CREDENTIALS_MAX // 9)))


def test_a_login_in_the_url_is_dropped() -> None:
    assert bare_url(StreamSource("rtsp://a:b@192.0.2.7/x")) == "rtsp://192.0.2.7/x"
    assert url_with_login(StreamSource("rtsp://a:b@192.0.2.7/x", "c", "d")) == "rtsp://c:d@192.0.2.7/x"


@pytest.mark.parametrize(
    "url", ["", "http://192.0.2.7/", "rtsp:///x", "rtsp://192.0.2.7:99999/", "file:///etc/passwd", "rtsp://[::1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(BadReply):
        address_of(StreamSource(url))


@pytest.mark.parametrize("kind", sorted(av.error.classes))
def test_no_error_shows_the_url(kind: int) -> None:
    error = cast(type[av.FFmpegError], av.error.classes[kind])(kind, "text", "rtsp://admin:s3cret@192.0.2.7/x")
    said = explained(error, StreamSource("rtsp://192.0.2.7/x", "admin", "s3cret"))
    assert isinstance(said, CameraError)
    for language in LANGUAGES:
        assert "s3cret" not in said.text.render(language)


def test_a_head() -> None:
    head = parse_head(
        b'RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\nWWW-Authenticate: Digest realm="x", algorithm=SHA-256\r\n'
        b'www-authenticate: Digest realm="x"\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 12\r\n\r\n'
    )
    assert (head.status, head.length, head.logins) == (401, 12, ("sha-256", "md5", "basic"))


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"RTSP/1.0 20 OK\r\n\r\n", b"RTSP/1.0 200\nContent-Length: -1\r\n"]
)
def test_a_head_that_is_none(data: bytes) -> None:
    with pytest.raises(BadHead):
        parse_head(data)


@given(st.binary(max_size=300))
def test_heads_raise_one_error(data: bytes) -> None:
    for raw in (data, b"RTSP/1.0 200 OK\r\n" + data):
        with suppress(BadHead):
            parse_head(raw)
