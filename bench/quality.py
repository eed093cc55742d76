"""How well pictures are judged: a made set of twelve faults at five levels by day and night, and whole days in which
nothing is wrong. The seeds of what is reported were never looked at while thresholds were chosen.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import cv2
import numpy as np

from agent.skyeye.inspect import Confirmer
from agent.skyeye.inspect.plan import FOLLOWS_MAX
from agent.skyeye.model import Inspection
from agent.skyeye.quality import Baseline, Rest, examine
from agent.skyeye.quality.features import Print, print_of
from bench import frozen as frozen_behind
from bench.days import CAMERAS, day_of
from bench.report import Result, Target
from bench.scenes import SCENES, Image, Light, Scene, SceneName, stamp, through_h264, through_jpeg
from bench.spoil import ALSO, ELECTRIC, LEVELS, MUST_FIND, SPOILED, VEIL, VERDICT, Fault, spoil

TUNED_ON: Final = 0
REPORTED: Final = 29_000
"""Seeds count from here: thresholds were chosen on those from 0 and 1000, what is printed comes from those from 29000.
Those from 5000, 9000, 13000 and 17000 were each looked at once, and each changed something: strong stripes also
called a moved view, the first darkness of an hour, a frozen picture told by too wide a margin, a dim room called
covered."""
TAKES: Final = 2
LEARNT_FROM: Final = 40
CLEAN: Final = 60
DAYS: Final = 3
STEP_MIN: Final = 5
WANTED: Final = 0.9
FALSE_A_DAY: Final = 0.1
"""One false report per camera in ten days, in the worst weather of the year every day."""
PLACES: Final = (("day", 10), ("night", 22))


@dataclass
class Tally:
    """What became of the made set."""

    found: Counter[tuple[Fault, str, int]] = field(default_factory=Counter)
    made: Counter[tuple[Fault, str, int]] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    wrong_of: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    right: Counter[str] = field(default_factory=Counter)
    clean: int = 0
    clean_bad: int = 0

    def add(self, other: "Tally") -> None:
        """Put two tallies together."""
        for name in ("found", "made", "wrong", "right"):
            getattr(self, name).update(getattr(other, name))
        for name, counter in other.wrong_of.items():
            self.wrong_of[name].update(counter)
        self.clean += other.clean
        self.clean_bad += other.clean_bad


def light_for(when: str, rng: np.random.Generator) -> Light:
    """Some light of a day, or of a night with the camera's own."""
    if when == "night":
        return Light(float(rng.uniform(0.7, 0.9)), infrared=True, noise=float(rng.uniform(3, 5)))
    shade = float(rng.uniform(0, 0.4)) if rng.random() < 0.5 else 0.0
    return Light(float(rng.uniform(0.65, 1.1)), warm=float(rng.uniform(-0.5, 0.5)), shade=shade, noise=1.5)


def encoded(pictures: Sequence[Image], name: SceneName) -> list[Image]:
    """Through H.264, or in the gate's camera through JPEG, as from a camera of that kind."""
    return through_jpeg(pictures) if name == "gate" else through_h264(pictures)


def frozen(still: Image, level: int) -> list[Image]:
    """What two inspections see of a sensor that hangs: the one before, the earlier and the newest picture. 1, 2: the
    encoder's quantiser swings by 3 or 1; 3: only the clock in the corner runs on; 4: that hangs as well; 5: the very
    same bytes."""
    if level == 5:
        return through_h264([stamp(still, "2026-11-24 08:00:00")])[:1] * 3
    if level == 4:
        return [through_h264([stamp(still, "2026-11-24 08:00:00")])[0] for _ in range(3)]
    swing = {3: (0, 0, 0), 2: (0, 1, -1), 1: (0, 3, -3)}[level]
    times = ("07:55:00", "07:59:56", "08:00:00")
    return [
        through_h264([stamp(still, f"2026-11-24 {time}")], 27 + step)[0]
        for time, step in zip(times, swing, strict=True)
    ]


