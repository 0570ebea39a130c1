"""One port with several services behind it: `Gateway`, as Brewblox puts its own one in front of its services.

The first part of a path says which service is meant: ``/spark-slave/remote/slave`` goes to ``spark-slave``. For the
demo: it serves this machine alone, one request a connection.
"""

import json
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

HOST = "127.0.0.1"
TIMEOUT_S = 100.0
"""More than a preview may wait for a message."""
MAX_BODY_BYTES = 1 << 20
_PASSED_ON = ("Content-Type", "Accept", "Host", "Authorization")


class Gateway:
    """Serves ``ports``, by the names of the services, at ``port`` of this machine while its ``with`` block runs."""

    def __init__(self, ports: Mapping[str, int], *, port: int) -> None:
        self._server = _Server((HOST, port), _Handler)
        self._server.ports = dict(ports)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="samesky-demo-gateway")

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def open_gateway(ports: Mapping[str, int], *, port: int) -> Gateway:
    """Return a gateway for ``ports`` at ``port``, or at a free one when somebody has that, or takes it meanwhile."""
    if not is_taken(port):
        with suppress(OSError):
            return Gateway(ports, port=port)
    return Gateway(ports, port=0)


def is_taken(port: int) -> bool:
    """Whether somebody answers at this port of ``localhost``, whichever of its addresses a client takes."""
    try:
        with socket.create_connection(("localhost", port), timeout=0.5):
            return True
    except OSError:
        return False


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    ports: Mapping[str, int]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._pass_on()

    def do_POST(self) -> None:
        self._pass_on()

    def do_DELETE(self) -> None:
        self._pass_on()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the services log what they do."""

    def _pass_on(self) -> None:
        port = self.server.ports.get(self.path.split("/")[1].partition("?")[0]) if "/" in self.path else None
        if port is None:
            names = ", ".join(f"/{name}/" for name in self.server.ports)
            self._refuse(404, f"there is no such service; paths begin with {names}")
            return
        size = self.headers.get("Content-Length", "0")
        if not (size.isascii() and size.isdigit() and int(size) <= MAX_BODY_BYTES):
            self._refuse(413, "the body is too large")
            return
        try:
            self._ask(port, self.rfile.read(int(size)))
        except (OSError, HTTPException) as error:
            self._refuse(502, f"the service doesn't answer: {error}")

    def _ask(self, port: int, body: bytes) -> None:
        headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
        connection = HTTPConnection(HOST, port, timeout=TIMEOUT_S)
        try:
            connection.request(self.command, self.path, body, headers)
            answer = connection.getresponse()
            self._answer(answer.status, answer.getheader("Content-Type", ""), answer.read())
        finally:
            connection.close()

    def _refuse(self, status: int, words: str) -> None:
        body = json.dumps({"status": status, "detail": words}).encode()
        self._answer(status, "application/problem+json", body)

    def _answer(self, status: int, media_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
