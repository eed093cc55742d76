"""Live streams out of the eye: for browsers on the media socket, and pushed to the district's media server."""

from agent.skyeye.live.push import Pusher, PushRefused
from agent.skyeye.live.server import MediaServer
from agent.skyeye.live.target import BadTarget

__all__ = ["BadTarget", "MediaServer", "PushRefused", "Pusher"]
