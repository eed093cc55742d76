"""What the daemon says of itself: the `status` answer, and the retained state and inventory messages."""

import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from agent import __version__
from agent.alarms.engine import Alarms, PointView
from agent.bus import Bus
from agent.clock import NS_PER_S, Clock
from agent.config.models import Config, DeviceSettings
from agent.control.protocol import text_json
from agent.driver import BusDriver, SerialDriver
from agent.journal import Journal
from agent.kinds import KINDS
from agent.model import JsonValue
from agent.runtime.cameras import child_status
from agent.runtime.devices import DeviceLink
from agent.runtime.household import Household
from agent.runtime.paths import Paths
from agent.texts import Text
from agent.uplink import Uplink

STATE_FIELDS: Final = ("kind", "state", "value", "since", "seq")
"""The members of a `state/{device}/{point}` message (DESIGN 6)."""


@dataclass(slots=True)
class Parts:
    """The living parts that a status is read from."""

    config: Config
    clock: Clock
    journal: Journal
    engine: Alarms
    uplink: Uplink
    buses: Mapping[str, Bus]
    links: Mapping[str, DeviceLink]
    household: Household
    paths: Paths
    started: datetime
    started_ns: int
    probes: dict[str, Callable[[], Awaitable[Text | None]]] = field(default_factory=dict)
    """What tries each second path for the self-test: returns why it does not work, or None."""


def status(parts: Parts) -> dict[str, JsonValue]:
    """The answer to `status`; its shape is documented in docs/commands.md."""
    journal, site = parts.journal, parts.config.site
    due: dict[str, JsonValue] = {str(lane): count for lane, count in journal.due_counts().items()}
    return {
        "version": __version__,
        "pid": os.getpid(),
        "site": {"district": site.district, "school": site.school, "name": site.name},
        "started": parts.started.isoformat(timespec="milliseconds"),
        "uptime_s": round((parts.clock.boottime_ns() - parts.started_ns) / NS_PER_S),
        "clock": parts.clock.quality(),
        "session": parts.uplink.session,
        "seq": journal.head.seq,
        "hash": journal.head.hash,
        "due": due,
        "oldest_due": journal.oldest_due(),
        "refused": journal.refused_count(),
        "journal": journal_status(journal, parts.config),
        "uplink": uplink_status(parts.uplink),
        "devices": [device_status(device, parts) for device in parts.config.devices],
        "points": [{**point_status(view), **tested_of(view, parts.engine)} for view in parts.engine.views()],
        "partitions": parts.engine.modes.partition_views(parts.clock.moment()),
        "walk_test": list(parts.engine.modes.drill.walked),
        "drill": parts.engine.modes.drill_view(parts.clock.moment()),
        "buses": [bus_status(name, bus) for name, bus in parts.buses.items()],
        "eye": dict(child_status(parts.household.eye)),
        "console": dict(child_status(parts.household.console)),
        "cameras": parts.household.cameras.health(),
        "paths": parts.paths.health(),
        "faults": fault_status(parts.engine),
    }


def journal_status(journal: Journal, config: Config) -> JsonValue:
    """Where the events are kept, and what is wrong with it."""
    return {
        "store": journal.store,
        "path": str(config.journal.path),
        "id": journal.id,
        "size_bytes": journal.size_bytes,
        "max_size_bytes": config.journal.max_size_bytes,
        "kept_aside": str(journal.kept_aside) if journal.kept_aside else None,
        "trouble": optional(journal.trouble),
    }


def uplink_status(uplink: Uplink) -> JsonValue:
    """The connection to the district."""
    state = uplink.status()
    waiting, evicted = uplink.curves()
    return {
        "connected": state.connected,
        "broker": state.broker,
        "protocol": state.protocol,
        "since": state.since,
        "receipts": state.receipts,
        "error": optional(state.error),
        "telemetry": {"waiting": waiting, "evicted": evicted},
    }


