"""Services of blocks as their owner runs them: `samesky blocks serve` in a process apart, asked over HTTP."""

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

from .mesh_command import RunningCommand

NO_BROKER = "amqp://guest:guest@127.0.0.1:1/"
JSON = {"Content-Type": "application/json"}


class Told(NamedTuple):
    """What was answered."""

    status: int
    json: Any
    text: str
    headers: Mapping[str, str]


class ServedBlocks:
    """Services with their blocks in ``folder``, at the broker ``amqp``; a context manager.

    ``services`` are lines of their tables in samesky.toml beside the store, by name; ``options`` are of ``[blocks]``.
    """

    def __init__(self, folder: Path, amqp: str = NO_BROKER, *, options: str = "", **services: str) -> None:
        self.folder = folder
        self.config = folder / "samesky.toml"
        lines = ["[blocks]", f'amqp = "{amqp}"', 'listen = "127.0.0.1:0"', f'state = "{folder}/links.sdb"', options]
        for name, line in services.items():
            lines += [f"[blocks.services.{name}]", f'store = "{folder}/{name}.json"', line]
        self.config.write_text("\n".join(lines))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.command.__exit__()

    def start(self) -> None:
        """Start the process; returns when it answers."""
        self.command = RunningCommand("blocks", "serve", "--config", self.config, "--json")
        self.command.__enter__()
        self.port = int(json.loads(self.command.wait_for_line(60))["port"])

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def put(self, service: str, **blocks: dict[str, Any]) -> None:
        """Write the whole store of ``service``: blocks by id, with these data."""
        told = {id: {"type": "Mock", "profiles": [0], "data": data} for id, data in blocks.items()}
        new = self.folder / f"{service}.new"
        new.write_text(json.dumps(told))
        new.replace(self.folder / f"{service}.json")  # at once: the service may read at any time

    def data_of(self, service: str, id: str) -> Any:
        """The data of a block as they are in the store."""
        return json.loads((self.folder / f"{service}.json").read_text())[id]["data"]

    def ask(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Told:
        """One request over a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body, headers=dict(headers or {}))
            response = connection.getresponse()
            text = response.read().decode()
            is_json = "json" in response.headers.get("content-type", "")
            return Told(response.status, json.loads(text) if is_json else None, text, response.headers)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Told:
        """GET ``path``."""
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, document: object, **headers: str) -> Told:
        """POST ``document`` as JSON; bytes go as they are."""
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return self.ask("POST", path, body, JSON | headers)

    def clear(self) -> None:
        """Remove all links."""
        links = self.get("/remote").json
        for link in [*links["masters"], *links["slaves"]]:
            self.ask("DELETE", f"/{link['service']}/remote/{link['key']}?id={link['id']}")
