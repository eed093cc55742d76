"""The guard's page in a real Chromium."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, expect
from playwright.async_api import Page as Tab

from agent.console.state import POLL_EVERY_S
from agent.model import JsonValue
from tests.browser.rig import CHROMIUM, PATIENCE_MS, Files, Page, camera, chromium, console, drawn
from tests.sims.gst import GstStream
from tests.sims.player import Player

pytestmark = [
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="no Chromium here"),
    pytest.mark.asyncio(loop_scope="module"),  # one browser for all: it takes seconds to start
    pytest.mark.xdist_group("browser"),
]

CAMERAS = [
    ("gate", "校门口", "ok", True),
    ("kitchen", "食堂后厨", "fault", False),
    ("fence", "东围墙", "offline", False),
    ("back", "后门", "unknown", False),
]
FAULTS = {"fault": ["picture-blurred"], "offline": ["offline"]}
PICTURE_SUM = """([selector]) => {
  const one = document.querySelector(selector);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 16;
  const context = canvas.getContext("2d");
  context.drawImage(one, 0, 0, 16, 16);
  return context.getImageData(0, 0, 16, 16).data.reduce((sum, value, at) => sum + (at % 4 < 3 ? value : 0), 0);
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as started:
        yield started


@asynccontextmanager
async def wall(folder: Path, browser: Browser, **options: Any) -> AsyncIterator[tuple[Page, Tab, list[str]]]:
    """A browser on the page; the list takes what goes wrong in it."""
    file = GstStream.loop("h264", width=640, height=360, fps=10, kbps=500, gop=10).file
    assert file
    files: Files = {("gate", "main"): file, ("gate", "sub"): file}
    cameras = [camera(id_, name, state, *FAULTS.get(state, []), ptz=ptz) for id_, name, state, ptz in CAMERAS]
    pictures = {id_: drawn(id_, 20) for id_, _, state, _ in CAMERAS if state != "unknown"}
    wrong: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type == "error":
            wrong.append(message.text)

    async with console(folder, cameras, Player(files), pictures=pictures, **options) as page:
        context = await browser.new_context(locale="zh-CN")
        tab = await context.new_page()
        tab.set_default_timeout(PATIENCE_MS)
        tab.on("console", heard)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        await tab.goto(page.url)
        await tab.wait_for_selector(".tile")
        try:
            yield page, tab, wrong
        finally:
            await context.close()


async def picture(tab: Tab, selector: str) -> int:
    return int(await tab.evaluate(PICTURE_SUM, [selector]))


async def test_every_camera_has_its_tile_with_name_picture_and_health(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (_, tab, wrong):
        for id_, name, state, _ in CAMERAS:
            tile = tab.locator(f'.tile[data-camera="{id_}"]')
            await expect(tile).to_contain_text(name)
            assert await tile.get_attribute("data-state") == state
            sign = await tile.locator(".frame .sign").inner_text()
            assert sign == {"ok": "✓", "fault": "▲", "offline": "✕", "unknown": "?"}[state]
        await expect(tab.locator('[data-camera="kitchen"]')).to_contain_text("画面模糊")
        await expect(tab.locator('[data-camera="gate"] img')).to_be_visible(timeout=PATIENCE_MS)
        assert await picture(tab, '[data-camera="gate"] img') > 0
        await expect(tab.locator('[data-camera="back"]')).to_contain_text("暂无画面")
        await expect(tab.locator("#sums")).to_contain_text("离线 1")
        assert "192.168.1.64" not in await tab.content()
        assert wrong == []


async def test_a_click_shows_the_live_picture_which_moves(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (page, tab, wrong):
        await tab.click('[data-camera="gate"]')
        await tab.wait_for_selector('#live[data-picture="playing"]')
        shown_s = await tab.evaluate("document.getElementById('video').currentTime")
        await tab.wait_for_function("before => document.getElementById('video').currentTime > before", arg=shown_s)
        assert await picture(tab, "#video") > 16 * 16 * 3 * 10
        assert page.server.viewers == 1
        await tab.keyboard.press("Escape")
        await expect(tab.locator("#live")).to_be_hidden()
        async with asyncio.timeout(PATIENCE_MS / 1000):
            while page.server.viewers:  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(0.05)
        assert wrong == []


async def test_without_media_source_extensions_there_are_single_pictures(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (_, tab, wrong):
        await tab.add_init_script("delete window.MediaSource; delete window.ManagedMediaSource;")
        await tab.reload()
        await tab.click('[data-camera="gate"]')
        await tab.wait_for_selector('#live[data-picture="playing"]')
        await expect(tab.locator("#still")).to_be_visible()
        assert await picture(tab, "#still") > 16 * 16 * 3 * 10
        await expect(tab.locator("#badge")).to_contain_text("逐帧")
        assert wrong == []


async def test_the_mouse_moves_a_camera_as_long_as_it_is_held(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (page, tab, wrong):
        await tab.click('[data-camera="gate"]')
        box = await tab.locator("#stage").bounding_box()
        assert box
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        await tab.mouse.move(x, y)
        await tab.mouse.down()
        await tab.mouse.move(x + box["width"] / 5, y - box["height"] / 5, steps=4)
        moved = await page.school.asked(lambda c: "move" in c["args"])
        assert (moved["verb"], moved["actor"], moved["args"]["camera"]) == ("ptz", "console", "gate")
        assert moved["args"]["move"]["pan"] > 0
        assert 0 < moved["args"]["move"]["seconds"] <= 10
        assert not any(c["args"].get("stop") for c in page.school.commands)
        await tab.mouse.up()
        await page.school.asked(lambda c: c["args"].get("stop") is True)
        assert page.school.commands[-1]["args"] == {"camera": "gate", "stop": True}
        await tab.mouse.wheel(0, -200)
        await page.school.asked(lambda c: c["args"].get("move", {}).get("zoom", 0) > 0)
        assert wrong == []


async def test_keys_move_it_and_presets_are_gone_to(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (page, tab, _):
        await tab.click('[data-camera="gate"]')
        await tab.keyboard.down("ArrowLeft")
        await page.school.asked(lambda c: c["args"].get("move", {}).get("pan", 0) < 0)
        await tab.keyboard.up("ArrowLeft")
        await page.school.asked(lambda c: c["args"].get("stop") is True)
        await tab.click("#presets-open")
        await tab.get_by_role("button", name="操场").click()
        await page.school.asked(lambda c: c["args"].get("goto") == "2")
        await tab.click("#live-snapshot")
        await expect(tab.locator("#live-word")).to_contain_text("01JDSNAPSHOT")
        await tab.keyboard.press("PageDown")
        await expect(tab.locator("#live-name")).to_have_text("食堂后厨")
        await expect(tab.locator("#ptz")).to_be_hidden()


async def test_the_language_changes_at_once_and_is_kept(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (_, tab, _):
        await expect(tab.locator('[data-camera="fence"]')).to_contain_text("离线")
        await tab.click('[data-language="en"]')
        await expect(tab.locator('[data-camera="fence"]')).to_contain_text("offline")
        assert await tab.evaluate("document.documentElement.lang") == "en"
        words = await tab.locator("header").inner_text()
        assert not re.search("[\u4e00-\u9fff]", words.replace("兖州区实验小学", "").replace("中文", ""))
        await tab.reload()
        await expect(tab.locator('[data-camera="fence"]')).to_contain_text("offline")


async def test_banners_for_alarms_and_for_whoever_is_away(tmp_path: Path, browser: Browser) -> None:
    point: dict[str, JsonValue] = {
        "device": "d",
        "state": "active",
        "since": "2026-11-24T08:00:00+08:00",
        "seq": 1,
        "value": True,
    }
    async with wall(tmp_path, browser) as (page, tab, _):
        banners = tab.locator("#banners")
        await expect(banners).to_be_empty()
        page.school.points = [
            {**point, "point": "panic", "kind": "panic", "name": "门卫室一键报警"},
            {**point, "point": "duress", "kind": "duress", "name": "胁迫按钮"},
        ]
        await expect(banners).to_contain_text("门卫室一键报警")
        assert "胁迫" not in await tab.content()  # duress shows nothing on site
        await tab.click('[data-camera="gate"]')
        await expect(tab.locator("#live #banners")).to_contain_text("门卫室一键报警")
        await tab.keyboard.press("Escape")
        page.school.points, page.school.eye = [], "waiting"
        await expect(banners).to_contain_text("视频进程")
        await page.school.stop()
        await expect(banners).to_contain_text("主程序没有应答")
        await expect(tab.locator(".tile")).to_have_count(len(CAMERAS))
        page.school.eye = "running"
        await page.school.start()
        await expect(banners).to_be_empty(timeout=PATIENCE_MS)


async def test_on_a_phone_nothing_is_wider_than_the_screen(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (_, tab, _):
        await tab.set_viewport_size({"width": 360, "height": 720})
        for open_ in (False, True):
            if open_:
                await tab.click('[data-camera="gate"]')
                await tab.wait_for_selector('#live[data-picture="playing"]')
            assert await tab.evaluate("document.documentElement.scrollWidth") <= 360


async def test_the_wall_works_from_the_keyboard(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (_, tab, _):
        await tab.locator('[data-camera="gate"]').focus()
        await tab.keyboard.press("ArrowRight")
        assert await tab.evaluate("document.activeElement.dataset.camera") == "kitchen"
        await tab.keyboard.press("Enter")
        await expect(tab.locator("#live-name")).to_have_text("食堂后厨")
        await tab.keyboard.press("Escape")
        assert await tab.evaluate("document.activeElement.dataset.camera") == "kitchen"


async def test_browsers_share_one_poll_of_the_core(tmp_path: Path, browser: Browser) -> None:
    async with wall(tmp_path, browser) as (page, tab, _):
        context = tab.context
        for _ in range(3):
            more = await context.new_page()
            await more.goto(page.url)
            await more.wait_for_selector(".tile")
        loop = asyncio.get_running_loop()
        before, since = page.school.polls, loop.time()
        await asyncio.sleep(4.5)
        assert page.school.polls - before <= (loop.time() - since) / POLL_EVERY_S + 2
