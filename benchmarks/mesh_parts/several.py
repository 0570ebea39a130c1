"""Several peers at once: a chain, and a mesh in which each follows all others."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from samesky.demo.mesh_nodes import Node, read_digest, stop_nodes
from samesky.demo.program import find_ports

from ..claims import Claim
from .arrivals import wait_for_files
from .nginx import Nginx
from .origin import EXCHANGE, SIZE_BYTES, File, announce_v03, write_files
from .takers import DEEP_QUEUES, make_broker
from .wire import Heard, Wire

PEERS = 4
START_S = 60.0
LEAST_RATE_HZ = 50
QUIET_S = 2.0


def measure_chain(folder: Path, *, files: int) -> list[Claim]:
    """Files announced to the first of four; how fast do they come out of the last?"""
    with run_nodes(folder, 1 + PEERS) as (nodes, _):
        origin, *peers = nodes
        for before, node in zip(nodes, peers, strict=False):
            node.join(before.broker_url)
        written = write_files(origin.tree, files)
        origin.broker.start()
        for node in peers:
            node.start()
        with Wire(origin.broker.port, "publisher") as wire:
            probe, *rest = written
            wait_for_probe(wire, origin, probe, peers)
            messages = announce_v03(rest, origin.base_url)
            began = time.monotonic()
            wire.publish_all(messages)
        ended = wait_for_files([peers[-1].tree / file.path for file in rest], SIZE_BYTES, _patience_s(rest))
        different = count_different(nodes)
    return [
        Claim(f"chain of {PEERS} peers, at its end", len(rest) / (ended - began), "files/s", at_least=2000),
        Claim("  trees that differ from the origin's, every byte compared", different, "trees", at_most=0),
    ]


def measure_full_mesh(folder: Path, *, files: int) -> list[Claim]:
    """Files announced at each of four that all follow each other: what is fetched, and what is said?"""
    with run_nodes(folder, PEERS) as (nodes, nginx), ExitStack() as stack:
        for node in nodes:
            node.join(*(other.broker_url for other in nodes if other is not node))
            node.start()
        for node in nodes:
            (probe,) = write_files(node.tree, 1, prefix=f"{node.name}-probe")
            node.publish([probe.path])
            wait_for_files([each.tree / probe.path for each in nodes], SIZE_BYTES, START_S)
        taps = [stack.enter_context(Wire(node.broker.port, "tap")) for node in nodes]
        for tap in taps:
            tap.subscribe(f"{EXCHANGE}/v03/post/#")
        shares = [write_files(node.tree, files // PEERS, prefix=node.name) for node in nodes]
        for node, share in zip(nodes, shares, strict=True):
            node.publish([file.path for file in share])
        written = [file for share in shares for file in share]
        for node in nodes:
            wait_for_files([node.tree / file.path for file in written], SIZE_BYTES, _patience_s(written))
        heard = [message for tap in taps for message in listen_until_quiet(tap)]
        mine = {f"/{file.path}" for file in written}
        fetched = sum(count for (_, path), count in nginx.read_counts().items() if path in mine)
        different = count_different(nodes)
    return [
        Claim(
            f"full mesh of {PEERS}: files fetched, of those that a node lacked",
            fetched,
            "files",
            reference=len(written) * (PEERS - 1),
            at_least=1,
            at_most=1,
        ),
        Claim(f"  announcements with a wrong checksum, of {len(heard):,}", count_wrong(heard, written), "", at_most=0),
        Claim("  trees that differ, every byte compared", different, "trees", at_most=0),
    ]


@contextmanager
def run_nodes(
    folder: Path, count: int, *, broker_options: Sequence[str] = DEEP_QUEUES, options: Sequence[str] = ()
) -> Iterator[tuple[list[Node], Nginx]]:
    """``count`` nodes, not started, with one nginx for all of their trees; ended afterwards."""
    nodes = []
    for name in (f"n{number}" for number in range(count)):
        broker = make_broker(folder / name / "broker", options=broker_options)
        (web_port,) = find_ports(1)
        nodes.append(Node(name, folder / name, broker, web_port=web_port, web="other", options=options))
    with Nginx(folder / "nginx", {node.web_port: node.tree for node in nodes}) as nginx:
        try:
            yield nodes, nginx
        finally:
            stop_nodes(nodes)


def wait_for_probe(wire: Wire, origin: Node, probe: File, nodes: Sequence[Node]) -> None:
    """Announce a file again and again until all nodes have it: then they are joined."""
    end = time.monotonic() + START_S
    while True:
        wire.publish_all(announce_v03([probe], origin.base_url))
        try:
            wait_for_files([node.tree / probe.path for node in nodes], SIZE_BYTES, 1.0)
            return
        except TimeoutError:
            if time.monotonic() > end:
                raise


def listen_until_quiet(tap: Wire) -> list[Heard]:
    """Everything that comes until nothing does for `QUIET_S`."""
    heard: list[Heard] = []
    while some := tap.listen(QUIET_S):
        heard += some
    return heard


def count_wrong(heard: Sequence[Heard], files: Sequence[File]) -> int:
    """How many announcements tell another checksum than the file has."""
    messages = announce_v03(files, "")
    truth = {file.path: json.loads(payload)["integrity"] for file, (_, payload) in zip(files, messages, strict=True)}
    told = [json.loads(message.payload) for message in heard]
    return sum(truth.get(each["relPath"].lstrip("/"), each["integrity"]) != each["integrity"] for each in told)


def count_different(nodes: Sequence[Node]) -> int:
    """How many trees aren't the same as the first."""
    first, *others = [read_digest(node.tree) for node in nodes]
    return sum(other != first for other in others)


def _patience_s(files: Sequence[File]) -> float:
    return len(files) / LEAST_RATE_HZ + 30
