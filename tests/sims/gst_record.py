"""A media server that takes pushes: GStreamer's RTSP server in record mode. Run by Debian's python3.

`gst_record.py FILE [USER PASSWORD]` prints its port, and writes what comes to `/push` into FILE as Annex B.
"""

import sys

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

ROLE = "pusher"


def main() -> None:
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_service("0")
    server.set_address("127.0.0.1")
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_latency(50)
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse ! video/x-h264,stream-format=byte-stream,alignment=au ! "
        f'filesink location="{sys.argv[1]}" buffer-mode=unbuffered )'
    )
    if len(sys.argv) > 2:
        auth = GstRtspServer.RTSPAuth()
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", ROLE)
        auth.add_digest(sys.argv[2], sys.argv[3], token)
        server.set_auth(auth)
        role = Gst.Structure.new_empty(ROLE)
        for right in ("media.factory.access", "media.factory.construct"):
            role.set_value(right, True)
        factory.add_role_from_structure(role)
    server.get_mount_points().add_factory("/push", factory)
    server.attach(None)
    print(server.get_bound_port(), flush=True)
    GLib.MainLoop().run()


main()
