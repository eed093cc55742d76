"""Text in columns of a terminal, where a Chinese character takes two. Pure."""

import re
import unicodedata
from typing import Final

TOKEN: Final = re.compile(r"\s+|[（《“‘]*(?:[\x21-\x7e]+|.)", re.DOTALL)
"""What a line may be broken between: runs of ASCII, and single characters of scripts without spaces; opening
punctuation goes with what follows it."""
NEVER_FIRST: Final = frozenset("，。；：、！？）】》”’…,.;:!?)")
"""Punctuation that must not begin a line (GB/T 15834 5.1.10 for the Chinese ones)."""


def width(text: str) -> int:
    """Return the columns that `text` takes."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, columns: int) -> str:
    """Fill `text` with spaces up to `columns`."""
    return text + " " * (columns - width(text))


def wrap(text: str, columns: int) -> list[str]:
    """Break `text` into lines of at most `columns`, at spaces or between wide characters. Only a single run of
    ASCII (a path, a URL) may be longer: it must stay whole to be copied."""
    lines: list[str] = []
    line: list[str] = []
    for token in TOKEN.findall(text):
        if line and width("".join(line)) + width(token.rstrip()) > columns:
            moved = [line.pop()] if token[0] in NEVER_FIRST and len(line) > 1 else []
            lines.append("".join(line).rstrip())
            line = moved
        if line or not token.isspace():
            line.append(token)
    return [*lines, "".join(line).rstrip()] if line or not lines else lines


def paragraphs(text: str, columns: int, indent: str = "") -> list[str]:
    """Wrap each line of `text` on its own, indented."""
    return [
        (indent + line).rstrip()
        for paragraph in text.strip().splitlines()
        for line in wrap(paragraph, columns - len(indent))
    ]


def definitions(rows: list[tuple[str, str]], columns: int, *, term_limit: int = 30, indent: str = "  ") -> list[str]:
    """Lay out terms with their explanations in two columns; a term beyond `term_limit` has a line of its own."""
    if not rows:
        return []
    term_width = min(max(width(term) for term, _ in rows), term_limit)
    gap = " " * (term_width + 2)
    lines: list[str] = []
    for term, explanation in rows:
        wrapped = wrap(explanation, columns - len(indent) - len(gap)) if explanation else [""]
        if width(term) > term_width:
            lines.append(indent + term)
            lines += [(indent + gap + line).rstrip() for line in wrapped]
        else:
            lines.append((indent + pad(term, term_width + 2) + wrapped[0]).rstrip())
            lines += [(indent + gap + line).rstrip() for line in wrapped[1:]]
    return lines
