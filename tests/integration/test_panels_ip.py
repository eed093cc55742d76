"""Alarm hosts and posting devices with the real daemon: what was acknowledged is in the journal, also after a kill."""

import asyncio
import json
from pathlib import Path
from typing import Any, Final

import aiohttp

from agent.demo.panels import AlarmHost
from agent.demo.processes import free_port
from agent.journal.offline import Offline
from agent.model import Stored
from drivers._dc09 import ACK
from tests.sims.daemon import Daemon

KEY: Final = bytes(range(32))
EVENTS: Final = 20
RETRY_S: Final = 0.1


def config(hosts: int, posts: int) -> str:
    return f"""
    [uplink]
    brokers = ["mqtt://127.0.0.1:1"]

    [[device]]
    id = "hosts"
    name = "报警主机"
    driver = "dc09"
    listen = "127.0.0.1:{hosts}"
    transport = "both"

      [[device.account]]
      account = "1234"
      key = "{KEY.hex()}"

      [[device.account]]
      account = "5678"

      [[device.point]]
      id = "wall"
      name = "北墙"
      kind = "perimeter"
      input = "1234:zone-003"

    [[device]]
    id = "posts"
    name = "门禁"
    driver = "http-in"
    listen = "127.0.0.1:{posts}"

      [[device.source]]
      id = "gate"
      path = "/gate"
      token = "secret"
      preset = "hikvision-isapi"

      [[device.point]]
      id = "denied"
      name = "大门被拒"
      kind = "door-denied"
      input = "denied/1"
    """


def stored(path: Path) -> list[dict[str, Any]]:
    with Offline(path) as journal:
        rows = journal.rows(1, journal.head.seq, journal.head.seq)
    return [json.loads(row.body) for row in rows if isinstance(row, Stored)]


async def post(url: str, body: object) -> int:
    """Post as a device does: again, until somebody is there."""
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer secret"}) as session:
        while True:
            try:
                async with session.post(url, json=body) as answer:
                    return answer.status
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(RETRY_S)


async def test_what_was_acknowledged_is_in_the_journal_after_a_kill(tmp_path: Path) -> None:
    hosts, posts = free_port(), free_port()
    daemon = Daemon(tmp_path, config(hosts, posts))
    await daemon.start()
    body = {"majorEventType": 5, "subEventType": 9, "doorNo": 1, "cardNo": "77", "serialNo": 1}
    host, other = (
        AlarmHost(hosts, "1234", key=KEY, answer_s=1.0),
        AlarmHost(hosts, "5678", transport="udp", answer_s=1.0),
    )
    for number in range(EVENTS):
        assert (await host.contact_id(f"{1 if number % 2 == 0 else 3}131 01 003")).id == ACK
    assert (await other.sia("Nri1/FA012^食堂^")).id == ACK
    posted = {"eventType": "AccessControllerEvent", "AccessControllerEvent": body}
    assert await post(f"http://127.0.0.1:{posts}/gate", posted) == 200
    await daemon.kill()
    host.close()
    other.close()
    events = stored(daemon.journal)
    of_wall = [event["data"]["detail"]["sequence"] for event in events if event["data"].get("point") == "wall"]
    assert of_wall == list(range(1, EVENTS + 1))
    (unassigned,) = [event for event in events if event["type"] == "campus.input.unassigned"]
    assert (unassigned["data"]["input"], unassigned["data"]["kind"]) == ("5678:FA/012", "fire")
    (denied,) = [event for event in events if event["type"] == "campus.access.denied"]
    assert denied["data"]["detail"]["cardNo"] == "77"


async def test_a_host_that_dials_while_the_daemon_is_away_is_heard_when_it_is_back(tmp_path: Path) -> None:
    hosts, posts = free_port(), free_port()
    daemon = Daemon(tmp_path, config(hosts, posts))
    await daemon.start()
    host = AlarmHost(hosts, "1234", key=KEY, answer_s=0.2)
    assert (await host.contact_id("1131 01 003")).id == ACK
    await daemon.kill()
    message = host.message("ADM-CID", "#1234|3131 01 003")
    assert await host.once(message.to_bytes(KEY), message) is None
    async with daemon:
        assert (await host.send(message)).id == ACK
        host.close()
    restored = [event for event in stored(daemon.journal) if event["type"] == "campus.alarm.restored"]
    assert [event["data"]["detail"]["sequence"] for event in restored] == [2]
