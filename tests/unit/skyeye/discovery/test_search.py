"""Searches over real sockets: single hosts on loopback, everybody in a network of our own."""

import asyncio
import ipaddress
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from agent.demo.camera.discovery import Found as Simulated
from agent.demo.camera.discovery import Responder
from agent.skyeye.discovery import Found, Ports, Search
from agent.skyeye.discovery.listener import ANSWERS_PER_HOST, Listener
from agent.skyeye.discovery.look import look
from agent.skyeye.discovery.model import DiscoveryError
from agent.skyeye.discovery.network import Interface, interfaces, neighbours, on_link, parse_ranges
from agent.skyeye.discovery.search import PER_HOST_LIMIT, merged
from tests.unit.skyeye.discovery.responder import answer, responder

ROOT = Path(__file__).parents[4]
CLOSED = Ports(discovery=1, onvif=(1,), rtsp=(1,))


def search(port: int, *ranges: str, onvif: tuple[int, ...] = (1,), rtsp: tuple[int, ...] = (1,)) -> Search:
    return Search(["lo"], ranges, timeout_s=0.2, grace_s=0.2, ports=Ports(port, onvif, rtsp))


async def test_a_single_host_is_found() -> None:
    heard: list[Found] = []
    async with responder("127.0.0.2", lambda question: [answer(question)]) as port:
        one = search(port, "127.0.0.1-3")
        one.on_found = heard.append
        (found,) = await one.run()
    assert (found.address, found.port, found.how, found.maker) == ("127.0.0.2", 80, "unicast", "Hikvision")
    assert [one.address for one in heard] == ["127.0.0.2"]
    assert one.progress.done == one.progress.total


async def test_a_host_that_loses_the_first_question_is_asked_again() -> None:
    asked = 0

    def answers(question: bytes) -> list[bytes]:
        nonlocal asked
        asked += 1
        return [answer(question)] if asked > 2 else []

    async with responder("127.0.0.2", answers) as port:
        assert len(await search(port, "127.0.0.2").run()) == 1


async def test_a_host_that_answers_only_questions_without_line_ends_or_type_is_found() -> None:
    def answers(question: bytes) -> list[bytes]:
        return [] if b"\n" in question or b"Types" in question else [answer(question)]

    async with responder("127.0.0.2", answers) as port:
        assert len(await search(port, "127.0.0.2").run()) == 1


async def test_a_flood_of_answers_is_bounded() -> None:
    def answers(question: bytes) -> list[bytes]:
        urls = (f"http://127.0.0.2:{port}/" for port in range(1000, 1300))
        return [answer(question, endpoint=url, xaddrs=url) for url in urls]

    async with (
        responder("127.0.0.2", answers) as port,
        responder("127.0.0.3", lambda question: [answer(question)], port),
    ):
        one = search(port, "127.0.0.2-3")
        found = await one.run()
    assert sum(one.address == "127.0.0.2" for one in found) <= PER_HOST_LIMIT <= ANSWERS_PER_HOST
    assert sum(one.address == "127.0.0.3" for one in found) == 1
    assert one.refused > 0


async def test_hostile_answers_harm_nobody() -> None:
    def answers(question: bytes) -> list[bytes]:
        return [b"<!DOCTYPE x [<!ENTITY a 'a'>]><ProbeMatches/>", b"\xff" * 60_000, b"", b"<a>" * 5_000]

    async with (
        responder("127.0.0.2", answers) as port,
        responder("127.0.0.3", lambda question: [answer(question)], port),
    ):
        one = search(port, "127.0.0.2-3")
        (found,) = await one.run()
    assert found.address == "127.0.0.3"
    assert one.refused >= 3


