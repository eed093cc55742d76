"""What `events verify` says of files in which there is nothing to verify."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_a_file_without_events_proves_nothing(run: Run, tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.jsonl"
    path.write_text(content, encoding="utf-8")
    ran = run("--lang", "en", "events", "verify", str(path))
    assert ran.code == 1
    assert "there are no events" in ran.out
    assert "nothing could be verified" in ran.out
    assert "intact" not in ran.out
    found = run("events", "verify", str(path), "--json")
    assert found.code == 1
    assert json.loads(found.out)["ok"] is False


def test_a_file_that_does_not_exist_is_named(run: Run, tmp_path: Path) -> None:
    ran = run("--lang", "en", "events", "verify", str(tmp_path / "none.jsonl"))
    assert ran.code == 1
    assert "none.jsonl" in ran.err
    assert "No such file" in ran.err
