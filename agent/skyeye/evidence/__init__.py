"""Files that prove something: kept under a quota, hashed, and sent to the district."""

from agent.skyeye.evidence.store import EvidenceStore, NoRoom
from agent.skyeye.evidence.upload import Uploader

__all__ = ["EvidenceStore", "NoRoom", "Uploader"]