@asynccontextmanager
async def tcp(reply: bytes, address: str = "127.0.0.4") -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says the same to everybody; yields its port and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4096))
        writer.write(reply)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, address, 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def http(body: bytes, status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def test_a_silent_host_is_known_by_its_onvif_service() -> None:
    body = b"<s:Envelope><s:Body><tds:GetSystemDateAndTimeResponse><tds:SystemDateAndTime/>...</s:Envelope>"
    async with tcp(http(body)) as (port, asked):
        (found,) = await search(1, "127.0.0.4", onvif=(port,)).run()
    assert (found.how, found.port) == ("onvif", port)
    assert found.xaddrs == (f"http://127.0.0.4:{port}/onvif/device_service",)
    assert not any(b"Authorization" in one or b"UsernameToken" in one for one in asked)


@pytest.mark.parametrize(
    "reply",
    [
        http(b"<html>router</html>"),
        http(b"", "401 Unauthorized", 'WWW-Authenticate: Basic realm="x"\r\n'),
        http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
        http(b"<Envelope>SystemDateAndTime" + b" " * 100_000),
        b"\xff\xfe garbage",
        b"",
    ],
    ids=["web", "login", "redirect", "huge", "garbage", "nothing"],
)
async def test_a_web_server_is_no_camera(reply: bytes) -> None:
    async with tcp(reply) as (port, _):
        assert await look("127.0.0.4", (port,), ()) is None


async def test_a_camera_without_onvif_is_known_by_its_rtsp_server() -> None:
    async with tcp(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nServer: TAS-Tech Streaming Server\r\nPublic: OPTIONS\r\n\r\n") as (
        port,
        _,
    ):
        found = await look("127.0.0.4", (1,), (port,))
    assert found is not None
    assert (found.how, found.port, found.name) == ("rtsp", port, "TAS-Tech Streaming Server")


async def test_an_interface_that_is_not_there_is_told() -> None:
    with pytest.raises(DiscoveryError, match="wlan9"):
        await Search(["wlan9"], ports=CLOSED).run()


async def test_an_interface_that_cannot_be_used_does_not_end_the_search() -> None:
    """One that has just lost its address, or has no way for multicast."""
    heard = asyncio.Event()
    broken = Interface("gone0", "203.0.113.9", ipaddress.IPv4Network("203.0.113.0/24"))
    (lo,) = [one for one in interfaces() if one.name == "lo"]
    async with responder("127.0.0.2", lambda question: [answer(question)]) as port:
        listener = Listener(lambda _match, _address, _how: heard.set(), port=port)
        await listener.open([broken, lo])
        await listener.ask_everybody(0.05)
        await listener.ask_each(["127.0.0.2"], lambda: None)
        await asyncio.wait_for(heard.wait(), 30)
        listener.close()
    assert [name for name, _ in listener.failed] == ["gone0"]


async def test_cameras_as_somebody_else_wrote_them_are_found_by_multicast() -> None:
    """The simulated cameras' own responder, on a port of its own, so that it meets no other of this machine."""
    cameras = [
        Simulated(name, (f"onvif://www.onvif.org/name/{name}",), f"http://0.0.0.0:{port}/onvif/device_service")
        for name, port in (("gate", 8001), ("yard", 8002))
    ]
    other = Responder(lambda: cameras)
    port = await other.start("127.0.0.1", 0)
    try:
        found = await search(port).run()
    finally:
        other.stop()
    assert [(one.address, one.port, one.name, one.how) for one in found] == [
        ("127.0.0.1", 8001, "gate", "multicast"),
        ("127.0.0.1", 8002, "yard", "multicast"),
    ]


def test_ranges_are_read() -> None:
    assert parse_ranges(["192.168.1.0/30"]) == ("192.168.1.1", "192.168.1.2")
    assert parse_ranges(["192.168.1.10-12", "192.168.1.12"]) == ("192.168.1.10", "192.168.1.11", "192.168.1.12")
    assert len(parse_ranges(["192.168.0.250-192.168.1.5"])) == 12
    assert parse_ranges(["10.0.0.7/32"]) == ("10.0.0.7",)
    assert len(parse_ranges(["10.0.0.0/20"])) == 4094


@pytest.mark.parametrize(
    "text", ["", "x", "10.0.0.0/33", "10.0.0.5-4", "10.0.0.5-300", "10.0.0.0/8", "fe80::/120", "1-2"]
)
def test_a_bad_or_large_range_is_refused(text: str) -> None:
    with pytest.raises(DiscoveryError):
        parse_ranges([text])


def test_the_neighbour_table_is_read(tmp_path: Path) -> None:
    table = tmp_path / "arp"
    table.write_text(
        "IP address       HW type     Flags       HW address            Mask     Device\n"
        "192.168.1.64     0x1         0x2         44:19:B6:00:11:22     *        eth0\n"
        "192.168.1.65     0x1         0x0         00:00:00:00:00:00     *        eth0\n"
        "broken\n"
    )
    assert neighbours(table) == {"192.168.1.64": "44:19:b6:00:11:22", "192.168.1.65": None}
    assert neighbours(tmp_path / "none") == {}


def test_interfaces_are_listed() -> None:
    (lo,) = [one for one in interfaces() if one.name == "lo"]
    assert lo.address == "127.0.0.1"
    assert not on_link("127.0.0.2", [lo])


def test_a_device_with_two_addresses_is_one_and_two_with_one_endpoint_are_two() -> None:
    one = Found("10.0.0.1", 80, "multicast", endpoint="e", hosts=("10.0.0.1", "10.0.1.1"))
    other = Found("10.0.1.1", 80, "multicast", endpoint="e", hosts=("10.0.0.1", "10.0.1.1"))
    clone = Found("10.0.0.9", 80, "multicast", endpoint="e", hosts=("10.0.0.9",))
    assert [found.address for found in merged([one, other, clone])] == ["10.0.0.1", "10.0.0.9"]


# --- a network of our own: two spaces with a cable between them

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="network namespaces need root and iproute2"
)
CAMERA = """
import asyncio, socket, struct, sys
from tests.unit.skyeye.discovery.responder import answer
async def main():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", 3702))
    for address in sys.argv[1:]:
        member = struct.pack("4s4s", socket.inet_aton("239.255.255.250"), socket.inet_aton(address))
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
    print("up", flush=True)
    while True:
        data, where = sock.recvfrom(65535)
        xaddrs = "http://0.0.0.0:8000/onvif/device_service"
        sock.sendto(answer(data, scopes="onvif://www.onvif.org/name/gate", xaddrs=xaddrs), where)
asyncio.run(main())
"""
SEARCH = """
import asyncio, json, sys
from agent.skyeye.discovery import Search
found = asyncio.run(Search(None, sys.argv[1:], timeout_s=0.6).run())
print(json.dumps([one.as_data() for one in found]))
"""


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[tuple[str, str]]:
    """Two namespaces: ours has 10.99.0.1, the camera's 10.99.0.64."""
    ours, theirs = f"dsc{os.getpid()}a", f"dsc{os.getpid()}b"
    made: list[str] = []
    try:
        try:
            for space in (ours, theirs):
                ip("netns", "add", space)
                made.append(space)
            ip("-n", ours, "link", "add", "cam0", "type", "veth", "peer", "name", "cam1", "netns", theirs)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no network namespaces here: {error.stderr!r}")
        for space, name, address in ((ours, "cam0", "10.99.0.1/24"), (theirs, "cam1", "10.99.0.64/24")):
            ip("-n", space, "addr", "add", address, "dev", name)
            ip("-n", space, "link", "set", name, "up")
            ip("-n", space, "link", "set", "lo", "up")
        yield ours, theirs
    finally:
        for space in made:
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def inside(space: str, code: str, *args: str) -> list[str]:
    return ["ip", "netns", "exec", space, sys.executable, "-c", code, *args]


