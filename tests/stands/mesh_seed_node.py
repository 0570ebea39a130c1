"""One node of a mesh as the seed's README has it: a broker with two users, a web server, and peers.

Everything of ours runs as ``python -m samesky mesh …`` with a home of its own, in the folder that holds ``data``.
"""

import hashlib
from pathlib import Path
from typing import Self

from samesky.link.broker import MosquittoBroker

from .mesh_listener import Listener
from .mesh_programs import Running, mesh_command, run_mesh, user_environment
from .ports import free_port
from .waiting import wait_for

USERS = {"owner": "ownerpw", "guest": "guestpw"}
README_OPTIONS = (
    "max_inflight_messages 1000",
    "max_queued_messages 1000000",
    "message_size_limit 500000",
    "upgrade_outgoing_qos true",
    "log_type all",
)
"""What the seed's README sets in mosquitto's configuration; and the log says who subscribed to what."""
README_ACL = "user owner\ntopic readwrite xpublic/#\nuser guest\ntopic read xpublic/#\n"
"""The rights that the README gives where brokers have rights: the owner publishes, the guest reads."""


class Node:
    """A node with its broker and its web server running. A context manager: all that it started ends."""

    def __init__(self, folder: Path, *, acl: str | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(parents=True)
        self.broker = MosquittoBroker(dir=folder / "broker", users=USERS, acl=acl, options=README_OPTIONS)
        self.web_port = free_port()
        self.base_url = f"http://127.0.0.1:{self.web_port}"
        self._running: list[Running] = []

    def __enter__(self) -> Self:
        self.broker.start()
        try:
            self.start_web_server()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for running in self._running:
            running.ask_to_stop()
        for running in self._running:
            running.stop()
        self.broker.stop()

    @property
    def guest_url(self) -> str:
        """The broker, as those who subscribe know it."""
        return f"mqtt://guest:guestpw@127.0.0.1:{self.broker.port}"

    @property
    def owner_url(self) -> str:
        """The broker, as those who announce know it."""
        return f"mqtt://owner:ownerpw@127.0.0.1:{self.broker.port}"

    def start_web_server(self) -> Running:
        """Serve ``data``; returns when it is."""
        web = self.start("web", "serve", "data", "--listen", f"127.0.0.1:{self.web_port}")
        web.wait_for_text("serving")
        return web

    def start_peer(self, *sources: "Node", name: str = "peer", **options: object) -> Running:
        """Follow what ``sources`` announce, and announce it here; returns when their brokers have the subscription."""
        brokers = [part for source in sources for part in ("--broker", source.guest_url)]
        where = ["--post-broker", self.owner_url, "--post-base-url", self.base_url]
        peer = self.start(name, "peer", *brokers, *where, "--client-id", name, *_flags(options))
        for number, source in enumerate(sources):
            source.wait_for_subscriptions(peer, f"{name}-{number}")
        return peer

    def start_watch(self, *options: object) -> Running:
        """Announce whatever appears in ``data``; returns when it is watched."""
        where = ("--post-broker", self.owner_url, "--post-base-url", self.base_url)
        watch = self.start("watch", "watch", *where, *options, "data")
        watch.wait_for_text("watching")
        return watch

    def start(self, name: str, *arguments: object) -> Running:
        """Start one of our commands in this node's folder."""
        environment = user_environment(self.folder / "home")
        log_file = self.folder / f"{name}.log"
        running = Running(mesh_command(*arguments), log_file, environment=environment, folder=self.folder)
        self._running.append(running)
        return running

    def run(self, *arguments: object, status: int = 0) -> str:
        """Run one of our commands to its end in this node's folder; returns what it said."""
        return run_mesh(*arguments, home=self.folder / "home", folder=self.folder, status=status)

    def publish(self, *files: Path, **options: object) -> str:
        """Announce ``files`` of ``data``."""
        names = [file.relative_to(self.folder) for file in files]
        where = ("--post-broker", self.owner_url, "--post-base-url", self.base_url)
        return self.run("pub", *where, *_flags(options), *names)

    def write(self, path: str, content: bytes | str) -> Path:
        """A new file of ``data``, or new content for one."""
        file = self.data / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def listen(self, *topics: str) -> Listener:
        """A listener at this broker, as guest."""
        return Listener(self.guest_url, topics or ("xpublic/#",))

    def wait_for_subscriptions(
        self, client: Running, client_id: str, count: int = 1, *, deadline_s: float = 60
    ) -> None:
        """Return when ``client`` has subscribed here so often, with ids that begin so, by the broker's log."""
        words = f"Sending SUBACK to {client_id}"

        client.wait_for(
            lambda: self._log().count(words) >= count, deadline_s, what=f"{count} subscriptions of {client_id}"
        )

    def wait_for_log(self, words: str, deadline_s: float = 60) -> None:
        """Return when the broker has logged ``words``."""
        wait_for(lambda: words in self._log(), deadline_s, what=words, explain=lambda: self._log()[-3000:])

    def _log(self) -> str:
        return self.broker.log_file.read_text(errors="replace")

    def read_tree(self) -> dict[str, str]:
        """Path -> SHA-256 of all files in ``data`` that others can see."""
        return read_tree(self.data)


def read_tree(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of all files below ``folder``, without those whose path has a part that begins with a dot."""
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    seen = {path: file for path, file in files.items() if not any(part.startswith(".") for part in path.parts)}
    found = {}
    for path, file in sorted(seen.items()):
        try:
            found[str(path)] = hashlib.sha256(file.read_bytes()).hexdigest()
        except FileNotFoundError:
            pass  # removed since, or renamed: what Sarracenia downloads is called *.tmp until it is whole
    return found


def wait_until_same(*trees: Path, deadline_s: float = 60, explain: Running | None = None) -> dict[str, str]:
    """Return the files of ``trees`` when all trees are the same."""
    first, *others = trees

    def same() -> bool:
        expected = read_tree(first)
        return all(read_tree(other) == expected for other in others)

    def say() -> str:
        lists = "; ".join(f"{tree}: {sorted(read_tree(tree))[:20]}" for tree in trees)
        return f"{lists} {explain.text[-3000:] if explain else ''}"

    wait_for(same, deadline_s, what="equal trees", explain=say)
    return read_tree(first)


def _flags(options: dict[str, object]) -> list[object]:
    """``inline=True, subtopic=["a", "b"]`` as ``--inline --subtopic a --subtopic b``; what is False is left out."""
    flags: list[object] = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, list) else [value]:
            flags += [] if each is False else [flag] if each is True else [flag, each]
    return flags
