"""Secrets: had where they are used, and shown nowhere."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.load import load
from agent.config.models import UplinkSettings
from agent.secrets import CREDENTIALS_ENV, SECRET_MAX_BYTES, Secret, SecretError
from agent.units import BadSetting

WORD = "hunter2-Gehe1m"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "mqtt-password"
    path.write_text(f"{WORD}\n", encoding="utf-8")
    return path


def test_a_file_is_read_without_its_line_end(secret_file: Path) -> None:
    assert Secret.parse({"file": str(secret_file)}).reveal() == WORD


def test_a_file_is_read_anew_each_time(secret_file: Path) -> None:
    secret = Secret.parse({"file": str(secret_file)})
    assert secret.reveal() == WORD
    secret_file.write_text("new", encoding="utf-8")
    assert secret.reveal() == "new"


def test_a_credential_is_read_from_systemds_folder(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CREDENTIALS_ENV, str(secret_file.parent))
    assert Secret.parse({"credential": "mqtt-password"}).reveal() == WORD


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_TEST_SECRET", WORD)
    assert Secret.parse({"env": "CAMPUS_TEST_SECRET"}).reveal() == WORD


def test_a_literal_is_taken() -> None:
    assert Secret.parse(WORD).reveal() == WORD


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff" + WORD.encode(), "not UTF-8"),
        (b"x" * (SECRET_MAX_BYTES + 1), "larger"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused_without_showing_it(
    secret_file: Path, content: bytes, reason: str
) -> None:
    secret_file.write_bytes(content)
    with pytest.raises(SecretError, match=reason) as caught:
        Secret.parse({"file": str(secret_file)}).reveal()
    assert WORD not in f"{caught.value!r} {caught.value.__context__!r}"
    assert caught.value.text.render("zh-CN")


def test_a_missing_secret_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAMPUS_TEST_SECRET", raising=False)
    monkeypatch.delenv(CREDENTIALS_ENV, raising=False)
    path = tmp_path / "none"
    for secret, chinese, english in (
        (Secret.parse({"file": str(path)}), f"无法读取密钥文件 {path}：没有这个文件", "there is no such file"),
        (Secret.parse({"file": str(tmp_path)}), "这是一个目录", "it is a folder"),
        (Secret.parse({"env": "CAMPUS_TEST_SECRET"}), "环境变量 CAMPUS_TEST_SECRET", "environment variable"),
        (Secret.parse({"credential": "no-such-one"}), "找不到凭据 no-such-one", "the credential no-such-one"),
    ):
        with pytest.raises(SecretError) as caught:
            secret.reveal()
        assert chinese in caught.value.text.render("zh-CN")
        assert english in caught.value.text.render("en")


def test_only_a_secret_in_a_file_has_a_path(secret_file: Path) -> None:
    assert Secret.parse({"file": str(secret_file)}).path() == secret_file
    with pytest.raises(SecretError):
        Secret.parse(WORD).path()


def test_nothing_shows_a_literal() -> None:
    secret = Secret.parse(WORD)
    uplink = UplinkSettings(brokers=("mqtt://127.0.0.1",), password=secret)
    shown = f"{secret} {secret!r} {uplink} {uplink!r} {uplink.model_dump_json()} {uplink.model_dump(mode='json')}"
    assert WORD not in shown
    assert json.loads(uplink.model_dump_json())["password"] == "literal"


def test_a_loaded_configuration_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(
        f"""
        [site]
        district = "370812"
        school = "a"
        name = "A"
        [uplink]
        brokers = ["mqtt://127.0.0.1"]
        username = "a"
        password = "{WORD}"
        [[camera]]
        id = "c"
        name = "C"
        driver = "onvif"
        address = "10.0.0.9"
        password = "{WORD}"
        """,
        encoding="utf-8",
    )
    config = load(file)
    assert config.uplink.password is not None
    assert config.uplink.password.reveal() == WORD
    data = json.dumps([config.as_data(), [warning.as_data() for warning in config.warnings]])
    assert WORD not in f"{config} {config!r} {data} {config.model_dump_json()}"


@given(
    st.one_of(
        st.text(min_size=1).map(lambda word: WORD + word),
        st.dictionaries(
            st.sampled_from(["file", "credential", "env", "value", WORD]), st.just(f"{WORD} /"), max_size=3
        ),
        st.lists(st.just(WORD)),
        st.integers(),
    )
)
def test_a_refused_source_never_shows_what_was_written(value: object) -> None:
    try:
        Secret.parse(value)
    except BadSetting as error:
        shown = f"{error!r} {error} {error.text.render('zh-CN')} {error.found}"
    else:
        shown = repr(Secret.parse(value))
    assert WORD not in shown
