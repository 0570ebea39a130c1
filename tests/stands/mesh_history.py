"""Seeded histories of several peers of a mesh: their brains, trees in memory, and trouble between them.

A peer here is `Peer`, `Comparison` and `Answering` with an index that is a dict, a queue that outlives the process, and
neighbours' "web servers" that are their trees. Files are written, rewritten, removed and lost at any of them, two may
write the same path at the same moment; messages are lost, doubled and late, brokers forget, processes end anywhere.
Once peace has come all trees are the same, every peer knows it, and nobody says much any more.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from random import Random

from samesky.core.strict import Refused
from samesky.link.message import Message
from samesky.mesh.announcement import Announcement, Entry, Version, integrity_of
from samesky.mesh.answers import Answering, answer_topic, ask_topic
from samesky.mesh.comparison import Comparison
from samesky.mesh.peer import Peer, Remove, Rules, Skip, Take, Touch
from samesky.mesh.v03 import decode_v03, encode_v03

from .history import Crash
from .mesh_trees import MemoryIndex, entry_of
from .small_network import Network

START = 1_800_000_000.0
SECOND_NS = 1_000_000_000
INTERVAL_S = 600.0
DEEP_INTERVAL_S = 1200.0
NAMES = "abcd"
PATHS = tuple(f"{directory}{name}" for directory in ("", "2026112110/", "2026112110/CWAO/") for name in "pqrst")
CONTENTS = (b"", b"one", b"two", b"three")
SHAPES = {
    "chain": {"a": "b", "b": "ac", "c": "bd", "d": "c"},
    "ring": {"a": "bd", "b": "ac", "c": "bd", "d": "ac"},
    "one way round": {"a": "d", "b": "a", "c": "b", "d": "c"},
    "full": {"a": "bcd", "b": "acd", "c": "abd", "d": "abc"},
    "star": {"a": "bcd", "b": "a", "c": "a", "d": "a"},
    "one way and back": {"a": "d", "b": "ac", "c": "b", "d": "cb"},
}
"""Whom each peer follows."""
ONE_WAY = ("one way round", "one way and back")
"""Here nothing is removed: two removals of a path are one, whose time stays that of the first."""
FETCH_S = (0.05, 0.3, 5.0)
MOST_TRIES = 4
PEACE_WITHIN_S = {False: 4 * INTERVAL_S, True: 14 * INTERVAL_S}
"""A comparison that was given up begins again within an interval, one more finds what was lost meanwhile. Where peers
don't follow each other it may be for a deep one at each of three hops to find that a content's time is newer.
"""
QUIET_S = 4 * INTERVAL_S
EQUAL_COMPARISON, LARGE_COMPARISON = 2, 12
"""Messages."""


class Failure(AssertionError):
    """Something that must not be."""


class NotEqual(Failure):
    """Two trees aren't the same."""


class NotProven(Failure):
    """Trees are the same, and a peer doesn't know."""


class NotQuiet(Failure):
    """All is the same, and somebody goes on talking."""


class WentBack(Failure):
    """A peer replaced a file by an older version."""


class CameBack(Failure):
    """A pruned file was fetched again."""


class NotTheNewest(Failure):
    """All have a version that isn't the newest."""


class FalseProof(Failure):
    """A peer believed itself complete, and wasn't."""


@dataclass(slots=True)
class Kept:
    """What of a peer outlives its process."""

    index: MemoryIndex
    waiting: list[Announcement] = field(default_factory=list)
    """To be fetched."""
    unsaid: deque[Announcement] = field(default_factory=deque)
    """To be announced."""


