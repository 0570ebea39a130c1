"""What is read from a site's database, as the model has it; nothing is ever written there.

Values are exact to the bit, whatever the types are in which the site holds them; times are whole seconds.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import lt
from typing import Any, cast

from sqlalchemy import Connection

from ..config import Findings
from ..core.columns import Table
from ..errors import DataError
from .active_rows import choose_active
from .checksums import read_checksums
from .column_reading import ColumnReader
from .databases import Database
from .digests import Group
from .fit_rows import last_fit_key, take_fit
from .key_conditions import after_key, between, mark_of
from .model import Model, TableModel, ValueKind
from .site_schema import Place, SiteSchema, read_schema
from .values import HIGHEST_DATE, LOWEST_DATE

log = logging.getLogger(__name__)

_IDS_AT_ONCE = 500
_LEAST_ROWS = 100  # to be read at once in search of one that can be told


class SiteDatabase:
    """The tables of ``model`` in a site's ``database``; any thread may use it."""

    def __init__(self, database: Database, model: Model) -> None:
        self.database = database
        self.model = model
        self._schema: SiteSchema | None = None
        self._unfit: dict[tuple[str, str], int] = {}

    @property
    def unfit(self) -> Mapping[tuple[str, str], int]:
        """Table and column -> how many rows were seen, at most at once, with a value there that can't be told."""
        return dict(self._unfit)

    def check(self) -> Findings:
        """What is wrong with the tables, or good to know; nothing but the database's names is looked at.

        Raises `Unreachable` and `ConfigError` when the database can't be opened.
        """
        with self.database.reading(pinned=False) as connection:
            return self._read_schema(connection).findings

    @contextmanager
    def snapshot(self) -> Iterator["SiteSnapshot"]:
        """One state of the database, to be read from one thread; raises what `Database.worded` says.

        Raises `ConfigError` with every mistake when the tables aren't those of the model. On a SQLite file that isn't
        in WAL mode, where a transaction keeps the site from writing, each read sees a state of its own.
        """
        schema = self._schema
        if schema is None:
            with self.database.reading(pinned=False) as connection:
                schema = self._read_schema(connection)
            _refuse_mistakes(schema)
        try:
            with self.database.reading(pinned=schema.pinned) as connection:
                if schema.is_outdated(connection):
                    schema = self._read_schema(connection)
                    _refuse_mistakes(schema)
                yield SiteSnapshot(connection, self.model, schema, note_unfit=self._note_unfit)
        except DataError:
            self._schema = None  # somebody may be changing the tables
            raise

    def _read_schema(self, connection: Connection) -> SiteSchema:
        schema = read_schema(connection, self.database.dialect, self.model, where=self.database.name)
        self._schema = None if schema.findings.errors else schema
        return schema

    def _note_unfit(self, table: str, column: str, count: int) -> None:
        if (table, column) not in self._unfit:  # they are met again in each run
            log.warning("push_row_unfit table=%s column=%s rows=%d", table, column, count)
        self._unfit[table, column] = max(count, self._unfit.get((table, column), 0))


