"""A database that is pushed from or gathered in: SQLite, MariaDB or MySQL, PostgreSQL, with safe settings on each.

Both ends use it. A site's is opened with ``read_only``: nothing is ever written there, not even a journal mode.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from ..errors import ConfigError
from .database_address import CONNECT_TIMEOUT_S, Address, Dialect, describe_url, read_address
from .database_errors import worded

__all__ = ["Database", "Dialect", "describe_url"]

LOCK_TIMEOUT_S = 20
STATEMENT_TIMEOUT_S = 300
_CONNECTIONS_KEPT = 5
_READS = "samesky_reads"


class Database:
    """One database and its connections, which are made when they are needed; ends them as a context manager.

    Use `reading` and `writing`; around anything else that is done with ``engine``, use `worded`. Any thread may use it.
    """

    def __init__(self, url: str, *, password: str = "", read_only: bool = False, most_connections: int = 40) -> None:
        """Read ``url`` (``password`` in place of its own); raises `ConfigError` when it is no database's."""
        self._address = read_address(url, password=password)
        self.read_only = read_only
        self.dialect: Dialect = self._address.dialect
        self.name = str(self._address)
        """The address without the password, for people and logs."""
        with worded(self.name):
            self.engine = self._make_engine(most_connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections that nobody uses; the others end when they are given back."""
        self.engine.dispose()

    @contextmanager
    def worded(self) -> Iterator[None]:
        """Around work with ``engine`` or a driver: their exceptions become ours.

        `Unreachable` (waiting may help), `Locked` (do the transaction again), `ConfigError` (address, account, rights),
        `DataError` (the rest), `SetupError` (no driver).
        """
        with worded(self.name):
            yield

    @contextmanager
    def reading(self, *, pinned: bool = True) -> Iterator[Connection]:
        """One transaction that sees one state of the database and changes nothing; raises as `worded` says.

        On a SQLite file that isn't in WAL mode it keeps everybody from writing. There, and there alone, ``pinned`` may
        be False: each statement sees a state of its own, and writers wait for no more than a statement.
        """
        with self.worded(), self.engine.connect() as connection:
            connection.execution_options(**{_READS: "BEGIN" if pinned else ""})
            connection.begin()  # here, and not with the first statement: that may be handed to the driver by itself
            if self.dialect == "mysql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            elif self.dialect == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield connection
            connection.rollback()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, committed at the end, rolled back by an exception; raises as `worded` says.

        It sees what others have committed before each statement, but on SQLite, where it is alone from the beginning.
        """
        if self.read_only:
            raise ConfigError(f"Database {self.name} is opened to be read only")
        with self.worded(), self.engine.connect() as connection, connection.begin():
            yield connection

    def _make_engine(self, most_connections: int) -> Engine:
        engine = create_engine(
            _driver_url(self._address, read_only=self.read_only),
            connect_args=_connect_options(self._address),
            pool_size=min(_CONNECTIONS_KEPT, most_connections),
            max_overflow=max(0, most_connections - _CONNECTIONS_KEPT),
            pool_timeout=LOCK_TIMEOUT_S,
            pool_recycle=3600,
            pool_pre_ping=self.dialect != "sqlite",
            hide_parameters=True,
        )
        event.listen(engine, "connect", self._set_up)
        if self.dialect == "sqlite":
            event.listen(engine, "begin", self._begin)
        return engine

    def _set_up(self, connection: Any, _entry: ConnectionPoolEntry) -> None:
        """Give a new connection its settings."""
        if self.dialect == "sqlite":
            connection.isolation_level = None  # transactions begin where we say, in `_begin`
            connection.text_factory = _decode_text
        cursor = connection.cursor()
        for statement in _settings(self.dialect, read_only=self.read_only):
            cursor.execute(statement)
        cursor.close()
        if self.dialect == "postgresql":
            connection.commit()

    def _begin(self, connection: Connection) -> None:
        # Whoever reads first and writes later may find that another has written: so take the lock from the beginning.
        begin = connection.get_execution_options().get(_READS, "BEGIN" if self.read_only else "BEGIN IMMEDIATE")
        if begin:
            connection.exec_driver_sql(begin)


def _driver_url(address: Address, *, read_only: bool) -> URL:
    """The URL as SQLAlchemy needs it: a file as a URI, which alone says that it must be there and isn't written."""
    if address.dialect != "sqlite":
        return address.url
    file = Path(str(address.url.database)).expanduser().absolute().as_uri()
    return address.url.set(database=file, query={"uri": "true", "mode": "ro" if read_only else "rwc"})


def _connect_options(address: Address) -> dict[str, Any]:
    match address.dialect:
        case "sqlite":
            return {"timeout": float(LOCK_TIMEOUT_S)}
        case "mysql":
            limits = {"read_timeout": STATEMENT_TIMEOUT_S, "write_timeout": STATEMENT_TIMEOUT_S}
            # As bytes, since PyMySQL would encode it as Latin-1.
            password = {"password": str(address.url.password).encode()} if address.url.password else {}
            return {"charset": "utf8mb4", "connect_timeout": CONNECT_TIMEOUT_S, **limits, **password} | _tls(address)
        case "postgresql":
            alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60000}
            return {"connect_timeout": CONNECT_TIMEOUT_S, "application_name": "samesky"} | alive | _tls(address)


def _tls(address: Address) -> dict[str, Any]:
    """The options of ``address``, and what follows from them: who names an authority has the server proven by it."""
    if address.dialect == "postgresql":
        return ({"sslmode": "verify-full"} if "sslrootcert" in address.options else {}) | address.options
    if "ssl_ca" in address.options:
        return {"ssl_verify_cert": True, "ssl_verify_identity": True} | address.options
    # On this machine TLS protects nothing, and costs 30 ms a connection.
    is_clear = address.is_local and not any(name.startswith("ssl") for name in address.options)
    return ({"ssl_disabled": True} if is_clear else {}) | address.options


def _settings(dialect: Dialect, *, read_only: bool) -> tuple[str, ...]:
    match dialect:
        case "sqlite" if read_only:
            return ("PRAGMA query_only = ON", "PRAGMA trusted_schema = OFF", "PRAGMA cache_size = -8000")
        case "sqlite":
            return (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                "PRAGMA foreign_keys = ON",
                "PRAGMA trusted_schema = OFF",
                "PRAGMA cache_size = -8000",
            )
        case "mysql":
            # A value that doesn't fit must be an error, never cut short; times have no zone and mean UTC.
            return (
                "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'",
                f"SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = {LOCK_TIMEOUT_S}, "
                f"lock_wait_timeout = {LOCK_TIMEOUT_S}, group_concat_max_len = {16 << 20}",
                "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
            )
        case "postgresql":
            # A site's snapshot waits for the network; at the centre, nobody may keep the others waiting.
            idle_s = 0 if read_only else STATEMENT_TIMEOUT_S
            # extra_float_digits: before PostgreSQL 12 a double lost digits without it.
            return (
                f"SET timezone = 'UTC'; SET lock_timeout = '{LOCK_TIMEOUT_S}s'; "
                f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'; "
                f"SET idle_in_transaction_session_timeout = '{idle_s}s'; "
                "SET extra_float_digits = 3; SET standard_conforming_strings = on; SET client_encoding = 'UTF8'; "
                "SET DateStyle = 'ISO'",
            )


def _decode_text(raw: bytes) -> str:
    """SQLite keeps what it is given: what isn't UTF-8 must not stop the reading of other rows."""
    return raw.decode("utf-8", "surrogateescape")
