"""No secret gets through, whatever form it has and wherever it stands."""

import base64
import json
import tomllib
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.cli.scrub import MARK, Scrubber, literals, scrub_toml

secrets = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=6, max_size=40).filter(
    lambda s: len(s.strip()) > 5
)


@given(secrets, st.text(max_size=20), st.text(max_size=20))
@example('pa"ss\\word', "", "")
@example("密码六个汉字", "x", "y")
def test_no_form_of_a_secret_survives(secret: str, before: str, after: str) -> None:
    scrub = Scrubber([secret]).scrub
    for form in (
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        secret.encode().hex(),
    ):
        scrubbed = scrub((before + "|" + form + "|" + after).encode("utf-8", "replace"))
        assert form.encode() not in scrubbed.replace(MARK.encode(), b"")


@given(secrets, st.binary(max_size=12), st.binary(max_size=12))
def test_base64_of_a_secret_does_not_survive_at_any_alignment(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after)
    scrubbed = Scrubber([secret]).scrub(b"authorization: " + encoded)
    assert MARK.encode() in scrubbed
    assert encoded not in scrubbed


@given(secrets)
def test_what_was_scrubbed_holds_no_secret(secret: str) -> None:
    scrubber = Scrubber([secret])
    data = f"a {secret} b".encode()
    assert scrubber.holds(data)
    assert MARK in secret or not scrubber.holds(scrubber.scrub(data))


def test_a_short_secret_is_taken_out_as_a_word_only() -> None:
    assert Scrubber(["12"]).scrub(b"pin 12, port 1234") == b"pin ***, port 1234"


def test_a_secret_that_is_part_of_another_leaves_no_rest() -> None:
    assert Scrubber(["hunter", "hunter2-long"]).scrub(b"hunter2-long hunter") == b"*** ***"


def test_without_secrets_nothing_changes() -> None:
    assert Scrubber(["", ""]).scrub(b"plain") == b"plain"


CONFIG = '''
[uplink]
brokers = ["mqtt://admin:topsecret1@mq1.example.cn", "mqtts://mq2.example.cn"]
username = "370812-sy-primary"
password = "topsecret2"      # was "topsecret3"? no: password = "topsecret3"
# password = 'topsecret4'
[uplink.tls]
key = { credential = "agent-key" }
[[device]]
id = "panel"
access_token = """topsecret5
topsecret6"""
"api-key" = "topsecret7"
pin = 908070
settings = { password = "topsecret8", unit = 1 }
password = { file = "/etc/campus-agent/password" }
passphrase = { value = "topsecret9" }
tokens = 3
'''


def test_literals_are_taken_out_of_a_configuration_by_their_place() -> None:
    scrubbed = scrub_toml(CONFIG)
    assert "topsecret" not in scrubbed
    assert "908070" not in scrubbed


def test_what_is_no_secret_stays() -> None:
    scrubbed = scrub_toml(CONFIG)
    assert '{ credential = "agent-key" }' in scrubbed
    assert '{ file = "/etc/campus-agent/password" }' in scrubbed
    assert 'username = "370812-sy-primary"' in scrubbed
    assert "mqtts://mq2.example.cn" in scrubbed
    assert "tokens = 3" in scrubbed
    assert "unit = 1" in scrubbed


def test_a_scrubbed_configuration_still_reads_as_toml() -> None:
    valid = CONFIG.replace('password = { file = "/etc/campus-agent/password" }\n', "")
    tomllib.loads(valid)
    assert tomllib.loads(scrub_toml(valid))["uplink"]["password"] == MARK


def test_literals_are_known_for_the_other_files() -> None:
    found = literals(CONFIG)
    assert {"topsecret2", "topsecret4", "topsecret7", "topsecret8", "908070", "topsecret1"} <= found
    assert "topsecret5\ntopsecret6" in found
    assert "agent-key" not in found


@pytest.mark.parametrize(
    "broken",
    [
        'password = "topsecret',
        'password = "top\\"secret" extra',
        "password=topsecret",
        'password : "x"\npassword = "topsecret"',
        'PASSWORD = "topsecret"',
        'mqtt_password="topsecret"',
    ],
)
def test_a_broken_file_is_scrubbed_too(broken: str) -> None:
    assert "secret" not in scrub_toml(broken)


@given(st.text(max_size=300))
def test_scrubbing_never_fails(text: str) -> None:
    scrub_toml(text)
    literals(text)