class SiteSnapshot:
    """Reads tables, given by the model; those that the site hasn't have no rows.

    A row with a value that can't be told (NaN; in SQLite a text in a column of numbers, or one that isn't UTF-8) is
    left out and noted: others follow it. Rows of one key, whose times differ in fractions of a second, are one: the
    last.
    """

    def __init__(
        self,
        connection: Connection,
        model: Model,
        schema: SiteSchema,
        *,
        note_unfit: Callable[[str, str, int], None] = lambda _table, _column, _count: None,
    ) -> None:
        self._connection = connection
        self._model = model
        self._places = schema.places
        self._reader = ColumnReader(connection, most_bytes=schema.most_bytes)
        self._note_unfit = note_unfit

    def read_active(self, last_push_s: int | None) -> dict[str, Table]:
        """The dimensions that are there, and of their rows those that are active (`active_rows`), by id."""
        tables = {
            table.name: self._read_rows(self._places[table.name], "")
            for table in self._model.dimensions()
            if table.name in self._places
        }
        return choose_active(self._model, tables, last_push_s)

    def read_dimension(self, table: TableModel, ids: Collection[int]) -> Table:
        """The rows of a dimension with these ids, as far as there are any, by id."""
        place = self._places.get(table.name)
        if place is None or not ids:
            return _no_rows(table)
        wanted = sorted(ids)
        parts = [wanted[start : start + _IDS_AT_ONCE] for start in range(0, len(wanted), _IDS_AT_ONCE)]
        read = [self._read_rows(place, f"{place.column('id')} IN ({', '.join(map(str, part))})") for part in parts]
        return _join(read)

    def read_page(self, table: TableModel, after: Sequence[object] | None, most: int) -> Table:
        """The next rows of an append-only table after ``after``, in the order of the key; none at the end.

        ``after`` is a key, or the beginning of one: (time,) is before the next second. None: from the first row on.

        They are ``most``, or fewer and the last.
        """
        place = self._places.get(table.name)
        if place is None:
            return _no_rows(table)
        parts = [_no_rows(table)]
        lacking = most
        while lacking > 0:
            asked = max(lacking, min(most, _LEAST_ROWS))
            condition, values = after_key(place, after)
            raw = self._reader.read(place, condition, values, most=asked)
            page = self._in_order(place, self._finish_second(place, self._take_fit(table, raw), after))
            parts.append(page)
            lacking -= page.count
            if len(raw[0]) < asked:
                break
            after = [page.column(name)[-1] for name in table.key] if page.count else last_fit_key(table, raw)
        return _cut(_join(parts), most)

    def read_rows(self, table: TableModel, from_s: int, to_s: int, second: object = None) -> Table:
        """The rows with ``from_s`` <= time < ``to_s`` and, unless None, ``second`` in the second column of the key."""
        place = self._places.get(table.name)
        if place is None:
            return _no_rows(table)
        condition = between(place, from_s, to_s)
        values: Sequence[object] = ()
        if second is not None:
            mark, values = mark_of(place, second)
            condition += f" AND {place.column(table.key[1])} = {mark}"
        return self._in_order(place, self._take_fit(table, self._reader.read(place, condition, values)))

    def read_checksums(self, table: TableModel, from_s: int, to_s: int) -> dict[Group, tuple[int, int]]:
        """How many rows each group has with ``from_s`` <= time < ``to_s``, and the database's checksum of them."""
        place = self._places.get(table.name)
        if place is None:
            return {}
        return read_checksums(
            self._connection, place.dialect, place.here, from_s=from_s, to_s=to_s, form=place.time_form
        )

    def count_from(self, table: TableModel, after: Sequence[object] | None) -> int:
        """How many rows come after the key ``after``."""
        place = self._places.get(table.name)
        if place is None:
            return 0
        condition, values = after_key(place, after)
        return int(self._reader.execute(f"SELECT count(*) FROM {place.sql} WHERE {condition}", values)[0][0])

    def read_earliest_s(self, table: TableModel) -> int | None:
        """The first time of an append-only table; None when it has no rows."""
        place = self._places.get(table.name)
        if place is None:
            return None
        column = place.column(table.time_column)
        time = place.values()[table.names.index(table.time_column)]
        any_time = between(place, LOWEST_DATE, HIGHEST_DATE + 1)
        rows = self._reader.execute(f"SELECT {time} FROM {place.sql} WHERE {any_time} ORDER BY {column} LIMIT 1")
        return int(rows[0][0]) if rows else None

    def _read_rows(self, place: Place, condition: str) -> Table:
        return self._take_fit(place.model, self._reader.read(place, condition))

    def _take_fit(self, table: TableModel, columns: list[list[Any]]) -> Table:
        """The rows that can be told; the others are noted."""
        rows, unfit = take_fit(table, columns)
        for column, count in unfit.items():
            self._note_unfit(table.name, column, count)
        return rows

    def _finish_second(self, place: Place, page: Table, after: Sequence[object] | None) -> Table:
        """``page`` with all of its last second when that holds fractions: the database's order isn't the key's then."""
        fraction = place.fraction()
        if not page.count or not fraction:
            return page
        times = page.column(place.model.time_column)
        last_s = cast(int, times[-1])
        second = between(place, last_s, last_s + 1)
        if not self._reader.execute(f"SELECT 1 FROM {place.sql} WHERE {second} AND {fraction} LIMIT 1"):
            return page
        condition, values = after_key(place, after)
        rest = self._take_fit(place.model, self._reader.read(place, f"{second} AND {condition}", values))
        before = page.only([time != last_s for time in times])
        return _join([before, rest])

    def _in_order(self, place: Place, rows: Table) -> Table:
        """``rows`` in the order of their keys, of equal keys the last."""
        keys = list(zip(*map(rows.column, place.model.key), strict=True))
        if all(map(lt, keys, keys[1:])):
            return rows
        if any(place.model.column(name).kind is ValueKind.TEXT for name in place.model.key):
            chosen = sorted({key: number for number, key in enumerate(keys)}.values())  # texts are in the site's order
        else:
            chosen = [number for _, number in sorted({key: number for number, key in enumerate(keys)}.items())]
        return Table(rows.name, rows.columns, tuple([values[number] for number in chosen] for values in rows.values))


def _refuse_mistakes(schema: SiteSchema) -> None:
    schema.findings.raise_errors("The site's database can't be pushed")


def _join(parts: Sequence[Table]) -> Table:
    """The rows of all ``parts``."""
    parts = [part for part in parts if part.count] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    columns = zip(*(part.values for part in parts), strict=True)
    return Table(parts[0].name, parts[0].columns, tuple(list(chain(*values)) for values in columns))


def _cut(rows: Table, most: int) -> Table:
    """The first ``most`` of ``rows``."""
    return rows if rows.count <= most else Table(rows.name, rows.columns, tuple(each[:most] for each in rows.values))


def _no_rows(table: TableModel) -> Table:
    return Table(table.name, table.wire, tuple([] for _ in table.columns))
