"""What the machine must have: certificates that fit, secrets that are there, lines that are different ones."""

import datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.config.load import ConfigErrors, check_files, load, load_here

SITE = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
"""


def pair(folder: Path, name: str, *, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """A certificate with its key, as a district hands them out."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    cert = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    encryption = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption))
    return cert_file, key_file


def found(folder: Path, text: str) -> dict[str, str]:
    """The problems by key, in Chinese."""
    file = folder / "agent.toml"
    file.write_text(SITE + text, encoding="utf-8")
    return {problem.key: problem.text.render("zh-CN") for problem in check_files(load(file))}


def tls(ca: Path, cert: Path, key: Path) -> str:
    return f"""
        [uplink]
        brokers = ["mqtts://mq.example.cn"]
        [uplink.tls]
        ca = "{ca}"
        cert = "{cert}"
        key = {{ file = "{key}" }}
    """


def test_certificates_that_fit_are_fine(tmp_path: Path) -> None:
    cert, key = pair(tmp_path, "agent")
    assert found(tmp_path, tls(cert, cert, key)) == {}


def test_missing_files_are_all_told(tmp_path: Path) -> None:
    none = tmp_path / "none"
    problems = found(tmp_path, tls(none, none, none))
    assert set(problems) == {"uplink.tls.ca", "uplink.tls.cert", "uplink.tls.key"}
    for text in problems.values():
        assert f"{none}：没有这个文件" in text
        assert "campus-agent 能读取" in text


def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    cert, key = pair(tmp_path, "agent")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert set(found(tmp_path, tls(key, cert, key))) == {"uplink.tls.ca"}
    assert "没有可用的 PEM 证书" in found(tmp_path, tls(broken, cert, key))["uplink.tls.ca"]


def test_the_authorities_of_media_servers_are_looked_for(tmp_path: Path) -> None:
    missing = tmp_path / "none.pem"
    assert set(found(tmp_path, f'[uplink]\nbrokers = ["mqtts://mq.example.cn"]\n[skyeye]\nmedia_ca = "{missing}"')) == {
        "skyeye.media_ca"
    }


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    cert, _ = pair(tmp_path, "agent")
    _, key = pair(tmp_path, "other")
    assert "与证书不是一对" in found(tmp_path, tls(cert, cert, key))["uplink.tls.key"]


def test_a_key_with_a_passphrase_is_told_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    cert, key = pair(tmp_path, "agent", passphrase=b"hunter2")
    assert "带有口令" in found(tmp_path, tls(cert, cert, key))["uplink.tls.key"]


def test_secrets_that_cannot_be_had_are_told_with_their_file(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "cameras.toml").write_text(
        '[[camera]]\nid = "gate"\nname = "G"\ndriver = "onvif"\naddress = "a"\npassword = { env = "CAMPUS_NO_SUCH" }\n'
    )
    text = '[uplink]\nbrokers = ["mqtt://127.0.0.1"]\nusername = "a"\npassword = { file = "/no/such/file" }\n'
    problems = found(tmp_path, text)
    assert set(problems) == {"uplink.password", "camera[0].password"}
    assert problems["camera[0].password"].startswith(f"{tmp_path}/conf.d/cameras.toml：camera[0].password")
    assert "环境变量 CAMPUS_NO_SUCH" in problems["camera[0].password"]


def test_two_names_of_one_port_are_told(tmp_path: Path) -> None:
    real, link = tmp_path / "ttyUSB0", tmp_path / "by-id"
    real.touch()
    link.symlink_to(real)
    buses = "".join(f'[[bus]]\nid = "{n}"\nport = "{port}"\n' for n, port in (("a", real), ("b", link)))
    problems = found(tmp_path, '[uplink]\nbrokers = ["mqtt://127.0.0.1"]\n' + buses)
    assert set(problems) == {"bus[1].port"}
    assert "是同一个设备" in problems["bus[1].port"]


def test_loading_alone_looks_at_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    none = tmp_path / "none"
    file.write_text(SITE + tls(none, none, none), encoding="utf-8")
    assert load(file).uplink.tls is not None
    with pytest.raises(ConfigErrors) as caught:
        load_here(file)
    assert len(caught.value.problems) == 3
