"""The rows of the index: entries, and the tally that is kept of each directory's entries while they change."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from ..core.timetree import MODULUS
from .announcement import Entry, Integrity

STATES: Final[tuple[Literal["here", "removed", "pruned"], ...]] = ("here", "removed", "pruned")
"""By the numbers that rows have for them."""
NUMBER_OF = {state: number for number, state in enumerate(STATES)}
HERE, REMOVED, PRUNED = range(3)
COLUMNS = "name, pub_time, method, digest, size, mtime_ns, content, state, extra"
"""What `decode_entry` needs."""


def entry_hash(path: str, content: bytes, *, removed: bool = False) -> int:
    """What an entry adds to its directory's sum: BLAKE2b-128 of the path, NUL, and the file's SHA-512 (``content``).

    A removed one has ``removed`` in its place. The time isn't in it: the same file announced twice is the same file.
    """
    what = b"removed" if removed else content
    return int.from_bytes(hashlib.blake2b(b"%b\0%b" % (path.encode(), what), digest_size=16).digest(), "big")


def split_path(path: str) -> tuple[str, str]:
    """The directory (empty at the top) and the name of ``path``."""
    directory, _, name = path.rpartition("/")
    return directory, name


def join_path(directory: str, name: str) -> str:
    """The path of ``name`` in ``directory``, which is empty at the top."""
    return f"{directory}/{name}" if directory else name


class Tally:
    """The row of one directory, while its entries are changed."""

    def __init__(self, path: str, id: int, count: int, total: bytes, files: int, bytes: int, newest: int) -> None:
        self.path, self.id = path, id
        self.count, self.files, self.bytes, self.newest = count, files, bytes, newest
        self.total = self._total_before = int.from_bytes(total, "big")
        self._count_before = self.count
        self.fewer = 0
        """How many files less there are; what the pruner tells."""

    @property
    def changed(self) -> bool:
        """Whether the sum isn't what it was."""
        return (self.total, self.count) != (self._total_before, self._count_before)

    def sum_row(self) -> tuple[int, bytes, int, int, int]:
        """What is written of it: count, total, files, bytes, newest."""
        return self.count, self.total.to_bytes(16, "big"), self.files, self.bytes, self.newest

    def add(self, name: str, state: int, content: bytes, size: int, *, times: int = 1) -> None:
        """An entry more; ``times`` -1: one less."""
        if state == PRUNED:
            return
        one = entry_hash(join_path(self.path, name), content, removed=state == REMOVED)
        self.total = (self.total + times * one) % MODULUS
        self.count += times
        if state == HERE:
            self.files += times
            self.bytes += times * size
            self.fewer -= times


def change_entries(
    connection: sqlite3.Connection,
    changes: Mapping[str, Mapping[str, Entry | None]],
    known: Mapping[str, Entry | None],
) -> list[Tally]:
    """Put ``changes`` (by directory and name; None: to be forgotten), of which ``known`` may tell what was there."""
    tallies = _ensure_tallies(connection, changes)
    put, forgotten = [], []
    for tally in tallies:
        for name, entry in changes[tally.path].items():
            _take_out(connection, tally, name, known)
            if entry is None:
                forgotten.append((tally.id, name))
            else:
                tally.add(name, NUMBER_OF[entry.state], entry.content, entry.size)
                tally.newest = max(tally.newest, entry.pub_time)
                put.append(_encode_entry(tally.id, name, entry))
    connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", put)
    connection.executemany("DELETE FROM entry WHERE directory = ? AND name = ?", forgotten)
    return tallies


def _take_out(connection: sqlite3.Connection, tally: Tally, name: str, known: Mapping[str, Entry | None]) -> None:
    """Take what was there under ``name`` out of the tally."""
    path = join_path(tally.path, name)
    if path not in known:
        query = "SELECT state, content, size FROM entry WHERE directory = ? AND name = ?"
        old = connection.execute(query, (tally.id, name)).fetchone()
        if old is not None:
            tally.add(name, *old, times=-1)
    elif (was := known[path]) is not None:
        tally.add(name, NUMBER_OF[was.state], was.content, was.size, times=-1)


def _ensure_tallies(connection: sqlite3.Connection, directories: Iterable[str]) -> list[Tally]:
    """The tallies of ``directories``, in one query: a batch has files of many."""
    query = (
        "SELECT path, id, count, total, files, bytes, newest FROM directory "
        "WHERE path IN (SELECT value FROM json_each(?))"
    )
    wanted = list(directories)
    found = {row[0]: Tally(*row) for row in connection.execute(query, (json.dumps(wanted),))}
    for path in wanted:
        if path not in found:
            made = connection.execute("INSERT INTO directory VALUES (NULL, ?, 0, ?, 0, 0, 0, 0)", (path, bytes(16)))
            assert made.lastrowid is not None
            found[path] = Tally(path, made.lastrowid, 0, bytes(16), 0, 0, 0)
    return list(found.values())


def prune_entries(connection: sqlite3.Connection, directories: Sequence[str]) -> list[Tally]:
    """Let all files of ``directories`` themselves be pruned; the tallies of those that had any."""
    tallies = _ensure_tallies(connection, directories)
    for tally in tallies:
        query = "SELECT name, state, content, size FROM entry WHERE directory = ? AND state = ?"
        for row in connection.execute(query, (tally.id, HERE)):
            tally.add(*row, times=-1)
        connection.execute("UPDATE entry SET state = ? WHERE directory = ? AND state = ?", (PRUNED, tally.id, HERE))
    return [tally for tally in tallies if tally.fewer]


def save_tallies(connection: sqlite3.Connection, tallies: list[Tally]) -> None:
    """Write the directories, and one change more when any sum is another."""
    changes = connection.execute("SELECT changes FROM node").fetchone()[0] + 1
    connection.executemany(
        "UPDATE directory SET count = ?, total = ?, files = ?, bytes = ?, newest = ?, "
        "changed = CASE WHEN ? THEN ? ELSE changed END WHERE id = ?",
        [(*each.sum_row(), each.changed, changes, each.id) for each in tallies],
    )
    if any(tally.changed for tally in tallies):
        connection.execute("UPDATE node SET changes = ?", (changes,))


def _encode_entry(directory: int, name: str, entry: Entry) -> tuple[object, ...]:
    integrity = entry.integrity
    method = integrity.method if integrity else None
    digest = integrity.digest if integrity and integrity.digest != entry.content else None
    extra = json.dumps(dict(entry.extra), ensure_ascii=False, separators=(",", ":")) if entry.extra else None
    state = NUMBER_OF[entry.state]
    return directory, name, entry.pub_time, method, digest, entry.size, entry.mtime_ns, entry.content, state, extra


def decode_entry(directory: str, row: tuple[Any, ...]) -> Entry:
    """The entry in a row of `COLUMNS`."""
    name, pub_time, method, digest, size, mtime_ns, content, state, extra = row
    return Entry(
        path=join_path(directory, name),
        pub_time=pub_time,
        integrity=Integrity(method, content if digest is None else digest) if method else None,
        size=size,
        mtime_ns=mtime_ns,
        content=content,
        state=STATES[state],
        extra=json.loads(extra) if extra else {},
    )
