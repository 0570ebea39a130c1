"""Rows of a site's database as columns, fast: made by the driver, or by the database itself where that is faster.

PyMySQL makes 120,000 rows a second; MariaDB, which writes each column as one text, and Python's JSON make 400,000.
"""

import json
from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import Connection

from .model import ColumnModel, ValueKind
from .site_schema import Place

_TEXT_BYTES = 64  # more than the text of any number has


class ColumnReader:
    """Reads from ``connection``; ``most_bytes`` is the longest row that MariaDB answers with."""

    def __init__(self, connection: Connection, *, most_bytes: int = 0) -> None:
        self._connection = connection
        self._most_bytes = most_bytes

    def read(
        self, place: Place, condition: str, values: Sequence[object] = (), *, most: int | None = None
    ) -> list[list[Any]]:
        """The values by column, in the order of the key, as the database gives them."""
        order = ", ".join(map(place.column, place.model.key))
        tail = f" FROM {place.sql}{f' WHERE {condition}' if condition else ''} ORDER BY {order}"
        if place.dialect == "mysql" and place.model.append_only and not values:
            columns = self._read_concatenated(place, tail, most)
            if columns is not None:
                return columns
        tail += f" LIMIT {int(most)}" if most is not None else ""
        rows = self.execute(f"SELECT {', '.join(place.values())}{tail}", values)
        return list(map(list, zip(*rows, strict=True))) or [[] for _ in place.model.columns]

    def _read_concatenated(self, place: Place, tail: str, most: int | None) -> list[list[Any]] | None:
        """The values as MariaDB writes them, a text for each column; None when these are too long, or not numbers."""
        columns = place.model.columns
        limit = self._most_bytes // (_TEXT_BYTES * len(columns))
        if (most or 0) > limit or any(column.kind is ValueKind.TEXT for column in columns):
            return None
        ((count, *texts),) = self.execute(_concatenate(place, f"{tail} LIMIT {most or limit}"))
        if most is None and count == limit:  # there may be more
            return None
        try:
            values = [json.loads(f"[{text or ''}]") for text in texts]
        except ValueError:
            return None
        return values if all(len(of_column) == count for of_column in values) else None

    def execute(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows, as the driver makes them: SQLAlchemy's own take longer than they do."""
        binary = {"binary": True} if self._connection.dialect.name == "postgresql" else {}
        cursor: Any = self._connection.connection.cursor(**binary)
        try:
            cursor.execute(statement, tuple(values)) if values else cursor.execute(statement)
            return cast(list[tuple[Any, ...]], cursor.fetchall())
        finally:
            cursor.close()


def _concatenate(place: Place, tail: str) -> str:
    """The question for one row: how many there are, and a text with all values of each column."""
    named = [(column, f"v{number}") for number, column in enumerate(place.model.columns)]
    inner = ", ".join(f"{value} AS {name}" for value, (_, name) in zip(place.values(), named, strict=True))
    texts = ", ".join(f"GROUP_CONCAT(COALESCE({_text_of(column, name)}, 'null'))" for column, name in named)
    return f"SELECT COUNT(*), {texts} FROM (SELECT {inner}{tail}) AS page"


def _text_of(column: ColumnModel, name: str) -> str:
    """A number as MariaDB's text, exactly: it cuts a double to a few digits unless it is told how long it may be."""
    return f"CAST({name} AS CHAR(60))" if column.kind is ValueKind.DOUBLE else name
