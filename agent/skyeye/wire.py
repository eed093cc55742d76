"""The words of the eye as JSON, for the core, the console and the command line."""

import base64
from collections.abc import Mapping

from agent.control.protocol import text_json
from agent.model import JsonValue
from agent.skyeye.model import Check, Evidence, Inspection, Verdict


def check_json(check: Check) -> dict[str, JsonValue]:
    """One step of an inspection."""
    return {
        "layer": check.layer,
        "ok": check.ok,
        "text": text_json(check.text),
        "fault": check.fault,
        "data": dict(check.data),
    }


def verdict_json(verdict: Verdict) -> dict[str, JsonValue]:
    """One judgement, with its measure and threshold."""
    return {
        "fault": verdict.fault,
        "bad": verdict.bad,
        "measured": verdict.measured,
        "measure": round(verdict.measure, 4),
        "threshold": round(verdict.threshold, 4),
        "text": text_json(verdict.text),
    }


def inspection_json(inspection: Inspection, *, thumbnail: bool = False) -> dict[str, JsonValue]:
    """One inspection; the thumbnail as base64 where it is wanted."""
    found: dict[str, JsonValue] = {
        "camera": inspection.camera,
        "at": inspection.at.isoformat(timespec="milliseconds"),
        "seconds": round(inspection.seconds, 2),
        "checks": [check_json(check) for check in inspection.checks],
        "verdicts": [verdict_json(verdict) for verdict in inspection.verdicts],
        "faults": [*sorted(inspection.faults)],
    }
    if thumbnail and inspection.thumbnail:
        found["thumbnail"] = base64.b64encode(inspection.thumbnail).decode()
    return found


def evidence_json(evidence: Evidence) -> Mapping[str, JsonValue]:
    """One file, as events and replies name it."""
    return {
        "id": evidence.id,
        "kind": evidence.kind,
        "camera": evidence.camera,
        "file": evidence.path.name,
        "sha256": evidence.sha256,
        "bytes": evidence.bytes,
        "content_type": evidence.content_type,
        "at": evidence.at.isoformat(timespec="milliseconds"),
        "length_ms": None if evidence.seconds is None else round(evidence.seconds * 1000),
        "event": evidence.event,
    }
