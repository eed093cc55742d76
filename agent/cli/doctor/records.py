"""The journal's chain, as far as there is time to read it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agent.cli.doctor.finding import Check, Finding, fail, ok, warn
from agent.cli.doctor.runner import in_thread
from agent.cli.doctor.subject import Subject
from agent.texts import say

TAIL_ROWS: Final = 2_000
"""Read and hashed within half a second on a Raspberry Pi; faults of a card show in what was written last."""
TAIL_S: Final = 15.0
FULL_S: Final = 1_800.0
"""A full journal of 1 GiB holds some 1.5 million events; an SD card reads them in ten minutes."""


def checks(subject: Subject) -> list[Check]:
    """The chain check, bounded or whole."""
    if subject.config is None:
        return []
    path = subject.config.journal.path
    if subject.full:
        return [Check("journal-chain", lambda: in_thread(lambda: whole(path)), FULL_S)]
    return [Check("journal-chain", lambda: in_thread(lambda: end_of_chain(path)), TAIL_S)]


def end_of_chain(path: Path) -> Sequence[Finding]:
    """Verify the last events."""
    from agent.journal.offline import Offline

    name = "journal-chain"
    if not path.exists():
        return [warn(name, say("doctor.journal-none", path=path), say("doctor.journal-none-remedy"))]
    with Offline(path) as journal:
        report = journal.check_tail(TAIL_ROWS)
    if report.problems:
        message = say("doctor.chain-broken", count=len(report.problems), first=report.problems[0])
        return [fail(name, message, say("doctor.chain-broken-remedy"))]
    return [ok(name, say("doctor.chain-ok", count=report.count, first=report.first or 0, last=report.last or 0))]


def whole(path: Path) -> Sequence[Finding]:
    """Verify every event."""
    from agent.journal.audit import verify_path

    name = "journal-chain"
    if not path.exists():
        return [warn(name, say("doctor.journal-none", path=path), say("doctor.journal-none-remedy"))]
    report = verify_path(path)
    if report.problems:
        message = say("doctor.chain-broken", count=report.problem_count, first=report.problems[0])
        return [fail(name, message, say("doctor.chain-broken-remedy"))]
    last = max((chain.head.seq for chain in report.chains), default=0)
    return [ok(name, say("doctor.chain-whole", count=report.events, last=last))]
