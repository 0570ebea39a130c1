"""What is in a tree: `Index`, one `Entry` a path, and the sums of every directory by which two trees are compared.

A directory's sum is how many entries it has (here and removed, not pruned; those of its subdirectories left out) and
their hashes added up modulo 2^128. It is kept in the transaction that changes an entry, so reading all sums of a tree
of 100,000 files takes a moment, and what has changed since the last time takes less.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self

from ..core.timetree import MODULUS, Sum
from .announcement import Entry, Integrity
from .statefile import StateFile

STATES: Final[tuple[Literal["here", "removed", "pruned"], ...]] = ("here", "removed", "pruned")
_NUMBER_OF = {state: number for number, state in enumerate(STATES)}
_HERE, _REMOVED, _PRUNED = range(3)
_ENTRY = "name, pub_time, method, digest, size, mtime_ns, content, state, extra"


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of directories at one moment."""

    changes: int
    """What to give to `Index.sums_since` the next time."""
    whole: bool
    """Whether these are all directories; else only those that have changed, empty ones among them."""
    sums: dict[str, Sum]


class Figures(NamedTuple):
    """What tells that a file hasn't changed."""

    here: bool
    size: int
    mtime_ns: int


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


class Index:
    """The index of the tree at ``folder``, made when there is none. For one thread at a time; open another for another.

    ``durable`` as of `StateFile`. Every method raises what `StateFile.writing` does.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.file = StateFile(folder, durable=durable)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def id(self) -> str:
        """16 hexadecimal digits, made with the tree's state: another id is another tree, or one that was made anew."""
        return self.file.id

    @property
    def count(self) -> int:
        """How many files are here."""
        return int(self._one("SELECT COALESCE(SUM(files), 0) FROM directory"))

    @property
    def size_bytes(self) -> int:
        """How large the files that are here are together."""
        return int(self._one("SELECT COALESCE(SUM(bytes), 0) FROM directory"))

    @property
    def newest(self) -> int:
        """The greatest pub_time ever entered, in nanoseconds since 1970; 0 when nothing was."""
        return int(self._one("SELECT COALESCE(MAX(newest), 0) FROM directory"))

    @property
    def changes(self) -> int:
        """A number that grows whenever a sum changes, whoever changed it."""
        return int(self._one("SELECT changes FROM node"))

    # ------------------------------------------------------------------ reading

    def read(self, path: str) -> Entry | None:
        """What is known of ``path``."""
        directory, name = split_path(path)
        query = f"SELECT {_ENTRY} FROM entry WHERE directory = (SELECT id FROM directory WHERE path = ?) AND name = ?"
        with self.file.errors():
            row = self.file.connection.execute(query, (directory, name)).fetchone()
        return _decode(directory, row) if row else None

    def read_many(self, paths: Iterable[str]) -> dict[str, Entry]:
        """What is known of these paths, those left out of which nothing is: one query a directory."""
        names: dict[str, list[str]] = {}
        for path in paths:
            directory, name = split_path(path)
            names.setdefault(directory, []).append(name)
        query = (
            f"SELECT {_ENTRY} FROM entry WHERE directory = (SELECT id FROM directory WHERE path = ?) "
            "AND name IN (SELECT value FROM json_each(?))"
        )
        found = {}
        with self.file.errors():
            for directory, wanted in names.items():
                for row in self.file.connection.execute(query, (directory, json.dumps(wanted))):
                    entry = _decode(directory, row)
                    found[entry.path] = entry
        return found

    def entries(self, directory: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """The first ``limit`` entries of ``directory`` itself behind the path ``after``, of all states, by path."""
        query = (
            f"SELECT {_ENTRY} FROM entry "
            "WHERE directory = (SELECT id FROM directory WHERE path = ?) AND name > ? ORDER BY name LIMIT ?"
        )
        with self.file.errors():
            rows = self.file.connection.execute(query, (directory, split_path(after)[1], limit)).fetchall()
        return [_decode(directory, row) for row in rows]

    def read_figures(self, directory: str) -> dict[str, Figures]:
        """What the entries of ``directory`` itself say of their files, by name: quicker than `entries`, for a scan."""
        query = (
            "SELECT name, state, size, mtime_ns FROM entry WHERE directory = (SELECT id FROM directory WHERE path = ?)"
        )
        with self.file.errors():
            rows = self.file.connection.execute(query, (directory,))
            return {name: Figures(state == _HERE, size, mtime_ns) for name, state, size, mtime_ns in rows}

    def directories(self) -> list[str]:
        """Every directory with entries of any state, by path; the top one is the empty text."""
        query = "SELECT path FROM directory WHERE EXISTS (SELECT 1 FROM entry WHERE directory = id) ORDER BY path"
        with self.file.errors():
            return [path for (path,) in self.file.connection.execute(query)]

    def sums(self) -> dict[str, Sum]:
        """The sum of every directory that has one; the top directory is the empty text."""
        return self.sums_since(-1).sums

    def sums_since(self, changes: int) -> Sums:
        """The sums that have changed since ``changes`` (`Sums.changes`); all when that is too long ago, or -1."""
        with self.file.errors():
            now, forgotten = self.file.connection.execute("SELECT changes, forgotten FROM node").fetchone()
            # What is committed in between is told twice, never left out.
            whole = changes < forgotten or changes < 0
            query = "SELECT path, count, total FROM directory WHERE " + ("count > 0" if whole else "changed > ?")
            rows = self.file.connection.execute(query, () if whole else (changes,)).fetchall()
        return Sums(now, whole, {path: Sum(count, int.from_bytes(total, "big")) for path, count, total in rows})

    # ------------------------------------------------------------------ changing

    def apply(
        self,
        entries: Iterable[Entry],
        *,
        forget: Iterable[str] = (),
        known: Mapping[str, Entry | None] = MappingProxyType({}),
    ) -> None:
        """Enter ``entries`` whatever was known of their paths, and forget the paths ``forget``; one transaction.

        Who has to look first does both inside ``file.writing()``, and may tell what he has read there as ``known``.
        """
        changes: dict[str, dict[str, Entry | None]] = {}
        for path in forget:
            directory, name = split_path(path)
            changes.setdefault(directory, {})[name] = None
        for entry in entries:
            directory, name = split_path(entry.path)
            changes.setdefault(directory, {})[name] = entry
        if not changes:
            return
        with self.file.writing() as connection:
            tallies = [_change(connection, directory, new, known) for directory, new in changes.items()]
            _save(connection, tallies)

    def touch(self, newer: Iterable[tuple[Entry, int]]) -> None:
        """Note the later pub_time of a file that was announced again; passed over when the entry has changed since."""
        rows = []
        for entry, pub_time in newer:
            directory, name = split_path(entry.path)
            rows.append((pub_time, directory, name, entry.pub_time, entry.content, _NUMBER_OF[entry.state], pub_time))
        with self.file.writing() as connection:
            connection.executemany(
                "UPDATE entry SET pub_time = ? WHERE directory = (SELECT id FROM directory WHERE path = ?) "
                "AND name = ? AND pub_time = ? AND content = ? AND state = ? AND pub_time < ?",
                rows,
            )
            connection.executemany(
                "UPDATE directory SET newest = MAX(newest, ?) WHERE path = ?", [(row[0], row[1]) for row in rows]
            )

    def mark_pruned(self, directory: str) -> int:
        """Note that all files in ``directory`` and below it were removed for their age; returns how many were here.

        They stay known, so that no comparison brings them back.
        """
        below = "" if not directory else "WHERE path = :this OR (path > :this || '/' AND path < :this || '0')"
        with self.file.writing() as connection:
            found = connection.execute(f"SELECT path FROM directory {below}", {"this": directory}).fetchall()
            tallies = [tally for (path,) in found if (tally := _prune(connection, path)).fewer]
            _save(connection, tallies)
        return sum(tally.fewer for tally in tallies)

    def forget_gone(self, before_ns: int) -> int:
        """Forget removals and pruned files with a pub_time before ``before_ns``; returns how many.

        A neighbour that still has such a file gives it back when it compares: wait for longer than any of them is away.
        """
        with self.file.writing() as connection:
            query = (
                "SELECT directory.path, name FROM entry JOIN directory ON directory.id = directory "
                "WHERE state > 0 AND pub_time < ?"
            )
            gone = connection.execute(query, (before_ns,)).fetchall()
            self.apply((), forget=[join_path(directory, name) for directory, name in gone])
            empty = "NOT EXISTS (SELECT 1 FROM entry WHERE directory = directory.id)"
            if connection.execute(f"DELETE FROM directory WHERE {empty}").rowcount:
                connection.execute("UPDATE node SET changes = changes + 1, forgotten = changes + 1")
        return len(gone)

    def _one(self, query: str) -> Any:
        with self.file.errors():
            return self.file.connection.execute(query).fetchone()[0]


class _Tally:
    """The row of one directory, while its entries are changed."""

    def __init__(self, connection: sqlite3.Connection, path: str) -> None:
        query = "SELECT id, count, total, files, bytes, newest FROM directory WHERE path = ?"
        row = connection.execute(query, (path,)).fetchone()
        if row is None:
            made = connection.execute("INSERT INTO directory VALUES (NULL, ?, 0, ?, 0, 0, 0, 0)", (path, bytes(16)))
            row = (made.lastrowid, 0, bytes(16), 0, 0, 0)
        self.id, self.count, total, self.files, self.bytes, self.newest = row
        self.path = path
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
        if state == _PRUNED:
            return
        one = entry_hash(join_path(self.path, name), content, removed=state == _REMOVED)
        self.total = (self.total + times * one) % MODULUS
        self.count += times
        if state == _HERE:
            self.files += times
            self.bytes += times * size
            self.fewer -= times


def _change(
    connection: sqlite3.Connection,
    directory: str,
    new: dict[str, Entry | None],
    known: Mapping[str, Entry | None],
) -> _Tally:
    """Put ``new`` (by name; None: to be forgotten) into ``directory``."""
    tally = _Tally(connection, directory)
    query = "SELECT state, content, size FROM entry WHERE directory = ? AND name = ?"
    for name, entry in new.items():
        path = join_path(directory, name)
        if path not in known:
            old = connection.execute(query, (tally.id, name)).fetchone()
            if old is not None:
                tally.add(name, *old, times=-1)
        elif (was := known[path]) is not None:
            tally.add(name, _NUMBER_OF[was.state], was.content, was.size, times=-1)
        if entry is not None:
            tally.add(name, _NUMBER_OF[entry.state], entry.content, entry.size)
            tally.newest = max(tally.newest, entry.pub_time)
    put = [_encode(tally.id, name, entry) for name, entry in new.items() if entry is not None]
    connection.executemany("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", put)
    if len(put) < len(new):
        forgotten = [(tally.id, name) for name, entry in new.items() if entry is None]
        connection.executemany("DELETE FROM entry WHERE directory = ? AND name = ?", forgotten)
    return tally


def _prune(connection: sqlite3.Connection, directory: str) -> _Tally:
    tally = _Tally(connection, directory)
    query = "SELECT name, state, content, size FROM entry WHERE directory = ? AND state = ?"
    for row in connection.execute(query, (tally.id, _HERE)):
        tally.add(*row, times=-1)
    connection.execute("UPDATE entry SET state = ? WHERE directory = ? AND state = ?", (_PRUNED, tally.id, _HERE))
    return tally


def _save(connection: sqlite3.Connection, tallies: list[_Tally]) -> None:
    """Write the directories, and one change more when any sum is another."""
    changes = connection.execute("SELECT changes FROM node").fetchone()[0] + 1
    connection.executemany(
        "UPDATE directory SET count = ?, total = ?, files = ?, bytes = ?, newest = ?, "
        "changed = CASE WHEN ? THEN ? ELSE changed END WHERE id = ?",
        [(*each.sum_row(), each.changed, changes, each.id) for each in tallies],
    )
    if any(tally.changed for tally in tallies):
        connection.execute("UPDATE node SET changes = ?", (changes,))


def _encode(directory: int, name: str, entry: Entry) -> tuple[object, ...]:
    integrity = entry.integrity
    method = integrity.method if integrity else None
    digest = integrity.digest if integrity and integrity.digest != entry.content else None
    extra = json.dumps(dict(entry.extra), ensure_ascii=False, separators=(",", ":")) if entry.extra else None
    state = _NUMBER_OF[entry.state]
    return directory, name, entry.pub_time, method, digest, entry.size, entry.mtime_ns, entry.content, state, extra


def _decode(directory: str, row: tuple[Any, ...]) -> Entry:
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
