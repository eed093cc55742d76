"""One camera's HTTP port: the ONVIF services, the snapshot, and the logins before them."""

import asyncio
import contextlib
from typing import Final

from aiohttp import web

from agent.demo.camera.camera import Camera
from agent.demo.camera.digest import Algorithm
from agent.demo.camera.events import PULL, Events
from agent.demo.camera.hostile import SPOILERS, XML, plain
from agent.demo.camera.services import ANSWERS, BEFORE_LOGIN
from agent.demo.camera.soap import (
    REQUEST_BYTES,
    BadSoap,
    Call,
    Fault,
    envelope,
    fault,
    login_holds,
    parse_call,
)
from agent.demo.camera.spec import OnvifMode

OTHER_HOST: Final = "192.0.2.1"
"""Of documentation's range (RFC 5737)."""
SHUTDOWN_S: Final = 0.5
"""Held requests are cut off."""


class OnvifServer:
    """`start` and `stop` as often as wanted; the port stays."""

    def __init__(self, camera: Camera, host: str, port: int) -> None:
        self.camera = camera
        self.events = Events(camera)
        self.port = port
        self._host = host
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        if self._runner:
            return
        app = web.Application(client_max_size=REQUEST_BYTES)
        app.router.add_post("/{path:.*}", self._post)
        app.router.add_get("/snapshot/{number:[0-9]{1,3}}", self._snapshot)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    # what the services ask

    @property
    def address(self) -> str:
        """Where it really is."""
        return f"http://{self._host}:{self.port}"

    def base(self) -> str:
        mode = self.camera.onvif_mode
        if mode == "xaddr-host":
            return f"http://{OTHER_HOST}"
        if mode == "xaddr-zero":
            return f"http://0.0.0.0:{self.port}"
        if mode == "xaddr-ports":
            return f"http://{self._host}:{self.port}:{self.port}"
        return self.address

    def stream_uri(self, channel: int, role: str) -> str:
        uri = self.camera.rtsp_url(channel, role)
        if self.camera.onvif_mode == "rtsp-host":
            return uri.replace(self._host, OTHER_HOST, 1)
        return f"rtsp://{uri}" if self.camera.onvif_mode == "rtsp-twice" else uri

    # requests

    def _spoilt(self, name: str) -> OnvifMode:
        """How this operation is answered badly, if it is."""
        camera = self.camera
        return camera.onvif_mode if not camera.operations or name in camera.operations else "ok"

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            call = parse_call(await request.read())
        except BadSoap as error:
            return self._fault(Fault("ter:WellFormed", str(error)), 400)
        self.camera.counted(call.name)
        mode = self._spoilt(call.name)
        if mode == "slow":
            await asyncio.sleep(self.camera.after_s)
        refused = self._refused(request, call)
        if refused is not None:
            return refused
        try:
            good = envelope(await self._answer(request.path, call))
        except Fault as error:
            return self._fault(error, 400 if error.sender else 500)
        spoil = SPOILERS.get(mode)
        if spoil is None:
            return plain(good)
        with contextlib.suppress(ConnectionError):
            return await spoil(request, good)
        return web.Response(status=500)

    async def _answer(self, path: str, call: Call) -> str:
        if path.startswith(PULL):
            return await self.events.call(path.removeprefix(PULL), call)
        if call.service == "tev" and self.camera.spec.events:
            if call.name == "CreatePullPointSubscription":
                return self.events.create(call, self.base())
            if call.name == "GetEventProperties":
                return self.events.properties()
        if call.service == "tr2" and not self.camera.spec.media2:
            raise Fault("ter:ActionNotSupported", "no such service")
        answer = ANSWERS.get((call.service, call.name))
        if answer is None:
            raise Fault("ter:ActionNotSupported", f"no operation {call.name}")
        return answer(self, call)

    @staticmethod
    def _fault(error: Fault, status: int) -> web.Response:
        return web.Response(status=status, body=fault(error), headers={"Content-Type": XML})

    # logins

    def _algorithms(self) -> tuple[Algorithm, ...]:
        return (self.camera.spec.onvif_digest,)

    def _refused(self, request: web.Request, call: Call) -> web.Response | None:
        """The refusal of a login; None for one that is let in."""
        camera, door = self.camera, self.camera.door
        ways = camera.spec.onvif_login
        if door.open or call.name in BEFORE_LOGIN:
            return None
        header = request.headers.get("Authorization")
        if ways != "wsse" and header is not None:
            if door.digest(header, request.method, self._algorithms()):
                return None
        elif ways != "digest" and call.token is not None:
            username, password = door.username or "", door.password or ""
            if door.judge(login_holds(call.token, username, password, camera.now(), camera.spec.max_skew_s)):
                return None
        answer = self._fault(Fault("ter:NotAuthorized", "Sender not Authorized"), 400 if ways == "wsse" else 401)
        if ways != "wsse":
            self._challenge(answer)
        return answer

    def _challenge(self, answer: web.Response) -> None:
        for value in self.camera.door.challenges(self._algorithms(), qop=True):
            answer.headers.add("WWW-Authenticate", value)

    async def _snapshot(self, request: web.Request) -> web.StreamResponse:
        camera = self.camera
        camera.counted("snapshot")
        number = int(request.match_info["number"])
        if not (camera.spec.snapshot and 1 <= number <= len(camera.channels)):
            return web.Response(status=404)
        if not camera.door.digest(request.headers.get("Authorization"), "GET", self._algorithms()):
            answer = web.Response(status=401)
            self._challenge(answer)
            return answer
        mode = self._spoilt("snapshot")
        if spoil := SPOILERS.get(mode):
            with contextlib.suppress(ConnectionError, ValueError):
                return await spoil(request, camera.jpeg(number - 1))
        return web.Response(body=camera.jpeg(number - 1), content_type="image/jpeg")
