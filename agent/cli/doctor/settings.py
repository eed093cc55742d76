"""The configuration and the secrets that it points to."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from agent.cli.doctor.finding import Check, Finding, fail, ok, warn
from agent.cli.doctor.runner import in_thread
from agent.cli.doctor.subject import Subject
from agent.texts import say

if TYPE_CHECKING:
    from agent.config.models import Config
    from agent.secrets import Secret

CREDENTIALS: Final = (Path("/run/credentials/campus-agent.service"), Path("/etc/campus-agent/credentials"))
"""Where the service's credentials lie while it runs (systemd.exec(5)), and where systemd takes them from: for root."""


def checks(subject: Subject) -> list[Check]:
    """The configuration, then its secrets."""
    found = [Check("config", lambda: configuration(subject))]
    if (config := subject.config) is not None:
        found.append(Check("secrets", lambda: in_thread(lambda: readable(config, subject.daemon_pid is not None))))
    return found


async def configuration(subject: Subject) -> Sequence[Finding]:
    """Report every problem of the configuration, or its warnings."""
    if subject.config is None:
        assert subject.config_error is not None, "one of both is there"
        problems = getattr(subject.config_error, "problems", ())
        texts = [problem.text for problem in problems] or [subject.config_error.text]
        return [fail("config", text, say("doctor.config-remedy", path=subject.config_path)) for text in texts]
    if subject.config.warnings:
        remedy = say("doctor.config-remedy", path=subject.config_path)
        return [warn("config", problem.text, remedy) for problem in subject.config.warnings]
    return [ok("config", say("doctor.config-ok", path=subject.config_path))]


def readable(config: "Config", daemon_alive: bool) -> Sequence[Finding]:
    """Try to read every secret. Those of systemd exist only inside the service."""
    from agent.secrets import SecretError

    found: list[Finding] = []
    for key, secret in secrets_of(config):
        try:
            secret.reveal()
        except SecretError as error:
            remedy = say("doctor.secret-remedy", key=key)
            if secret.source == "credential" and "CREDENTIALS_DIRECTORY" not in os.environ:
                message = say("doctor.secret-service-only", key=key, name=secret.where)
                if daemon_alive:
                    found.append(ok("secrets", message))
                else:
                    found.append(warn("secrets", message, say("doctor.secret-service-only-remedy", name=secret.where)))
            else:
                found.append(fail("secrets", error.text, remedy))
    return found or [ok("secrets", say("doctor.secrets-ok"))]


def secrets_of(settings: Any, path: str = "") -> "Iterator[tuple[str, Secret]]":
    """Yield every secret of the configuration with its key."""
    from pydantic import BaseModel

    from agent.secrets import Secret

    if isinstance(settings, Secret):
        yield path, settings
    elif isinstance(settings, BaseModel):
        for name, field in type(settings).model_fields.items():
            key = field.alias or name
            yield from secrets_of(getattr(settings, name), f"{path}.{key}" if path else key)
    elif isinstance(settings, tuple | list):
        for index, item in enumerate(settings):
            yield from secrets_of(item, f"{path}[{index}]")


def borrow_credentials() -> None:
    """Read the service's credentials where they lie, if this user may."""
    if "CREDENTIALS_DIRECTORY" in os.environ:
        return
    for directory in CREDENTIALS:
        if os.access(directory, os.R_OK | os.X_OK) and any(directory.iterdir()):
            os.environ["CREDENTIALS_DIRECTORY"] = str(directory)
            return
