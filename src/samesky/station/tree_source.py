"""What a time tree is made of: the rows of an archive table, or the days of the daily summaries, as (time, hash)."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from ..core.timetree import MODULUS, Entry, RowHasher
from .archive_reader import ArchiveReader, Row, quoted_names
from .days import DAY_S
from .schema import summary_parts

FEW_S = 1 << 14
"""In so short a span there are too few rows to first find out which columns have a value in any of them."""
MOST_DAYS = 30
_MOST_HASHERS = 100
_MOST_TESTED = 500
"""Columns that one query looks whether they are NULL: SQLite's expressions have a depth."""


class Reading(NamedTuple):
    """Some entries in order; all there are up to ``reached``, which is the end of the span when it holds no more."""

    entries: Sequence[Entry]
    reached: int
    rows: int
    """How many rows were read: a measure of the work."""


class Source(Protocol):
    """One table's entries. Times are positive: nobody measured anything in 1969."""

    def read_newest(self, archive: ArchiveReader, until: int) -> int:
        """The newest time that isn't after ``until``; 0 when there is none."""

    def read_first(self, archive: ArchiveReader) -> int:
        """The first time; 0 when there is none."""

    def read_entries(self, archive: ArchiveReader, after: int, until: int, *, max_rows: int) -> Reading:
        """Entries after ``after`` and not after ``until``, of about ``max_rows`` rows."""


class RowSource:
    """The rows of the archive table, hashed by the columns ``names``; a column that isn't there is NULL."""

    def __init__(self, names: Sequence[str]) -> None:
        if "dateTime" not in names:
            raise ValueError("dateTime is hashed in every scope")
        RowHasher(names)  # refuses what isn't sorted
        self._names = tuple(names)
        self._filled: frozenset[str] = frozenset()
        self._few_queries: dict[tuple[str, ...], tuple[Sequence[str], str]] = {}
        self._hashers: dict[tuple[str, ...], RowHasher] = {}

    def read_newest(self, archive: ArchiveReader, until: int) -> int:
        return archive.read_previous(until + 1) if archive.read_columns() else 0

    def read_first(self, archive: ArchiveReader) -> int:
        rows = archive.read_rows(["dateTime"], 0, 1) if archive.read_columns() else ()
        return int(rows[0][0]) if rows else 0

    def read_entries(self, archive: ArchiveReader, after: int, until: int, *, max_rows: int) -> Reading:
        names = self._present(archive)
        if not names:
            return Reading((), until, 0)
        if until - after < FEW_S:
            names, rows = self._read_few(archive, names, after, until, max_rows)
        else:
            names, rows = archive.read_filled_rows(names, after, max_rows, until=until)
        if not rows:
            return Reading((), until, 0)
        at, hash_row = names.index("dateTime"), self._hasher(tuple(names)).hash
        entries = [(row[at], hash_row(row)) for row in rows]
        return Reading(entries, entries[-1][0] if len(entries) >= max_rows else until, len(entries))

    def _read_few(
        self, archive: ArchiveReader, names: Sequence[str], after: int, until: int, limit: int
    ) -> tuple[Sequence[str], Sequence[Row]]:
        """Rows, and the columns read of them; all others are NULL in them.

        To fetch NULLs is most of the work in a wide table. So only columns in which a value has been seen before are
        fetched, unless the database says that another one has some here.
        """
        few, query = self._few_query(archive, tuple(names))
        if query:
            found = archive.read_query(query, after, until, limit)
            if all(row[-1] for row in found):
                return few, [row[:-1] for row in found]
        rows = archive.read_rows(names, after, limit, until=until)
        filled = self._filled | {name for at, name in enumerate(names) if any(row[at] is not None for row in rows)}
        if filled != self._filled:
            self._filled = filled
            self._few_queries.clear()
        return names, rows

    def _few_query(self, archive: ArchiveReader, names: tuple[str, ...]) -> tuple[Sequence[str], str]:
        """The columns to fetch, and the query that also says of each row whether all others are NULL; or none."""
        if names not in self._few_queries:
            few = [name for name in names if name in self._filled]
            others = [name for name in names if name not in self._filled]
            query = (
                f"SELECT {quoted_names(few)}, {' AND '.join(f'`{name}` IS NULL' for name in others)} "
                f"FROM `{archive.table}` WHERE `dateTime` > {archive.mark} AND `dateTime` <= {archive.mark} "
                f"ORDER BY `dateTime` LIMIT {archive.mark}"
            )
            self._few_queries[names] = few, query if few and 0 < len(others) <= _MOST_TESTED else ""
        return self._few_queries[names]

    def _present(self, archive: ArchiveReader) -> Sequence[str]:
        present = {column.name for column in archive.read_columns()}
        if not present.issuperset(self._names):
            archive.forget_schema()  # it may have been added since
            present = {column.name for column in archive.read_columns()}
        return [name for name in self._names if name in present]

    def _hasher(self, names: tuple[str, ...]) -> RowHasher:
        if names not in self._hashers:
            if len(self._hashers) >= _MOST_HASHERS:
                self._hashers.clear()
            self._hashers[names] = RowHasher(names)
        return self._hashers[names]


class DaySource:
    """The days of the daily summaries of ``observations``: a day's hash is the sum of its rows' in all their tables."""

    def __init__(self, observations: Sequence[str]) -> None:
        if list(observations) != sorted(set(observations)):
            raise ValueError("the observations to hash must be sorted, each named once")
        self._observations = tuple(observations)
        self._hashers: dict[tuple[str, str], tuple[list[str], RowHasher]] = {}

    def read_newest(self, archive: ArchiveReader, until: int) -> int:
        return archive.read_previous_summary(self._kinds(archive), until + 1)

    def read_first(self, archive: ArchiveReader) -> int:
        return archive.read_next_summary(self._kinds(archive), 0) or 0

    def read_entries(self, archive: ArchiveReader, after: int, until: int, *, max_rows: int) -> Reading:
        kinds = self._kinds(archive)
        first = archive.read_next_summary(kinds, after)
        if first is None or first > until:
            return Reading((), until, 0)
        days = min(MOST_DAYS, max(1, max_rows // len(kinds)))
        through = min(until, first + days * DAY_S)
        totals: dict[int, int] = {}
        with archive.reading():
            rows = sum(self._add_days(totals, archive, obs, kind, first, through) for obs, kind in kinds.items())
        return Reading([(day, total % MODULUS) for day, total in sorted(totals.items())], through, rows)

    def _add_days(
        self, totals: dict[int, int], archive: ArchiveReader, obs: str, kind: str, first: int, through: int
    ) -> int:
        parts, hasher = self._hasher(obs, kind)
        table, at, hash_row = f"{archive.table}_day_{obs}", parts.index("dateTime"), hasher.hash
        rows = archive.read_rows(parts, first - 1, through - first + 1, until=through, table=table)
        for row in rows:
            totals[row[at]] = totals.get(row[at], 0) + hash_row(row)
        return len(rows) + 1  # a query costs as much as a row

    def _kinds(self, archive: ArchiveReader) -> Mapping[str, str]:
        kinds = archive.read_summary_kinds()
        if not kinds.keys() >= set(self._observations):
            archive.forget_schema()
            kinds = archive.read_summary_kinds()
        return {obs: kinds[obs] for obs in self._observations if obs in kinds}

    def _hasher(self, obs: str, kind: str) -> tuple[list[str], RowHasher]:
        if (obs, kind) not in self._hashers:
            parts = sorted(summary_parts(kind))
            self._hashers[obs, kind] = parts, RowHasher([f"{obs}.{part}" for part in parts])
        return self._hashers[obs, kind]
