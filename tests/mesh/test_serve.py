"""The web server gives what is in the tree, in ranges and by conditions, and nothing else."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urljoin

import pytest

from samesky.errors import ConfigError
from samesky.mesh.serve import AT_ONCE_BYTES, Page
from stands.mesh_web_server import THREAD, RunningWebServer, read_answer
from stands.waiting import wait_for

LARGE = os.urandom(3 * AT_ONCE_BYTES + 17)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "2026112117" / "GTS").mkdir(parents=True)
    (folder / ".samesky").mkdir()
    (folder / ".samesky" / "mesh.sdb").write_bytes(b"secret")
    (folder / "2026112117" / "GTS" / ".hidden").write_bytes(b"secret")
    (folder / "2026112117" / "GTS" / "a.txt").write_bytes(b"hello\n")
    (folder / "empty").write_bytes(b"")
    (folder / "large.bin").write_bytes(LARGE)
    return folder


@pytest.fixture
def server(tree: Path) -> Iterator[RunningWebServer]:
    with RunningWebServer(tree, pages={"/.samesky/status.json": lambda: Page("application/json", b"{}")}) as running:
        yield running


def test_a_file_is_served_with_what_tells_its_versions_apart(server: RunningWebServer, tree: Path) -> None:
    first = server.ask("/2026112117/GTS/a.txt")
    assert (first.status, first.body) == (200, b"hello\n")
    assert first.headers["Content-Length"] == "6"
    assert first.headers["Content-Type"] == "text/plain"
    assert first.headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in first.headers
    (tree / "new").write_bytes(b"hallo\n")
    (tree / "new").rename(tree / "2026112117" / "GTS" / "a.txt")
    assert server.ask("/2026112117/GTS/a.txt").headers["ETag"] != first.headers["ETag"]


def test_a_relative_path_with_a_slash_in_front_is_found_below_a_base_with_one_behind(server: RunningWebServer) -> None:
    assert server.ask("//2026112117//GTS/a.txt").body == b"hello\n"


@pytest.mark.parametrize("name", ["ü b%2e.txt", "a?b#c&d;e", "x:y", "<img src=x>.html", "back\\slash", "new\nline"])
def test_every_name_is_served_quoted_and_found_by_its_link(server: RunningWebServer, tree: Path, name: str) -> None:
    (tree / "odd").mkdir()
    (tree / "odd" / name).write_bytes(name.encode())
    assert server.ask("/odd/" + quote(name)).body == name.encode()
    assert [server.ask(link).body for link in links_of(server, "/odd/") if link != "/"] == [name.encode()]


def test_names_that_are_not_utf8_are_served_too(server: RunningWebServer, tree: Path) -> None:
    (tree / "odd").mkdir()
    (tree / "odd" / os.fsdecode(b"\xff\xfe")).write_bytes(b"latin")
    assert [server.ask(link).body for link in links_of(server, "/odd/") if link != "/"] == [b"latin"]


def test_a_large_file_comes_whole_and_its_parts_are_its_parts(server: RunningWebServer) -> None:
    assert server.ask("/large.bin").body == LARGE
    for first, last in ((0, 0), (5, AT_ONCE_BYTES + 9), (AT_ONCE_BYTES, len(LARGE) - 1)):
        part = server.ask("/large.bin", Range=f"bytes={first}-{last}")
        assert (part.status, part.body == LARGE[first : last + 1]) == (206, True)
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{len(LARGE)}"


def test_a_download_is_resumed_only_of_the_same_version(server: RunningWebServer, tree: Path) -> None:
    tag = server.ask("/large.bin", "HEAD").headers["ETag"]
    assert server.ask("/large.bin", Range="bytes=1000-", If_Range=tag).body == LARGE[1000:]
    (tree / "new").write_bytes(LARGE[::-1])
    (tree / "new").rename(tree / "large.bin")
    again = server.ask("/large.bin", Range="bytes=1000-", If_Range=tag)
    assert (again.status, again.body == LARGE[::-1]) == (200, True)


def test_what_the_client_has_is_not_sent_and_a_part_behind_the_end_is_refused(server: RunningWebServer) -> None:
    tag = server.ask("/2026112117/GTS/a.txt").headers["ETag"]
    known = server.ask("/2026112117/GTS/a.txt", If_None_Match=tag)
    assert (known.status, known.body, known.headers["ETag"]) == (304, b"", tag)
    assert server.ask("/2026112117/GTS/a.txt", If_Match='"other"').status == 412
    behind = server.ask("/2026112117/GTS/a.txt", Range="bytes=6-")
    assert (behind.status, behind.headers["Content-Range"]) == (416, "bytes */6")


@pytest.mark.parametrize("path", ["/2026112117/GTS/a.txt", "/large.bin", "/empty", "/", "/.samesky/status.json"])
def test_head_tells_what_get_would_and_sends_nothing(server: RunningWebServer, path: str) -> None:
    told, got = server.ask(path, "HEAD"), server.ask(path)
    assert (told.status, told.body) == (200, b"")
    for name in ("Content-Length", "Content-Type", "ETag"):
        assert told.headers[name] == got.headers[name]
    assert int(told.headers["Content-Length"]) == len(got.body)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"])
def test_the_server_only_reads(server: RunningWebServer, method: str) -> None:
    answer = server.ask("/empty", method)
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(
    "path",
    [
        "/.samesky/mesh.sdb",
        "/.samesky/",
        "/%2esamesky/mesh.sdb",
        "/2026112117/GTS/.hidden",
        "/2026112117/../.samesky/mesh.sdb",
        "/2026112117/%2e%2e/.samesky/mesh.sdb",
        "/../outside",
        "/..%2foutside",
        "/%2e%2e/outside",
        "/%252e%252e/outside",
        "/link",
        "/linked/outside",
        "/linked/",
        "/pipe",
        "/empty/",
        "/empty/x",
        "/absent",
        "/empty%00",
        "/" + "n" * 300,
        "/" + "d/" * 2000,
    ],
)
def test_nothing_else_is_there(server: RunningWebServer, tree: Path, path: str) -> None:
    (tree.parent / "outside").write_bytes(b"secret")
    (tree / "link").symlink_to(tree.parent / "outside")
    (tree / "linked").symlink_to(tree.parent)
    os.mkfifo(tree / "pipe")
    answer = server.send(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ", 2)[1] in (b"404", b"400")
    assert b"secret" not in answer
    names = server.ask("/").body
    assert not [name for name in (b"samesky", b"link", b"pipe", b"hidden") if name in names.partition(b"<table>")[2]]


def test_a_link_that_is_swapped_in_while_asking_shows_nothing_from_outside(
    server: RunningWebServer, tree: Path
) -> None:
    (tree.parent / "out").mkdir()
    (tree.parent / "out" / "f").write_bytes(b"secret")
    (tree / "in").mkdir()
    (tree / "in" / "f").write_bytes(b"public")
    (tree / "bad").symlink_to(tree.parent / "out")
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    seen = set()
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        (tree / "in").rename(tree / "good")
        (tree / "bad").rename(tree / "in")
        connection.request("GET", "/in/f")
        (tree / "in").rename(tree / "bad")
        (tree / "good").rename(tree / "in")
        seen.add(read_answer(connection.getresponse()).body)
    connection.close()
    assert seen <= {b"public", b"404 Not found\n"}


def test_a_directory_without_its_slash_is_at_the_address_with_it_on_this_server(server: RunningWebServer) -> None:
    answer = server.ask("//2026112117")
    assert (answer.status, answer.headers["Location"]) == (301, "/2026112117/")


def test_a_list_has_directories_first_with_sizes(server: RunningWebServer) -> None:
    assert links_of(server, "/") == ["/2026112117/", "/empty", "/large.bin"]
    assert f">{len(LARGE)}<".encode() in server.ask("/").body
    assert links_of(server, "/2026112117/GTS/") == ["/2026112117/", "/2026112117/GTS/a.txt"]


def test_requests_in_a_row_and_ahead_of_answers_are_answered_in_order(server: RunningWebServer) -> None:
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET /absent HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = server.send(request % b"2026112117/GTS/a.txt" + request % b"empty" + request % b"large.bin" + last)
    assert answers.count(b"HTTP/1.1 200") == 3
    assert answers.index(b"hello\n") < answers.index(LARGE[:100]) < answers.index(b"HTTP/1.1 404")


@pytest.mark.parametrize(
    "request_bytes", [b"GET x HTTP/1.1\r\nHost: x\r\n\r\n", b"nonsense\r\n\r\n", b"GET /" + b"x" * 100_000]
)
def test_what_is_no_request_is_refused_without_a_word_in_the_log_and_the_next_one_answered(
    server: RunningWebServer, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert server.send(request_bytes)[:12] in (b"HTTP/1.1 400", b"HTTP/1.0 400", b"HTTP/1.1 414")
    assert server.ask("/empty").status == 200
    # What ends in the background of an earlier test may still have something to say.
    assert [record.getMessage() for record in caplog.records if record.threadName == THREAD] == []


def test_answers_over_a_connection_that_is_kept_do_not_wait_to_fill_packets(server: RunningWebServer) -> None:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    for _ in range(2):
        connection.request("GET", "/2026112117/GTS/a.txt")
        assert connection.getresponse().read() == b"hello\n"
        (socket_,) = server.sockets  # 40 ms each, where headers and body are two packets and Nagle waits
        assert socket_.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    connection.close()


def test_a_file_that_is_cut_while_it_is_sent_ends_the_connection(tree: Path, server: RunningWebServer) -> None:
    with open(tree / "huge", "wb") as file:
        file.truncate(64 << 20)
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        os.truncate(tree / "huge", 1)
        received = 0
        try:
            while piece := connection.recv(1 << 20):
                received += len(piece)
        except ConnectionResetError:
            pass
    assert received < 64 << 20
    assert server.ask("/empty").status == 200


def test_no_descriptor_stays_open(server: RunningWebServer) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    server.ask("/")
    before = count()
    for path in ("/large.bin", "/empty", "/absent", "/2026112117", "/", "/2026112117/GTS/"):
        server.ask(path)
    wait_for(lambda: count() <= before, 60, what="the descriptors' closing")


def test_who_asks_nothing_keeps_nobody_out(server: RunningWebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.mesh.serve.MOST_CONNECTIONS", 5)
    asking = HTTPConnection("127.0.0.1", server.port, timeout=60)
    with ExitStack() as stack:
        stack.callback(asking.close)
        quiet = []
        for _ in range(20):
            quiet.append(stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60)))
            asking.request("GET", "/empty")
            assert asking.getresponse().read() == b""
            assert server.ask("/large.bin").body == LARGE
        assert all(connection.recv(1) == b"" for connection in quiet[:10])  # made room for the others


def test_the_pages_of_the_program_are_beside_the_tree(server: RunningWebServer) -> None:
    answer = server.ask("/.samesky/status.json?x=1")
    assert (answer.status, answer.body, answer.headers["Content-Type"]) == (200, b"{}", "application/json")


def test_a_folder_or_a_port_that_cannot_be_used_is_told(server: RunningWebServer, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent can't be served"), RunningWebServer(tmp_path / "absent"):
        pass
    with pytest.raises(ConfigError, match=f"nothing can be served on 127.0.0.1:{server.port}"):
        RunningWebServer(tmp_path, port=server.port).__enter__()


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"html", "head", "meta", "title", "style", "body", "h1", "table", "tr", "td", "a"}
        self.found += [value or "" for name, value in attrs if name == "href"]


def links_of(server: RunningWebServer, path: str) -> list[str]:
    """The addresses that a list links to, from the root."""
    parser = _Links()
    parser.feed(server.ask(path).body.decode())
    return [urljoin(path, link) for link in parser.found]
