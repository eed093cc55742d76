"""Shared serial lines: how a byte port is opened, who may speak when, and how long a word takes."""

from agent.bus.bus import Bus, BusSeat, BusStats
from agent.bus.own import OwnLine, own_line

__all__ = ["Bus", "BusSeat", "BusStats", "OwnLine", "own_line"]
