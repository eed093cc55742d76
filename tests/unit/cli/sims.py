"""A daemon that only speaks: the real control server with canned answers."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from agent.control import Methods
from agent.control.server import ControlServer
from agent.model import JsonValue

CONFIG: Final = """
[site]
district = "370812"
school = "sy-primary"
name = "兖州区实验小学"
[journal]
path = "{folder}/journal.db"
[control]
socket = "{folder}/control.sock"
[uplink]
brokers = ["mqtt://127.0.0.1:1883"]
"""
FINE: Final[Mapping[str, Any]] = {
    "version": "0.1.0",
    "pid": 4711,
    "site": {"district": "370812", "school": "sy-primary", "name": "兖州区实验小学"},
    "started": "2026-11-20T08:00:00.000+08:00",
    "uptime_s": 273_900,
    "clock": "synced",
    "session": "01JD0000000000000000000000",
    "seq": 1234,
    "hash": "ab" * 32,
    "due": {"alarm": 0, "fault": 0, "event": 0},
    "oldest_due": None,
    "refused": 0,
    "journal": {
        "store": "file",
        "path": "/var/lib/campus-agent/journal.db",
        "id": "01JC0000000000000000000000",
        "size_bytes": 1_572_864,
        "max_size_bytes": 1 << 30,
        "kept_aside": None,
        "trouble": None,
    },
    "uplink": {
        "connected": True,
        "broker": "mqtts://mq1.example.cn:8883",
        "protocol": "5",
        "since": "2026-11-20T08:00:03.000+08:00",
        "receipts": "live",
        "error": None,
    },
    "devices": [
        {
            "id": "guardroom",
            "name": "门卫室报警模块",
            "driver": "modbus-io",
            "bus": "rs485-1",
            "state": "online",
            "supervised": True,
            "heard_s_ago": 0.1,
            "rejected": 0,
            "error": None,
        }
    ],
    "points": [
        {
            "device": "guardroom",
            "point": "panic",
            "name": "门卫室一键报警",
            "kind": "panic",
            "state": "idle",
            "value": False,
            "since": "2026-11-20T08:00:01.000+08:00",
            "seq": 2,
        }
    ],
    "buses": [
        {
            "id": "rs485-1",
            "port": "/dev/serial/by-id/usb-1a86_USB_Serial-if00-port0",
            "open": True,
            "rounds": 100_000,
            "round_ms_last": 27.1,
            "round_ms_p50": 26.9,
            "round_ms_max": 61.0,
            "timeouts": 0,
            "bad_frames": 0,
        }
    ],
    "faults": [],
}


def sick() -> dict[str, Any]:
    """A status with something wrong in every part."""
    status: dict[str, Any] = deepcopy(dict(FINE))
    said = {"key": "x", "zh-CN": "设备没有应答", "en": "the device does not answer"}
    status["clock"] = "unsynced"
    status["due"] = {"alarm": 1, "fault": 2, "event": 30}
    status["oldest_due"] = "2026-11-23T07:00:00.000+08:00"
    status["refused"] = 3
    status["journal"] |= {"store": "memory", "trouble": said}
    status["uplink"] |= {"connected": False, "broker": None, "receipts": "never", "error": said}
    status["devices"][0] |= {"state": "offline", "error": said}
    status["points"][0] |= {"state": "active"}
    status["buses"][0] |= {"open": False, "round_ms_p50": None}
    status["faults"] = [
        {"device": "guardroom", "point": None, "fault": "offline", "text": said, "since": "2026-11-23T07:00:00+08:00"}
    ]
    return status


@contextmanager
def speaking(folder: Path, answers: Mapping[str, Any]) -> Iterator[Path]:
    """Serve `answers` by method (a list is a stream) beside a configuration that leads there; yield its path."""
    config = folder / "agent.toml"
    config.write_text(CONFIG.format(folder=folder), encoding="utf-8")
    loop = asyncio.new_event_loop()
    server = ControlServer([folder / "control.sock"], methods(answers))
    started = threading.Event()

    def serve() -> None:
        loop.run_until_complete(server.start())
        started.set()
        loop.run_forever()
        loop.run_until_complete(server.close())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    started.wait()
    try:
        yield config
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def methods(answers: Mapping[str, Any]) -> Methods:
    """Make methods of canned answers; a callable gets the parameters."""
    calls, streams = {}, {}
    for name, answer in answers.items():
        if isinstance(answer, list):
            streams[name] = stream_of(answer)
        else:
            calls[name] = call_of(answer)
    return Methods(calls=calls, streams=streams)


def call_of(answer: Any) -> Any:
    async def call(params: Mapping[str, JsonValue], _peer: object) -> JsonValue:
        return answer(params) if callable(answer) else answer  # type: ignore[no-any-return]  # as the test gave it

    return call


def stream_of(items: list[Any]) -> Any:
    async def stream(_params: Mapping[str, JsonValue], _peer: object) -> AsyncIterator[JsonValue]:
        for item in items:
            yield item

    return stream