@needs_root
def test_everybody_is_asked_and_the_mac_is_known(network: tuple[str, str]) -> None:
    ours, theirs = network
    with subprocess.Popen(inside(theirs, CAMERA, "10.99.0.64"), cwd=ROOT, stdout=subprocess.PIPE) as camera:
        try:
            assert camera.stdout is not None
            assert camera.stdout.readline() == b"up\n"
            done = subprocess.run(inside(ours, SEARCH), cwd=ROOT, capture_output=True, check=True, timeout=60)
        finally:
            camera.kill()
    (found,) = json.loads(done.stdout)
    assert (found["address"], found["port"], found["how"], found["name"]) == ("10.99.0.64", 8000, "multicast", "gate")
    assert len(found["mac"]) == 17


@needs_root
def test_hosts_that_are_not_there_cost_little(network: tuple[str, str]) -> None:
    """They are in no neighbour table, so nobody tries ten ports on each; nor do they keep the questions back that are
    for those behind them."""
    ours, theirs = network
    ip("-n", theirs, "addr", "flush", "dev", "cam1")
    ip("-n", theirs, "addr", "add", "10.99.0.253/24", "dev", "cam1")
    with subprocess.Popen(inside(theirs, CAMERA), cwd=ROOT, stdout=subprocess.PIPE) as camera:
        try:
            assert camera.stdout is not None
            assert camera.stdout.readline() == b"up\n"
            command = inside(ours, SEARCH, "10.99.0.0/24")
            done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
        finally:
            camera.kill()
    assert [one["address"] for one in json.loads(done.stdout)] == ["10.99.0.253"]


async def test_what_is_configured_is_asked_whatever_the_ranges() -> None:
    body = b"<Envelope><Body><Fault>NotAuthorized</Fault></Body></Envelope>"
    async with (
        responder("127.0.0.2", lambda question: [answer(question)]) as port,
        tcp(http(body, "400 Bad Request")) as (own, _),
    ):
        one = search(port)
        none: frozenset[int] = frozenset()
        one.extra = {"127.0.0.2": none, "127.0.0.4": frozenset({own}), "localhost": none, "no-such-host.invalid": none}
        found = await one.run()
    assert [(one.address, one.how) for one in found] == [("127.0.0.2", "unicast"), ("127.0.0.4", "onvif")]
    assert one.addresses == {"127.0.0.2": "127.0.0.2", "127.0.0.4": "127.0.0.4", "localhost": "127.0.0.1"}


async def test_each_camera_behind_one_address_is_looked_at_also_when_one_has_answered() -> None:
    body = b"<Envelope><Body><Fault>NotAuthorized</Fault></Body></Envelope>"
    async with (
        tcp(http(body, "400 Bad Request")) as (first, _),
        tcp(http(body, "400 Bad Request")) as (second, _),
        tcp(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n") as (third, _),
        responder(
            "127.0.0.4", lambda question: [answer(question, xaddrs=f"http://127.0.0.4:{first}/onvif/device_service")]
        ) as port,
    ):
        one = search(port)
        one.extra = {"127.0.0.4": frozenset({first, second, third, 1})}
        found = await one.run()
    assert {(it.address, it.port, it.how) for it in found} == {
        ("127.0.0.4", first, "unicast"),
        ("127.0.0.4", second, "onvif"),
        ("127.0.0.4", third, "rtsp"),
    }
