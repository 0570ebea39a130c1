"""Answers and URLs that the HTTP client refuses, and hosts that it can't reach or mustn't (rows 41 and 43)."""

import itertools
import socket
import threading

import pytest
from tests.link.http_asking import ask, failures, fetch, ignore
from tests.stands.mesh_web import ScriptedWeb, Visitor, answering, target_of, whole

from samesky.link.http import Get, Timeouts, UrlRules


def echo(request: str) -> bytes:
    """The path asked for, as the body."""
    return whole(target_of(request).encode())


def test_a_name_server_that_doesnt_answer_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()
    resolve = socket.getaddrinfo

    def hang(host: str, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        if host.startswith("slow"):
            ended.wait(30)
        return resolve("127.0.0.1" if host.startswith("slow") else host, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with ScriptedWeb(answering(echo)) as web:
        urls = [f"http://slow{number}.example:{web.port}/" for number in range(20)]
        rules = UrlRules(hosts=("*", "127.0.0.1", "localhost"))
        replies = fetch(*urls, f"http://localhost:{web.port}/b", rules=rules, timeouts=Timeouts(connect_s=5))
        ended.set()
        assert failures(replies) == ["connect"] * 20
        assert replies[20].body == b"/b"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        ["Content-Range: bytes 0-2/10"],
        ["Content-Range: bytes 6-9/10"],
        ["Content-Range: bytes 7-8/10"],
        ["Content-Range: bytes 7-9/9"],
        ["Content-Range: bytes 7-10/11"],
        ["Content-Range: bytes */10"],
        ["Content-Range: bytes 7-9/10", 'ETag: "2"'],
        ["Content-Type: multipart/byteranges; boundary=x"],
    ],
)
def test_a_wrong_range_is_refused(fields: list[str]) -> None:
    pieces: list[bytes] = []
    with ScriptedWeb(answering(lambda request: whole(b"789", *fields, status="206 Partial Content"))) as web:
        [reply] = ask([Get(f"{web.url}/a", 10, ignore, pieces.append, offset=7, validator='"1"')])
        assert (failures([reply]), pieces) == (["range"], [])
        assert reply.failure is not None
        assert reply.failure.retry


def test_a_range_that_nobody_asked_for_is_refused() -> None:
    answer = whole(b"0123", "Content-Range: bytes 0-3/10", status="206 Partial Content")
    with ScriptedWeb(answering(lambda request: answer)) as web:
        assert failures(fetch(f"{web.url}/a")) == ["range"]


def test_a_file_that_has_become_shorter_is_a_wrong_range() -> None:
    answer = whole(b"", "Content-Range: bytes */3", status="416 Range Not Satisfiable")
    with ScriptedWeb(answering(lambda request: answer)) as web:
        assert failures(ask([Get(f"{web.url}/a", 10, ignore, offset=7, validator='"1"')])) == ["range"]


def test_the_rest_of_a_file_is_no_longer_than_the_file() -> None:
    answer = whole(b"0123456789", "Content-Range: bytes 7-16/17", 'ETag: "1"', status="206 Partial Content")
    with ScriptedWeb(answering(lambda request: answer)) as web:
        assert failures(ask([Get(f"{web.url}/a", 10, ignore, offset=7, validator='"1"')])) == ["size"]


def test_an_encoding_that_nobody_asked_for_is_refused() -> None:
    with ScriptedWeb(answering(lambda request: whole(b"\x1f\x8b", "Content-Encoding: gzip"))) as web:
        assert failures(fetch(f"{web.url}/a")) == ["encoding"]
    with ScriptedWeb(answering(lambda request: whole(b"abc", "Content-Encoding: identity"))) as web:
        assert fetch(f"{web.url}/a")[0].body == b"abc"