def device_status(device: DeviceSettings, parts: Parts) -> JsonValue:
    """One device: is it heard, and why not."""
    link = parts.links[device.id]
    heard_s = round((parts.clock.boottime_ns() - link.heard_ns) / NS_PER_S, 1) if link.heard_ns else None
    return {
        "id": device.id,
        "name": device.name,
        "driver": device.driver,
        "bus": device.bus,
        "state": "online" if link.online else "offline",
        "supervised": device.supervised,
        "heard_s_ago": heard_s,
        "rejected": link.rejected,
        "measures": [
            {"input": measure.input, "value": measure.value, "unit": measure.unit} for measure in link.measures.values()
        ],
        "error": optional(link.error),
    }


def point_status(view: PointView) -> dict[str, JsonValue]:
    """One point as the command line shows it."""
    return {
        "device": view.device,
        "point": view.point,
        "name": view.name,
        **state_payload(view),
        "escalated": view.escalated,
    }


def tested_of(view: PointView, engine: Alarms) -> dict[str, JsonValue]:
    """When a point that alarms was last seen to work."""
    if KINDS[view.kind].class_ != "alarm":
        return {}
    return {"tested": engine.modes.tested_view(view.device, view.point)}


def state_payload(view: PointView) -> dict[str, JsonValue]:
    """One point as `state/{device}/{point}` carries it."""
    return {name: getattr(view, name) for name in STATE_FIELDS}


def bus_status(name: str, bus: Bus) -> JsonValue:
    """One bus: its port, its pace, its errors."""
    stats = bus.stats()
    return {
        "id": name,
        "port": stats.port,
        "open": stats.open,
        "rounds": stats.rounds,
        "round_ms_last": stats.round_ms_last,
        "round_ms_p50": stats.round_ms_p50,
        "round_ms_max": stats.round_ms_max,
        "timeouts": stats.timeouts,
        "bad_frames": stats.bad_frames,
    }


def fault_status(engine: Alarms) -> JsonValue:
    """The faults that stand now."""
    return [
        {
            "device": fault.device,
            "point": fault.point,
            "fault": fault.fault,
            "text": text_json(fault.text),
            "since": fault.since,
        }
        for fault in engine.faults()
    ]


def optional(text: Text | None) -> JsonValue:
    """A text in every language, or null."""
    return dict(text_json(text)) if text else None


def retained(parts: Parts) -> Iterable[tuple[str, bytes]]:
    """Every retained message but `status`, as topic below the root and payload: what a birth sends."""
    for view in parts.engine.views():
        yield f"state/{view.device}/{view.point}", dump(state_payload(view))
    for device in parts.config.devices:
        yield f"inventory/{device.id}", dump(inventory(device, parts))
    for camera in parts.config.cameras:
        yield f"inventory/{camera.id}", dump(parts.household.cameras.inventory(camera))
    for path in parts.config.paths:
        if told := parts.paths.inventory(path.id):
            yield f"inventory/{path.id}", dump(told)


def inventory(device: DeviceSettings, parts: Parts) -> dict[str, JsonValue]:
    """One device as `inventory/{device}` carries it."""
    link = parts.links[device.id]
    port = next((bus.port for bus in parts.config.buses if bus.id == device.bus), None)
    if isinstance(device.settings, SerialDriver):
        port = device.settings.port
    address = urlsplit(port)._replace(query="", fragment="").geturl() if port else None
    if isinstance(device.settings, BusDriver) and address:
        address = f"{address}#{device.settings.bus_address()}"
    if listens := device.settings.listens():
        address = " ".join(f"{transport}://{place}" for transport, place in listens)
    return {
        "device": device.id,
        "name": device.name,
        "driver": device.driver,
        "maker": link.identity.get("maker"),
        "model": link.identity.get("model"),
        "firmware": link.identity.get("firmware"),
        "address": address,
        "health": "online" if link.online else "offline",
        "supervised": device.supervised,
    }


def dump(payload: Mapping[str, JsonValue]) -> bytes:
    """JSON as it goes on the wire."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
