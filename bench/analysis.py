"""The analysis of pictures: what it finds of people in made sequences, and how often weather and light fool it."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import cv2
import numpy as np

from agent.camera import CameraEventKind
from agent.config.models import CameraSettings
from agent.skyeye.analysis import Analyst
from agent.skyeye.analysis.geometry import inside
from agent.skyeye.occurrences import Occurrences, Transition
from bench import plays
from bench.plays import Bag, Person, Place, Play, Stage
from bench.report import Result
from bench.scenes import SceneName
from drivers.rtsp import Rtsp

TUNING: Final = range(200, 206)
"""Seeds that thresholds were chosen with: of those from 100 to 560. Those from 9000 and from 23000 were reported once,
and not looked at either; what was missed with the latter (recall 0.81) was sought and found in others."""
REPORTING: Final = range(61_000, 61_006)
"""Seeds that nobody had looked at before the run that is reported."""
BEGAN: Final = datetime(2026, 11, 24, 12, tzinfo=UTC)
LATE_S: Final = 4.0
"""How late an event may be told: a few pictures to be sure, and their coding."""
DISTURBED_S: Final = 180.0
RECALL: Final = 0.9
PRECISION: Final = 0.9
FALSE_AN_HOUR: Final = 1.0
"""Alarms per camera and hour under steady disturbance: what a guard still takes seriously."""
CPU_SHARE: Final = 5.0
"""Percent of a core for one camera at 3 pictures a second of 640x360, decoding apart."""

ZONE: Final[tuple[Place, ...]] = ((0.36, 0.0), (1.0, 0.0), (1.0, 1.0), (0.36, 1.0))
FLOOR: Final[tuple[Place, ...]] = ((0.0, 0.3), (1.0, 0.3), (1.0, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class Expected:
    """One event that must be told."""

    kind: CameraEventKind
    from_s: float
    to_s: float
    topic: str = ""


@dataclass
class Act:
    """One sequence, what watches it, and what must come of it."""

    play: Play
    camera: CameraSettings
    expected: list[Expected] = field(default_factory=list)


@dataclass
class Score:
    """What came of some sequences."""

    expected: int = 0
    found: int = 0
    told: int = 0
    false: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    pictures: int = 0
    cpu_s: float = 0.0

    def add(self, other: "Score") -> None:
        """Put two scores together."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    @property
    def recall(self) -> float:
        return self.found / self.expected if self.expected else 1.0

    @property
    def precision(self) -> float:
        return 1 - len(self.false) / self.told if self.told else 1.0


def camera(zone: Sequence[Place] | None, line: tuple[Place, Place] | None = None, **more: Any) -> CameraSettings:
    """A camera with at most one zone and one line."""
    zones = [{"id": "zone", "polygon": tuple(zone), **more}] if zone else []
    lines = [{"id": "line", "start": line[0], "end": line[1]}] if line else []
    head = {"id": "c", "name": "c", "driver": "rtsp", "address": "192.0.2.1", "zone": zones, "line": lines}
    return CameraSettings.model_validate({**head, "settings": Rtsp()})


def coat(rng: np.random.Generator) -> tuple[float, float, float]:
    """Some are as grey as the ground."""
    blue, green, red = (float(v) for v in rng.integers(15, 225, 3))
    return blue, green, red


def stage(rng: np.random.Generator, seed: int, *, night: bool = False) -> Stage:
    names: tuple[SceneName, ...] = ("yard", "corridor", "gate")
    name = names[int(rng.integers(3))]
    dark = rng.random() < 0.33 or night
    level, noise = (0.85, 3.0) if dark else (float(rng.uniform(0.6, 1.0)), 1.8)
    return Stage(name, seed, infrared=dark, level=level, noise=noise)


def row(on: Stage, rng: np.random.Generator, low: float = 0.3, high: float = 0.85) -> float:
    """A distance from the camera: where feet are between horizon and lower edge."""
    return float(on.horizon + (0.98 - on.horizon) * rng.uniform(low, high))


# What happens.


