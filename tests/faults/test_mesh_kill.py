"""A kill a second of a peer, a web server or a broker, while 10,000 files come to three peers.

``SAMESKY_MESH_KILLS`` sets how often, ``SAMESKY_MESH_FILES`` how many files, ``SAMESKY_KILL_SEED`` when and whom.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from samesky.demo.mesh_nodes import Node, join_ring
from samesky.errors import SameskyError
from stands.mesh_cluster import find_strays, running_nodes, wait_until_same, write_file
from stands.mesh_reader import Reader, make_content

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("SAMESKY_MESH_KILLS", "60"))
FILES = int(os.environ.get("SAMESKY_MESH_FILES", "10000"))
SEED = int(os.environ.get("SAMESKY_KILL_SEED", "1"))
EVERY_S = 1.0
BATCH = 20
SETTLE_S = 120.0
NAMES = ("red", "green", "blue")


def test_nothing_is_lost_or_half_seen_when_peers_web_servers_and_brokers_are_killed_all_the_time(
    tmp_path: Path,
) -> None:
    chance = Random(SEED)
    with running_nodes(tmp_path, NAMES, web="apart", options=("--compare-interval", "5")) as nodes:
        join_ring(nodes)
        for node in nodes:
            node.start()
        before = list_around(tmp_path)
        with Reader(node.tree for node in nodes) as reader:
            with publishing(nodes, FILES):
                kill_again_and_again(nodes, chance)
            wait_until_same(nodes, FILES, SETTLE_S)
        assert reader.faults == []
        assert reader.read_count >= FILES * len(nodes)
        assert list_around(tmp_path) <= before
        assert [stray for node in nodes for stray in find_strays(node)] == []


def kill_again_and_again(nodes: list[Node], chance: Random) -> None:
    """One of the nine processes a second; it is started again at once."""
    next_at = time.monotonic()
    for _ in range(KILLS):
        node = chance.choice(nodes)
        victim = chance.choice([node.broker, *node.programs])
        victim.kill()
        node.start()
        next_at += EVERY_S
        time.sleep(max(0.0, next_at - time.monotonic()))


@contextmanager
def publishing(nodes: list[Node], count: int) -> Iterator[None]:
    """Meanwhile, files are written into the trees in turn and announced, until the broker there has taken it."""
    failures: list[BaseException] = []

    def publish_all() -> None:
        chance, start = Random(SEED), time.monotonic()
        try:
            for first in range(0, count, BATCH):
                publish_some(nodes[first // BATCH % len(nodes)], range(first, min(count, first + BATCH)), chance)
                time.sleep(max(0.0, start + first / count * KILLS * EVERY_S - time.monotonic()))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=publish_all, name="publishing")
    thread.start()
    try:
        yield
    finally:
        thread.join()
    assert failures == []


def publish_some(node: Node, numbers: range, chance: Random) -> None:
    """Write files and announce them, again and again until the broker has them all."""
    paths = [f"20261121T17/{number % 40:02}/f{number:06}.txt" for number in numbers]
    for path in paths:
        write_file(node, path, make_content(chance, chance.randrange(100, 5000)))
    while True:
        try:
            node.publish(paths)
            return
        except SameskyError:
            continue  # as a user would: the broker is away, so once more


def list_around(folder: Path) -> set[str]:
    """Everything below ``folder`` that isn't in a tree and isn't a broker's."""
    found = {path.relative_to(folder) for path in folder.rglob("*")}
    return {str(path) for path in found if len(path.parts) < 3 or path.parts[1] not in ("tree", "broker")}
