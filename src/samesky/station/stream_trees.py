"""Both trees of one stream, kept up with its tables in the background, and what is said of them.

Work is done in slices that last a few hundredths of a second, with a pause as long after each: a station has other
things to do. Stored sums are never trusted for ever: every half minute the last days are read again, the rows of older
spans are counted, and what was read longest ago is read again, as long as all of that takes no more than 0.2 % of the
time. Where SQLite tells that nobody has written, what was read, or counted, since then isn't for a day. So a change by
hand is found within a minute where rows came or went or are young, and in old rows within an hour or two for each year
of the archive.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..core.columns import Column, Table
from ..core.timetree import View
from .archive import Archive
from .archive_reader import quoted_names
from .archive_tree import ArchiveTree
from .check_question import TreeName
from .days import LONGEST_DAY_S
from .messages import LiveRoot
from .paging import fits
from .schema import SUMMARY_COLUMNS
from .span_counts import SpanCounts
from .tree_store import TreeStore

RECHECK_INTERVAL_S = 30.0
DAY_S = 86_400
RECENT_S = 2 * DAY_S
COUNT_S, WORK_S = 0.02, 0.06
"""How long rows are counted each time, and how long all of it takes: what is left is for the old spans."""
MOST_SPANS = 16
"""Old spans read each time, however fast the machine is; one is read however slow it is."""
_TIMES_A_QUERY = 500


class StreamTrees:
    """The trees of one scope (`check_session.Scope`). One thread's. ``owner`` as in `ArchiveTree`."""

    def __init__(
        self,
        store: TreeStore,
        stream: str,
        columns: Sequence[str],
        observations: Sequence[str],
        *,
        owner: bool,
        timer: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        def tree(kind: TreeName, names: Sequence[str]) -> ArchiveTree:
            return ArchiveTree(store, stream, kind, sorted(names), owner=owner, timer=timer, clock=clock)

        self.columns, self.observations = tuple(columns), tuple(observations)
        self._trees = {"archive": tree("archive", columns), "summary": tree("summary", observations)}
        self._timer, self._clock = timer, clock
        self._written_at = self._scrub_before = 0
        self._recheck_at = timer() + RECHECK_INTERVAL_S
        self._rechecking = False
        self._doubted = False
        self._spent_s = 0.0
        self._scrubbed = 0
        self._write_mark: object | None = None
        self._counts = SpanCounts(timer)
        self._next_slice = 0.0
        self._complete_to = 0

    @property
    def silent_changes(self) -> int:
        """Leaves in which somebody else had changed rows, found by reading them again."""
        return sum(tree.silent_changes for tree in self._trees.values())

    @property
    def changes(self) -> int:
        """Leaves that were other than before when they were read again, whoever had changed them."""
        return sum(tree.changes for tree in self._trees.values())

    def refresh(self, archive: Archive, until: int) -> bool:
        """Do a slice of work; whether both trees hold everything up to ``until``."""
        began = self._timer()
        self._attach(archive)
        complete = all(tree.refresh(_until(name, until)) for name, tree in self._trees.items()) and self._clear_doubt()
        self._complete_to = until if complete else 0
        self._next_slice = self._timer() + (self._timer() - began)
        return complete

    def work(self, archive: Archive, until: int) -> None:
        """Do a slice of whatever is due: what is new first, then what is to be read again."""
        if self._timer() < self._next_slice:
            return
        if self._complete_to < until:
            self.refresh(archive, until)
        elif self._rechecking or self._timer() >= self._recheck_at:
            self._recheck(archive, until)

    def next_time(self, until: int) -> float:
        """When `work` has something to do, by the timer."""
        return self._next_slice if self._complete_to < until or self._rechecking else self._recheck_at

    def mark_dirty(self, tree: TreeName, times: Sequence[int]) -> None:
        """Rows of these times (of ``summary``: days) have changed, or are about to."""
        self._complete_to = 0
        self._trees[tree].mark_dirty(times)

    def view(self, tree: TreeName, until: int) -> View:
        """The tree up to ``until``; of the summaries, the days that were over by then in any time zone."""
        return View(self._trees[tree], _until(tree, until))

    def live_root(self, archive: Archive, until: int) -> LiveRoot | None:
        """The root of all records up to ``until``; None while the sums aren't added up that far."""
        self._attach(archive)
        tree = self._trees["archive"]
        if not tree.refresh(until) or not self._clear_doubt():
            return None
        return LiveRoot.of(until, self.view("archive", until).root())

    def save(self) -> None:
        """Save what is new."""
        for tree in self._trees.values():
            tree.save()

    def _attach(self, archive: Archive) -> None:
        for tree in self._trees.values():
            tree.attach(archive)

    def _recheck(self, archive: Archive, until: int) -> None:
        """A slice of looking again at what is in the sums already."""
        began = self._timer()
        self._attach(archive)
        if not self._rechecking:
            self._begin_recheck(archive, until)
        is_done = all(tree.reread() for tree in self._trees.values())
        self._doubted = self._doubted and not is_done
        self._spent_s += self._timer() - began
        if is_done and self._scrubbed < (MOST_SPANS if self._spent_s < WORK_S else 1):
            self._scrubbed += 1
            left = [tree.scrub(1, before=self._scrub_before) for tree in self._trees.values()]
            self._rechecking = any(left)
        elif is_done:
            self._rechecking = False
        self._recheck_at = began + RECHECK_INTERVAL_S
        self._next_slice = self._timer() + (self._timer() - began)

    def _begin_recheck(self, archive: Archive, until: int) -> None:
        self._rechecking, self._spent_s, self._scrubbed = True, 0.0, 0
        now = math.floor(self._clock())
        for name, tree in self._trees.items():
            if not tree.refresh(_until(name, until)):  # what triggers have noted meanwhile
                self._complete_to = 0
        is_written = self._is_written(archive)
        if is_written:
            self._written_at = now
            self._counts.begin_round()
        self._scrub_before = max(self._written_at, now - DAY_S)
        if not is_written and self._counts.is_round_complete:
            return
        for tree in self._trees.values():
            tree.recheck_recent(RECENT_S)
        archives = self._trees["archive"]
        changed = self._counts.find_changed(archives, archive, budget_s=COUNT_S)
        archives.distrust(changed)
        self._doubted = self._doubted or bool(changed)

    def _is_written(self, archive: Archive) -> bool:
        """Whether others have written to the database since the last time, as far as it tells."""
        before, self._write_mark = self._write_mark, archive.read_write_mark()
        return self._write_mark is None or self._write_mark != before

    def _clear_doubt(self) -> bool:
        """Read spans whose counts don't fit their sums, before anything is said of them; whether there is none."""
        if self._doubted:
            self._doubted = not self._trees["archive"].reread()
        return not self._doubted


@dataclass(slots=True)
class OthersChanges:
    """Which changes of the sums somebody has been told of, who changes rows himself as well."""

    seen: int = 0
    silent: int = 0
    own: bool = False
    """Whether we ourselves have changed rows since the last look."""

    def take(self, trees: StreamTrees) -> bool:
        """Whether somebody else has changed rows; what is marked by triggers can't be told from what we did then."""
        seen, silent, own = trees.changes, trees.silent_changes, self.own
        is_new = silent != self.silent or (seen != self.seen and not own)
        self.seen, self.silent, self.own = seen, silent, False
        return is_new


class AnsweringTrees:
    """`check_answers.Trees` for one question: a stream's trees up to its moment, and its rows."""

    def __init__(self, trees: StreamTrees, archive: Archive, until: int) -> None:
        self._trees, self._archive, self._until = trees, archive, until

    def view(self, tree: TreeName) -> View:
        """As `Trees.view`."""
        return self._trees.view(tree, self._until)

    def read_rows(self, tree: TreeName, times: Sequence[int]) -> Table:
        """As `Trees.read_rows`."""
        if tree == "summary":
            return self._read_days(times)
        columns = self._archive.read_columns()
        return Table.from_rows("archive", columns, self._read_times(columns, times))

    def _read_times(self, columns: Sequence[Column], times: Sequence[int]) -> list[Sequence[object]]:
        rows: list[Sequence[object]] = []
        names = quoted_names(column.name for column in columns)
        for at in range(0, len(times), _TIMES_A_QUERY):
            chosen = ", ".join(map(str, times[at : at + _TIMES_A_QUERY]))
            query = f"SELECT {names} FROM `{self._archive.table}` WHERE `dateTime` IN ({chosen}) ORDER BY `dateTime`"
            rows += [row for row in self._archive.read_query(query) if fits(columns, row)]
        return rows

    def _read_days(self, days: Sequence[int]) -> Table:
        rows: list[tuple[object, ...]] = []
        for day in days:
            table = self._archive.read_summaries(day, day)
            rows += [row for row in table.rows() if row[0] in self._trees.observations]
        return Table.from_rows("summary", SUMMARY_COLUMNS, rows)


def _until(tree: str, until: int) -> int:
    return until if tree == "archive" else max(0, until - LONGEST_DAY_S)
