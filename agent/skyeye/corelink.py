"""The eye's way to the core: one queue, one connection, and what could not be told is told again.

Events wait for their place in the chain; faults and inventories of one camera replace each other while they wait, as
only the last word counts. The queue is bounded: when the core is away for so long that it fills up, the eye's own
events go first, which is counted and said once.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from agent.backoff import Backoff
from agent.clock import Clock
from agent.control import ControlClient, ControlError, DaemonDown
from agent.control.protocol import dump_line, text_wire
from agent.logs import Loudness
from agent.model import JsonValue
from agent.texts import Text, say

log = logging.getLogger(__name__)

QUEUE_LIMIT: Final = 2_000
"""Two hundred cameras with ten words each: the core is away for seconds, not for hours, as we end with it."""
RETRY_CAP_S: Final = 5.0
"""The core is on this machine; it is away only while it hangs."""

WORD_LIMIT: Final = 128 * 1024
"""Bytes of a call: half of what the core reads of one. It hangs up on a longer one, which would then stand before all
others for ever, again and again; and only a camera that sends rubbish makes such words."""

Key = tuple[str, ...]


@dataclass(slots=True)
class Word:
    """One call that is to be made. `done` gets the answer, or None when the word was refused or dropped."""

    method: str
    params: dict[str, JsonValue]
    done: asyncio.Future[JsonValue] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, answer: JsonValue) -> None:
        if not self.done.done():
            self.done.set_result(answer)


class CoreLink:
    """What the eye tells the core (agent.skyeye.model.Core)."""

    def __init__(self, connect: Callable[[], ControlClient], clock: Clock) -> None:
        self._connect = connect
        self._clock = clock
        self._waiting: OrderedDict[Key, Word] = OrderedDict()
        self._more = asyncio.Event()
        self._number = 0
        self._loudness = Loudness()
        self.dropped = 0

    async def event(
        self, camera: str | None, type_: str, data: Mapping[str, JsonValue], *, drill: bool = False
    ) -> None:
        """Tell an event; returns when it is in the chain, or was refused."""
        await self.event_id(camera, type_, data, drill=drill)

    async def event_id(
        self,
        camera: str | None,
        type_: str,
        data: Mapping[str, JsonValue],
        *,
        seen_ns: int | None = None,
        drill: bool = False,
    ) -> str | None:
        """Tell an event and return its id; None when the core would not have it."""
        params: dict[str, JsonValue] = {
            "camera": camera,
            "type": type_,
            "data": dict(data),
            "seen_ns": self._clock.boottime_ns() if seen_ns is None else seen_ns,
            **({"drill": True} if drill else {}),
        }
        answer = await self._tell("eye-event", params).done
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else None

    async def fault(self, camera: str | None, fault: str, text: Text | None) -> None:
        """Raise a fault, or clear it. Only the last word on one fault counts."""
        params: dict[str, JsonValue] = {"camera": camera, "fault": fault, "text": text_wire(text) if text else None}
        await self._tell("eye-fault", params, key=("fault", camera or "", fault)).done

    async def sample(self, camera: str, inputs: Sequence[str], active: bool) -> None:
        """Set inputs of a camera's points."""
        params: dict[str, JsonValue] = {
            "camera": camera,
            "inputs": [*inputs],
            "active": active,
            "seen_ns": self._clock.boottime_ns(),
        }
        await self._tell("eye-sample", params).done

    async def inventory(self, camera: str, facts: Mapping[str, JsonValue]) -> None:
        """Tell what a camera is."""
        await self._tell("eye-inventory", {"camera": camera, "facts": dict(facts)}, key=("inventory", camera)).done

    async def run(self) -> None:
        """Make the calls, one after another, until cancelled."""
        backoff = Backoff(RETRY_CAP_S)
        while True:
            backoff.started(self._clock.boottime_ns())
            try:
                async with self._connect() as client:
                    self._loudness.over("core")
                    await self._serve(client)
            except DaemonDown as error:
                log.log(self._loudness.level("core", error.text.key), say("skyeye.core-away", error=error.text))
            await self._clock.sleep(backoff.failed(self._clock.boottime_ns()))

    async def _serve(self, client: ControlClient) -> None:
        while True:
            self._more.clear()
            while self._waiting:
                key, word = next(iter(self._waiting.items()))
                try:
                    answer = await client.call(word.method, **word.params)
                except ControlError as error:
                    log.log(self._loudness.level(word.method, error.text.key), error.text)
                    answer = None
                if self._waiting.get(key) is word:  # a newer word may have taken its place meanwhile
                    del self._waiting[key]
                word.settle(answer)
            await self._more.wait()

    def _tell(self, method: str, params: dict[str, JsonValue], key: Key | None = None) -> Word:
        if key is None:
            self._number += 1
            key = ("", str(self._number))
        word = Word(method, params)
        if not speakable(params):
            self.dropped += 1
            log.log(self._loudness.level("unspeakable", method), say("skyeye.unspeakable", method=method))
            word.settle(None)
            return word
        if (old := self._waiting.pop(key, None)) is not None:
            old.settle(None)
        elif len(self._waiting) >= QUEUE_LIMIT:
            self._drop()
        self._waiting[key] = word
        self._more.set()
        return word

    def _drop(self) -> None:
        """Make room: the oldest event goes; faults and inventories replace each other and stay."""
        key = next((key for key in self._waiting if not key[0]), next(iter(self._waiting)))
        self._waiting.pop(key).settle(None)
        self.dropped += 1
        log.log(self._loudness.level("dropped", "dropped"), say("skyeye.dropped", limit=QUEUE_LIMIT))


def speakable(params: Mapping[str, JsonValue]) -> bool:
    """Whether the core can be told this: half a pair of surrogates, or a name of a megabyte, come from cameras too."""
    try:
        return len(dump_line(params)) <= WORD_LIMIT
    except (ValueError, TypeError, RecursionError):
        return False