class Node:
    """A process of one peer."""

    def __init__(self, history: "History", name: str) -> None:
        self.history, self.name = history, name
        self.kept = history.kept[name]
        self.index = self.kept.index
        self.peer = Peer(replace(history.rules, own_urls=frozenset({url_of(name)})))
        clock = lambda: history.network.now  # noqa: E731
        self.answering = Answering(self.index, name, url_of(name), name, clock=clock)
        self.comparisons = {
            neighbour: Comparison(
                name,
                tree=self.index,
                ask_topic=ask_topic(neighbour),
                reply_to=answer_topic(neighbour, name),
                wants=lambda each: self.peer.would_take(each, now_ns=history.now_ns),
                take_removals=history.rules.take_removals,
                random=history.random.random,
                interval_s=INTERVAL_S,
                deep_interval_s=DEEP_INTERVAL_S,
            )
            for neighbour in history.shape[name]
        }
        self._tries: dict[tuple[str, Version, str], int] = {}
        self._fetch_at = history.network.now

    # ------------------------------------------------------------------ as a `small_network.Process`

    def on_connected(self, now: float) -> None:
        for comparison in self.comparisons.values():
            self._say(comparison.on_connected(now))
        self._announce()

    def on_disconnected(self) -> None:
        for comparison in self.comparisons.values():
            comparison.on_disconnected()

    def on_message(self, message: Message, now: float) -> None:
        exchange, _, kind = message.topic.partition("/")
        if kind == "v03/post":
            try:
                self._queue([decode_v03(message.payload, now_ns=self.history.now_ns)])
            except Refused as refusal:
                raise AssertionError("what a peer announces is refused") from refusal
        elif kind == "samesky/ask":
            answer = self.answering.on_ask(message)
            self._say([answer] if answer else [])
        else:
            messages, lacking = self.comparisons[exchange].on_answer(message, now)
            self._queue(lacking)
            self._say(messages)
        self.history.judge(self)

    def on_tick(self, now: float) -> None:
        for comparison in self.comparisons.values():
            if now >= comparison.next_time():
                self._say(comparison.on_tick(now))
        if self.kept.waiting and now >= self._fetch_at:
            self._fetch()
        self.history.judge(self)

    def next_time(self) -> float:
        due = min(comparison.next_time() for comparison in self.comparisons.values())
        return min(due, self._fetch_at) if self.kept.waiting else due

    # ------------------------------------------------------------------ what a peer does

    def write(self, path: str, content: bytes | None, pub_time: int) -> None:
        """A program on this machine writes a file, or removes it (None), and announces it."""
        integrity = integrity_of(content) if content is not None else None
        operation = "put" if content is not None else "remove"
        announcement = Announcement(
            path, pub_time, integrity, len(content or b""), url_of(self.name), operation=operation
        )
        entry = self.index.read(path)
        if entry is None or announcement.version > entry.version:
            self._store(announcement)
            self._announce()

    def _queue(self, announcements: list[Announcement]) -> None:
        for announcement in announcements:
            match self.peer.decide(announcement, self.index.read(announcement.path), now_ns=self.history.now_ns):
                case Skip():
                    continue
                case Touch(pub_time):
                    entry = self.index.read(announcement.path)
                    assert entry is not None
                    self.index.put(replace(entry, pub_time=pub_time))
                    self.history.stored_at[self.name, entry.path] = self.history.network.now
                case Take():
                    self.history.may_crash()
                    self.kept.waiting.append(announcement)
                    self._fetch_at = min(self._fetch_at, self.history.network.now)
                case Remove():
                    self._store(announcement)
        self._announce()

    def _fetch(self) -> None:
        """Fetch one file from where it was announced."""
        history = self.history
        announcement = self.kept.waiting.pop(0)
        self._fetch_at = history.network.now + history.random.choice(FETCH_S)
        decision = self.peer.decide(announcement, self.index.read(announcement.path), now_ns=history.now_ns)
        if not isinstance(decision, Take):
            return
        source = history.kept[announcement.base_url[7]].index.read(announcement.path)
        working = history.network.places[announcement.base_url[7]].process is not None
        broken = history.trouble and history.random.random() < 0.2
        assert announcement.integrity is not None
        if working and not broken and source and source.content == announcement.integrity.digest:
            self._store(announcement)
            self._announce()
            return
        key = (announcement.path, announcement.version, announcement.base_url)
        self._tries[key] = self._tries.get(key, 0) + 1
        if self._tries[key] < MOST_TRIES:
            self.kept.waiting.append(announcement)

    def _store(self, announcement: Announcement) -> None:
        self.history.may_crash()
        before = self.index.read(announcement.path)
        entry = entry_of(announcement)
        if before is not None and announcement.version <= before.version:
            raise WentBack(f"{self.name}: {announcement.path}")
        fetched = announcement.base_url != url_of(self.name)
        if fetched and before is not None and before.state == "pruned" and before.content == entry.content:
            raise CameBack(f"{self.name}: {announcement.path}")
        self.index.put(entry)
        self.history.stored_at[self.name, announcement.path] = self.history.network.now
        self.kept.unsaid.append(replace(announcement, base_url=url_of(self.name)))
        self.history.may_crash()

    def _announce(self) -> None:
        if not self.history.network.places[self.name].connected:
            return
        while self.kept.unsaid:
            self._say([Message(f"{self.name}/v03/post", encode_v03(self.kept.unsaid[0]))])
            self.history.may_crash()
            self.kept.unsaid.popleft()

    def _say(self, messages: list[Message]) -> None:
        for message in messages:
            self.history.network.publish(self.name, message)


