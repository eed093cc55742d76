"""Cameras inspected (探头站岗): one layer by layer, all of them in rounds, and faults told once they are sure."""

from agent.skyeye.inspect.confirm import Confirmer, FaultChange
from agent.skyeye.inspect.inspector import Inspector
from agent.skyeye.inspect.rounds import Progress, Rounds

__all__ = ["Confirmer", "FaultChange", "Inspector", "Progress", "Rounds"]
