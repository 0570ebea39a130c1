"""Databases for the benchmarks: made, copied in part, digested whole, and written the plain way (the reference)."""

import hashlib
import marshal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.stands.databases import Database, SqliteDatabase

from samesky.demo.year import write_year
from samesky.station.location import Location, MysqlLocation, SqliteLocation

CHUNK = 1000
Place = dict[str, Any]
"""A location as JSON: {"path": …} or the fields of a `MysqlLocation`."""


def location_of(place: Place) -> Location:
    """The location that ``place`` writes down."""
    return SqliteLocation(Path(place["path"])) if "path" in place else MysqlLocation(**place)


def make_year(path: Path, count: int) -> None:
    """A wview_extended database of ``count`` records at five minutes, daily summaries included."""
    write_year(path, count=count, end_time=int(time.time()) - 600)


def connect(place: Place) -> Any:
    """A plain DB-API connection, in autocommit, as a program of WeeWX's opens it."""
    if "path" in place:
        return sqlite3.connect(place["path"], timeout=5, isolation_level=None)
    import pymysql

    return pymysql.connect(**place, autocommit=True, charset="utf8mb4", ssl_disabled=True)


def place_of(database: Database) -> Place:
    """A database of a stand's."""
    if isinstance(database, SqliteDatabase):
        return {"path": str(database.path)}
    return {
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "password": database.password,
        "database": database.name,
    }


def read_tables(connection: Any) -> list[str]:
    """All tables of WeeWX's, sorted: not what triggers note."""
    sqlite = isinstance(connection, sqlite3.Connection)
    cursor = connection.cursor()
    cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'" if sqlite else "SHOW TABLES")
    return sorted(row[0] for row in cursor.fetchall() if row[0].startswith("archive"))


def read_chunks(connection: Any, table: str) -> Iterator[list[tuple[Any, ...]]]:
    """All rows of a table in the order of its first column, a thousand at a time."""
    with closing(_streaming_cursor(connection)) as cursor:
        cursor.execute(f"SELECT * FROM `{table}` ORDER BY 1")
        while rows := cursor.fetchmany(CHUNK):
            yield rows


def read_digests(place: Place) -> dict[str, str]:
    """Table -> number of rows and a digest over every value of every row, type and bits (a double of 2 is not 2)."""
    with closing(connect(place)) as connection:
        return {table: _read_digest(connection, table) for table in read_tables(connection)}


def _read_digest(connection: Any, table: str) -> str:
    digest, count = hashlib.blake2b(digest_size=16), 0
    for rows in read_chunks(connection, table):
        # By number the databases sort alike; by name, as in the metadata, they don't.
        for row in sorted(rows) if isinstance(rows[0][0], str) else rows:
            digest.update(marshal.dumps(tuple(row), 2))  # version 2 writes equal values alike, whatever shares them
        count += len(rows)
    return f"{count} {digest.hexdigest()}"


def count_differences(ours: dict[str, str], theirs: dict[str, str]) -> int:
    """How many tables are missing on a side or differ in any row."""
    return sum(ours.get(table) != theirs.get(table) for table in ours.keys() | theirs.keys())


def read_newest(place: Place) -> int:
    """Time of the newest record; 0 when there is none, or no table."""
    try:
        with closing(connect(place)) as connection:
            return int(connection.execute("SELECT MAX(dateTime) FROM archive").fetchone()[0] or 0)
    except sqlite3.OperationalError:
        return 0


def make_part(source: Path, target: Path, leave_out: int) -> None:
    """A copy of ``source`` as it was ``leave_out`` records ago."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, isolation_level=None)) as new:
        old.backup(new)
        query = "SELECT dateTime FROM archive ORDER BY dateTime DESC LIMIT 1 OFFSET ?"
        (newest,) = new.execute(query, (leave_out,)).fetchone()
        new.execute("BEGIN")
        new.execute("DELETE FROM archive WHERE dateTime > ?", (newest,))
        for table in read_tables(new):
            if table.startswith("archive_day_") and not table.endswith("__metadata"):
                new.execute(f"DELETE FROM `{table}` WHERE dateTime >= ?", (newest,))
        new.execute("UPDATE archive_day__metadata SET value = ? WHERE name = 'lastUpdate'", (str(newest),))
        new.execute("COMMIT")


def copy_tables(source: Path, target: Path) -> None:
    """The tables of ``source`` in a new file, empty but for the metadata."""
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target, isolation_level=None)) as new:
        for (statement,) in old.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall():
            new.execute(statement)


def write_plainly(source: Place, target: Place) -> tuple[int, float]:
    """The reference: every row of ``source`` by ``executemany`` into the empty tables of ``target``.

    Transactions of 1,000 records; summary rows copied, a table a transaction. Returns the number of archive records
    and the seconds that writing took: reading the rows isn't counted.
    """
    count, seconds = 0, 0.0
    with closing(connect(source)) as old, closing(connect(target)) as new:
        for table in read_tables(old):
            for rows in read_chunks(old, table):
                seconds += _seconds(lambda: _write(new, table, rows))  # noqa: B023
                count += len(rows) if table == "archive" else 0
    return count, seconds


def _write(connection: Any, table: str, rows: Sequence[Sequence[Any]]) -> None:
    mark = "?" if isinstance(connection, sqlite3.Connection) else "%s"
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    cursor.executemany(f"INSERT INTO `{table}` VALUES ({', '.join([mark] * len(rows[0]))})", rows)
    cursor.execute("COMMIT")


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _streaming_cursor(connection: Any) -> Any:
    if isinstance(connection, sqlite3.Connection):
        return connection.cursor()
    import pymysql.cursors

    return connection.cursor(pymysql.cursors.SSCursor)
