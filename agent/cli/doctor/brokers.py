"""Brokers, step by step, and the certificates on both sides."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agent.cli.doctor import judge
from agent.cli.doctor.finding import Check, Finding, fail, ok, warn
from agent.cli.doctor.runner import in_thread
from agent.cli.doctor.subject import Subject
from agent.texts import say

if TYPE_CHECKING:
    from agent.config.models import Broker, Config
    from agent.uplink.probe import Probe, Step

PROBE_S: Final = 45.0
"""The sum of what the uplink allows for a look-up, TCP, TLS, login and an acknowledgement."""


def checks(subject: Subject) -> list[Check]:
    """One check per broker, and one for our own certificates."""
    config = subject.config
    if config is None:
        return []
    found = [
        Check(f"broker {broker}", partial(one_broker, broker, config), PROBE_S) for broker in config.uplink.brokers
    ]
    if config.uplink.tls:
        found.append(Check("certificate", lambda: in_thread(lambda: our_certificates(config))))
    return found


async def one_broker(broker: "Broker", config: "Config") -> Sequence[Finding]:
    """Probe one broker."""
    from agent.clock import SystemClock
    from agent.uplink.probe import probe

    clock = SystemClock(config.site.timezone)
    found = await probe(broker, config.uplink, config.site.site, clock)
    return judge_probe(found, clock.wall())


def judge_probe(probe: "Probe", now: datetime) -> list[Finding]:
    """Judge every step of a probe. Pure, but for reading the certificate's dates."""
    found = [judge_step(step, probe) for step in probe.steps]
    if probe.certificate:
        from cryptography import x509

        certificate = x509.load_der_x509_certificate(probe.certificate)
        name = f"broker-certificate {probe.broker}"
        dates = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        found.append(judge.certificate(name, probe.broker, *dates, now))
    return found


def judge_step(step: "Step", probe: "Probe") -> Finding:
    """Judge one step."""
    name = f"broker-{step.name} {probe.broker}"
    if step.error is not None:
        return fail(name, step.error, say(f"doctor.step-{step.name}-remedy"))
    if step.name == "publish" and probe.protocol == "3.1.1":
        message = say("doctor.publish-unknown", ms=round(step.ms or 0, 1))
        return warn(name, message, say("doctor.publish-unknown-remedy"))
    message = say(f"doctor.step-{step.name}", broker=probe.broker, topic=step.topic or "-", protocol=probe.protocol)
    if step.ms is not None:
        message = say("doctor.took", what=message, ms=round(step.ms, 1))
    return ok(name, message)


def our_certificates(config: "Config") -> Sequence[Finding]:
    """Read our certificate and the CA's, judge their dates, and whether the key is that of the certificate."""
    from agent.clock import SystemClock

    tls = config.uplink.tls
    assert tls is not None, "asked only with [uplink.tls]"
    now = SystemClock(config.site.timezone).wall()
    found: list[Finding] = []
    for name, path in (("certificate", tls.cert), ("ca", tls.ca)):
        if path is not None:
            found += certificate_file(name, path, now)
    if tls.cert is not None and tls.key is not None and not any(finding.level == "fail" for finding in found):
        found += key_fits(tls.cert, tls.key_path())
    return found


def certificate_file(name: str, path: Path, now: datetime) -> list[Finding]:
    """Judge the certificates in a PEM file: of a CA bundle only the one that ends first."""
    from cryptography import x509

    try:
        certificates = x509.load_pem_x509_certificates(path.read_bytes())
    except (ValueError, OSError) as error:
        message = say("doctor.certificate-unreadable", path=path, error=str(error))
        return [fail(name, message, say("doctor.certificate-unreadable-remedy", path=path))]
    first = certificates[0] if name == "certificate" else min(certificates, key=lambda c: c.not_valid_after_utc)
    return [judge.certificate(name, str(path), first.not_valid_before_utc, first.not_valid_after_utc, now)]


def key_fits(cert: Path, key: Path | None) -> list[Finding]:
    """Compare the public keys of a certificate and a private key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

    name = "certificate-key"
    if key is None:
        return []
    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        message = say("doctor.certificate-unreadable", path=key, error=str(error))
        return [fail(name, message, say("doctor.certificate-unreadable-remedy", path=key))]
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    wanted = x509.load_pem_x509_certificate(cert.read_bytes()).public_key().public_bytes(*form)
    if private.public_key().public_bytes(*form) != wanted:
        message = say("doctor.key-mismatch", cert=cert, key=key)
        return [fail(name, message, say("doctor.key-mismatch-remedy"))]
    return [ok(name, say("doctor.key-fits"))]
