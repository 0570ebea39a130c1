"""Pages as small SQLite databases, made and stored by ``INSERT … SELECT``: no row becomes a Python object.

A page holds the table ``archive`` (the primary's columns, or those asked for) and the table ``summary`` (daily summary
rows of all observations, `schema.SUMMARY_COLUMNS`). Both are STRICT, so that ``quick_check`` proves the types.

What arrives is an untrusted database file. It is taken only if its schema is, to the letter, the one that
`schema_statements` writes for the description that the peer gave: no view, trigger, index, virtual table, generated
column or expression can be in it (SQLite, "Defense Against The Dark Arts").
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..core.columns import Column, Kind
from ..core.strict import EARLIEST_TIME, Reason, Refused
from ..errors import DataError
from .archive import Applied
from .archive_reader import Span, quoted_names
from .archive_sqlite import SqliteArchive, worded
from .schema import KEY_COLUMNS, SUMMARY_COLUMNS, summary_parts

CONTENT_TYPE = "application/vnd.sqlite3"
MAX_FILE_BYTES = 32 << 20
_TYPES = {Kind.INTEGER: "INTEGER", Kind.REAL: "REAL", Kind.TEXT: "TEXT"}
_MAGIC = b"SQLite format 3\0"


def is_supported() -> bool:
    """Whether this Python can make and take such pages: ``serialize`` (3.11) and STRICT tables (SQLite 3.37)."""
    return hasattr(sqlite3.Connection, "deserialize") and sqlite3.sqlite_version_info >= (3, 37)


def schema_statements(columns: Sequence[Column]) -> dict[str, str]:
    """Table name -> CREATE statement of a page with these archive columns."""
    archive = ", ".join(f"`{column.name}` {_TYPES[column.kind]}{_constraint(column)}" for column in columns)
    summary = ", ".join(f"`{column.name}` {_TYPES[column.kind]}" for column in SUMMARY_COLUMNS)
    return {
        "archive": f"CREATE TABLE archive ({archive}) STRICT",
        "summary": f"CREATE TABLE summary ({summary}, PRIMARY KEY (`obs`, `dateTime`)) STRICT, WITHOUT ROWID",
    }


def read_page_file(
    archive: SqliteArchive, after: int, max_records: int, *, now: float, summaries: bool, future_limit_s: int = 3600
) -> tuple[Span, bytes]:
    """Records after ``after`` and the summary rows of the days they complete, as a serialized database.

    Raises `WrongType` when a stored value doesn't fit its column's declared type (SQLite lets text into a REAL
    column): such a page has to travel as columns.
    """
    columns = archive.read_columns()
    statements = schema_statements(columns)
    until = int(now) + future_limit_s
    with _attached(archive, b"") as connection, worded(archive.path):
        with archive._transaction(write=False):
            for statement in statements.values():
                connection.execute(statement.replace("CREATE TABLE ", "CREATE TABLE page."))
            span = _copy_archive(archive, columns, after, max_records, until)
            if summaries:
                _copy_summaries(archive, *archive._summary_range(span))
        return span, connection.serialize(name="page")


class WrongType(Exception):
    """A stored value doesn't fit its column's declared type."""


def _copy_archive(archive: SqliteArchive, columns: Sequence[Column], after: int, limit: int, until: int) -> Span:
    names = ", ".join(f"`{column.name}`" for column in columns)
    try:
        archive._connection.execute(
            f"INSERT INTO page.archive SELECT {names} FROM main.`{archive.table}` "
            "WHERE `dateTime` > ? AND `dateTime` <= ? ORDER BY `dateTime` LIMIT ?",
            (after, until, limit),
        )
    except sqlite3.IntegrityError as error:
        raise WrongType(str(error)) from error
    count, first, last = archive._read_row("SELECT COUNT(*), MIN(`dateTime`), MAX(`dateTime`) FROM page.archive")
    return archive._span(after, count, first, last if last is not None else after, until)


def _copy_summaries(archive: SqliteArchive, from_day: int, to_day: int) -> None:
    for obs, kind in archive.read_summary_kinds().items():
        names = ", ".join(f"`{part}`" for part in summary_parts(kind))
        try:
            archive._connection.execute(
                f"INSERT INTO page.summary (`obs`, {names}) SELECT ?, {names} FROM main.`{archive.table}_day_{obs}` "
                "WHERE `dateTime` BETWEEN ? AND ?",
                (obs, from_day, to_day),
            )
        except sqlite3.IntegrityError as error:
            raise WrongType(str(error)) from error


class PageFile:
    """A received page, attached to the copy's connection and proven harmless; use inside `opened_page`."""

    def __init__(self, archive: SqliteArchive, columns: Sequence[Column]) -> None:
        self._archive = archive
        self._connection = archive._connection
        self._columns = columns

    def check(self) -> None:
        """Prove schema and types; raises `Refused`."""
        with _refusing_damage():
            found = self._connection.execute("SELECT type, name, tbl_name, sql FROM page.sqlite_schema").fetchall()
            expected = [("table", name, name, sql) for name, sql in schema_statements(self._columns).items()]
            if sorted(map(repr, found)) != sorted(map(repr, expected)):
                raise Refused(Reason.SHAPE, "the page's tables are not those of the description")
            verdict = [row[0] for row in self._connection.execute("PRAGMA page.quick_check(1)")]
            if verdict != ["ok"]:
                raise Refused(Reason.TYPE, "the page is damaged or holds values of a wrong type")
            for column in self._columns:
                if column.kind is Kind.TEXT:  # quick_check takes any bytes for a text; reading proves that they are one
                    self._connection.execute(
                        f"SELECT `{column.name}` FROM page.archive WHERE `{column.name}` IS NOT NULL"
                    ).fetchall()

    def read_records(self, after: int, *, until: int) -> list[dict[str, Any]]:
        """The page's records with ``after`` < dateTime <= ``until`` as name -> value."""
        names = [column.name for column in self._columns]
        query = (
            f"SELECT {quoted_names(names)} FROM page.archive "
            "WHERE `dateTime` > ? AND `dateTime` <= ? ORDER BY `dateTime`"
        )
        with _refusing_damage():
            rows = self._connection.execute(query, (after, until)).fetchall()
        return [dict(zip(names, row, strict=True)) for row in rows]

    def read_summaries(self, from_day: int) -> list[tuple[Any, ...]]:
        """The page's summary rows from ``from_day`` on, as in `schema.SUMMARY_COLUMNS`."""
        names = quoted_names([column.name for column in SUMMARY_COLUMNS])
        query = f"SELECT {names} FROM page.summary WHERE `dateTime` >= ?"
        with _refusing_damage():
            return list(self._connection.execute(query, (from_day,)))

    def apply(self, names: Sequence[str], *, until: int, unit_system: int | None, before_day: int | None) -> Applied:
        """Insert the records up to ``until`` that are absent, and put the summary rows before ``before_day`` in place.

        ``names`` are the columns to store. ``before_day`` None leaves the summaries alone. Records outside the range
        of believable times, or in another unit system than the table's, are left out and counted as refused.
        """
        believable = "`dateTime` >= ? AND `usUnits` = ?"
        limits = (EARLIEST_TIME, unit_system)
        with self._archive._transaction(write=True):
            total, offered, good, newest = self._archive._read_row(
                "SELECT COUNT(*), COALESCE(SUM(`dateTime` <= ?), 0), "
                f"COALESCE(SUM(`dateTime` <= ? AND {believable}), 0), "
                f"MAX(IIF(`dateTime` <= ? AND {believable}, `dateTime`, NULL)) FROM page.archive",
                *(until, until, *limits, until, *limits),
            )
            if not (good == total and self._insert_whole(names)):
                self._insert_absent(names, f"`dateTime` <= ? AND {believable}", (until, *limits))
            stored = self._archive._read_row("SELECT changes()")[0] if good else 0
            if before_day is not None:
                self._apply_summaries(before_day)
                if newest is not None:
                    self._archive._mark_update(newest)
        return Applied(stored=stored, duplicates=good - stored, refused=offered - good)

    def _insert_whole(self, names: Sequence[str]) -> bool:
        """Insert every record at once, if the tables have the same columns; False when a record was there already.

        Without WHERE, ORDER BY and ON CONFLICT, and with the same declarations, SQLite copies the records as they are
        (its "transfer optimization": a fifth of the time).
        """
        order = [column.name for column in self._columns]
        if not order == list(names) == [column.name for column in self._archive.read_columns()]:
            return False
        try:
            self._archive._execute(f"INSERT INTO main.`{self._archive.table}` SELECT * FROM page.archive")
        except DataError:
            return False  # a record is there already; or something worse, which the next try tells
        return True

    def _insert_absent(self, names: Sequence[str], condition: str, values: Sequence[Any]) -> None:
        columns = quoted_names(names)
        self._archive._execute(
            f"INSERT INTO main.`{self._archive.table}` ({columns}) SELECT {columns} FROM page.archive "
            f"WHERE {condition} ORDER BY `dateTime` ON CONFLICT (`dateTime`) DO NOTHING",
            *values,
        )

    def _apply_summaries(self, before_day: int) -> None:
        for obs, kind in self._archive.read_summary_kinds().items():
            names = quoted_names(summary_parts(kind))
            self._archive._execute(
                f"INSERT OR REPLACE INTO main.`{self._archive.table}_day_{obs}` ({names}) "
                f"SELECT {names} FROM page.summary WHERE `obs` = ? AND `dateTime` < ?",
                obs,
                before_day,
            )


