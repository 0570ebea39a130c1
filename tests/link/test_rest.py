"""The REST client: answers as they are, and a bound to every wait and size, whatever the server does."""

import gzip
import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.link.test_http_tls import make_certificate
from tests.stands.mesh_web import ScriptedWeb, Visitor, field_of, target_of, whole
from tests.stands.ports import free_port

from samesky.errors import Unreachable
from samesky.link.rest import Answer, RestClient, RestTimeouts, read_retry_after
from samesky.link.tls import TlsSettings

JSON = "Content-Type: application/json"
PATIENT = RestTimeouts(connect_s=30, idle_s=30, total_s=30)
SHORT_IDLE, SHORT_TOTAL = replace(PATIENT, idle_s=0.3), replace(PATIENT, total_s=0.6)


def answering(body: bytes, *fields: str, status: str = "200 OK") -> Callable[[Visitor], None]:
    """A script that answers every request alike."""

    def script(visitor: Visitor) -> None:
        while visitor.read_request():
            visitor.send(whole(body, *fields, status=status))

    return script


def ask(
    script: Callable[[Visitor], None], *, timeouts: RestTimeouts = PATIENT, most_answer_bytes: int = 1 << 20
) -> Answer:
    with (
        ScriptedWeb(script) as web,
        RestClient(web.url, timeouts=timeouts, most_answer_bytes=most_answer_bytes) as client,
    ):
        return client.get("/x")


def words_of(
    script: Callable[[Visitor], None], *, timeouts: RestTimeouts = PATIENT, most_answer_bytes: int = 1 << 20
) -> str:
    with pytest.raises(Unreachable) as caught:
        ask(script, timeouts=timeouts, most_answer_bytes=most_answer_bytes)
    return str(caught.value)


def once(raw: bytes) -> Callable[[Visitor], None]:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(raw)

    return script


def dripping(begin: bytes, drop: bytes) -> Callable[[Visitor], None]:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        ended = threading.Event()
        visitor.send(begin)
        while visitor.send(drop):
            ended.wait(0.05)

    return script


def test_a_document_comes_with_its_status_and_headers() -> None:
    answer = ask(answering(b'{"a":[1,2.5,null]}', JSON, "X-Some: Thing", status="201 Created"))
    assert (answer.status, answer.json, answer.is_success) == (201, {"a": [1, 2.5, None]}, True)
    assert answer.headers["x-some"] == "Thing"


def test_requests_share_a_connection_and_carry_the_headers() -> None:
    seen: list[str] = []

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            visitor.drop_received()
            seen.append(request)
            visitor.send(whole(b"{}", JSON))

    with ScriptedWeb(script) as web, RestClient(f"{web.url}/base/", headers={"Authorization": "Bearer k"}) as client:
        client.get("/a", query={"x": "1 & 2"})
        client.post("/b", b"", headers={"Content-Type": "text/plain"})
        client.put("/c", b"")
        client.delete("/d", query={"role": "slave"})
        client.get("/e")
        assert web.visits == 1
    assert [target_of(each) for each in seen] == [
        "/base/a?x=1+%26+2",
        "/base/b",
        "/base/c",
        "/base/d?role=slave",
        "/base/e",
    ]
    assert [each.split()[0] for each in seen] == ["GET", "POST", "PUT", "DELETE", "GET"]
    assert {field_of(each, "Authorization") for each in seen} == {"Bearer k"}
    assert field_of(seen[1], "Content-Type") == "text/plain"


def test_packed_answers_are_unpacked_up_to_the_cap() -> None:
    script = answering(gzip.compress(json.dumps(["a" * 3000]).encode()), JSON, "Content-Encoding: gzip")
    assert ask(script).json == ["a" * 3000]
    assert "larger than 2000 bytes" in words_of(script, most_answer_bytes=2000)


