"""Comparing a tree with its index: what nobody announced, what was changed by hand, and what is gone.

A file that still has its size and modification time is unchanged. Another one is read (unless its checksum was noted
in its attributes) and entered as published at its modification time, less a nanosecond: files that were announced have
their pubTime as modification time (`storing`), so whatever a power cut has left of one loses against the same file
elsewhere. An entry without its file is forgotten, and the next comparison brings the file back.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import sleep, time_ns

from ..core.strict import EARLIEST_TIME, Refused
from .announcement import Entry, Integrity
from .attribute import read_checksum
from .index import Index, join_path
from .paths import check_path
from .tree import FileHash, Found, Tree

BATCH = 256
EARLIEST_NS = EARLIEST_TIME * 1_000_000_000
PRUNED_KEPT_NS = 7 * 86_400 * 1_000_000_000
REMOVED_KEPT_NS = 365 * 86_400 * 1_000_000_000
"""How old what is gone may get before it is forgotten. (The directory of pruned files is remembered for good.)"""
QUIET_NS = 1_000_000_000
"""A file that was written so lately may not be whole: it is looked at again, at the end."""


@dataclass(slots=True)
class ScanCounts:
    """What a scan has found so far."""

    files: int = 0
    entered: int = 0
    """New or changed files."""
    touched: int = 0
    """Files with another time and the same content."""
    gone: int = 0
    ignored: int = 0
    """Files with names that no peer takes, or that are being written."""
    read_bytes: int = 0


def scan_tree(
    folder: Path, *, deep: bool = False, on_progress: Callable[[ScanCounts], bool | None] | None = None
) -> ScanCounts:
    """Scan the tree at ``folder``, and clean up: what killed processes left, and what has been gone for long.

    Returns what was found.

    ``deep``: read every file, whatever its time says. ``on_progress`` is called now and then; when it returns False the
    scan ends. Raises `Unreachable` and `Locked` as `Tree` and `Index` do.
    """
    with Tree(folder) as tree, Index(folder) as index:
        tree.clean_incoming()
        now_ns = time_ns()
        index.forget_gone(pruned_before_ns=now_ns - PRUNED_KEPT_NS, removed_before_ns=now_ns - REMOVED_KEPT_NS)
        scan = Scan(tree, index, deep=deep)
        for counts in scan.run():
            if on_progress is not None and on_progress(counts) is False:
                break
        return scan.counts


class Scan:
    """One scan of ``tree`` into ``index``."""

    def __init__(self, tree: Tree, index: Index, *, deep: bool = False) -> None:
        self._tree, self._index, self._deep = tree, index, deep
        self._changed: dict[str, FileHash] = {}
        """Files that were read and are to be entered."""
        self._gone: list[str] = []
        self._fresh: dict[str, Found] = {}
        """Files that were written just now."""
        self.counts = ScanCounts()

    def run(self) -> Iterator[ScanCounts]:
        """Scan, telling the progress after every directory and every few hundred files that had to be read."""
        seen = set()
        for directory, files in self._tree.walk():
            seen.add(directory)
            yield from self._look_at(directory, files)
            yield self.counts
        for directory in self._index.directories():
            if directory not in seen:
                yield from self._look_at(directory, [])
        yield from self._look_again()
        self._write()
        yield self.counts

    def _look_at(self, directory: str, files: list[Found]) -> Iterator[ScanCounts]:
        known = self._index.read_figures(directory)
        self.counts.files += len(files)
        for found in files:
            figures = known.pop(found.name, None)
            if figures == (True, found.size, found.mtime_ns) and not self._deep:
                continue
            path = join_path(directory, found.name)
            if 0 <= time_ns() - found.mtime_ns < QUIET_NS:
                self._fresh[path] = found
            else:
                yield from self._read(path)
        self._gone += [join_path(directory, name) for name, figures in known.items() if figures.here]
        if len(self._gone) >= BATCH:
            self._write()

    def _look_again(self) -> Iterator[ScanCounts]:
        """Read what was written just now, if nobody goes on writing."""
        if self._fresh:
            sleep(QUIET_NS / 1e9)
        for path, found in self._fresh.items():
            now = self._tree.read_stat(path)
            if now is not None and (now.st_size, now.st_mtime_ns) == (found.size, found.mtime_ns):
                yield from self._read(path)
            else:
                self.counts.ignored += 1

    def _read(self, path: str) -> Iterator[ScanCounts]:
        """Get the checksum of a file that may be another than we know."""
        try:
            check_path(path)
        except Refused:
            self.counts.ignored += 1
            return
        hashed = None if self._deep else self._noted(path)
        if hashed is None:
            hashed = self._tree.hash_file(path)
            self.counts.read_bytes += hashed.size if hashed else 0
        if hashed is None:
            self.counts.ignored += 1
            return
        self._changed[path] = hashed
        if len(self._changed) >= BATCH:
            self._write()
            yield self.counts

    def _noted(self, path: str) -> FileHash | None:
        """The checksum in the attributes of a file, when it is the one we need."""
        try:
            descriptor = self._tree.open_file(path)
        except FileNotFoundError:
            return None
        try:
            found = os.fstat(descriptor)
            noted = read_checksum(descriptor, found.st_mtime_ns)
        finally:
            os.close(descriptor)
        if noted is None or noted.method != "sha512":
            return None
        return FileHash(noted.digest, found.st_size, found.st_mtime_ns)

    def _write(self) -> None:
        """Enter what has gathered, unless it has changed meanwhile: files are stored in transactions too."""
        with self._index.file.writing():
            entries = [entry for path, hashed in self._changed.items() if (entry := self._enter(path, hashed))]
            gone = [path for path in self._gone if self._is_gone(path)]
            self._index.apply(entries, forget=gone)
        self.counts.gone += len(gone)
        self._changed, self._gone = {}, []

    def _enter(self, path: str, hashed: FileHash) -> Entry | None:
        now = self._tree.read_stat(path)
        if now is None or (now.st_size, now.st_mtime_ns) != (hashed.size, hashed.mtime_ns):
            return None
        known = self._index.read(path)
        if known is not None and known.state == "here" and known.content == hashed.sha512:
            if known.mtime_ns == hashed.mtime_ns:
                return None
            self.counts.touched += 1
            return replace(known, mtime_ns=hashed.mtime_ns)
        entry = entry_of_file(path, hashed, known)
        if known is not None and known.state != "here" and entry.version <= known.version:
            return None  # a removal that hasn't come to the file yet, or couldn't
        self.counts.entered += 1
        return entry

    def _is_gone(self, path: str) -> bool:
        known = self._index.read(path)
        return known is not None and known.state == "here" and self._tree.read_stat(path) is None


def entry_of_file(path: str, hashed: FileHash, known: Entry | None) -> Entry:
    """The entry of a file that was found, when ``known`` was known of its path.

    One whose content changed and its time didn't is damaged: it loses against all others.
    """
    pub_time = min(hashed.mtime_ns, time_ns())
    if known is not None and known.state == "here" and hashed.mtime_ns == known.mtime_ns:
        pub_time = min(pub_time, known.pub_time)
    integrity = Integrity("sha512", hashed.sha512)
    return Entry(path, max(pub_time - 1, EARLIEST_NS), integrity, hashed.size, hashed.mtime_ns, hashed.sha512)
