"""Storing pages of rows fast: one statement a page, which inserts what is new and changes what differs.

Measured: SQLAlchemy's ``values([...])`` takes 54 s of processor a million rows; these take 2 to 6 s, most of it in the
database. Columns travel whole: as arrays to PostgreSQL, as the text of one INSERT to MariaDB, by executemany to SQLite.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import compress, repeat
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Table

from .central_tables import SITE_COLUMN
from .databases import Dialect
from .model import ColumnModel, TableModel, ValueKind

_STATEMENT_SIZE = 500_000  # characters, of 4 bytes at most: MySQL 5.7 takes statements of 4 MiB

Columns = Sequence[Sequence[object]]
"""Values by column, in the model's order, in the centre's ids."""


class Counts(NamedTuple):
    """What became of rows: there was none of the key, or one with other values, or one with the same."""

    new: int
    changed: int
    same: int


class Upsert:
    """Stores rows of one table, mostly an append-only one; each key may come once a call."""

    def __init__(self, dialect: Dialect, model: TableModel, table: Table) -> None:
        store: dict[Dialect, Callable[[TableModel, Table], Callable[[Connection, int, Columns], Counts]]] = {
            "sqlite": _SqliteUpsert,
            "mysql": _MysqlUpsert,
            "postgresql": _PostgresqlUpsert,
        }
        self._store = store[dialect](model, table)

    def apply(self, connection: Connection, columns: Columns, *, site: int) -> Counts:
        """Store the rows in ``columns`` as those of ``site``; returns the exact counts.

        The transaction has to hold the site, when the table's rows are of sites: nobody else may store such meanwhile.
        """
        if not columns or not columns[0]:
            return Counts(0, 0, 0)
        return self._store(connection, site, columns)


class _SqliteUpsert:
    """Inserts what has no row of its key; only if that weren't all, looks at the others."""

    def __init__(self, model: TableModel, table: Table) -> None:
        self._of_site = model.of_site
        names = _names(model)
        values = [f"datetime(?{i}, 'unixepoch')" if _is_time(c) else f"?{i}" for i, c in enumerate(_columns(model), 1)]
        into = f"INSERT INTO {_quote(table.name)} ({', '.join(map(_quote, names))}) VALUES ({', '.join(values)}) "
        key, others = _split(model)
        self._insert = into + "ON CONFLICT DO NOTHING"
        differs = " OR ".join(f"{_quote(table.name)}.{_quote(name)} IS NOT excluded.{_quote(name)}" for name in others)
        changes = ", ".join(f"{_quote(name)} = excluded.{_quote(name)}" for name in others)
        on_key = f"ON CONFLICT ({', '.join(map(_quote, key))}) DO UPDATE SET {changes} WHERE {differs}"
        self._update = into + on_key if others else ""

    def __call__(self, connection: Connection, site: int, columns: Columns) -> Counts:
        rows = list(zip(*([repeat(site)] if self._of_site else []), *columns))  # noqa: B905 - repeat() has no end
        new = connection.exec_driver_sql(self._insert, rows).rowcount
        changed = 0
        if new < len(rows) and self._update:
            changed = connection.exec_driver_sql(self._update, rows).rowcount
        return Counts(new, changed, len(rows) - new - changed)


