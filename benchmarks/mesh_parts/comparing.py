"""What it costs two peers to find that their trees are the same."""

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

from samesky.demo.mesh_nodes import Node, stop_nodes
from samesky.demo.program import find_ports

from ..claims import Claim
from .origin import EXCHANGE, write_files
from .takers import make_broker
from .wire import Heard, Wire

PATIENCE_S = 120.0
QUIET_S = 3.0


def measure(folder: Path, *, files: int) -> list[Claim]:
    """Two trees with the same ``files``; one peer asks the other."""
    nodes = [
        Node(name, folder / name, make_broker(folder / name / "broker"), web_port=port)
        for name, port in zip(("answering", "asking"), find_ports(2), strict=True)
    ]
    answering, asking = nodes
    with ExitStack() as stack:
        stack.callback(stop_nodes, nodes)
        write_files(answering.tree, files, size_bytes=100)
        shutil.copytree(answering.tree, asking.tree, dirs_exist_ok=True, copy_function=_copy)
        began = time.monotonic()
        answering.join(answering.broker_url)
        answering.start()
        wait_until_indexed(answering, files)
        indexed_s = time.monotonic() - began
        asking.join(answering.broker_url)
        tap = stack.enter_context(Wire(answering.broker.port, "tap"))
        tap.subscribe(f"{EXCHANGE}/samesky/#")
        asking.start()
        heard = listen_until_proven(tap, asking)
    return [
        Claim(f"two equal trees of {files:,} files compared: messages", len(heard), "", at_least=1, at_most=4),
        Claim("  their size, headers included", sum(each.packet_bytes for each in heard), "bytes", at_most=1000),
        Claim("  a new peer's first look through such a tree", indexed_s, "s"),
    ]


def wait_until_indexed(node: Node, files: int) -> None:
    """Wait until a peer knows all the files of its tree."""
    end = time.monotonic() + PATIENCE_S
    while node.read_status().get("files") != files:
        node.check()
        if time.monotonic() > end:
            raise TimeoutError(f"the peer knows of {node.read_status().get('files')} files, not {files:,}")
        time.sleep(0.1)


def listen_until_proven(tap: Wire, asking: Node) -> list[Heard]:
    """Everything that is said until the asking peer knows that its tree is the same, and for a while after that."""
    heard, end = [], time.monotonic() + PATIENCE_S
    while not any(neighbour["same"] for neighbour in asking.read_status().get("neighbours", ())):
        heard += tap.listen(0.5)
        if time.monotonic() > end:
            raise TimeoutError(f"the trees aren't proven the same after {PATIENCE_S:.0f} s")
    while some := tap.listen(QUIET_S):
        heard += some
    return heard


def _copy(source: str, target: str) -> None:
    """A hard link: the same content and the same time, at no cost."""
    os.link(source, target)