@pytest.mark.parametrize("status", ["302 Found", "307 Temporary Redirect", "404 Not Found", "502 Bad Gateway"])
def test_no_status_but_2xx_is_success_and_no_redirection_is_followed(status: str) -> None:
    answer = ask(answering(b"<html>", "Content-Type: text/html", "Location: http://127.0.0.2/", status=status))
    assert not answer.is_success
    assert answer.json is None
    assert answer.mistake == "its answer is text/html, not JSON"


@pytest.mark.parametrize("body", [b"{", b'{"a":NaN}', b'{"a":1,"a":2}', b"\xff", b"[" * 100_000])
def test_what_is_no_sound_json_is_no_document(body: bytes) -> None:
    answer = ask(answering(body, JSON))
    assert answer.json is None
    assert answer.mistake.startswith("its answer isn't sound")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (once(b""), "the connection ended before the answer did"),
        (once(b"HTTP/1.1 200 OK\r\n"), "the connection ended before the answer did"),
        (once(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "the connection ended before the answer did"),
        (once(b"not http at all\r\n\r\n"), "the connection ended before the answer did"),
        (once(whole(b"abc", "Content-Encoding: gzip")), "its answer is damaged"),
        (once(whole(b"abc", "Content-Encoding: br")), "an encoding that wasn't asked for"),
    ],
)
def test_a_server_that_does_badly_doesnt_answer(script: Callable[[Visitor], None], words: str) -> None:
    assert words in words_of(script)


@pytest.mark.parametrize(
    "script",
    [
        dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
    ids=["head", "body", "chunks"],
)
def test_a_server_that_answers_slowly_is_waited_for_no_longer_than_it_may_take(
    script: Callable[[Visitor], None],
) -> None:
    assert "it took longer than 0.6 s" in words_of(script, timeouts=SHORT_TOTAL)


def test_a_server_that_is_silent_is_waited_for_no_longer_than_it_may_be() -> None:
    assert "nothing moved for 0.3 s" in words_of(Visitor.wait_for_end, timeouts=SHORT_IDLE)


def test_an_endless_answer_is_cut_at_the_cap() -> None:
    flood = dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n")
    assert "larger than 100000 bytes" in words_of(flood, most_answer_bytes=100_000)


def test_an_answer_that_comes_before_the_body_was_read_is_taken() -> None:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(whole(b"{}", JSON, "Connection: close", status="413 Content Too Large"))
        visitor.connection.shutdown(1)
        while visitor.connection.recv(1 << 16):
            pass

    with ScriptedWeb(script) as web, RestClient(web.url, timeouts=PATIENT) as client:
        assert client.post("/x", b"x" * 5_000_000).status == 413


def test_where_nobody_listens_is_told_in_words() -> None:
    with RestClient(f"http://127.0.0.1:{free_port()}") as client, pytest.raises(Unreachable, match="refused"):
        client.get("/x")


def test_a_client_goes_on_after_a_failure() -> None:
    def script(visitor: Visitor) -> None:
        while visitor.read_request() and visitor.number > 0:
            visitor.send(whole(b"{}", JSON))

    with ScriptedWeb(script) as web, RestClient(web.url, timeouts=PATIENT) as client:
        with pytest.raises(Unreachable):
            client.get("/x")
        assert client.get("/x").status == 200


def test_a_server_is_believed_only_with_a_certificate_of_its_authority(tmp_path: Path) -> None:
    authority, context = make_certificate(tmp_path, "IP:127.0.0.1")
    with ScriptedWeb(answering(b"{}", JSON), context=context) as web:
        with RestClient(web.url, tls=TlsSettings(ca_file=str(authority))) as client:
            assert client.get("/x").json == {}
        with RestClient(web.url) as client, pytest.raises(Unreachable, match="certificate") as caught:
            client.get("/x")
        assert "ca_file" in caught.value.hint


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "999999999999"}, 86_400.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT", "date": "Sun, 06 Nov 1994 08:49:30 GMT"}, 7.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
    ],
)
def test_the_pause_that_is_asked_for_is_read(headers: dict[str, str], expected: float | None) -> None:
    assert read_retry_after(headers, now=1_700_000_000.0) == expected
