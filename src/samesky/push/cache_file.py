"""The pusher's own file: SQLite, ``push.sdb`` in its state directory. The site's database is never written to.

What is in it is used by `site_cache` and `quarantine`. It may be deleted whenever nothing runs: digests are made anew,
and rows that the centre refuses are found again. So a damaged file is set aside (``push.sdb.damaged``) when it is
opened.
"""

import logging
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ..errors import DataError, Locked, SameskyError, Unreachable

_log = logging.getLogger(__name__)

FILE_NAME = "push.sdb"
VERSION = 1
BUSY_TIMEOUT_S = 30.0

_TABLES = (
    "CREATE TABLE source (name TEXT NOT NULL)",
    # The checksum is the site's database's own, and may have more than 64 bits.
    "CREATE TABLE digest (table_name TEXT NOT NULL, day INTEGER NOT NULL, second INTEGER NOT NULL, "
    "row_count INTEGER NOT NULL, checksum TEXT NOT NULL, digest BLOB NOT NULL, unfit INTEGER NOT NULL, "
    "PRIMARY KEY (table_name, day, second)) WITHOUT ROWID",
    "CREATE TABLE explained (target TEXT NOT NULL, table_name TEXT NOT NULL, by TEXT NOT NULL, part TEXT NOT NULL, "
    "site_count INTEGER NOT NULL, site_digest BLOB NOT NULL, centre_count INTEGER NOT NULL, "
    "centre_digest BLOB NOT NULL, tally TEXT NOT NULL, PRIMARY KEY (target, table_name, by, part)) WITHOUT ROWID",
    "CREATE TABLE quarantine (target TEXT NOT NULL, table_name TEXT NOT NULL, row_key TEXT NOT NULL, "
    "reason TEXT NOT NULL, words TEXT NOT NULL, row_text TEXT NOT NULL, row_digest BLOB NOT NULL, since REAL NOT NULL, "
    "PRIMARY KEY (target, table_name, row_key)) WITHOUT ROWID",
    "CREATE TABLE status (target TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID",
)


class CacheFile:
    """The file at ``path``, made when there is none, for its owner alone to read. Threads may share it.

    Raises `Unreachable` where it can't be used, `Locked` when others hold its lock for half a minute, `DataError` when
    it is damaged or a later samesky's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._errors():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._connection = _open(path)
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                _set_aside(path)
                self._connection = _open(path)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows that ``query`` finds."""
        with self._lock, self._errors():
            return self._connection.execute(query, values).fetchall()

    def write(self, query: str, *rows: Sequence[object]) -> int:
        """Execute ``query`` for each of ``rows`` in one transaction; how many rows of the file were changed."""
        with self._lock, self._errors(), self._transaction() as connection:
            return connection.executemany(query, rows).rowcount if rows else 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is read and written in it is one transaction, and nobody else writes meanwhile."""
        with self._lock, self._errors(), self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        if self._is_writing():  # one inside another is part of it
            yield self._connection
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
            self._connection.execute("COMMIT")
        except BaseException:
            if self._is_writing():  # a full disk has rolled back already
                self._connection.execute("ROLLBACK")
            raise

    def _is_writing(self) -> bool:
        return self._connection.in_transaction

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """What SQLite and the system raise becomes what a user can understand."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explain(self.path, error) from error
        except OSError as error:
            raise Unreachable(
                f"{self.path} can't be used: {error.strerror}", hint="Set state_dir to a folder that this user may use."
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("BEGIN IMMEDIATE")
        _prepare(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > VERSION:
        raise DataError(f"{path} was written by a later samesky", hint="Use that one, or a newer one.")
    if version == VERSION:
        return
    for table in _TABLES:
        connection.execute(table)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _set_aside(path: Path) -> None:
    os.replace(path, f"{path}.damaged")
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    _log.warning("push_cache_made_anew path=%s reason='it was damaged'", path)


def _explain(path: Path, error: sqlite3.Error) -> SameskyError:
    if _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Locked(f"{path} has been locked by another process for more than {BUSY_TIMEOUT_S:.0f} s")
    if _is_damage(error):
        return DataError(f"{path} is damaged", hint="It is made anew when the pusher is started again.")
    return Unreachable(f"{path} can't be used: {error}", hint="Is the disk full, or may this user not write there?")


def _is_damage(error: sqlite3.Error) -> bool:
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
