"""What simulated cameras show: scenes, damage, films, moves."""

from typing import get_args

import av
import cv2
import numpy as np
import pytest

from agent.demo.camera.degrade import LEVELS, degrade
from agent.demo.camera.events import TOPICS, put_in_words
from agent.demo.camera.feed import Looped
from agent.demo.camera.film import Encoder, FilmKey, Films, images, shoot
from agent.demo.camera.pictures import Image, View, draw
from agent.demo.camera.rtp import VideoCodec
from agent.demo.camera.spec import EventKind, EventSpec, PictureMode, SceneName, StreamSpec
from agent.demo.camera.turret import FULL_RANGE_S, Turret

SIZE = (320, 180)
SMALL = StreamSpec(width=320, height=180, fps=5, kbps=200, gop=5)


def luma(image: Image) -> float:
    return float(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean())


@pytest.mark.parametrize("scene", get_args(SceneName))
def test_scenes_are_the_same_for_the_same_time_and_move_with_it(scene: SceneName) -> None:
    first = draw(scene, 1.0, SIZE, label="x")
    assert first.shape == (180, 320, 3)
    assert np.array_equal(first, draw(scene, 1.0, SIZE, label="x"))
    assert cv2.absdiff(first, draw(scene, 2.0, SIZE, label="x")).max() > 60
    assert luma(draw(scene, 1.0, SIZE, light="night")) < luma(first) / 2
    assert not np.array_equal(draw(scene, 1.0, SIZE, view=View(-1)), draw(scene, 1.0, SIZE, view=View(1)))


@pytest.mark.parametrize("mode", [mode for mode in get_args(PictureMode) if mode not in ("ok", "frozen")])
def test_damage_grows_with_its_level(mode: PictureMode) -> None:
    good = draw("gate", 1.0, SIZE)
    off = [float(cv2.absdiff(good, degrade(good, mode, level)).mean()) for level in range(1, LEVELS + 1)]
    assert off[0] > 2.5
    assert off[-1] > off[0]
    assert degrade(good, mode, 3).shape == good.shape


def test_a_frozen_film_repeats_one_picture() -> None:
    pictures = list(images(FilmKey(SMALL, "gate", picture="frozen", loop_s=1)))
    assert all(np.array_equal(pictures[0], picture) for picture in pictures)
    assert np.array_equal(degrade(pictures[0], "ok"), pictures[0])


@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_a_film_is_whole_groups_of_pictures_that_can_be_decoded(codec: VideoCodec) -> None:
    film = shoot(FilmKey(SMALL.model_copy(update={"codec": codec}), "yard", loop_s=2))
    assert [number for number, frame in enumerate(film.frames) if frame.keyframe] == [0, 5]
    assert film.sets.sps
    assert bool(film.sets.vps) == (codec == "h265")


def test_what_the_encoder_gives_is_what_was_drawn() -> None:
    encoder = Encoder(SMALL)
    drawn = draw("corridor", 1.0, SIZE)
    (coded,) = encoder.encode(drawn)
    decoder = av.CodecContext.create("h264", "r")
    frames = decoder.decode(av.Packet(coded)) + decoder.decode(None)
    assert cv2.absdiff(frames[0].to_ndarray(format="bgr24"), drawn).mean() < 12


async def test_equal_cameras_share_a_film() -> None:
    films = Films()
    key = FilmKey(SMALL, "gate", loop_s=1)
    assert await films.get(key) is await films.get(FilmKey(SMALL, "gate", loop_s=1))


def test_another_film_begins_with_its_keyframe_at_once() -> None:
    first, second = (shoot(FilmKey(SMALL, "gate", picture=picture, loop_s=1)) for picture in ("ok", "black"))
    looped = Looped(first)
    assert looped.pictures(17) == (first.frames[0],)
    assert looped.pictures(18) == (first.frames[1],)
    looped.change(second)
    assert looped.pictures(19) == (second.frames[0],)
    assert looped.pictures(24) == (second.frames[0],)


def test_a_turret_moves_stops_and_remembers() -> None:
    now_s = 0.0
    turret = Turret(lambda: now_s)
    turret.move(View(pan=1.0), seconds=1.0)
    now_s = 0.5
    assert turret.moving
    assert turret.view().pan == pytest.approx(0.5 * 2 / FULL_RANGE_S)
    now_s = 9.0
    assert not turret.moving
    assert turret.view().pan == pytest.approx(2 / FULL_RANGE_S)
    token = turret.save("gate")
    turret.move(View(pan=-1.0, zoom=1.0))
    now_s = 11.0
    turret.stop()
    now_s = 30.0
    assert turret.view().pan == pytest.approx(2 / FULL_RANGE_S - 1.0)
    turret.goto(token)
    assert turret.view().pan == pytest.approx(2 / FULL_RANGE_S)
    with pytest.raises(KeyError):
        turret.goto("99")
    with pytest.raises(KeyError):
        turret.save("x", "99")


@pytest.mark.parametrize("kind", get_args(EventKind))
def test_every_kind_of_event_has_its_topic(kind: EventKind) -> None:
    topic, source, data = put_in_words(EventSpec(kind=kind, active=True, source="fence"))
    assert topic.startswith("tns1:")
    assert "fence" in source.values()
    assert data[TOPICS[kind][2]] == "true"


def test_an_event_may_have_a_topic_of_its_own() -> None:
    event = EventSpec(topic="tnshik:X/Y", sources={"a": "b"}, data={"c": "1"})
    assert put_in_words(event) == ("tnshik:X/Y", {"a": "b"}, {"c": "1"})
    with pytest.raises(ValueError, match="kind or a topic"):
        put_in_words(EventSpec())
