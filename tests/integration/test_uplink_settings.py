"""New settings of the uplink, whatever it is doing when they come."""

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.sims.broker import Broker, free_port
from tests.sims.uplink import FAST, school, settings


async def test_new_settings_end_a_long_wait_for_the_old_broker(tmp_path: Path) -> None:
    patient = replace(FAST, retry_first_s=600.0, retry_cap_s=600.0)
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, f"mqtt://127.0.0.1:{free_port()}", limits=patient) as here:
            await here.until(lambda: here.uplink.status().error)
            await here.uplink.reconfigure(settings(broker.url))
            await here.connected(broker.url)


async def test_new_settings_that_come_while_the_old_broker_is_being_reached_are_used(tmp_path: Path) -> None:
    with Broker(tmp_path / "old") as old, Broker(tmp_path / "new") as new:
        called, open_gate = asyncio.Event(), asyncio.Event()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            called.set()
            await open_gate.wait()
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", old.port)
            await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

        gate = await asyncio.start_server(relay, "127.0.0.1", 0)
        async with school(tmp_path, f"mqtt://127.0.0.1:{gate.sockets[0].getsockname()[1]}") as here:
            await called.wait()
            await here.uplink.reconfigure(settings(new.url))
            open_gate.set()
            await here.connected(new.url)
        gate.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()
