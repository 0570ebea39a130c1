"""The server on its port: what comes too slowly, too large or not as HTTP; TLS; and its end."""

import gzip
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from samesky.errors import ConfigError
from samesky.link import web_server
from samesky.link.web_server import listen, make_server
from stands.push_server import PushServer
from stands.waiting import wait_for

pytestmark = pytest.mark.slow
HEAD = b"POST /sync/v1/heartbeat HTTP/1.1\r\nHost: centre\r\nContent-Type: application/json\r\nAuthorization: Bearer "


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    yield from serve(tmp_path_factory.mktemp("serving"), requests_per_s=1000.0)


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PushServer]:
    yield from serve(tmp_path_factory.mktemp("impatient"), body_idle_s=0.2, body_total_s=1.0)


def serve(folder: Path, **limits: float) -> Iterator[PushServer]:
    with PushServer(f"sqlite:///{folder / 'central.db'}", limits=limits) as running:
        running.central.sites.add("hill")
        yield running


def make_head(server: PushServer) -> bytes:
    """The first headers of a request with a good key."""
    return HEAD + server.make_key("hill").encode() + b"\r\n"


@pytest.fixture(scope="module")
def head(server: PushServer) -> bytes:
    return make_head(server)


def read_answer(connection: socket.socket) -> tuple[int, bytes]:
    """The status and all that comes until the connection ends or pauses."""
    connection.settimeout(60)
    answer = b""
    while b"\r\n\r\n" not in answer and (piece := connection.recv(65_536)):
        answer += piece
    return int(answer.split(b" ")[1]), answer


def test_a_body_that_says_it_is_too_long_is_answered_before_it_is_sent(server: PushServer, head: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(head + b"Content-Length: 99999999\r\n\r\n")
        assert read_answer(connection)[0] == 413


def test_who_waits_to_be_told_to_send_is_told_not_to(server: PushServer, head: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(head + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(connection)[0] == 413
    with server.connect() as connection:
        connection.sendall(head + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert read_answer(connection)[0] == 100


def test_who_sends_a_body_all_the_same_sees_the_answer(server: PushServer, head: bytes) -> None:
    body = bytes(8 << 20)
    with server.connect() as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert read_answer(connection)[0] == 413


def test_a_refused_body_that_drips_is_read_no_longer_than_another(
    server: PushServer, head: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_server, "LINGER_S", 0.5)
    with server.connect() as connection:
        connection.sendall(head + b"Content-Length: 99999999\r\n\r\n")
        assert read_answer(connection)[0] == 413

        def is_cut() -> bool:
            try:
                connection.sendall(b" ")
            except ConnectionError:
                return True
            return False

        wait_for(is_cut, 60, what="the end of the connection")


def test_a_body_in_chunks_ends_where_it_becomes_too_long(server: PushServer, head: bytes) -> None:
    with server.connect() as connection:
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            connection.sendall(b"10000\r\n" + bytes(65_536) + b"\r\n")
        assert read_answer(connection)[0] == 413


def test_a_body_that_stops_coming_is_408(impatient: PushServer) -> None:
    with impatient.connect() as connection:
        connection.sendall(make_head(impatient) + b"Content-Length: 100\r\n\r\n{")
        assert read_answer(connection)[0] == 408


def test_a_body_that_drips_is_408(impatient: PushServer) -> None:
    with impatient.connect() as connection:
        connection.sendall(make_head(impatient) + b"Content-Length: 100000\r\n\r\n")
        enough = threading.Event()

        def drip() -> None:
            with suppress(ConnectionError):  # it has heard enough
                while not enough.wait(0.05):
                    connection.sendall(b" ")

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert read_answer(connection)[0] == 408
        finally:
            enough.set()
            dripping.join()


@pytest.mark.parametrize("count", [100, 2_000, 20_000])
def test_too_many_headers_are_431(server: PushServer, head: bytes, count: int) -> None:
    with server.connect() as connection:
        try:
            connection.sendall(head + b"".join(b"x-%d: 1\r\n" % number for number in range(count)) + b"\r\n")
        except ConnectionError:
            pass  # it has heard enough
        assert read_answer(connection)[0] == 431


def test_what_is_no_http_is_a_bad_request(server: PushServer) -> None:
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n")
        assert read_answer(connection)[0] == 400


def test_the_head_of_a_request_must_come_in_time(server: PushServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with server.connect() as asked_before:
        asked_before.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_answer(asked_before)[0] == 200
        monkeypatch.setattr(web_server, "HEAD_S", 0.1)
        for begun in (b"", b"GET / HTTP/1.1\r\n"):
            with server.connect() as connection:
                connection.sendall(begun)
                assert connection.recv(65_536) == b""
        asked_before.sendall(b"GET / HTTP/1.1\r\n")
        while asked_before.recv(65_536):
            pass  # the rest of the answer, then the end


def test_many_requests_go_over_one_connection(server: PushServer) -> None:
    client = server.client(server.make_key("hill"))
    for _ in range(20):
        assert client.get("/sync/v1/status").status_code == 200
        assert client.post("/rest/bulk/", content=b"x").status_code == 415  # whose body isn't read
        assert client.get("/sync/v1/").status_code == 200


def test_a_cut_body_stores_nothing_and_harms_nobody(server: PushServer, head: bytes) -> None:
    for _ in range(5):
        with server.connect() as connection:
            connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
    assert server.client().get("/sync/v1/").status_code == 200


def test_bodies_may_be_packed(server: PushServer) -> None:
    client = server.client(server.make_key("hill"))
    packed = {"content-type": "application/json", "content-encoding": "gzip"}
    body = b'{"hostname": "h", "localtime": 1, "version": "1", "backlog": 0, "proofs": []}'
    assert client.post("/sync/v1/heartbeat", content=gzip.compress(body), headers=packed).status_code == 200
    bomb = gzip.compress(bytes(50 << 20))
    assert client.post("/sync/v1/heartbeat", content=bomb, headers=packed).status_code == 413


def test_a_port_in_use_is_said_at_the_start(server: PushServer) -> None:
    with pytest.raises(ConfigError, match=str(server.port)) as error:
        listen("127.0.0.1", server.port)
    assert "another address or port" in error.value.hint
    with pytest.raises(ConfigError):
        listen("nowhere.invalid", 1)


def test_a_certificate_that_can_not_be_used_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="certificate"):
        make_server(lambda *_: None, tls_cert=str(tmp_path / "cert.pem"))  # type: ignore[arg-type, return-value]


def test_what_is_under_way_is_finished_at_the_end(tmp_path: Path) -> None:
    with PushServer(f"sqlite:///{tmp_path / 'central.db'}") as server:
        server.central.sites.add("hill")
        body = b'{"hostname": "h", "localtime": 1, "version": "1", "backlog": 0, "proofs": []}'
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=60)
        request = HEAD + server.make_key("hill").encode() + b"\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(request + body[:10])
        wait_for(lambda: server.server.server_state.tasks, 60, what="the request", every_s=0.01)
        server.server.should_exit = True
        wait_for(lambda: not server.server.servers or not server.server.servers[0].is_serving(), 60, what="the end")
        connection.sendall(body[10:])
        assert read_answer(connection)[0] == 200
        connection.close()
