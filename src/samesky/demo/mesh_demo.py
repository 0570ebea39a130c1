"""`samesky demo mesh`: four peers in a ring; files published at one appear at all, and one that was away comes back."""

import json
import statistics
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ..errors import DifferenceFound, Unreachable
from ..link.broker import IotcoreBroker, MosquittoBroker, choose_broker
from .bulletins import Bulletins
from .mesh_nodes import Broker, Node, TreeDigest, join_ring, read_digest, stop_nodes, walk_files
from .page import Page
from .program import check_libraries, find_ports, find_program, open_place
from .screen import Screen

NAMES = ("north", "east", "south", "west")
AWAY = "west"
KEPT_MESSAGES = 100
"""What each broker keeps for a peer that is away: far too little, so that comparisons have something to do."""
BATCH = 10
LIVE_EVERY_S = 1.0
LIVE_BATCHES = 3
AWAY_FILES, AWAY_BATCH = 1000, 100
START_TIMEOUT_S = 60.0
SPREAD_TIMEOUT_S = 60.0
# What comparing and ending take: with --seconds, the last comparison begins so long before.
ENDING_S = 3.0
POLL_S = 0.002
BROKERS: dict[str, type[MosquittoBroker] | type[IotcoreBroker]] = {
    "mosquitto": MosquittoBroker,
    "iotcore": IotcoreBroker,
}
LIBRARIES = ("aiohttp", "watchfiles", "prometheus_client")


def run(
    *, seconds: float | None, directory: Path | None, broker: str | None, as_json: bool, web_port: int | None = None
) -> None:
    """Show it all; returns when ``seconds`` are over, or at Ctrl-C once the trees have been shown to be the same.

    ``directory`` keeps the trees, else they are removed; ``broker`` is one of BROKERS, ``web_port`` the page's.
    With ``as_json`` the outcome goes to standard output as one object, and the story to standard error. Raises
    `DifferenceFound`, `SetupError` without a broker or a library, `Unreachable` when a process dies or files don't get
    on.
    """
    started = time.monotonic()
    check_libraries(LIBRARIES, script="scripts/demo mesh")
    with ExitStack() as stack:
        place = open_place(stack, directory)
        screen = Screen(sys.stderr if as_json else sys.stdout)
        kept = directory is not None
        demo = MeshDemo(stack, screen, place, kept=kept, broker=broker, web_port=web_port or 0)
        demo.show_page()
        demo.announce(seconds)
        demo.start()
        end = None if seconds is None else started + seconds - ENDING_S
        demo.follow(until=None if end is None else time.monotonic() + (end - time.monotonic()) / 3)
        demo.cut_and_return()
        demo.follow(until=end)
        outcome = demo.compare()
        if as_json:
            print(json.dumps(outcome, indent=2), flush=True)
        if not outcome["same"]:
            raise DifferenceFound(
                "the four trees differ",
                hint="run it again with --directory to keep the trees and the logs, and please report this",
            )
        if seconds is None:
            demo.follow_until_interrupted()


