"""The configuration that is written: it loads, names what was found, and leaves alone what is there."""

import tomllib
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent.camera import Channel
from agent.config.load import load
from agent.config.models import Config
from agent.skyeye.discovery import Entry, Found, to_toml

MAIN = """
[site]
district = "370812"
school = "sy-primary"
name = "实验小学"
[uplink]
brokers = ["mqtt://127.0.0.1:1883"]
"""
ONE = Found("192.168.1.64", 80, "multicast", name="HIKVISION DS-2CD2032-I", hardware="DS-2CD2032-I", maker="Hikvision")
CHANNELS = (Channel(1, "s1", "校门口"), Channel(2, "s2", ""))


def loaded(folder: Path, text: str) -> Config:
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "agent.toml").write_text(MAIN, encoding="utf-8")
    (folder / "conf.d" / "cameras.toml").write_text(text, encoding="utf-8")
    return load(folder / "agent.toml")


def test_what_is_written_is_what_the_agent_loads(tmp_path: Path) -> None:
    found = [
        Entry(ONE),
        Entry(replace(ONE, address="192.168.1.65", port=8899, name="gate-east", hardware="IPC-model")),
        Entry(Found("192.168.1.66", 554, "rtsp", name=None)),
        Entry(replace(ONE, address="192.168.1.200", name="NVR"), CHANNELS, username="agent"),
    ]
    made = to_toml(found)
    config = loaded(tmp_path, made.text)
    assert [camera.id for camera in config.cameras] == list(made.ids)
    assert made.ids == (
        "cam-192-168-1-64",
        "gate-east",
        "cam-192-168-1-66",
        "cam-192-168-1-200-ch1",
        "cam-192-168-1-200-ch2",
    )
    assert [camera.driver for camera in config.cameras] == ["onvif", "onvif", "rtsp", "onvif", "onvif"]
    assert config.cameras[1].settings.port == 8899  # type: ignore[attr-defined]  # an Onvif
    assert [camera.settings.channel for camera in config.cameras[3:]] == [1, 2]  # type: ignore[attr-defined]  # as above
    assert [camera.name for camera in config.cameras[3:]] == ["校门口", "NVR"]
    assert config.cameras[3].username == "agent"
    assert config.warnings == ()


def test_once_its_comments_are_removed_the_password_has_a_source(tmp_path: Path) -> None:
    text = to_toml([Entry(ONE)]).text.replace("# username", "username").replace("# password", "password")
    (camera,) = loaded(tmp_path, text).cameras
    assert str(camera.password) == "credential:camera-cam-192-168-1-64"


def test_what_is_there_stays_to_the_last_byte(tmp_path: Path) -> None:
    before = (
        to_toml([Entry(ONE)]).text + '\n# by hand\n[[camera]]\nid="x"\nname="y"\ndriver="onvif"\naddress="10.0.0.1"'
    )
    made = to_toml([Entry(replace(ONE, address="192.168.1.65"))], before)
    assert made.text.startswith(before)
    assert [camera.id for camera in loaded(tmp_path, made.text).cameras] == [
        "cam-192-168-1-64",
        "x",
        "cam-192-168-1-65",
    ]


def test_ids_are_used_once() -> None:
    made = to_toml([Entry(ONE)], taken=["cam-192-168-1-64", "cam-192-168-1-64-2"])
    assert made.ids == ("cam-192-168-1-64-3",)
    same = [replace(ONE, name="gate", hardware=None, address=f"10.0.0.{n}") for n in (1, 2)]
    assert to_toml([Entry(one) for one in same]).ids == ("cam-10-0-0-1", "cam-10-0-0-2")


def test_comments_are_in_both_languages() -> None:
    text = to_toml([Entry(ONE)]).text
    for word in ("密码", "password", "安装位置", "where it hangs"):
        assert word in text


words = st.none() | st.text(max_size=120)


@given(
    st.lists(
        st.builds(
            Found,
            st.just("10.0.0.1"),
            st.integers(1, 65535),
            st.just("multicast"),
            name=words,
            hardware=words,
            maker=words,
            location=words,
        ),
        max_size=3,
    ),
    st.lists(st.text(), max_size=3),
)
def test_any_words_of_devices_make_valid_configuration(found: list[Found], names: list[str]) -> None:
    channels = tuple(Channel(number, "s", name) for number, name in enumerate(names, 1))
    made = to_toml([Entry(one, channels) for one in found])
    tables = tomllib.loads(made.text).get("camera", [])
    assert [table["id"] for table in tables] == list(made.ids)
    assert len({*made.ids}) == len(made.ids)
    for table in tables:
        assert set(table) <= {"id", "name", "driver", "address", "port", "channel", "path"}
        assert 0 < len(table["name"]) <= 100
        assert len(table["id"]) <= 64
