"""The file in which a tree's peers keep what they know: SQLite, ``<tree>/.samesky/mesh.sdb``.

Several processes may share one tree (workers, one peer a neighbour), so this file is the truth and nobody's memory is.
What is in it is read and written by `index` (what is in the tree) and `waiting` (what is still to be done); both share
one connection, so that a transaction may change both.

All of it can be had again, from the tree and from the neighbours. So a file that is found to be damaged is set aside
(``mesh.sdb.damaged``) the next time it is opened, once no other process has it open, and one is made anew, with another
id.
"""

import errno
import fcntl
import logging
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from ..errors import DataError, Locked, SameskyError, Unreachable

_log = logging.getLogger(__name__)

FOLDER = ".samesky"
FILE_NAME = "mesh.sdb"
LOCK_NAME = "mesh.lock"
"""Locked, not alone, by each process that has the file open."""
MARK_NAME = "mesh.is-damaged"
VERSION = 1
BUSY_TIMEOUT_S = 30.0
CACHE_KIB = 4096

_TABLES = (
    # `changes` counts what changed a sum; `forgotten` is what it was when directories were last forgotten.
    "CREATE TABLE node (id TEXT NOT NULL, changes INTEGER NOT NULL, forgotten INTEGER NOT NULL)",
    # The sum of a directory's entries, here and removed, its subdirectories left out; `total` has 16 bytes, big-endian.
    "CREATE TABLE directory (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, count INTEGER NOT NULL, "
    "total BLOB NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL, newest INTEGER NOT NULL, "
    "changed INTEGER NOT NULL)",
    # `digest` is NULL where it is the same as `content`, thus for SHA-512, which nearly all are.
    "CREATE TABLE entry (directory INTEGER NOT NULL, name TEXT NOT NULL, pub_time INTEGER NOT NULL, method TEXT, "
    "digest BLOB, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, content BLOB NOT NULL, state INTEGER NOT NULL, "
    "extra TEXT, UNIQUE (directory, name))",
    "CREATE INDEX entry_not_here ON entry (pub_time) WHERE state > 0",
    # Whatever was published in such a directory, or below it, before that time is too old to be here.
    "CREATE TABLE pruned (directory TEXT PRIMARY KEY, before_ns INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE TABLE waiting (id INTEGER PRIMARY KEY AUTOINCREMENT, consumer TEXT NOT NULL, state INTEGER NOT NULL, "
    "priority INTEGER NOT NULL, due_ns INTEGER NOT NULL, tries INTEGER NOT NULL, neighbour TEXT NOT NULL, "
    "topic TEXT NOT NULL, content_type TEXT NOT NULL, payload BLOB NOT NULL)",
    # Whose tree it was that a neighbour's broker answered for: removals are taken from no other (row 31).
    "CREATE TABLE neighbour (name TEXT PRIMARY KEY, node TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX waiting_in_order ON waiting (consumer, state, priority, due_ns)",
)


class StateFile:
    """The state file of the tree at ``folder``, made when there is none. For one thread at a time.

    ``durable``: a commit is on the disk when it returns; without it a power cut (not a kill) may undo the last ones.
    Raises `Unreachable` where the file can't be used, `DataError` when it is damaged or from a later samesky.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.path = folder / FOLDER / FILE_NAME
        self._durable = durable
        self._depth = 0
        with self.errors():
            self.path.parent.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(self.path.with_name(LOCK_NAME), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                self.connection = self._open(durable)
            except BaseException:
                os.close(self._lock)
                raise
            self.id = str(self.connection.execute("SELECT id FROM node").fetchone()[0])

    def _open(self, durable: bool) -> sqlite3.Connection:
        if self.path.with_name(MARK_NAME).exists():
            self._set_aside()
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        try:
            return _open(self.path, durable)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside()
        return _open(self.path, durable)

    def _set_aside(self) -> None:
        """Move the damaged file out of the way, unless others have it open."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _damaged(self.path) from None
        if self.path.exists():
            os.replace(self.path, f"{self.path}.damaged")
        for name in (f"{FILE_NAME}-wal", f"{FILE_NAME}-shm", MARK_NAME):
            self.path.with_name(name).unlink(missing_ok=True)
        fcntl.flock(self._lock, fcntl.LOCK_SH)
        _log.warning("mesh_state_made_anew path=%s reason='it was damaged'", self.path)

    def close(self) -> None:
        """Close the file."""
        self.connection.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def read_neighbour(self, name: str) -> str:
        """The id of the tree that the neighbour ``name`` (a broker's URL) had; empty when that isn't known."""
        with self.errors():
            row = self.connection.execute("SELECT node FROM neighbour WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def write_neighbour(self, name: str, node: str) -> None:
        """Remember the tree of a neighbour."""
        with self.writing() as connection:
            connection.execute("INSERT OR REPLACE INTO neighbour VALUES (?, ?)", (name, node))

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which begins with the lock: nobody else writes in it. One inside another is part of it.

        Nothing is changed when it fails. Raises `Locked` when others hold the lock for half a minute, `Unreachable`
        when the disk is full or can't be written.
        """
        if self._depth:
            yield self.connection
            return
        with self.errors():
            self.connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk has rolled back already
                    self.connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    @contextmanager
    def writing_lightly(self) -> Iterator[sqlite3.Connection]:
        """As `writing`, for what may be undone by a power cut and is done again then: nobody waits for the disk."""
        if not self._durable or self._depth:
            with self.writing() as connection:
                yield connection
            return
        with self.errors():
            self.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with self.writing() as connection:
                yield connection
        finally:
            with self.errors():
                self.connection.execute("PRAGMA synchronous = FULL")

    def errors(self) -> "_Errors":
        """``with file.errors()``: what SQLite and the system raise there becomes what a user can understand."""
        return _Errors(self.path)


class _Errors:
    """A class, as it is entered several times a file: `contextlib.contextmanager` takes four times as long."""

    __slots__ = ("_path",)

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, sqlite3.Error):
            if _is_damage(error):
                self._path.with_name(MARK_NAME).touch()
            raise _explain(self._path, error) from error
        if isinstance(error, OSError):
            raise Unreachable(f"the tree's state can't be kept in {self._path.parent}: {error.strerror}") from error


def _open(path: Path, durable: bool) -> sqlite3.Connection:
    _ensure_file(path)
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute("BEGIN IMMEDIATE")
        _prepare(connection)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _ensure_file(path: Path) -> None:
    """Make the file, for us alone to read, if it isn't there; the system's words are better than SQLite's.

    One that is there is never opened here: closing it would drop all locks that SQLite has on it in this process, and
    the next process to close it would take itself for the last one, and remove the log with others' transactions.
    """
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        if not os.access(path, os.R_OK | os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def _prepare(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise DataError("the state of this tree was written by a later samesky", hint="use that one, or a newer one")
    if version == VERSION:
        return
    for table in _TABLES:
        connection.execute(table)
    connection.execute("INSERT INTO node VALUES (?, 0, 0)", (secrets.token_hex(8),))
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _explain(path: Path, error: sqlite3.Error) -> SameskyError:
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"{path} has been locked by another process for more than {BUSY_TIMEOUT_S:.0f} s")
    return _damaged(path) if _is_damage(error) else Unreachable(f"{path} can't be used: {error}")


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _damaged(path: Path) -> DataError:
    hint = (
        "it is made anew, from the tree and its neighbours, when all processes of this tree are ended and begun again"
    )
    return DataError(f"{path} is damaged", hint=hint)