@contextmanager
def opened_page(archive: SqliteArchive, body: bytes, columns: Sequence[Column]) -> Iterator[PageFile]:
    """Attach a received page, prove it, hand it out, detach it; raises `Refused` for anything but a page."""
    if not body.startswith(_MAGIC):
        raise Refused(Reason.SHAPE, "the page is not a SQLite database")
    with _attached(archive, body):
        page = PageFile(archive, columns)
        page.check()
        yield page


@contextmanager
def _refusing_damage() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, UnicodeError) as error:  # SQLite's own message may quote bytes of the page
        raise Refused(Reason.SHAPE, f"the page can't be read: {error}") from error


@contextmanager
def _attached(archive: SqliteArchive, body: bytes) -> Iterator[sqlite3.Connection]:
    """The archive's connection with an in-memory database attached as ``page``, filled from ``body``."""
    connection: sqlite3.Connection = archive._connection
    with worded(archive.path):
        connection.execute("ATTACH ':memory:' AS page")
    try:
        if body:
            with _refusing_damage():
                connection.deserialize(body, name="page")
        yield connection
    finally:
        with worded(archive.path):
            connection.execute("DETACH page")


def _constraint(column: Column) -> str:
    if column.name == "dateTime":
        return " NOT NULL PRIMARY KEY"
    return " NOT NULL" if column.name in KEY_COLUMNS else ""
