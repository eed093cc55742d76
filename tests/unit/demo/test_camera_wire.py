"""What simulated cameras read and write: RTP, RTSP, SOAP, probes, logins; fuzzed where it comes from outside."""

import base64
import hashlib
import re
import struct
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.demo.camera.digest import BadLogin, Door, parse_authorization, response
from agent.demo.camera.discovery import BadProbe, Found, Probe, build_match, parse_probe
from agent.demo.camera.rtp import Parameters, VideoCodec, describe, frame_of, nal_units, parameters, sender_report
from agent.demo.camera.rtsp_message import BadRequest, Wanted, build_answer, parse_request, parse_transport
from agent.demo.camera.soap import BadSoap, Call, Token, login_holds, parse_call, parse_span, parse_time
from agent.demo.camera.spec import BadSpec, parse_command, parse_spec

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
SOAP = b'<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope">%s<e:Body>%s</e:Body></e:Envelope>'
GET_PROFILES = b'<GetProfiles xmlns="http://www.onvif.org/ver20/media/wsdl"><Type>VideoEncoder</Type></GetProfiles>'


def put_together(payloads: tuple[bytes, ...], codec: VideoCodec) -> list[bytes]:
    """What a receiver makes of payloads (RFC 6184 5.6-5.8, RFC 7798 4.4)."""
    units: list[bytes] = []
    for payload in payloads:
        kind = payload[0] & 0x1F if codec == "h264" else payload[0] >> 1 & 0x3F
        head = 1 if codec == "h264" else 2
        if kind in (24, 48):
            rest = payload[head:]
            while rest:
                (length,) = struct.unpack("!H", rest[:2])
                units.append(rest[2 : 2 + length])
                rest = rest[2 + length :]
        elif kind in (28, 49):
            mark = payload[head]
            if mark & 0x80 and codec == "h264":
                units.append(bytes([payload[0] & 0xE0 | mark & 0x1F]))
            elif mark & 0x80:
                units.append(bytes([payload[0] & 0x81 | (mark & 0x3F) << 1, payload[1]]))
            units[-1] += payload[head + 1 :]
        else:
            units.append(payload)
    return units


@pytest.mark.parametrize("codec", ["h264", "h265"])
@given(sizes=st.lists(st.integers(3, 9000), min_size=1, max_size=6))
def test_what_is_cut_into_payloads_comes_together_again(codec: VideoCodec, sizes: list[int]) -> None:
    head = b"\x65" if codec == "h264" else b"\x26\x01"
    units = [head + bytes([1 + n % 255]) * size for n, size in enumerate(sizes)]
    frame = frame_of(b"".join(b"\0\0\0\1" + unit for unit in units), codec)
    assert put_together(frame.payloads, codec) == units
    assert frame.keyframe
    assert max(map(len, frame.payloads)) <= 1400


def test_parameter_sets_travel_together_and_delimiters_do_not_travel() -> None:
    coded = b"\0\0\0\1\x09\x10" + b"\0\0\0\1\x67abc" + b"\0\0\1\x68de" + b"\0\0\1\x65" + b"x" * 30
    frame = frame_of(coded, "h264")
    assert len(frame.payloads) == 2
    assert put_together(frame.payloads, "h264") == [b"\x67abc", b"\x68de", b"\x65" + b"x" * 30]
    assert parameters(coded, "h264") == Parameters(b"\x67abc", b"\x68de")
    assert parameters(b"\0\0\1\x65xx", "h264") is None


@given(data=st.binary(max_size=200))
def test_any_bytes_can_be_cut(data: bytes) -> None:
    for unit in nal_units(data):
        assert unit
    assert frame_of(data, "h264").payloads is not None
    assert frame_of(data, "h265").payloads is not None


def test_a_sender_report_is_whole_words_and_names_the_time() -> None:
    packet = sender_report(7, 0.5, 90_000, 3, 4)
    assert len(packet) % 4 == 0
    assert struct.unpack("!BBHIQIII", packet[:28]) == (0x80, 200, 6, 7, 2_208_988_800 << 32 | 1 << 31, 90_000, 3, 4)
    _, kind, words, ssrc = struct.unpack("!BBHI", packet[28:36])
    assert (kind, ssrc, (words + 1) * 4) == (202, 7, len(packet) - 28)


def test_a_description_names_codec_and_parameter_sets() -> None:
    text = describe("192.0.2.9", "h265", Parameters(b"s", b"p", b"v"), 25, 4000).decode()
    assert "H265/90000" in text
    assert f"sprop-vps={base64.b64encode(b'v').decode()}" in text
    assert "H264/90000" in describe("h", "h264", Parameters(b"\x67\x42\x00\x1e", b"p"), 25, 1).decode()


