"""What a pusher does next, in every case. The brain of a run: no I/O, no clock, no threads.

`Pusher.run` is a generator: it yields a step (send this page, wait so long …), is given what came of it, or thrown the
exception that it ended with, and yields the next. So a run reads from top to bottom, and can be led through any history
in memory. `pushing` does the steps for a real site and centre.

Pages go in the order of the primary key, from the centre's own position on: what was sent and lost, and a centre that
was restored from a backup, are no special cases. One page is in flight at a time.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_
from typing import Protocol, cast

from ..core.columns import Table
from ..core.strict import FUTURE_LIMIT_S, Reason
from ..errors import DataError, SameskyError
from .catalogue_plan import CataloguePlan
from .centre_errors import FaultyRows, MissingRows, RefusedPage, TooLarge
from .model import Model, TableModel
from .patience import Patience
from .steps import (
    Begin,
    Compare,
    Heartbeat,
    Key,
    Poison,
    Quarantine,
    ReadPage,
    RunReport,
    RunStart,
    SendCatalogue,
    SendPage,
    SendRows,
    SentRows,
    Step,
    Steps,
    Stored,
    TableReport,
    Wait,
)

MOST_GUESSED = 20
"""So many rows at most are found guilty by sending ever smaller pages, without a word from the centre about rows."""


class Quarantined(Protocol):
    """The rows that the centre refused before."""

    def is_kept(self, table: TableModel, rows: Table) -> Sequence[bool]:
        """Which of ``rows`` are among them, unchanged."""


@dataclass(slots=True)
class Delivered:
    """What became of rows that were sent."""

    rows: int = 0
    written: int = 0
    """Rows that the centre hadn't, or had otherwise."""
    refused: list[Key] = field(default_factory=list)
    """The keys of rows that are in the quarantine now, or were before."""


