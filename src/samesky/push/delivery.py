"""What to do about rows until each is at the centre or in quarantine: halve the page, send parents, find the guilty.

A part of the brain (`pusher`): generators of steps, no I/O.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_
from typing import Protocol, cast

from ..core.columns import Table
from ..core.strict import Reason
from ..errors import DataError
from .catalogue_plan import CataloguePlan
from .centre_errors import FaultyRows, MissingRows, RefusedPage, TooLarge
from .model import TableModel
from .patience import Patience
from .steps import Key, Poison, Quarantine, ReadPage, RunReport, SendPage, SendRows, SentRows, Steps, Stored

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


class Delivery:
    """Delivers the rows of one run, and notes in ``report`` what became of them."""

    def __init__(self, report: RunReport, patience: Patience, quarantined: Quarantined, *, page_rows: int) -> None:
        self.page_rows = page_rows
        """So many rows a page may have; it shrinks when the centre takes no larger ones."""
        self._report = report
        self._patience = patience
        self._quarantined = quarantined
        self._supplied: set[tuple[str, int]] = set()
        """Dimension rows that were sent because the centre missed them."""
        self._refused: dict[tuple[str, int], str] = {}
        """Those that it refused, and why. It may have them all the same, as they were before."""
        self._hopeless: dict[tuple[str, int], str] = {}
        """Those that it misses and can't get, and why."""

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
            ahead = is_ahead(position, self._report.tables[table.name].position)
            if not rows.count and not ahead:
                continue
            try:
                step = SendPage(table, rows, position if ahead else None, None if pieces else then)
                stored: Stored = yield from self._patience.persist(step)
            except TooLarge as error:
                self.page_rows = max(1, min(self.page_rows, rows.count // 2))
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

    def _count(self, table: TableModel, rows: Table, position: Key | None, stored: Stored, done: Delivered) -> None:
        report = self._report.tables[table.name]
        report.count(stored, rows.count)
        if is_ahead(position, report.position):
            report.position = position
        done.rows += rows.count
        done.written += stored.accepted + stored.changed

    def _set_aside(self, table: TableModel, rows: Table, done: Delivered, retry: bool) -> Steps[Table]:
        """The rows to send: without those in quarantine, and those whose parents the centre can't get."""
        kept = [False] * rows.count if retry else self._quarantined.is_kept(table, rows)
        if any(kept):
            done.refused += _keys(table, rows.only(kept))
            self._report.tables[table.name].skipped += sum(kept)
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
            sent: SentRows = yield from self._patience.persist(SendRows(_by_table(fresh), frozenset(self._refused)))
            self.note_refused(sent.plan)
            self._hopeless |= {
                (name, number): f"this site has no {name} {number}"
                for name, ids in sent.absent.items()
                for number in ids
            }
        rest = yield from self._drop_orphans(table, rows, done)
        if not fresh and rest.count == rows.count:
            raise DataError("the centre asks again for rows that it got, and that no row of the page refers to")
        return rest

    def note_refused(self, plan: CataloguePlan | None, *, but: Reason | None = None) -> None:
        """Remember the dimension rows that were refused, except for the reason ``but``."""
        for refusal in plan.refused if plan else ():
            if refusal.reason is not but:
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
        faults = {
            fault.row: (fault.reason, f"{fault.column}: {fault.words}")
            for fault in reversed(error.faults)
            if fault.row < rows.count
        }
        if not faults:
            raise RefusedPage("the centre refuses rows that weren't sent", Reason.SHAPE)
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
        return [(first, position and last_key(table, first)), (second, position)]

    def _quarantine(
        self, table: TableModel, rows: Table, faults: Mapping[int, tuple[Reason, str]], done: Delivered
    ) -> Steps[Table]:
        """``rows`` without those in ``faults``, which are put away."""
        if not faults:
            return rows
        guilty = rows.only([place in faults for place in range(rows.count)])
        verdicts = [faults[place] for place in sorted(faults)]
        keys = _keys(table, guilty)
        poison = tuple(
            Poison(table.name, key, record, reason, words)
            for key, record, (reason, words) in zip(keys, guilty.records(), verdicts, strict=True)
        )
        known = self._quarantined.is_kept(table, guilty)
        yield Quarantine(poison)
        done.refused += keys
        counts = self._report.tables[table.name].quarantined
        for each in compress(poison, map(not_, known)):  # one that is sent again counts once
            counts[each.reason] = counts.get(each.reason, 0) + 1
        return rows.only([place not in faults for place in range(rows.count)])


def _keys(table: TableModel, rows: Table) -> list[Key]:
    return list(zip(*(rows.column(name) for name in table.key), strict=True))


def last_key(table: TableModel, rows: Table) -> Key | None:
    """The key of the last of ``rows``; None when there are none."""
    return tuple(rows.column(name)[-1] for name in table.key) if rows.count else None


def is_ahead(key: Key | None, known: Key | None) -> bool:
    """Whether ``key`` is a position beyond ``known``."""
    return key is not None and (known is None or key > known)


def _by_table(rows: set[tuple[str, int]]) -> dict[str, frozenset[int]]:
    return {name: frozenset(number for other, number in rows if other == name) for name, _ in rows}
