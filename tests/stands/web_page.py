"""The page of `samesky web` in a thread, over a noticeboard of its own, and plain HTTP for it."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from samesky.core.status import Snapshot
from samesky.web.beside import serve_beside
from samesky.web.noticeboard import Noticeboard
from samesky.web.web_settings import WebSettings

TOKEN = "a-token-of-the-tests-0123456789"


class Answered(NamedTuple):
    """An answer and all of its body."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.text)


class Event(NamedTuple):
    """One Server-Sent Event; ``size`` are the octets that it took."""

    kind: str
    id: str
    data: Any
    size: int


class ServedPage:
    """Serves the page on a free port of 127.0.0.1 while the ``with`` block runs."""

    def __init__(self, directory: Path, *, configs: Sequence[Path] = (), port: int = 0, **settings: Any) -> None:
        self.directory = directory
        self._settings = WebSettings(listen=f"127.0.0.1:{port}", **settings)
        self._configs = configs
        self._stack = ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        serving = serve_beside(settings=self._settings, configs=self._configs, status_dir=self.directory)
        self.url = self._stack.enter_context(serving)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    def post(self, *snapshots: Snapshot, owner: str = "stand", at: float | None = None) -> None:
        """Post them as one process would, in place of what it posted before."""
        Noticeboard(self.directory).post(owner, snapshots, time.time() if at is None else at)

    def ask(self, path: str, method: str = "GET", *, body: str | None = None, **headers: str) -> Answered:
        """One request on a connection of its own; ``Last_Event_ID`` is the header Last-Event-ID."""
        connection = self._connect()
        try:
            response = self._send(connection, path, method, body, headers)
            return Answered(response.status, response.headers, response.read().decode())
        finally:
            connection.close()

    @contextmanager
    def listen(self, page: str = "/", seen: str = "", **headers: str) -> Iterator[Iterator[Event]]:
        """The events of a page; leaving the ``with`` block ends the connection."""
        connection = self._connect()
        try:
            response = self._send(connection, f"/events?page={page}&seen={seen}", "GET", None, headers)
            assert response.status == 200, response.read()
            yield _read_events(response)
        finally:
            connection.close()

    def _connect(self) -> HTTPConnection:
        parts = urlsplit(self.url)
        return HTTPConnection(parts.hostname or "", parts.port, timeout=20)

    def _send(
        self, connection: HTTPConnection, path: str, method: str, body: str | None, headers: Mapping[str, str]
    ) -> HTTPResponse:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        connection.request(method, path, body, named)
        return connection.getresponse()


def _read_events(response: HTTPResponse) -> Iterator[Event]:
    fields: dict[str, str] = {}
    size = 0
    while line := response.readline():
        size += len(line)
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(": ")
            fields[name] = value
        else:
            yield Event(fields["event"], fields["id"], json.loads(fields["data"]), size)
            fields, size = {}, 0
