"""The HTTP client against real sockets: servers that do well, and what the client promises its caller."""

import asyncio
import logging
import socket
import threading

import pytest
from tests.link.http_asking import LOCAL, ask, failures, fetch, ignore
from tests.stands.mesh_web import ScriptedWeb, Visitor, answering, field_of, target_of, whole

from samesky.link.http import Get, HttpClient, Reply, Timeouts, UrlRules


def echo(request: str) -> bytes:
    """The path asked for, as the body."""
    return whole(target_of(request).encode(), 'ETag: "1"')


def test_a_file_is_fetched() -> None:
    with ScriptedWeb(answering(echo)) as web:
        assert fetch(f"{web.url}/a/b?c=%20") == [Reply(200, b"/a/b?c=%20", '"1"', None, 10)]


def test_a_request_says_whom_it_asks_and_wants_no_encoding() -> None:
    with ScriptedWeb(answering(lambda request: whole(request.encode()))) as web:
        lines = fetch(f"{web.url}/a")[0].body.decode().split("\r\n")
        assert lines[:2] == ["GET /a HTTP/1.1", f"Host: 127.0.0.1:{web.port}"]
        assert "Accept-Encoding: identity" in lines


def test_a_thousand_files_come_over_few_connections_each_with_its_own_content() -> None:
    with ScriptedWeb(answering(echo)) as web:
        replies = fetch(*(f"{web.url}/file/{number}" for number in range(1000)))
        assert [reply.body for reply in replies] == [f"/file/{number}".encode() for number in range(1000)]
        assert web.visits <= 4


def test_requests_are_pipelined_once_the_server_has_shown_that_it_keeps_connections() -> None:
    def script(visitor: Visitor) -> None:
        visitor.send(echo(visitor.read_request()))
        waiting = [visitor.read_request() for _ in range(8)]  # for ever, unless they come without an answer
        visitor.send(b"".join(echo(request) for request in waiting))
        visitor.wait_for_end()

    with ScriptedWeb(script) as web:
        replies = fetch(*(f"{web.url}/{number}" for number in range(9)), depth=8, connections_per_host=1)
        assert [reply.body for reply in replies] == [b"/%d" % number for number in range(9)]


def test_a_large_file_waits_for_no_other_and_lets_none_wait_behind_it() -> None:
    last_is_asked = threading.Event()

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            if target_of(request) == "/large":
                assert last_is_asked.wait(30)
            visitor.send(echo(request))
            if target_of(request) == "/last":
                last_is_asked.set()

    with ScriptedWeb(script) as web:
        names = ["/first", "/large", *(f"/{number}" for number in range(20)), "/last"]
        gets = [Get(web.url + name, 50 << 20 if name == "/large" else 100, ignore) for name in names]
        replies = ask(gets, most_bytes_in_flight=100 << 20)
        assert [reply.body.decode() for reply in replies] == names


def test_pieces_are_handed_over_as_they_come() -> None:
    content = bytes(range(256)) * 20_000
    pieces: list[bytes] = []
    with ScriptedWeb(answering(lambda request: whole(content))) as web:
        [reply] = ask([Get(f"{web.url}/a", len(content), ignore, pieces.append)])
        assert reply == Reply(200, b"", "", None, len(content))
    assert len(pieces) > 10
    assert b"".join(pieces) == content


