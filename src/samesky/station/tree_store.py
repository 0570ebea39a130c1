"""Where the sums of time trees are kept: one SQLite file, ``samesky-tree.sdb``, in the state directory.

All of it can be made again from the rows, so a file of another version or a damaged one is started anew. What is saved
of a tree is saved in one transaction: its position, the marks it has heeded and its sums always fit together.

A mark says that rows of some leaves have changed, or are about to. Marks are numbered as they come; each tree heeds
them in that order and remembers the last, so a mark that comes while its leaf is read isn't lost.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from ..core.timetree import LEAF, STEP, Sum
from ..errors import Unreachable
from .state import open_state_file, transaction

_log = logging.getLogger(__name__)

FILE_NAME = "samesky-tree.sdb"
VERSION = 1
KEPT_SCOPES = 4
KEPT_MARKS = 10_000
"""Marks stay so long after the owner's trees have heeded them, for programs that work on a copy of a tree."""
END_OF_LEAVES = 1 << 50

TreeKind = Literal["archive", "summary"]

_TABLES = (
    "CREATE TABLE tree (id INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, kind TEXT, scope TEXT, "
    "position INTEGER DEFAULT 0, seen INTEGER DEFAULT 0, version INTEGER DEFAULT 0, used INTEGER DEFAULT 0, "
    "UNIQUE (stream, kind, scope))",
    "CREATE TABLE node (tree INTEGER, node INTEGER, count INTEGER, total BLOB, read_at INTEGER, "
    "PRIMARY KEY (tree, node)) WITHOUT ROWID",
    "CREATE TABLE leaf (tree INTEGER, leaf INTEGER, count INTEGER, total BLOB, PRIMARY KEY (tree, leaf)) WITHOUT ROWID",
    "CREATE TABLE dirty (number INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT, kind TEXT, "
    "first INTEGER, last INTEGER, UNIQUE (stream, kind, first, last))",
)


class Node(NamedTuple):
    """A span of 2^17 seconds: its sum, and when all of it was last read from the rows (epoch seconds)."""

    sum: Sum
    read_at: int


class Mark(NamedTuple):
    """Leaves from ``first`` to ``last`` have to be read anew."""

    number: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class SavedTree:
    """A tree as it was saved, but for its leaves."""

    id: int
    version: int
    position: int
    """Time of the last row in the sums."""
    seen: int
    """Number of the last mark heeded."""
    nodes: dict[int, Node]


@dataclass(frozen=True, slots=True)
class TreeChange:
    """What has changed in a tree since it was loaded or saved."""

    position: int
    seen: int
    leaves: Mapping[int, Sum]
    """Empty ones are removed."""
    nodes: Mapping[int, Node | None]
    """None: removed."""


