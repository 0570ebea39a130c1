"""What each of two brains has for a database: records and days in memory, and their time trees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from samesky.core.columns import Column, Kind
from samesky.core.columns import Table as Columns
from samesky.core.timetree import Entry, MemoryTree, RowHasher, Sum, View
from samesky.station.check_question import TreeName
from samesky.station.schema import SUMMARY_COLUMNS

DAY_S = 86_400
Row = tuple[float, float]
"""A record's temperature and rain, or a day's greatest temperature and number of records."""
ARCHIVE_COLUMNS = (Column("dateTime", Kind.INTEGER), Column("outTemp", Kind.REAL), Column("rain", Kind.REAL))
PARTS = tuple(column.name for column in SUMMARY_COLUMNS)
MAX, COUNT = PARTS.index("max"), PARTS.index("count")


def day_of(time: int) -> int:
    """When the day begins that a record of that time belongs to; midnight's is the last of its day."""
    return (time - 1) // DAY_S * DAY_S


class Table:
    """Rows by time, and the sums of those that are there now."""

    def __init__(self, *names: str) -> None:
        self.rows: dict[int, Row] = {}
        self._hasher = RowHasher(names)
        self._hashes: dict[int, int] = {}
        self._sums: MemoryTree | None = None
        self._nodes: Mapping[int, Sum] = {}
        self._leaves: dict[int, Mapping[int, Sum]] = {}

    def put(self, time: int, row: Row) -> None:
        self.rows[time] = row
        self._hashes[time] = self._hasher.hash((time, *row))
        self._sums = None

    def remove(self, time: int) -> None:
        del self.rows[time], self._hashes[time]
        self._sums = None

    def take_from(self, other: "Table") -> None:
        """Become as the other is."""
        self.rows, self._hashes = dict(other.rows), dict(other._hashes)
        self._sums = None

    def nodes(self) -> Mapping[int, Sum]:
        self._add_up()
        return self._nodes

    def leaves(self, node: int) -> Mapping[int, Sum]:
        sums = self._add_up()
        if node not in self._leaves:
            self._leaves[node] = sums.leaves(node)
        return self._leaves[node]

    def entries(self, leaf: int) -> Sequence[Entry]:
        return self._add_up().entries(leaf)

    def _add_up(self) -> MemoryTree:
        """The sums as they are now; what was asked of them before is kept until a row changes."""
        if self._sums is None:
            self._sums = MemoryTree(self._hashes.items())
            self._nodes, self._leaves = self._sums.nodes(), {}
        return self._sums


class Database:
    """One side's records and days."""

    def __init__(self) -> None:
        self.records = Table("dateTime", "outTemp", "rain")
        self.days = Table("dateTime", "outTemp.count", "outTemp.max")
        self.tables: dict[TreeName, Table] = {"archive": self.records, "summary": self.days}
        self.origin = ""
        self.changes = 0
        self._views: dict[TreeName, tuple[tuple[int, int], View]] = {}

    def put(self, tree: TreeName, time: int, row: Row) -> None:
        self.tables[tree].put(time, row)
        self.origin = "abc"
        self.changes += 1

    def remove(self, tree: TreeName, time: int) -> None:
        self.tables[tree].remove(time)
        self.changes += 1

    def view(self, tree: TreeName, until: int) -> View:
        """Records up to ``until``, or days that are over by then; the same view again while nothing changes."""
        key = (until, self.changes)
        if tree not in self._views or self._views[tree][0] != key:
            self._views[tree] = key, View(self.tables[tree], until if tree == "archive" else until - DAY_S)
        return self._views[tree][1]

    def views(self, until: int) -> dict[TreeName, View]:
        return {"archive": self.view("archive", until), "summary": self.view("summary", until)}

    def upto(self, until: int) -> tuple[dict[int, Row], dict[int, Row]]:
        """What the views show."""
        records = {time: row for time, row in self.records.rows.items() if time <= until}
        return records, {day: row for day, row in self.days.rows.items() if day + DAY_S <= until}

    @property
    def position(self) -> int:
        return max(self.records.rows, default=0)


@dataclass
class Trees:
    """The primary's trees up to a question's moment, and its rows."""

    data: Database
    until: int

    def view(self, tree: TreeName) -> View:
        return self.data.view(tree, self.until)

    def read_rows(self, tree: TreeName, times: Sequence[int]) -> Columns:
        rows = self.data.tables[tree].rows
        if tree == "archive":
            return Columns.from_rows("archive", ARCHIVE_COLUMNS, [(time, *rows[time]) for time in times])
        return Columns.from_rows("summary", SUMMARY_COLUMNS, [_summary_row(day, rows[day]) for day in times])


def _summary_row(day: int, row: Row) -> list[Any]:
    values: list[Any] = [None] * len(PARTS)
    values[0], values[1], values[MAX], values[COUNT] = "outTemp", day, *row
    return values
