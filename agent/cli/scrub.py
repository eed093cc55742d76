"""Takes secrets out of text that leaves the site. Pure.

Two nets, because either alone has holes. By place: in TOML, the value of every key that is named like a secret, and
the user part of every URL. By value: every secret that the configuration can reveal, wherever it stands, in each form
that a log or a file may give it: as it is, JSON-escaped, percent-encoded, hexadecimal, base64 at any alignment.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, quote_plus

MARK: Final = "***"
SHORTEST: Final = 4
"""A secret below this is taken out as a whole word only: each `1` of a file is not the PIN `1`."""
BASE64_SHORTEST: Final = 6
"""Characters of base64 that depend on the secret alone; fewer would hit innocent words."""

KEY_NAMES: Final = r"[\w-]*(?:passw(?:or)?d|passphrase|secret|token|psk|pin|key)"
REFERENCE: Final = re.compile(
    r"""\{\s*(?:file\s*=\s*["']/[^"']*["']|credential\s*=\s*["'][\w.-]+["']|env\s*=\s*["']\w+["'])\s*\}"""
)
"""What `agent.secrets` accepts as the place of a secret: that may be shown."""
ASSIGNMENT: Final = re.compile(
    rf"""(?P<key>(?<![\w-])["']?{KEY_NAMES}["']?\s*=\s*)"""
    r"""(?P<value>\"\"\".*?\"\"\"|'''.*?'''|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\{[^}]*\}|\[[^\]]*\]|[^\s,}\]#]+)"""
    r"(?P<comment>[ \t]*#[^\n]*)?",
    re.DOTALL | re.IGNORECASE,
)
USER_IN_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@\"']+@", re.IGNORECASE)


def scrub_toml(text: str) -> str:
    """Take secrets out of a configuration file by their place, also out of a broken one and out of comments."""

    def replace(match: re.Match[str]) -> str:
        value = match["value"]
        if REFERENCE.fullmatch(value):
            return match[0]
        return f'{match["key"]}"{MARK}"'  # and no comment, which may tell the password before

    return scrub_urls(ASSIGNMENT.sub(replace, text))


def scrub_urls(text: str) -> str:
    """Take name and password out of URLs."""
    return USER_IN_URL.sub(rf"\g<scheme>{MARK}@", text)


class Scrubber:
    """Takes known secrets out of bytes."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets if secret for form in forms_of(secret)}
        longest_first = sorted(forms, key=len, reverse=True)  # a secret may be part of another
        self._pattern = re.compile(b"|".join(longest_first)) if longest_first else None

    def scrub(self, data: bytes) -> bytes:
        """Return `data` without the secrets."""
        return self._pattern.sub(MARK.encode(), data) if self._pattern else data

    def holds(self, data: bytes) -> bool:
        """Tell whether `data` has a secret in it."""
        return bool(self._pattern and self._pattern.search(data))


def forms_of(secret: str) -> Iterator[bytes]:
    """Yield a pattern for every form that a secret may have."""
    raw = secret.encode()
    spelled = {
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
    }
    if len(secret) < SHORTEST:
        yield from (rb"(?<!\w)" + re.escape(form.encode()) + rb"(?!\w)" for form in spelled)
        return
    yield from (re.escape(form.encode()) for form in spelled)
    yield from (re.escape(form) for form in (raw.hex().encode(), raw.hex(" ").encode(), raw.hex().upper().encode()))
    for shift in range(3):
        core = base64_core(raw, shift)
        if len(core) >= BASE64_SHORTEST:
            yield re.escape(core) + b"[A-Za-z0-9+/_-]{0,2}={0,2}"
            yield re.escape(core.translate(bytes.maketrans(b"+/", b"-_"))) + b"[A-Za-z0-9+/_-]{0,2}={0,2}"


def base64_core(raw: bytes, shift: int) -> bytes:
    """Return the base64 characters that depend on `raw` alone when `shift` bytes (modulo 3) stand before it."""
    encoded = base64.b64encode(b"\0" * shift + raw)
    start = (0, 2, 3)[shift]
    end = (shift + len(raw)) * 8 // 6  # characters whose six bits are all known
    return encoded[start:end]


def literals(text: str) -> set[str]:
    """Return the secrets that stand in a TOML text as literals, as `scrub_toml` would take them out."""
    found = set()
    for match in ASSIGNMENT.finditer(text):
        value = match["value"]
        if not REFERENCE.fullmatch(value):
            found |= {value.strip("\"'"), decoded(value)}
    for match in re.finditer(r"://(?P<user>[^\s/@\"']+)@", text):
        found |= set(match["user"].split(":", 1)[1:])
    return {value for value in found if value}


def decoded(value: str) -> str:
    """Read one TOML value; the text itself where it is none."""
    import tomllib

    try:
        return str(tomllib.loads(f"value = {value}")["value"])
    except tomllib.TOMLDecodeError:
        return value
