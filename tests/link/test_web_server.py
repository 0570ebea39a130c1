"""What the server does for every application: HEAD is answered as GET is, without the body."""

import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest
from starlette.types import Message, Receive, Scope, Send

from samesky.link.web_server import listen, make_server
from stands.waiting import wait_for

asked: list[str] = []
ended = threading.Event()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers GET alone; /endless for as long as it is listened to."""
    if scope["type"] != "http":
        return
    asked.append(scope["method"])
    status = 200 if scope["method"] == "GET" else 405
    headers = [(b"content-length", b"5")] if scope["path"] != "/endless" else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["path"] == "/endless":
        await send({"type": "http.response.body", "body": b"more", "more_body": True})
        message: Message = {}
        while message.get("type") != "http.disconnect":
            message = await receive()
        ended.set()
        return
    await send({"type": "http.response.body", "body": b"hello"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with listen("127.0.0.1", 0) as listening:
        started = threading.Event()
        server = make_server(application, started=started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert started.wait(20)
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def test_head_is_get_without_the_body_on_a_connection_that_goes_on(port: int) -> None:
    asked.clear()
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    for method, body in (("HEAD", b""), ("GET", b"hello"), ("HEAD", b"")):
        connection.request(method, "/")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["content-length"], answer.read()) == (200, "5", body)
    connection.request("DELETE", "/")
    assert connection.getresponse().status == 405
    assert asked == ["GET", "GET", "GET", "DELETE"]
    connection.close()


def test_the_head_of_an_answer_without_an_end_has_one(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("HEAD", "/endless")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    wait_for(ended.is_set, 20)
    connection.close()
