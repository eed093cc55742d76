"""Loading as a whole: the example, several files, files that cannot be read, and whatever else may be written."""

import inspect
import os
import re
import tempfile
import tomllib
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_core.core_schema import ErrorType

from agent.config.checks import check_general
from agent.config.checks_field import check_field
from agent.config.documents import _REASONS, parse
from agent.config.fields import keys_of
from agent.config.load import ConfigErrors, load
from agent.config.merge import merge
from agent.config.models import ConsoleSettings, PointSettings
from agent.config.problems import Problem, dotted
from agent.config.report import Report
from agent.config.rules import rule_of
from agent.config.sections import ARRAYS, TABLES, read_sections
from agent.texts import Language
from drivers.modbus_io import ModbusIo

LANGUAGES: tuple[Language, ...] = ("zh-CN", "en")
ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "config" / "agent.toml"
GOOD = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[uplink]
brokers = ["mqtt://127.0.0.1"]
"""


def write(folder: Path, text: str | bytes, name: str = "agent.toml") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    return caught.value.problems


def test_the_example_loads_without_a_warning() -> None:
    config = load(EXAMPLE)
    assert config.warnings == ()
    assert config.sources == (EXAMPLE,)
    assert config.site.site.root == "campus/v1/370812/sy-primary"
    assert [str(broker) for broker in config.uplink.brokers] == [
        *("mqtts://mq1.example.cn:8883", "mqtts://mq2.example.cn:8883")
    ]
    (device,) = config.devices
    assert device.settings.name == "modbus-io"
    assert [(point.id, point.kind, point.input, point.lamp) for point in device.points] == [
        ("panic", "panic", 0, 0),
        ("gate-door", "door", 1, None),
    ]


def test_what_the_example_says_of_defaults_is_so() -> None:
    """Every key behind a # is the default, or has one of the values that are explained beside it."""
    text = EXAMPLE.read_text(encoding="utf-8")
    written = re.sub(r"(?m)^( *)# (?=[a-z_]+ = )", r"\1", text)
    assert written != text
    optional = ("gb_id", "lamp_means", "allow", "actors", "socket")
    lines = [line for line in written.splitlines() if not line.strip().startswith(optional)]
    spelled_out = load_text("\n".join(lines))
    assert spelled_out["config"] == load_text(text)["config"]


def load_text(text: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        data = load(write(Path(folder), text)).as_data()
    return {"config": {key: value for key, value in data.items() if key != "sources"}}


def test_defaults_are_those_of_the_design(tmp_path: Path) -> None:
    config = load(write(tmp_path, GOOD))
    assert config.site.timezone == "Asia/Shanghai"
    assert config.site.language == "zh-CN"
    assert config.journal.path == Path("/var/lib/campus-agent/journal.db")
    assert (config.journal.max_size_bytes, config.journal.keep_s) == (1 << 30, 180 * 86_400)
    assert config.uplink.receipts is True
    assert (config.uplink.ack_timeout_s, config.uplink.receipt_timeout_s, config.uplink.keepalive_s) == (15, 10, 30)
    assert config.uplink.client_id == "campus-370812-sy-primary"
    assert config.uplink.lamp_means == "acknowledged"
    assert config.console is None
    console = ConsoleSettings()
    assert (console.host, console.port) == ("127.0.0.1", 8080)
    assert config.control.socket is None
    assert str(config.uplink.brokers[0]) == "mqtt://127.0.0.1:1883"


def test_a_byte_order_mark_and_dos_line_ends_are_taken(tmp_path: Path) -> None:
    assert load(write(tmp_path, b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())).site.school == "sy-primary"


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "none.toml")
    assert problem.text.render("zh-CN") == (
        f"{tmp_path}/none.toml：应为：存在的配置文件（没有找到）。"
        "请检查路径，或用 --config 指定文件；新装的机器可从示例 config/agent.toml 改起"
    )
    assert problem.text.render("en").startswith(f"{tmp_path}/none.toml: expected: an existing configuration file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    path.chmod(0)
    (problem,) = problems(path)
    assert "没有读取权限" in problem.text.render("zh-CN")


def test_a_folder_in_place_of_a_file_is_told(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path)
    assert "这是一个目录" in problem.text.render("zh-CN")
    (tmp_path / "conf.d").mkdir()
    write(tmp_path, GOOD)
    (tmp_path / "conf.d" / "a.toml").mkdir()
    (problem,) = problems(tmp_path / "agent.toml")
    assert problem.file == tmp_path / "conf.d" / "a.toml"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, b"#" * (5 << 20)))
    assert "4194304" in problem.text.render("en")


