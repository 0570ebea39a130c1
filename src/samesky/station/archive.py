"""One binding's WeeWX database, read and written by position: SQLite and MariaDB/MySQL alike.

`open_archive` takes a `Location` and returns an `Archive`. Every write is one transaction, durable when the method
returns. An archive belongs to the thread that opened it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..core.columns import Column, Table
from ..errors import DataError
from .archive_reader import ArchiveReader, Row, quoted_names
from .description import Description
from .location import Location, SqliteLocation
from .schema import METADATA_VERSION, SUMMARY_COLUMNS, sql_type, summary_parts


def open_archive(location: Location, *, create: bool = False) -> "Archive":
    """The archive at ``location``, open. ``create`` makes an empty database where there is none (tables come later).

    Raises `Unreachable` when the file or server isn't there or is locked, `SetupError` without a MySQL driver.
    """
    if isinstance(location, SqliteLocation):
        from .archive_sqlite import SqliteArchive

        return SqliteArchive(location, create=create)
    from .archive_mysql import MysqlArchive

    return MysqlArchive(location, create=create)


@dataclass(frozen=True, slots=True)
class Applied:
    """What one write changed."""

    stored: int = 0
    duplicates: int = 0
    conflicts: int = 0
    """Duplicates whose content differs from what is stored; the stored row is kept."""
    refused: int = 0

    def __add__(self, other: "Applied") -> "Applied":
        return Applied(
            self.stored + other.stored,
            self.duplicates + other.duplicates,
            self.conflicts + other.conflicts,
            self.refused + other.refused,
        )


# Columns of NULLs alone are left out of a batch of so many rows.
_MANY_ROWS = 50


class Archive(ArchiveReader):
    """An open database; the two dialects fill in the hooks at the end."""

    def apply_rows(
        self, names: Sequence[str], rows: Sequence[Row], *, mark_update: bool, then: Callable[[], None] | None = None
    ) -> Applied:
        """Insert the rows that are absent, in one transaction; what is stored already is kept.

        ``mark_update`` moves the summaries' ``lastUpdate`` to the newest row (only where the summaries are brought up
        to it by other means); ``then`` runs inside the same transaction. A row that the database refuses is counted
        and left out, its neighbours are stored.
        """
        with self._transaction(write=True):
            applied = self._insert_rows(names, rows)
            if mark_update and rows:
                at = list(names).index("dateTime")
                self._mark_update(max(int(row[at]) for row in rows))
            if then:
                then()
        return applied

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make the reads and writes inside one transaction, durable at its end; nothing is changed when it fails."""
        with self._transaction(write=True):
            yield

    def apply_summaries(self, summary: Table) -> int:
        """Put the rows of a ``summary`` table in place of those stored; returns how many were written."""
        with self._transaction(write=True):
            return self.write_summaries(summary.rows())

    def write_summaries(self, rows: Iterable[Row]) -> int:
        """As `apply_summaries`, within the caller's transaction; observations that have no table here are left out."""
        kinds = self.read_summary_kinds()
        by_obs: dict[str, list[Row]] = {}
        for row in rows:
            by_obs.setdefault(row[0], []).append(row)
        written = 0
        for obs, obs_rows in by_obs.items():
            if obs in kinds:
                parts = summary_parts(kinds[obs])
                query = (
                    f"REPLACE INTO `{self.table}_day_{obs}` ({quoted_names(parts)}) VALUES ({self._marks(len(parts))})"
                )
                self._execute_many(query, [row[1 : len(parts) + 1] for row in obs_rows])
                written += len(obs_rows)
        return written

    def ensure_record(self, record: Mapping[str, Any], names: Sequence[str]) -> frozenset[str]:
        """Make the stored row equal to ``record`` in the columns ``names``; returns those that weren't so."""
        timestamp = record["dateTime"]
        wanted = {name: record.get(name) for name in names}
        with self._transaction(write=True):
            stored = self.read_record(timestamp)
            if stored is None:
                self._insert_rows(list(wanted), [tuple(wanted.values())])
                return frozenset(wanted)
            changed = {name: value for name, value in wanted.items() if stored[name] != value}
            if changed:
                settings = ", ".join(f"`{name}` = {self.mark}" for name in changed)
                self._execute(
                    f"UPDATE `{self.table}` SET {settings} WHERE `dateTime` = {self.mark}", *changed.values(), timestamp
                )
        return frozenset(changed)

    def ensure_tables(self, description: Description) -> bool:
        """Create the archive, summary and metadata tables as WeeWX would; returns whether they were missing."""
        present = self.read_tables()
        missing = self.table not in present
        with self._transaction(write=True):
            if missing:
                self._execute(f"CREATE TABLE `{self.table}` ({self._declarations(description.columns)})")
            metadata = f"{self.table}_day__metadata"
            if missing and description.summaries and metadata not in present:
                for obs, kind in description.summaries:
                    self._create_summary(obs, kind)
                self._execute(f"CREATE TABLE `{metadata}` (`name` CHAR(20) NOT NULL PRIMARY KEY, `value` TEXT)")
                self._execute(f"INSERT INTO `{metadata}` VALUES ('Version', '{METADATA_VERSION}')")
        self.forget_schema()
        return missing

    def ensure_columns(self, columns: Iterable[Column], summaries: Mapping[str, str]) -> None:
        """Add archive columns that are missing, and their summary tables (column policy ``add``)."""
        present = {column.name for column in self.read_columns()}
        kinds = self.read_summary_kinds()
        for column in columns:
            if column.name not in present:
                self._execute(
                    f"ALTER TABLE `{self.table}` ADD COLUMN `{column.name}` {sql_type(column, dialect=self.dialect)}"
                )
                if kinds and column.name in summaries and column.name not in kinds:
                    self._create_summary(column.name, summaries[column.name])
        self.forget_schema()

    def apply_statement(self, statement: str, *values: Any) -> int:
        """Execute a statement of one's own, durable when this returns; how many rows it changed."""
        return self._execute(statement, *values)

    def _create_summary(self, obs: str, kind: str) -> None:
        columns = [column for column in SUMMARY_COLUMNS if column.name in summary_parts(kind)]
        self._execute(f"CREATE TABLE `{self.table}_day_{obs}` ({self._declarations(columns)})")

    def _declarations(self, columns: Iterable[Column]) -> str:
        return ", ".join(f"`{column.name}` {sql_type(column, dialect=self.dialect)}" for column in columns)

    def _insert_rows(self, names: Sequence[str], rows: Sequence[Row]) -> Applied:
        if not rows:
            return Applied()
        filled, values = self._without_empty(names, rows)
        query = self._insert_query(filled)
        if len(rows) > 1:
            self._execute("SAVEPOINT before_rows")  # a batch that fails has stored the rows before the one at fault
        try:
            stored = self._execute_many(query, values)
        except DataError:
            if len(rows) > 1:
                self._execute("ROLLBACK TO SAVEPOINT before_rows")
            return self._insert_each(query, values)
        duplicates = len(rows) - stored
        return Applied(
            stored=stored, duplicates=duplicates, conflicts=self._conflicts(names, rows) if duplicates else 0
        )

    def _without_empty(self, names: Sequence[str], rows: Sequence[Row]) -> tuple[Sequence[str], Sequence[Row]]:
        """The rows without the columns that are NULL in all of them, and will be NULL when they aren't named.

        A wide table is mostly such columns: to bind or to write out their NULLs is most of the work.
        """
        if len(rows) < _MANY_ROWS:
            return names, rows
        nulls, optional = (None,) * len(rows), self.read_optional()
        kept = [
            (name, values)
            for name, values in zip(names, zip(*rows, strict=True), strict=True)
            if values != nulls or name not in optional
        ]
        return [name for name, _ in kept], list(zip(*(values for _, values in kept), strict=True))

    def _insert_each(self, query: str, rows: Sequence[Row]) -> Applied:
        total = Applied()
        for row in rows:
            try:
                stored = self._execute_many(query, [row])
                total += Applied(stored=stored, duplicates=1 - stored)
            except DataError:
                total += Applied(refused=1)
        return total

    def _conflicts(self, names: Sequence[str], rows: Sequence[Row]) -> int:
        """How many of the rows differ from what is stored under their time."""
        at = list(names).index("dateTime")
        times = [row[at] for row in rows]
        query = f"SELECT {quoted_names(names)} FROM `{self.table}` WHERE `dateTime` BETWEEN {self.mark} AND {self.mark}"
        stored = {row[at]: tuple(row) for row in self._read_all(query, min(times), max(times))}
        return sum(stored[row[at]] != tuple(row) for row in rows if row[at] in stored)

    def _mark_update(self, newest: int) -> None:
        """Move ``lastUpdate`` forward to ``newest``, never back: else WeeWX recomputes days and wipes LOOP highs."""
        metadata = f"{self.table}_day__metadata"
        if metadata not in self.read_tables():
            return
        row = self._read_one(f"SELECT `value` FROM `{metadata}` WHERE `name` = 'lastUpdate'")
        if row is None or int(row[0] or 0) < newest:
            self._execute(
                f"REPLACE INTO `{metadata}` (`name`, `value`) VALUES ('lastUpdate', {self.mark})", str(newest)
            )

    def _execute_many(self, query: str, rows: Sequence[Row]) -> int:
        """Execute for every row; returns how many rows were written."""
        raise NotImplementedError

    def _insert_query(self, names: Sequence[str]) -> str:
        """INSERT that leaves a row alone whose dateTime is there already, and hides no other error."""
        raise NotImplementedError
