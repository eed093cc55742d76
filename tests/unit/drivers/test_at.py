"""What a modem says, cut into lines: whatever comes, and in whatever pieces."""

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers._at import LINE_LIMIT, PROMPT, Lines

said = st.lists(
    st.sampled_from([b"\r\nOK\r\n", b"\r\n> ", b"\r\n+CDS: 25\r\n0006\r\n", b"AT+CSQ\r", b"\xff\x00", b"RING"])
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces, at = [], 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    return [*pieces, data[at:]]


@given(st.binary(max_size=400), st.lists(st.integers(1, 9), max_size=20))
@settings(max_examples=100)
def test_any_bytes_become_lines_without_ends(data: bytes, sizes: list[int]) -> None:
    lines = Lines()
    for piece in cut(data, sizes):
        for line in lines.feed(piece):
            assert line
            assert not {"\r", "\n"} & set(line)


@given(said, st.lists(st.integers(1, 9), max_size=20))
@settings(max_examples=60)
def test_lines_are_the_same_however_they_come_in_pieces(parts: list[bytes], sizes: list[int]) -> None:
    whole, pieces = Lines(), Lines()
    data = b"".join(parts) + b"\r\n"
    at_once = [line for line in whole.feed(data) if line != PROMPT]
    bit_by_bit = [line for piece in cut(data, sizes) for line in pieces.feed(piece) if line != PROMPT]
    assert at_once == bit_by_bit


def test_the_prompt_has_no_line_end() -> None:
    lines = Lines()
    assert list(lines.feed(b"AT+CMGS=20\r\r\n> ")) == ["AT+CMGS=20", PROMPT]


def test_a_line_without_end_is_bounded() -> None:
    lines = Lines()
    for _ in range(100):
        assert list(lines.feed(b"x" * 1000)) == []
    (line,) = lines.feed(b"\r")
    assert len(line) == LINE_LIMIT
