"""Judging pictures: black, white, frozen, blurred, covered, off colour, snowy, striped, moved, dull; against what each
camera usually looks like at that hour.
"""

from agent.skyeye.quality.baseline import BadBaseline, Baseline
from agent.skyeye.quality.features import Features, measure
from agent.skyeye.quality.rest import Rest
from agent.skyeye.quality.shelf import Shelf
from agent.skyeye.quality.verdicts import Judged, examine, judge

__all__ = ["BadBaseline", "Baseline", "Features", "Judged", "Rest", "Shelf", "examine", "judge", "measure"]
