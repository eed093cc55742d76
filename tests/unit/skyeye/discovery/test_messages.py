"""Answers of WS-Discovery: read, put right, or refused; never trusted."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.skyeye.discovery.answers import found_of, mac_of, repaired
from agent.skyeye.discovery.messages import MATCHES_LIMIT, SOUGHT, BadAnswer, Match, Sought, parse_matches, probe
from tests.unit.skyeye.discovery.responder import answer

RECORDED = Path("/work/shared/cameras/onvif/Probe.xml")


def test_a_question_is_on_one_line() -> None:
    for sought in SOUGHT:
        assert b"\n" not in probe(sought, "x")
        assert b"\r" not in probe(sought, "x")


def test_our_questions_ask_for_old_new_and_any_devices() -> None:
    said = [probe(sought, "x") for sought in SOUGHT]
    assert [b"dn:NetworkVideoTransmitter" in one for one in said] == [True, False, False]
    assert [b"tds:Device<" in one for one in said] == [False, True, False]


def test_an_answer_is_read() -> None:
    (match,) = parse_matches(answer())
    found = found_of(match, "192.168.1.64", "multicast")
    assert found is not None
    assert (found.address, found.port) == ("192.168.1.64", 80)
    assert found.xaddrs == ("http://192.168.1.64/onvif/device_service",)
    assert (found.name, found.hardware, found.location) == ("HIKVISION DS-2CD2032-I", "DS-2CD2032-I", "yanzhou")
    assert (found.maker, found.mac) == ("Hikvision", "44:19:b6:00:11:22")
    assert found.types == ("NetworkVideoTransmitter", "Device")


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded answers are not on this machine")
def test_a_recorded_answer_is_read() -> None:
    raw = RECORDED.read_bytes().replace(b"SERVICE_URI", b"http://10.0.0.5:2020/onvif/device_service")
    (match,) = parse_matches(raw)
    found = found_of(match, "10.0.0.5", "multicast")
    assert found is not None
    assert (found.name, found.hardware, found.port, found.location) == ("PREDATOR", "HD_PREDATOR", 2020, None)


@pytest.mark.parametrize(
    ("xaddr", "expected"),
    [
        ("http://0.0.0.0/onvif/device_service", ("http://10.1.1.9/onvif/device_service", 80)),
        ("http://192.168.0.10:8899/onvif/device_service", ("http://10.1.1.9:8899/onvif/device_service", 8899)),
        ("http://10.1.1.9:80:80/onvif/device_service", ("http://10.1.1.9/onvif/device_service", 80)),
        ("http://http://10.1.1.9/onvif", ("http://10.1.1.9/onvif", 80)),
        ("http://[fe80::1]/onvif/device_service", ("http://10.1.1.9/onvif/device_service", 80)),
        ("http://10.1.1.9", ("http://10.1.1.9/onvif/device_service", 80)),
        ("HTTP://10.1.1.9:2020/x", ("http://10.1.1.9:2020/x", 2020)),
        ("https://10.1.1.9/x", ("https://10.1.1.9/x", 443)),
        ("http:///onvif/device_service", ("http://10.1.1.9/onvif/device_service", 80)),
    ],
)
def test_service_addresses_stay_on_the_host_that_answered(xaddr: str, expected: tuple[str, int]) -> None:
    got = repaired(xaddr, "10.1.1.9")
    assert got is not None
    assert got[:2] == expected


@pytest.mark.parametrize(
    "xaddr", ["", "ftp://x/", "file:///etc/passwd", "http://x:99999/", "http://x:0/", "javascript:1"]
)
def test_what_is_no_service_address_is_left_out(xaddr: str) -> None:
    assert repaired(xaddr, "10.1.1.9") is None


def test_the_address_that_it_answered_from_comes_first() -> None:
    match = Match(xaddrs=("http://169.254.7.7:81/a", "http://10.1.1.9:8000/b", "https://10.1.1.9/c"))
    found = found_of(match, "10.1.1.9", "multicast")
    assert found is not None
    assert found.port == 8000


def test_a_chinese_name_is_read_in_either_encoding() -> None:
    text = answer(scopes="onvif://www.onvif.org/name/校门口").decode()
    for encoding in ("utf-8", "gb18030"):
        (match,) = parse_matches(text.encode(encoding))
        found = found_of(match, "10.1.1.9", "multicast")
        assert found is not None
        assert found.name == "校门口"


def test_undeclared_prefixes_and_trailing_zeros_do_not_matter() -> None:
    raw = answer().replace(b' xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"', b"") + b"\x00\x00\r\n"
    assert len(parse_matches(raw)) == 1


def test_windows_machines_and_printers_are_no_cameras() -> None:
    for kind in ("Computer", "PrintDeviceType"):
        assert found_of(Match(types=(kind, "Device"), xaddrs=("http://x/",)), "10.1.1.9", "multicast") is None


BOMB = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><ProbeMatches><ProbeMatch><XAddrs>&j;</XAddrs></ProbeMatch></ProbeMatches>"
)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00" * 100,
        b"hello",
        answer()[:300],
        BOMB,
        b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><ProbeMatches/>',
        b"<a>" * 10_000,
        b"<ProbeMatches>" + b"<x/>" * 10_000 + b"</ProbeMatches>",
        b"<ProbeMatches/>" + b" " * 70_000,
        answer().replace(b"ProbeMatches", b"Envelope"),
        b"\xff\xfe" + answer().decode().encode("utf-16-le"),
    ],
    ids=["empty", "zeros", "text", "cut", "bomb", "external", "deep", "wide", "huge", "other", "utf-16"],
)
def test_hostile_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        parse_matches(raw)


@pytest.mark.parametrize("sought", SOUGHT)
def test_our_own_question_that_comes_back_names_nobody(sought: Sought) -> None:
    assert parse_matches(probe(sought, "x")) == ()


def test_one_answer_names_few_devices() -> None:
    one = b"<ProbeMatch><XAddrs>http://x/</XAddrs></ProbeMatch>"
    assert len(parse_matches(b"<ProbeMatches>" + one * 100 + b"</ProbeMatches>")) == MATCHES_LIMIT


@given(st.binary(max_size=2000))
def test_any_bytes_give_a_value_or_the_one_error(raw: bytes) -> None:
    with contextlib.suppress(BadAnswer):
        parse_matches(raw)


@given(st.data())
def test_a_damaged_answer_gives_a_value_or_the_one_error(data: st.DataObject) -> None:
    raw = bytearray(answer())
    for _ in range(data.draw(st.integers(0, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        matches = parse_matches(bytes(raw))
    except BadAnswer:
        return
    for match in matches:
        found = found_of(match, "10.1.1.9", "multicast")
        if found:
            assert all(url.split("/")[2].split(":")[0] == "10.1.1.9" for url in found.xaddrs)
            assert 0 < found.port < 65536


@given(
    st.builds(
        Match,
        endpoint=st.text(),
        types=st.tuples(st.text()),
        scopes=st.tuples(st.text().map(lambda value: f"onvif://www.onvif.org/name/{value}")),
        xaddrs=st.tuples(st.text()),
    )
)
def test_words_of_devices_can_be_shown(match: Match) -> None:
    found = found_of(match, "10.1.1.9", "multicast")
    if found and found.name:
        assert found.name.isprintable() or "\u00a0" in found.name or not any(ord(c) < 32 for c in found.name)
        assert len(found.name) <= 100


def test_a_mac_address_is_written_in_our_way() -> None:
    assert mac_of("44-19-B6-00-11-22") == mac_of("4419b6001122") == "44:19:b6:00:11:22"
    assert mac_of("00:00:00:00:00:00") is None
    assert mac_of("44:19:b6") is None
