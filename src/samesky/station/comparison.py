"""Two archives compared table by table, row by row: whether a copy is its primary, and where it isn't.

Both sides are read in time order, a chunk at a time, so memory stays small however long the archive is, and no lock is
held between chunks: a station that records meanwhile isn't disturbed. Values are compared exactly, as numbers: 2 and
2.0 are the same observation, two doubles that differ in their last bit are not.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.counts import count_of
from .archive import Archive

CHUNK_ROWS = 1000
MOST_EXAMPLES = 5
BEFORE_ALL = -(1 << 62)

Rows = Sequence[Sequence[Any]]
Progress = Callable[[str, int], None]


@dataclass(frozen=True, slots=True)
class TableComparison:
    """What comparing one table of both sides found. The examples are the first few rows' times (dateTime)."""

    table: str
    left_count: int = 0
    right_count: int = 0
    same: int = 0
    only_left: int = 0
    only_right: int = 0
    different: int = 0
    """Rows that both sides have, with at least one value that isn't equal."""
    only_left_examples: tuple[int, ...] = ()
    only_right_examples: tuple[int, ...] = ()
    different_examples: tuple[int, ...] = ()
    only_left_columns: tuple[str, ...] = ()
    """Columns that the right side lacks: they weren't compared."""
    only_right_columns: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    """``left`` or ``right`` when that side has no such table."""

    @property
    def rows_are_same(self) -> bool:
        """Whether both sides have the same rows, in the columns that both have."""
        return not (self.only_left or self.only_right or self.different)

    @property
    def is_same(self) -> bool:
        """Whether nothing at all differs: rows, columns, and that there is such a table."""
        return self.rows_are_same and not (self.only_left_columns or self.only_right_columns or self.missing)

    def describe(self, left: str = "left", right: str = "right") -> str:
        """Return one sentence that names what differs; ``left`` and ``right`` are what to call the two sides."""
        if self.is_same:
            return f"{self.table}: the same, {count_of(self.left_count, 'row')}"
        sides = {"left": left, "right": right}
        parts = [f"no such table at the {sides[side]}" for side in self.missing]
        parts += [
            f"{count_of(count, 'row')} {what} ({_some(examples, count)})"
            for count, what, examples in (
                (self.only_left, f"only at the {left}", self.only_left_examples),
                (self.only_right, f"only at the {right}", self.only_right_examples),
                (self.different, "different", self.different_examples),
            )
            if count
        ]
        parts += [
            f"columns only at the {side}: {', '.join(columns)}"
            for side, columns in ((left, self.only_left_columns), (right, self.only_right_columns))
            if columns
        ]
        return f"{self.table}: {'; '.join(parts)}"

    def __add__(self, later: "TableComparison") -> "TableComparison":
        """Both comparisons as one; ``later`` is of the same table's later rows."""

        def first(ours: tuple[int, ...], theirs: tuple[int, ...]) -> tuple[int, ...]:
            return (*ours, *theirs)[:MOST_EXAMPLES]

        return replace(
            self,
            left_count=self.left_count + later.left_count,
            right_count=self.right_count + later.right_count,
            same=self.same + later.same,
            only_left=self.only_left + later.only_left,
            only_right=self.only_right + later.only_right,
            different=self.different + later.different,
            only_left_examples=first(self.only_left_examples, later.only_left_examples),
            only_right_examples=first(self.only_right_examples, later.only_right_examples),
            different_examples=first(self.different_examples, later.different_examples),
        )


