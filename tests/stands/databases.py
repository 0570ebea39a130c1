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
