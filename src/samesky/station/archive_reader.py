"""Reading one binding's WeeWX database by position: SQLite and MariaDB/MySQL alike.

Every read is one short transaction whose cursor is closed before anything is returned. Methods raise `Unreachable`
(locked, disconnected: try again, `reopen` first) or `DataError`, nothing else of the database's.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from ..core.columns import Column, Table
from .days import next_archive_day, read_day_offsets, start_of_archive_day
from .description import Description
from .location import Location
from .schema import SUMMARY_COLUMNS, summary_kind, summary_parts

Row = Sequence[Any]
_EVERY_ROW = 1 << 40


@dataclass(frozen=True, slots=True)
class Span:
    """What one page of reading covered."""

    after: int
    count: int
    first: int | None
    last: int
    """Time of the last record read, or ``after`` when there was none."""
    newest: int | None
    """Time of the newest record in the table that isn't from the future."""

    @property
    def more(self) -> bool:
        """Whether records remain after this page."""
        return self.newest is not None and self.newest > self.last


class ArchiveReader:
    """What SQLite and MySQL have in common in reading; `archive` adds writing, the two dialects fill in the hooks.

    A reader belongs to the thread that opened it.
    """

    dialect = ""
    mark = "?"

    def __init__(self, location: Location, connection: Any) -> None:
        self.location = location
        self.table = location.table
        self._connection = connection
        self._counted: tuple[int, int, int] | None = None
        self._columns: tuple[Column, ...] | None = None
        self._summary_kinds: dict[str, str] | None = None
        self._optional: frozenset[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; harmless when it is closed already."""
        self._connection.close()

    def read_columns(self) -> tuple[Column, ...]:
        """The archive table's columns in order, empty when there is no table; kept until `forget_schema`."""
        if not self._columns:
            self._columns = self._read_columns()
        return self._columns

    def read_summary_kinds(self) -> dict[str, str]:
        """Observation -> ``scalar`` or ``vector`` for each daily summary table of version 4.0's shape; kept as well."""
        if self._summary_kinds is None:
            self._summary_kinds = self._read_summary_kinds()
        return self._summary_kinds

    def read_optional(self) -> frozenset[str]:
        """Names of the archive columns that are NULL in a row that doesn't name them; kept as well."""
        if self._optional is None:
            self._optional = self._read_optional()
        return self._optional

    def forget_schema(self) -> None:
        """Read columns and tables anew at the next use: somebody may have changed them."""
        self._columns = self._summary_kinds = self._optional = None

    def forget_pages(self) -> None:
        """Have the next reads see what the file holds, not pages of it that are in memory; a server decides itself."""

    def read_tables(self) -> set[str]:
        """Names of all tables in the database."""
        raise NotImplementedError

    def read_change_mark(self) -> object:
        """A value that changes when another connection has added a record."""
        raise NotImplementedError

    def read_write_mark(self) -> object | None:
        """A value that changes when another connection has written anything; None where the database doesn't tell."""
        return None

    def _read_summary_kinds(self) -> dict[str, str]:
        prefix = f"{self.table}_day_"
        names = (
            name for name in sorted(self.read_tables()) if name.startswith(prefix) and not name.endswith("__metadata")
        )
        kinds = ((name.removeprefix(prefix), summary_kind(self.read_column_names(name))) for name in names)
        return {obs: kind for obs, kind in kinds if kind}

    def read_position(self, now: float, *, future_limit_s: int = 3600) -> int:
        """Time of the newest record that isn't from the future; 0 when there is none."""
        (value,) = self._read_row(
            f"SELECT MAX(`dateTime`) FROM `{self.table}` WHERE `dateTime` <= {self.mark}", int(now) + future_limit_s
        )
        return int(value or 0)

    def read_previous(self, timestamp: int) -> int:
        """Time of the newest record before ``timestamp``; 0 when there is none."""
        (value,) = self._read_row(
            f"SELECT MAX(`dateTime`) FROM `{self.table}` WHERE `dateTime` < {self.mark}", timestamp
        )
        return int(value or 0)

    def read_unit_system(self) -> int | None:
        """``usUnits`` of the first record; None when the table is empty."""
        row = self._read_one(f"SELECT `usUnits` FROM `{self.table}` ORDER BY `dateTime` LIMIT 1")
        return int(row[0]) if row else None

    def read_record(self, timestamp: int) -> dict[str, Any] | None:
        """The record stamped exactly ``timestamp``, all columns, or None."""
        return next(iter(self.read_records(timestamp - 1, 1, until=timestamp)), None)

    def read_nearest(self, timestamp: int, *, delta_s: int) -> dict[str, Any] | None:
        """The record nearest to ``timestamp`` within ``delta_s`` either way, or None (seed: secondary bindings)."""
        around = self.read_records(timestamp - delta_s - 1, 1000, until=timestamp + delta_s)
        return min(around, key=lambda record: abs(record["dateTime"] - timestamp), default=None)

    def read_records(self, after: int, limit: int, *, until: int | None = None) -> list[dict[str, Any]]:
        """At most ``limit`` records after ``after`` (and not after ``until``), oldest first, as name -> value."""
        names = [column.name for column in self.read_columns()]
        return [dict(zip(names, row, strict=True)) for row in self.read_rows(names, after, limit, until=until)]

    def read_rows(
        self, names: Sequence[str], after: int, limit: int, *, until: int | None = None, table: str | None = None
    ) -> Sequence[Row]:
        """As `read_records`, as tuples of the columns ``names``; ``table`` may be another one keyed by dateTime."""
        bound, values = ("", ()) if until is None else (f" AND `dateTime` <= {self.mark}", (int(until),))
        # The same text each time: to prepare a query over a wide table takes longer than to read a leaf's few rows.
        query = (
            f"SELECT {quoted_names(names)} FROM `{table or self.table}` WHERE `dateTime` > {self.mark}{bound} "
            f"ORDER BY `dateTime` LIMIT {self.mark}"
        )
        return self._read_all(query, after, *values, int(limit))

    def read_filled_rows(
        self, names: Sequence[str], after: int, limit: int, *, until: int
    ) -> tuple[Sequence[str], Sequence[Row]]:
        """As `read_rows`, without the columns that are NULL in all of these rows; returns which are left, and the rows.

        In a wide table most columns have no value, and to read their NULLs is most of the work.
        """
        with self._transaction(write=False):
            end, filled = self._read_extent(names, after, limit, until)
            return filled, self.read_rows(filled, after, _EVERY_ROW, until=end) if filled else ()

    def read_query(self, query: str, *values: Any) -> Sequence[Row]:
        """All rows of a query of one's own; `mark` stands for a value."""
        return self._read_all(query, *values)

    def read_column_names(self, table: str) -> tuple[str, ...]:
        """Names of the columns of any table in the database, in order."""
        with closing(self._connection.cursor()) as cursor:
            self._run(cursor, f"SELECT * FROM `{table}` LIMIT 0")
            return tuple(entry[0] for entry in cursor.description)

    def read_metadata(self) -> dict[str, str]:
        """What the daily summaries say of themselves (``Version``, ``lastUpdate``); empty without summaries."""
        metadata = f"{self.table}_day__metadata"
        if metadata not in self.read_tables():
            return {}
        return {row[0]: row[1] for row in self._read_all(f"SELECT `name`, `value` FROM `{metadata}`")}

    def read_origin(self, now: float, *, future_limit_s: int = 3600) -> str:
        """Identity of this database (`origin_id`); empty while it holds no record."""
        return origin_id(self.read_records(0, 1, until=int(now) + future_limit_s))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Make the reads inside see one state of the database."""
        with self._transaction(write=False):
            yield

    def read_description(self, accepts: tuple[str, ...], *, now: float, future_limit_s: int = 3600) -> Description:
        """Describe the database to a peer. Counting is incremental: the first call reads the whole table."""
        self.forget_schema()
        with self._transaction(write=False):
            first, last = self._read_row(
                f"SELECT MIN(`dateTime`), MAX(`dateTime`) FROM `{self.table}` WHERE `dateTime` <= {self.mark}",
                int(now) + future_limit_s,
            )
            newest = self.read_records(last - 1, 1) if last else []
            return Description(
                columns=self.read_columns(),
                summaries=tuple(self.read_summary_kinds().items()),
                unit_system=self.read_unit_system(),
                interval_s=_interval_s(newest),
                day_offsets=read_day_offsets(first, last) if last else (),
                count=self._count(first, last) if last else 0,
                first=first,
                last=last,
                origin=self.read_origin(now),
                accepts=accepts,
            )

    def read_page(
        self, after: int, max_records: int, *, now: float, summaries: bool, future_limit_s: int = 3600
    ) -> tuple[Span, tuple[Table, ...]]:
        """Records after ``after`` and the summary rows of the days they complete, read in one transaction.

        Returns the span and the tables ``archive`` and (if ``summaries``) ``summary``. The current, incomplete day's
        summary rows come with the page that reaches the newest record.
        """
        columns = self.read_columns()
        until = int(now) + future_limit_s
        with self._transaction(write=False):
            names = [column.name for column in columns]
            filled, rows = self.read_filled_rows(names, after, max_records, until=until)
            at = filled.index("dateTime") if filled else 0
            span = self._span(after, len(rows), rows[0][at] if rows else None, rows[-1][at] if rows else after, until)
            tables = [_table_of("archive", columns, filled, rows)]
            if summaries:
                tables.append(self.read_summaries(*self._summary_range(span)))
        return span, tuple(tables)

    def read_summaries(self, from_day: int, to_day: int) -> Table:
        """Daily summary rows with ``from_day`` <= dateTime <= ``to_day``, all observations in one table."""
        rows: list[tuple[Any, ...]] = []
        for obs, kind in self.read_summary_kinds().items():
            parts = summary_parts(kind)
            padding = (None,) * (len(SUMMARY_COLUMNS) - 1 - len(parts))
            query = (
                f"SELECT {quoted_names(parts)} FROM `{self.table}_day_{obs}` "
                f"WHERE `dateTime` BETWEEN {self.mark} AND {self.mark} ORDER BY `dateTime`"
            )
            rows += [(obs, *row, *padding) for row in self._read_all(query, from_day, to_day)]
        return Table.from_rows("summary", SUMMARY_COLUMNS, rows)

    def read_previous_summary(self, observations: Iterable[str], timestamp: int) -> int:
        """The newest day before ``timestamp`` that has a summary row of any of these; 0 when there is none."""
        return max(self._summary_bounds("MAX", observations, "<", timestamp), default=0)

    def read_next_summary(self, observations: Iterable[str], timestamp: int) -> int | None:
        """The first day after ``timestamp`` that has a summary row of any of these; None when there is none."""
        return min(self._summary_bounds("MIN", observations, ">", timestamp), default=None)

    def _summary_bounds(self, bound: str, observations: Iterable[str], relation: str, timestamp: int) -> list[int]:
        """The first or last day of each observation's table, on one side of ``timestamp``."""
        queries = [
            f"SELECT {bound}(`dateTime`) FROM `{self.table}_day_{obs}` WHERE `dateTime` {relation} {int(timestamp)}"
            for obs in observations
        ]
        # One round trip for a hundred tables; SQLite takes no more than 500 in one query.
        parts = [" UNION ALL ".join(queries[at : at + 100]) for at in range(0, len(queries), 100)]
        return [int(day) for part in parts for (day,) in self._read_all(part) if day is not None]

    def _count(self, first: int, last: int) -> int:
        known, base = (first - 1, 0)
        if self._counted and self._counted[0] == first:
            known, base = self._counted[1], self._counted[2]
        (added,) = self._read_row(
            f"SELECT COUNT(*) FROM `{self.table}` WHERE `dateTime` > {self.mark} AND `dateTime` <= {self.mark}",
            known,
            last,
        )
        self._counted = (first, last, base + int(added))
        return self._counted[2]

    def _span(self, after: int, count: int, first: int | None, last: int, until: int) -> Span:
        (newest,) = self._read_row(f"SELECT MAX(`dateTime`) FROM `{self.table}` WHERE `dateTime` <= {self.mark}", until)
        return Span(after=after, count=count, first=first, last=last, newest=newest)

    def _read_extent(self, names: Sequence[str], after: int, limit: int, until: int) -> tuple[int, list[str]]:
        """Where so many rows end, and which columns have any value in them."""
        extent = f"FROM `{self.table}` WHERE `dateTime` > {self.mark} AND `dateTime` <= {self.mark}"
        (end,) = self._read_row(
            f"SELECT MAX(`dateTime`) FROM (SELECT `dateTime` {extent} ORDER BY `dateTime` LIMIT {int(limit)}) AS page",
            after,
            until,
        )
        if end is None:
            return after, []
        counts = self._read_row(f"SELECT {', '.join(f'COUNT(`{name}`)' for name in names)} {extent}", after, end)
        return end, [name for name, count in zip(names, counts, strict=True) if count]

    def _summary_range(self, span: Span) -> tuple[int, int]:
        """First and last day whose summary rows belong to the page: the day of ``after`` to the last complete one."""
        from_day = start_of_archive_day(span.after) if span.after else 0
        if not span.last:
            return from_day, from_day
        last_day = start_of_archive_day(span.last)
        if span.more:
            (following,) = self._read_row(
                f"SELECT MIN(`dateTime`) FROM `{self.table}` WHERE `dateTime` > {self.mark}", span.last
            )
            if following is not None and following <= next_archive_day(last_day):
                last_day -= 1
        return from_day, last_day

    def _read_one(self, query: str, *values: Any) -> Row | None:
        return next(iter(self._read_all(query, *values)), None)

    def _read_row(self, query: str, *values: Any) -> Row:
        return self._read_all(query, *values)[0]

    def _read_all(self, query: str, *values: Any) -> Sequence[Row]:
        with closing(self._connection.cursor()) as cursor:
            self._run(cursor, query, values)
            rows: Sequence[Row] = cursor.fetchall()
            return rows

    def _execute(self, query: str, *values: Any) -> int:
        with closing(self._connection.cursor()) as cursor:
            self._run(cursor, query, values)
            return int(cursor.rowcount)

    def _marks(self, count: int) -> str:
        return ", ".join([self.mark] * count)

    def _read_columns(self) -> tuple[Column, ...]:
        raise NotImplementedError

    def _read_optional(self) -> frozenset[str]:
        raise NotImplementedError

    def reopen(self) -> None:
        """Close and connect again; raises `Unreachable` when that fails."""
        raise NotImplementedError

    def _run(self, cursor: Any, query: str, values: Row = ()) -> None:
        """Execute on ``cursor``; the database's exceptions become ours."""
        raise NotImplementedError

    def _transaction(self, *, write: bool) -> AbstractContextManager[None]:
        """One transaction; nested use joins the outer one."""
        raise NotImplementedError


def origin_id(first_records: Sequence[Mapping[str, Any]]) -> str:
    """Identity of a database: a digest of its first record, so that all who hold the same data name the same origin."""
    if not first_records:
        return ""
    digest = hashlib.blake2b(digest_size=8)
    for name, value in sorted(first_records[0].items()):
        if value is not None:
            digest.update(name.encode() + b"\0" + _value_bytes(value))
    return digest.hexdigest()


def _table_of(name: str, columns: Sequence[Column], filled: Sequence[str], rows: Sequence[Row]) -> Table:
    """The table of all ``columns`` whose ``rows`` have those named ``filled`` alone; the others are NULL."""
    lists = dict(zip(filled, map(list, zip(*rows, strict=True)), strict=False))
    nulls: list[object] = [None] * len(rows)
    return Table(name, tuple(columns), tuple(lists.get(column.name, nulls) for column in columns))


def _value_bytes(value: Any) -> bytes:
    return str(value).encode() if isinstance(value, str) else struct.pack(">d", float(value) + 0.0)


def _interval_s(newest: Sequence[Mapping[str, Any]]) -> int | None:
    minutes = newest[0].get("interval") if newest else None
    return round(minutes * 60) if isinstance(minutes, int | float) else None


def quoted_names(names: Iterable[str]) -> str:
    """Column names for SQL; SQLite takes MySQL's backquotes."""
    return ", ".join(f"`{name}`" for name in names)
