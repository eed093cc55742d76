"""A stand-in for the eye: speaks its protocol and watches no camera. Started by the core like the real one.

    python -m tests.sims.eye good|hang|leak|flood|crash [arguments of the eye]

good: beats, takes orders and appends them as JSON lines to `eye.jsonl` beside the configuration. SIGUSR1 has it take
memory without end, SIGUSR2 has it hang. hang, leak, flood: the same after the first heartbeat. crash: ends at once with
exit code 7.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent import childhood

BEAT_S: Final = 0.1
GREED_BYTES: Final = 16 << 20
ORDERS: Final = (
    *("evidence", "snapshot", "clip", "ptz", "inspect", "stream-start", "stream-stop", "streams", "patrol", "patrols"),
    *("inventory", "list", "camera", "reload", "do"),
)


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("good", "hang", "leak", "flood", "crash"))
    for name in ("--config", "--core", "--socket", "--media"):
        parser.add_argument(name, type=Path)
    for name in ("--lang", "--log-format", "--log-level"):
        parser.add_argument(name)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    childhood.begin()
    options = arguments(argv)
    if options.mode == "crash":
        print("no camera library here", file=sys.stderr)
        return 7

    async def run() -> None:
        await StandIn(options).run()

    asyncio.run(run())
    return 0


class StandIn:
    """One run."""

    def __init__(self, options: argparse.Namespace) -> None:
        from agent.config.load import load

        self.options = options
        self.notes = options.config.parent / "eye.jsonl"
        self.cameras = [camera.id for camera in load(options.config).cameras]
        self.greed: list[bytearray] = []
        self.stop = asyncio.Event()

    async def run(self) -> None:
        from agent.control import ControlServer, Methods

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_signal_handler(signal.SIGUSR1, self.leak)
        loop.add_signal_handler(signal.SIGUSR2, time.sleep, 3600)
        methods = Methods({name: self.order(name) for name in ORDERS}, {"inspect-watch": self.watch})
        server = ControlServer([self.options.socket], methods)
        await server.start()
        self.note("started", {"pid": os.getpid(), "nice": os.nice(0)})
        beats = asyncio.create_task(self.beat())
        await self.stop.wait()
        beats.cancel()
        self.note("stopped", {})
        await server.close()

    def note(self, method: str, params: Mapping[str, object]) -> None:
        with self.notes.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"method": method, **params}) + "\n")

    def order(self, method: str):  # type: ignore[no-untyped-def]  # a Call
        async def take(params, _peer):  # type: ignore[no-untyped-def]  # as above
            self.note(method, params)
            if method == "do":
                return await self.say(params["say"], **params["params"])
            if method in {"list", "streams", "patrols"}:
                return [{"id": camera, "state": "ok"} for camera in self.cameras] if method == "list" else []
            if method == "camera":
                return {"id": params["camera"], "state": "ok", "inspection": None}
            return {"took": method}

        return take

    async def watch(self, params, _peer):  # type: ignore[no-untyped-def]  # a Stream
        for number, camera in enumerate(params["cameras"] or self.cameras, 1):
            yield {"camera": camera, "state": "done", "done": number, "of": len(self.cameras)}

    async def say(self, method: str, **params: Any) -> Any:
        from agent.control import ControlClient

        async with ControlClient([self.options.core]) as core:
            return await core.call(method, **params)

    async def beat(self) -> None:
        from agent.control import ControlClient, ControlError, DaemonDown

        while True:
            with suppress(ControlError, DaemonDown):
                async with ControlClient([self.options.core]) as core:
                    while True:
                        health: Any = {id_: {"state": "ok", "faults": [], "inspected": None} for id_ in self.cameras}
                        await core.call("eye-health", cameras=health, streams=0, rss_bytes=1)
                        await self.misbehave(core)
                        await asyncio.sleep(BEAT_S)
            await asyncio.sleep(BEAT_S)

    async def misbehave(self, core) -> None:  # type: ignore[no-untyped-def]  # a ControlClient
        if self.options.mode == "hang":
            time.sleep(3600)  # noqa: ASYNC251 - this is what hanging is
        elif self.options.mode == "leak":
            self.leak()
        elif self.options.mode == "flood":
            while True:
                print("x" * 500, flush=True)
                for type_ in ("motion", "no-such-type"):
                    with suppress(Exception):
                        await core.call("eye-event", camera=self.cameras[0], type=type_, data={}, seen_ns=0)

    def leak(self) -> None:
        while True:
            self.greed.append(bytearray(os.urandom(1024) * (GREED_BYTES // 1024)))
            time.sleep(0.01)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
