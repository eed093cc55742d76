"""The process that inspects in the benchmark: hub, inspector, rounds and confirmer as in the eye, without its
other rooms: `python -m bench.inspecting FOLDER`. Standard input is one line of JSON: the cameras and the settings. Each
inspection that is done is one line of standard output.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from agent.camera import CameraSession, Features, Identity, StreamRole, StreamSource
from agent.clock import SystemClock
from agent.config.models import CameraSettings
from agent.config.skyeye import SkyeyeSettings
from agent.skyeye.inspect import Confirmer, Inspector, Rounds
from agent.skyeye.model import Inspection
from agent.skyeye.streams import StreamHub
from drivers.rtsp import Rtsp


class Plain(CameraSession):
    """A camera of which only its stream is known."""

    def __init__(self, source: StreamSource) -> None:
        self._source = source

    async def identity(self) -> Identity:
        return Identity()

    async def stream(self, role: StreamRole) -> StreamSource:
        return self._source

    async def close(self) -> None:
        return None

    async def features(self) -> Features:
        return Features()


def settings_of(id_: str, port: int) -> CameraSettings:
    """One camera of the simulator."""
    driver = Rtsp(port=port, path="/1/main")
    fields: dict[str, Any] = {"id": id_, "name": id_, "driver": "rtsp", "address": "127.0.0.1"}
    return CameraSettings(**fields, points=(), settings=driver)


async def inspect_all(folder: Path, order: dict[str, Any]) -> None:
    """Inspect in rounds until standard input ends."""
    clock = SystemClock("Asia/Shanghai")
    cameras = [settings_of(id_, one["port"]) for id_, one in order["cameras"].items()]
    sources = {
        id_: StreamSource(one["url"], order.get("username"), order.get("password"))
        for id_, one in order["cameras"].items()
    }

    async def resolve(camera: str, _role: StreamRole) -> StreamSource:
        return sources[camera]

    async def session(camera: str) -> CameraSession:
        return Plain(sources[camera])

    settings = SkyeyeSettings(**order["settings"])
    hub = StreamHub(resolve, clock, on_state=lambda _camera, _role, _error: None)
    inspector, confirmer = Inspector(hub, clock, settings, folder), Confirmer(folder)

    async def inspect(camera: CameraSettings) -> Inspection:
        return await inspector.inspect(camera, lambda: session(camera.id))

    async def done(inspection: Inspection) -> None:
        told = confirmer.feed(inspection)
        packets = next((check for check in inspection.checks if check.layer == "packets"), None)
        line = {
            "camera": inspection.camera,
            "seconds": inspection.seconds,
            "faults": sorted(inspection.faults),
            "raised": [change.fault for change in told if change.text],
            "verdicts": len(inspection.verdicts),
            "picture": inspection.thumbnail is not None,
            "packets": dict(packets.data) if packets else {},
        }
        print(json.dumps(line), flush=True)

    rounds = Rounds(lambda: cameras, inspect, clock, settings, done, unsettled=confirmer.unsettled)
    running = asyncio.get_running_loop().create_task(rounds.run())
    await asyncio.to_thread(sys.stdin.read)
    running.cancel()
    await hub.close()
    await inspector.close()


def main() -> None:
    """Inspect what standard input names."""
    order = json.loads(sys.stdin.readline())
    asyncio.run(inspect_all(Path(sys.argv[1]), order))


if __name__ == "__main__":
    main()
