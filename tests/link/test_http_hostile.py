"""The HTTP client against servers that do badly, by mistake or on purpose (rows 41 and 43)."""

import asyncio
import random
import socket
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.link.http_asking import LOCAL, ask, failures, fetch, ignore
from tests.stands.mesh_web import ScriptedWeb, Visitor, target_of, whole

from samesky.link.http import Get, HttpClient, Reply, Timeouts

pytestmark = pytest.mark.slow

OK = b"HTTP/1.1 200 OK\r\n"
PATIENT = Timeouts(connect_s=30, first_byte_s=30, stall_s=30, rate_window_s=30, least_rate=1, total_s=30)
NO_ANSWER, STALLED = replace(PATIENT, first_byte_s=0.3), replace(PATIENT, stall_s=0.3)
TOO_SLOW, NOT_DONE = replace(PATIENT, rate_window_s=0.3, least_rate=100), replace(PATIENT, total_s=0.9)


def echo(request: str) -> bytes:
    """The path asked for, as the body."""
    return whole(target_of(request).encode())


def once(raw: bytes) -> Callable[[Visitor], None]:
    """A script that sends ``raw`` to the first request of a connection, then waits until the client closes it."""

    def script(visitor: Visitor) -> None:
        if visitor.read_request():
            visitor.send(raw)
            visitor.wait_for_end()

    return script


def dripping(begin: bytes, drop: bytes, every_s: float) -> Callable[[Visitor], None]:
    """A script that sends ``begin``, then ``drop`` again and again, until the client has had enough."""

    def script(visitor: Visitor) -> None:
        visitor.read_request()
        ended = threading.Event()
        visitor.send(begin)
        while visitor.send(drop):
            ended.wait(every_s)

    return script


@pytest.mark.parametrize(
    ("script", "timeouts", "words"),
    [
        (once(b""), NO_ANSWER, "no answer"),
        (once(OK), NO_ANSWER, "no answer"),
        (dripping(OK + b"X: ", b"x", 0.02), NO_ANSWER, "no answer"),
        (dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.1), NO_ANSWER, "no answer"),
        (once(OK + b"Content-Length: 9\r\n\r\nabc"), STALLED, "nothing came"),
        (once(OK + b"\r\nabc"), STALLED, "nothing came"),
        (dripping(OK + b"Content-Length: 999\r\n\r\n", b"x", 0.05), TOO_SLOW, "bytes a second"),
        (dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 0.1), TOO_SLOW, "bytes a second"),
        (dripping(OK + b"Content-Length: 99999\r\n\r\n", b"x" * 100, 0.05), NOT_DONE, "not done"),
    ],
)
def test_a_server_that_takes_too_long_is_given_up(
    script: Callable[[Visitor], None], timeouts: Timeouts, words: str
) -> None:
    """Each time one bound alone is short, or a machine that is busy would make it another one that is passed."""
    with ScriptedWeb(script) as web:
        [reply] = fetch(f"{web.url}/a", timeouts=timeouts)
        assert reply.failure is not None
        assert (reply.failure.kind, reply.failure.retry) == ("slow", True)
        assert words in reply.failure.words


def test_a_slow_answer_takes_nobody_with_it() -> None:
    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            if target_of(request) == "/5":
                visitor.wait_for_end()
            visitor.send(echo(request))

    with ScriptedWeb(script) as web:
        replies = fetch(
            *(f"{web.url}/{number}" for number in range(20)), timeouts=Timeouts(first_byte_s=5), connections_per_host=1
        )
        assert [number for number, reply in enumerate(replies) if reply.failure] == [5]
        assert replies[19].body == b"/19"


