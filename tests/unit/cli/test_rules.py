"""`campus-agent rules test` on a journal that the real engine and the real rules have written."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from tests.unit.rules.rig import Rig, a_rig, configure

RULES = """
    [[rule]]
    id = "cards"
    name = "Three cards"
    kind = "intrusion"
    if = { events = { kind = "door-denied", at_least = 3, within = "1m", distinct = "card" } }
    [[rule]]
    id = "store"
    name = "Opened outside hours"
    kind = "chemical-store"
    when = { during = ["outside-lessons"] }
    if = { point = "hall/door" }
    [[rule]]
    id = "tour"
    name = "No tour"
    kind = "supervision-lost"
    if = { absent = { kind = "guard-tour", for = "2h" } }
    [[rule]]
    id = "after"
    name = "Beside it"
    if = { point = "rules/store", for = "10s" }
    [[rule]]
    id = "fan"
    name = "Fan stopped"
    if = { point = "hall/fan", state = "off", for = "30s" }
"""


async def a_day(rig: Rig) -> None:
    """From eight o'clock on: cards at the gate, a fan that stops, the store opened at half past twelve."""
    await rig.look("hall/fan", True)
    await rig.look("hall/door", False)
    for card in "AABC":
        await rig.swipe("hall/reader", card=card)
        await rig.go(5)
    await rig.look("hall/fan", False)
    await rig.go(40)
    await rig.look("hall/fan", True)
    await rig.go(1 * 3600)
    await rig.swipe("hall/tag")
    await rig.go(3.5 * 3600)
    await rig.look("hall/door", True)
    await rig.go(20)
    await rig.look("hall/door", False)
    await rig.go(60)


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    async with a_rig(configure(tmp_path, RULES)) as rig:
        await a_day(rig)
    return tmp_path / "journal.db"


def replay(folder: Path, rules: str, file: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any]:
    configure(folder, rules)
    capsys.readouterr()
    code = main(["--config", str(folder / "agent.toml"), "rules", "test", str(file), "--json"])
    return code, json.loads(capsys.readouterr().out)


def rang(found: Any) -> list[tuple[str, str, bool]]:
    return [(one["rule"], one["began"][11:19], one["rang"]) for one in found["ringings"]]


async def test_unchanged_rules_ring_as_they_did(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, found = await asyncio.to_thread(replay, journal.parent, RULES, journal, capsys)
    assert code == 0
    assert found["gone"] == []
    assert all(one["rang"] for one in found["ringings"]), rang(found)
    assert [one["rule"] for one in found["ringings"]] == ["cards", "fan", "tour", "store", "after"]
    cards, fan, tour, store, _ = found["ringings"]
    assert cards["why"] == {"events door-denied": 3}
    assert fan["why"] == {"hall/fan": "off"}
    assert tour["began"][11:16] == "11:01", "two hours after the tag"
    assert tour["ended"] is None
    assert store["began"][11:16] == "12:31"
    assert found["unjudged"] == []


async def test_changed_rules_show_what_is_new_and_what_is_gone(
    journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = (
        RULES.replace("at_least = 3", "at_least = 4")
        .replace("outside-lessons", "lessons")
        .replace('for = "30s"', 'for = "35s"')
        .replace('for = "2h"', 'for = "3h"')
    )
    code, found = await asyncio.to_thread(replay, journal.parent, changed, journal, capsys)
    assert code == 0
    new = [one["rule"] for one in found["ringings"] if not one["rang"]]
    assert new == ["tour"], "an hour later; the fan rang as well, five seconds earlier"
    assert sorted(one["rule"] for one in found["gone"]) == ["after", "cards", "store", "tour"]


async def test_a_rule_that_needs_measures_is_named(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hot = '[[rule]]\nid = "hot"\nname = "Hot"\nif = { measure = "hall/0", above = 60.0 }\n'
    _, found = await asyncio.to_thread(replay, journal.parent, hot, journal, capsys)
    assert [(one["rule"], one["measures"]) for one in found["unjudged"]] == [("hot", ["hall/0"])]
    assert len(found["gone"]) == 5


async def test_an_export_says_the_same_and_what_is_no_event_is_told(
    journal: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")

    def both() -> None:
        _, of_journal = replay(journal.parent, RULES, journal, capsys)
        config = ["--config", str(journal.parent / "agent.toml"), "--lang", "en"]
        export = journal.parent / "export.jsonl"
        assert main([*config, "events", "export", str(export)]) == 0
        code, of_export = replay(journal.parent, RULES, export, capsys)
        assert (code, of_export) == (0, of_journal)

        lines = export.read_bytes().splitlines()
        export.write_bytes(b"\n".join([*lines, lines[0], b"{}", b"no json", b'["event"]']))
        code, broken = replay(journal.parent, RULES, export, capsys)
        assert code == 1
        assert rang(broken) == rang(of_journal)
        assert broken["skipped"] == 2
        assert len(broken["problems"]) == 2

        assert main([*config, "rules", "test", str(journal)]) == 0
        said = capsys.readouterr().out
        assert "5 would ring: 5 did ring, 0 did not; 0 rang then and would not now" in said
        assert "Opened outside hours" in said
        assert main([*config, "rules", "test", str(journal.parent / "missing")]) == 1
        assert "cannot read" in capsys.readouterr().err

    await asyncio.to_thread(both)


async def test_a_restart_and_a_drill_are_in_the_journal_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configure(tmp_path, RULES)
    async with a_rig(config) as rig:
        for card in "AB":
            await rig.swipe("hall/reader", card=card)
        await rig.go(5)
        clock = rig.clock
    async with a_rig(config, clock) as rig:
        rig.engine.set_drill(True)
        await rig.swipe("hall/reader", card="C")
        await rig.go(5)
        rig.engine.set_drill(False)
        for card in "DEF":
            await rig.swipe("hall/reader", card=card)
        await rig.go(5)
    code, found = await asyncio.to_thread(replay, tmp_path, RULES, tmp_path / "journal.db", capsys)
    assert code == 0
    assert [(one["rule"], one["rang"]) for one in found["ringings"]] == [("cards", True)]
    assert found["gone"] == []
