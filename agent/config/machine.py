"""What the configuration needs of the machine: files that must be there, and lines that must be different ones. Apart
from `load`, so that a configuration can be checked on another machine, and that a certificate which is gone does not
keep a school without its buttons, lamps and journal."""

import ssl
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from agent.config.fields import secrets_of
from agent.config.models import Config
from agent.config.problems import KeyPath, Problem
from agent.secrets import SecretError, os_reason
from agent.texts import Text, say

TLS: Final[KeyPath] = ("uplink", "tls")


def check_files(config: Config) -> tuple[Problem, ...]:
    """Look for what is named in `config`; return what is missing or cannot be used. Reads files, changes nothing."""
    return (*_check_tls(config), *_check_media_ca(config), *_check_secrets(config), *_check_ports(config))


def _check_tls(config: Config) -> list[Problem]:
    tls = config.uplink.tls
    if tls is None:
        return []
    problems: list[Problem] = []
    for name, path in (("ca", tls.ca), ("cert", tls.cert)):
        if path is not None and (found := _pem_trouble(path)) is not None:
            problems.append(config.problem((*TLS, name), say("config.pem"), found, say("config.pem-fix", path=path)))
    if tls.key is not None:
        try:
            path = tls.key.path()
        except SecretError as error:
            return [*problems, config.problem((*TLS, "key"), say("config.key-file"), error.text, None)]
        problems += _check_key(config, tls.cert, path, intact=not problems)
    return problems


def _check_media_ca(config: Config) -> list[Problem]:
    path = config.skyeye.media_ca
    if path is None or (found := _pem_trouble(path)) is None:
        return []
    return [config.problem(("skyeye", "media_ca"), say("config.pem"), found, say("config.pem-fix", path=path))]


def _pem_trouble(path: Path) -> Text | None:
    """Why a file is no certificate; None if it is one."""
    try:
        if b"-----BEGIN CERTIFICATE-----" not in path.read_bytes():
            return say("config.pem-none", path=path)
        ssl.create_default_context().load_verify_locations(path)
    except ssl.SSLError:
        return say("config.pem-none", path=path)
    except OSError as error:
        return say("config.path-trouble", path=path, reason=os_reason(error))
    return None


def _check_key(config: Config, cert: Path | None, key: Path, *, intact: bool) -> list[Problem]:
    """The private key: readable, and the one of the certificate."""
    rule = say("config.key-file")
    try:
        key.read_bytes()
        if cert is not None and intact:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
        found = say("config.key-mismatch" if mismatch else "config.key-unusable", path=key)
        return [config.problem((*TLS, "key"), rule, found, say("config.key-fix"))]
    except OSError as error:
        found = say("config.path-trouble", path=key, reason=os_reason(error))
        return [config.problem((*TLS, "key"), rule, found, say("config.pem-fix", path=key))]
    return []


def _check_secrets(config: Config) -> list[Problem]:
    """Every secret can be had. What it is, is forgotten at once. TLS keys are looked at elsewhere."""
    tables: list[tuple[KeyPath, BaseModel]] = [(("uplink",), config.uplink)]
    tables += [(("camera", position), camera) for position, camera in enumerate(config.cameras)]
    tables += [(("device", position), device.settings) for position, device in enumerate(config.devices)]
    problems: list[Problem] = []
    for at, table in tables:
        for place, secret in secrets_of(table, at):
            if place[:2] == TLS:
                continue
            try:
                secret.reveal()
            except SecretError as error:
                problems.append(config.problem(place, say("config.secret-there"), error.text, None))
    return problems


def _check_ports(config: Config) -> list[Problem]:
    """Two buses whose names lead to one device: /dev/ttyUSB0 and its name in /dev/serial/by-id. A port that is not
    there is no problem here: it may be plugged in later, and the bus then opens it."""
    first: dict[Path, str] = {}
    problems: list[Problem] = []
    for position, bus in enumerate(config.buses):
        if not bus.port.startswith("/"):
            continue
        real = Path(bus.port).resolve()
        if real in first:
            found = say("config.same-port", port=bus.port, other=first[real], real=real)
            problems.append(
                config.problem(("bus", position, "port"), say("config.port-once"), found, say("config.port-share"))
            )
        first.setdefault(real, bus.port)
    return problems