@pytest.mark.parametrize(
    "head", [b"Content-Length: 999999999\r\n\r\n", b"\r\n", b"Transfer-Encoding: chunked\r\n\r\nfffffff\r\n"]
)
@pytest.mark.parametrize("pieces", [True, False])
def test_no_more_is_taken_than_was_announced(head: bytes, pieces: bool) -> None:
    taken: list[bytes] = []

    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(OK + head)
        while visitor.send(b"x" * 1000):
            pass

    with ScriptedWeb(script) as web:
        [reply] = ask([Get(f"{web.url}/a", 5000, ignore, taken.append if pieces else None)])
        assert failures([reply]) == ["size"]
        assert not reply.failure.retry  # type: ignore[union-attr]
        assert reply.body == b""
        assert sum(map(len, taken)) <= 5000


@pytest.mark.parametrize(
    "flood", [b"X: y\r\n", b"X: " + b"y" * 4000 + b"\r\n", b"y" * 1000, b"\0", b"HTTP/1.1 100 C\r\n\r\n"]
)
def test_a_flood_in_place_of_an_answer_is_cut_off(flood: bytes) -> None:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(OK)
        while visitor.send(flood):
            pass

    with ScriptedWeb(script) as web:
        assert failures(fetch(f"{web.url}/a")) == ["protocol"]


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>hello</html>\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK + b"Content-Length: 3\n\nabc",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_isnt_http_is_no_answer(raw: bytes) -> None:
    with ScriptedWeb(once(raw)) as web:
        assert failures(fetch(f"{web.url}/a")) == ["protocol"]


def test_an_answer_that_is_cut_short_says_how_much_came() -> None:
    pieces: list[bytes] = []

    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(OK + b'Content-Length: 9\r\nETag: "1"\r\n\r\nabc')

    with ScriptedWeb(script) as web:
        [reply] = ask([Get(f"{web.url}/a", 9, ignore, pieces.append)])
        assert (failures([reply]), reply.received, reply.validator, pieces) == (["cut"], 3, '"1"', [b"abc"])


def test_a_reset_connection_ends_no_body() -> None:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(OK + b"\r\nabc")
        visitor.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    with ScriptedWeb(script) as web:
        assert failures(fetch(f"{web.url}/a")) == ["cut"]


def test_a_server_that_only_hangs_up_is_asked_three_times() -> None:
    with ScriptedWeb(lambda visitor: visitor.read_request() and None) as web:
        assert failures(fetch(f"{web.url}/a")) == ["closed"]
        assert web.visits == 3


