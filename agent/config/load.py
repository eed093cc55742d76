"""Load the configuration: read, merge, validate, check. Every error at once."""

from pathlib import Path

from agent.config.arming import SelftestSettings
from agent.config.calendar import CalendarSettings
from agent.config.checks import check_general
from agent.config.checks_arming import check_arming
from agent.config.checks_camera import check_cameras
from agent.config.checks_escalation import check_escalation
from agent.config.checks_field import check_field
from agent.config.checks_listen import check_listeners
from agent.config.checks_rules import check_rules
from agent.config.documents import read_all
from agent.config.machine import check_files
from agent.config.merge import Merged, merge
from agent.config.models import (
    Config,
    ControlSettings,
    JournalSettings,
    SiteSettings,
    SkyeyeSettings,
    TelemetrySettings,
    UplinkSettings,
)
from agent.config.problems import ConfigErrors, Problem
from agent.config.report import Report
from agent.config.sections import Parts, build_camera, build_device, build_path, read_sections

__all__ = ["ConfigErrors", "Problem", "check_files", "load", "load_here"]


def load(path: Path) -> Config:
    """Load `path` and `conf.d/*.toml` beside it. Looks at no other file, nor at any port or secret.

    Raises ConfigErrors with every problem: of the files first, and if they all could be read, of what is in them.
    """
    documents, unreadable = read_all(path)
    if unreadable:
        raise ConfigErrors(path, unreadable)  # what else is wrong would be a guess
    merged = merge(documents)
    report = Report(merged)
    parts = read_sections(merged, report)
    check_general(parts, report)
    check_field(parts, report)
    check_listeners(parts, report)
    check_cameras(parts, report)
    check_rules(parts, report)
    check_arming(parts, report)
    check_escalation(parts, report)
    if report.errors:
        raise ConfigErrors(path, report.errors)
    return _build(parts, report, merged, tuple(file for file, _ in documents))


def load_here(path: Path) -> Config:
    """As `load`, on the machine that is to run it: also what `check_files` finds is an error."""
    config = load(path)
    if problems := check_files(config):
        raise ConfigErrors(path, problems)
    return config


def _build(parts: Parts, report: Report, merged: Merged, sources: tuple[Path, ...]) -> Config:
    site: SiteSettings = parts.tables["site"]
    uplink: UplinkSettings = parts.tables["uplink"]
    if not uplink.client_id:
        uplink = uplink.model_copy(update={"client_id": f"campus-{site.district}-{site.school}"})
    return Config(
        site=site,
        journal=parts.tables.get("journal", JournalSettings()),
        uplink=uplink,
        buses=tuple(bus for _, bus in parts.buses),
        devices=tuple(build_device(part) for part in parts.devices),
        cameras=tuple(build_camera(part) for part in parts.cameras),
        console=parts.tables.get("console"),
        skyeye=parts.tables.get("skyeye", SkyeyeSettings()),
        patrols=tuple(patrol for _, patrol in parts.plain.get("patrol", ())),
        paths=tuple(build_path(part) for part in parts.paths),
        escalations=tuple(plan for _, plan in parts.plain.get("escalation", ())),
        calendar=parts.tables.get("calendar", CalendarSettings()),
        telemetry=parts.tables.get("telemetry", TelemetrySettings()),
        rules=tuple(rule for _, rule in parts.plain.get("rule", ())),
        partitions=tuple(partition for _, partition in parts.plain.get("partition", ())),
        selftest=parts.tables.get("selftest", SelftestSettings()),
        control=parts.tables.get("control", ControlSettings()),
        sources=sources,
        warnings=tuple(report.warnings),
        origins=merged.origins,
    )
