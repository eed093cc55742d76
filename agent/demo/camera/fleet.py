"""All simulated cameras of one process."""

from typing import Any, Self

from agent.demo.camera.camera import Camera
from agent.demo.camera.feed import Pacer
from agent.demo.camera.film import Films
from agent.demo.camera.spec import BadSpec, Command, Spec


class Fleet:
    """`async with Fleet(spec) as fleet`: every camera listens."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.pacer = Pacer()
        films = Films()
        self.cameras = {one.id: Camera(one, spec.host, films, self.pacer) for one in spec.every()}

    async def __aenter__(self) -> Self:
        try:
            for camera in self.cameras.values():
                await camera.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        for camera in self.cameras.values():
            await camera.stop()
        await self.pacer.close()

    def addresses(self) -> dict[str, Any]:
        """Where each camera is."""
        found = {}
        for id_, camera in self.cameras.items():
            roles = [role for role in ("main", "sub") if camera.stream(role)]
            found[id_] = {
                "rtsp_port": camera.rtsp.port,
                "streams": {
                    f"{number + 1}/{role}": camera.rtsp_url(number + 1, role)
                    for number in range(len(camera.channels))
                    for role in roles
                },
                "serial": camera.identity["serial"],
                "mac": camera.identity["mac"],
            }
        return found

    async def obey(self, command: Command) -> dict[str, Any]:
        """Carry out one command. Raises BadSpec for a camera that there is not."""
        if command.camera is not None and command.camera not in self.cameras:
            raise BadSpec(f"no camera {command.camera!r}")
        chosen = [self.cameras[command.camera]] if command.camera else list(self.cameras.values())
        for camera in chosen:
            await camera.obey(command)
        return {"state": {camera.spec.id: camera.state() for camera in chosen}} if command.state else {}
