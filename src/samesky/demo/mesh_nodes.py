"""The nodes of a mesh on this machine: each a broker, a tree of files, and the processes of `samesky mesh` over it."""

import hashlib
import json
import os
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.request import urlopen

from ..link.broker import IotcoreBroker, MosquittoBroker
from ..link.message import Message
from ..link.mqtt import MqttSettings
from ..mesh.index import Index
from ..mesh.publish import enter_files, make_message, read_file
from ..mesh.publisher import Publisher
from .program import HOST, STOP_TIMEOUT_S, Program

EXCHANGE = "xpublic"
STATUS_TIMEOUT_S = 5.0
PUBLISH_TIMEOUT_S = 10.0
WINDOW = 500

Broker = MosquittoBroker | IotcoreBroker


class Node:
    """One node below ``folder``: a broker, a tree, and a peer that takes from the brokers it is joined to.

    ``web`` says who serves the tree at ``web_port``: the peer itself, `samesky mesh serve` in a process of its own, or
    somebody else. ``options`` are more options of `samesky mesh peer`, of which so many ``workers`` share the work.
    ``environment`` is added to that of its processes.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        broker: Broker,
        *,
        web_port: int,
        web: Literal["built-in", "apart", "other"] = "built-in",
        options: Sequence[str] = (),
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.broker = broker
        self.tree = folder / "tree"
        self.tree.mkdir(parents=True, exist_ok=True)
        self.web_port = web_port
        self.peer = Program(f"{name}'s peer", log_path=folder / "peer.log", environment=environment)
        self.web: Program | None = None
        if web == "apart":
            self.web = Program(f"{name}'s web server", log_path=folder / "web.log", environment=environment)
        self._serve = ("--serve", f"{HOST}:{self.web_port}") if web == "built-in" else ()
        self._options = tuple(options)
        self._what: tuple[object, ...] = ("peer",) if workers == 1 else ("workers", workers)
        self._brokers: list[str] = []
        self._publisher: Publisher | None = None

    @property
    def broker_url(self) -> str:
        """What others give as --broker."""
        return f"mqtt://{HOST}:{self.broker.port}"

    @property
    def base_url(self) -> str:
        """Where its tree is served."""
        return f"http://{HOST}:{self.web_port}"

    @property
    def programs(self) -> tuple[Program, ...]:
        """Its processes but the broker."""
        return (self.peer, self.web) if self.web else (self.peer,)

    def join(self, *broker_urls: str) -> None:
        """Take from these too, from the next `start` on."""
        self._brokers += broker_urls

    def start(self) -> None:
        """Start what doesn't run."""
        self.broker.start()
        if self.web:
            self.web.start("serve", self.tree, "--listen", f"{HOST}:{self.web_port}")
        self.peer.start(*self._what, *self._peer_options())

    def enter(self, paths: Sequence[str]) -> list[Message]:
        """Enter files of the tree in its index; returns their announcements, for whoever publishes them."""
        files = [read_file(self.tree / path, path) for path in paths]
        with Index(self.tree) as index:
            announcements = enter_files(index, files, base_url=self.base_url)
        return [make_message(announcement, exchange=EXCHANGE) for announcement in announcements]

    def publish(self, paths: Sequence[str]) -> None:
        """Do for files of the tree what `samesky mesh pub` does; returns when the broker has their announcements.

        Raises `Unreachable` when it doesn't take them; announce them again then.
        """
        messages = self.enter(paths)
        if self._publisher is None:
            settings = MqttSettings(f"{self.name}-publisher", HOST, self.broker.port, window=WINDOW)
            self._publisher = Publisher(settings).__enter__()
        for message in messages:
            self._publisher.publish(message, PUBLISH_TIMEOUT_S)
        self._publisher.finish(PUBLISH_TIMEOUT_S)

    def close(self) -> None:
        """End the connection that `publish` made, if it did."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            publisher.__exit__()

    def kill(self) -> None:
        """What a power cut does: broker, peer and web server end at once."""
        self.close()
        for program in self.programs:
            program.kill()
        self.broker.kill()

    def check(self) -> None:
        """Raise `Unreachable` when one of its processes has ended by itself."""
        for program in self.programs:
            program.check()

    def read_status(self) -> dict[str, Any]:
        """What its peer says of itself, where the web server is built in; empty while it doesn't answer."""
        try:
            with urlopen(f"{self.base_url}/.samesky/status", timeout=STATUS_TIMEOUT_S) as answer:
                status = json.load(answer)
        except (OSError, ValueError):
            return {}
        return status if isinstance(status, dict) else {}

    def _peer_options(self) -> list[object]:
        brokers = [part for url in self._brokers for part in ("--broker", url)]
        own = ["--post-broker", self.broker_url, "--post-base-url", self.base_url, "--dir-prefix", self.tree]
        more = ["--client-id", f"samesky-{self.name}", "--allow-host", HOST]
        return [*brokers, *own, *more, *self._serve, *self._options]


def join_ring(nodes: Sequence[Node]) -> None:
    """Join each to the one before it and the one behind it, so that a cut anywhere leaves a path."""
    for position, node in enumerate(nodes):
        before, behind = nodes[position - 1], nodes[(position + 1) % len(nodes)]
        node.join(*dict.fromkeys((before.broker_url, behind.broker_url)))


def stop_nodes(nodes: Iterable[Node]) -> None:
    """End every process of the nodes, at the same time; returns when none is left."""
    programs = [program for node in nodes for program in node.programs]
    for program in programs:
        program.signal(signal.SIGTERM)
    for program in programs:
        program.wait_ended(STOP_TIMEOUT_S)
    for node in nodes:
        node.close()
        node.broker.stop()


@dataclass(frozen=True, slots=True)
class TreeDigest:
    """What a tree holds, in one figure."""

    files: int
    size_bytes: int
    digest: str
    """Of every path and every byte below it: equal for equal trees, and only for them."""


def read_digest(tree: Path) -> TreeDigest:
    """Read every file of ``tree``, but what begins with a dot."""
    whole, files, size_bytes = hashlib.sha256(), 0, 0
    for path in sorted(walk_files(tree)):
        content = (tree / path).read_bytes()
        whole.update(f"{path}\0{hashlib.sha256(content).hexdigest()}\n".encode())
        files += 1
        size_bytes += len(content)
    return TreeDigest(files, size_bytes, whole.hexdigest())


def walk_files(tree: Path, below: str = "") -> Iterator[str]:
    """Paths of the files of ``tree``, relative to it; what begins with a dot is ours or half written, so left out."""
    with os.scandir(tree / below) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".")]
    for entry in found:
        path = f"{below}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from walk_files(tree, f"{path}/")
        else:
            yield path
