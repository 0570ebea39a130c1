"""A web server that does what a test tells it to, byte by byte, on a free port of the loopback interface."""

import socket
import ssl
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


class Visitor:
    """One connection, as the server's script sees it."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        self.connection = connection
        self.number = number
        """Counted from 0, in the order in which connections were made."""
        self._received = b""

    def read_request(self) -> str:
        """The next request's head, as text; empty when the client has closed."""
        while b"\r\n\r\n" not in self._received:
            try:
                data = self.connection.recv(65536)
            except OSError:
                data = b""
            if not data:
                return ""
            self._received += data
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        return head.decode()

    @property
    def more_came(self) -> bool:
        """Whether something of the next request is here already."""
        return bool(self._received)

    def drop_received(self) -> None:
        """Forget the requests that came already."""
        self._received = b""

    def send(self, data: bytes) -> bool:
        """Whether ``data`` could be sent: the client hasn't closed."""
        try:
            self.connection.sendall(data)
        except OSError:
            return False
        return True

    def wait_for_end(self) -> None:
        """Until the client has closed."""
        while self.read_request():
            pass


Script = Callable[[Visitor], None]


class ScriptedWeb:
    """Runs ``script`` for each connection, in a thread of its own, then closes that connection. A context manager.

    ``requests`` are the heads of all requests that scripts read by ``answer_all``.
    """

    def __init__(self, script: Script, *, context: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self._closing = False
        self.port: int = self._listener.getsockname()[1]
        self.visits = 0

    @property
    def url(self) -> str:
        """Without a slash behind."""
        return f"{'https' if self._context else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads.append(threading.Thread(target=self._accept, name="scripted-web"))
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(10)  # there are no more visits after that
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it is closed already
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a script doesn't end"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection, self.visits), name="scripted-visit")
            self.visits += 1
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with connection:
            try:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                self._script(Visitor(connection, number))
            except OSError:
                return  # the client closed, or the test ends
            finally:
                connection.close()


def whole(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    """An answer with a Content-Length and further ``fields``."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n" + body


def target_of(request: str) -> str:
    """The path that a request's head asks for."""
    return request.split(" ")[1]


def field_of(request: str, name: str) -> str | None:
    """A field of a request's head, None when it has none of that name."""
    for line in request.split("\r\n")[1:]:
        found, _, value = line.partition(":")
        if found.lower() == name.lower():
            return value.strip()
    return None


def answering(answer: Callable[[str], bytes]) -> Script:
    """A script that sends ``answer(request head)`` to each request, for as long as the client asks."""

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            if not visitor.send(answer(request)):
                return

    return script
