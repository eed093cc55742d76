"""Reaching a broker, losing it, and what is said about it."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amqtt.broker import Broker as Amqtt  # type: ignore[import-untyped]  # it ships no types

from agent.clock import SystemClock
from agent.config.models import Broker as Address
from agent.uplink.limits import Limits
from agent.uplink.sockets import ConnectFailed, Dialer, Resolver
from tests.sims.broker import Authority, Broker, free_port, make_authority
from tests.sims.district import District
from tests.sims.uplink import FAST, SITE, WAIT_S, School, school
from tests.sims.wire import Line


async def fault(here: School, part: str) -> str:
    """Wait for the broker fault, which must hold these words; return it."""

    def look() -> str | None:
        return next((text for name, text in here.fault_history if name == "broker" and text and part in text), None)

    try:
        found: str = await here.until(look)
    except TimeoutError:
        pytest.fail(f"no broker fault with {part!r} in {here.fault_history}")
    return found


# -- TLS --


async def test_mutual_tls(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    authority.issue("agent")
    tls = {
        "ca": str(authority.ca),
        "cert": str(tmp_path / "ca/agent.pem"),
        "key": {"file": str(tmp_path / "ca/agent.key")},
    }
    with Broker(tmp_path / "mq", tls=authority, client_certificates=True) as broker:
        async with school(tmp_path, broker.url, tls=tls) as here:
            row = await here.press()
            await here.delivered(row.seq)


async def test_a_missing_client_certificate_is_named(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca")
    with Broker(tmp_path / "mq", tls=authority, client_certificates=True) as broker:
        async with school(tmp_path, broker.url, tls={"ca": str(authority.ca)}) as here:
            text = await here.until(lambda: here.uplink.status().error)
            assert text.key in {"uplink.tls-client-missing", "uplink.lost", "uplink.tls-no-tls"}
            assert not here.uplink.status().connected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("expired", "has expired"),
        ("future", "not yet valid"),
        ("host", "was not issued for 127.0.0.1"),
        ("stranger", "not signed by an authority that we trust"),
    ],
)
async def test_a_bad_server_certificate_is_told_apart(tmp_path: Path, case: str, expected: str) -> None:
    validity = {"expired": (-30, -2), "future": (2, 30)}.get(case, (-1, 30))
    hosts = ("mq.example.cn",) if case == "host" else ("127.0.0.1",)
    authority = make_authority(tmp_path / "ca", hosts=hosts, start_days=validity[0], end_days=validity[1])
    trusted: Authority = make_authority(tmp_path / "other") if case == "stranger" else authority
    with Broker(tmp_path / "mq", tls=authority) as broker:
        async with school(tmp_path, broker.url, tls={"ca": str(trusted.ca)}) as here:
            await fault(here, expected)
            assert not here.uplink.status().connected


async def test_tls_against_a_plain_port_says_so_and_never_falls_back(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, f"mqtts://127.0.0.1:{broker.port}") as here:
            await fault(here, "does not speak TLS")
            assert "New client connected" not in broker.log


# -- login --


async def test_refused_credentials_wait_the_cap(tmp_path: Path) -> None:
    limits = replace(FAST, retry_cap_s=60.0)
    with Broker(tmp_path / "mq", users={"agent": "secret"}) as broker:
        async with school(tmp_path, broker.url, username="agent", password="wrong", limits=limits) as here:
            await fault(here, "refuses our login")
            tries = broker.log.count("not authorised")
            await here.press()
            await asyncio.sleep(0.5)
            assert broker.log.count("not authorised") == tries
            assert "wrong" not in str(here.fault_history)


async def test_a_refused_subscription_is_a_fault(tmp_path: Path) -> None:
    # mosquitto 2.0 answers every SUBSCRIBE with success and filters later, so the refusal comes from amqtt-like
    # brokers; `$`-topics without rights are refused by none here. The broker below is one of our own.
    async with refusing_broker() as port, school(tmp_path, f"mqtt://127.0.0.1:{port}") as here:
        await fault(here, "does not let us subscribe")
        assert here.uplink.status().connected


# -- versions --


async def test_a_broker_without_mqtt_5_gets_3_1_1(tmp_path: Path) -> None:
    port = free_port()
    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }
    broker = Amqtt(config)
    await broker.start()
    try:
        async with school(tmp_path, f"mqtt://127.0.0.1:{port}") as here:
            await here.connected()
            assert here.uplink.status().protocol == "3.1.1"
            row = await here.press()
            await here.delivered(row.seq)
    finally:
        await broker.shutdown()


# -- losing it --


async def test_a_killed_broker_is_found_again_and_nothing_is_lost(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "mq").start()
    try:
        async with school(tmp_path, broker.url) as here:
            await here.connected()
            broker.kill()
            await here.until(lambda: not here.uplink.status().connected)
            row = await here.press()
            assert here.uplink.delivery(row.seq) == "stuck"
            broker.start()
            await here.delivered(row.seq)
    finally:
        broker.kill()


async def test_a_half_open_connection_is_found_by_its_silence(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        line = Line(broker.port)
        async with line, school(tmp_path, f"mqtt://127.0.0.1:{line.port}", keepalive="1s") as here:
            await here.connected()
            line.blackhole()
            await here.until(lambda: not here.uplink.status().connected)
            assert "silent" in str(here.uplink.status().error)
            line.mend()
            await here.connected()


async def test_an_idle_connection_stays(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, broker.url, keepalive="1s") as here:
            await here.connected()
            since = here.uplink.status().since
            await asyncio.sleep(2.5)
            assert here.uplink.status().since == since


async def test_an_alarm_into_a_dead_line_goes_over_the_next_broker(tmp_path: Path) -> None:
    with Broker(tmp_path / "one") as one, Broker(tmp_path / "two") as two:
        line = Line(one.port)
        async with (
            line,
            District(two.port, SITE) as district,
            school(tmp_path, f"mqtt://127.0.0.1:{line.port}", two.url) as here,
        ):
            await here.connected()
            line.blackhole()
            row = await here.press()
            event = await district.event(seq=row.seq)
            assert event["id"] == row.id


async def test_a_frozen_broker_does_not_hold_the_stop(tmp_path: Path) -> None:
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, broker.url, close=False) as here:
            await here.connected()
            broker.freeze()
            async with asyncio.timeout(WAIT_S):
                await here.uplink.close(0.5)


# -- several brokers --


async def test_failover_at_once_and_return_to_the_first(tmp_path: Path) -> None:
    one, two = Broker(tmp_path / "one").start(), Broker(tmp_path / "two").start()
    try:
        async with District(two.port, SITE) as district, school(tmp_path, one.url, two.url) as here:
            await here.connected(one.url)
            one.kill()
            await here.connected(two.url)
            row = await here.press()
            await here.delivered(row.seq)
            one.start()
            await here.connected(one.url)
            await district.status("offline")
            again = await here.press()
            await here.delivered(again.seq)
    finally:
        one.kill()
        two.kill()


# -- two with one id --


async def test_a_takeover_is_told_and_not_fought(tmp_path: Path) -> None:
    limits = replace(FAST, takeover_s=60.0)
    (tmp_path / "twin").mkdir()
    with Broker(tmp_path / "mq") as broker:
        async with school(tmp_path, broker.url, limits=limits) as here:
            await here.connected()
            async with school(tmp_path / "twin", broker.url, limits=limits) as twin:
                told = await here.until(lambda: here.faults.get("broker") or twin.faults.get("broker"))
                assert "client_id" in str(told)
                fights = broker.log.count("already connected, closing")
                await asyncio.sleep(0.5)
                assert broker.log.count("already connected, closing") == fights
                assert here.uplink.status().connected != twin.uplink.status().connected


async def test_a_takeover_that_the_broker_tells_is_believed_at_once(tmp_path: Path) -> None:
    taken_over = bytes.fromhex("20 03 00 00 00") + bytes.fromhex("e0 02 8e 00")
    limits = replace(FAST, takeover_s=60.0)
    async with scripted(taken_over) as port, school(tmp_path, f"mqtt://127.0.0.1:{port}", limits=limits) as here:
        await fault(here, "took our place")


# -- look-ups --


async def test_hung_look_ups_hold_up_neither_others_nor_the_end() -> None:
    release = threading.Event()

    def hang(*_: Any, **__: Any) -> list[Any]:
        release.wait(5)
        return []

    dialer = Dialer(None, SystemClock("Asia/Shanghai"), Limits(lookup_s=0.05), Resolver(hang))
    try:
        for _ in range(6):
            with pytest.raises(ConnectFailed, match="no answer for the name"):
                await dialer.dial(Address(False, "mq.invalid", 1883))
        listener = socket.create_server(("127.0.0.1", 0))
        with listener:
            (await dialer.dial(Address(False, "127.0.0.1", listener.getsockname()[1]))).close()
    finally:
        release.set()


async def test_the_second_address_is_tried_when_the_first_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 1)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]
        dialer = Dialer(None, SystemClock("Asia/Shanghai"), Limits(), Resolver(lambda *_, **__: found))
        sock = await dialer.dial(Address(False, "mq.example.cn", port))
        with sock:
            assert sock.getpeername() == ("127.0.0.1", port)


# -- a broker that says no, and others that talk nonsense --


@asynccontextmanager
async def scripted(*answers: bytes) -> AsyncIterator[int]:
    """A TCP server that answers the n-th packet of each connection with the n-th of `answers`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answer in answers:
                await reader.read(65536)
                writer.write(answer)
                await writer.drain()
            await reader.read()
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def refusing_broker() -> Any:
    """MQTT 5: CONNACK with success, then SUBACK 0x87 for both filters (message id 2: the birth has 1)."""
    return scripted(
        bytes.fromhex("20 03 00 00 00"), bytes.fromhex("90 05 00 02 00 87 87") + bytes.fromhex("90 05 00 01 00 87 87")
    )


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20",
        b"\x20\xff\xff\xff\xff\xff",
        b"\x20\x02\x00",
        b"\x20\x03\x00\x00\x05",
        b"\x20\x03\x00\x00\x00" + b"\x40\x02\x00\x09" + b"\x30\x02\xff\xff",
        b"\x20\x03\x00\x00\x00" + b"\x30\xff\xff\xff\x7f" + b"x" * 1000,
        b"\x00" * 64,
    ],
)
async def test_nonsense_from_a_broker_ends_that_connection_only(tmp_path: Path, answer: bytes) -> None:
    limits = replace(FAST, connack_s=0.2, modern_connack_s=0.2)
    with Broker(tmp_path / "mq") as broker:
        async with (
            scripted(answer) as port,
            school(tmp_path, f"mqtt://127.0.0.1:{port}", broker.url, limits=limits) as here,
        ):
            row = await here.press()
            await here.connected(broker.url)
            await here.delivered(row.seq)