def test_files_of_the_folder_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    for name in ("20", "10", "30"):
        write(tmp_path / "conf.d", f'[uplink]\nbrokers = ["mqtt://host-{name}"]\n', f"{name}.toml")
    write(tmp_path / "conf.d", "not toml", "10.toml.bak")
    write(tmp_path / "conf.d", "not toml", ".10.toml")
    config = load(path)
    assert [broker.host for broker in config.uplink.brokers] == ["127.0.0.1", "host-10", "host-20", "host-30"]
    assert config.sources == (path, *(tmp_path / "conf.d" / f"{n}.toml" for n in (10, 20, 30)))


def test_a_part_is_found_in_the_file_that_has_it() -> None:
    one, two = Path("one"), Path("two")
    merged = merge([(one, {"a": {"x": 1}, "l": [{"k": 1}]}), (two, {"a": {"y": 2}, "l": [{"k": 2}, {"k": 3}]})])
    assert merged.data == {"a": {"x": 1, "y": 2}, "l": [{"k": 1}, {"k": 2}, {"k": 3}]}
    assert merged.locate(("a", "y")) == (two, ("a", "y"))
    assert merged.locate(("l", 2, "k")) == (two, ("l", 1, "k"))
    assert merged.locate(("a", "missing")) == (one, ("a", "missing"))
    assert merged.locate(("none",)) == (one, ("none",))
    assert dotted(("l", 1, "k", "deep", 0)) == "l[1].k.deep[0]"


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_every_error_of_pydantic_has_our_words(kind: str) -> None:
    contexts: list[dict[str, Any]] = [{}, {"ge": 1, "gt": 1, "le": 1, "lt": 1, "min_length": 2, "max_length": 2}]
    for context in contexts:
        for value in ("15s", "1MiB", 5, None):
            text = rule_of({"type": kind, "ctx": context, "msg": "Input should be"}, value)
            for language in LANGUAGES:
                said = text.render(language)
                assert said
                assert "Input" not in said


def test_every_message_of_tomllib_has_our_words() -> None:
    """The messages as tomllib's source has them, so that a new Python shows what is missing."""
    source = inspect.getsource(inspect.getmodule(tomllib.loads))  # type: ignore[arg-type]  # it has one
    messages = re.findall(r'suffixed_err\(\s*src,\s*\w+,\s*f?("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\')', source)
    assert len(messages) > 15
    plain = [message[1:-1].replace("\\\\", "\\") for message in messages]
    assert [m for m in plain if not m.startswith((*_REASONS, "Expected {"))] == []


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63),
    st.floats(),
    st.sampled_from(["", "15s", "1GiB", "panic", "modbus-io", "line", "mqtt://a:b@c", "/x", "no", "中文", "a/b", "\0"]),
    st.text(max_size=5),
)
MODELS: list[type[BaseModel]] = [*TABLES.values(), *ARRAYS.values(), PointSettings, ModbusIo]
KEYS = st.sampled_from(sorted({key for model in MODELS for key in keys_of(model)}))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
DOCUMENTS = st.dictionaries(
    st.sampled_from([*TABLES, *ARRAYS, "other"]),
    VALUES
    | st.lists(st.dictionaries(KEYS, VALUES, max_size=6), max_size=3)
    | st.dictionaries(KEYS, VALUES, max_size=8),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(DOCUMENTS)
def test_whatever_is_written_gives_settings_or_problems(document: dict[str, Any]) -> None:
    merged = merge([(Path("agent.toml"), document)])
    report = Report(merged)
    parts = read_sections(merged, report)
    check_general(parts, report)
    check_field(parts, report)
    assert report.errors  # none of these has all that is required
    for problem in (*report.errors, *report.warnings):
        for language in LANGUAGES:
            said = problem.text.render(language)
            assert "a:b@" not in said
            assert "validation" not in said


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    found = parse(Path("agent.toml"), raw)
    if isinstance(found, Problem):
        assert found.text.render("zh-CN")
        assert found.text.render("en")
    else:
        assert isinstance(found, dict)


def test_points_of_a_panel_are_debounced_only_if_they_say_so(tmp_path: Path) -> None:
    device = """
    [[device]]
    id = "hosts"
    name = "hosts"
    driver = "dc09"
    listen = "127.0.0.1:9999"
    account = [{ account = "1234" }]
    point = [
      { id = "a", name = "a", kind = "fire", input = "zone-001" },
      { id = "b", name = "b", kind = "fire", input = "zone-002", debounce = "50ms" },
    ]
    """
    config = load(write(tmp_path, GOOD + device))
    assert [point.debounce_s for point in config.devices[0].points] == [0.0, 0.05]
