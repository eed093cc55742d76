"""One stream for many viewers: one membership in the hub and one muxer, from the first viewer to the last.

The muxer runs in the stream's reader thread (some 30 us a picture); what it makes goes to the loop through a bounded
queue, and from there to every viewer. A viewer that comes later starts with the last keyframe and what followed it.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from agent.camera import CameraError, StreamRole
from agent.control.media import frame
from agent.skyeye.live.fragments import CannotMux, Fragment, Fragmenter
from agent.skyeye.model import Packet, PacketSink, StreamInfo
from agent.texts import Text, say

GOP_BYTES: Final = 6 << 20
"""What is kept for a viewer that comes later. "Smart" codecs have a keyframe in minutes, but then little in between;
a stream with more than this from keyframe to keyframe is joined at the next keyframe."""
BEHIND_LIMIT: Final = 256
"""Fragments that the loop may be behind: ten seconds of one stream, which no healthy loop ever is."""


class Membership(Protocol):
    """A place in the hub's stream."""

    def leave(self) -> None: ...


class Hub(Protocol):
    """What is needed of the hub of streams (agent.skyeye.streams)."""

    def join(self, camera: str, role: StreamRole, sink: PacketSink, *, name: str) -> Membership: ...


class Viewer(Protocol):
    """Somebody who gets a stream. All are called in the loop, and must not wait. Data has its length in front."""

    def begin(self, mime: str, start: Sequence[bytes]) -> None:
        """The stream begins, with its head and what there is since the last keyframe."""
        ...

    def data(self, framed: bytes, keyframe: bool) -> None: ...

    def end(self, text: Text | None) -> None:
        """Nothing more comes; the reason if it is a failure."""
        ...


class Channel(ABC):
    """What all formats share. Used in the loop."""

    def __init__(self, hub: Hub, camera: str, role: StreamRole) -> None:
        self._hub = hub
        self._camera = camera
        self._role = role
        self._viewers: set[Viewer] = set()
        self._waiting: set[Viewer] = set()
        """Those who have not begun."""
        self._feed: Feed | None = None
        self._membership: Membership | None = None
        self._reset()

    def _reset(self) -> None:
        self._mime: str | None = None
        self._head: bytes = b""
        self._since: list[bytes] = []
        self._since_bytes = 0
        self._whole = False
        """Whether `_since` begins with a keyframe and has all that followed."""

    def __len__(self) -> int:
        return len(self._viewers)

    def add(self, viewer: Viewer) -> None:
        """Let one more see it; the first one opens the stream."""
        self._viewers.add(viewer)
        if self._mime and self._whole:
            viewer.begin(self._mime, self._start())
        else:
            self._waiting.add(viewer)
        if self._membership is None:
            self._feed = self.make_feed(asyncio.get_running_loop())
            self._membership = self._hub.join(self._camera, self._role, self._feed, name="live")

    def remove(self, viewer: Viewer) -> None:
        """Let one go; with the last one the stream is left. Idempotent."""
        self._viewers.discard(viewer)
        self._waiting.discard(viewer)
        if not self._viewers and self._membership and self._feed:
            self._feed.stopped = True
            self._membership.leave()
            self._membership = self._feed = None
            self._reset()

    @abstractmethod
    def make_feed(self, loop: asyncio.AbstractEventLoop) -> "Feed":
        """Make what listens in the reader's thread."""

    def begun(self, mime: str, head: bytes) -> None:
        """The stream's type and head are known."""
        self._reset()
        self._mime = mime
        self._head = frame(head) if head else b""

    def send(self, payload: bytes, keyframe: bool) -> None:
        """Hand one piece to everybody."""
        if self._mime is None:
            return
        framed = frame(payload)
        self._keep(framed, keyframe)
        for viewer in tuple(self._viewers - self._waiting if self._waiting else self._viewers):
            viewer.data(framed, keyframe)
        if self._whole and self._waiting:
            for viewer in tuple(self._waiting):
                self._waiting.discard(viewer)
                viewer.begin(self._mime, self._start())

    def _keep(self, framed: bytes, keyframe: bool) -> None:
        if keyframe:
            self._since, self._since_bytes, self._whole = [], 0, True
        if not self._whole:
            return
        self._since.append(framed)
        self._since_bytes += len(framed)
        if self._since_bytes > GOP_BYTES and len(self._since) > 1:
            self._since, self._since_bytes, self._whole = [], 0, False

    def _start(self) -> list[bytes]:
        return [self._head, *self._since] if self._head else [*self._since]

    def ended(self, text: Text | None) -> None:
        """The stream has failed or starts anew: who still wants it asks again."""
        self._reset()
        for viewer in tuple(self._viewers):
            viewer.end(text)


class Feed(ABC):
    """Listens to the stream in its reader's thread, and hands on to the loop."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._posted: deque[Callable[[], None]] = deque()
        self.stopped = False
        """Set in the loop when nobody listens any more."""

    @abstractmethod
    def opened(self, info: StreamInfo) -> None: ...

    @abstractmethod
    def packet(self, packet: Packet) -> None: ...

    def lost(self, error: CameraError) -> None:
        """The stream has ended; the hub tries again."""
        self.post(lambda: self._channel.ended(error.text))

    def full(self) -> bool:
        """Whether the loop is too far behind."""
        return len(self._posted) >= BEHIND_LIMIT

    def post(self, act: Callable[[], None]) -> None:
        """Have something done in the loop, in order. An end of the stream is posted even when `full`; there are
        few of them."""
        self._posted.append(act)
        if len(self._posted) == 1 and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        for _ in range(len(self._posted)):
            act = self._posted.popleft()
            if not self.stopped:
                act()
        if self._posted:
            self._loop.call_soon(self._take)


class FragmentChannel(Channel):
    """Fragmented MP4."""

    def make_feed(self, loop: asyncio.AbstractEventLoop) -> Feed:
        """Make the muxing end."""
        return FragmentFeed(self, loop)


class FragmentFeed(Feed):
    """Muxes."""

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(channel, loop)
        self._info: StreamInfo | None = None
        self._fragmenter: Fragmenter | None = None
        self._dropping = False

    def opened(self, info: StreamInfo) -> None:
        """A new stream, or one that has changed: a new head is due."""
        if self._fragmenter:
            self.post(lambda: self._channel.ended(None))
        self._info, self._fragmenter, self._dropping = info, None, False

    def lost(self, error: CameraError) -> None:
        """Nothing of the old stream goes on in a new one."""
        self._info = self._fragmenter = None
        super().lost(error)

    def packet(self, packet: Packet) -> None:
        """Mux one picture."""
        if self._info is None:
            return
        try:
            if self._fragmenter is None:
                if packet.keyframe:
                    self._begin(self._info, packet)
                return
            fragment = self._fragmenter.feed(packet)
        except CannotMux:
            codec, self._info, self._fragmenter = self._info.codec, None, None  # until it opens anew
            self.post(lambda: self._channel.ended(say("live.cannot-play", codec=codec)))
            return
        self._hand_on(fragment)

    def _begin(self, info: StreamInfo, packet: Packet) -> None:
        made = self._fragmenter = Fragmenter(info, packet)
        self.post(lambda: self._channel.begun(made.mime, made.init))

    def _hand_on(self, fragment: Fragment) -> None:
        if self.full():
            self._dropping = True
        elif fragment.keyframe:
            self._dropping = False
        if not self._dropping and fragment.data:
            self.post(lambda: self._channel.send(fragment.data, fragment.keyframe))