def crossing(seed: int) -> Act:
    """Two cross a line, one each way, and a third turns back before it."""
    rng = np.random.default_rng(seed)
    on = stage(rng, seed)
    line = (0.5, 1.0), (0.5, 0.0)  # walked away from the camera: its right hand is right
    people, expected, start_s = [], [], 7.0
    for way in (1, -1):
        y, x = row(on, rng), float(rng.uniform(0.15, 0.25))
        path = [((0.5 - way * (0.5 - x), y), 0.0), ((0.5 + way * (0.5 - x), y), 0.0)]
        one = Person(on, start_s, path, coat(rng))
        crossed_s = one.when(lambda place: abs(place[0] - 0.5) < 0.02)[0][0]
        topic = "left-to-right" if way > 0 else "right-to-left"
        expected.append(Expected("line-crossed", crossed_s - 1, crossed_s + LATE_S, topic))
        people.append(one)
        start_s = one.end_s + 8
    y = row(on, rng)
    people.append(Person(on, start_s, [((0.05, y), 0.0), ((0.38, y), 1.0), ((0.05, y), 0.0)], coat(rng)))
    return Act(Play(on, people[-1].end_s + 6, seed, people), camera(None, line), expected)


def intruder(seed: int, *, night: bool = False) -> Act:
    """One passes beside the zone, one goes into it."""
    rng = np.random.default_rng(seed)
    on = stage(rng, seed, night=night)
    y, y2 = row(on, rng), row(on, rng)
    zone = tuple((x + 0.14 if x < 0.5 else x, y) for x, y in ZONE)
    passer = Person(on, 7, [((0.02, y), 0.0), ((0.3, y), 0.5), ((0.02, y), 0.0)], coat(rng))
    comes = Person(on, passer.end_s + 4, [((0.15, y2), 0.0), ((0.8, y2), 3.0), ((0.98, y2), 0.0)], coat(rng))
    inside_s = comes.when(lambda place: inside(place, zone))[0][0]
    expected = [Expected("intrusion", inside_s - 0.5, inside_s + LATE_S)]
    return Act(Play(on, comes.end_s + 8, seed, [passer, comes]), camera(zone, detect=("intrusion",)), expected)


def loiterer(seed: int) -> Act:
    """One walks through, one stays for 30 s where 15 are too long."""
    rng = np.random.default_rng(seed)
    on = stage(rng, seed)
    y, y2 = row(on, rng, 0.45), row(on, rng, 0.45)
    passer = Person(on, 7, [((0.05, y), 0.0), ((0.98, y), 0.0)], coat(rng))
    x = float(rng.uniform(0.55, 0.8))
    way = [((0.1, y2), 0.0), ((x, y2), 12.0), ((x - 0.08, y2), 8.0), ((x + 0.05, y2), 12.0), ((0.1, y2), 0.0)]
    stays = Person(on, passer.end_s + 5, way, coat(rng))
    since_s = stays.when(lambda place: inside(place, ZONE))[0][0]
    expected = [Expected("loitering", since_s + 13, since_s + 15 + LATE_S)]
    settings = camera(ZONE, detect=("loitering",), loiter=15)
    return Act(Play(on, stays.end_s + 5, seed, [passer, stays]), settings, expected)


def gathering(seed: int) -> Act:
    """Three, then six people stand together; five are a crowd."""
    rng = np.random.default_rng(seed)
    on = stage(rng, seed)
    people: list[Person] = []
    arrivals = []
    for index in range(6):
        x, y = 0.42 + 0.09 * index + float(rng.uniform(-0.01, 0.01)), row(on, rng, 0.35, 0.6)
        start_s = 7.0 + 3.0 * index + (8 if index >= 3 else 0)
        edge = (1.0, y) if index % 2 else (0.02, y)
        near = Person(on, start_s, [(edge, 0.0), ((x, y), 0.0)], coat(rng))
        arrivals.append(near.end_s)
        people.append(Person(on, start_s, [(edge, 0.0), ((x, y), 70 - near.end_s), (edge, 0.0)], coat(rng)))
    fifth_s = sorted(one.when(lambda place: inside(place, ZONE))[0][0] for one in people)[4]
    expected = [Expected("crowd", fifth_s, max(arrivals) + 2 + LATE_S)]
    return Act(Play(on, 72, seed, people), camera(ZONE, detect=("crowd",), crowd=5), expected)