@pytest.mark.parametrize("connection", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("answers", [1, 2, 7])
def test_a_server_that_hangs_up_now_and_then_answers_everything_in_the_end(connection: bytes, answers: int) -> None:
    def script(visitor: Visitor) -> None:
        for number in range(answers):
            request = visitor.read_request()
            if not request:
                return
            last = connection if number == answers - 1 else b""
            visitor.send(
                OK + last + b"Content-Length: %d\r\n\r\n%b" % (len(target_of(request)), target_of(request).encode())
            )

    with ScriptedWeb(script) as web:
        replies = fetch(*(f"{web.url}/{number}" for number in range(60)))
        assert [reply.body for reply in replies] == [b"/%d" % number for number in range(60)]


def test_a_server_that_loses_pipelined_requests_is_asked_one_by_one() -> None:
    asked: list[int] = []

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            asked.append(visitor.number)
            visitor.drop_received()
            visitor.send(echo(request))

    with ScriptedWeb(script) as web:
        replies = fetch(*(f"{web.url}/{number}" for number in range(30)), timeouts=replace(PATIENT, first_byte_s=5))
        assert len(failures(replies)) <= 4
        assert all(reply.body for reply in replies if not reply.failure)


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_server_whose_answers_are_in_doubt_can_be_asked_one_by_one(one_by_one: bool) -> None:
    behind: list[bool] = []

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            behind.append(visitor.more_came)
            visitor.send(echo(request))

    async def run() -> None:
        replies: asyncio.Queue[Reply] = asyncio.Queue()
        async with HttpClient(LOCAL, connections_per_host=1) as client, asyncio.timeout(60):
            for number in range(41):
                client.get(Get(f"{web.url}/{number}", 10, lambda _, reply: replies.put_nowait(reply)))
                if number == 0:
                    await replies.get()
                    if one_by_one:
                        client.ask_one_by_one(web.url)
            for _ in range(40):
                assert (await replies.get()).failure is None

    with ScriptedWeb(script) as web:
        asyncio.run(run())
        assert any(behind) is not one_by_one


def test_garbage_among_pipelined_answers_fails_one_and_leaves_the_others() -> None:
    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            visitor.send(b"garbage\r\n\r\n" if target_of(request) == "/7" else echo(request))

    with ScriptedWeb(script) as web:
        replies = fetch(*(f"{web.url}/{number}" for number in range(20)), connections_per_host=1)
        assert [(n, reply.failure.kind) for n, reply in enumerate(replies) if reply.failure] == [(7, "protocol")]
        assert [reply.body for reply in replies if not reply.failure] == [b"/%d" % n for n in range(20) if n != 7]


@pytest.mark.parametrize("poison", [whole(b"poison"), OK, b"H", b"\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_answer_that_nobody_asked_for_is_believed_by_nobody(poison: bytes, at_once: bool) -> None:
    """Or it would be taken for the next question's."""
    ended = threading.Event()
    told = threading.Event()

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            if visitor.number == 0:
                visitor.send(echo(request) + (poison if at_once else b""))
                assert told.wait(30)
                visitor.send(poison)
                visitor.wait_for_end()
                ended.set()
            else:
                visitor.send(echo(request))

    async def run() -> None:
        replies: asyncio.Queue[Reply] = asyncio.Queue()
        async with HttpClient(LOCAL) as client, asyncio.timeout(60):
            client.get(Get(f"{web.url}/1", 10, lambda _, reply: replies.put_nowait(reply)))
            assert (await replies.get()).body == b"/1"
            told.set()
            assert await asyncio.to_thread(ended.wait, 30)
            client.get(Get(f"{web.url}/2", 10, lambda _, reply: replies.put_nowait(reply)))
            assert (await replies.get()).body == b"/2"

    with ScriptedWeb(script) as web:
        asyncio.run(run())
        assert web.visits == 2


def test_a_server_that_doesnt_speak_tls_is_given_up() -> None:
    with ScriptedWeb(lambda visitor: visitor.wait_for_end()) as web:
        url = web.url.replace("http:", "https:")
        assert failures(fetch(f"{url}/a", timeouts=Timeouts(connect_s=0.3))) == ["connect"]
    with ScriptedWeb(lambda visitor: visitor.send(b"HTTP/1.1 400 Bad Request\r\n\r\n") and None) as web:
        url = web.url.replace("http:", "https:")
        assert failures(fetch(f"{url}/a")) in (["tls"], ["connect"])


@pytest.mark.parametrize("seed", range(6))
def test_through_connections_that_break_anywhere_every_file_arrives_in_the_end(seed: int) -> None:
    """Each connection ends after some bytes, in the middle of whatever; each download is answered once, and never
    with something else than its file."""
    chance = random.Random(seed)
    files = {f"/{number}": chance.randbytes(chance.choice((0, 10, 2000, 50_000))) for number in range(200)}

    def script(visitor: Visitor) -> None:
        left = random.Random(seed * 1000 + visitor.number).choice((0, 5, 30, 1000, 60_000, 500_000))
        while left and (request := visitor.read_request()):
            answer = whole(files[target_of(request)])[:left]
            left -= len(answer)
            visitor.send(answer)

    with ScriptedWeb(script) as web:
        missing = set(files)
        for _ in range(50):
            asked = sorted(missing)
            for path, reply in zip(asked, fetch(*(web.url + path for path in asked)), strict=True):
                if reply.failure is None:
                    assert reply.body == files[path]
                    missing.discard(path)
                else:
                    assert reply.failure.kind in ("cut", "closed")
            if not missing:
                break
        assert not missing
