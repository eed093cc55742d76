"""ONVIF events through PullPoint (ONVIF Core 9.2): few slots, lifetimes, held requests, and messages that wait."""

import asyncio
import contextlib
import itertools
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from agent.demo.camera.camera import Camera
from agent.demo.camera.soap import BadSoap, Call, Fault, escape, items, parse_span, stamp
from agent.demo.camera.spec import EventKind, EventSpec

LIFETIME_S: Final = 60.0
"""Of a subscription that names none."""
MOST_S: Final = 3600.0
HOLD_MOST_S: Final = 60.0
"""The longest that PullMessages is held."""
WAITING_MOST: Final = 200
"""Messages that a subscription keeps; the oldest go."""
CONCRETE: Final = "http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet"
RULE: Final = {"VideoSourceConfigurationToken": "vsc_1", "VideoAnalyticsConfigurationToken": "vac_1"}
TOPICS: Final[dict[EventKind, tuple[str, str, str]]] = {
    "motion": ("tns1:RuleEngine/CellMotionDetector/Motion", "Rule", "IsMotion"),
    "tamper": ("tns1:RuleEngine/TamperDetector/Tamper", "Rule", "IsTamper"),
    "input": ("tns1:Device/Trigger/DigitalInput", "InputToken", "LogicalState"),
    "line-crossed": ("tns1:RuleEngine/LineDetector/Crossed", "Rule", "ObjectId"),
    "intrusion": ("tns1:RuleEngine/FieldDetector/ObjectsInside", "Rule", "IsInside"),
    "loitering": ("tns1:RuleEngine/LoiteringDetector/ObjectIsLoitering", "Rule", "State"),
    "crowd": ("tns1:RuleEngine/CrowdDetector/Crowd", "Rule", "State"),
    "sound": ("tns1:AudioAnalytics/Audio/DetectedSound", "Rule", "IsSoundDetected"),
    "signal-lost": ("tns1:VideoSource/SignalLoss", "Source", "State"),
    "blurred": ("tns1:VideoSource/ImageTooBlurry/ImagingService", "Source", "State"),
}
"""Topic, the source item that names the rule, and the data item, of each kind."""
PULL: Final = "/onvif/pull/"


@dataclass
class Subscription:
    """One PullPoint."""

    until_s: float
    messages: deque[str] = field(default_factory=lambda: deque(maxlen=WAITING_MOST))
    news: asyncio.Event = field(default_factory=asyncio.Event)


def put_in_words(event: EventSpec) -> tuple[str, dict[str, str], dict[str, str]]:
    """Topic, source items and data items of an event. Raises ValueError for one with neither kind nor topic."""
    if event.topic:
        return event.topic, dict(event.sources), dict(event.data)
    if event.kind is None:
        raise ValueError("an event needs a kind or a topic")
    topic, source, data = TOPICS[event.kind]
    named = {source: event.source, **event.sources}
    if source == "Rule":
        named = {**RULE, **named}
    value = event.source if event.active is None else str(event.active).lower()
    return topic, named, {data: value, **event.data}