@pytest.mark.parametrize(
    ("status", "retry"),
    [(204, False), (301, False), (304, False), (404, False), (410, False), (429, True), (503, True)],
)
def test_another_status_is_a_failure(status: int, retry: bool) -> None:
    pieces: list[bytes] = []
    body = b"" if status in (204, 304) else b"an explanation"
    with ScriptedWeb(answering(lambda request: whole(body, status=f"{status} So"))) as web:
        replies = ask([Get(f"{web.url}/{number}", 10, ignore, pieces.append) for number in range(10)])
        assert failures(replies) == ["status"] * 10
        assert {(reply.status, reply.failure and reply.failure.retry) for reply in replies} == {(status, retry)}
        assert pieces == []
        assert web.visits <= 4


def test_a_failure_with_an_endless_explanation_ends() -> None:
    def script(visitor: Visitor) -> None:
        visitor.read_request()
        visitor.send(b"HTTP/1.1 404 Not Found\r\n\r\n")
        while visitor.send(b"x" * 1000):
            pass

    with ScriptedWeb(script) as web:
        assert failures(fetch(f"{web.url}/a")) == ["status"]


def test_a_redirection_without_end_is_given_up() -> None:
    numbers = itertools.count()

    def answer(request: str) -> bytes:
        return whole(b"", f"Location: /{next(numbers)}", status="302 Found")

    with ScriptedWeb(answering(answer)) as web:
        assert failures(fetch(f"{web.url}/a")) == ["redirect"]
        assert next(numbers) == 4


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.1/",
        "http://localhost.evil.example/",
        "//10.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://user:word@127.0.0.1/",
        "http://[::1/",
        "/a b",
        "/\xfc",
        "x" * 9000,
    ],
)
def test_a_redirection_to_where_nobody_should_go_isnt_followed(location: str) -> None:
    answer = whole(b"", "Location: LOCATION", status="302 Found").replace(b"LOCATION", location.encode("latin-1"))
    with ScriptedWeb(answering(lambda request: answer)) as web:
        assert failures(fetch(f"{web.url}/a")) == ["url"]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://127.1/", "http://127.0.0.1:1/", "http://[::ffff:7f00:1]/", ""]
)
def test_a_url_that_mustnt_be_fetched_is_a_failure(url: str) -> None:
    [reply] = fetch(url, rules=UrlRules())
    assert reply.failure is not None
    assert (reply.failure.kind, reply.failure.retry) == ("url", False)


def test_a_name_is_judged_by_its_address() -> None:
    with ScriptedWeb(answering(echo)) as web:
        assert failures(fetch(f"http://localhost:{web.port}/a", rules=UrlRules())) == ["url"]
        assert web.visits == 0


def test_a_name_whose_addresses_are_all_private_isnt_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        addresses = ["10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "127.0.0.1"]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    with ScriptedWeb(answering(echo)) as web:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert failures(fetch(f"http://rebound.example:{web.port}/a", rules=UrlRules())) == ["url"]
        assert web.visits == 0


def test_the_address_that_was_judged_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is looked up once more to connect may lead elsewhere by then."""
    asked: list[str] = []

    def resolve(host: str, port: int, *args: object, **kwargs: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "127.0.0.2"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with ScriptedWeb(answering(echo)) as web:
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        (reply,) = fetch(f"http://rebound.example:{web.port}/a", rules=UrlRules(hosts=("rebound.example",)))
        assert reply.failure is None
        assert web.visits == 1
    assert asked == ["rebound.example"]


def test_a_host_that_isnt_there_fails_everything_that_waits_for_it() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        replies = fetch(*(f"http://127.0.0.1:{port}/{number}" for number in range(100)))
        assert failures(replies) == ["connect"] * 100
        assert replies[0].failure is not None
        assert (replies[0].failure.words, replies[0].failure.retry) == ("Connection refused", True)


def test_a_name_that_doesnt_exist_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    [reply] = fetch("http://nowhere.invalid/a", rules=UrlRules())
    assert failures([reply]) == ["connect"]
    assert "not known" in reply.failure.words  # type: ignore[union-attr]


def test_a_field_that_comes_back_is_no_way_to_add_fields() -> None:
    """An ETag goes into the next request: what doesn't look like one isn't a validator."""
    with ScriptedWeb(answering(lambda request: whole(b"a", 'ETag: "x" y'))) as web:
        assert fetch(f"{web.url}/a")[0].validator == ""
