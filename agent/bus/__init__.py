"""Shared serial lines: how a byte port is opened, who may speak when, and how long a word takes."""

from agent.bus.bus import Bus, BusSeat, BusStats

__all__ = ["Bus", "BusSeat", "BusStats"]