class Events:
    """The event service of one camera."""

    def __init__(self, camera: Camera) -> None:
        self.subscriptions: dict[str, Subscription] = {}
        self._camera = camera
        self._numbers = itertools.count(1)
        self._state: dict[tuple[str, str], tuple[str, dict[str, str], dict[str, str]]] = {}
        """The last of each property, told to each new subscription."""

    def push(self, event: EventSpec) -> None:
        """Tell all subscriptions. Raises ValueError."""
        topic, source, data = put_in_words(event)
        if event.active is not None:
            self._state[topic, str(sorted(source.items()))] = topic, source, data
        operation = "Changed" if event.active is not None else ""
        message = self._message(topic, source, data, operation)
        self._expire()
        for subscription in self.subscriptions.values():
            subscription.messages.append(message)
            subscription.news.set()

    def _message(self, topic: str, source: dict[str, str], data: dict[str, str], operation: str) -> str:
        kind = f' PropertyOperation="{operation}"' if operation else ""
        return (
            f'<wsnt:NotificationMessage><wsnt:Topic Dialect="{CONCRETE}">{escape(topic)}</wsnt:Topic><wsnt:Message>'
            f'<tt:Message UtcTime="{stamp(self._camera.now())}"{kind}><tt:Source>{items(source)}</tt:Source><tt:Data>'
            f"{items(data)}</tt:Data></tt:Message></wsnt:Message></wsnt:NotificationMessage>"
        )

    def _expire(self) -> None:
        now_s = time.monotonic()
        for name, subscription in list(self.subscriptions.items()):
            if subscription.until_s < now_s:
                del self.subscriptions[name]
                subscription.news.set()

    def _lifetime(self, text: str | None) -> float:
        if not text:
            return LIFETIME_S
        try:
            return min(MOST_S, max(1.0, parse_span(text, self._camera.now())))
        except BadSoap as error:
            raise Fault("ter:InvalidArgVal", str(error)) from None

    def _times(self, subscription: Subscription, prefix: str) -> tuple[str, str]:
        now = self._camera.now()
        until = now + timedelta(seconds=max(0.0, subscription.until_s - time.monotonic()))
        return (
            f"<{prefix}:CurrentTime>{stamp(now)}</{prefix}:CurrentTime>",
            f"<{prefix}:TerminationTime>{stamp(until)}</{prefix}:TerminationTime>",
        )

    def create(self, call: Call, base: str) -> str:
        """CreatePullPointSubscription."""
        self._expire()
        lifetime_s = self._lifetime(call.text("InitialTerminationTime"))
        if len(self.subscriptions) >= self._camera.spec.event_slots:
            raise Fault("ter:Action", "the maximum of subscriptions is reached", sender=False)
        name = str(next(self._numbers))
        subscription = Subscription(time.monotonic() + lifetime_s)
        subscription.messages.extend(self._message(*words, "Initialized") for words in self._state.values())
        self.subscriptions[name] = subscription
        address = f"<wsa:Address>{escape(base + PULL + name)}</wsa:Address>"
        return (
            f"<tev:CreatePullPointSubscriptionResponse><tev:SubscriptionReference>{address}"
            f"</tev:SubscriptionReference>{''.join(self._times(subscription, 'wsnt'))}"
            "</tev:CreatePullPointSubscriptionResponse>"
        )

    async def call(self, name: str, call: Call) -> str:
        """An operation on a subscription."""
        self._expire()
        subscription = self.subscriptions.get(name)
        if subscription is None:
            raise Fault("wsnt:ResourceUnknownFault", "no such subscription")
        if call.name == "PullMessages":
            return await self._pull(subscription, call)
        if call.name == "Renew":
            subscription.until_s = time.monotonic() + self._lifetime(call.text("TerminationTime"))
            current, until = self._times(subscription, "wsnt")
            return f"<wsnt:RenewResponse>{until}{current}</wsnt:RenewResponse>"
        if call.name == "Unsubscribe":
            del self.subscriptions[name]
            subscription.news.set()
            return "<wsnt:UnsubscribeResponse/>"
        if call.name == "SetSynchronizationPoint":
            subscription.messages.extend(self._message(*words, "Initialized") for words in self._state.values())
            subscription.news.set()
            return "<tev:SetSynchronizationPointResponse/>"
        raise Fault("ter:ActionNotSupported", call.name)

    async def _pull(self, subscription: Subscription, call: Call) -> str:
        try:
            hold_s = min(HOLD_MOST_S, parse_span(call.text("Timeout") or "PT1S", self._camera.now()))
            most = max(1, int(call.text("MessageLimit") or "1"))
        except ValueError as error:
            raise Fault("ter:InvalidArgVal", str(error)) from None
        if not subscription.messages:
            subscription.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(subscription.news.wait(), max(0.0, hold_s))
        taken = [subscription.messages.popleft() for _ in range(min(most, len(subscription.messages)))]
        times = "".join(self._times(subscription, "tev"))
        return f"<tev:PullMessagesResponse>{times}{''.join(taken)}</tev:PullMessagesResponse>"

    @staticmethod
    def properties() -> str:
        """GetEventProperties: the topics, in short."""
        return (
            "<tev:GetEventPropertiesResponse><tev:TopicNamespaceLocation>http://www.onvif.org/onvif/ver10/topics/"
            "topicns.xml</tev:TopicNamespaceLocation><wsnt:FixedTopicSet>true</wsnt:FixedTopicSet><wstop:TopicSet>"
            '<tns1:RuleEngine><CellMotionDetector><Motion wstop:topic="true"/></CellMotionDetector></tns1:RuleEngine>'
            f"</wstop:TopicSet><wsnt:TopicExpressionDialect>{CONCRETE}</wsnt:TopicExpressionDialect>"
            "<tev:MessageContentFilterDialect>http://www.onvif.org/ver10/tev/messageContentFilter/ItemFilter"
            "</tev:MessageContentFilterDialect><tev:MessageContentSchemaLocation>http://www.onvif.org/onvif/ver10/"
            "schema/onvif.xsd</tev:MessageContentSchemaLocation></tev:GetEventPropertiesResponse>"
        )
