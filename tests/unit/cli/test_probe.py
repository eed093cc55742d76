"""`campus-agent camera probe`: real sockets, and the whole diagnosis as far as it goes."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run
from tests.unit.cli.sims import CONFIG, speaking


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nobody listens on, held so that nobody else takes it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_an_address_is_probed_without_any_configuration(run: Run, tmp_path: Path, closed: int) -> None:
    ran = run("--config", str(tmp_path / "none.toml"), "camera", "probe", "127.0.0.1", "--port", str(closed))
    assert ran.code == 1
    assert "诊断摄像机 127.0.0.1" in ran.out
    assert "失败  网络" in ran.out
    assert "先解决“网络”这一层" in ran.out
    assert ran.err == ""


def test_as_json_it_is_one_object(run: Run, tmp_path: Path, closed: int) -> None:
    ran = run("--config", str(tmp_path / "none.toml"), "camera", "probe", "127.0.0.1", "--port", str(closed), "--json")
    found = json.loads(ran.out)
    assert found["checks"][0]["layer"] == "network"
    assert found["faults"] == ["offline"]
    assert ran.code == 1


def test_a_configured_camera_is_probed_and_a_closed_gate_is_told_first(run: Run, tmp_path: Path, closed: int) -> None:
    camera = f'[[camera]]\nid = "gate"\nname = "校门口"\ndriver = "onvif"\naddress = "127.0.0.1"\nport = {closed}\n'
    with speaking(tmp_path, {"camera": {"id": "gate", "login_closed_s": 1200}}) as config:
        config.write_text(CONFIG.format(folder=tmp_path) + camera, encoding="utf-8")
        ran = run("--config", str(config), "camera", "probe", "gate")
    assert "诊断摄像机 gate (127.0.0.1)" in ran.out
    assert "20 分 0 秒" in ran.err
    assert "Ctrl-C" in ran.err


def test_a_misspelt_id_is_told(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    camera = '[[camera]]\nid = "gate"\nname = "校门口"\ndriver = "onvif"\naddress = "127.0.0.1"\n'
    config.write_text(CONFIG.format(folder=tmp_path) + camera, encoding="utf-8")
    ran = run("--config", str(config), "camera", "probe", "no-such")
    assert ran.code == 1
    assert "（有：gate）" in ran.err


@pytest.mark.parametrize("address", ["http://a:b@127.0.0.1/", ""])
def test_an_address_with_credentials_is_refused(run: Run, tmp_path: Path, address: str) -> None:
    ran = run("--config", str(tmp_path / "none.toml"), "camera", "probe", address)
    assert ran.code == 2
    assert ran.out == ""


def test_an_unknown_driver_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("--config", str(tmp_path / "none.toml"), "camera", "probe", "127.0.0.1", "--driver", "onviff")
    assert ran.code == 1
    assert "onvif" in ran.err


def test_a_password_comes_from_a_file(run: Run, tmp_path: Path, closed: int) -> None:
    words = ("camera", "probe", "127.0.0.1", "--port", str(closed), "--username", "agent")
    good, empty = tmp_path / "good", tmp_path / "empty"
    good.write_text("secret-word\n", encoding="utf-8")
    empty.write_text("", encoding="utf-8")
    ran = run("--config", str(tmp_path / "none.toml"), *words, "--password-file", str(good))
    assert ran.code == 1
    assert "secret-word" not in ran.out + ran.err
    assert run("--config", str(tmp_path / "none.toml"), *words, "--password-file", str(empty)).code == 2
    assert run("--config", str(tmp_path / "none.toml"), *words, "--password-file", str(tmp_path / "none")).code == 1
    assert run("--config", str(tmp_path / "none.toml"), *words).code == 2
