"""What surrounds a second path when nothing else of the agent does."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from agent.bus import OwnLine, own_line
from agent.clock import Clock, SystemClock
from agent.driver import Notice, PathSite, SerialPort
from agent.texts import Text

SITE = PathSite("370812", "sy-primary", "兖州区实验小学", "zh-CN")


class RecordedPathLink:
    """What a path did (agent.driver.PathLink)."""

    def __init__(self, clock: Clock | None = None, site: PathSite = SITE) -> None:
        self.clock: Clock = clock or SystemClock("Asia/Shanghai")
        self.site = site
        self.steps: list[Text] = []
        self.values: dict[str, str] = {}

    def serial(self, settings: SerialPort) -> AbstractAsyncContextManager[OwnLine]:
        return own_line(settings)

    def step(self, text: Text) -> None:
        self.steps.append(text)

    def saved(self, name: str) -> str | None:
        return self.values.get(name)

    async def save(self, name: str, value: str) -> None:
        self.values[name] = value

    @property
    def keys(self) -> list[str]:
        """The steps by name."""
        return [step.key for step in self.steps]


def notice(**more: Any) -> Notice:
    """An alarm of a panic button."""
    values: dict[str, Any] = {
        "id": "01JD0000000000000000000001",
        "what": "alarm",
        "alarm": "01JD0000000000000000000000",
        "kind": "panic",
        "priority": 1,
        "device": "guardroom",
        "point": "panic",
        "name": "门卫室一键报警",
        "text": "门卫室一键报警：一键报警触发",
        "time": datetime.fromisoformat("2026-11-23T08:00:05+08:00"),
        "zone": 5,
    }
    return Notice(**(values | more))
