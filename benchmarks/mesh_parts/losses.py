"""What brokers lose, and whether it comes all the same: bursts through small queues, and a peer that was away."""

import time
from pathlib import Path

from samesky.demo.mesh_nodes import Node

from ..claims import Claim
from .arrivals import wait_for_files
from .nginx import Nginx
from .origin import SIZE_BYTES, announce_v03, write_files
from .several import count_different, run_nodes, wait_for_probe
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
        peer.join(origin.broker_url)
        written = write_files(origin.tree, files)
        origin.start()
        peer.start()
        with Wire(origin.broker.port, "publisher") as wire:
            wait_for_probe(wire, origin, written[0], [peer])
            began = time.monotonic()
            wire.publish_all(announce_v03(written[1:], origin.base_url))
        ended = wait_for_files([peer.tree / file.path for file in written], SIZE_BYTES, DEADLINE_S)
        return [
            Claim(f"{files:,} files at once through mosquitto's default queues: complete", ended - began, "s"),
            *_outcome([origin, peer], nginx, files),
        ]


def measure_away(folder: Path, *, files: int) -> list[Claim]:
    """Announcements that pass while a peer is killed, through queues that hold a thousand."""
    with run_nodes(folder, 2, broker_options=DEFAULT_QUEUES) as ((origin, peer), nginx):
        peer.join(origin.broker_url)
        (probe,) = write_files(origin.tree, 1, prefix="probe")
        origin.start()
        peer.start()
        with Wire(origin.broker.port, "publisher") as wire:
            wait_for_probe(wire, origin, probe, [peer])
            peer.peer.kill()
            written = write_files(origin.tree, files)
            wire.publish_all(announce_v03(written, origin.base_url))
        origin.peer.kill()  # it looks through its tree when it starts
        origin.start()
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
