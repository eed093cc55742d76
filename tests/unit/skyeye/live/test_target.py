"""Where a stream may be pushed to."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.skyeye.live.target import BadTarget, normal_host, parse_target, read_target

ALLOWED = ["media.example.cn", "10.0.0.1:1935", "[::1]"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://media.example.cn/live/gate", "rtsp://media.example.cn/live/..."),
        ("rtsp://MEDIA.example.cn.:8554/live/gate", "rtsp://media.example.cn:8554/live/..."),
        ("rtsp://pub:s3cret@media.example.cn/live/gate?token=s3cret", "rtsp://media.example.cn/live/..."),
        ("rtmp://10.0.0.1/live/gate", "rtmp://10.0.0.1/live/..."),
        ("rtmp://10.0.0.1:1935/live/gate", "rtmp://10.0.0.1:1935/live/..."),
        ("rtsp://[0:0:0:0:0:0:0:1]:8554/x", "rtsp://[::1]:8554/..."),
        ("srt://media.example.cn:8890?streamid=publish:gate&passphrase=s3cret-s3cret", "srt://media.example.cn:8890"),
        ("rtsps://media.example.cn/live/gate", "rtsps://media.example.cn/live/..."),
        ("rtmps://media.example.cn/live/gate", "rtmps://media.example.cn/live/..."),
    ],
)
def test_allowed(url: str, shown: str) -> None:
    target = parse_target(url, ALLOWED)
    assert target.shown == shown
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://evil.example/live",
        "rtsp://media.example.cn.evil.example/live",
        "rtsp://x.media.example.cn/live",
        "rtsp://media.example.cn@evil.example/live",
        "rtsp://evil.example\\@media.example.cn/live",
        "rtsp://evil.example#@media.example.cn/live",
        "rtsp://a@evil.example@media.example.cn/live",
        "rtmp://10.0.0.1:1936/live",
        "rtmp://10.0.0.2/live",
        "rtmp://10.1/live",
        "rtmp://0x0a000001/live",
        "rtmp://167772161/live",
        "rtmp://010.0.0.1/live",
        "rtmp://[::ffff:10.0.0.1]/live",
    ],
)
def test_other_hosts_and_tricks_are_refused(url: str) -> None:
    with pytest.raises(BadTarget) as refused:
        parse_target(url, ALLOWED)
    assert refused.value.text.key in ("live.push-host", "live.push-url")


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("http://media.example.cn/x", "live.push-scheme"),
        ("file:///etc/passwd", "live.push-scheme"),
        ("concat:rtsp://media.example.cn/x", "live.push-scheme"),
        ("srt://media.example.cn", "live.push-url"),
        ("srt://media.example.cn:8890?streamid=#!::r=gate", "live.push-url"),
        ("srt://media.example.cn:8890/gate", "live.push-srt-url"),
        ("srt://pub:s3cret@media.example.cn:8890", "live.push-srt-url"),
        ("srt://media.example.cn:8890?streamid", "live.push-srt-url"),
        ("srt://media.example.cn:8890?passphrase=short", "live.push-srt-url"),
        ("srt://media.example.cn:8890?passphrase=long-enough&passphrase=another-one", "live.push-srt-url"),
        ("srt://media.example.cn:8890?passhprase=misspelt-one", "live.push-srt-url"),
        ("srt://media.example.cn:8890?latency=200000", "live.push-srt-url"),
        ("srt://media.example.cn:8890?mode=listener", "live.push-srt-url"),
        ("srt://media.example.cn:8890?streamid=%FF", "live.push-srt-url"),
        ("rtsp://media.example.cn:0x1/x", "live.push-url"),
        ("rtsp://media.example.cn:99999/x", "live.push-url"),
        ("rtsp:///x", "live.push-url"),
        ("rtsp://media.example.cn/a b", "live.push-url"),
        ("rtsp://media.example.cn/a\nb", "live.push-url"),
        ("rtsp://[::1/x", "live.push-url"),
        ("", "live.push-url"),
        ("rtsp://media.example.cn/" + "x" * 2000, "live.push-url"),
    ],
)
def test_what_is_no_address_to_push_to(url: str, key: str) -> None:
    with pytest.raises(BadTarget) as refused:
        parse_target(url, ALLOWED)
    assert refused.value.text.key == key


def test_what_an_srt_address_asks_for() -> None:
    used = "streamid=%23!::r=live/gate,m=publish&passphrase=s3cret-s3cret&pbkeylen=32&latency=250"
    target = parse_target(f"srt://media.example.cn:8890?{used}&mode=caller&pkt_size=1316", ALLOWED)
    assert target.srt == {
        "streamid": "#!::r=live/gate,m=publish",
        "passphrase": "s3cret-s3cret",
        "pbkeylen": "32",
        "latency": "250",
    }
    assert "s3cret" not in repr(target)


def test_with_no_host_listed_nothing_is_allowed() -> None:
    with pytest.raises(BadTarget) as refused:
        parse_target("rtsp://media.example.cn/x", [])
    assert refused.value.text.key == "live.push-no-hosts"


@pytest.mark.parametrize(
    "url", ["rtsp://u:s3cret@evil.example/x", "http://u:s3cret@evil.example/", "rtsp://u:s3 cret@h/"]
)
def test_a_refusal_tells_no_secret(url: str) -> None:
    with pytest.raises(BadTarget) as refused:
        parse_target(url, ALLOWED)
    assert "s3" not in refused.value.text.render("en")


parts = st.sampled_from(
    [
        "rtsp",
        "rtmp",
        "://",
        "media.example.cn",
        "10.0.0.1",
        "evil",
        "@",
        ":",
        "/",
        "?",
        "#",
        "[",
        "]",
        "1",
        ".",
        "\\",
        "%40",
        "x",
    ]
)


@given(st.text(max_size=60) | st.lists(parts, max_size=14).map("".join))
def test_whatever_comes_is_an_allowed_host_or_refused(url: str) -> None:
    try:
        target = parse_target(url, ALLOWED)
    except BadTarget:
        return
    assert target.host in ("media.example.cn", "10.0.0.1", "::1")
    assert normal_host(urlsplit(target.url).hostname or "") == target.host
    assert read_target(target.url) == target