def bag(seed: int) -> Act:
    """One puts a bag down, waits beside it and takes it along; another leaves one. Then clouds come."""
    rng = np.random.default_rng(seed)
    on = stage(rng, seed)
    y, y2 = row(on, rng, 0.45), row(on, rng, 0.45)
    x, x2 = float(rng.uniform(0.5, 0.8)), float(rng.uniform(0.45, 0.75))
    owner = Person(on, 7, [((0.05, y), 0.0), ((x, y), 30.0), ((0.05, y), 0.0)], coat(rng))
    came_s, went_s = owner.marks[1][0], owner.marks[2][0]
    kept = Bag(on, (x + 0.05, y), came_s + 1, went_s, coat(rng))
    leaver = Person(on, owner.end_s + 5, [((0.05, y2), 0.0), ((x2, y2), 3.0), ((0.02, y2), 0.0)], coat(rng))
    put_s = leaver.marks[1][0] + 1
    left = Bag(on, (x2 + 0.05, y2), put_s, 1e9, coat(rng))
    expected = [Expected("object-left", put_s + 18, put_s + 20 + 6 + LATE_S)]
    cloud = plays.clouds(0.25, 40)
    play = Play(on, put_s + 45, seed, [owner, kept, leaver, left], [cloud])
    return Act(play, camera(ZONE, detect=("object-left",), left=20), expected)


def among_insects(seed: int) -> Act:
    """The intruder again, by night, among three moths: what keeps them quiet must not hide him."""
    act = intruder(seed, night=True)
    return replace(act, play=replace(act.play, effects=[plays.insects(3, seed)]))


def in_rain(seed: int) -> Act:
    """The crossings again, in rain."""
    act = crossing(seed)
    return replace(act, play=replace(act.play, effects=[plays.rain(0.8)]))


ACTS: Final[dict[str, Callable[[int], Act]]] = {
    "line crossed": crossing,
    "line crossed in rain": in_rain,
    "intrusion": intruder,
    "intrusion among insects": among_insects,
    "loitering": loiterer,
    "crowd": gathering,
    "object left": bag,
}


# What only seems to happen.


def disturbed(name: str, seed: int, seconds: float = DISTURBED_S) -> Act:
    """Nobody is there. The zone is the lower 70 % of the picture, the line stands in its middle."""
    rng = np.random.default_rng(seed)
    night = name in ("insects in infrared", "headlights", "night noise")
    place = "corridor" if name == "light switches" else ("yard", "gate")[int(rng.integers(2))]
    level, noise = (0.75, 3.5) if night else (float(rng.uniform(0.7, 1.0)), 1.8)
    if name == "headlights":
        on = Stage(place, seed, level=0.3, noise=3.5)  # type: ignore[arg-type]
    else:
        on = Stage(place, seed, infrared=night, level=level, noise=7.0 if name == "night noise" else noise)  # type: ignore[arg-type]
    effects: dict[str, list[plays.Effect]] = {
        "rain": [plays.rain(float(rng.uniform(0.6, 1.0)))],
        "light switches": [plays.lights(20, 0.45)],
        "clouds": [plays.clouds(float(rng.uniform(0.25, 0.45)), 25)],
        "headlights": [plays.headlights(15, float(rng.uniform(1.0, 2.0)))],
        "trees": [plays.trees(on, seed)],
        "insects in infrared": [plays.insects(3, seed)],
    }
    shake = float(rng.uniform(1.5, 3.0)) if name == "shaking mast" else 0.0
    settings = camera(
        FLOOR,
        ((0.5, 1.0), (0.5, 0.0)),
        detect=("motion", "intrusion", "loitering", "crowd", "object-left"),
        loiter=15,
        left=20,
        crowd=3,
    )
    return Act(Play(on, seconds, seed, effects=effects.get(name, []), shake=shake), settings)


DISTURBANCES: Final = (
    "nothing",
    "night noise",
    "rain",
    "light switches",
    "shaking mast",
    "clouds",
    "headlights",
    "trees",
    "insects in infrared",
)


# Measuring.


def told(act: Act, score: Score) -> Iterator[tuple[float, Transition]]:
    """Play it; every begin that would be told, as people would hear it."""
    analyst, occurrences = Analyst(act.camera), Occurrences()
    for at_s, image in act.play.pictures():
        now_ns = round((at_s + 1) * 1e9)
        began = time.thread_time()
        events = analyst.frame(image, now_ns, BEGAN + timedelta(seconds=at_s))
        score.cpu_s += time.thread_time() - began
        score.pictures += 1
        for event in events:
            yield from ((at_s, one) for one in occurrences.take("c", event))
        occurrences.expire(now_ns)
    score.seconds += act.play.seconds


