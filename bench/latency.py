"""From the press of a button to the second MQTT client, idle and while a backlog drains."""

import asyncio
import random
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.clock import SystemClock
from agent.config.models import JournalSettings
from agent.journal import Journal
from agent.model import Lane, new_event
from bench import minimal
from bench.minimal import INPUTS, boottime_ns
from bench.report import Result, percentile, spread
from bench.rig import SITE, Helper, Receiver, connected, daemon, folder, helper, mosquitto, status, until

BURSTS: Final = 35
"""Of eight presses each, by turns on the agent's module and on the minimal script's."""
BACKLOG: Final = 100_000
DRAINS: Final = 2
GAP_S: Final = (0.04, 0.09)
"""Between two presses, at random, so that they fall anywhere into the poll interval."""
LOOK_S: Final = 0.1
NS_PER_MS: Final = 1e6
MINIMAL_TOPIC: Final = "bench/minimal"
EVENTS: Final = f"{SITE.root}/event/alarm/#"
PRODUCERS: Final = 64


@dataclass
class Samples:
    """Latencies in milliseconds: from the press, and from the look that saw it."""

    pressed: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)

    def take(self, pressed_ns: dict[str, int], came: dict[str, tuple[int, dict[str, dict[str, int]]]]) -> None:
        """Add the presses of one burst."""
        for point, at_ns in pressed_ns.items():
            arrived_ns, event = came[point]
            self.pressed.append((arrived_ns - at_ns) / NS_PER_MS)
            self.seen.append((arrived_ns - event["data"]["boottime_ns"]) / NS_PER_MS)


async def burst(modules: Helper, line: str, receiver: Receiver, samples: Samples) -> None:
    """Press eight buttons one after another, wait for all of them, and let go."""
    receiver.arrived.clear()
    began_ns = boottime_ns()
    pressed: dict[str, int] = {}
    for number in random.sample(range(INPUTS), INPUTS):
        await asyncio.sleep(random.uniform(*GAP_S))
        pressed[f"p{number}"] = int(await modules.ask("press", line, 1, number))

    def came() -> bool:
        return receiver.events(minimal.RAISED, began_ns).keys() >= pressed.keys()

    await until(came, f"alarms on {line}")
    samples.take(pressed, receiver.events(minimal.RAISED, began_ns))
    for number in range(INPUTS):
        await modules.ask("release", line, 1, number)


async def reset(receiver: Receiver, began_ns: int) -> None:
    """Reset the agent's eight alarms, once their inputs are released."""
    wanted = {f"p{number}" for number in range(INPUTS)}
    await until(lambda: receiver.events("campus.alarm.restored", began_ns).keys() >= wanted, "restored")
    for point in wanted:
        receiver.command("reset", f"r{point}-{began_ns}", {"device": "m1", "point": point})
    await until(lambda: receiver.events("campus.alarm.reset", began_ns).keys() >= wanted, "reset")


async def agent_burst(modules: Helper, receiver: Receiver, samples: Samples) -> None:
    """A burst on the agent's module, and the resets that the next one needs."""
    began_ns = boottime_ns()
    await burst(modules, "agent", receiver, samples)
    await reset(receiver, began_ns)


async def idle(bursts: int) -> tuple[Samples, Samples]:
    """Measure the agent and the minimal script by turns."""
    ours, theirs = Samples(), Samples()
    with folder() as name:
        place = Path(name)
        async with (
            mosquitto(place) as port,
            helper("bench.modules", place, "agent=1", "minimal=1") as modules,
            helper("bench.minimal", "watch", place / "minimal", port, place / "minimal.db", MINIMAL_TOPIC),
            daemon(place, port, place / "agent", 1),
        ):
            await connected(place)
            with Receiver(port, (EVENTS, MINIMAL_TOPIC)) as receiver:
                for _ in range(bursts):
                    await agent_burst(modules, receiver, ours)
                    await burst(modules, "minimal", receiver, theirs)
                    await asyncio.sleep(0.1)
    return ours, theirs


@dataclass
class Drain:
    """One backlog and what a button behind it waits for."""

    agent_per_s: float
    minimal_per_s: float
    samples: Samples


