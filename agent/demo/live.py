"""The demo with a person at the keyboard."""

import asyncio
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from agent.demo.district import REPLY_TIMEOUT_S
from agent.demo.eyes import COVERED
from agent.demo.keys import keys
from agent.demo.school import School
from agent.demo.settings import BUTTONS
from agent.demo.view import View
from agent.texts import Language, Spoken, Text, say

FRAMES_PER_S: Final = 20
"""More than twice what a lamp at 4 Hz needs to be seen blinking."""
QUIT: Final = "q"
UNPLUGGED: Final = BUTTONS[0]
"""The module that the key `u` unplugs."""


async def run_live(school: School, language: Language, console: Console, seconds: float | None) -> None:
    """Show the school and obey the keys until `q`, or for so long. Raises what ended a process of the school."""
    view = View(school, language)
    pressed: asyncio.Queue[str] = asyncio.Queue()
    with Live(view, console=console, auto_refresh=False, screen=True) as shown, keys(pressed.put_nowait):
        drawing = asyncio.ensure_future(draw(shown))
        obeying = asyncio.ensure_future(obey(school, view, pressed))
        try:
            ending: list[asyncio.Future[Any]] = [drawing, obeying, school.problem]
            await asyncio.wait(ending, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            for task in (drawing, obeying):
                if task.done():
                    task.result()  # raises what it ended with
        finally:
            drawing.cancel()
            obeying.cancel()
    if school.problem.done():
        raise school.problem.result()


async def draw(shown: Live) -> None:
    """Draw on the event loop, where the school lives."""
    while True:
        shown.refresh()
        await asyncio.sleep(1 / FRAMES_PER_S)


async def obey(school: School, view: View, pressed: asyncio.Queue[str]) -> None:
    """Do what the keys say, until the one that ends it."""
    while (key := await pressed.get()) != QUIT:
        try:
            note = await do(school, key)
        except TimeoutError:
            note = say("demo.no-reply", seconds=REPLY_TIMEOUT_S)
        except Spoken as error:
            note = error.text
        view.note = note


async def do(school: School, key: str) -> Text | None:
    """Do what one key says; return what there is to say about it. Raises TimeoutError, ChildFailed."""
    if key in school.places:
        school.press(key)
        return say("demo.told-press", name=school.places[key].button.name)
    if key == "a":
        school.district.toggle_automatic()
    elif key == "b":
        await school.toggle_broker()
    elif key == "c":
        await school.toggle_cover()
        return say(f"democam.told-{'covered' if school.covered else 'uncovered'}", name=COVERED.name)
    elif key == "p":
        reply = await school.patrol()
        return say("democam.told-patrol") if reply["ok"] else say("democam.patrol-refused", reason=reply["reason"])
    elif key == "u":
        school.toggle_module(UNPLUGGED.key)
    elif key == "r":
        if not school.district.connected:
            return say("demo.no-broker")
        if not school.district.active:
            return say("demo.nothing-to-reset")
        refused = [reply["reason"] for reply in await school.reset_all() if not reply["ok"]]
        return say("demo.reset-refused", reason=refused[0]) if refused else say("demo.told-reset")
    return None