def judge(act: Act, score: Score) -> None:
    """Compare what is told with what had to be."""
    open_ = list(act.expected)
    score.expected += len(open_)
    for at_s, one in told(act, score):
        score.told += 1
        match = next((e for e in open_ if e.kind == one.event.kind and e.from_s <= at_s <= e.to_s), None)
        if match and match.topic in one.event.topic:
            open_.remove(match)
            score.found += 1
        else:
            score.false.append(f"{one.event.topic} at {at_s:.1f} s, seed {act.play.seed}, {act.play.stage.name}")
    score.missed += [
        f"{e.kind} {e.topic} {e.from_s:.1f}-{e.to_s:.1f} s, seed {act.play.seed}, {act.play.stage.name}" for e in open_
    ]


def play_act(name: str, seed: int) -> Score:
    """One sequence of those in which something happens."""
    cv2.setNumThreads(1)
    score = Score()
    judge(ACTS[name](seed), score)
    return score


def play_disturbed(name: str, seed: int, seconds: float) -> tuple[Score, list[str]]:
    """One sequence of a disturbance, and the kinds that were told."""
    cv2.setNumThreads(1)
    score = Score()
    return score, [one.event.kind for _, one in told(disturbed(name, seed, seconds), score)]


def events_table(seeds: Sequence[int]) -> Result:
    """Precision and recall of each kind."""
    result = Result(
        "Analysis: what people do",
        ("made sequences", "sequences", "events", "found", "told falsely", "recall", "precision"),
    )
    whole = Score()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = {name: [pool.submit(play_act, name, seed) for seed in seeds] for name in ACTS}
    for name, running in parts.items():
        score = Score()
        for part in running:
            score.add(part.result())
        cells = [len(seeds), score.expected, score.found, len(score.false)]
        result.rows.append([name, *map(str, cells), f"{score.recall:.2f}", f"{score.precision:.2f}"])
        whole.add(score)
    result.aim("recall of all", whole.recall, least=RECALL)
    result.aim("precision of all", whole.precision, least=PRECISION)
    share = 100 * plays.FPS * whole.cpu_s / whole.pictures
    result.limit("CPU per camera at 3 pictures a second, of one core", share, CPU_SHARE, "%")
    result.notes += [
        f"{1000 * whole.cpu_s / whole.pictures:.1f} ms a picture of 640x360. Each sequence also has somebody who must "
        "not be told: who turns back before the line, passes beside the zone, walks through, stays by a bag. "
        f"Seeds from {seeds[0]}, not looked at before.",
        *[f"Missed: {one}." for one in whole.missed],
        *[f"False: {one}." for one in whole.false],
    ]
    return result


def disturbance_table(seeds: Sequence[int], seconds: float = DISTURBED_S) -> Result:
    """False alarms per hour."""
    result = Result(
        "Analysis: what only seems to be something",
        ("disturbance, all the time", "minutes", "alarms an hour", "motion an hour", "what"),
    )
    alarms, hours = 0, 0.0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        parts = {name: [pool.submit(play_disturbed, name, seed, seconds) for seed in seeds] for name in DISTURBANCES}
    for name, running in parts.items():
        score, counts = Score(), Counter[str]()
        for part in running:
            one, kinds = part.result()
            score.add(one)
            counts.update(kinds)
        motion = counts.pop("motion", 0)
        false = sum(counts.values())
        what = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) or "-"
        an_hour = 3600 / score.seconds
        row_ = [name, f"{score.seconds / 60:.0f}", f"{false * an_hour:.1f}", f"{motion * an_hour:.1f}", what]
        result.rows.append(row_)
        alarms, hours = alarms + false, hours + score.seconds / 3600
    result.limit("alarms of all kinds but motion, mean over the disturbances", alarms / hours, FALSE_AN_HOUR, "/h")
    result.notes.append(
        "Nobody is in these pictures, and each disturbance lasts all the time: a rainy hour, not a mean day. One zone "
        "over 70 % of the picture with every kind, and one line; counted is what is told (agent.skyeye.occurrences)."
    )
    return result


def measure(seeds: Sequence[int] = REPORTING) -> list[Result]:
    """Both tables."""
    cv2.setNumThreads(1)
    return [events_table(seeds), disturbance_table(seeds)]


if __name__ == "__main__":
    print("\n".join(result.markdown() for result in measure(TUNING)))
