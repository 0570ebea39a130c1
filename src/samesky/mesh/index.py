"""What is in a tree: `Index`, one `Entry` a path, and the sums of every directory by which two trees are compared.

A directory's sum is how many entries it has (here and removed, not pruned; those of its subdirectories left out) and
their hashes added up modulo 2^128. It is kept in the transaction that changes an entry, so reading all sums of a tree
of 100,000 files takes a moment, and what has changed since the last time takes less.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import time_ns
from types import MappingProxyType
from typing import Any, NamedTuple, Self

from ..core.timetree import Sum
from .announcement import Entry
from .statefile import StateFile
from .tallies import (
    COLUMNS,
    HERE,
    NUMBER_OF,
    PRUNED,
    change_entries,
    decode_entry,
    entry_hash,
    join_path,
    prune_entries,
    save_tallies,
    split_path,
)

__all__ = ["Figures", "Index", "Sums", "entry_hash", "join_path", "split_path"]


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


def _with_those_above(directory: str) -> Iterator[str]:
    """``directory``, the one it is in, and so on, but for the top of the tree."""
    while directory:
        yield directory
        directory = directory.rpartition("/")[0]


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
        """What is known of ``path``. A file of which nothing is, in a directory that was pruned, is a pruned one."""
        directory, name = split_path(path)
        query = f"SELECT {COLUMNS} FROM entry WHERE directory = (SELECT id FROM directory WHERE path = ?) AND name = ?"
        with self.file.errors():
            row = self.file.connection.execute(query, (directory, name)).fetchone()
        return decode_entry(directory, row) if row else self.read_many((path,)).get(path)

    def read_many(self, paths: Iterable[str]) -> dict[str, Entry]:
        """As `read`, of many paths; those left out of which nothing is known; one query for all."""
        names: dict[str, list[str]] = {}
        for path in paths:
            directory, name = split_path(path)
            names.setdefault(directory, []).append(name)
        query = (  # each key a directory, its value the names there; CROSS, so that they are looked up and nothing else
            f"SELECT directory.path, {COLUMNS} FROM json_each(?) AS asked "
            "CROSS JOIN directory ON directory.path = asked.key "
            "CROSS JOIN entry ON directory = directory.id AND name IN (SELECT value FROM json_each(asked.value))"
        )
        found = {}
        with self.file.errors():
            for directory, before_ns in self._read_pruned(names).items():
                for name in names[directory]:
                    path = join_path(directory, name)
                    found[path] = Entry(path, before_ns, None, 0, 0, state="pruned")
            for directory, *row in self.file.connection.execute(query, (json.dumps(names),)):
                entry = decode_entry(directory, row)
                found[entry.path] = entry
        return found

    def is_pruned(self, path: str) -> bool:
        """Whether ``path`` is in a directory that was pruned, thus nothing old is wanted there."""
        directory = split_path(path)[0]
        with self.file.errors():
            return bool(self._read_pruned((directory,)))

    def _read_pruned(self, directories: Iterable[str]) -> dict[str, int]:
        """Which of these were pruned, themselves or one above them, and the time that what is there has to be after."""
        lines = {directory: [*_with_those_above(directory)] for directory in directories}
        asked = json.dumps(list({each for line in lines.values() for each in line}))
        query = "SELECT directory, before_ns FROM pruned WHERE directory IN (SELECT value FROM json_each(?))"
        times = dict(self.file.connection.execute(query, (asked,)).fetchall())
        if not times:
            return {}
        latest = {directory: max(times.get(each, 0) for each in line) for directory, line in lines.items() if line}
        return {directory: before_ns for directory, before_ns in latest.items() if before_ns}

    def entries(self, directory: str, *, after: str = "", limit: int = 1000) -> list[Entry]:
        """The first ``limit`` entries of ``directory`` itself behind the path ``after``, of all states, by path."""
        query = (
            f"SELECT {COLUMNS} FROM entry "
            "WHERE directory = (SELECT id FROM directory WHERE path = ?) AND name > ? ORDER BY name LIMIT ?"
        )
        with self.file.errors():
            rows = self.file.connection.execute(query, (directory, split_path(after)[1], limit)).fetchall()
        return [decode_entry(directory, row) for row in rows]

    def read_figures(self, directory: str) -> dict[str, Figures]:
        """What the entries of ``directory`` itself say of their files, by name: quicker than `entries`, for a scan."""
        query = (
            "SELECT name, state, size, mtime_ns FROM entry WHERE directory = (SELECT id FROM directory WHERE path = ?)"
        )
        with self.file.errors():
            rows = self.file.connection.execute(query, (directory,))
            return {name: Figures(state == HERE, size, mtime_ns) for name, state, size, mtime_ns in rows}

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
            save_tallies(connection, change_entries(connection, changes, known))

    def touch(self, newer: Iterable[tuple[Entry, int]]) -> None:
        """Note the later pub_time of a file that was announced again; passed over when the entry has changed since."""
        rows = []
        for entry, pub_time in newer:
            directory, name = split_path(entry.path)
            rows.append((pub_time, directory, name, entry.pub_time, entry.content, NUMBER_OF[entry.state], pub_time))
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
        """Note that all files in ``directory`` and below it are removed for their age; returns how many were here.

        They stay known for a while, and the directory for good, so that nothing brings them back but a new publication.
        """
        below = "" if not directory else "WHERE path = :this OR (path > :this || '/' AND path < :this || '0')"
        with self.file.writing() as connection:
            found = connection.execute(f"SELECT path FROM directory {below}", {"this": directory}).fetchall()
            tallies = prune_entries(connection, [path for (path,) in found])
            save_tallies(connection, tallies)
            if directory:
                connection.execute("INSERT OR REPLACE INTO pruned VALUES (?, ?)", (directory, time_ns()))
        return sum(tally.fewer for tally in tallies)

    def forget_gone(self, *, pruned_before_ns: int, removed_before_ns: int) -> int:
        """Forget pruned files and removals with a pub_time before these; returns how many.

        A neighbour that still has a file whose removal is forgotten gives it back when it compares: wait for longer
        than any of them is away.
        """
        with self.file.writing() as connection:
            query = (
                "SELECT directory.path, name FROM entry JOIN directory ON directory.id = directory "
                f"WHERE state > 0 AND pub_time < CASE state WHEN {PRUNED} THEN ? ELSE ? END"
            )
            gone = connection.execute(query, (pruned_before_ns, removed_before_ns)).fetchall()
            self.apply((), forget=[join_path(directory, name) for directory, name in gone])
            empty = "NOT EXISTS (SELECT 1 FROM entry WHERE directory = directory.id)"
            if connection.execute(f"DELETE FROM directory WHERE {empty}").rowcount:
                connection.execute("UPDATE node SET changes = changes + 1, forgotten = changes + 1")
        return len(gone)

    def _one(self, query: str) -> Any:
        with self.file.errors():
            return self.file.connection.execute(query).fetchone()[0]
