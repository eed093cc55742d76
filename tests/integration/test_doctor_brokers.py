"""The doctor at real brokers: each thing that can be wrong is found at its own step."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from agent.cli.doctor.brokers import judge_probe, key_fits, our_certificates
from agent.cli.doctor.finding import Finding
from agent.clock import SystemClock
from agent.config.load import load
from agent.config.models import Config
from agent.uplink.probe import probe
from tests.sims.broker import Authority, Broker, free_port, make_authority

ZONE: Final = "Asia/Shanghai"
ROOT: Final = "campus/v1/370812/sy-primary"


@dataclass
class Case:
    """One broker and the configuration that leads to it."""

    folder: Path
    url: str
    more: str = ""
    tls: str = ""
    findings: list[Finding] = field(default_factory=list)

    def config(self) -> Config:
        text = f"""
        [site]
        district = "370812"
        school = "sy-primary"
        name = "x"
        [journal]
        path = "{self.folder}/journal.db"
        [uplink]
        brokers = ["{self.url}"]
        {self.more}
        {self.tls}
        """
        path = self.folder / "agent.toml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(path)

    async def levels(self) -> dict[str, str]:
        """Probe; return the worst level of each step."""
        config, clock = self.config(), SystemClock(ZONE)
        found = await probe(config.uplink.brokers[0], config.uplink, config.site.site, clock)
        self.findings = judge_probe(found, clock.wall())
        levels: dict[str, str] = {}
        for finding in self.findings:
            name = finding.name.split()[0].removeprefix("broker-")
            levels[name] = finding.level if levels.get(name) != "fail" else "fail"
            assert finding.message.render("zh-CN")
            assert finding.message.render("en")
        return levels


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "authority")


def tls_of(authority: Authority) -> str:
    return f'[uplink.tls]\n        ca = "{authority.ca}"'


async def test_a_good_broker_passes_every_step(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        levels = await Case(tmp_path, broker.url).levels()
        assert levels == {"dns": "ok", "tcp": "ok", "login": "ok", "subscribe": "ok", "publish": "ok"}
        assert "campus-370812-sy-primary-doctor" in broker.log, "it must not take over the daemon's session"


async def test_nobody_listens(tmp_path: Path) -> None:
    assert await Case(tmp_path, f"mqtt://127.0.0.1:{free_port()}").levels() == {"dns": "ok", "tcp": "fail"}


async def test_the_name_does_not_resolve(tmp_path: Path) -> None:
    assert await Case(tmp_path, "mqtt://broker.invalid").levels() == {"dns": "fail"}


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    acl = f"user agent\ntopic read {ROOT}/command/#\ntopic write {ROOT}/status\n"
    with Broker(tmp_path / "broker", users={"agent": "right-password"}, acl=acl) as broker:
        yield broker


async def test_a_wrong_password_fails_at_login(tmp_path: Path, guarded: Broker) -> None:
    case = Case(tmp_path, guarded.url, 'username = "agent"\n        password = "wrong-password"')
    assert (await case.levels())["login"] == "fail"
    assert all("wrong-password" not in finding.message.render("en") for finding in case.findings)


async def test_missing_rights_are_found_one_by_one(tmp_path: Path, guarded: Broker) -> None:
    case = Case(tmp_path, guarded.url, 'username = "agent"\n        password = "right-password"')
    levels = await case.levels()
    assert (levels["login"], levels["publish"]) == ("ok", "fail")
    refused = [f for f in case.findings if f.level == "fail"]
    assert any("reply/doctor-" in finding.message.render("en") for finding in refused)


async def test_a_password_that_cannot_be_read_fails_at_login(tmp_path: Path) -> None:
    with Broker(tmp_path / "broker") as broker:
        secret = tmp_path / "password"
        secret.write_text("x", encoding="utf-8")
        case = Case(tmp_path, broker.url, f'username = "agent"\n        password = {{ file = "{secret}" }}')
        config = case.config()
        secret.unlink()
        found = await probe(config.uplink.brokers[0], config.uplink, config.site.site, SystemClock(ZONE))
    assert found.steps[-1].name == "login"
    assert found.steps[-1].error is not None


async def test_tls_is_verified_and_the_certificates_end_is_told(tmp_path: Path, authority: Authority) -> None:
    with Broker(tmp_path / "broker", tls=authority) as broker:
        levels = await Case(tmp_path, broker.url, tls=tls_of(authority)).levels()
    assert (levels["tls"], levels["login"]) == ("ok", "ok")
    assert levels["certificate"] == "warn"  # the test's certificate lives for 30 days


async def test_a_broker_of_another_authority_fails_at_tls(tmp_path: Path, authority: Authority) -> None:
    other = make_authority(tmp_path / "other")
    with Broker(tmp_path / "broker", tls=other) as broker:
        assert await Case(tmp_path, broker.url, tls=tls_of(authority)).levels() == {
            "dns": "ok",
            "tcp": "ok",
            "tls": "fail",
        }


async def test_an_expired_broker_fails_at_tls(tmp_path: Path) -> None:
    old = make_authority(tmp_path / "old", start_days=-30, end_days=-1)
    with Broker(tmp_path / "broker", tls=old) as broker:
        assert (await Case(tmp_path, broker.url, tls=tls_of(old)).levels())["tls"] == "fail"


async def test_a_broker_without_tls_fails_at_tls(tmp_path: Path, authority: Authority) -> None:
    with Broker(tmp_path / "broker") as broker:
        url = broker.url.replace("mqtt://", "mqtts://")
        assert (await Case(tmp_path, url, tls=tls_of(authority)).levels())["tls"] == "fail"


def client_tls(authority: Authority, cert: str, key: str) -> str:
    folder = authority.directory
    return f'{tls_of(authority)}\n        cert = "{folder}/{cert}.pem"\n        key = {{ file = "{folder}/{key}.key" }}'


def own_levels(case: Case) -> dict[str, str]:
    return {finding.name: finding.level for finding in our_certificates(case.config())}


def test_our_own_certificates_are_judged(tmp_path: Path, authority: Authority) -> None:
    for name, days in (("long", 300), ("short", 10), ("old", -1)):
        authority.issue(name, start_days=-20, end_days=days)
    long = Case(tmp_path, "mqtts://127.0.0.1", tls=client_tls(authority, "long", "long"))
    assert own_levels(long) == {"certificate": "ok", "ca": "ok", "certificate-key": "ok"}
    short = Case(tmp_path, "mqtts://127.0.0.1", tls=client_tls(authority, "short", "short"))
    assert own_levels(short)["certificate"] == "warn"


def test_a_key_of_another_certificate_is_found(tmp_path: Path, authority: Authority) -> None:
    authority.issue("one", end_days=300)
    authority.issue("two", end_days=300)
    (finding,) = key_fits(authority.directory / "one.pem", authority.directory / "two.key")
    assert finding.level == "fail"
