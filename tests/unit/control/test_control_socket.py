"""The control socket on a real Unix socket: calls, streams, refusals, and peers that misbehave."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.control import ControlClient, ControlError, ControlServer, DaemonDown, Methods, Peer
from agent.control.protocol import (
    SOCKET_PATH_LIMIT,
    BadRequest,
    eye_sockets,
    parse_request,
    socket_candidates,
    text_of,
)
from agent.control.server import BYTES_BURST, CALLS_BURST, CLIENT_LIMIT, PROCESS_LIMIT, REQUEST_LIMIT, Pace, Params
from agent.model import JsonValue
from agent.texts import Spoken, say


async def echo(params: Params, peer: Peer) -> JsonValue:
    return {"params": dict(params), "actor": peer.actor}


async def refuse(_params: Params, _peer: Peer) -> JsonValue:
    raise Spoken(say("control.unknown-method", method="门"))


async def needs_number(params: Params, _peer: Peer) -> JsonValue:
    return int(str(params["n"]))


async def count(params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
    for number in range(int(str(params["n"]))):
        yield number


async def silence(_params: Params, _peer: Peer) -> AsyncIterator[JsonValue]:
    await asyncio.Event().wait()
    yield None


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ControlServer]:
    methods = Methods(
        {"echo": echo, "refuse": refuse, "needs-number": needs_number}, {"count": count, "silence": silence}
    )
    server = ControlServer([tmp_path / "c.sock"], methods)
    await server.start()
    yield server
    await server.close()
    assert not (tmp_path / "c.sock").exists()


def client(server: ControlServer) -> ControlClient:
    assert server.path
    return ControlClient([server.path])


async def test_one_connection_carries_calls_and_streams_one_after_another(server: ControlServer) -> None:
    async with client(server) as c:
        answer = await c.call("echo", name="校门")
        assert isinstance(answer, dict)
        assert answer["params"] == {"name": "校门"}
        assert str(answer["actor"]).startswith("local:")
        assert [item async for item in c.stream("count", n=3)] == [0, 1, 2]
        assert await c.call("needs-number", n=7) == 7


async def test_a_refusal_keeps_its_text_in_both_languages(server: ControlServer) -> None:
    async with client(server) as c:
        with pytest.raises(ControlError) as caught:
            await c.call("refuse")
        assert caught.value.text.render("zh-CN") == "控制接口没有方法 门"
        assert caught.value.text.render("en") == "the control socket has no method 门"


async def test_wrong_parameters_and_unknown_methods_are_refused_and_the_connection_goes_on(
    server: ControlServer,
) -> None:
    async with client(server) as c:
        for method, params in (("needs-number", {}), ("needs-number", {"n": "x"}), ("nothing", {})):
            with pytest.raises(ControlError):
                await c.call(method, **params)
        assert await c.call("needs-number", n=1) == 1


async def test_garbage_is_answered_and_an_endless_line_is_cut_off(server: ControlServer) -> None:
    assert server.path
    reader, writer = await asyncio.open_unix_connection(str(server.path), limit=4 * 1024 * 1024)
    writer.write(b"\xff\x00 nonsense\n")
    answer = json.loads(await reader.readline())
    assert answer["error"]["key"] == "control.bad-request"
    writer.write(b"x" * (2 * 1024 * 1024))
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
    async with client(server) as c:
        assert await c.call("needs-number", n=1) == 1


async def test_connections_of_one_process_are_bounded_and_leave_places_to_others(server: ControlServer) -> None:
    clients = [client(server) for _ in range(PROCESS_LIMIT)]
    for c in clients:
        await c.__aenter__()
        await c.call("echo")
    async with client(server) as c:
        with pytest.raises((ControlError, DaemonDown)):
            await c.call("echo")
    assert server.path is not None
    other = (
        "import asyncio, pathlib, sys; from agent.control import ControlClient\n"
        "async def main():\n"
        "    async with ControlClient([pathlib.Path(sys.argv[1])]) as c: print(await c.call('needs-number', n=7))\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", other, str(server.path), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    assert said.strip() == b"7"
    assert PROCESS_LIMIT < CLIENT_LIMIT
    for open_client in clients:
        await open_client.__aexit__()


def test_who_asks_too_much_is_read_more_slowly() -> None:
    calls, sizes = Pace(), Pace()
    assert sum(calls.owe(10) for _ in range(int(CALLS_BURST))) == 0
    waits = [calls.owe(10) for _ in range(50)]
    assert 0 < waits[0] < waits[-1]
    assert not calls.rested
    assert sizes.owe(int(BYTES_BURST)) == 0
    assert sizes.owe(REQUEST_LIMIT) > 0.1


async def test_a_request_over_the_limit_ends_the_connection(server: ControlServer) -> None:
    with pytest.raises(DaemonDown):
        async with client(server) as c:
            await c.call("echo", text="x" * REQUEST_LIMIT)
    async with client(server) as c:
        assert await c.call("needs-number", n=7) == 7


@pytest.mark.parametrize("line", [b"[]\n", b"nonsense\n", b"{\n", b"9" * 2_000_000 + b"\n", b"\xff\n"])
async def test_an_answer_that_cannot_be_read_is_told_as_such(tmp_path: Path, line: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(line)
        await writer.drain()
        writer.close()

    path = tmp_path / "odd.sock"
    async with await asyncio.start_unix_server(serve, path):
        with pytest.raises(DaemonDown):
            async with ControlClient([path]) as c:
                await c.call("echo")


def test_the_eye_listens_beside_the_control_socket_that_was_bound() -> None:
    assert eye_sockets(Path("/run/x/control.sock")) == (
        Path("/run/x/control-eye.sock"),
        Path("/run/x/control-media.sock"),
    )


@given(st.text(), st.sampled_from(["../../../etc/passwd.x", "nosuch.key", "/etc/x.y", "a.b"]))
def test_a_text_of_another_process_never_opens_a_file_of_its_choice(other: str, key: str) -> None:
    for name in (other, key):
        try:
            text = text_of({"key": name, "args": {}})
        except BadRequest:
            continue
        assert "/" not in text.key


async def test_quiet_streams_that_nobody_reads_any_more_give_their_place_back(server: ControlServer) -> None:
    for _ in range(PROCESS_LIMIT):
        async with client(server) as c:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await anext(aiter(c.stream("silence")))
    async with asyncio.timeout(60):
        while True:
            async with client(server) as c:
                with contextlib.suppress(ControlError, DaemonDown):
                    assert await c.call("needs-number", n=7) == 7
                    break
            await asyncio.sleep(0.1)


async def test_no_daemon_is_told_with_the_sockets_that_were_tried(tmp_path: Path) -> None:
    with pytest.raises(DaemonDown) as caught:
        async with ControlClient([tmp_path / "none.sock"]):
            pass
    assert str(tmp_path / "none.sock") in str(caught.value)


async def test_a_dead_daemons_socket_file_does_not_stop_the_next(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    first = ControlServer([path], Methods({"echo": echo}))
    await first.start()
    second = ControlServer([path], Methods({"needs-number": needs_number}))
    await second.start()
    async with ControlClient([path]) as c:
        assert await c.call("needs-number", n=3) == 3
    await second.close()
    await first.close()


async def test_a_link_or_an_open_directory_where_everybody_may_write_is_not_used(tmp_path: Path) -> None:
    shared = tmp_path / "tmp"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "elsewhere").mkdir()
    (shared / "link").symlink_to(tmp_path / "elsewhere")
    (shared / "open").mkdir()
    (shared / "open").chmod(0o777)
    for name in ("link", "open"):
        path = shared / name / "c.sock"
        with pytest.raises(PermissionError):
            await ControlServer([path], Methods()).start()
        false_one = await asyncio.start_unix_server(lambda _reader, _writer: None, path)
        with pytest.raises(DaemonDown):
            async with ControlClient([path]):
                pass
        false_one.close()
    server = ControlServer([shared / "ours" / "c.sock"], Methods({"echo": echo}))
    await server.start()
    async with client(server) as c:
        assert await c.call("echo")
    await server.close()


async def test_the_next_candidate_is_taken_where_the_first_cannot_be_bound(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    server = ControlServer([tmp_path / "file" / "c.sock", tmp_path / "d.sock"], Methods({"echo": echo}))
    await server.start()
    assert server.path == tmp_path / "d.sock"
    await server.close()


def test_candidates_are_the_explicit_path_alone_or_the_service_or_beside_the_journal() -> None:
    assert socket_candidates(Path("/x/y.sock"), Path("/a/b.db")) == [Path("/x/y.sock")]
    installed = socket_candidates(None, Path("/var/lib/campus-agent/journal.db"))
    assert installed[0] == Path("/run/campus-agent/control.sock")
    assert socket_candidates(None, Path("/a/b.db"))[0] == Path("/a/b.sock")


def test_a_journal_too_deep_for_a_socket_path_gets_the_spare_one() -> None:
    deep = Path("/" + "d" * SOCKET_PATH_LIMIT) / "journal.db"
    (only,) = socket_candidates(None, deep)
    assert len(bytes(only)) <= SOCKET_PATH_LIMIT


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_bad_request(line: bytes) -> None:
    with contextlib.suppress(BadRequest):
        parse_request(line)