def test_chunks_and_bodies_without_a_length_are_read() -> None:
    def script(visitor: Visitor) -> None:
        if target_of(visitor.read_request()) == "/chunked":
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            visitor.send(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        else:
            visitor.send(b"HTTP/1.0 200 OK\r\n\r\nabcde")

    with ScriptedWeb(script) as web:
        replies = fetch(f"{web.url}/chunked", f"{web.url}/old")
        assert [reply.body for reply in replies] == [b"abcde", b"abcde"]


def ranged(request: str, content: bytes = b"0123456789", tag: str = '"1"') -> bytes:
    """What a proper server answers when asked for the rest."""
    wanted = field_of(request, "Range")
    if wanted is None or field_of(request, "If-Range") != tag:
        return whole(content, f"ETag: {tag}")
    first = int(wanted.removeprefix("bytes=").removesuffix("-"))
    told = f"Content-Range: bytes {first}-{len(content) - 1}/{len(content)}"
    return whole(content[first:], f"ETag: {tag}", told, status="206 Partial Content")


def test_the_rest_of_a_file_is_fetched() -> None:
    pieces: list[bytes] = []
    with ScriptedWeb(answering(ranged)) as web:
        get = Get(f"{web.url}/a", 10, ignore, pieces.append, offset=7, validator='"1"')
        assert ask([get]) == [Reply(206, b"", '"1"', None, 3)]
    assert (pieces, get.begins_at) == ([b"789"], 7)


def test_the_whole_file_comes_when_it_isnt_the_same_version_any_more() -> None:
    begins: list[int] = []
    with ScriptedWeb(answering(ranged)) as web:
        get = Get(f"{web.url}/a", 10, ignore, lambda piece: begins.append(get.begins_at), offset=7, validator='"0"')
        assert ask([get]) == [Reply(200, b"", '"1"', None, 10)]
    assert begins == [0]


def test_the_rest_of_a_file_isnt_asked_for_without_saying_of_which_version() -> None:
    with pytest.raises(ValueError, match="validator"):
        ask([Get("http://127.0.0.1/a", 10, ignore, offset=7)])


def test_a_redirection_is_followed() -> None:
    def answer(request: str) -> bytes:
        path = target_of(request)
        elsewhere = {"/a/1": "2?x", "/a/2?x": "/b/3", "/b/3": f"http://localhost:{field_of(request, 'Host')[10:]}/4"}
        if path in elsewhere:
            return whole(b"moved", f"Location: {elsewhere[path]}", status="302 Found")
        return whole(request.encode())

    with ScriptedWeb(answering(answer)) as web:
        [reply] = fetch(f"{web.url}/a/1")
        assert reply.body.startswith(f"GET /4 HTTP/1.1\r\nHost: localhost:{web.port}\r\n".encode())


def test_at_most_so_much_is_in_flight() -> None:
    lock = threading.Lock()
    now = most = 0

    def script(visitor: Visitor) -> None:
        nonlocal now, most
        while request := visitor.read_request():
            with lock:
                now += 1
                most = max(most, now)
            with lock:
                now -= 1
            visitor.send(echo(request))

    with ScriptedWeb(script) as web:
        gets = [Get(f"{web.url}/{number}", 4000, ignore) for number in range(200)]
        assert failures(ask(gets, most_bytes_in_flight=9000)) == []
        assert most <= 2


def test_a_file_larger_than_the_bound_is_fetched_alone() -> None:
    with ScriptedWeb(answering(echo)) as web:
        gets = [Get(f"{web.url}/{number}", 9000, ignore) for number in range(10)]
        assert failures(ask(gets, most_bytes_in_flight=100)) == []


def test_connections_are_bounded_in_all_and_idle_ones_make_room() -> None:
    with (
        ScriptedWeb(answering(echo)) as one,
        ScriptedWeb(answering(echo)) as two,
        ScriptedWeb(answering(echo)) as three,
    ):
        urls = [f"{web.url}/{number}" for number in range(50) for web in (one, two, three)]
        assert failures(fetch(*urls, connections=1)) == []
        assert failures(fetch(*urls, connections=2)) == []


def test_a_host_with_endless_work_leaves_connections_to_others() -> None:
    async def run() -> None:
        finished = asyncio.Event()

        def go_on(request: Get, reply: Reply) -> None:
            client.get(Get(request.url, 10, go_on))

        def end(request: Get, reply: Reply) -> None:
            finished.set()

        async with HttpClient(LOCAL, connections=1) as client:
            for _ in range(100):
                client.get(Get(f"{busy.url}/a", 10, go_on))
            client.get(Get(f"{other.url}/a", 10, end))
            async with asyncio.timeout(60):
                await finished.wait()

    with ScriptedWeb(answering(echo)) as busy, ScriptedWeb(answering(echo)) as other:
        asyncio.run(run())


def test_a_connection_that_is_idle_for_long_is_closed() -> None:
    ended = threading.Event()

    def script(visitor: Visitor) -> None:
        visitor.send(echo(visitor.read_request()))
        visitor.wait_for_end()
        ended.set()

    async def run() -> None:
        async with HttpClient(LOCAL, timeouts=Timeouts(idle_s=0.1)) as client:
            client.get(Get(f"{web.url}/a", 10, ignore))
            assert await asyncio.to_thread(ended.wait, 30)

    with ScriptedWeb(script) as web:
        asyncio.run(run())


def test_what_is_cancelled_isnt_told_and_the_others_are() -> None:
    told: list[str] = []

    async def run() -> None:
        finished = asyncio.Event()

        def keep(request: Get, reply: Reply) -> None:
            told.append(request.url)
            assert reply.body.decode() == request.url.removeprefix(web.url)
            if request is gets[-1]:
                finished.set()

        async with HttpClient(LOCAL, connections_per_host=1) as client:
            gets = [Get(f"{web.url}/{number}", 10, keep) for number in range(10)]
            for get in gets:
                client.get(get)
            client.cancel(gets[3])
            client.cancel(gets[3])
            assert client.waiting == 9
            async with asyncio.timeout(60):
                await finished.wait()
            client.cancel(gets[0])

    with ScriptedWeb(answering(echo)) as web:
        asyncio.run(run())
        assert told == [f"{web.url}/{number}" for number in range(10) if number != 3]


def test_a_long_download_that_is_cancelled_ends_its_connection() -> None:
    ended = threading.Event()

    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n")
        while visitor.send(b"x" * 10_000):
            pass
        ended.set()

    async def run() -> None:
        async with HttpClient(LOCAL) as client:
            get = Get(f"{web.url}/a", 999_999_999, ignore, lambda piece: client.cancel(get))
            client.get(get)
            assert await asyncio.to_thread(ended.wait, 30)
            assert client.waiting == 0

    with ScriptedWeb(script) as web:
        asyncio.run(run())


def test_closing_ends_everything_and_tells_nobody() -> None:
    asked = threading.Event()

    def script(visitor: Visitor) -> None:
        visitor.read_request()
        asked.set()
        visitor.wait_for_end()

    async def run() -> None:
        def fail(request: Get, reply: Reply) -> None:
            raise AssertionError("told after the end")

        client = HttpClient(LOCAL)
        get = Get(f"{web.url}/a", 10, fail)
        client.get(get)
        client.get(Get(f"http://localhost:{web.port}/b", 10, fail))
        client.get(Get("file:///etc/passwd", 10, fail))
        with pytest.raises(RuntimeError, match="under way"):
            client.get(get)
        assert await asyncio.to_thread(asked.wait, 30)
        await client.close()
        with pytest.raises(RuntimeError, match="closed"):
            client.get(get)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with ScriptedWeb(script) as web:
        asyncio.run(run())


def test_more_can_be_asked_for_when_one_is_told() -> None:
    async def run() -> int:
        finished = asyncio.Event()

        def go_on(request: Get, reply: Reply) -> None:
            number = int(reply.body[1:]) + 1
            if number == 50:
                finished.set()
            else:
                client.get(Get(f"{web.url}/{number}", 10, go_on))

        async with HttpClient(LOCAL) as client:
            client.get(Get(f"{web.url}/0", 10, go_on))
            async with asyncio.timeout(60):
                await finished.wait()
        return web.visits

    with ScriptedWeb(answering(echo)) as web:
        assert asyncio.run(run()) == 1


def test_what_the_caller_raises_is_logged_and_stops_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def full(piece: bytes) -> None:
        raise OSError(28, "No space left on device")

    async def run() -> None:
        finished = asyncio.Event()

        def fail(request: Get, reply: Reply) -> None:
            raise LookupError("a mistake of the caller's")

        def end(request: Get, reply: Reply) -> None:
            finished.set()

        async with HttpClient(LOCAL, connections_per_host=1) as client:
            client.get(Get(f"{web.url}/a", 10, fail))
            client.get(Get(f"{web.url}/b", 10, end))
            async with asyncio.timeout(60):
                await finished.wait()

    with ScriptedWeb(answering(echo)) as web, caplog.at_level(logging.ERROR):
        asyncio.run(run())
        assert "http_done_failed" in caplog.text
        assert "a mistake of the caller's" in caplog.text
        [reply, other] = ask([Get(f"{web.url}/a", 10, ignore, full), Get(f"{web.url}/b", 10, ignore)])
        assert reply.failure is not None
        assert (reply.failure.kind, reply.failure.retry, "No space left" in reply.failure.words) == (
            "piece",
            True,
            True,
        )
        assert other.body == b"/b"


def test_a_name_is_resolved_once_and_the_next_address_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    resolved: list[str] = []

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        resolved.append(host)
        addresses = ["127.0.0.2", "127.0.0.1"] if len(resolved) == 1 else ["127.0.0.3"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    with ScriptedWeb(answering(echo)) as web:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"http://peer.example:{web.port}/a"
        assert fetch(url, rules=UrlRules(hosts=("peer.example",)))[0].body == b"/a"
        assert resolved == ["peer.example"]