def run_scene(name: SceneName, when: str, hour: int, seed: int) -> Tally:
    """All faults at all levels in one scene."""
    cv2.setNumThreads(1)
    scene, rng, now = Scene(name, seed), np.random.default_rng(seed + 1), datetime(2026, 11, 24, hour)  # noqa: DTZ001
    tally, baseline, words = Tally(), Baseline(), "2026-11-24 08:00:00"

    def pair(fault: Fault | None = None, level: int = 0) -> list[Image]:
        light, people = light_for(when, rng), int(rng.integers(0, 5))
        state = int(rng.integers(1 << 30))
        first = replace(light, noise=0.0)
        pictures = [scene.render(first, rng, people=people) for _ in (0, 1)]
        if fault and fault not in ELECTRIC:
            pictures = [spoil(one, fault, level, np.random.default_rng(state)) for one in pictures]
        pictures = [scene.grain(one, light, rng) for one in pictures]
        if fault and fault in ELECTRIC:
            pictures = [spoil(one, fault, level, np.random.default_rng(state)) for one in pictures]
        return encoded([stamp(one, words) for one in pictures], name)

    before: Image | None = None
    for _ in range(LEARNT_FROM):
        earlier, picture = pair()
        judged = examine(picture, earlier, baseline, now)
        baseline = baseline.learn(judged.features, now, judged.stir)
        before = picture
    assert before is not None
    for _ in range(CLEAN):
        earlier, picture = pair()
        bad = {one.fault for one in examine(picture, earlier, baseline, now, print_of(before)).verdicts if one.bad}
        tally.clean += 1
        tally.clean_bad += bool(bad)
        note(tally, bad, None, "clean")
    for fault in SPOILED:
        for level in LEVELS:
            for _ in range(TAKES):
                if fault == "frozen":
                    shown = scene.render(light_for(when, rng), rng, people=int(rng.integers(0, 5)))
                    last, earlier, picture = frozen(shown, level)
                else:
                    last = before
                    earlier, picture = pair(fault, level)
                judged = examine(picture, earlier, baseline, now, print_of(last))
                bad = {one.fault for one in judged.verdicts if one.bad}
                tally.made[fault, when, level] += 1
                tally.found[fault, when, level] += bool(bad & {VERDICT[fault], *ALSO.get(fault, ())})
                note(tally, bad, fault, f"{fault} {level}", level)
    return tally


def note(tally: Tally, bad: set[str], fault: Fault | None, what: str, level: int = 0) -> None:
    """Count what was said rightly and wrongly."""
    allowed = {VERDICT[fault], *ALSO.get(fault, ())} if fault else set()
    for said in bad:
        if fault == "covered" and level < MUST_FIND and said in VEIL:
            continue
        if said in allowed:
            tally.right[said] += level >= MUST_FIND
        else:
            tally.wrong[said] += 1
            tally.wrong_of[said][what] += 1


def made_set(first_seed: int) -> Tally:
    """The whole set, on all cores."""
    jobs = [(name, when, hour, first_seed + 10 * number) for number, name in enumerate(SCENES) for when, hour in PLACES]
    total = Tally()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(run_scene, *zip(*jobs, strict=True)):
            total.add(part)
    return total


def made_results(total: Tally) -> list[Result]:
    """The tables of the made set."""
    by_level = Result(
        "Picture verdicts: found, by level",
        ("fault (verdict)", *(f"{when} {level}" for when, _ in PLACES for level in LEVELS)),
    )
    for fault in SPOILED:
        cells = [
            f"{total.found[fault, when, level]}/{total.made[fault, when, level]}"
            for when, _ in PLACES
            for level in LEVELS
        ]
        by_level.rows.append([f"{fault} ({VERDICT[fault].removeprefix('picture-')})", *cells])
    by_level.notes = [
        "Five made scenes (yard, corridor, classroom, gate, canteen), by day and with infrared at night, with people "
        "and changing light, through x264 (the gate through JPEG); levels in `bench/spoil.py`. Level 3 and above must "
        "be found. Colours are not judged in infrared: a tint there is judged as colours where there should be none.",
    ]
    per_class = Result("Picture verdicts: precision and recall", ("verdict", "precision", "recall from level 3", "n"))
    for verdict in sorted(set(VERDICT.values())):
        mine = [fault for fault in SPOILED if VERDICT[fault] == verdict]
        keys = [key for key in total.made if key[0] in mine and key[2] >= MUST_FIND]
        found, made = sum(total.found[key] for key in keys), sum(total.made[key] for key in keys)
        right, wrong = total.right[verdict], total.wrong[verdict]
        precision = right / (right + wrong) if right + wrong else 0.0
        per_class.rows.append([verdict.removeprefix("picture-"), f"{precision:.2f}", f"{found / made:.2f}", str(made)])
        per_class.aim(f"{verdict}: precision", precision, least=WANTED)
        per_class.aim(f"{verdict}: recall", found / made, least=WANTED)
    per_class.notes = [
        "One picture pair, before any confirmation. A verdict is wrong where that fault was not made, also where "
        f"another one was, at any level. Undisturbed pairs: {total.clean}, of which {total.clean_bad} were suspected.",
        "Wrong most often: " + ("; ".join(confusions(total)) or "nothing") + ".",
    ]
    return [by_level, per_class]


