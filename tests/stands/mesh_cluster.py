"""Several nodes of a mesh on this machine for tests of what goes wrong: their files, and whether they are equal."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Literal

from samesky.demo.mesh_nodes import Node, TreeDigest, read_digest, stop_nodes
from samesky.demo.program import find_ports
from samesky.link.broker import MosquittoBroker

from .mesh_reader import make_content
from .waiting import wait_for

QUICK = ("set_tcp_nodelay true",)
"""mosquitto's own queues, without its waiting for full packets."""


@contextmanager
def running_nodes(
    folder: Path,
    names: Sequence[str],
    *,
    web: Literal["built-in", "apart", "other"] = "built-in",
    broker_options: Sequence[str] = QUICK,
    options: Sequence[str] = (),
) -> Iterator[list[Node]]:
    """Nodes below ``folder``, neither joined nor started; ended afterwards."""
    nodes, ports = [], iter(find_ports(2 * len(names)))
    for name in names:
        broker = MosquittoBroker(port=next(ports), dir=folder / name / "broker", options=broker_options)
        nodes.append(Node(name, folder / name, broker, web_port=next(ports), web=web, options=options))
    try:
        yield nodes
    finally:
        stop_nodes(nodes)


def write_file(node: Node, path: str, content: bytes) -> None:
    """Put a file into a node's tree, whole."""
    place = node.tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_name(f".{place.name}")
    unfinished.write_bytes(content)
    unfinished.replace(place)


def write_files(node: Node, chance: Random, count: int, *, size_bytes: int = 300, prefix: str = "f") -> list[str]:
    """Put ``count`` files of `make_content` into a node's tree; returns their paths."""
    paths = [f"20261121T17/{number % 40:02}/{prefix}{number:06}.txt" for number in range(count)]
    for path in paths:
        write_file(node, path, make_content(chance, size_bytes))
    return paths


def wait_until_there(node: Node, paths: Sequence[str], deadline_s: float) -> None:
    """Wait until the node has all of these files; each is looked at about once."""
    waiting = list(paths)

    def there() -> bool:
        while waiting and (node.tree / waiting[-1]).exists():
            waiting.pop()
        return not waiting

    wait_for(there, deadline_s, what=f"{len(paths):,} files at {node.name}", explain=lambda: say(node, len(waiting)))


def wait_until_same(nodes: Sequence[Node], files: int, deadline_s: float) -> TreeDigest:
    """Wait until all trees hold the same ``files`` files, every byte compared; returns what they hold."""

    def same() -> TreeDigest | None:
        first, *others = [read_digest(node.tree) for node in nodes]
        return first if first.files == files and all(other == first for other in others) else None

    def explain() -> str:
        return "\n".join(f"{node.name}: {read_digest(node.tree)} {say(node)}" for node in nodes)

    found = wait_for(same, deadline_s, what=f"equal trees of {files:,} files", every_s=0.5, explain=explain)
    assert found is not None
    return found


def say(node: Node, missing: int = 0) -> str:
    """What a failed test should tell of a node."""
    return f"{missing:,} missing; {node.read_status()}\n{node.peer.tail()}"


def find_strays(node: Node) -> list[str]:
    """What is in a node's tree that neither is a file of others' announcements nor the peer's own folder."""
    return [str(path) for path in node.tree.rglob(".*") if path.relative_to(node.tree).parts[0] != ".samesky"]


def find_unfinished(node: Node) -> list[str]:
    """Files that are still on their way into the tree."""
    incoming = node.tree / ".samesky/incoming"
    return [path.name for path in incoming.iterdir()] if incoming.exists() else []
