"""What brokers lose, and whether it comes all the same: bursts through small queues, and a peer that was away."""

import time
from pathlib import Path

from samesky.demo.mesh_nodes import Node

from ..claims import Claim
from .arrivals import wait_for_files
from .nginx import Nginx
from .origin import SIZE_BYTES, write_files
from .several import START_S, count_different, run_nodes
from .takers import read_peak_mib
from .wire import Wire

DEFAULT_QUEUES = ("set_tcp_nodelay true",)
"""mosquitto's own: a thousand messages wait for a session, twenty are on their way."""
COMPARE_EVERY_S = "5"
DEADLINE_S = 600.0


def measure_burst(folder: Path, *, files: int) -> list[Claim]:
    """All announcements at once, through queues that hold a thousand, to a peer that is there."""
    with run_nodes(folder, 2, broker_options=DEFAULT_QUEUES, options=("--compare-interval", COMPARE_EVERY_S)) as (
        (origin, peer),
        nginx,
    ):
        origin.join(origin.broker_url)
        peer.join(origin.broker_url)
        (probe,) = write_files(origin.tree, 1, prefix="probe")
        origin.start()
        peer.start()
        origin.publish([probe.path])
        wait_for_files([peer.tree / probe.path], SIZE_BYTES, START_S)
        written = write_files(origin.tree, files)
        messages = [(each.topic, each.payload) for each in origin.enter([file.path for file in written])]
        with Wire(origin.broker.port, "publisher") as wire:
            began = time.monotonic()
            wire.publish_all(messages)
        ended = wait_for_files([peer.tree / file.path for file in written], SIZE_BYTES, DEADLINE_S)
        return [
            Claim(f"{files:,} files at once through mosquitto's default queues: complete", ended - began, "s"),
            *_outcome([origin, peer], nginx, files + 1),
        ]


def measure_away(folder: Path, *, files: int) -> list[Claim]:
    """Announcements that pass while a peer is killed, through queues that hold a thousand."""
    with run_nodes(folder, 2, broker_options=DEFAULT_QUEUES) as ((origin, peer), nginx):
        origin.join(origin.broker_url)
        peer.join(origin.broker_url)
        (probe,) = write_files(origin.tree, 1, prefix="probe")
        origin.start()
        peer.start()
        origin.publish([probe.path])
        wait_for_files([peer.tree / probe.path], SIZE_BYTES, START_S)
        peer.peer.kill()
        written = write_files(origin.tree, files)
        origin.publish([file.path for file in written])
        began = time.monotonic()
        peer.start()
        ended = wait_for_files([peer.tree / file.path for file in written], SIZE_BYTES, DEADLINE_S)
        assert peer.peer.pid
        return [
            Claim(f"{files:,} files announced while a peer was away: complete", ended - began, "s"),
            Claim("  files/s from its start on", files / (ended - began), "files/s"),
            *_outcome([origin, peer], nginx, files + 1),
            Claim("  its memory at most", read_peak_mib(peer.peer.pid), "MiB", at_most=80),
        ]


def _outcome(nodes: list[Node], nginx: Nginx, files: int) -> list[Claim]:
    counts = nginx.read_counts()
    return [
        Claim("  trees that differ from the origin's, every byte compared", count_different(nodes), "trees", at_most=0),
        Claim("  fetches, of as many as there are files", sum(counts.values()), "", reference=files, at_most=1),
    ]