def confusions(total: Tally) -> list[str]:
    """The commonest mistakes, in words."""
    pairs = [
        (count, f"{said.removeprefix('picture-')} said of {what} ({count})")
        for said, counter in total.wrong_of.items()
        for what, count in counter.items()
    ]
    return [words for _, words in sorted(pairs, reverse=True)[:8]]


def run_days(camera: int, first_seed: int) -> tuple[str, Counter[str], Counter[str], int, list[str]]:
    """Some undisturbed days of one camera, every five minutes, from its first picture on; what is suspected is looked
    at again after 20 s, as the rounds do it."""
    cv2.setNumThreads(1)
    name, night = CAMERAS[camera]
    scene = Scene(name, first_seed + camera)
    baseline, confirmer = Baseline(), Confirmer()
    rest: Rest | None = None
    suspected: Counter[str] = Counter()
    raised: Counter[str] = Counter()
    where: list[str] = []
    before: Print | None = None
    looks = 0
    zone = ZoneInfo("Asia/Shanghai")
    for number in range(DAYS):
        day = day_of(scene, night, number)
        at = datetime(2026, 11, 23, tzinfo=zone) + timedelta(days=number)
        for _ in range(24 * 60 // STEP_MIN):
            moment = at
            for _ in range(FOLLOWS_MAX + 1):
                earlier, picture = encoded(day.pair(moment), name)
                now_ns = round(moment.timestamp() * 1e9)
                judged = examine(picture, earlier, baseline, moment, before, rest=rest, now_ns=now_ns)
                before, rest = judged.features.print, judged.rest
                if judged.clean:
                    baseline = baseline.learn(judged.features, moment, judged.stir)
                looks += 1
                suspected.update(verdict.fault for verdict in judged.verdicts if verdict.bad)
                for change in confirmer.feed(Inspection(name, moment, 0, (), judged.verdicts)):
                    if change.text:
                        raised[change.fault] += 1
                        where.append(f"{name}/{night} day {number} {moment:%H:%M} {change.fault} {change.text}")
                if not confirmer.unsettled(name):
                    break
                moment += timedelta(seconds=20)
            at += timedelta(minutes=STEP_MIN)
    return f"{name}, at night {night}", suspected, raised, looks, where


def days_result(first_seed: int) -> Result:
    """False alarms of undisturbed days."""
    result = Result("Picture verdicts: undisturbed days", ("camera", "days", "looks", "suspected", "told"))
    told = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for what, suspected, raised, looks, where in pool.map(
            run_days, range(len(CAMERAS)), [first_seed] * len(CAMERAS)
        ):
            told += sum(raised.values())
            listed = ", ".join(f"{fault.removeprefix('picture-')} {n}" for fault, n in suspected.items()) or "-"
            result.rows.append([what, str(DAYS), str(looks), listed, str(sum(raised.values()))])
            result.notes += [f"Told wrongly: {one}" for one in where]
    days = DAYS * len(CAMERAS)
    per_day = told / days
    result.targets.append(
        Target("false reports per camera and day", f"{per_day:.2f}", f"<= {FALSE_A_DAY}", per_day <= FALSE_A_DAY)
    )
    result.notes.append(
        f"{days} camera-days from the first picture on (nothing learnt before), an inspection every {STEP_MIN} min and "
        "the follow-ups of suspicions: dawn and dusk with the switch to infrared, clouds and moving shade, one to six "
        "hours of rain a day, lessons, breaks, a weekend, lights switched, headlights, and one picture in a hundred "
        "while the focus hunts. Suspected: single pictures judged bad. Told: after confirmation (three running), as "
        "the district hears it."
    )
    return result


async def measure() -> list[Result]:
    """The made set and the days, on seeds that no threshold was chosen by."""
    total = await asyncio.to_thread(made_set, REPORTED)
    kept = await asyncio.to_thread(frozen_behind.measure, REPORTED)
    return [*made_results(total), kept, await asyncio.to_thread(days_result, REPORTED)]
