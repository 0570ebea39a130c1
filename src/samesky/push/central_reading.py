"""Reading many rows of an append-only table at the centre: whole columns, made by the database, not row by row.

Measured for 400,000 readings: PyMySQL makes 120,000 rows a second of MariaDB's, and its JSON decoder 400,000.
"""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from ..core.columns import Table as Rows
from .central_tables import SITE_COLUMN
from .databases import Dialect
from .model import ColumnModel, TableModel, ValueKind
from .sql_words import TimeForm, quote, spell_time, value_of
from .values import take_doubles


def read_rows(
    connection: Connection,
    dialect: Dialect,
    table: TableModel,
    *,
    from_s: int,
    to_s: int,
    site: int,
    second: int | None = None,
) -> Rows:
    """The rows of ``site`` with ``from_s`` <= time < ``to_s`` and, unless None, ``second``; in the centre's ids.

    ``second`` is of the key's second column. Rows come in any order.
    """
    time = quote(dialect, table.time_column)
    low, high = (spell_time(dialect, TimeForm.DATETIME, time_s) for time_s in (from_s, to_s))
    conditions = [f"{quote(dialect, SITE_COLUMN)} = {int(site)}"] if table.of_site else []
    conditions.append(f"{time} >= {low} AND {time} < {high}")
    if second is not None:
        conditions.append(f"{quote(dialect, table.key[1])} = {int(second)}")
    tail = f"FROM {quote(dialect, table.name)} WHERE {' AND '.join(conditions)}"
    columns = read_columns(connection, dialect, table.columns, tail)
    return take_doubles(table, Rows(table.name, table.wire, tuple(columns)))


def read_columns(
    connection: Connection, dialect: Dialect, columns: Sequence[ColumnModel], tail: str
) -> list[list[Any]]:
    """The values of each of ``columns``, for ``tail``: FROM and what is behind it."""
    values = [value_of(dialect, TimeForm.DATETIME, column, quote(dialect, column.name)) for column in columns]
    if dialect == "mysql" and all(column.kind is not ValueKind.TEXT for column in columns):
        return _read_written(connection, values, tail)
    return _read_plain(connection, values, tail)


def _read_plain(connection: Connection, values: list[str], tail: str) -> list[list[Any]]:
    driver: Any = connection.connection
    cursor = driver.cursor(binary=True) if connection.dialect.name == "postgresql" else driver.cursor()
    try:
        cursor.execute(f"SELECT {', '.join(values)} {tail}")
        return list(map(list, zip(*cursor.fetchall(), strict=True))) or [[] for _ in values]
    finally:
        cursor.close()


def _read_written(connection: Connection, values: list[str], tail: str) -> list[list[Any]]:
    """As MariaDB writes them: each column one text, with commas between."""
    texts = ", ".join(f"GROUP_CONCAT(COALESCE({value}, 'null'))" for value in values)
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"SELECT COUNT(*), LEAST(@@group_concat_max_len, @@max_allowed_packet), {texts} {tail}")
        count, most, *written = cursor.fetchall()[0]
    finally:
        cursor.close()
    if any(len(text or "") >= most for text in written):  # it was cut off, perhaps in the middle of a number
        return _read_plain(connection, values, tail)
    return [json.loads(f"[{text or ''}]") if count else [] for text in written]
