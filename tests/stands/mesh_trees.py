"""Trees in memory, for the brains of the mesh: an index that is a dict, and a talk between two of them."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from random import Random

from samesky.core.timetree import NOTHING, Sum
from samesky.link.message import Message
from samesky.mesh.announcement import Announcement, Entry, integrity_of
from samesky.mesh.answers import Answering, answer_topic, ask_topic
from samesky.mesh.comparison import Comparison
from samesky.mesh.index import Sums, entry_hash

EXCHANGE = "xpublic"
START = 1_800_000_000
"""Unix seconds at which histories begin."""
SECOND_NS = 1_000_000_000


def make_entry(path: str, content: bytes = b"", *, at: float = START - 3600) -> Entry:
    """A file that is here."""
    integrity = integrity_of(content)
    return Entry(path, int(at * SECOND_NS), integrity, len(content), 0, integrity.digest)


def make_removal(path: str, *, at: float) -> Entry:
    """A file that was removed."""
    return Entry(path, int(at * SECOND_NS), None, 0, 0, state="removed")


class MemoryIndex:
    """What `index.Index` is to a comparison."""

    def __init__(self, entries: Iterable[Entry] = (), *, node: str = "") -> None:
        self.id = node
        self._directories: dict[str, dict[str, Entry]] = defaultdict(dict)
        self._sums: dict[str, Sum] = {}
        self._changed: dict[str, int] = {}
        self._changes = 0
        self.reads = 0
        """Entries that were read."""
        for entry in entries:
            self.put(entry)

    @property
    def count(self) -> int:
        return sum(entry.state == "here" for each in self._directories.values() for entry in each.values())

    @property
    def newest(self) -> int:
        return max((entry.pub_time for each in self._directories.values() for entry in each.values()), default=0)

    def put(self, entry: Entry) -> None:
        """Enter ``entry`` whatever was there."""
        directory, _, name = entry.path.rpartition("/")
        self.forget(entry.path)
        self._directories[directory][name] = entry
        self.add(directory, _sum_of(entry))

    def forget(self, path: str) -> None:
        """Know nothing of ``path``."""
        directory, _, name = path.rpartition("/")
        entry = self._directories[directory].pop(name, None)
        if entry is not None:
            self.add(directory, NOTHING - _sum_of(entry))

    def add(self, directory: str, change: Sum) -> None:
        """Change a directory's sum."""
        self._sums[directory] = self._sums.get(directory, NOTHING) + change
        self._changes += 1
        self._changed[directory] = self._changes

    def all(self) -> list[Entry]:
        """Every entry."""
        return [entry for each in self._directories.values() for entry in each.values()]

    def contents(self) -> dict[str, bytes]:
        """The files that are here: path -> SHA-512."""
        return {entry.path: entry.content for entry in self.all() if entry.state == "here"}

    def sums(self) -> dict[str, Sum]:
        """Of directories' own entries."""
        return {directory: each for directory, each in self._sums.items() if each.count}

    def sums_since(self, changes: int) -> Sums:
        if changes < 0:
            return Sums(self._changes, True, self.sums())
        changed = [directory for directory, when in self._changed.items() if when > changes]
        return Sums(self._changes, False, {directory: self._sums[directory] for directory in changed})

    def entries(self, directory: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        inside = self._directories.get(directory, {})
        names = sorted(name for name in inside if name > after.rpartition("/")[2])[:limit]
        self.reads += len(names)
        return [inside[name] for name in names]

    def read(self, path: str) -> Entry | None:
        directory, _, name = path.rpartition("/")
        return self._directories.get(directory, {}).get(name)


def _sum_of(entry: Entry) -> Sum:
    if entry.state == "pruned":
        return NOTHING
    return Sum(1, entry_hash(entry.path, entry.content, removed=entry.state == "removed"))


def entry_of(announcement: Announcement, content: bytes | None = None) -> Entry:
    """What a peer knows after it has done what ``announcement`` says. ``content`` is the file's SHA-512."""
    if announcement.operation == "remove":
        return Entry(announcement.path, announcement.pub_time, None, 0, 0, state="removed")
    assert announcement.integrity is not None
    return Entry(
        announcement.path,
        announcement.pub_time,
        announcement.integrity,
        announcement.size or 0,
        0,
        announcement.integrity.digest if content is None else content,
        extra=announcement.extra,
    )


class Talk:
    """A peer with the tree ``ours`` that compares itself with its neighbour's tree ``theirs``.

    ``taking`` decides whether what is lacking is taken at once, as if it had been fetched.
    """

    def __init__(
        self, ours: MemoryIndex, theirs: MemoryIndex, *, seed: int = 1, taking: bool = True, **options
    ) -> None:
        self.ours, self.theirs, self.taking = ours, theirs, taking
        self.now = float(START)
        self.answering = Answering(theirs, "theirs", "http://theirs.example/data", EXCHANGE, clock=lambda: self.now)
        self.comparison = Comparison(
            "ours",
            tree=ours,
            ask_topic=ask_topic(EXCHANGE),
            reply_to=answer_topic(EXCHANGE, "client"),
            random=Random(seed).random,
            **options,
        )
        self.found: list[Announcement] = []
        self.said: list[Message] = []
        """All questions and answers."""
        self.on_the_way: Callable[[Message], Message | None] = lambda message: message

    def connect(self) -> list[Announcement]:
        """Connect, and go through a whole comparison; what was found in it."""
        return self.exchange(self.comparison.on_connected(self.now))

    def pass_time(self, seconds: float) -> list[Announcement]:
        """Let time pass, with all that is due in it."""
        end, found = self.now + seconds, []
        while (due := self.comparison.next_time()) <= end:
            self.now = max(self.now + 0.001, due)
            found += self.exchange(self.comparison.on_tick(self.now))
        self.now = end
        return found

    def check(self, *, deep: bool = False) -> list[Announcement]:
        """Ask for a comparison now."""
        self.comparison.ask_for_check(self.now, deep=deep)
        return self.exchange(self.comparison.on_tick(self.now))

    def exchange(self, messages: Iterable[Message]) -> list[Announcement]:
        """Deliver messages to the neighbour, and its answers, until nobody says anything."""
        waiting, found = list(messages), []
        while waiting:
            question = waiting.pop(0)
            self.said.append(question)
            answer = self.answering.on_ask(question)
            if answer is None:
                continue
            self.said.append(answer)
            delivered = self.on_the_way(answer)
            if delivered is None:
                continue
            more, lacking = self.comparison.on_answer(delivered, self.now)
            waiting += more
            found += lacking
            for each in lacking if self.taking else ():
                self.ours.put(entry_of(each))
            self.now += 0.011
        self.found += found
        return found


def make_tree(files: int, *, directories: int = 10, depth: int = 2, seed: int = 0, node: str = "") -> MemoryIndex:
    """A tree of small files in directories as the WMO's mesh has them: hour, source, centre …"""
    random = Random(seed)
    index = MemoryIndex(node=node)
    for number in range(files):
        levels = [f"{number % directories:03d}", *(f"d{random.randrange(4)}" for _ in range(depth - 1))]
        path = "/".join([*levels, f"f{number:06d}.txt"])
        index.put(make_entry(path, hashlib.sha256(path.encode()).digest(), at=START - 3600 + number % 3600))
    return index


def copy_of(index: MemoryIndex) -> MemoryIndex:
    """Another tree with the same in it."""
    return MemoryIndex([replace(entry) for entry in index.all()])
