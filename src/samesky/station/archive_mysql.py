"""MariaDB's and MySQL's half of `archive`, through PyMySQL or MySQLdb, whichever is there."""

import importlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from decimal import Decimal
from types import ModuleType
from typing import Any

from ..core.columns import Column
from ..errors import DataError, SetupError, Unreachable
from .archive import Archive
from .archive_reader import Row, quoted_names
from .location import MysqlLocation
from .schema import kind_of

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 120
# Errors that may pass: lock wait, deadlock, too many connections, disk full, server shutting down, refused, gone.
_TRANSIENT = {1205, 1213, 1040, 1021, 1053, 1927, 2002, 2003, 2005, 2006, 2013, 2055, 3024, 0}
# No such column, no such table: somebody is changing the schema. It is read again after a failure, as with SQLite.
_SCHEMA_CHANGED = {1054, 1146}


class MysqlArchive(Archive):
    """An archive in a MariaDB or MySQL database."""

    dialect = "mysql"
    mark = "%s"

    def __init__(self, location: MysqlLocation, *, create: bool = False) -> None:
        self._driver = import_driver()
        self._server = location
        self._in_transaction = False
        if create:
            self._create_database()
        super().__init__(location, self._connect(location.database))

    def reopen(self) -> None:
        self.close()
        self.forget_schema()
        self._in_transaction = False
        self._connection = self._connect(self._server.database)

    def close(self) -> None:
        try:
            self._connection.close()
        except self._driver.Error:
            pass  # a connection that the server has dropped can't say goodbye

    def _connect(self, database: str | None) -> Any:
        server = self._server
        with self._worded():
            return self._driver.connect(
                host=server.host,
                port=server.port,
                user=server.user,
                password=server.password,
                charset="utf8mb4",
                autocommit=True,
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=READ_TIMEOUT_S,
                **({"database": database} if database else {}),
            )

    def _create_database(self) -> None:
        with closing(self._connect(None)) as connection, closing(connection.cursor()) as cursor, self._worded():
            cursor.execute("SHOW DATABASES LIKE %s", (self._server.database,))
            if not cursor.fetchall():
                cursor.execute(f"CREATE DATABASE `{self._server.database}`")

    def _read_columns(self) -> tuple[Column, ...]:
        if self.table not in self.read_tables():
            return ()
        return tuple(Column(row[0], kind_of(row[1])) for row in self._read_all(f"SHOW COLUMNS FROM `{self.table}`"))

    def _read_optional(self) -> frozenset[str]:
        rows = self._read_all(f"SHOW COLUMNS FROM `{self.table}`")
        return frozenset(row[0] for row in rows if row[2] == "YES" and row[4] is None and not row[5])

    def read_tables(self) -> set[str]:
        return {row[0] for row in self._read_all("SHOW TABLES")}

    def read_change_mark(self) -> object:
        """A value that changes whenever a record has been added."""
        return self._read_row(f"SELECT MAX(`dateTime`) FROM `{self.table}`")[0]

    def _read_all(self, query: str, *values: Any) -> Sequence[Row]:
        rows = super()._read_all(query, *values)
        if any(isinstance(value, Decimal) for row in rows[:1] for value in row):
            return [tuple(_plain(value) for value in row) for row in rows]
        return rows

    def _run(self, cursor: Any, query: str, values: Row = ()) -> None:
        with self._worded():
            cursor.execute(query, tuple(values) if values else None)

    def _execute_many(self, query: str, rows: Sequence[Row]) -> int:
        with closing(self._connection.cursor()) as cursor, self._worded():
            cursor.executemany(query, rows)
            return int(cursor.rowcount)

    def _insert_query(self, names: Sequence[str]) -> str:
        # INSERT IGNORE would also swallow values out of range; this touches nothing when the time is there already.
        return (
            f"INSERT INTO `{self.table}` ({quoted_names(names)}) VALUES ({self._marks(len(names))}) "
            "ON DUPLICATE KEY UPDATE `dateTime` = `dateTime`"
        )

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[None]:
        if self._in_transaction:
            yield
            return
        self._execute("START TRANSACTION" if write else "START TRANSACTION WITH CONSISTENT SNAPSHOT")
        self._in_transaction = True
        try:
            yield
            self._in_transaction = False
            with self._worded():
                self._connection.commit()
        except BaseException:
            self._in_transaction = False
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        try:
            self._connection.rollback()
        except self._driver.Error:
            pass  # the connection is gone, and its transaction with it

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except (self._driver.OperationalError, self._driver.InterfaceError, self._driver.InternalError) as error:
            kind = Unreachable if _number(error) in _TRANSIENT | _SCHEMA_CHANGED else DataError
            hint = (
                "Check that the server runs and that host, port, user and password are right."
                if kind is Unreachable
                else ""
            )
            raise kind(f"MySQL database {self._server}: {_text(error)}", hint=hint) from error
        except (self._driver.Error, OverflowError, ValueError) as error:
            if isinstance(error, self._driver.ProgrammingError) and _number(error) in _SCHEMA_CHANGED:
                raise Unreachable(f"MySQL database {self._server}: {_text(error)}") from error
            raise DataError(f"MySQL database {self._server}: {_text(error)}") from error
        except OSError as error:
            raise Unreachable(f"MySQL database {self._server}: {error}") from error


def import_driver() -> ModuleType:
    """MySQLdb or PyMySQL; raises `SetupError` when neither is installed."""
    for name in ("pymysql", "MySQLdb"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise SetupError(
        "A MariaDB or MySQL database is configured, but no driver for it is installed",
        hint="Install one: apt install python3-pymysql, or pip install PyMySQL in WeeWX's environment.",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _number(error: Exception) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _text(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error)
