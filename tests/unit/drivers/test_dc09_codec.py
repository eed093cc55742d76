"""DC-09 as bytes: frames with checksums that others computed, round trips, and everything that may come instead."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.driver import BadFrame
from drivers._dc09 import (
    ACK,
    ADM_CID,
    BODY_MAX,
    DUH,
    FRAME_MAX,
    NAK,
    NULL,
    SIA_DCS,
    Frame,
    Message,
    Splitter,
    crc16,
    nak,
)

KEY = bytes.fromhex("ABCD" * 8)
NOW = datetime(2026, 11, 27, 3, 30, 5, tzinfo=UTC)

PRINTED = [
    '7C37006b"SIA-DCS"0000RC0FFDL1234#080027E62A64[#080027E62A64|NHB0003][X115000][X115000][X115000]_13:53:11,06-22-2015',
    '3BAC0029"SIA-DCS"0002#0123[#0123|Nti20:50:26RP99]',
    'F4D20029"SIA-DCS"0001RF3L77#1234[#1234|NRR|Atest]',
    '96ED0016"SIA-DCS"0001L0#1234[]',
    'E4410025"NAK"0000R0L0A0[]_16:20:01,09-24-2025',
    'E5630025"NAK"0000R0L0A0[]_10:10:18,07-30-2024',
    '1D85002B"NULL"0001L0#00653210[]_09:17:32,05-18-2016',
    'B0AC0027"ADM-CID"0001L0#7099[#7099|1628 01 000]',
    '01FC0037"ACK"0000Rc0ffdL1234#080027E62A64[]_12:10:40,06-22-2015',
]
"""From the tests of fioletoven/dc09 (MIT) and from logs of hosts; each length and CRC was computed anew for this."""

FOREIGN = [
    (
        'E88800a7"*SIA-DCS"0000RC0FFDL1234#080027E62A64[A054F111518361720BAB126501C6D994CD9151D2C84881C0FEA933A0790F49A9'
        "236EBD45F2AED32FAA252EB1AA18FC3CDEDE2452F33185E5931D31308D9B9882",
        KEY,
        "#080027E62A64|NHB0003",
        ("E115000",),
        datetime(2015, 6, 22, 15, 12, 40, tzinfo=UTC),
    ),
    (
        'E34C0062"*ACK"0001R5678L1234#080027E62A64[14F088FF5DCB19D1908069507EAB97C7CDB20F1C6EFA550BB59864D54B2DFA1C',
        KEY,
        "",
        (),
        datetime(2015, 4, 14, 16, 8, 12, tzinfo=UTC),
    ),
    (
        '05BB0076"*SIA-DCS"7654L0#1111[C07DA1EB73C617857476EE5D79436CEE5E0084485E79EC56B0D5D1F3F6E648B278050BBCCBC8FE5D'
        "CA7E3C80DBDD4945",
        b"A" * 16,
        "Nri1/WA000",
        (),
        datetime(2020, 7, 9, 16, 4, 2, tzinfo=UTC),
    ),
]
"""Encrypted by others: two frames of a debugger of this protocol, with a binary pad, and one of eavanvalkenburg/
pysiaalarm (MIT), padded with zeros and without the account in its data."""

HEX = "0123456789ABCDEF"
TEXTS = st.text(st.characters(exclude_characters="[]\r\n", exclude_categories=["Cs"]), max_size=60)
MESSAGES = st.builds(
    Message,
    st.sampled_from([SIA_DCS, ADM_CID, NULL, ACK]),
    st.integers(0, 9999),
    st.text(HEX, min_size=3, max_size=16),
    TEXTS,
    st.lists(TEXTS, max_size=3).map(tuple),
    st.text(HEX, max_size=6),
    st.text(HEX, max_size=6),
    st.integers(946_684_800, 4_070_908_800).map(lambda second: datetime.fromtimestamp(second, UTC)),
)
KEYS = st.sampled_from([16, 24, 32]).flatmap(lambda size: st.binary(min_size=size, max_size=size))


def framed(text: str) -> bytes:
    return b"\n" + text.encode("utf-8") + b"\r"


def sealed(body: bytes) -> bytes:
    """A frame with the right length and checksum, whatever is in it."""
    return b"\n" + f"{crc16(body):04X}{len(body):04X}".encode() + body + b"\r"


def test_the_checksum_is_arc() -> None:
    assert crc16(b"123456789") == 0xBB3D


@pytest.mark.parametrize("text", PRINTED)
def test_printed_frames_are_read_and_written_as_they_are(text: str) -> None:
    written = Message.from_bytes(framed(text)).to_bytes()
    assert written[9:] == framed(text)[9:]
    assert written[:9].upper() == framed(text)[:9].upper()


def test_what_a_printed_frame_says() -> None:
    assert Message.from_bytes(framed(PRINTED[0])) == Message(
        SIA_DCS,
        0,
        "080027E62A64",
        "#080027E62A64|NHB0003",
        ("X115000",) * 3,
        "C0FFD",
        "1234",
        datetime(2015, 6, 22, 13, 53, 11, tzinfo=UTC),
    )


@pytest.mark.parametrize(("text", "key", "data", "extended", "time"), FOREIGN)
def test_what_others_encrypted_is_read(
    text: str, key: bytes, data: str, extended: tuple[str, ...], time: datetime
) -> None:
    message = Message.from_bytes(framed(text), key)
    assert (message.data, message.extended, message.time) == (data, extended, time)


@pytest.mark.parametrize(("text", "key", "data", "extended", "time"), FOREIGN)
def test_a_wrong_or_missing_key_reads_nothing(
    text: str, key: bytes, data: str, extended: tuple[str, ...], time: datetime
) -> None:
    for wrong in (None, bytes(16), key[:-1] + b"?", bytes(32), b"short"):
        with pytest.raises(BadFrame):
            Message.from_bytes(framed(text), wrong)


@given(message=MESSAGES)
def test_a_message_comes_back_as_it_was_sent(message: Message) -> None:
    assert Message.from_bytes(message.to_bytes()) == message


@given(message=MESSAGES, key=KEYS)
def test_so_does_an_encrypted_one(message: Message, key: bytes) -> None:
    data = message.to_bytes(key)
    frame = Frame.from_bytes(data)
    assert frame.encrypted
    assert len(frame.body) % 32 == 0
    assert frame.open(key) == message


@given(message=MESSAGES, key=KEYS, other=KEYS)
def test_nobody_reads_it_with_another_key(message: Message, key: bytes, other: bytes) -> None:
    with suppress(BadFrame):
        assert Message.from_bytes(message.to_bytes(key), other) == message, "only if it is the same key"
        assert key == other


def test_equal_messages_are_encrypted_differently() -> None:
    message = Message(NULL, 1, "1234", time=NOW)
    assert len({message.to_bytes(KEY) for _ in range(20)}) == 20


@given(pad=st.binary(min_size=16, max_size=16))
def test_a_pad_may_be_any_bytes_but_brackets_and_bar(pad: bytes) -> None:
    """5.4.4.2."""
    allowed = bytes(byte for byte in pad if byte not in b"|[]").ljust(16, b"\r")
    message = Message(NULL, 1, "1234", time=NOW)
    assert Message.from_bytes(message.to_bytes(KEY, lambda count: allowed[:count]), KEY) == message


def test_every_encrypted_message_has_some_pad() -> None:
    """5.4.4.3: sixteen bytes where none were needed."""
    counts: list[int] = []

    def pad(count: int) -> bytes:
        counts.append(count)
        return b"p" * count

    for length in range(16):
        Message(SIA_DCS, 1, "1234", "x" * length, time=NOW).to_bytes(KEY, pad)
    assert sorted(counts) == list(range(1, 17))


@given(noise=st.binary(max_size=300))
def test_noise_is_never_a_message(noise: bytes) -> None:
    for data in (noise, b"\n" + noise + b"\r"):
        with pytest.raises(BadFrame):
            Message.from_bytes(data, KEY)


@given(body=st.binary(max_size=100), head=st.sampled_from([b"", b'"SIA-DCS"0001L0#1234[', b'"*SIA-DCS"0001L0#1234[']))
def test_a_right_checksum_over_nonsense_is_a_message_or_a_bad_frame(body: bytes, head: bytes) -> None:
    with suppress(BadFrame):
        message = Message.from_bytes(sealed(head + body), KEY)
        assert message.to_bytes()


@given(message=MESSAGES, bit=st.integers(0), key=st.none() | KEYS)
def test_a_flipped_bit_is_always_found(message: Message, bit: int, key: bytes | None) -> None:
    data = bytearray(message.to_bytes(key))
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    with suppress(BadFrame):
        assert Message.from_bytes(bytes(data), key) == message, (
            "a letter of the checksum or the hex digits, in lower case"
        )


def test_text_in_gb2312_is_kept() -> None:
    body = '"SIA-DCS"0001L0#1234[#1234|Nri1/BA001^门卫室^]'.encode("gb2312")
    message = Message.from_bytes(sealed(body))
    assert message.data.encode("utf-8", "surrogateescape").decode("gb2312") == "#1234|Nri1/BA001^门卫室^"
    assert message.to_bytes() == sealed(body)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ("#1234|Nri1/BA001", ("1234", "Nri1/BA001")),
        ("#5678|Nri1/BA001", ("5678", "Nri1/BA001")),
        ("|Nri1/CL501", ("1234", "Nri1/CL501")),
        ("1234|Nri1/CL501", ("1234", "Nri1/CL501")),
        ("Nri1/WA000", ("1234", "Nri1/WA000")),
        ("NRR|Atest", ("1234", "NRR|Atest")),
        ("#1234|NRR|Atest", ("1234", "NRR|Atest")),
        ("", ("1234", "")),
    ],
)
def test_the_account_may_stand_before_the_event(data: str, content: tuple[str, str]) -> None:
    assert Message(SIA_DCS, 1, "1234", data).content == content


def test_answers_carry_what_the_request_was_addressed_with() -> None:
    request = Message(SIA_DCS, 7, "1234", "#1234|Nri1/BA001", receiver="C0FFD", line="77", time=NOW)
    ack = request.answer(ACK)
    assert ack.to_bytes()[9:] == b'"ACK"0007RC0FFDL77#1234[]\r'
    assert ack.is_answer_to(request)
    assert request.answer(DUH).is_answer_to(request)
    assert not Message(ACK, 8, "1234").is_answer_to(request)
    assert not Message(ACK, 7, "1235").is_answer_to(request)
    assert not request.is_answer_to(request)


def test_a_nak_tells_the_time_and_is_never_encrypted() -> None:
    data = nak(datetime(2015, 4, 14, 16, 9, 9, tzinfo=UTC)).to_bytes(KEY)
    assert data == b'\n3C830025"NAK"0000R0L0A0[]_16:09:09,04-14-2015\r'
    assert Message.from_bytes(data).is_answer_to(Message(NULL, 3, "1234"))
    assert Message.from_bytes(data).id == NAK


@pytest.mark.parametrize(
    "message",
    [
        Message(SIA_DCS, 10_000, "1234"),
        Message(SIA_DCS, -1, "1234"),
        Message(SIA_DCS, 1, "12 34"),
        Message("sia", 1, "1234"),
        Message(SIA_DCS, 1, "1234", "a]b"),
        Message(SIA_DCS, 1, "1234", "a\rb"),
        Message(SIA_DCS, 1, "1234", "", ("a[b",)),
        Message(SIA_DCS, 1, "1234", "\ud800"),
        Message(SIA_DCS, 1, "1234", line="12345678"),
        Message(SIA_DCS, 1, "1234", "x" * BODY_MAX),
    ],
)
def test_what_the_format_cannot_say_is_refused(message: Message) -> None:
    with pytest.raises(BadFrame):
        message.to_bytes()


def test_an_encrypted_message_needs_a_time_and_a_key_of_a_right_size() -> None:
    with pytest.raises(BadFrame):
        Message(NULL, 1, "1234").to_bytes(KEY)
    with pytest.raises(BadFrame):
        Message(NULL, 1, "1234", time=NOW).to_bytes(b"short")


@given(messages=st.lists(MESSAGES, max_size=4), cuts=st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_a_stream_is_cut_into_its_frames_however_it_comes(messages: list[Message], cuts: list[int]) -> None:
    stream = b"\r\n".join(message.to_bytes() for message in messages)
    splitter, at, turn = Splitter(), 0, 0
    found: list[bytes | BadFrame] = []
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        found += splitter.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert [piece if isinstance(piece, BadFrame) else Message.from_bytes(piece) for piece in found] == messages


@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_noise_in_a_stream_hides_no_frame_after_it(pieces: list[bytes]) -> None:
    splitter, good = Splitter(), Message(SIA_DCS, 1, "1234", "#1234|Nri1/BA001").to_bytes()
    for piece in pieces:
        list(splitter.feed(piece))
    assert good in list(splitter.feed(good))


def test_a_stream_without_an_end_is_not_kept() -> None:
    splitter = Splitter()
    found = [piece for _ in range(100) for piece in splitter.feed(b"x" * 1000)]
    assert all(isinstance(piece, BadFrame) and len(piece.got) <= FRAME_MAX + 1000 for piece in found)
    assert len(found) >= 20
    assert len(splitter._buffer) <= FRAME_MAX
