"""Our web server in a thread of its own, and plain HTTP clients for it."""

import asyncio
import socket
import threading
from collections.abc import Callable, Mapping
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple, Self

from samesky.mesh.serve import Page, WebServer

START_TIMEOUT_S = 60.0
THREAD = "web-stand"
"""The name of the server's thread."""


class Answered(NamedTuple):
    """An answer and all of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class RunningWebServer:
    """Serves ``folder`` on a free port of 127.0.0.1 while the ``with`` block runs."""

    def __init__(self, folder: Path, *, port: int = 0, pages: Mapping[str, Callable[[], Page]] | None = None) -> None:
        self._server = WebServer(folder, host="127.0.0.1", port=port, pages=pages)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name=THREAD, daemon=True)
        self._started, self._loop = threading.Event(), asyncio.new_event_loop()
        self._loop.close()
        self._fault: BaseException | None = None

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with self._server:
                self._started.set()
                await self._stop.wait()
        except BaseException as error:
            self._fault = error
        finally:
            self._started.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(START_TIMEOUT_S), "the web server didn't start"
        if self._fault:
            raise self._fault
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_TIMEOUT_S)
        assert not self._thread.is_alive(), "the web server didn't end"

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def sockets(self) -> list[socket.socket]:
        """The server's ends of the connections that there are."""
        assert self._server._runner is not None
        handlers = self._server._runner.server.connections
        return [handler.transport.get_extra_info("socket") for handler in handlers]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def ask(self, path: str, method: str = "GET", **headers: str) -> Answered:
        """One request on a connection of its own; ``If_Range`` is the header If-Range."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            return read_answer(connection.getresponse())
        finally:
            connection.close()

    def send(self, request: bytes) -> bytes:
        """All that comes back for these octets, until the server ends the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            received = b""
            try:
                connection.sendall(request)
                while piece := connection.recv(65_536):
                    received += piece
            except ConnectionResetError:
                pass  # it closed without reading all that was sent
            return received


def read_answer(response: HTTPResponse) -> Answered:
    """The whole answer."""
    return Answered(response.status, response.headers, response.read())
