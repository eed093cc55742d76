"""Card numbers as people write them, and the list of cards that may enter. Pure but for reading the list."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.driver import DeviceError, say

WITH_PARITY: Final = (26, 34)
"""Wiegand formats with a parity bit at either end: the number is what lies between."""
LIST_LIMIT_BYTES: Final = 1 << 20
"""Twenty thousand cards; a mistaken path to something else is refused, not read."""
SPREADSHEET: Final = "gb18030"
"""What Excel writes in China that does not write UTF-8."""
EVERY_READER: Final = "*"
_NUMBER: Final = re.compile(r"[0-9A-Fa-f]{1,32}")


@dataclass(frozen=True, slots=True)
class Card:
    """One card of the list: who has it, and at which readers it opens."""

    number: str
    name: str
    readers: frozenset[str]

    def opens(self, reader: str) -> bool:
        """Whether it opens a reader's door."""
        return reader in self.readers or EVERY_READER in self.readers


def card_number(data: bytes, bits: int) -> str:
    """The number of a card that was read as `bits` bits, left aligned: decimal for the Wiegand formats of 26 and 34
    bits, without their parity; hexadecimal for all others."""
    if not 0 < bits <= 8 * len(data):
        return data.hex().upper()
    number = int.from_bytes(data, "big") >> (8 * len(data) - bits)
    if bits in WITH_PARITY:
        return str(number >> 1 & (1 << (bits - 2)) - 1)
    return f"{number:0{(bits + 3) // 4}X}"


def parse_cards(text: str) -> Mapping[str, Card]:
    """Read a list: `number,name,reader reader ...` per line, `*` or nothing for every reader; `#` begins a comment.
    Raises ValueError that names the line."""
    found: dict[str, Card] = {}
    for place, row in enumerate(_rows(text), 1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or cells[0].startswith("#"):
            continue
        number = cells[0].upper().lstrip("0") or "0"
        if not _NUMBER.fullmatch(number) or len(cells) > 3:
            raise ValueError(f"{place}: {','.join(cells)[:40]}")
        readers = frozenset(cells[2].split()) if len(cells) > 2 and cells[2] else frozenset({EVERY_READER})
        found[number] = Card(number, cells[1] if len(cells) > 1 else "", readers)
    return found


def _rows(text: str) -> Iterator[list[str]]:
    rows = csv.reader(text.splitlines())
    try:
        yield from rows
    except csv.Error as error:  # a quotation mark that never ends
        raise ValueError(f"{rows.line_num}: {error}") from error


def find(cards: Mapping[str, Card], number: str) -> Card | None:
    """The card with a number, however many zeros it is written with."""
    return cards.get(number.upper().lstrip("0") or "0")


class CardList:
    """The file with the list, read anew when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp: tuple[int, int] | None = None
        self._cards: Mapping[str, Card] = {}

    def cards(self) -> Mapping[str, Card]:
        """The list as it is now. A file that was changed into nonsense leaves the old list standing until a restart.
        Raises DeviceError if there is none that can be read."""
        try:
            status = self._path.stat()
            stamp = status.st_mtime_ns, status.st_size
            if stamp != self._stamp:
                self._cards = parse_cards(self._read())
                self._stamp = stamp
        except OSError as error:
            if self._stamp is None:
                raise DeviceError(say("osdp.no-list", path=self._path, error=error.strerror or str(error))) from error
        except ValueError as error:
            if self._stamp is None:
                raise DeviceError(say("osdp.bad-list", path=self._path, line=str(error))) from error
        return self._cards

    def _read(self) -> str:
        with self._path.open("rb") as file:
            raw = file.read(LIST_LIMIT_BYTES + 1)
        if len(raw) > LIST_LIMIT_BYTES:
            raise ValueError(f"> {LIST_LIMIT_BYTES} bytes")
        try:
            return raw.decode("utf-8-sig")  # some spreadsheets write a BOM
        except UnicodeDecodeError:
            return raw.decode(SPREADSHEET)


def readers_of(cards: Iterable[Card]) -> frozenset[str]:
    """Every reader that a list names."""
    return frozenset(reader for card in cards for reader in card.readers) - {EVERY_READER}