class MeshDemo:
    """The demo's parts, in the order in which they are to be called; ``stack`` ends what they start."""

    def __init__(
        self, stack: ExitStack, screen: Screen, directory: Path, *, kept: bool, broker: str | None, web_port: int
    ) -> None:
        self._stack = stack
        self._screen = screen
        self._directory = directory
        self._kept = kept
        self._page = Page(directory, screen, port=web_port)
        self._nodes = make_nodes(directory, broker, environment=self._page.environment)
        join_ring(self._nodes)
        self._away = next(node for node in self._nodes if node.name == AWAY)
        self._running: list[Node] = []
        self._before = max(sum(1 for _ in walk_files(node.tree)) for node in self._nodes)
        self._bulletins = Bulletins(first=self._before + 1)
        self._paths: list[str] = []
        self._delays_s: list[float] = []
        self._recovered_s = 0.0

    def show_page(self) -> None:
        """Start the page over all peers, and say its address."""
        self._stack.enter_context(self._page)

    def announce(self, seconds: float | None) -> None:
        """Say what will happen, and where."""
        end = "Ctrl-C ends it" if seconds is None else f"ends after {seconds:g} seconds"
        self._screen.say(
            "Four peers in a ring, each with a broker, a tree and a web server of its own: "
            f"what is published at one comes to all; {end}."
        )
        self._screen.say(f"Directory: {self._directory} ({'kept' if self._kept else 'removed at the end'})")
        if self._before:
            self._screen.say(f"The trees of an earlier run are there, with {self._before:,} files, and go on.")

    # ------------------------------------------------------------------ files on their way

    def start(self) -> None:
        """Start all nodes and wait until a file has gone round."""
        self._stack.callback(stop_nodes, self._nodes)
        for node in self._nodes:
            node.start()
            self._running.append(node)
        for node in self._nodes:
            self._screen.say(f"  {node.name:<5}  {node.broker.name} {node.broker_url}  tree {node.base_url}/")
        took_s = self._spread(self._nodes[0], 1, timeout_s=START_TIMEOUT_S)
        self._screen.say(f"All four run; the first file was everywhere {took_s:.1f} s after the start.")

    def follow(self, *, until: float | None = None) -> None:
        """Publish a batch a second, at each node in turn, until the moment ``until`` (monotonic); one at least."""
        self._screen.say("Files, and how long after they were published at one peer the last of the four had them:")
        for number, node in enumerate(cycle(self._nodes)):
            if number and (number >= LIVE_BATCHES if until is None else time.monotonic() > until - LIVE_EVERY_S):
                return
            next_at = time.monotonic() + LIVE_EVERY_S
            took_s = self._spread(node, BATCH)
            self._delays_s.append(took_s)
            clock = time.strftime("%H:%M:%S")
            self._screen.say(f"  {clock}  {BATCH} files at {node.name:<5}  {took_s * 1000:.0f} ms")
            self._wait_until(next_at)

    def follow_until_interrupted(self) -> None:
        """Go on until Ctrl-C, which is the way to end this."""
        node = self._nodes[0]
        self._screen.say("All four stay live. Publish a file of your own, and find it in the other trees:")
        self._screen.say(f"  echo hello > {node.tree}/hello.txt")
        self._screen.say(
            f"  {find_program()} mesh pub --post-broker {node.broker_url} --post-base-url {node.base_url} "
            f"--post-base-dir {node.tree} {node.tree}/hello.txt"
        )
        try:
            self._screen.say("Ctrl-C ends the demo.")
            while True:
                self._wait_until(time.monotonic() + LIVE_EVERY_S)
        except KeyboardInterrupt:
            self._screen.say("Ended.")

    # ------------------------------------------------------------------ one is away

    def cut_and_return(self) -> None:
        """Kill one node as a power cut would, publish at the others meanwhile, let it come back and catch up."""
        node, others = self._away, [each for each in self._nodes if each is not self._away]
        self._running.remove(node)
        node.kill()
        self._screen.say(f"Power cut: {node.name}'s peer, web server and broker are killed.")
        before = len(self._paths)
        for batch in range(AWAY_FILES // AWAY_BATCH):
            self._spread(others[batch % len(others)], AWAY_BATCH)
        missed = self._paths[before:]
        kept = f"at most {KEPT_MESSAGES} messages" if node.broker.name == "mosquitto" else "few messages or none"
        self._screen.say(
            f"  {len(missed):,} files were published meanwhile; the other three have them. "
            f"Their brokers keep {kept} for {node.name}."
        )
        started = time.monotonic()
        node.start()
        self._running.append(node)
        self._wait_for(missed, [node], SPREAD_TIMEOUT_S)
        self._recovered_s = time.monotonic() - started
        self._screen.say(f"Power is back: {node.name} is complete {self._recovered_s:.1f} s after its start.")

    # ------------------------------------------------------------------ the proof

    def compare(self) -> dict[str, Any]:
        """Read every file of the four trees, and print whether they are the same; returns what --json prints."""
        digests = {node.name: read_digest(node.tree) for node in self._nodes}
        same = len(set(digests.values())) == 1 and digests[AWAY].files == self._before + len(self._paths)
        self._screen.show_table(digest_table(digests))
        if same:
            one = digests[AWAY]
            self._screen.say(f"The same: {one.files:,} files, {one.size_bytes:,} bytes, in {len(digests)} trees.")
        return {
            "same": same,
            "published": len(self._paths),
            "trees": {name: asdict(digest) for name, digest in digests.items()},
            "delay_ms": {
                "median": round(statistics.median(self._delays_s) * 1000, 1),
                "max": round(max(self._delays_s) * 1000, 1),
            },
            "missed": AWAY_FILES,
            "recovered_s": round(self._recovered_s, 2),
        }

    def _spread(self, node: Node, count: int, *, timeout_s: float = SPREAD_TIMEOUT_S) -> float:
        """Publish ``count`` new files at ``node``; returns after how many seconds every running node had them."""
        paths = self._bulletins.write(node.tree, count)
        started = time.monotonic()
        node.publish(paths)
        self._paths += paths
        self._wait_for(paths, self._running, timeout_s)
        return time.monotonic() - started

    def _wait_for(self, paths: Sequence[str], nodes: Sequence[Node], timeout_s: float) -> None:
        """Wait until the nodes have the files; raises `Unreachable` when they don't come in time."""
        missing = deque((node, path) for path in paths for node in nodes)
        deadline = time.monotonic() + timeout_s
        while missing:
            node, path = missing[0]
            if (node.tree / path).exists():
                missing.popleft()
            elif time.monotonic() > deadline:
                raise Unreachable(f"{path} isn't at {node.name} after {timeout_s:.0f} s\n{node.peer.tail()}")
            else:
                self._wait_until(time.monotonic() + POLL_S)

    def _wait_until(self, moment: float) -> None:
        """Let time pass; raises `Unreachable` if a process has ended by itself."""
        self._page.check()
        for node in self._running:
            node.check()
        time.sleep(max(0.0, moment - time.monotonic()))


def make_nodes(directory: Path, broker_name: str | None, *, environment: Mapping[str, str]) -> list[Node]:
    """The four nodes, not started. Raises `SetupError` when there is no such broker."""
    ports = find_ports(2 * len(NAMES))
    nodes = []
    for number, name in enumerate(NAMES):
        broker = make_broker(broker_name, directory / name / "broker", ports[2 * number])
        # After a kill iotcore doesn't answer a client that asks for its session, and it keeps none anyway.
        options = () if isinstance(broker, MosquittoBroker) else ("--clean-session",)
        web_port = ports[2 * number + 1]
        nodes.append(Node(name, directory / name, broker, web_port=web_port, options=options, environment=environment))
    return nodes


def make_broker(name: str | None, folder: Path, port: int) -> Broker:
    """A broker for one node, not started; with mosquitto, one that keeps little for who is away."""
    broker = BROKERS[name](port=port, dir=folder) if name else choose_broker(port=port, dir=folder)
    if isinstance(broker, MosquittoBroker):
        broker.options = (f"max_queued_messages {KEPT_MESSAGES}", "set_tcp_nodelay true")
    return broker


def digest_table(digests: Mapping[str, TreeDigest]) -> Table:
    """One row for each tree; the first is what the others are compared with."""
    table = Table(
        "peer", box=SIMPLE_HEAD, pad_edge=False, title="The four trees, every byte read", title_justify="left"
    )
    for heading in ("files", "bytes"):
        table.add_column(heading, justify="right")
    table.add_column("digest")
    table.add_column("result")
    first = next(iter(digests.values()))
    for name, each in digests.items():
        verdict = "the same" if each == first else "differs"
        table.add_row(name, f"{each.files:,}", f"{each.size_bytes:,}", each.digest[:16], verdict)
    return table
