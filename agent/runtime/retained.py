"""What the broker keeps of this school: the state of every point, the inventory of devices, cameras and paths. Each is
published when it has changed, all of it on a new connection, and emptied when it is no longer configured."""

from collections.abc import Iterable, Mapping

from agent.config.models import Config
from agent.model import JsonValue
from agent.runtime.status import Parts, dump, inventory, retained, state_payload


class Retained:
    """Publishes what is retained, and remembers what was told."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._told: dict[str, bytes] = {}
        self._told_config: Config | None = None

    def births(self) -> Iterable[tuple[str, bytes]]:
        """What a new connection sends, remembered as told."""
        self._told_config = self._told_config or self._parts.config
        for topic, raw in retained(self._parts):
            self._told[topic] = raw
            yield topic, raw

    def states(self) -> None:
        """Publish what has changed of the points and devices; after a change of configuration, of all."""
        self._parts.uplink.tell_drill()
        for view in self._parts.engine.views():
            self._publish(f"state/{view.device}/{view.point}", state_payload(view))
        self.devices()
        if self._told_config is not self._parts.config:
            self._told_config = self._parts.config
            self._empty_removed()
            self.cameras()
            for path in self._parts.config.paths:
                self.path(path.id)

    def devices(self) -> None:
        """Publish the inventory of devices."""
        for device in self._parts.config.devices:
            if device.id in self._parts.links:
                self._publish(f"inventory/{device.id}", inventory(device, self._parts))

    def cameras(self) -> None:
        """Publish the inventory of cameras. Not with every event, as of devices: there may be 200."""
        for camera in self._parts.config.cameras:
            self._publish(f"inventory/{camera.id}", self._parts.household.cameras.inventory(camera))

    def camera(self, id_: str) -> None:
        """Publish the inventory of one camera."""
        for camera in self._parts.config.cameras:
            if camera.id == id_:
                self._publish(f"inventory/{id_}", self._parts.household.cameras.inventory(camera))

    def path(self, id_: str) -> None:
        """Publish the inventory of one second path."""
        if told := self._parts.paths.inventory(id_):
            self._publish(f"inventory/{id_}", told)

    def _empty_removed(self) -> None:
        """Empty what the broker retains of points and devices that the configuration no longer has."""
        topics = {f"state/{view.device}/{view.point}" for view in self._parts.engine.views()}
        topics |= {f"inventory/{device.id}" for device in self._parts.config.watched}
        for topic in [topic for topic in self._told if topic not in topics]:
            del self._told[topic]
            self._parts.uplink.publish_retained(topic, b"")

    def _publish(self, topic: str, payload: Mapping[str, JsonValue]) -> None:
        raw = dump(payload)
        if self._told.get(topic) != raw:
            self._told[topic] = raw
            self._parts.uplink.publish_retained(topic, raw)
