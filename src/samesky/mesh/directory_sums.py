"""The sums by which two trees are compared, of each directory with all that is below it.

The index keeps a sum for what each directory has itself (`index.entry_hash`); here they are added up to the top, and
kept up to date by what has changed. Directories are written without slashes at their ends; that of the tree is "".
"""

import hashlib
from collections.abc import Mapping
from typing import Protocol

from ..core.timetree import NOTHING, Sum
from .announcement import Entry
from .index import Sums, entry_hash

MARK_BYTES = 8


def hash_of(entry: Entry) -> int:
    """What an entry adds to its directory's sum: of its path and content, but not of its time."""
    return entry_hash(entry.path, entry.content, removed=entry.state == "removed")


def mark_of(entry: Entry, *, nonce: bytes) -> bytes:
    """What stands for an entry in a question: of its path, content and time.

    It is short, and so it is keyed: what two have in common by chance, they don't have twice.
    """
    whole = hash_of(entry).to_bytes(16, "big") + entry.pub_time.to_bytes(8, "big", signed=True)
    return hashlib.blake2b(whole, digest_size=MARK_BYTES, key=nonce).digest()


class DirectorySums:
    """The sums of all that is in and below each directory, from the directories' own (``own``)."""

    def __init__(self, own: Mapping[str, Sum] | None = None) -> None:
        self.own: dict[str, Sum] = {}
        self._whole: dict[str, Sum] = {}
        self._children: dict[str, set[str]] = {}
        for directory, each in (own or {}).items():
            self.put(directory, each)

    def put(self, directory: str, own: Sum) -> None:
        """From now on ``own`` is what ``directory`` has itself; `NOTHING` when it has nothing."""
        change = own - self.own.get(directory, NOTHING)
        if own == NOTHING:
            self.own.pop(directory, None)
        else:
            self.own[directory] = own
        if change != NOTHING:
            self._add(directory, change)

    def _add(self, directory: str, change: Sum) -> None:
        """Add to ``directory`` and all above it; what has nothing in it and below it isn't known any more."""
        while True:
            self._whole[directory] = self._whole.get(directory, NOTHING) + change
            gone = directory not in self.own and not self._children.get(directory)
            if gone:
                del self._whole[directory]
            if not directory:
                return
            parent = directory.rpartition("/")[0]
            if gone:
                self._forget_child(parent, directory)
            else:
                self._children.setdefault(parent, set()).add(directory)
            directory = parent

    def _forget_child(self, parent: str, directory: str) -> None:
        children = self._children.get(parent, set())
        children.discard(directory)
        if not children:
            self._children.pop(parent, None)

    def whole(self, directory: str) -> Sum:
        """The sum of everything in and below ``directory``."""
        return self._whole.get(directory, NOTHING)

    def files(self, directory: str) -> Sum:
        """The sum of what is in ``directory`` itself."""
        return self.own.get(directory, NOTHING)

    def children(self, directory: str) -> list[str]:
        """The directories in ``directory`` that hold anything, themselves or below, in order."""
        return sorted(self._children.get(directory, ()))

    def below(self, directory: str) -> list[str]:
        """The directories that have entries themselves, of ``directory`` and all below it."""
        found, left = [], [directory]
        while left:
            each = left.pop()
            if each in self.own:
                found.append(each)
            left += self._children.get(each, ())
        return found


class HasSums(Protocol):
    """Where sums come from (`index.Index`)."""

    def sums_since(self, changes: int) -> Sums:
        """The sums of directories' own entries that have changed since ``changes``; all, for -1."""


class TreeSums:
    """The sums of a tree as it is now. One may serve everybody in a process who has to do with that tree."""

    def __init__(self, tree: HasSums) -> None:
        self._tree = tree
        self._sums = DirectorySums()
        self._changes = -1

    def read(self) -> DirectorySums:
        """The sums at this moment; the next call changes them. Costs what has changed; raises what the tree does."""
        news = self._tree.sums_since(self._changes)
        if news.whole:
            self._sums = DirectorySums(news.sums)
        else:
            for directory, each in news.sums.items():
                self._sums.put(directory, each if each.count else NOTHING)
        self._changes = news.changes
        return self._sums
