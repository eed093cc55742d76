"""A real mosquitto for tests: own port, own directory, started, stopped, killed and started again.

with Broker(tmp_path) as broker: ...                      # anonymous, plain
Broker(tmp_path, acl="user agent\\ntopic readwrite #\\n", users={"agent": "secret"})
Broker(tmp_path, tls=make_authority(tmp_path), client_certificates=True)
"""

import datetime as dt
import ipaddress
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MOSQUITTO: Final = "/usr/sbin/mosquitto"
START_TIMEOUT_S: Final = 30.0
DAY: Final = dt.timedelta(days=1)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Broker:
    """One mosquitto. `persistent` keeps sessions and retained messages over a restart, in `directory`."""

    directory: Path
    port: int = field(default_factory=free_port)
    users: Mapping[str, str] = field(default_factory=dict)
    """Names and passwords; empty: anybody."""
    acl: str | None = None
    tls: "Authority | None" = None
    client_certificates: bool = False
    persistent: bool = False
    message_size_limit: int | None = None
    max_packet_size: int | None = None
    max_keepalive: int | None = None
    receive_maximum: int | None = None
    extra: str = ""
    """More lines of mosquitto.conf(5)."""
    whole_config: str | None = None
    """All of mosquitto.conf, in place of what the fields above say."""
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """As `uplink.brokers` names it."""
        return f"{'mqtts' if self.tls else 'mqtt'}://127.0.0.1:{self.port}"

    @property
    def log_file(self) -> Path:
        return self.directory / "mosquitto.log"

    @property
    def log(self) -> str:
        """What the broker has logged, over all its starts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> Self:
        """Start, and return when it accepts connections."""
        assert not self.running, "the broker is running already"
        self.directory.mkdir(parents=True, exist_ok=True)
        config = self._write_config()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([MOSQUITTO, "-v", "-c", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(f"mosquitto ended at once: {self.log[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return self
        self.kill()
        raise RuntimeError(f"mosquitto does not listen on {self.port}: {self.log[-2000:]}")

    def stop(self) -> None:
        """SIGTERM: it says goodbye and saves what it keeps."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: everything since its last autosave is gone."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it accepts bytes and says nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reload(self) -> None:
        """SIGHUP: read users and ACL again, after `acl` was changed here."""
        assert self._process is not None
        self._write_config()
        self._process.send_signal(signal.SIGHUP)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)  # a frozen one would not see a SIGTERM
            self._process.send_signal(number)
        self._process.wait(START_TIMEOUT_S)
        self._process = None

    def _write_config(self) -> Path:
        path = self.directory / "mosquitto.conf"
        if self.whole_config is not None:
            path.write_text(self.whole_config)
            return path
        lines = [
            f"listener {self.port} 127.0.0.1",
            "user root",
            "connection_messages true",
            "log_type all",
            "max_queued_messages 0",  # a slow subscriber of a test shall lose nothing
            f"allow_anonymous {'false' if self.users else 'true'}",
        ]
        if self.users:
            passwords = self.directory / "passwords"
            passwords.write_text("".join(f"{name}:{word}\n" for name, word in self.users.items()))
            subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True, capture_output=True)
            lines.append(f"password_file {passwords}")
        if self.acl is not None:
            acl = self.directory / "acl"
            acl.write_text(self.acl)
            acl.chmod(0o600)
            lines.append(f"acl_file {acl}")
        if self.tls:
            lines += [f"cafile {self.tls.ca}", f"certfile {self.tls.cert}", f"keyfile {self.tls.key}"]
            lines.append(f"require_certificate {'true' if self.client_certificates else 'false'}")
        if self.persistent:
            lines += ["persistence true", f"persistence_location {self.directory}/"]
        limits = {
            "message_size_limit": self.message_size_limit,
            "max_packet_size": self.max_packet_size,
            "max_keepalive": self.max_keepalive,
            "max_inflight_messages": self.receive_maximum,
        }
        lines += [f"{name} {value}" for name, value in limits.items() if value is not None]
        path.write_text("\n".join([*lines, self.extra, ""]))
        return path


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the tests, and one server certificate that it signed."""

    directory: Path
    _name: x509.Name
    _key: ec.EllipticCurvePrivateKey

    @property
    def ca(self) -> Path:
        return self.directory / "ca.pem"

    @property
    def cert(self) -> Path:
        return self.directory / "server.pem"

    @property
    def key(self) -> Path:
        return self.directory / "server.key"

    def issue(self, name: str, *, hosts: tuple[str, ...] = (), start_days: int = -1, end_days: int = 30) -> None:
        """Write `{name}.pem` and `{name}.key`, valid from and to so many days from now."""
        now = dt.datetime.now(dt.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start_days * DAY)
            .not_valid_after(now + end_days * DAY)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName([general_name(h) for h in hosts]), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        (self.directory / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        write_key(self.directory / f"{name}.key", key)


def make_authority(
    directory: Path, *, hosts: tuple[str, ...] = ("127.0.0.1", "localhost"), start_days: int = -1, end_days: int = 30
) -> Authority:
    """Make an authority in `directory` with a server certificate for `hosts`."""
    directory.mkdir(parents=True, exist_ok=True)
    now = dt.datetime.now(dt.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"test authority {directory.name}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * DAY)
        .not_valid_after(now + 400 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    authority = Authority(directory, name, key)
    authority.ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    authority.issue("server", hosts=hosts, start_days=start_days, end_days=end_days)
    return authority


def general_name(host: str) -> x509.GeneralName:
    """An address or a name, as a certificate holds it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    """Write a private key as unencrypted PEM, for its owner only."""
    raw = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(raw)
    path.chmod(0o600)
