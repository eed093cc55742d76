"""Analysis of pictures on the gateway, for cameras that cannot do it themselves: who crosses a line, enters a zone,
stays, gathers, or leaves something behind."""

from agent.skyeye.analysis.analyser import Analyser
from agent.skyeye.analysis.analyst import Analyst
from agent.skyeye.analysis.detector import Detection, Detector, DetectorError

__all__ = ["Analyser", "Analyst", "Detection", "Detector", "DetectorError"]
