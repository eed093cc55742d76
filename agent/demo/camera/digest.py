"""Digest logins as a camera checks them, for HTTP and RTSP alike (RFC 7616, RFC 2326 16), with a lock-out counter."""

import hashlib
import re
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

Algorithm = Literal["MD5", "SHA-256"]
REALM: Final = "IP Camera"
NONCES_KEPT: Final = 4096
HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
PAIR: Final = re.compile(r'([A-Za-z-]{1,32})\s*=\s*(?:"([^"]*)"|([^\s,"]+))')
MAX_CHARS: Final = 4096


class BadLogin(ValueError):
    """An Authorization header that cannot be read."""


def parse_authorization(value: str) -> dict[str, str]:
    """Read `Digest name="value", ...`. Raises BadLogin."""
    scheme, _, rest = value[:MAX_CHARS].partition(" ")
    if scheme.lower() != "digest":
        raise BadLogin(scheme)
    found = {name.lower(): quoted or plain for name, quoted, plain in PAIR.findall(rest)}
    if missing := {"username", "nonce", "uri", "response"} - found.keys():
        raise BadLogin(f"without {sorted(missing)}")
    return found


def response(fields: dict[str, str], method: str, password: str) -> str:
    """What the response must be (RFC 7616 3.4.1)."""
    digest = HASHES["SHA-256" if fields.get("algorithm", "MD5").upper() == "SHA-256" else "MD5"]

    def hashed(text: str) -> str:
        return digest(text.encode()).hexdigest()

    ha1 = hashed(f"{fields['username']}:{REALM}:{password}")
    ha2 = hashed(f"{method}:{fields['uri']}")
    if "qop" in fields:
        parts = [fields["nonce"], fields.get("nc", ""), fields.get("cnonce", ""), fields["qop"]]
        return hashed(":".join([ha1, *parts, ha2]))
    return hashed(f"{ha1}:{fields['nonce']}:{ha2}")


@dataclass
class Door:
    """One camera's logins, over all its protocols. After `lock_after` wrong tries it refuses for `lock_s`, also what
    is right."""

    username: str | None
    password: str | None
    lock_after: int
    lock_s: float
    now_s: Callable[[], float]
    wrong: int = 0
    """Wrong tries in all."""
    right: int = 0
    _in_a_row: int = 0
    _locked_until_s: float = 0.0
    _nonces: deque[str] = field(default_factory=lambda: deque(maxlen=NONCES_KEPT))

    @property
    def open(self) -> bool:
        """No login is asked for."""
        return self.username is None

    @property
    def locked(self) -> bool:
        return self.now_s() < self._locked_until_s

    def unlock(self) -> None:
        self._in_a_row, self._locked_until_s, self.wrong = 0, 0.0, 0

    def judge(self, holds: bool) -> bool:
        """Count one try; whether it is let in."""
        if self.locked:
            return False
        if holds:
            self.right += 1
            self._in_a_row = 0
            return True
        self.wrong += 1
        self._in_a_row += 1
        if self._in_a_row >= self.lock_after:
            self._locked_until_s = self.now_s() + self.lock_s
            self._in_a_row = 0
        return False

    def challenges(self, algorithms: Sequence[Algorithm], *, qop: bool) -> list[str]:
        """The WWW-Authenticate headers of a 401."""
        nonce = secrets.token_hex(16)
        self._nonces.append(nonce)
        end = ', qop="auth"' if qop else ""
        return [f'Digest realm="{REALM}", nonce="{nonce}", algorithm={name}{end}' for name in algorithms]

    def digest(self, header: str | None, method: str, algorithms: Sequence[Algorithm]) -> bool:
        """Whether a request's Authorization header lets it in. One that is missing or of an unknown nonce does not
        count as a try."""
        if self.open:
            return True
        if header is None:
            return False
        try:
            fields = parse_authorization(header)
        except BadLogin:
            return self.judge(False)
        if fields["nonce"] not in self._nonces:
            return False
        known = fields.get("algorithm", "MD5").upper() in algorithms and fields["username"] == self.username
        expected = response(fields, method, self.password or "")
        return self.judge(known and secrets.compare_digest(expected.encode(), fields["response"].encode()))
