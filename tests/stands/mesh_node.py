"""A node of the mesh in this process: a tree, a web server over it, and a peer, in a loop in a thread of its own."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from samesky.link.child_process import find_free_port
from samesky.link.message import Message, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.link.urls import UrlRules
from samesky.mesh.announcement import Announcement, integrity_of
from samesky.mesh.paths import subtopic_filter, topic_of
from samesky.mesh.peer import Rules
from samesky.mesh.peer_settings import Neighbour, PeerSettings, Posting
from samesky.mesh.peering import Peering
from samesky.mesh.serve import WebServer
from samesky.mesh.status import MeshStatus
from samesky.mesh.v03 import CONTENT_TYPE, encode_v03

from .waiting import wait_for

LOOPBACK = UrlRules(hosts=("127.0.0.1",))
_numbers = itertools.count()


class MeshNode:
    """Follows the brokers at ``follows`` (ports), and announces at ``broker_port``."""

    def __init__(
        self,
        folder: Path,
        broker_port: int,
        *,
        follows: Sequence[int] = (),
        name: str = "",
        rules: Rules | None = None,
        posting: Callable[[Posting], Posting] = lambda posting: posting,
        neighbour: Callable[[Neighbour], Neighbour] = lambda neighbour: neighbour,
        **settings: object,
    ) -> None:
        self.folder = folder
        self.port = find_free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.name = name or f"node-{next(_numbers)}"
        link = MqttSettings(f"{self.name}-post", port=broker_port, session_expiry_s=0, window=500, tell_published=True)
        rules = replace(rules or Rules(), own_urls=frozenset({self.url.rstrip("/")}))
        self.settings = PeerSettings(
            folder,
            tuple(neighbour(self._neighbour(number, port)) for number, port in enumerate(follows)),
            posting(Posting(self.name, link, self.url)),
            rules=rules,
            urls=LOOPBACK,
            consumer=self.name,
            **{"durable": False, **settings},  # type: ignore[arg-type]
        )
        self.peering: Peering | None = None
        self._loop = asyncio.new_event_loop()
        self._ending: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"mesh-node-{self.name}", daemon=True)

    def _neighbour(self, number: int, port: int) -> Neighbour:
        mqtt = MqttSettings(f"{self.name}-{number}", port=port, receive_maximum=1000)
        return Neighbour(f"mqtt://127.0.0.1:{port}", mqtt, (Subscription(subtopic_filter("xpublic", "#")),))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60), "the node didn't start"
        if self._failure:
            raise self._failure
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._thread.is_alive() and self._ending is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the node doesn't end"

    def status(self) -> MeshStatus:
        """How the peer does now."""
        return self.call(lambda peering: peering.status())

    def call(self, function: Callable[[Peering], Any]) -> Any:
        """Call a function with the peer in the loop's thread."""

        async def run() -> Any:
            assert self.peering is not None
            return function(self.peering)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(60)

    def describe(self) -> str:
        """The same in words, for a test that fails."""
        status = self.status()
        return "\n".join([status.describe(), *(each.describe() for each in status.neighbours)])

    def read_files(self) -> dict[str, bytes]:
        """All files of the tree."""
        return read_tree(self.folder)

    def _run(self) -> None:
        try:
            asyncio.set_event_loop(self._loop)
            self._loop.run_until_complete(self._stay())
        except BaseException as error:
            self._failure = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _stay(self) -> None:
        self._ending = asyncio.Event()
        self.folder.mkdir(exist_ok=True, parents=True)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(WebServer(self.folder, host="127.0.0.1", port=self.port))
            self.peering = await stack.enter_async_context(Peering(self.settings))
            self._ready.set()
            await self._ending.wait()


class Announcer:
    """Somebody who announces files at a broker, without a tree of ours."""

    def __init__(self, port: int) -> None:
        self.link = MqttLink(MqttSettings(f"announcer-{next(_numbers)}", port=port, window=500), (), lambda event: None)

    def __enter__(self) -> Self:
        self.link.start()
        wait_for(lambda: self.link.connected, 60, what="the announcer's connection", every_s=0.01)
        return self

    def __exit__(self, *exc_info: object) -> None:
        assert self.link.drain(60), "the broker doesn't take what is announced"
        self.link.close()

    def announce(self, announcement: Announcement) -> None:
        """Announce this."""
        self.send(topic_of("xpublic", announcement.path), encode_v03(announcement))

    def send(self, topic: str, payload: bytes) -> None:
        """Send any message."""
        assert self.link.publish(Message(topic, payload, content_type=CONTENT_TYPE), timeout_s=60)

    def put(self, node: MeshNode, path: str, content: bytes) -> Announcement:
        """Put a file into a node's tree, as a user does, and announce it."""
        place = node.folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        announcement = Announcement(path, time.time_ns(), integrity_of(content), len(content), node.url)
        self.announce(announcement)
        return announcement


def wait_until_connected(*nodes: MeshNode) -> None:
    """Return when each of ``nodes`` is connected to its neighbours' brokers and to its own."""

    def connected(node: MeshNode) -> bool:
        status = node.status()
        return status.post_state == "live" and all(each.state != "disconnected" for each in status.neighbours)

    for node in nodes:
        wait_for(lambda node=node: connected(node), 60, what="the connections", explain=node.describe)


def read_tree(folder: Path) -> dict[str, bytes]:
    """Path -> content of all files below ``folder`` whose names don't begin with a dot."""
    found = {}
    for path in folder.rglob("*"):
        relative = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in relative.parts):
            found[relative.as_posix()] = path.read_bytes()
    return found
