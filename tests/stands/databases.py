"""Where a WeeWX database is, for stands and comparisons: a SQLite file, or a database on a MariaDB server."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql


@dataclass(frozen=True, slots=True)
class SqliteDatabase:
    """A SQLite file; ``root`` and ``name`` are what weewx.conf calls SQLITE_ROOT and database_name."""

    path: Path

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """An open connection that reads and writes (autocommit); closed at the end."""
        with closing(sqlite3.connect(self.path, timeout=20, isolation_level=None)) as connection:
            yield connection

    def weewx_options(self) -> dict[str, str]:
        """This database's section in weewx.conf's [Databases]."""
        return {"driver": "weedb.sqlite", "SQLITE_ROOT": str(self.path.parent), "database_name": self.path.name}


@dataclass(frozen=True, slots=True)
class MariaDatabase:
    """A database on a MariaDB server, with a user who may do everything in it."""

    host: str
    port: int
    name: str
    user: str
    password: str = field(repr=False)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """An open PyMySQL connection (autocommit); closed at the end."""
        connection = pymysql.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.name,
            autocommit=True,
            ssl_disabled=True,  # else each connection reads the system's certificates: 30 ms
        )
        with closing(connection):
            yield connection

    def weewx_options(self) -> dict[str, str]:
        """This database's section in weewx.conf's [Databases]."""
        return {
            "driver": "weedb.mysql",
            "host": self.host,
            "port": str(self.port),
            "user": self.user,
            "password": self.password,
            "database_name": self.name,
        }


Database = SqliteDatabase | MariaDatabase


@dataclass(frozen=True, slots=True)
class SqliteSnapshot(SqliteDatabase):
    """What a SQLite file held at one moment; see `frozen`."""

    connection: sqlite3.Connection = field(repr=False, compare=False)

    @contextmanager
    def connect(self) -> Iterator[sqlite3.Connection]:
        """The connection that has it."""
        yield self.connection


@dataclass(frozen=True, slots=True)
class MariaSnapshot(MariaDatabase):
    """What a database on a MariaDB server held at one moment; see `frozen`."""

    connection: Any = field(repr=False, compare=False)

    @contextmanager
    def connect(self) -> Iterator[Any]:
        """The connection that sees it."""
        yield self.connection


@contextmanager
def frozen(database: Database) -> Iterator[Database]:
    """The database as it is now, to be read at leisure while others write to it.

    Whoever reads a SQLite file keeps its writers from committing. WeeWX bears that for five seconds, then it rests for
    two minutes; to read a hundred thousand rows takes longer on a busy machine, to copy the file a moment. And what is
    read in many pieces of a database that changes fits together by luck alone.
    """
    match database:
        case SqliteSnapshot() | MariaSnapshot():
            yield database
        case SqliteDatabase():
            if not database.path.exists():
                raise FileNotFoundError(database.path)  # connecting would make an empty one
            with closing(sqlite3.connect(":memory:")) as memory:
                with database.connect() as connection:
                    connection.backup(memory)
                yield SqliteSnapshot(database.path, memory)
        case MariaDatabase():
            with database.connect() as connection:
                connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT")
                yield MariaSnapshot(
                    database.host, database.port, database.name, database.user, database.password, connection
                )


def query(database: Database, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """All rows of one statement; ``?`` marks the values in both dialects. A missing file or table raises as it is."""
    return query_with_names(database, statement, *values)[1]


def query_with_names(database: Database, statement: str, *values: Any) -> tuple[list[str], list[tuple[Any, ...]]]:
    """As `query`, with the names of the columns before the rows."""
    if isinstance(database, SqliteDatabase):
        if not database.path.exists():
            raise FileNotFoundError(database.path)  # connecting would make an empty one
        with database.connect() as connection:
            cursor = connection.execute(statement, values)
            return [entry[0] for entry in cursor.description or ()], cursor.fetchall()
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute(statement.replace("%", "%%").replace("?", "%s") if values else statement, values or None)
        return [entry[0] for entry in cursor.description or ()], list(cursor.fetchall())
