"""The demo with a person at the keyboard, or with a story that plays before one."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
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
CURTAIN_S: Final = 2.0
"""How long the last picture of a story stands."""

Work = asyncio.Future[Any]
Teller = Callable[[Text], None]


async def run_live(school: School, language: Language, console: Console, seconds: float | None) -> None:
    """Show the school and obey the keys until `q`, or for so long. Raises what ended a process of the school."""
    view = View(school, language)
    pressed: asyncio.Queue[str] = asyncio.Queue()
    with Live(view, console=console, auto_refresh=False, screen=True) as shown, keys(pressed.put_nowait):
        await first_of([draw(shown), obey(school, view, pressed)], school, seconds)


async def run_story(
    school: School,
    language: Language,
    console: Console,
    story: Text,
    play: Callable[[Teller], Awaitable[None]],
    told: list[Text],
) -> None:
    """Show the school while a story plays, until its end or `q`; `told` gets every line of it. Raises Missing, TooLong,
    and what ended a process of the school."""
    view = View(school, language)
    pressed: asyncio.Queue[str] = asyncio.Queue()

    def put(text: Text) -> None:
        told.append(text)
        view.beats.append(text)

    async def to_its_end() -> None:
        await play(put)
        await asyncio.sleep(CURTAIN_S)

    async def until_quit() -> None:
        while await pressed.get() != QUIT:
            pass

    view.story = story
    with Live(view, console=console, auto_refresh=False, screen=True) as shown, keys(pressed.put_nowait):
        await first_of([draw(shown), to_its_end(), until_quit()], school, None)


async def first_of(works: Iterable[Awaitable[None]], school: School, seconds: float | None) -> None:
    """Do all of it until the first has ended, or a process of the school has; raise what it ended with."""
    tasks: list[Work] = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait([*tasks, school.problem], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
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
        if note is not None:
            view.beats.append(note)


async def do(school: School, key: str) -> Text | None:
    """Do what one key says; return what there is to say about it. Raises TimeoutError, ChildFailed."""
    if key in school.places:
        school.press(key)
        return say("demo.told-press", name=school.places[key].button.name)
    if act := DEVICES.get(key):
        return act(school)
    if key in ORDERS and not school.district.connected:
        return say("demo.no-broker")
    if order := ORDERS.get(key) or OTHERS.get(key):
        return await order(school)
    return None


# what is done to a device


def leak(school: School) -> Text:
    """Gas leaks, or no longer."""
    canteen = school.equipment.canteen
    canteen.leaking = not canteen.leaking
    return say(f"demoview.told-leak-{_word(canteen.leaking)}")


def fan(school: School) -> Text:
    """The fan stops, or runs."""
    canteen = school.equipment.canteen
    canteen.fan_runs = not canteen.fan_runs
    return say(f"demoview.told-fan-{_word(canteen.fan_runs)}")


def card(school: School) -> Text:
    """A card is held to the chemical store's reader."""
    school.equipment.store.card()
    return say("demoview.told-card")


def store_door(school: School) -> Text:
    """The chemical store's door opens, or shuts."""
    store = school.equipment.store
    store.toggle_door()
    return say(f"demoview.told-store-{_word(store.door_open)}")


def smoke(school: School) -> Text:
    """There is a fire in the chemical store, or no longer."""
    store = school.equipment.store
    store.smoke = not store.smoke
    return say(f"demoview.told-smoke-{_word(store.smoke)}")


def dormitory_door(school: School) -> Text:
    """The dormitory's door opens, or shuts."""
    dormitory = school.equipment.dormitory
    school.equipment.spawn(dormitory.toggle_door())
    return say(f"demoview.told-dormitory-{_word(not dormitory.door_open)}")


def fence(school: School) -> Text:
    """The fence is cut, or mended."""
    one = school.equipment.fence
    one.cut = not one.cut
    return say(f"demoview.told-fence-{_word(one.cut)}")


def plug(school: School) -> Text:
    """A module's plug is pulled, or put in."""
    school.toggle_module(UNPLUGGED.key)
    return say(f"demoview.told-plug-{_word(school.places[UNPLUGGED.key].plugged)}")


def automatic(school: School) -> Text:
    """The district acknowledges by itself, or not."""
    school.district.toggle_automatic()
    return say(f"demoview.told-automatic-{_word(school.district.automatic)}")


def _word(on: bool) -> str:
    return "on" if on else "off"


# what the district orders, and the rest


async def arm(school: School) -> Text:
    """The perimeter is armed, or disarmed."""
    arms = not school.armed
    reply = await school.toggle_armed()
    return say(f"demoview.told-armed-{_word(arms)}") if reply["ok"] else _refused(reply)


async def exercise(school: School) -> Text:
    """A drill begins, or ends."""
    begins = not school.drill
    reply = await school.toggle_drill()
    return say(f"demoview.told-drill-{_word(begins)}") if reply["ok"] else _refused(reply)


async def patrol(school: School) -> Text:
    """A patrol is walked."""
    reply = await school.patrol()
    return say("democam.told-patrol") if reply["ok"] else _refused(reply)


async def reset(school: School) -> Text:
    """Every alarm is reset."""
    replies = await school.reset_all()
    if not replies:
        return say("demo.nothing-to-reset")
    refused = [reply for reply in replies if not reply["ok"]]
    return _refused(refused[0]) if refused else say("demo.told-reset")


async def broker(school: School) -> Text:
    """The broker crashes, or is started again."""
    await school.toggle_broker()
    return say(f"demoview.told-broker-{_word(school.broker.running)}")


async def cover(school: School) -> Text:
    """A camera is covered, or uncovered."""
    await school.toggle_cover()
    return say(f"democam.told-{'covered' if school.covered else 'uncovered'}", name=COVERED.name)


async def climb(school: School) -> Text:
    """Somebody climbs over the wall."""
    await school.cross_line()
    return say("demoview.told-climb")


def _refused(reply: dict[str, Any]) -> Text:
    return say("demoview.refused", reason=reply["reason"])


DEVICES: Final[dict[str, Callable[[School], Text]]] = {
    "g": leak,
    "v": fan,
    "k": card,
    "d": store_door,
    "s": smoke,
    "o": dormitory_door,
    "f": fence,
    "u": plug,
    "a": automatic,
}
ORDERS: Final[dict[str, Callable[[School], Awaitable[Text]]]] = {"m": arm, "n": exercise, "p": patrol, "r": reset}
"""What the district orders over MQTT."""
OTHERS: Final[dict[str, Callable[[School], Awaitable[Text]]]] = {"b": broker, "c": cover, "x": climb}
