"""What a pusher does next, in every case. The brain of a run: no I/O, no clock, no threads.

`Pusher.run` is a generator: it yields a step (send this page, wait so long …), is given what came of it, or thrown the
exception that it ended with, and yields the next. So a run reads from top to bottom, and can be led through any history
in memory. `pushing` does the steps for a real site and centre.

Pages go in the order of the primary key, from the centre's own position on: what was sent and lost, and a centre that
was restored from a backup, are no special cases. One page is in flight at a time.
"""

from bisect import bisect_right
from collections.abc import Iterable
from typing import cast

from ..core.columns import Table
from ..core.strict import FUTURE_LIMIT_S, Reason
from ..errors import DataError
from .catalogue_plan import CataloguePlan
from .centre_errors import RefusedPage
from .delivery import Delivered, Delivery, Quarantined, last_key
from .model import Model, TableModel
from .patience import Patience
from .steps import (
    Begin,
    Compare,
    Heartbeat,
    Key,
    ReadPage,
    RunReport,
    RunStart,
    SendCatalogue,
    Steps,
    TableReport,
)


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
        self.persist = patience.persist
        self._model = model
        self._delivery = Delivery(self.report, patience, quarantined, page_rows=page_rows)
        self._lag_window_s = lag_window_s
        self._compares = compares

    @property
    def page_rows(self) -> int:
        """So many rows a page may have; it shrinks when the centre takes no larger ones."""
        return self._delivery.page_rows

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
        """See `Delivery.deliver`."""
        return self._delivery.deliver(table, rows, position, then=then, retry=retry)

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
        self._delivery.page_rows = max(1, min(self.page_rows, start.page_rows))
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
        self._delivery.note_refused(plan, but=Reason.PARENT)  # what lacks a parent may be taken together with it

    def _push_table(self, table: TableModel, start: RunStart) -> Steps[None]:
        report = self.report.tables[table.name]
        after = self._begin_after(report.position)
        latest_s = int(start.time_s) + FUTURE_LIMIT_S
        is_last = False
        while not is_last:
            read = ReadPage(table, after, self.page_rows)
            page: Table = yield from self.persist(read)
            rows = _before(table, page, latest_s)
            report.future = rows.count < page.count
            is_last = page.count < read.most or report.future
            after = last_key(table, rows) or after
            then = None if is_last else ReadPage(table, after, self.page_rows)
            try:
                yield from self.deliver(table, rows, last_key(table, rows), then=then)
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