class Pusher:
    """One run from a site to a centre; what it has done so far is its ``report``."""

    def __init__(
        self,
        model: Model,
        *,
        patience: Patience,
        quarantined: Quarantined,
        page_rows: int,
        lag_window_s: int,
        compares: bool = True,
    ) -> None:
        self.report = RunReport(tables={table.name: TableReport(table.name) for table in model.append_only()})
        self._model = model
        self._patience = patience
        self._quarantined = quarantined
        self._page_rows = page_rows
        self._lag_window_s = lag_window_s
        self._compares = compares
        self._supplied: set[tuple[str, int]] = set()
        """Dimension rows that were sent because the centre missed them."""
        self._refused: dict[tuple[str, int], str] = {}
        """Those that it refused, and why. It may have them all the same, as they were before."""
        self._hopeless: dict[tuple[str, int], str] = {}
        """Those that it misses and can't get, and why."""

    @property
    def page_rows(self) -> int:
        """So many rows a page may have; it shrinks when the centre takes no larger ones."""
        return self._page_rows

    def run(self) -> Steps[RunReport]:
        """Everything there is to push, table by table; then the comparison, and a heartbeat.

        Ends with the exception of a step that can't be helped. A table that the centre refuses is given up alone, and
        has its `TableReport.trouble`.
        """
        start = yield from self._begin()
        yield from self._send_catalogue(start)
        for table in self._model.append_only():
            yield from self._push_table(table, start)
        if self._compares:
            yield from self._compare()
        yield from self.persist(Heartbeat(self.report))
        return self.report

    def repair(self) -> Steps[RunReport]:
        """The comparison alone, up to where the centre is; what differs is sent again."""
        yield from self._send_catalogue((yield from self._begin()))
        yield from self._compare()
        yield from self.persist(Heartbeat(self.report))
        return self.report

    def deliver(
        self, table: TableModel, rows: Table, position: Key | None, *, then: ReadPage | None = None, retry: bool = False
    ) -> Steps[Delivered]:
        """Send ``rows`` until each is at the centre or in quarantine; ``retry``: also those that are there already.

        ``then`` may be done meanwhile. Raises `RefusedPage` when the centre takes no page of this table.
        """
        done = Delivered()
        rows = yield from self._set_aside(table, rows, done, retry)
        pieces = deque([(rows, position)])
        guesses = MOST_GUESSED
        while pieces:
            rows, position = pieces.popleft()
            ahead = _is_ahead(position, self.report.tables[table.name].position)
            if not rows.count and not ahead:
                continue
            try:
                step = SendPage(table, rows, position if ahead else None, None if pieces else then)
                stored: Stored = yield from self.persist(step)
            except TooLarge as error:
                self._page_rows = max(1, min(self._page_rows, rows.count // 2))
                pieces.extendleft(reversed((yield from self._halve(table, rows, position, error, done))))
            except MissingRows as error:
                rest = yield from self._supply(table, rows, error, done)
                pieces.appendleft((rest, position))
            except FaultyRows as error:
                rest = yield from self._drop_faulty(table, rows, error, done)
                pieces.appendleft((rest, position))
            except RefusedPage as error:
                if rows.count <= 1:
                    guesses -= 1
                if not guesses or error.is_of_table:
                    raise
                pieces.extendleft(reversed((yield from self._halve(table, rows, position, error, done))))
            else:
                self._count(table, rows, position, stored, done)
        return done

    def persist(self, step: Step) -> Steps:  # type: ignore[type-arg]
        """Do ``step``, again and again while waiting may help; returns what comes of it."""
        while True:
            try:
                outcome = yield step
            except SameskyError as error:
                wait_s = self._patience.plan_wait_s(error)
                if wait_s is None:
                    raise
                cause = error
            else:
                self._patience.renew()
                return outcome
            yield Wait(wait_s, cause)

    def _compare(self) -> Steps[None]:
        for table in self._model.append_only():
            report = self.report.tables[table.name]
            if report.trouble is None:
                try:
                    report.proof = yield Compare(table, report.position)
                except RefusedPage as error:
                    report.trouble = error

    def _begin(self) -> Steps[RunStart]:
        start: RunStart = yield from self.persist(Begin())
        self.report.start = start
        self._page_rows = max(1, min(self._page_rows, start.page_rows))
        for name, table in self.report.tables.items():
            table.position = start.positions.get(name)
        return start

    def _send_catalogue(self, start: RunStart) -> Steps[None]:
        step = SendCatalogue(find_active_since(start.positions.values(), self._lag_window_s), start.catalogue)
        plan: CataloguePlan | None = yield from self.persist(step)
        self.report.catalogue = plan
        if plan is not None and plan.another_database:
            names = ", ".join(plan.another_database)
            raise DataError(
                f"the centre takes this for another database than the one it knows: most rows of {names} changed",
                hint="If they were renamed on purpose, run once with --accept-renames; `samesky push plan` lists them.",
            )
        if plan is not None:
            # What lacks a parent may be taken when it's sent together with that.
            orphans = [refusal for refusal in plan.refused if refusal.reason is Reason.PARENT]
            self._note_refused(plan)
            for refusal in orphans:
                self._refused.pop((refusal.table, refusal.site_id), None)

    def _push_table(self, table: TableModel, start: RunStart) -> Steps[None]:
        report = self.report.tables[table.name]
        after = self._begin_after(report.position)
        latest_s = int(start.time_s) + FUTURE_LIMIT_S
        is_last = False
        while not is_last:
            read = ReadPage(table, after, self._page_rows)
            page: Table = yield from self.persist(read)
            rows = _before(table, page, latest_s)
            report.future = rows.count < page.count
            is_last = page.count < read.most or report.future
            after = _last_key(table, rows) or after
            then = None if is_last else ReadPage(table, after, self._page_rows)
            try:
                yield from self.deliver(table, rows, _last_key(table, rows), then=then)
            except RefusedPage as error:
                report.trouble = error
                return
        report.is_pushed = True

    def _begin_after(self, position: Key | None) -> Key | None:
        """Where to begin to read: so much before ``position`` as rows may have come late.

        A key of the time alone stands behind all rows of that second.
        """
        if position is None or not self._lag_window_s:
            return position
        return (position[0] - self._lag_window_s - 1,)

    def _count(self, table: TableModel, rows: Table, position: Key | None, stored: Stored, done: Delivered) -> None:
        report = self.report.tables[table.name]
        report.count(stored, rows.count)
        if _is_ahead(position, report.position):
            report.position = position
        done.rows += rows.count
        done.written += stored.accepted + stored.changed

    def _set_aside(self, table: TableModel, rows: Table, done: Delivered, retry: bool) -> Steps[Table]:
        """The rows to send: without those in quarantine, and those whose parents the centre can't get."""
        kept = [False] * rows.count if retry else self._quarantined.is_kept(table, rows)
        if any(kept):
            done.refused += _keys(table, rows.only(kept))
            self.report.tables[table.name].skipped += sum(kept)
            rows = rows.only([not each for each in kept])
        return (yield from self._drop_orphans(table, rows, done))

    def _supply(self, table: TableModel, rows: Table, error: MissingRows, done: Delivered) -> Steps[Table]:
        """Send the rows that the centre misses, and return what can be sent then of ``rows``."""
        missing = {(name, number) for name, ids in error.missing.items() for number in ids}
        hopeless = missing & (self._supplied | self._refused.keys())
        for name, number in hopeless:
            usual = f"the centre doesn't keep {name} {number}, though it was sent"
            self._hopeless.setdefault((name, number), self._refused.get((name, number), usual))
        fresh = missing - hopeless
        if fresh:
            self._supplied |= fresh
            sent: SentRows = yield from self.persist(SendRows(_by_table(fresh), frozenset(self._refused)))
            self._note_refused(sent.plan)
            self._hopeless |= {
                (name, number): f"this site has no {name} {number}"
                for name, ids in sent.absent.items()
                for number in ids
            }
        rest = yield from self._drop_orphans(table, rows, done)
        if not fresh and rest.count == rows.count:
            raise DataError("the centre asks again for rows that it got, and that no row of the page refers to")
        return rest

    def _note_refused(self, plan: CataloguePlan | None) -> None:
        for refusal in plan.refused if plan else ():
            words = f"the centre refuses {refusal.table} {refusal.site_id}: {refusal.words}"
            self._refused.setdefault((refusal.table, refusal.site_id), words)

    def _drop_orphans(self, table: TableModel, rows: Table, done: Delivered) -> Steps[Table]:
        """``rows`` without those that refer to what the centre can't get."""
        if not self._hopeless:
            return rows
        found: dict[int, str] = {}
        for column, parent in table.references.items():
            for place, number in enumerate(cast(list[int | None], rows.column(column))):
                if number is not None and (parent, number) in self._hopeless:
                    found[place] = self._hopeless[parent, number]
        return (
            yield from self._quarantine(table, rows, {place: (Reason.PARENT, found[place]) for place in found}, done)
        )

    def _drop_faulty(self, table: TableModel, rows: Table, error: FaultyRows, done: Delivered) -> Steps[Table]:
        faults = {fault.row: (fault.reason, f"{fault.column}: {fault.words}") for fault in reversed(error.faults)}
        return (yield from self._quarantine(table, rows, faults, done))

    def _halve(
        self, table: TableModel, rows: Table, position: Key | None, error: TooLarge | RefusedPage, done: Delivered
    ) -> Steps[Sequence[tuple[Table, Key | None]]]:
        """Two pieces in place of ``rows``; of a single one it is now known that it is to blame."""
        if not rows.count:
            raise error
        if rows.count == 1:
            rest = yield from self._quarantine(table, rows, {0: (error.reason, str(error))}, done)
            return [(rest, position)]
        middle = rows.count // 2
        first = rows.only([place < middle for place in range(rows.count)])
        second = rows.only([place >= middle for place in range(rows.count)])
        return [(first, position and _last_key(table, first)), (second, position)]

    def _quarantine(
        self, table: TableModel, rows: Table, faults: Mapping[int, tuple[Reason, str]], done: Delivered
    ) -> Steps[Table]:
        """``rows`` without those in ``faults``, which are put away."""
        if not faults:
            return rows
        guilty = rows.only([place in faults for place in range(rows.count)])
        verdicts = [faults[place] for place in sorted(faults) if place < rows.count]
        keys = _keys(table, guilty)
        poison = tuple(
            Poison(table.name, key, record, reason, words)
            for key, record, (reason, words) in zip(keys, guilty.records(), verdicts, strict=True)
        )
        known = self._quarantined.is_kept(table, guilty)
        yield Quarantine(poison)
        done.refused += keys
        counts = self.report.tables[table.name].quarantined
        for each in compress(poison, map(not_, known)):  # one that is sent again counts once
            counts[each.reason] = counts.get(each.reason, 0) + 1
        return rows.only([place not in faults for place in range(rows.count)])


def find_active_since(positions: Iterable[Key | None], lag_window_s: int) -> int | None:
    """The time of the oldest reading that is to be expected from ``positions`` on; None before the first push.

    What an older one refers to, the centre asks for.
    """
    times = [int(position[0]) for position in positions if position is not None]
    return min(times) - lag_window_s if times else None


def _before(table: TableModel, page: Table, latest_s: int) -> Table:
    """The rows of ``page``, which is in key order, up to the time ``latest_s``: later ones wait until it has come."""
    times = cast(list[int], page.column(table.time_column))
    if not times or times[-1] <= latest_s:
        return page
    end = bisect_right(times, latest_s)
    return page.only([place < end for place in range(page.count)])


def _keys(table: TableModel, rows: Table) -> list[Key]:
    return list(zip(*(rows.column(name) for name in table.key), strict=True))


def _last_key(table: TableModel, rows: Table) -> Key | None:
    return tuple(rows.column(name)[-1] for name in table.key) if rows.count else None


def _is_ahead(key: Key | None, known: Key | None) -> bool:
    return key is not None and (known is None or key > known)


def _by_table(rows: set[tuple[str, int]]) -> dict[str, frozenset[int]]:
    return {name: frozenset(number for other, number in rows if other == name) for name, _ in rows}