def url_of(name: str) -> str:
    """Where the tree of a peer is."""
    return f"http://{name}.example"


class History:
    """One history."""

    def __init__(self, seed: int) -> None:
        self.random = chance = Random(seed)
        shape = chance.choice(list(SHAPES))
        self.shape, self._one_way = SHAPES[shape], shape in ONE_WAY
        self.rules = Rules(take_removals=not self._one_way and chance.random() < 0.5)
        self.network = Network(chance, now=START)
        self.trouble = True
        self.pruned: set[tuple[str, str]] = set()
        self.stored_at: dict[tuple[str, str], float] = {}
        """When a peer came to have what it has under a path."""
        self._proven_at: dict[tuple[str, str], float] = {}
        self._newest: dict[str, Entry] = {}
        self._lost: set[str] = set()
        self.kept = {name: Kept(MemoryIndex(node=name)) for name in NAMES}
        for name in NAMES:
            topics = [ask_topic(name), *(answer_topic(each, name) for each in self.shape[name])]
            topics += [f"{each}/v03/post" for each in self.shape[name]]
            self.network.add(name, topics, lambda name=name: Node(self, name))

    @property
    def now_ns(self) -> int:
        return int(self.network.now * SECOND_NS)

    def may_crash(self) -> None:
        """A process may end between any two things that it does."""
        if self.trouble and self.random.random() < 0.01:
            raise Crash

    # ------------------------------------------------------------------ what happens

    def live(self, events: int) -> None:
        """Let so many things happen."""
        network, chance = self.network, self.random
        network.loss = chance.choice((0.0, 0.05, 0.3))
        network.duplicate = chance.choice((0.0, 0.2))
        network.delay_s = chance.choice((0.0, 0.2, 12.0))
        network.queue = chance.choice((1, 10, 1000))
        for _ in range(events):
            network.run(network.now + chance.choice((0.0, 0.1, 3.0, 60.0)))
            self._happen()
        self.trouble = False
        network.loss = network.duplicate = 0.0
        network.delay_s, network.queue = 0.05, 1000

    def _happen(self) -> None:
        chance, network = self.random, self.network
        name = chance.choice(NAMES)
        match chance.randrange(20):
            case 0 | 1:
                network.end(name, for_s=chance.choice((0.0, 3.0, 90.0)))
            case 2 | 3 | 4:
                network.drop(name, for_s=chance.choice((1.0, 30.0, 300.0)))
            case 5:
                network.restart(forget=chance.random() < 0.5, for_s=chance.choice((1.0, 60.0)))
            case 6:
                self._lose(name)
            case 7:
                self._prune(name)
            case 8 | 9:
                if self.rules.take_removals:
                    self._write(name, chance.choice(PATHS), None, self.now_ns)
            case 10 | 11:
                # Two programs write the same file at the same moment.
                path, moment = chance.choice(PATHS), self.now_ns
                for each in chance.sample(NAMES, 2):
                    self._write(each, path, chance.choice(CONTENTS), moment)
            case _:
                self._write(name, chance.choice(PATHS), chance.choice(CONTENTS), self.now_ns)

    def _write(self, name: str, path: str, content: bytes | None, pub_time: int) -> None:
        node = self.network.places[name].process
        if not isinstance(node, Node):
            return
        try:
            node.write(path, content, pub_time)
        except Crash:
            self.network.end(name, for_s=self.random.choice((0.0, 3.0)))
        entry = self.kept[name].index.read(path)
        if entry is not None:
            self._newest[path] = max(self._newest.get(path, entry), entry, key=lambda each: each.version)

    def _lose(self, name: str) -> None:
        """A disk lost a file, and the peer has noticed."""
        paths = sorted(self.kept[name].index.contents())
        if paths:
            path = self.random.choice(paths)
            self.kept[name].index.forget(path)
            self._lost.add(path)

    def _prune(self, name: str) -> None:
        """A file is too old for this peer."""
        index = self.kept[name].index
        paths = sorted(index.contents())
        if paths:
            entry = index.read(self.random.choice(paths))
            assert entry is not None
            index.put(replace(entry, state="pruned"))
            self.pruned.add((name, entry.path))

    # ------------------------------------------------------------------ what must be

    def judge(self, node: Node) -> None:
        """What a peer has proven must be so: it had what the neighbour had at that moment, or something newer."""
        for neighbour, comparison in node.comparisons.items():
            if comparison.proven_at is None or self._proven_at.get((node.name, neighbour)) == comparison.proven_at:
                continue
            self._proven_at[node.name, neighbour] = comparison.proven_at
            for theirs in self.kept[neighbour].index.all():
                known_s = comparison.proven_at - self.stored_at[neighbour, theirs.path]
                if known_s > 0 and theirs.state == "here" and theirs.path not in self._lost:
                    self._check_proof(node, theirs, comparison.proven_at)

    def _check_proof(self, node: Node, theirs: Entry, proven_at: float) -> None:
        ours = node.index.read(theirs.path)
        if ours is not None and self.stored_at[node.name, theirs.path] >= proven_at:
            return
        if ours is None or (ours.version < theirs.version and ours.content != theirs.content):
            raise FalseProof(f"{node.name}: {theirs.path}")

    def expect_peace(self) -> None:
        """All trees become the same, all know it, and then there is quiet."""
        self.network.run(self.network.now + PEACE_WITHIN_S[self._one_way])
        self.network.steps = 0
        pruned = {path for _, path in self.pruned}
        trees = {name: self._known(name, pruned) for name in NAMES}
        for name in NAMES:
            if trees[name] != trees["a"]:
                raise NotEqual(f"{name} and a: {sorted(trees[name].items() ^ trees['a'].items())}")
        for path, newest in self._newest.items():
            if path not in pruned | self._lost and trees["a"].get(path) != (newest.content, newest.state):
                raise NotTheNewest(path)
        for name in NAMES:
            for neighbour, comparison in self._comparisons(name):
                if comparison.same is not True or comparison.suspect or comparison.trouble:
                    raise NotProven(f"{name} of {neighbour}: {comparison.same} {comparison.trouble}")
        sent = self.network.sent
        self.network.run(self.network.now + QUIET_S)
        links = sum(map(len, self.shape.values()))
        # Where a pruned file has another content there, some directories are compared each time.
        usual = LARGE_COMPARISON if self.pruned else EQUAL_COMPARISON
        most = usual * (QUIET_S / INTERVAL_S / 0.9 + 1) + LARGE_COMPARISON * (QUIET_S / DEEP_INTERVAL_S + 1)
        if self.network.sent - sent > most * links:
            raise NotQuiet(f"{self.network.sent - sent} messages over {links} links")

    def _known(self, name: str, pruned: set[str]) -> dict[str, tuple[bytes, str]]:
        """What is in a tree, and what is known to have been removed."""
        return {
            entry.path: (entry.content, entry.state)
            for entry in self.kept[name].index.all()
            if entry.path not in pruned
        }

    def _comparisons(self, name: str) -> list[tuple[str, Comparison]]:
        node = self.network.places[name].process
        assert isinstance(node, Node)
        return list(node.comparisons.items())


def live_a_life(seed: int) -> None:
    """One history from beginning to end; a `Failure` names what is wrong, the caller the seed."""
    history = History(seed)
    try:
        for _ in range(history.random.choice((1, 2))):
            history.trouble = True
            history.live(history.random.choice((3, 10, 30)))
            history.expect_peace()
    except AssertionError as failure:
        failure.add_note(f"seed {seed}")
        raise
