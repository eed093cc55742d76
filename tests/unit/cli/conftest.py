"""Run the command line in this process, and read what it printed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from agent.cli import main


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("status", "--json")`: in a terminal of 80 columns, without any locale of this machine."""
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)

    def call(*argv: str) -> Ran:
        code = main(list(argv))
        said = capsys.readouterr()
        return Ran(code, said.out, said.err)

    return call


def has_chinese(text: str) -> bool:
    return re.search(r"[\u4e00-\u9fff]", text) is not None
