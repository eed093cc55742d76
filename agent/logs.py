"""Log lines for journald, or JSON; in the site's language.

A message may be a `Text` of the catalogue; it is rendered here, at the rim. Under systemd each line starts with
its priority (`<4>`, sd-daemon(3)), so that `journalctl -p warning` works.
"""

import json
import logging
import os
import sys
from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Final, Literal

from agent.texts import Language, Spoken, Text

LogFormat = Literal["text", "json"]

PRIORITIES: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""Python's levels as syslog priorities (RFC 5424, 6.2.1)."""
NOISY_LIBRARIES: Final = (
    "pymodbus",
    "paho",
    "amqtt",
    "transitions",
    "zeep",
    "onvif",
    "aiohttp",
    "httpx",
    "httpcore",
    "libav",
)
"""They log what we report ourselves, in words of their own. Not asyncio: its errors are exceptions that nobody else
would tell of."""
MEMORY: Final = 512
"""How many different failures `Loudness` remembers; more than a gateway has devices and brokers."""


class SiteFormatter(logging.Formatter):
    """One line a record: priority under systemd, time elsewhere, then logger and message."""

    def __init__(self, language: Language, *, journald: bool) -> None:
        super().__init__()
        self._language = language
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        message = rendered(record, self._language)
        if record.exc_info:
            message += "\n" + self.formatException(record.exc_info)
        if self._journald:
            return f"<{PRIORITIES.get(record.levelname, 6)}>" + message.replace("\n", "\\n")
        moment = datetime.fromtimestamp(record.created, UTC).astimezone()
        return f"{moment:%H:%M:%S.%f}"[:-3] + f" {record.levelname:<7} {message}"


class JsonFormatter(logging.Formatter):
    """One JSON object a record, with the catalogue key as a stable name of what happened."""

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language = language

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": rendered(record, self._language),
        }
        text = text_of(record.msg)
        if text:
            entry["key"] = text.key
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def text_of(message: object) -> Text | None:
    """Return the text of a message that has one."""
    if isinstance(message, Spoken):
        return message.text
    return message if isinstance(message, Text) else None


def rendered(record: logging.LogRecord, language: Language) -> str:
    """Return the message in `language`; texts among the arguments are rendered too."""
    if text := text_of(record.msg):
        return text.render(language)
    if isinstance(record.args, tuple):
        record.args = tuple(t.render(language) if (t := text_of(arg)) else arg for arg in record.args)
    return record.getMessage()


def set_up(language: Language, *, format_: LogFormat = "text", level: int = logging.INFO) -> None:
    """Send the log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    journald = "JOURNAL_STREAM" in os.environ
    handler.setFormatter(JsonFormatter(language) if format_ == "json" else SiteFormatter(language, journald=journald))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY_LIBRARIES:
        logging.getLogger(name).setLevel(logging.CRITICAL if level > logging.DEBUG else logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class Loudness:
    """First failure loud, repeats quiet: gives the level for a failure of `subject` that says `what`."""

    def __init__(self) -> None:
        self._told: dict[Hashable, str] = {}

    def level(self, subject: Hashable, what: str) -> int:
        """WARNING for news, DEBUG for what was said last of the same subject."""
        if self._told.get(subject) == what:
            return logging.DEBUG
        if len(self._told) >= MEMORY:
            self._told.clear()
        self._told[subject] = what
        return logging.WARNING

    def over(self, subject: Hashable) -> bool:
        """Forget `subject`; returns whether there was something to be over."""
        return self._told.pop(subject, None) is not None