def test_a_request_is_read() -> None:
    request = parse_request(b"SETUP rtsp://h:554/1/main/trackID=1 RTSP/1.0\r\nCSeq: 3\r\nTransport:  x \r\n\r\n")
    assert (request.method, request.path) == ("SETUP", "/1/main/trackID=1")
    assert request.headers == {"cseq": "3", "transport": "x"}
    with pytest.raises(BadRequest, match="request line"):
        parse_request(b"GET / HTTP/1.1\r\n\r\n")


@given(raw=st.binary(max_size=200))
def test_no_bytes_break_the_reader_of_requests(raw: bytes) -> None:
    for head in (raw, b"PLAY " + raw, b"PLAY rtsp://h/x RTSP/1.0\r\n" + raw):
        try:
            assert isinstance(parse_request(head).path, str)
        except BadRequest:
            continue


@given(
    value=st.text(max_size=80) | st.from_regex(r"RTP/AVP(/TCP)?;unicast;(interleaved|client_port)=\d{1,6}(-\d{1,6})?")
)
def test_no_text_breaks_the_reader_of_transports(value: str) -> None:
    wanted = parse_transport(value)
    assert wanted is None or max(wanted.pair) < 65_536


def test_transports() -> None:
    assert parse_transport("RTP/AVP/TCP;unicast;interleaved=2-3") == Wanted(True, (2, 3))
    assert parse_transport("RTP/AVP;unicast;client_port=5000-5001;mode=play") == Wanted(False, (5000, 5001))
    assert parse_transport("RTP/AVP;multicast,RTP/AVP/UDP;client_port=6000") == Wanted(False, (6000, 6001))
    assert parse_transport("RTP/SAVP;client_port=1-2") is None
    assert build_answer(461, "2") == b"RTSP/1.0 461 Unsupported Transport\r\nCSeq: 2\r\n\r\n"


def test_a_call_is_read_with_its_service_and_token() -> None:
    token = b"<UsernameToken><Username>u</Username><Password Type='x#PasswordDigest'>p</Password></UsernameToken>"
    call = parse_call(SOAP % (b"<e:Header>" + token + b"</e:Header>", GET_PROFILES))
    assert (call.service, call.name, call.text("Type")) == ("tr2", "GetProfiles", "VideoEncoder")
    assert call.token == Token("u", "p", True, "", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<a/>",
        SOAP % (b"", b""),
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + SOAP % (b"", GET_PROFILES),
        (SOAP % (b"", GET_PROFILES))[:-5],
        b"\xff\xfe" + "<a/>".encode("utf-16-le"),
        b'<?xml version="1.0" encoding="nonsense"?><a/>',
        b"x" * 300_000,
    ],
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(BadSoap):
        parse_call(raw)


@given(raw=st.binary(max_size=300), at=st.integers(0, 400))
def test_no_bytes_break_the_reader_of_calls(raw: bytes, at: int) -> None:
    good = SOAP % (b"", GET_PROFILES)
    for data in (raw, good[:at] + raw + good[at:]):
        try:
            assert isinstance(parse_call(data), Call)
        except BadSoap:
            continue


def wsse(password: str, created: str, nonce: bytes = b"n" * 16) -> Token:
    digest = hashlib.sha1(nonce + created.encode() + password.encode()).digest()
    return Token("u", base64.b64encode(digest).decode(), True, base64.b64encode(nonce).decode(), created)


def test_a_login_holds_with_the_right_password_and_clock_only() -> None:
    created = "2026-03-01T08:00:10Z"
    assert login_holds(wsse("pw", created), "u", "pw", NOW, 20)
    assert not login_holds(wsse("other", created), "u", "pw", NOW, 20)
    assert not login_holds(wsse("pw", created), "v", "pw", NOW, 20)
    assert not login_holds(wsse("pw", created), "u", "pw", NOW + timedelta(minutes=1), 20)
    assert not login_holds(wsse("pw", "2026-03-01T08:00:10+00:00"), "u", "pw", NOW, 20)
    assert not login_holds(wsse("pw", created, b"n" * 100), "u", "pw", NOW, 20)
    assert not login_holds(Token("u", "x", True, "%%", created), "u", "pw", NOW, 20)
    assert login_holds(Token("u", "pw", False, "", ""), "u", "pw", NOW, 20)


