"""Makes docs/console.png: the guard's page in Chromium, with a made-up school. `python docs/tools/console_png.py`."""

import asyncio
import sys
import tempfile
from pathlib import Path

import av
import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from agent.model import JsonValue  # noqa: E402 - the tests are not installed
from agent.skyeye.model import Image  # noqa: E402
from tests.browser.rig import Files, camera, chromium, console  # noqa: E402
from tests.sims.player import Player  # noqa: E402

OUT = ROOT / "docs" / "console.png"
CAMERAS: list[tuple[str, str, str, list[str], bool]] = [
    ("gate", "校门口", "ok", [], True),
    ("hall", "教学楼大厅", "ok", [], False),
    ("kitchen", "食堂后厨", "fault", ["picture-blurred"], False),
    ("yard", "操场", "ok", [], True),
    ("fence", "东围墙", "offline", ["offline"], False),
    ("lab", "危化品室", "ok", [], False),
    ("dorm", "宿舍楼", "fault", ["camera-clock", "recordings"], False),
    ("stairs", "二层楼梯口", "ok", [], False),
    ("library", "图书馆", "ok", [], False),
    ("bikes", "车棚", "ok", [], False),
    ("roof", "楼顶球机", "ok", [], True),
    ("back", "后门", "unknown", [], False),
]
POINT: JsonValue = {
    "device": "guardroom",
    "point": "panic",
    "name": "门卫室一键报警",
    "kind": "panic",
    "state": "active",
    "since": "2026-11-24T10:23:00+08:00",
}


def scene(number: int, step: int = 0, *, width: int = 1280, height: int = 720) -> Image:
    """A school yard or a corridor, a little different for each number."""
    rng = np.random.default_rng(number)
    picture = np.zeros((height, width, 3), np.uint8)
    inside = number in (1, 2, 5, 7, 8)
    horizon = int(height * (0.42 if inside else 0.5))
    high, low = ((168, 172, 170), (120, 124, 124)) if inside else ((190, 168, 140), (214, 205, 196))
    ramp = np.linspace(0, 1, horizon)[:, None, None]
    picture[:horizon] = np.array(high) * (1 - ramp) + np.array(low) * ramp
    ramp = np.linspace(0, 1, height - horizon)[:, None, None]
    picture[horizon:] = np.array((96, 104, 104)) * (1 - ramp) + np.array((66, 74, 76)) * ramp
    if inside:
        for x in (0.0, 0.28, 0.72, 1.0):
            cv2.line(
                picture, (int(width * (0.5 + (x - 0.5) * 0.3)), horizon - 60), (int(width * x), height), (84, 90, 92), 3
            )
        for side in (0, 1):
            for door in range(3):
                x = int(width * (0.05 + door * 0.11)) if side == 0 else int(width * (0.95 - door * 0.11))
                top, bottom = 150 + door * 45, 560 - door * 70
                half = 44 - door * 9
                cv2.rectangle(picture, (x - half, top), (x + half, bottom), (74, 96, 122), -1)
    else:
        x = -40
        while x < width:
            wide, tall = int(rng.integers(180, 320)), int(rng.integers(150, 290))
            tone = int(rng.integers(120, 165))
            cv2.rectangle(picture, (x, horizon - tall), (x + wide, horizon), (tone - 16, tone - 6, tone + 10), -1)
            for wx in range(x + 18, x + wide - 30, 46):
                for wy in range(horizon - tall + 20, horizon - 40, 52):
                    cv2.rectangle(picture, (wx, wy), (wx + 26, wy + 30), (96, 84, 70), -1)
            x += wide + int(rng.integers(20, 90))
        cv2.line(picture, (0, horizon + 40), (width, horizon + 70), (150, 156, 156), 4)
    for person in range(int(rng.integers(1, 4))):
        px = int((rng.integers(150, width - 150) + step * (6 + 4 * person)) % width)
        py = int(horizon + 90 + person * 70)
        size = 60 + person * 24
        cv2.ellipse(picture, (px, py), (size // 4, size // 2), 0, 0, 360, (60 + 50 * person, 52, 120 - 30 * person), -1)
        cv2.circle(picture, (px, py - size // 2 - size // 8), size // 6, (120, 150, 190), -1)
    cv2.putText(
        picture,
        "2026-11-24 10:23:41",
        (width - 420, 48),
        cv2.FONT_HERSHEY_SIMPLEX,
        1.1,
        (245, 245, 245),
        2,
        cv2.LINE_AA,
    )
    return picture


def film(path: Path) -> Path:
    """Some seconds of the gate."""
    with av.open(str(path), "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "g": "25", "bf": "0", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for step in range(50):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(scene(0, step), format="bgr24")))
        out.mux(stream.encode(None))
    return path


async def main() -> None:
    """Take the pictures and put them side by side."""
    cameras = [camera(id_, name, state, *faults, ptz=ptz) for id_, name, state, faults, ptz in CAMERAS]
    pictures: dict[str, bytes] = {}
    for number, one in enumerate(cameras):
        small = cv2.resize(scene(number), (640, 360), interpolation=cv2.INTER_AREA)
        if one["id"] == "kitchen":
            small = cv2.GaussianBlur(small, (0, 0), 5)
        if one["state"] != "unknown":
            pictures[str(one["id"])] = bytes(cv2.imencode(".jpg", small)[1])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = film(folder / "gate.h264")
        files: Files = {("gate", "main"): file, ("gate", "sub"): file}
        async with console(folder, cameras, Player(files), pictures=pictures) as page, chromium() as browser:
            page.school.points = [POINT]
            context = await browser.new_context(
                viewport={"width": 1360, "height": 900}, locale="zh-CN", timezone_id="Asia/Shanghai"
            )
            tab = await context.new_page()
            await tab.clock.set_system_time("2026-11-24T10:23:41+08:00")
            await tab.goto(page.url)
            await tab.wait_for_selector("#banners .alarm")
            await tab.wait_for_timeout(3000)
            wall = await tab.screenshot()
            await tab.click('[data-camera="gate"]')
            await tab.wait_for_selector('#live[data-picture="playing"]')
            box = await tab.locator("#stage").bounding_box()
            assert box
            await tab.mouse.move(box["x"] + 680, box["y"] + 350)
            await tab.mouse.down()
            await tab.mouse.move(box["x"] + 860, box["y"] + 320, steps=3)
            await tab.wait_for_timeout(1500)
            live = await tab.screenshot()
            await tab.mouse.up()
    both = [cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR) for one in (wall, live)]
    gap = np.full((24, both[0].shape[1], 3), 255, np.uint8)
    cv2.imwrite(str(OUT), np.vstack([both[0], gap, both[1]]), [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    asyncio.run(main())