class _MysqlUpsert:
    """INSERT … ON DUPLICATE KEY UPDATE with all values in its text: one, unless the page is large."""

    def __init__(self, model: TableModel, table: Table) -> None:
        names = [f"`{name}`" for name in _names(model)]
        self._columns = model.columns
        self._of_site = model.of_site
        self._head = f"INSERT INTO `{table.name}` ({', '.join(names)}) VALUES "
        key, others = _split(model)
        # Each row that finds its key taken adds one to @samesky_found: the counts that MariaDB tells can't be taken
        # apart otherwise, since the driver asks for rows found in place of rows changed.
        counted = (others or key)[0]
        changes = [f"`{name}` = VALUES(`{name}`)" for name in others if name != counted]
        changes.insert(0, f"`{counted}` = IF(@samesky_found := @samesky_found + 1, VALUES(`{counted}`), NULL)")
        self._tail = f" ON DUPLICATE KEY UPDATE {', '.join(changes)}"

    def __call__(self, connection: Connection, site: int, columns: Columns) -> Counts:
        driver: Any = connection.connection  # by SQLAlchemy the values would be in the words of every error
        cursor = driver.cursor()
        try:
            cursor.execute("SET @samesky_found = 0")
            affected = sum(
                cursor.execute(f"{self._head}{rows}{self._tail}")
                for rows in self._write_rows(driver.driver_connection.escape, site, columns)
            )
            cursor.execute("SELECT @samesky_found")
            found = int(cursor.fetchone()[0])
        finally:
            cursor.close()
        count = len(columns[0])
        changed = affected - count  # a row that is changed counts twice
        return Counts(count - found, changed, found - changed)

    def _write_rows(self, literal: Callable[[object], str], site: int, columns: Columns) -> Iterator[str]:
        """The rows as they stand behind VALUES, of one statement after the other."""
        texts = [_write_column(column, values, literal) for column, values in zip(self._columns, columns, strict=True)]
        rows = list(map(",".join, zip(*texts, strict=True)))
        first = f"({site}," if self._of_site else "("
        statements = 1 + sum(map(len, rows)) // _STATEMENT_SIZE
        at_once = -(-len(rows) // statements)
        for start in range(0, len(rows), at_once):
            yield f"{first}{f'),{first}'.join(rows[start : start + at_once])})"


class _PostgresqlUpsert:
    """One INSERT … SELECT of arrays, ON CONFLICT DO UPDATE where something differs; where nothing can be, without it.

    To be ready for conflicts takes PostgreSQL 8 s of processor a million rows, in place of 3. Most pages have times of
    which there is nothing yet, but for the first: the page before may have ended within that second. Nobody else writes
    the site's rows meanwhile: the transaction holds the site.
    """

    def __init__(self, model: TableModel, table: Table) -> None:
        self._model = model
        name = _quote(table.name)
        columns = [_quote(column.name) for column in model.columns]
        arrays = ", ".join(f"%s::{_ARRAYS[column.kind]}[]" for column in model.columns)
        given = ", ".join(
            f"timestamp 'epoch' + e.{_quote(c.name)} * interval '1 second'" if _is_time(c) else f"e.{_quote(c.name)}"
            for c in model.columns
        )
        key, others = _split(model)
        differs = " OR ".join(f"t.{_quote(each)} IS DISTINCT FROM excluded.{_quote(each)}" for each in others)
        changes = ", ".join(f"{_quote(each)} = excluded.{_quote(each)}" for each in others)
        action = f"UPDATE SET {changes} WHERE {differs}" if others else "NOTHING"
        self._insert = (
            f"INSERT INTO {name} AS t ({', '.join(map(_quote, _names(model)))}) "
            f"SELECT {'%s::bigint, ' if model.of_site else ''}{given} "
            f"FROM unnest({arrays}) AS e({', '.join(columns)}) "
        )
        self._statement = (
            f"WITH stored AS ({self._insert}ON CONFLICT ({', '.join(map(_quote, key))}) DO {action} "
            # A row that was there has been locked or changed by this transaction: its xmax is set.
            "RETURNING (t.xmax = 0) AS fresh) "
            "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM stored"
        )
        self._first = model.names.index(model.key[0])
        self._is_there = ""
        if model.of_site and _is_time(model.column(model.key[0])):
            moment = "timestamp 'epoch' + %s * interval '1 second'"
            self._is_there = (
                f"SELECT EXISTS (SELECT 1 FROM {name} WHERE {_quote(SITE_COLUMN)} = %s "
                f"AND {_quote(model.key[0])} > {moment} AND {_quote(model.key[0])} <= {moment})"
            )

    def __call__(self, connection: Connection, site: int, columns: Columns) -> Counts:
        if not self._is_there:
            return self._store_any(connection, site, columns)
        times = cast(Sequence[int], columns[self._first])
        first, last = min(times), max(times)
        if first == last or connection.exec_driver_sql(self._is_there, (site, first, last)).scalar_one():
            return self._store_any(connection, site, columns)
        new, changed, same = self._store_any(connection, site, _choose(columns, [time == first for time in times]))
        others = _choose(columns, [time != first for time in times])
        connection.exec_driver_sql(self._insert, self._parameters(site, others))
        return Counts(new + len(others[0]), changed, same)

    def _store_any(self, connection: Connection, site: int, columns: Columns) -> Counts:
        new, changed = connection.exec_driver_sql(self._statement, self._parameters(site, columns)).one()
        return Counts(new, changed, len(columns[0]) - new - changed)

    def _parameters(self, site: int, columns: Columns) -> tuple[object, ...]:
        arrays = [_array_text(column, values) for column, values in zip(self._model.columns, columns, strict=True)]
        return (site, *arrays) if self._model.of_site else tuple(arrays)


def _choose(columns: Columns, chosen: Sequence[bool]) -> Columns:
    return [list(compress(values, chosen)) for values in columns]


def _array_text(column: ColumnModel, values: Sequence[object]) -> str:
    """``values`` as PostgreSQL reads an array."""
    if column.kind is ValueKind.TEXT:
        texts = ("NULL" if value is None else _array_quote(cast(str, value)) for value in values)
        return "{" + ",".join(texts) + "}"
    return "{" + repr(list(values))[1:-1].replace("None", "NULL") + "}"


def _array_quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _write_column(column: ColumnModel, values: Sequence[object], literal: Callable[[object], str]) -> list[str]:
    """``values`` as MariaDB reads them; Python writes numbers as SQL does, whole lists of them in C."""
    if column.kind is ValueKind.TEXT:
        return list(map(literal, values))
    if column.kind is ValueKind.TIME:
        values = _write_times(cast(Sequence[int | None], values))
    return repr(list(values))[1:-1].replace("None", "NULL").split(", ")


def _write_times(times: Sequence[int | None]) -> Sequence[int | None]:
    """``times`` as the numbers that MariaDB takes for times, faster than any text: 20231115003000."""
    if None in times:
        known = [time for time in times if time is not None]
        written = dict(zip(known, _write_times(known), strict=True))
        return [None if time is None else written[time] for time in times]
    seconds = cast(Sequence[int], times)
    hours = {hour: _write_hour(hour) for hour in {second // 3600 for second in seconds}}
    return [hours[second // 3600] + _IN_HOUR[second % 3600] for second in seconds]


def _write_hour(hour: int) -> int:
    moment = datetime(1970, 1, 1) + timedelta(hours=hour)
    return (moment.year * 10_000 + moment.month * 100 + moment.day) * 1_000_000 + moment.hour * 10_000


def _split(model: TableModel) -> tuple[list[str], list[str]]:
    """The columns of the centre's primary key, and the others."""
    key = [*([SITE_COLUMN] if model.of_site else []), *model.key]
    return key, [column.name for column in model.columns if column.name not in model.key]


def _names(model: TableModel) -> list[str]:
    return [*([SITE_COLUMN] if model.of_site else []), *model.names]


def _columns(model: TableModel) -> list[ColumnModel]:
    return [*([ColumnModel(SITE_COLUMN, ValueKind.INTEGER)] if model.of_site else []), *model.columns]


def _is_time(column: ColumnModel) -> bool:
    return column.kind is ValueKind.TIME


def _quote(name: str) -> str:
    """A name of the model, which has letters, digits and underscores alone (`described.check_model`)."""
    return f'"{name}"'


_IN_HOUR = tuple(minute * 100 + second for minute in range(60) for second in range(60))
_ARRAYS = {
    ValueKind.INTEGER: "bigint",
    ValueKind.DOUBLE: "double precision",
    ValueKind.TEXT: "text",
    ValueKind.TIME: "bigint",
    ValueKind.FLAG: "smallint",
}