def test_spans_and_times() -> None:
    assert parse_span("PT1M30S", NOW) == 90
    assert parse_span("P1DT2H", NOW) == 93_600
    assert parse_span("2026-03-01T08:10:00Z", NOW) == 600
    for wrong in ("P", "PT", "soon", "2026-13-01T00:00:00Z", "2026-03-01T08:10:00"):
        with pytest.raises(BadSoap):
            parse_span(wrong, NOW)


@given(text=st.text(max_size=40))
def test_no_text_breaks_the_readers_of_times(text: str) -> None:
    for reader in (parse_time, lambda given: parse_span(given, NOW)):
        try:
            reader(text)
        except BadSoap:
            continue


def probe(types: str = "dn:NetworkVideoTransmitter") -> bytes:
    return f"<E><MessageID>uuid:7</MessageID><Probe><Types>{types}</Types></Probe></E>".encode()


def test_a_probe_is_read_and_answered() -> None:
    assert parse_probe(probe()) == Probe("uuid:7", ("NetworkVideoTransmitter",))
    match = build_match(Probe("uuid:7", ()), Found("gate", ("onvif://x/name/a&b",), "http://h/x")).decode()
    assert "<a:RelatesTo>uuid:7</a:RelatesTo>" in match
    assert "a&amp;b" in match
    assert "<d:XAddrs>http://h/x</d:XAddrs>" in match


@given(raw=st.binary(max_size=200), at=st.integers(0, 100))
def test_no_datagram_breaks_the_reader_of_probes(raw: bytes, at: int) -> None:
    for data in (raw, probe()[:at] + raw + probe()[at:]):
        try:
            parse_probe(data)
        except BadProbe:
            continue


def test_a_digest_as_the_standard_has_it() -> None:
    """RFC 7616 3.9.1's values, for our realm; the response is computed by hand from its formula."""
    value = (
        'Digest username="Mufasa", realm="IP Camera", uri="/dir", algorithm=MD5, nonce="abc", nc=00000001, cnonce="x", '
        'qop=auth, response="0"'
    )
    fields = parse_authorization(value)

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    expected = md5(f"{md5('Mufasa:IP Camera:Circle')}:abc:00000001:x:auth:{md5('GET:/dir')}")
    assert response(fields, "GET", "Circle") == expected


@given(value=st.text(max_size=120))
def test_no_text_breaks_the_reader_of_logins(value: str) -> None:
    for given_ in (value, f"Digest {value}", f'Digest username="a",nonce="b",uri="c",response="d",{value}'):
        try:
            assert response(parse_authorization(given_), "GET", "pw")
        except BadLogin:
            continue


def answer(door: Door, password: str) -> str:
    nonce = re.search(r'nonce="(\w+)"', door.challenges(["MD5"], qop=False)[0])
    assert nonce
    fields = {"username": "u", "nonce": nonce[1], "uri": "/x"}
    return f'Digest username="u", nonce="{nonce[1]}", uri="/x", response="{response(fields, "GET", password)}"'


def test_too_many_wrong_logins_lock_the_door_also_for_the_right_one() -> None:
    now_s = 0.0
    door = Door("u", "pw", 3, 100.0, lambda: now_s)
    assert not door.digest(None, "GET", ["MD5"])
    assert not door.digest('Digest username="u", nonce="x", uri="/", response="y"', "GET", ["MD5"])
    assert door.wrong == 0  # a challenge was asked for, or the nonce had gone
    assert door.digest(answer(door, "pw"), "GET", ["MD5"])
    for _ in range(3):
        assert not door.digest(answer(door, "bad"), "GET", ["MD5"])
    assert (door.wrong, door.locked) == (3, True)
    assert not door.digest(answer(door, "pw"), "GET", ["MD5"])
    now_s = 101.0
    assert door.digest(answer(door, "pw"), "GET", ["MD5"])
    assert not door.digest(answer(door, "pw"), "GET", ["SHA-256"])


def test_specifications_and_commands() -> None:
    spec = parse_spec('{"cameras": [{"id": "c", "main": {"codec": "h265"}}], "copies": 2}')
    assert [camera.id for camera in spec.every()] == ["c-001", "c-002"]
    assert parse_command('{"picture": "black"}').level == 4
    for wrong in ('{"cameras": []}', "[]", "{", '{"cameras": [{"id": "UPPER"}]}', '{"cameras": [{"id": "a", "x": 1}]}'):
        with pytest.raises(BadSpec):
            parse_spec(wrong)


@given(raw=st.binary(max_size=80) | st.text(max_size=80))
def test_no_line_breaks_the_reader_of_commands(raw: bytes | str) -> None:
    try:
        parse_command(raw)
    except BadSpec:
        return
