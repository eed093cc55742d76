"""Cases that are data only: a TOML file (or a folder with agent.toml and conf.d), and beside it the JSON of every
problem that is expected, in both languages. A new bug becomes a new file.

`python -m tests.unit.config.test_golden` writes the JSON of cases that have none; read it before you commit it.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent.config.load import ConfigErrors, load
from agent.config.problems import Problem

FOLDER = Path(__file__).parents[2] / "golden" / "config"
SECRETS = ("hunter", "PRIVATE KEY", "12345678")


def cases() -> list[str]:
    return sorted(
        [path.name for path in FOLDER.glob("*.toml")]
        + [f"{path.name}/agent.toml" for path in FOLDER.iterdir() if path.is_dir()]
    )


def expected_file(case: str) -> Path:
    return FOLDER / (case.removesuffix("/agent.toml").removesuffix(".toml") + ".json")


def plain(problem: Problem) -> dict[str, Any]:
    return {
        "key": problem.key,
        "zh-CN": problem.text.render("zh-CN"),
        "en": problem.text.render("en"),
    }


def found(case: str) -> dict[str, Any]:
    """Load a case; its folder is the working directory, so that texts have short paths."""
    try:
        config = load(Path(case))
    except ConfigErrors as errors:
        return {"errors": [plain(problem) for problem in errors.problems]}
    return {"warnings": [plain(problem) for problem in config.warnings]}


@pytest.mark.parametrize("case", cases())
def test_every_problem_is_told_as_expected(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert found(case) == json.loads(expected_file(case).read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", cases())
def test_no_text_shows_a_secret(case: str) -> None:
    text = expected_file(case).read_text(encoding="utf-8")
    assert not [secret for secret in SECRETS if secret in text]


def test_every_expectation_has_its_case() -> None:
    assert {expected_file(case) for case in cases()} == set(FOLDER.glob("*.json"))


if __name__ == "__main__":
    os.chdir(FOLDER)
    for name in cases():
        if not (file := expected_file(name)).exists():
            file.write_text(json.dumps(found(name), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
