"""SQLite's half of `archive`: WeeWX's file, opened beside WeeWX."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from ..core.columns import Column
from ..errors import DataError, Unreachable
from .archive import Archive
from .archive_reader import Row, quoted_names
from .location import SqliteLocation
from .schema import kind_of

BUSY_TIMEOUT_S = 10.0


class SqliteArchive(Archive):
    """An archive in a SQLite file. Its journal mode is its owner's: we never change it."""

    dialect = "sqlite"
    mark = "?"

    def __init__(self, location: SqliteLocation, *, create: bool = False) -> None:
        self.path = location.path
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._mode = "rwc" if create else "rw"
        super().__init__(location, self._connect())

    def reopen(self) -> None:
        self.close()
        self.forget_schema()
        self._connection = self._connect()

    def forget_pages(self) -> None:
        self._read_all("PRAGMA shrink_memory")

    def _connect(self) -> sqlite3.Connection:
        with worded(self.path):
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode={self._mode}",
                uri=True,
                timeout=BUSY_TIMEOUT_S,
                isolation_level=None,
            )
            # A page from a peer is attached to this connection: SQLite's "Defense Against The Dark Arts".
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            return connection

    def _read_columns(self) -> tuple[Column, ...]:
        return tuple(Column(row[1], kind_of(row[2])) for row in self._read_all(f"PRAGMA table_info(`{self.table}`)"))

    def _read_optional(self) -> frozenset[str]:
        rows = self._read_all(f"PRAGMA table_info(`{self.table}`)")
        return frozenset(
            name for _, name, _, needed, default, key in rows if not needed and not key and default is None
        )

    def read_tables(self) -> set[str]:
        return {row[0] for row in self._read_all("SELECT name FROM main.sqlite_schema WHERE type = 'table'")}

    def read_change_mark(self) -> object:
        """A value that changes whenever another connection has written to the file."""
        return self._read_row("PRAGMA data_version")[0]

    def read_write_mark(self) -> object:
        """A value that changes when another connection has written to the file, or this one was opened anew."""
        return self._connection, self.read_change_mark()

    def _run(self, cursor: Any, query: str, values: Row = ()) -> None:
        with worded(self.path):
            cursor.execute(query, values)

    def _execute_many(self, query: str, rows: Sequence[Row]) -> int:
        with closing(self._connection.cursor()) as cursor, worded(self.path):
            cursor.executemany(query, rows)
            return int(cursor.rowcount)

    def _insert_query(self, names: Sequence[str]) -> str:
        return (
            f"INSERT INTO `{self.table}` ({quoted_names(names)}) VALUES ({self._marks(len(names))}) "
            "ON CONFLICT (`dateTime`) DO NOTHING"
        )

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[None]:
        if self._connection.in_transaction:
            yield
            return
        with worded(self.path):
            self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield
            with worded(self.path):
                self._connection.execute("COMMIT")
        except BaseException:
            # A full disk has rolled back already; a second ROLLBACK would raise.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise


@contextmanager
def worded(path: Any) -> Iterator[None]:
    """SQLite's exceptions as ours: what may pass by itself is `Unreachable`, the rest `DataError`."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unreachable(f"SQLite database {path}: {error}", hint=_hint(str(error))) from error
    except sqlite3.Error as error:
        raise DataError(f"SQLite database {path}: {error}") from error
    except OverflowError as error:
        raise DataError(f"SQLite database {path}: a number is too large") from error


def _hint(text: str) -> str:
    if "locked" in text:
        return "Another program holds the database; it is tried again."
    if "unable to open" in text:
        return "Check that the file is there and that this user may read and write it and its folder."
    if "readonly" in text:
        return "Check that this user may write the file and its folder."
    if "full" in text:
        return "Make room on the disk; it is tried again."
    return ""
