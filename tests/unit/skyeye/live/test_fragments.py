"""Fragmented MP4 out of packets: real coded pictures, decoded again."""

from dataclasses import replace
from typing import Literal

import pytest

from agent.skyeye.live.fragments import CannotMux, Fragment, Fragmenter
from agent.skyeye.model import Packet, StreamInfo
from tests.sims.gst import GstStream
from tests.sims.pictures import times_of
from tests.sims.player import packets_of


def stream(codec: Literal["h264", "h265"]) -> tuple[StreamInfo, tuple[Packet, ...]]:
    file = GstStream.loop(codec, width=320, height=180, fps=10, kbps=200, gop=10).file
    assert file
    return packets_of(file)


def muxed(info: StreamInfo, packets: tuple[Packet, ...]) -> tuple[Fragmenter, list[Fragment]]:
    fragmenter = Fragmenter(info, packets[0])
    return fragmenter, [fragmenter.feed(packet) for packet in packets[1:]]


@pytest.mark.parametrize(("codec", "name"), [("h264", "avc1."), ("h265", "hvc1.")])
def test_it_plays_from_any_keyframe(codec: Literal["h264", "h265"], name: str) -> None:
    info, packets = stream(codec)
    fragmenter, fragments = muxed(info, packets)
    assert fragmenter.mime.startswith(f'video/mp4; codecs="{name}')
    assert name.removesuffix(".").encode() in fragmenter.init
    assert len(times_of(fragmenter.init + b"".join(one.data for one in fragments))) == len(packets) - 1
    keys = [at for at, one in enumerate(fragments) if one.keyframe]
    assert keys == [at for at, packet in enumerate(packets[:-1]) if packet.keyframe]
    later = fragments[keys[-1] :]
    assert len(times_of(fragmenter.init + b"".join(one.data for one in later))) == len(later)


def test_each_fragment_is_one_picture() -> None:
    _, fragments = muxed(*stream("h264"))
    assert all(one.data[4:8] == b"moof" and one.data.count(b"mdat") == 1 for one in fragments)


def test_parameter_sets_of_the_description_alone_do() -> None:
    """Some cameras send them in the SDP only."""
    info, packets = stream("h264")
    marker = b"\x00\x00\x01\x65"
    first = packets[0]
    bare = replace(first, data=b"\x00" + first.data[first.data.index(marker) :])
    fragmenter = Fragmenter(info, bare)
    assert fragmenter.mime == Fragmenter(info, first).mime
    data = fragmenter.init + b"".join(fragmenter.feed(packet).data for packet in packets[1:10])
    assert len(times_of(data)) == 9
    with pytest.raises(CannotMux):
        Fragmenter(replace(info, extradata=b""), bare)


def test_times_that_stand_still_or_jump_do_not_end_it() -> None:
    info, packets = stream("h264")
    times = [0, 0, 9000, 9000, 4500, 18_000, 18_000]
    told = tuple(replace(packet, dts=dts, pts=dts) for packet, dts in zip(packets, times, strict=False))
    fragmenter, fragments = muxed(info, told)
    shown = times_of(fragmenter.init + b"".join(one.data for one in fragments))
    assert len(shown) == len(times) - 1
    assert shown == sorted(shown)


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4", "other"])
def test_what_browsers_do_not_play(codec: Literal["mjpeg", "mpeg4", "other"]) -> None:
    info, packets = stream("h264")
    with pytest.raises(CannotMux):
        Fragmenter(replace(info, codec=codec), packets[0])
