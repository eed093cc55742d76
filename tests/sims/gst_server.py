"""A GStreamer RTSP server as a process: `/usr/bin/python3 gst_server.py SPEC`, where SPEC is JSON.

SPEC: `{"host", "port", "username", "password", "mounts": {path: {"launch", "protocols", "codec", "fps", "file"}}}`.
Runs under Debian's Python, which has the GStreamer bindings, so it imports nothing of this project. Prints
`{"ready": PORT}`; reads commands, one a line: `remove PATH`, `add PATH`, `freeze PATH` (no more packets, the
connections stay), `thaw PATH`, `drop` (close every connection), `clients`, `quit`; answers each with one line of JSON.
Ends with its standard input.
"""

import json
import sys
import threading
from typing import Any

import gi  # type: ignore[import-not-found]  # Debian's python3-gi, not in .venv

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import (  # type: ignore[import-not-found]  # noqa: E402 - versions come first
    GLib,
    Gst,
    GstRtsp,
    GstRtspServer,
)

VALVE = "valve"
"""The element of each launch line that lets packets through or not."""
TRANSPORTS = {
    "tcp": GstRtsp.RTSPLowerTrans.TCP,
    "udp": GstRtsp.RTSPLowerTrans.UDP,
    "both": GstRtsp.RTSPLowerTrans.TCP | GstRtsp.RTSPLowerTrans.UDP,
}
ROLE = "viewer"
LOOP = "loop"
"""The appsrc of a launch line that repeats a file."""


class Loop:
    """Feeds one media with the pictures of a file, over and over, at their pace."""

    def __init__(self, source: Any, pictures: list[Any], fps: int) -> None:
        self.source = source
        self.pictures = pictures
        self.fps = fps
        self.sent = 0
        self.over = False
        GLib.timeout_add(max(1, 1000 // fps), self.push)

    def push(self) -> bool:
        """Hand over what is due; False ends it."""
        clock = self.source.get_clock()
        if self.over or clock is None:
            return not self.over
        now = clock.get_time() - self.source.get_base_time()
        while self.sent * Gst.SECOND // self.fps <= now:
            buffer = self.pictures[self.sent % len(self.pictures)].copy()
            buffer.pts = buffer.dts = self.sent * Gst.SECOND // self.fps
            buffer.duration = Gst.SECOND // self.fps
            self.sent += 1
            if self.source.emit("push-buffer", buffer) == Gst.FlowReturn.EOS:
                return False
        return True


def split(data: bytes, codec: str) -> list[Any]:
    """Cut Annex B bytes at their access unit delimiters (type 9 of H.264 7.4.1, 35 of H.265 7.4.2.2)."""
    mark = b"\0\0\0\1\x09" if codec == "h264" else b"\0\0\0\1\x46\x01"
    return [Gst.Buffer.new_wrapped(mark + part) for part in data.split(mark)[1:]]


class Server:
    """The server with its mounts."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.frozen: dict[str, bool] = {}
        self.pictures: dict[str, list[Any]] = {}
        self.media: dict[str, list[Any]] = {}
        self.server = GstRtspServer.RTSPServer()
        self.server.set_address(spec["host"])
        self.server.set_service(str(spec.get("port", 0)))
        if spec.get("username"):
            self.server.set_auth(self.auth())
        for path in spec["mounts"]:
            self.add(path)
        if self.server.attach(None) == 0:
            raise SystemExit("cannot listen")

    def auth(self) -> Any:
        """Digest authentication; the realm is in the hash of the password."""
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", ROLE)
        auth.add_digest(self.spec["username"], self.spec["password"], token)
        return auth

    def add(self, path: str) -> None:
        mount = self.spec["mounts"][path]
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(mount["launch"])
        factory.set_shared(True)
        factory.set_latency(0)
        factory.set_protocols(TRANSPORTS[mount.get("protocols", "both")])
        if self.spec.get("username"):
            for permission in ("media.factory.access", "media.factory.construct"):
                factory.add_role_from_structure(permitted(permission))
        factory.connect("media-configure", lambda _factory, media: self.configured(path, media))
        self.server.get_mount_points().add_factory(path, factory)

    def configured(self, path: str, media: Any) -> None:
        running = self.media.setdefault(path, [])
        running.append(media)
        mount = self.spec["mounts"][path]
        loop = None
        if mount.get("file"):
            if path not in self.pictures:
                with open(mount["file"], "rb") as file:
                    self.pictures[path] = split(file.read(), mount["codec"])
            loop = Loop(media.get_element().get_by_name(LOOP), self.pictures[path], mount["fps"])

        def unprepared(gone: Any) -> None:
            if loop:
                loop.over = True
            if gone in running:
                running.remove(gone)

        media.connect("unprepared", unprepared)
        self.shut(media, self.frozen.get(path, False))

    @staticmethod
    def shut(media: Any, shut: bool) -> None:
        valve = media.get_element().get_by_name(VALVE)
        if valve:
            valve.set_property("drop", shut)

    def freeze(self, path: str, frozen: bool) -> None:
        self.frozen[path] = frozen
        for media in self.media.get(path, []):
            self.shut(media, frozen)

    def drop(self) -> int:
        """Close every connection."""
        clients: list[Any] = []

        def each(_server: Any, client: Any) -> Any:
            clients.append(client)
            return GstRtspServer.RTSPFilterResult.REF

        self.server.client_filter(each)
        for client in clients:
            client.close()
        return len(clients)

    def obey(self, line: str) -> bool:
        """Carry out one command."""
        word, _, path = line.strip().partition(" ")
        answer: dict[str, Any] = {"ok": True}
        if word == "remove":
            self.server.get_mount_points().remove_factory(path)
        elif word == "add":
            self.add(path)
        elif word in ("freeze", "thaw"):
            self.freeze(path, word == "freeze")
        elif word == "drop":
            answer["clients"] = self.drop()
        elif word == "clients":
            answer["clients"] = len(self.server.client_filter(lambda *_: GstRtspServer.RTSPFilterResult.REF))
        else:
            answer = {"ok": False, "error": line}
        print(json.dumps(answer), flush=True)
        return False


def permitted(permission: str) -> Any:
    """A role that may do something."""
    role = Gst.Structure.new_empty(ROLE)
    role.set_value("media.factory.access", True)
    role.set_value("media.factory.construct", True)
    role.set_value(permission, True)
    return role


def main() -> None:
    """Serve until standard input ends."""
    Gst.init(None)
    server = Server(json.loads(sys.argv[1]))
    loop = GLib.MainLoop()

    def read() -> None:
        for line in sys.stdin:
            if line.strip() == "quit":
                break
            GLib.idle_add(server.obey, line)
        loop.quit()

    threading.Thread(target=read, daemon=True).start()
    print(json.dumps({"ready": server.server.get_bound_port()}), flush=True)
    loop.run()


if __name__ == "__main__":
    main()
