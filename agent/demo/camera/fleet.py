"""All simulated cameras of one process."""

from typing import Any, Self

from agent.demo.camera.camera import Camera
from agent.demo.camera.discovery import Found, Responder
from agent.demo.camera.feed import Pacer
from agent.demo.camera.film import Films
from agent.demo.camera.onvif import OnvifServer
from agent.demo.camera.services import scopes
from agent.demo.camera.spec import BadSpec, Command, Spec


class Fleet:
    """`async with Fleet(spec) as fleet`: every camera listens."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.pacer = Pacer()
        films = Films()
        self.cameras = {one.id: Camera(one, spec.host, films, self.pacer) for one in spec.every()}
        self.services = {
            id_: OnvifServer(camera, spec.host, camera.spec.onvif_port)
            for id_, camera in self.cameras.items()
            if camera.spec.onvif
        }
        self.responder = Responder(self._found)
        self.discovery_port: int | None = None

    async def __aenter__(self) -> Self:
        try:
            for camera in self.cameras.values():
                await camera.start()
            for service in self.services.values():
                await self._open(service)
            if self.spec.discovery:
                self.discovery_port = await self.responder.start(self.spec.host, self.spec.discovery_port)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _open(self, service: OnvifServer) -> None:
        if service.camera.onvif_mode == "closed":
            await service.stop()
        else:
            await service.start()

    def _found(self) -> list[Found]:
        """What the cameras say to those who look for them."""
        return [
            Found(id_, tuple(scopes(service.camera)), f"{service.base()}/onvif/device_service")
            for id_, service in self.services.items()
            if service.camera.onvif_mode != "closed"
        ]

    async def close(self) -> None:
        self.responder.stop()
        for service in self.services.values():
            await service.stop()
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
                "onvif_port": self.services[id_].port if id_ in self.services else None,
                "address": self.services[id_].address if id_ in self.services else None,
                "discovery_port": self.discovery_port,
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
            if service := self.services.get(camera.spec.id):
                await self._serve(service, command)
        return {"state": {camera.spec.id: self._state(camera) for camera in chosen}} if command.state else {}

    async def _serve(self, service: OnvifServer, command: Command) -> None:
        """The part of a command that is the services'."""
        if command.onvif_mode:
            await self._open(service)
        if command.event:
            try:
                service.events.push(command.event)
            except ValueError as error:
                raise BadSpec(str(error)) from None

    def _state(self, camera: Camera) -> dict[str, Any]:
        service = self.services.get(camera.spec.id)
        subscriptions = len(service.events.subscriptions) if service else 0
        return {**camera.state(), "event_slots": subscriptions, "probes": self.responder.probes}