def compare_records(
    left: Archive,
    right: Archive,
    *,
    after: int = BEFORE_ALL,
    until: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> TableComparison:
    """Compare the archive tables' records after ``after``, and not after ``until``.

    ``progress`` is told now and then how many records of the left side have been compared.
    """
    names = (left.table, right.table)
    columns = [tuple(column.name for column in side.read_columns()) for side in (left, right)]
    return _compare_tables(left, right, names, columns, after=after, until=until, progress=progress)


def compare_summaries(left: Archive, right: Archive, *, until: int | None = None) -> list[TableComparison]:
    """Compare all daily summary tables, and their metadata (version and last update).

    ``until`` leaves out what is later. The summaries of the day that it is in go on changing while a station records:
    the answer for them holds if neither side's newest record has changed meanwhile.
    """
    left_names, right_names = (_summary_tables(side) for side in (left, right))
    found = []
    for suffix in sorted(left_names | right_names):
        names = (left.table + suffix, right.table + suffix)
        columns = [
            side.read_column_names(name) if suffix in present else ()
            for side, name, present in zip((left, right), names, (left_names, right_names), strict=True)
        ]
        found.append(_compare_tables(left, right, names, columns, after=BEFORE_ALL, until=until))
    metadata = left.read_metadata(), right.read_metadata()
    return [*found, _compare_metadata(f"{left.table}_day__metadata", *metadata)] if any(metadata) else found


def _summary_tables(archive: Archive) -> set[str]:
    """The summary tables' names without the archive table's, which both sides may call differently."""
    prefix = f"{archive.table}_day_"
    names = (name for name in archive.read_tables() if name.startswith(prefix) and not name.endswith("_day__metadata"))
    return {name.removeprefix(archive.table) for name in names}


def _compare_tables(
    left: Archive,
    right: Archive,
    names: tuple[str, str],
    columns: Sequence[Sequence[str]],
    *,
    after: int,
    until: int | None,
    progress: Callable[[int], None] | None = None,
) -> TableComparison:
    """Compare one table of each side, in the columns that both have."""
    ours, theirs = columns
    common = ["dateTime", *(name for name in ours if name in theirs and name != "dateTime")]

    def read(side: Archive, table: str, present: bool) -> Callable[[int], Rows]:
        chosen = common if ours and theirs else ["dateTime"]
        if not present:
            return lambda _: ()
        return lambda start: side.read_rows(chosen, start, CHUNK_ROWS, until=until, table=table)

    total = TableComparison(
        names[0],
        only_left_columns=tuple(name for name in ours if theirs and name not in theirs),
        only_right_columns=tuple(name for name in theirs if ours and name not in ours),
        missing=tuple(side for side, there in (("left", ours), ("right", theirs)) if not there),
    )
    for chunk in _chunks(read(left, names[0], bool(ours)), read(right, names[1], bool(theirs)), after):
        total += _compare_rows(names[0], *chunk)
        if progress:
            progress(total.left_count)
    return total


def _chunks(
    read_left: Callable[[int], Rows], read_right: Callable[[int], Rows], after: int
) -> Iterator[tuple[Rows, Rows]]:
    """Both sides' rows over the same spans of time, one span after the other."""
    while True:
        ours, theirs = read_left(after), read_right(after)
        if not ours and not theirs:
            return
        # A full chunk may go on behind its last row, so the span ends where the first full chunk does.
        ends = [rows[-1][0] for rows in (ours, theirs) if len(rows) == CHUNK_ROWS]
        end = min(ends) if ends else max(rows[-1][0] for rows in (ours, theirs) if rows)
        yield _up_to(end, ours), _up_to(end, theirs)
        if not ends:
            return
        after = end


def _up_to(end: int, rows: Rows) -> Rows:
    return rows if not rows or rows[-1][0] <= end else [row for row in rows if row[0] <= end]


def _compare_rows(table: str, ours: Rows, theirs: Rows) -> TableComparison:
    # Equal lists, the usual case, are recognised without a step of Python for each row.
    if len(ours) == len(theirs) and list(ours) == list(theirs):
        return TableComparison(table, len(ours), len(theirs), same=len(ours))
    here, there = ({row[0]: tuple(row) for row in rows} for rows in (ours, theirs))
    only_left = sorted(here.keys() - there.keys())
    only_right = sorted(there.keys() - here.keys())
    both = here.keys() & there.keys()
    different = sorted(time for time in both if here[time] != there[time])
    return TableComparison(
        table,
        len(ours),
        len(theirs),
        same=len(both) - len(different),
        only_left=len(only_left),
        only_right=len(only_right),
        different=len(different),
        only_left_examples=tuple(only_left[:MOST_EXAMPLES]),
        only_right_examples=tuple(only_right[:MOST_EXAMPLES]),
        different_examples=tuple(different[:MOST_EXAMPLES]),
    )


def _compare_metadata(table: str, ours: Mapping[str, str], theirs: Mapping[str, str]) -> TableComparison:
    both = ours.keys() & theirs.keys()
    different = [name for name in both if ours[name] != theirs[name]]
    return TableComparison(
        table,
        len(ours),
        len(theirs),
        same=len(both) - len(different),
        only_left=len(ours.keys() - theirs.keys()),
        only_right=len(theirs.keys() - ours.keys()),
        different=len(different),
        missing=tuple(side for side, rows in (("left", ours), ("right", theirs)) if not rows),
    )


def _some(examples: Sequence[int], count: int) -> str:
    shown = ", ".join(map(str, examples))
    return f"{shown} and more" if count > len(examples) else shown
