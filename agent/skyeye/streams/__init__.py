"""The streams of cameras: opened once, shared, kept for some seconds, cut into clips, and looked at."""

from agent.skyeye.streams.clip import ClipFacts, write_clip
from agent.skyeye.streams.clips import ClipTaker
from agent.skyeye.streams.decode import decode_keyframe, jpeg
from agent.skyeye.streams.hub import Membership, Running, StreamHub
from agent.skyeye.streams.ring import FrozenRing, Ring, RingBudget

__all__ = [
    "ClipFacts",
    "ClipTaker",
    "FrozenRing",
    "Membership",
    "Ring",
    "RingBudget",
    "Running",
    "StreamHub",
    "decode_keyframe",
    "jpeg",
    "write_clip",
]