class TreeStore:
    """The file in ``directory``, for any thread; without one, or where it can't be written, memory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._lock = threading.RLock()
        self._unwritten: set[tuple[str, TreeKind, int, int]] = set()
        self._connection = _open(directory)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    # ------------------------------------------------------------------ trees

    def load(self, stream: str, kind: TreeKind, scope: str) -> SavedTree:
        """The tree of this scope, which begins empty; the scope that has been left alone for longest makes room."""
        name = (stream, kind, scope)
        with self._writing() as connection:
            connection.execute("INSERT OR IGNORE INTO tree (stream, kind, scope) VALUES (?, ?, ?)", name)
            used = "(SELECT MAX(used) + 1 FROM tree)"
            connection.execute(f"UPDATE tree SET used = {used} WHERE stream = ? AND kind = ? AND scope = ?", name)
            _forget_unused(connection, stream, kind)
            found = "SELECT id, version, position, seen FROM tree WHERE stream = ? AND kind = ? AND scope = ?"
            tree, version, position, seen = connection.execute(found, name).fetchone()
            nodes = {
                node: Node(_sum(count, total), read_at)
                for node, count, total, read_at in connection.execute(
                    "SELECT node, count, total, read_at FROM node WHERE tree = ?", (tree,)
                )
            }
        return SavedTree(tree, version, position, seen, nodes)

    def is_current(self, tree: int, version: int) -> bool:
        """Whether nobody else has saved this tree since that version."""
        with self._reading() as connection:
            row = connection.execute("SELECT version FROM tree WHERE id = ?", (tree,)).fetchone()
        return row is not None and row[0] == version

    def save(self, tree: int, version: int, change: TreeChange) -> bool:
        """Save ``change`` to that version, which makes the next one; False when another has come between."""
        with self._writing() as connection:
            moved = connection.execute(
                "UPDATE tree SET position = ?, seen = ?, version = version + 1 WHERE id = ? AND version = ?",
                (change.position, change.seen, tree, version),
            )
            if not moved.rowcount:
                return False
            _save_leaves(connection, tree, change.leaves)
            _save_nodes(connection, tree, change.nodes)
            _drop_heeded(connection, tree)
        return True

    def read_leaves(self, tree: int, first: int, last: int) -> dict[int, Sum]:
        """The leaves from ``first`` to ``last`` that hold anything."""
        query = "SELECT leaf, count, total FROM leaf WHERE tree = ? AND leaf BETWEEN ? AND ?"
        with self._reading() as connection:
            return {leaf: _sum(count, total) for leaf, count, total in connection.execute(query, (tree, first, last))}

    def copy_tree(self, stream: str, kind: TreeKind, scope: str) -> "TreeStore":
        """A store in memory with this tree alone, for a program that isn't its owner."""
        copy = TreeStore(None)
        with self._reading() as connection, transaction(connection, "BEGIN"), copy._writing() as into:
            for table, key in (("tree", "id"), ("node", "tree"), ("leaf", "tree")):
                rows = connection.execute(
                    f"SELECT * FROM {table} WHERE {key} IN "
                    "(SELECT id FROM tree WHERE stream = ? AND kind = ? AND scope = ?)",
                    (stream, kind, scope),
                )
                marks = ", ".join("?" * len(rows.description))
                into.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        return copy

    # ------------------------------------------------------------------ marks

    def mark(self, stream: str, kind: TreeKind, times: Iterable[int]) -> bool:
        """Have the leaves of these times read anew: say so before and after rows are written.

        False when the file can't be written now: then no tree of this store calls itself complete until it can.
        """
        return self.mark_leaves(stream, kind, (time >> LEAF for time in times))

    def mark_leaves(self, stream: str, kind: TreeKind, leaves: Iterable[int]) -> bool:
        """As `mark`, by index."""
        return self._mark([(stream, kind, first, last) for first, last in _runs(leaves)])

    def mark_from(self, stream: str, kind: TreeKind, time: int) -> bool:
        """As `mark`, for this time and everything later; from 0, all of it."""
        return self._mark([(stream, kind, time >> LEAF, END_OF_LEAVES)])

    def read_marks(self, stream: str, kind: TreeKind, *, after: int, limit: int) -> list[Mark]:
        """Marks with numbers after ``after``, in order. Raises `Unreachable` while some couldn't be written."""
        query = (
            "SELECT number, first, last FROM dirty WHERE stream = ? AND kind = ? AND number > ? ORDER BY number LIMIT ?"
        )
        self._write_marks()
        with self._reading() as connection:
            return [Mark(*row) for row in connection.execute(query, (stream, kind, after, limit))]

    def is_marked(self, stream: str, kind: TreeKind, leaf: int, *, after: int) -> bool:
        """Whether a mark numbered after ``after`` names the leaf."""
        query = "SELECT 1 FROM dirty WHERE stream = ? AND kind = ? AND number > ? AND first <= ? AND last >= ? LIMIT 1"
        with self._reading() as connection:
            return connection.execute(query, (stream, kind, after, leaf, leaf)).fetchone() is not None

    def _mark(self, marks: Iterable[tuple[str, TreeKind, int, int]]) -> bool:
        with self._lock:
            waited = bool(self._unwritten)
            self._unwritten.update(marks)
            try:
                self._write_marks()
            except Unreachable as error:
                if not waited:
                    _log.warning("marks_not_written waiting=%d error=%r", len(self._unwritten), str(error))
                return False
        return True

    def _write_marks(self) -> None:
        with self._lock:
            if not self._unwritten:
                return
            with self._reading() as connection:
                # A mark that a power cut takes, while the rows it speaks of stay, would be missed for a month.
                connection.execute("PRAGMA synchronous = FULL")
                try:
                    with transaction(connection):
                        connection.executemany(
                            "INSERT OR REPLACE INTO dirty (stream, kind, first, last) VALUES (?, ?, ?, ?)",
                            sorted(self._unwritten),
                        )
                finally:
                    connection.execute("PRAGMA synchronous = NORMAL")
            self._unwritten.clear()

    # ------------------------------------------------------------------ the file

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._worded():
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._worded(), transaction(self._connection):
            yield self._connection

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise Unreachable(f"the sums in {self._directory}: {error}", hint="They are tried again.") from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:
                raise  # a mistake of ours
            self._connection.close()
            _start_anew(self._directory, str(error))
            self._connection = _open(self._directory)
            raise Unreachable(f"the sums in {self._directory} were damaged", hint="They are made anew.") from error


