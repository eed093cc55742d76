"""Quirks of real cameras as folders of data: `tests/golden/onvif/<case>/` (see tests/sims/onvif_replay.py).

`ask` in case.toml says what is asked, in order; expect.json what must come of it, and which requests the camera saw.
"""

import asyncio
import dataclasses
import json
import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from agent.clock import SimClock
from agent.driver import CameraError, CameraSession, Move
from drivers.onvif import Onvif
from tests.sims.onvif_replay import GOLDEN, JPEG, PASSWORD, USERNAME, Replay, morning

CASES = sorted(path.parent for path in GOLDEN.glob("*/case.toml"))
WAIT_S = 30.0
WRITE = "ONVIF_GOLDEN_WRITE"
"""Set it to write what comes as what is expected; then read every line of it."""
FORGETFUL = {"login-digest-everything", "login-digest-nonce-once"}
"""They forget a nonce and do not say so, which looks like a wrong password: once, after that each gets a fresh one."""
COUNTED = {"Unsubscribe", "CreatePullPointSubscription", "ContinuousMove", "Stop", "SetPreset", "GotoPreset"}


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
async def test_a_quirk(case: Path) -> None:
    clock = morning()
    async with Replay(case, clock) as replay:
        told = replay.case
        username = told.get("username", USERNAME) or None
        link = replay.link(username=username, password=told.get("password", PASSWORD))
        found: dict[str, Any] = {}
        session = None
        try:
            session = await Onvif.model_validate(told.get("driver", {})).open(link)
        except CameraError as error:
            found["open"] = failure(error)
        if session is not None:
            for what in told["ask"]:
                found[what] = await answer(session, what, clock, replay)
            await session.close()
        found["refused-logins"] = replay.refused_logins
        assert replay.refused_logins <= 1
        assert link.test_gate.refusals == replay.refused_logins + (case.name in FORGETFUL)
        found["requests"] = {name: replay.counts[name] for name in sorted(COUNTED) if replay.counts[name]}
        text = json.dumps(found, indent=1, ensure_ascii=False).replace(f":{replay.port}", ":PORT") + "\n"
    if os.environ.get(WRITE):
        (case / "expect.json").write_text(text, encoding="utf-8")
    assert PASSWORD not in text
    assert json.loads(text) == json.loads((case / "expect.json").read_text("utf-8"))


async def answer(session: CameraSession, what: str, clock: SimClock, replay: Replay) -> Any:
    """Ask for one thing; an error is an answer too."""
    name, _, rest = what.partition(":")
    try:
        match name:
            case "clock":
                return round(await session.clock_offset_s())
            case "stream":
                source = await session.stream("main" if rest == "main" else "sub")
                return {"url": source.url, "codec": source.codec, "transport": source.transport}
            case "snapshot":
                return "jpeg" if await session.snapshot() == JPEG else "other"
            case "move":
                await session.move(Move(pan=0.5, seconds=1))
                await clock.advance(2)
                async with asyncio.timeout(WAIT_S):
                    while not replay.counts["Stop"]:  # noqa: ASYNC110 - real sockets announce nothing
                        await asyncio.sleep(0.001)
                return "moved"
            case "goto":
                return await session.goto("gate")
            case "save":
                return plain(await session.save_preset("yard"))
            case "events":
                return await told(session, int(rest), clock)
        return plain(await getattr(session, name)())
    except CameraError as error:
        return failure(error)


async def told(session: CameraSession, count: int, clock: SimClock) -> Any:
    """So many events of a session."""
    events: list[Any] = []

    async def collect() -> None:
        async for event in session.events():
            events.append({"kind": event.kind, "active": event.active, "source": event.source, "topic": event.topic})

    task = asyncio.create_task(collect())
    while len(events) < count and not task.done():
        if clock.sleepers:
            await clock.advance(0.5)
        await asyncio.sleep(0.001)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return events[:count]


def failure(error: CameraError) -> Any:
    assert error.text.render("zh-CN")
    return {"error": type(error).__name__, "key": error.text.key, "says": str(error)}


def plain(value: Any) -> Any:
    """A value of the contract as JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(one) for one in value]
    return value.isoformat() if isinstance(value, datetime) else value
