"""Controllers as real HTTP servers, of both generations of Brewblox, with switches for how bad they are.

Made from Brewblox's own reference of its blocks API, and from what the original of 2018 was seen to answer: 400 for a
block that it doesn't know, 424 while no controller is connected.
"""

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from samesky.blocks.objects import Block
from stands.ports import free_port

Data = dict[str, Any]
Answer = tuple[int, object]
UNKNOWN: Answer = (400, {"error": "UnknownId"})


class ControllerStand:
    """A controller's service called ``service``, while its ``with`` block runs. Subclasses speak for a generation."""

    def __init__(self, service: str = "spark") -> None:
        self.service = service
        self.blocks: dict[str, dict[str, Any]] = {}
        self.written: list[Data] = []
        """The data of every request that wrote, in the order in which they were done."""
        self.requests: list[str] = []
        """What was asked for: method and path."""
        self.answers = threading.Event()
        """Cleared: requests that come are taken and kept waiting, as by a controller that is slow."""
        self.answers.set()
        self.begun = 0
        """Requests that came, done or not."""
        self.spoil: Callable[[], tuple[int, str, bytes]] | None = None
        """What every request is answered with instead: a status, a type and a body."""
        self.adjust: Callable[[Data], Data] = lambda data: data
        """What the controller makes of data that are written."""
        self.port = free_port()

    @property
    def url(self) -> str:
        """Without a path."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, block: Block) -> None:
        """Make a block, as somebody at the controller would."""
        self.blocks[block.id] = {
            **block.others,
            "id": block.id,
            "type": block.type,
            "data": deepcopy(dict(block.data)),
            **({"profiles": list(block.profiles)} if block.profiles else {}),
        }

    def start(self) -> None:
        """Begin to listen, again on the same port after `stop`."""
        self._server = _Server(("127.0.0.1", self.port), self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="controller-stand")
        self._thread.start()

    def stop(self) -> None:
        """Nobody listens any more, and all connections end, as when the service is killed."""
        self._server.shutdown()
        self._server.server_close()
        self._server.end_connections()
        self.answers.set()
        self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def respond(self, method: str, path: str, told: Any) -> Answer:
        """The status and the document for one request, whose path has no service in front any more."""
        raise NotImplementedError

    def store(self, id: str, data: Data) -> Answer:
        """Write ``data``, and answer with the block."""
        self.written.append(data)
        self.blocks[id]["data"] = self.adjust(deepcopy(data))
        return 200, self.blocks[id]


class Controller2018(ControllerStand):
    """``GET`` and ``PUT /objects/{id}``."""

    def respond(self, method: str, path: str, told: Any) -> Answer:
        if (method, path) == ("GET", "/objects"):
            return 200, list(self.blocks.values())
        if not path.startswith("/objects/"):
            return 404, None
        id = unquote(path.removeprefix("/objects/"))
        if id not in self.blocks:
            return UNKNOWN
        if method == "GET":
            return 200, self.blocks[id]
        if not isinstance(told, dict) or not {"profiles", "type", "data"} <= told.keys():
            return 400, {"error": "MissingInput"}
        self.blocks[id].update(profiles=told["profiles"], type=told["type"])
        return self.store(id, told["data"])


class ControllerToday(ControllerStand):
    """``POST /blocks/read``, ``write``, ``patch`` and ``all/read``; ``deep``: with the newer firmware's patches."""

    def __init__(self, service: str = "spark", *, deep: bool = False) -> None:
        super().__init__(service)
        self.deep = deep

    def put(self, block: Block) -> None:
        super().put(block)
        self.blocks[block.id] |= {"nid": 100 + len(self.blocks), "serviceId": self.service}

    def respond(self, method: str, path: str, told: Any) -> Answer:
        if method != "POST":
            return 405, None
        if path == "/blocks/all/read":
            return 200, list(self.blocks.values())
        if path not in ("/blocks/read", "/blocks/write", "/blocks/patch"):
            return 404, None
        if not isinstance(told, dict) or told.get("serviceId") != self.service:
            return 422, {"detail": "serviceId"}
        if told.get("id") not in self.blocks:
            return UNKNOWN
        return self._change(path, self.blocks[told["id"]], told)

    def _change(self, path: str, block: dict[str, Any], told: dict[str, Any]) -> Answer:
        if path == "/blocks/read":
            return 200, block
        if told.get("type") != block["type"]:
            return 400, {"error": "InvalidType"}
        data = told["data"]
        if path == "/blocks/patch":
            data = merge_deeply(block["data"], data) if self.deep else {**block["data"], **data}
        return self.store(block["id"], data)


def merge_deeply(old: Any, new: Any) -> Any:
    """``old`` after a patch by newer firmware."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{name: merge_deeply(old.get(name), value) for name, value in new.items()}}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], stand: ControllerStand) -> None:
        self.stand = stand
        self.turn = threading.Lock()
        self._connections: list[socket.socket] = []
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.append(request)
        super().process_request(request, client_address)

    def end_connections(self) -> None:
        for connection in self._connections:
            with suppress(OSError):  # it has ended by itself
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _serve(self) -> None:
        stand = self.server.stand
        stand.begun += 1
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        stand.answers.wait()
        with self.server.turn:  # a controller does one thing at a time
            stand.requests.append(f"{self.command} {self.path}")
            status, media_type, content = self._answer(json.loads(body) if body else None)
        try:
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # whoever asked has given up

    def _answer(self, told: Any) -> tuple[int, str, bytes]:
        stand = self.server.stand
        if stand.spoil is not None:
            return stand.spoil()
        prefix = f"/{stand.service}"
        if not self.path.startswith(f"{prefix}/"):
            return 404, "text/plain", b"404: Not Found"
        status, document = stand.respond(self.command, self.path.removeprefix(prefix), told)
        return status, "application/json; charset=utf-8", json.dumps(document).encode()