def _open(directory: Path | None) -> sqlite3.Connection:
    if directory is not None and (directory / FILE_NAME).is_file():
        try:
            with closing(sqlite3.connect(directory / FILE_NAME, timeout=5.0)) as connection:
                (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                _start_anew(directory, found)
        except sqlite3.OperationalError:
            pass  # said when it is opened in earnest
        except sqlite3.DatabaseError as error:
            _start_anew(directory, str(error))
    return open_state_file(directory, FILE_NAME, _prepare)


def _start_anew(directory: Path | None, reason: str) -> None:
    _log.warning("sums_damaged directory=%s error=%r; they are made anew", directory, reason)
    if directory is not None:
        for ending in ("", "-wal", "-shm"):
            (directory / f"{FILE_NAME}{ending}").unlink(missing_ok=True)


def _prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    with transaction(connection):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == VERSION:
            return
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        if tables:
            _log.warning("sums_of_another_version found=%d; they are made anew", version)
        for statement in (*(f"DROP TABLE `{name}`" for (name,) in tables), *_TABLES):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")


def _forget_unused(connection: sqlite3.Connection, stream: str, kind: str) -> None:
    unused = connection.execute(
        "SELECT id FROM tree WHERE stream = ? AND kind = ? ORDER BY used DESC LIMIT -1 OFFSET ?",
        (stream, kind, KEPT_SCOPES),
    ).fetchall()
    for table, key in (("leaf", "tree"), ("node", "tree"), ("tree", "id")):
        connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", unused)


def _save_leaves(connection: sqlite3.Connection, tree: int, leaves: Mapping[int, Sum]) -> None:
    connection.executemany(
        "DELETE FROM leaf WHERE tree = ? AND leaf = ?",
        [(tree, leaf) for leaf, each in leaves.items() if not each.count],
    )
    connection.executemany(
        "INSERT OR REPLACE INTO leaf VALUES (?, ?, ?, ?)",
        [(tree, leaf, each.count, _blob(each)) for leaf, each in leaves.items() if each.count],
    )


def _save_nodes(connection: sqlite3.Connection, tree: int, nodes: Mapping[int, Node | None]) -> None:
    gone = [(tree, index) for index, node in nodes.items() if node is None]
    connection.executemany("DELETE FROM node WHERE tree = ? AND node = ?", gone)
    connection.executemany(
        "INSERT OR REPLACE INTO node VALUES (?, ?, ?, ?, ?)",
        [(tree, index, node.sum.count, _blob(node.sum), node.read_at) for index, node in nodes.items() if node],
    )


def _drop_heeded(connection: sqlite3.Connection, tree: int) -> None:
    """Remove the marks that all trees of this stream and kind have heeded, but the last ones."""
    stream, kind = connection.execute("SELECT stream, kind FROM tree WHERE id = ?", (tree,)).fetchone()
    connection.execute(
        "DELETE FROM dirty WHERE stream = ? AND kind = ? AND number <= "
        "(SELECT MIN(seen) FROM tree WHERE stream = ? AND kind = ?) "
        "AND number <= (SELECT seq FROM sqlite_sequence WHERE name = 'dirty') - ?",
        (stream, kind, stream, kind, KEPT_MARKS),
    )


def _runs(leaves: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, last) of each unbroken run of leaves, in order; at most a node long, so that they are often the same."""
    first = last = -2
    for leaf in sorted(set(leaves)):
        if leaf == last + 1 and leaf >> STEP == first >> STEP:
            last = leaf
            continue
        if first >= 0:
            yield first, last
        first = last = leaf
    if first >= 0:
        yield first, last


def _sum(count: int, total: bytes) -> Sum:
    return Sum(count, int.from_bytes(total, "big"))


def _blob(each: Sum) -> bytes:
    return each.total.to_bytes(16, "big")
