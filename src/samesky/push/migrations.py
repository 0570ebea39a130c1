"""Bringing a centre's database to what this samesky needs: numbered steps, each taken once, never one back.

A fresh database gets all tables at once and the number of the last step. Tables and columns that the model got since
then are added; nothing is ever dropped, nor is the type of a column changed.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Table, inspect, select
from sqlalchemy.schema import CreateColumn

from ..errors import ConfigError, Locked
from .central_tables import CentralTables
from .databases import LOCK_TIMEOUT_S, Database

FIRST_VERSION = 1
_LOCK = "samesky_schema"
_LOCK_NUMBER = 0x73616D65736B79  # "samesky": PostgreSQL's advisory locks have numbers


@dataclass(frozen=True, slots=True)
class Migration:
    """One step: to ``version`` from the one before. ``apply`` must do no harm when it is done twice.

    It runs in one transaction where the database can undo what it does to tables: MariaDB can't.
    """

    version: int
    apply: Callable[[Connection, CentralTables], None]


MIGRATIONS: tuple[Migration, ...] = ()
"""The steps after the first version, in order."""


def ensure_schema(database: Database, tables: CentralTables, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make or migrate the tables of a centre; several servers may do so at once.

    Raises `ConfigError` when a newer samesky has made them, and what `Database.worded` says.
    """
    newest = migrations[-1].version if migrations else FIRST_VERSION
    with _locked(database):
        if not (found := _read_version(database, tables)):
            with database.writing() as connection:
                tables.metadata.create_all(connection)
                _note_version(connection, tables, newest)
        elif found > newest:
            raise ConfigError(
                f"Database {database.name} was made by a newer samesky (its tables are of version {found}, "
                f"this samesky knows {newest})",
                hint="Install that samesky here as well.",
            )
        for step in migrations:
            if found and step.version > found:
                with database.writing() as connection:
                    step.apply(connection, tables)
                    _note_version(connection, tables, step.version)
        with database.writing() as connection:
            _ensure_model(connection, tables)
            _ensure_centre(connection, tables)


def read_centre_id(connection: Connection, tables: CentralTables) -> str:
    """The centre's own name, random, given once: a database restored from a backup keeps it."""
    return str(connection.execute(select(tables.centre.c.centre)).scalar_one())


@contextmanager
def _locked(database: Database) -> Iterator[None]:
    """Nobody else changes the tables meanwhile. SQLite's own transactions are enough: each is alone."""
    if database.dialect == "sqlite":
        yield
        return
    with database.worded(), database.engine.connect() as connection:
        if database.dialect == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_lock({_LOCK_NUMBER})")
        elif connection.exec_driver_sql(f"SELECT GET_LOCK('{_LOCK}', {LOCK_TIMEOUT_S})").scalar() != 1:
            raise Locked("Another server changes the tables of the centre", hint="Try again in a minute.")
        connection.commit()  # the lock is the connection's; a transaction would be ended for being idle
        try:
            yield
        finally:
            pg = database.dialect == "postgresql"
            connection.exec_driver_sql(
                f"SELECT pg_advisory_unlock({_LOCK_NUMBER})" if pg else f"SELECT RELEASE_LOCK('{_LOCK}')"
            )


def _read_version(database: Database, tables: CentralTables) -> int:
    """The version of the tables; 0 when there are none."""
    with database.reading() as connection:
        if not inspect(connection).has_table(tables.schema.name):
            return 0
        versions = connection.execute(select(tables.schema.c.version)).scalars().all()
    return max(versions, default=0)


def _note_version(connection: Connection, tables: CentralTables, version: int) -> None:
    known = select(tables.schema.c.version).where(tables.schema.c.version == version)
    if connection.execute(known).first() is None:
        connection.execute(tables.schema.insert().values(version=version, applied_s=int(time.time())))


def _ensure_model(connection: Connection, tables: CentralTables) -> None:
    """Add the tables and columns that the model has and the database doesn't."""
    tables.metadata.create_all(connection)
    inspector = inspect(connection)
    for described in tables.model.tables:
        table = tables.of(described)
        there = {column["name"].lower() for column in inspector.get_columns(table.name)}
        _check_key(table, inspector.get_pk_constraint(table.name)["constrained_columns"])
        for column in table.columns:
            if column.name.lower() not in there:
                words = CreateColumn(column).compile(dialect=connection.dialect)
                quoted = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"ALTER TABLE {quoted} ADD COLUMN {words}".replace("NOT NULL", ""))


def _check_key(table: Table, found: Sequence[str]) -> None:
    expected = [column.name for column in table.primary_key.columns]
    if list(found) != expected:
        raise ConfigError(
            f"The table {table.name} of the centre has the key ({', '.join(found)}), the model ({', '.join(expected)})",
            hint="Give the table another name in the model, or use another database.",
        )


def _ensure_centre(connection: Connection, tables: CentralTables) -> None:
    if connection.execute(select(tables.centre.c.id)).first() is None:
        connection.execute(tables.centre.insert().values(id=1, centre=secrets.token_hex(16)))
