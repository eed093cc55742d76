"""Wrong usage: exit code 2, in the user's language, with what was expected and what came."""

import pytest

from agent.cli.app import hoist
from tests.unit.cli.conftest import Run, has_chinese

WRONG = {
    ("statsu",): "status",
    ("gibberish",): "gibberish",
    ("queue", "lst"): "list",
    ("queue", "list", "--limt", "3"): "--limit",
    ("queue", "list", "--limit", "many"): "many",
    ("queue", "list", "--limit", "0"): "1-1000",
    ("queue", "list", "--lane", "panic"): "alarm | fault | event",
    ("queue", "list", "--limit"): "--limit",
    ("queue", "retry", "x"): "SEQ",
    ("test", "lamp"): "DEVICE",
    ("version", "now"): "now",
    ("version", "--json=yes"): "--json",
    ("--lang", "fr", "version"): "fr",
    ("run", "--log-level", "loud"): "debug | info | warning | error",
}


@pytest.mark.parametrize(("argv", "named"), WRONG.items(), ids=[" ".join(argv) for argv in WRONG])
def test_wrong_usage_is_explained_in_both_languages(run: Run, argv: tuple[str, ...], named: str) -> None:
    chinese = run(*argv)
    assert (chinese.code, chinese.out) == (2, "")
    assert has_chinese(chinese.err)
    assert named in chinese.err
    english = run(*argv, *(() if "--lang" in argv else ("--lang", "en")))
    assert english.code == 2
    assert named in english.err
    assert "--lang" in argv or not has_chinese(english.err)


def test_no_command_shows_the_help(run: Run) -> None:
    ran = run()
    assert ran.code == 2
    assert ran.err.startswith("用法：campus-agent")


def test_a_group_without_command_shows_its_help(run: Run) -> None:
    ran = run("queue")
    assert ran.code == 2
    assert "retry" in ran.err


def test_global_options_may_stand_anywhere(run: Run) -> None:
    assert run("version", "--help", "--lang", "en").out.startswith("Usage")
    assert run("version", "--lang=en", "--help").out.startswith("Usage")


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["status"], ["status"]),
        (["status", "--config", "a.toml", "--json"], ["--config", "a.toml", "status", "--json"]),
        (["--lang", "en", "status", "--config=b"], ["--lang", "en", "--config=b", "status"]),
        (["events", "verify", "--", "--config"], ["events", "verify", "--", "--config"]),
        (["status", "--config"], ["--config", "status"]),
    ],
)
def test_global_options_are_hoisted(argv: list[str], expected: list[str]) -> None:
    assert hoist(argv) == expected


def test_a_global_option_without_value_is_wrong_usage(run: Run) -> None:
    assert run("status", "--config").code == 2
