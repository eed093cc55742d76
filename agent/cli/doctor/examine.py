"""All checks of one gateway."""

from pathlib import Path

from agent.cli.doctor import brokers, daemon, devices, machine, ports, records, settings
from agent.cli.doctor.finding import Check, Finding
from agent.cli.doctor.runner import run_checks
from agent.cli.doctor.subject import Subject, examine


async def findings(config_path: Path, *, full: bool) -> list[Finding]:
    """Examine the gateway that `config_path` describes; with `full` read its whole journal."""
    settings.borrow_credentials()
    return await run_checks(checks(await examine(config_path, full=full)))


def checks(subject: Subject) -> list[Check]:
    """Every check that makes sense for this subject, from the bottom up."""
    rooms = (settings, machine, records, ports, devices, brokers, daemon)
    return [check for room in rooms for check in room.checks(subject)]
