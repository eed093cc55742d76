"""What drivers of lines make of noise: random bytes through each one's framing, and of wild input to each decoder.

Every driver whose contract peer names framers or decoders is in it (tests/contract/peers_*.py).
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from agent.driver import BadFrame
from bench.report import Result
from tests.contract.peers import Framer, Peer, peers

NOISE_BYTES: Final = 10_000_000
CHUNK_BYTES: Final = 512
FUZZ_INPUTS: Final = 1_000_000
LONGEST: Final = 120
PRINTABLE: Final = bytes(range(32, 127))
HEX: Final = b"0123456789ABCDEF"
SEEDS: Final = (
    b"5011 181234E13001003",
    b"1011           @    ",
    b"1234 18 1131 01 015 8",
    b"1234181131010158",
    b"LC:A1B2C1",
    bytes.fromhex("AA A4 24 E0 01 2C 03 84 D0 D0 D8 55"),
    "\x1b608/12/02  17:24\n  004-004\n\x1b9首次火警\n裙楼\n感烟探测器".encode("gb18030"),
    b'\n52B40059"SIA-DCS"0002R579BDFL789ABC#12345A[#12345A|NFA129]\r',
    b'\n96ED0016"SIA-DCS"0001L0#1234[]\r',
    b'\n05BB0076"*SIA-DCS"7654L0#1111[C07DA1EB73C617857476EE5D79436CEE5E0084485E79EC56B0D5D1F3F6E648B2'
    b"78050BBCCBC8FE5DCA7E3C80DBDD4945\r",
    b"Nri1/BA003^text^|Atext",
    b'{"eventType": "cidEvent", "CIDEvent": {"standardCIDcode": 1130, "zone": 1}}',
    b"<EventNotificationAlert><eventType>VMD</eventType><channelID>1</channelID></EventNotificationAlert>",
    b'--b\r\nContent-Type: application/json\r\n\r\n{"a": 1}\r\n--b--\r\n',
    bytes.fromhex("01 02 01 51 A0 00"),
)
"""Good frames, to be spoilt: wild bytes alone would be refused at the first look."""


@dataclass
class Found:
    """What one driver made of it."""

    name: str
    frames: int = 0
    accepted: int = 0
    inputs: int = 0
    crashes: int = 0
    mb_per_s: float = 0.0


def measure() -> list[Result]:
    """Noise through the framings, wild input to the decoders."""
    return [result([one(name, peer) for name, peer in peers().items() if peer.framers or peer.decoders])]


def one(name: str, peer: Peer) -> Found:
    """One driver: noise to each framing and the decoders behind it, and fuzz to each decoder."""
    found = Found(name)
    began = time.perf_counter()
    for make in peer.framers:
        hear(make(), peer.decoders, found)
    if peer.framers:
        found.mb_per_s = len(peer.framers) * NOISE_BYTES / (time.perf_counter() - began) / 1e6
    for decode in peer.decoders:
        fuzz(decode, found)
    return found


def hear(framer: Framer, decoders: tuple[Callable[[bytes], object], ...], found: Found) -> None:
    """Let it hear noise."""
    rng = random.Random(found.name)
    for _ in range(0, NOISE_BYTES, CHUNK_BYTES):
        for frame in framer.feed(rng.randbytes(CHUNK_BYTES), ignore):
            found.frames += 1
            found.accepted += any(understood(decode, frame, found) for decode in decoders)


def ignore(_raw: bytes, _error: BadFrame) -> None:
    """Noise is rejected."""


def understood(decode: Callable[[bytes], object], data: bytes, found: Found) -> bool:
    """Whether a decoder makes something of it; what it raises beside BadFrame is a crash."""
    try:
        return decode(data) is not None
    except BadFrame:
        return False
    except Exception:  # noqa: BLE001 - this is what is being looked for
        found.crashes += 1
        return False


def fuzz(decode: Callable[[bytes], object], found: Found) -> None:
    """Wild and spoilt input, a million times."""
    rng = random.Random(found.name)
    for _ in range(FUZZ_INPUTS):
        found.inputs += 1
        understood(decode, wild(rng), found)


def wild(rng: random.Random) -> bytes:
    """Random bytes, random characters, or a good frame with some of it changed."""
    choice = rng.random()
    if choice < 0.25:
        return rng.randbytes(rng.randrange(LONGEST))
    if choice < 0.4:
        return bytes(rng.choices(PRINTABLE if choice < 0.33 else HEX, k=rng.randrange(LONGEST)))
    data = bytearray(rng.choice(SEEDS))
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(3)] = rng.randbytes(rng.randrange(3))
    return bytes(data)


def result(found: list[Found]) -> Result:
    """The table."""
    table = Result(
        "Noise on lines, and wild input to decoders",
        ("driver", "noise, bytes", "frames in it", "taken for real", "MB/s", "wild inputs", "crashes"),
    )
    for one in found:
        bytes_ = f"{NOISE_BYTES:,}" if one.mb_per_s else "-"
        speed = f"{one.mb_per_s:.1f}" if one.mb_per_s else "-"
        table.rows.append(
            [one.name, bytes_, str(one.frames), str(one.accepted), speed, f"{one.inputs:,}", str(one.crashes)]
        )
        table.limit(f"{one.name}: crashes", one.crashes, 0, "")
        if one.mb_per_s:
            table.limit(f"{one.name}: noise taken for real", one.accepted, 0, "")
    table.notes = [
        "Noise is random bytes, as much to each framing of a driver, given in pieces of 512. A frame in it is what "
        "framing hands to the decoder; taken for real is what the decoder then accepts. Wild input, a million for "
        "each decoder, is random bytes and characters, and good frames of every protocol with some bytes changed.",
    ]
    return table