async def drain(backlog: int) -> Drain:
    """Drain a backlog through the daemon while buttons are pressed, and one through the minimal script."""
    samples = Samples()
    with folder() as name:
        place = Path(name)
        await fill_journal(place / "journal.db", backlog)
        minimal.fill(place / "minimal.db", backlog)
        async with mosquitto(place) as port, helper("bench.modules", place, "agent=1") as modules:
            with Receiver(port, (EVENTS, MINIMAL_TOPIC)) as receiver:  # both have the same subscriber to share with
                command = ("drain", place / "minimal.db", port, MINIMAL_TOPIC)
                async with helper("bench.minimal", *command, ready=False) as peer:
                    minimal_s = float(await peer.line())
                async with daemon(place, port, place / "agent", 1):
                    began_ns = boottime_ns()
                    pressing = asyncio.ensure_future(press_on(modules, receiver, samples))
                    await drained(place)
                    agent_s = (boottime_ns() - began_ns) / 1e9
                    pressing.cancel()
                    await asyncio.gather(pressing, return_exceptions=True)
    return Drain(backlog / agent_s, backlog / minimal_s, samples)


async def drained(place: Path) -> None:
    """Wait until no event is due but those of the last moment."""
    while (await status(place))["due"]["event"] > INPUTS:  # noqa: ASYNC110 - it is another process
        await asyncio.sleep(LOOK_S)


async def press_on(modules: Helper, receiver: Receiver, samples: Samples) -> None:
    """Press buttons until cancelled."""
    while True:
        await agent_burst(modules, receiver, samples)


async def fill_journal(path: Path, count: int) -> None:
    """Put so many events that are due into a journal."""
    clock = SystemClock("Asia/Shanghai")
    journal = await Journal.open(JournalSettings(path=path), SITE, clock)

    async def produce(number: int) -> None:
        for _ in range(number):
            await journal.append(
                new_event("campus.input.on", Lane.EVENT, clock.moment(), device="m1", point="x", name="x" * 200)
            )

    share, rest = divmod(count, PRODUCERS)
    await asyncio.gather(*(produce(share + (number < rest)) for number in range(PRODUCERS)))
    await journal.close()


async def measure() -> list[Result]:
    """Both, so that the second is compared with the first of the same minutes."""
    ours, theirs = await idle(BURSTS)
    drains = [await drain(BACKLOG) for _ in range(DRAINS)]
    return [idle_result(ours, theirs), drain_result(drains, percentile(ours.seen, 99))]


def idle_result(ours: Samples, theirs: Samples) -> Result:
    """The latency of a press on a quiet line."""
    result = Result("Press to second subscriber, idle", ("ms", "p50", "p99", "max", "n"))
    result.rows = [
        ["agent: press -> subscriber", *spread(ours.pressed)],
        ["minimal: press -> subscriber", *spread(theirs.pressed)],
        ["agent: seen -> subscriber", *spread(ours.seen)],
        ["minimal: seen -> subscriber", *spread(theirs.seen)],
    ]
    for what, mine, other in (("press", ours.pressed, theirs.pressed), ("seen", ours.seen, theirs.seen)):
        result.aim(f"{what} -> subscriber, p50", statistics.median(mine) / statistics.median(other), 2)
        result.aim(f"{what} -> subscriber, p99", percentile(mine, 99) / percentile(other, 99), 3)
    result.notes = [
        "One module on a pty without line time, polled every 50 ms by both; presses at random times. From `seen`, the "
        "event's `data.boottime_ns`, it is commit (`synchronous=FULL`), publish at QoS 1, and the second client."
    ]
    return result


def drain_result(drains: list[Drain], idle_p99_ms: float) -> Result:
    """The latency of a press while a backlog drains, and how fast it drains."""
    pressed = [ms for one in drains for ms in one.samples.pressed]
    seen = [ms for one in drains for ms in one.samples.seen]
    result = Result(f"While {BACKLOG:,} events drain", ("", "p50", "p99", "max", "n"))
    rates = [[one.agent_per_s for one in drains], [one.minimal_per_s for one in drains]]
    result.rows = [
        ["agent: press -> subscriber, ms", *spread(pressed)],
        ["agent: seen -> subscriber, ms", *spread(seen)],
        ["agent: events/s", f"{statistics.median(rates[0]):,.0f}", "", "", str(DRAINS)],
        ["minimal: events/s", f"{statistics.median(rates[1]):,.0f}", "", "", str(DRAINS)],
    ]
    result.aim("alarm, seen -> subscriber, p99 against idle", percentile(seen, 99) / idle_p99_ms, 3)
    ratio = statistics.median(one.agent_per_s / one.minimal_per_s for one in drains)
    result.aim("drain rate against the minimal script", ratio, least=0.7)
    result.notes = [
        "The minimal script reads rows, publishes with 20 open acknowledgements on one thread, and marks acknowledged "
        "rows 500 at a time. The agent's time counts from READY, with its buttons being pressed all the while."
    ]
    return result
