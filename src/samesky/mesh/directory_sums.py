"""What comparisons of two trees are made of: a hash per file, a sum per directory, and sums of all that is below.

A file's hash is of its path and the SHA-512 of its content; a removal that stays known has an empty content. The sum of
a directory is how many such entries it has itself, and their hashes added up modulo 2^128 (`core.timetree.Sum`), so
that a new file is an addition. Directories are written without slashes at their ends; that of the whole tree is "".
"""

import hashlib
from collections.abc import Mapping

from ..core.timetree import NOTHING, Sum

MARK_BYTES = 8


def entry_hash(path: str, content: bytes) -> int:
    """The hash of one entry, from 0 to 2^128 - 1. ``content`` is the file's SHA-512, or empty for a removal."""
    return int.from_bytes(hashlib.blake2b(path.encode() + b"\0" + content, digest_size=16).digest(), "big")


def entry_mark(path: str, content: bytes, *, nonce: bytes) -> bytes:
    """A short hash of one entry, keyed with ``nonce``: two entries have one in common by chance, but not twice."""
    return hashlib.blake2b(path.encode() + b"\0" + content, digest_size=MARK_BYTES, key=nonce).digest()


def parent_of(path: str) -> str:
    """The directory that a file or directory is in; "" for what is at the top, and for the top itself."""
    return path.rpartition("/")[0]


class DirectorySums:
    """The sums of all that is in and below each directory, made once of the directories' own (``own``)."""

    def __init__(self, own: Mapping[str, Sum]) -> None:
        self.own = {directory: each for directory, each in own.items() if each != NOTHING}
        self._whole: dict[str, Sum] = dict(self.own)
        self._children: dict[str, list[str]] = {}
        # From the deepest up: when a directory is added to its parent, all that is below it has been added to it.
        depths: dict[int, list[str]] = {}
        for directory in self.own:
            if directory:
                depths.setdefault(directory.count("/"), []).append(directory)
        for depth in range(max(depths, default=-1), -1, -1):
            for directory in depths[depth]:
                self._add_to_parent(directory, depths)

    def _add_to_parent(self, directory: str, depths: dict[int, list[str]]) -> None:
        parent = parent_of(directory)
        if parent and parent not in self._whole:
            depths.setdefault(parent.count("/"), []).append(parent)
        self._whole[parent] = self._whole.get(parent, NOTHING) + self._whole[directory]
        self._children.setdefault(parent, []).append(directory)

    def __contains__(self, directory: str) -> bool:
        return directory in self._whole

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
        """``directory`` and all directories below it that have entries themselves."""
        found, left = [], [directory]
        while left:
            each = left.pop()
            if each in self.own:
                found.append(each)
            left += self._children.get(each, ())
        return found
