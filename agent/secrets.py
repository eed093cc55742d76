"""Secrets of the configuration: where one comes from is known and shown, what it is only where it is used.

TOML writes `{ file = "/path" }`, `{ credential = "name" }` (systemd's LoadCredential=, systemd.exec(5)) or
`{ env = "NAME" }`. A literal string is accepted too, and `check-config` warns about it.
"""

import errno
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from agent.texts import Spoken, Text, say
from agent.units import BadSetting, type_of

CREDENTIALS_ENV: Final = "CREDENTIALS_DIRECTORY"
"""Where systemd mounts a service's credentials (systemd.exec(5), "Credentials")."""
CREDENTIALS_HOME: Final = Path("/etc/campus-agent/credentials")
"""What our unit hands over with LoadCredential=. Commands that root runs have no systemd between, and read it there."""
CREDENTIALS_PREFIX: Final = "campus-agent_"
"""How systemd names the files of a directory: ID_FILE, with our unit's ID (systemd.exec(5), LoadCredential=)."""
SECRET_MAX_BYTES: Final = 64 * 1024
"""Far above any password or key; a mistaken path to a log or a disk image is refused, not read."""

SecretSource = Literal["file", "credential", "env", "literal"]
_NAMES: Final = {
    "file": re.compile(r"/[^\0]{1,4095}"),
    "credential": re.compile(r"[A-Za-z0-9_.-]{1,255}"),
    "env": re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}"),
}


class SecretError(Spoken):
    """A secret cannot be had where the configuration says it is. Never holds any part of the secret."""


def os_reason(error: OSError) -> Text | str:
    """Why the system did not give a file: the usual reasons in the reader's language, others as the system says."""
    names = {errno.ENOENT: "missing", errno.EACCES: "denied", errno.EPERM: "denied", errno.EISDIR: "folder"}
    if name := names.get(error.errno or 0):
        return say(f"secrets.os-{name}")
    return error.strerror or str(error)


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret by its source. `where` is the path, the credential's name or the variable; empty for a literal."""

    source: SecretSource
    where: str = ""
    _literal: str = field(default="", repr=False)

    @classmethod
    def parse(cls, value: object) -> "Secret":
        """Take what TOML holds; raise BadSetting, which never shows the value."""
        if isinstance(value, Secret):
            return value
        if isinstance(value, str) and value:
            return cls("literal", "", value)
        if not isinstance(value, dict) or len(value) != 1:
            raise BadSetting(say("secrets.expected"), type_of(value))
        ((source, where),) = value.items()
        if source not in _NAMES:
            raise BadSetting(say("secrets.expected"), type_of(value))
        if not isinstance(where, str) or not _NAMES[source].fullmatch(where):
            # A secret may have been written where its source belongs, so what is there is not shown.
            raise BadSetting(say(f"secrets.expected-{source}"), type_of(where))
        return cls(source, where)

    def reveal(self) -> str:
        """Return the secret, read anew at each call; raise SecretError if it cannot be had or is empty."""
        if self.source == "literal":
            return self._literal
        if self.source == "env":
            if not (value := os.environ.get(self.where, "")):
                raise SecretError(say("secrets.no-env", name=self.where))
            return value
        return _read(self.path())

    def path(self) -> Path:
        """Return the file that holds it, for libraries that read files by themselves; raise SecretError if it is
        in none."""
        if self.source == "file":
            return Path(self.where)
        if self.source == "credential":
            return _credential(self.where)
        raise SecretError(say("secrets.no-file", source=self.source))

    def reference(self) -> str | dict[str, str]:
        """Where it comes from, for `--json` and diagnostics."""
        return {self.source: self.where} if self.where else "literal"

    def __repr__(self) -> str:
        return f"Secret({self})"

    def __str__(self) -> str:
        return f"{self.source}:{self.where}" if self.where else "literal"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: type[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(cls.reference)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        sources = {"file": r"^/", "credential": r"^[A-Za-z0-9_.-]{1,255}$", "env": r"^[A-Za-z_][A-Za-z0-9_]*$"}
        return {
            "anyOf": [
                *(
                    {
                        "type": "object",
                        "properties": {name: {"type": "string", "pattern": pattern}},
                        "required": [name],
                        "additionalProperties": False,
                    }
                    for name, pattern in sources.items()
                ),
                {"type": "string", "minLength": 1},
            ]
        }


def _credential(name: str) -> Path:
    """Find a credential: out of our unit's directory, from a LoadCredential= of its own, or where root reads it."""
    candidates = [CREDENTIALS_HOME / name]
    if directory := os.environ.get(CREDENTIALS_ENV):
        candidates = [Path(directory) / f"{CREDENTIALS_PREFIX}{name}", Path(directory) / name]
    for path in candidates:
        if os.access(path, os.R_OK):
            return path
    raise SecretError(say("secrets.no-credentials", name=name, path=CREDENTIALS_HOME / name))


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(SECRET_MAX_BYTES + 1)
    except OSError as error:
        raise SecretError(say("secrets.unreadable", path=path, reason=os_reason(error))) from error
    if len(raw) > SECRET_MAX_BYTES:
        raise SecretError(say("secrets.too-large", path=path, limit=SECRET_MAX_BYTES))
    if (value := _decoded(raw)) is None:
        raise SecretError(say("secrets.not-utf8", path=path))  # not from the cause, which has the bytes
    if not value:
        raise SecretError(say("secrets.empty", path=path))
    return value


def _decoded(raw: bytes) -> str | None:
    try:
        return raw.decode("utf-8").rstrip("\r\n")  # editors end the line
    except UnicodeDecodeError:
        return None
