"""How long things take on a serial line: plain arithmetic, no I/O.

Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, 2.5.1.1 (RTU framing): frames are
set apart by at least 3.5 characters of silence; above 19200 baud by 1.750 ms whatever the rate.
"""

from typing import Final, Literal

from agent.driver import Exchange

Parity = Literal["N", "E", "O", "M", "S"]

SILENCE_CHARS: Final = 3.5
FAST_BAUDRATE: Final = 19200
"""Above this rate the silence no longer shrinks with the character."""
FAST_SILENCE_S: Final = 0.001_750

TYPICAL_TURNAROUND_S: Final = 0.003
"""What a common 8-in/8-out module needs between the end of a request and the start of its reply; with it a read
of 8 inputs at 9600 8N1 takes the 25 ms that are measured in practice."""
LONGEST_TURNAROUND_S: Final = 0.010
"""The slow end of the modules on the market (2-10 ms): for a bound that must hold whatever hangs on the line."""


def bits_per_char(bytesize: int, parity: str, stopbits: float) -> float:
    """Return the bits of one character on the line: start bit, data, parity (none for "N"), stop bits."""
    return 1 + bytesize + (parity != "N") + stopbits


def line_time_s(count: int, *, baudrate: int, bits_per_char: float) -> float:
    """Return how long `count` bytes take on the line, in seconds."""
    return count * bits_per_char / baudrate


def silence_s(*, baudrate: int, bits_per_char: float) -> float:
    """Return the silence that sets two frames apart, in seconds."""
    if baudrate > FAST_BAUDRATE:
        return FAST_SILENCE_S
    return SILENCE_CHARS * bits_per_char / baudrate


def exchange_time_s(
    exchange: Exchange, *, baudrate: int, bits_per_char: float, turnaround_s: float = TYPICAL_TURNAROUND_S
) -> float:
    """Return how long one exchange holds the line, in seconds: request, turn-around, reply, a silence after each."""
    chars_s = line_time_s(exchange.request_bytes + exchange.reply_bytes, baudrate=baudrate, bits_per_char=bits_per_char)
    return chars_s + turnaround_s + 2 * silence_s(baudrate=baudrate, bits_per_char=bits_per_char)
