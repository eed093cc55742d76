"""Is a device heard? One watch per device; what does not speak for `offline_after` is offline, which is a fault.

A radio receiver says nothing while nobody presses a button. Such a device is not supervised: it is offline only when
its driver has failed, and did not come back for `offline_after`.
"""

from agent.alarms.faults import FaultBook
from agent.alarms.outcome import Batch
from agent.clock import NS_PER_S
from agent.config.models import DeviceSettings
from agent.texts import Text, say

OFFLINE = "offline"
"""The name of the fault."""


class DeviceWatch:
    """Supervises one device. A device that was never heard has its time from the start of the agent (or from when it
    was configured), so that a start raises no faults by itself."""

    __slots__ = ("_down_ns", "_heard_ns", "_reason", "offline", "settings")

    def __init__(self, settings: DeviceSettings, start_ns: int) -> None:
        self.settings = settings
        self.offline = False
        self._heard_ns = start_ns
        self._down_ns: int | None = start_ns
        """Since when the driver of an unsupervised device has not come to its device."""
        self._reason: Text | None = None

    @property
    def hardware(self) -> tuple[object, ...]:
        """What tells one piece of hardware from another: a device with the same name may have been replaced."""
        return self.settings.driver, self.settings.bus, self.settings.settings

    @property
    def due_ns(self) -> int | None:
        """When it will be offline if it stays silent; None once it is."""
        since_ns = self._heard_ns if self.settings.supervised else self._down_ns
        if self.offline or since_ns is None:
            return None
        return since_ns + round(self.settings.offline_after_s * NS_PER_S)

    def heard(self, batch: Batch, faults: FaultBook) -> None:
        """It spoke."""
        self._heard_ns = max(self._heard_ns, batch.now_ns)
        self._down_ns = None
        self._reason = None
        if self.offline:
            self.offline = False
            faults.clear(batch, self.settings.name, self.settings.id, None, OFFLINE)

    def failed(self, reason: Text, down_ns: int | None = None) -> None:
        """It cannot be read for this reason, or its driver gave up at `down_ns`. Only silence makes it offline, so a
        quick restart does not."""
        self._reason = reason
        if self._down_ns is None:
            self._down_ns = down_ns

    def tick(self, batch: Batch, faults: FaultBook) -> None:
        """Time has passed."""
        due_ns = self.due_ns
        if due_ns is None or batch.now_ns < due_ns:
            return
        self.offline = True
        settings = self.settings
        key = "alarms.offline-because" if self._reason else "alarms.offline"
        text = say(key, name=settings.name, seconds=f"{settings.offline_after_s:g}", reason=self._reason)
        faults.raise_(batch, settings.name, settings.id, None, OFFLINE, text)
