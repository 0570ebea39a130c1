"""The sums by which two trees are compared, of each directory with all that is below it.

The index keeps a sum for what each directory has itself (`index.entry_hash`); here they are added up from the deepest
directory to the top. Directories are written without slashes at their ends; that of the whole tree is "".
"""

import hashlib
from collections.abc import Mapping

from ..core.timetree import NOTHING, Sum

MARK_BYTES = 8


def mark_of(entry_hash: int, *, nonce: bytes) -> bytes:
    """What stands for an entry in a question: short, so keyed. What two have in common by chance, they don't twice."""
    return hashlib.blake2b(entry_hash.to_bytes(16, "big"), digest_size=MARK_BYTES, key=nonce).digest()


def join_path(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``."""
    return f"{directory}/{name}" if directory else name


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
            for directory in depths.get(depth, ()):
                self._add_to_parent(directory, depths)

    def _add_to_parent(self, directory: str, depths: dict[int, list[str]]) -> None:
        parent = directory.rpartition("/")[0]
        if parent and parent not in self._whole:
            depths.setdefault(parent.count("/"), []).append(parent)
        self._whole[parent] = self._whole.get(parent, NOTHING) + self._whole[directory]
        self._children.setdefault(parent, []).append(directory)

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
