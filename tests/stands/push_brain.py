"""A site and a centre in memory, between which the pusher's brain is led without I/O, clock or threads."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from samesky.core.backoff import Backoff
from samesky.core.columns import Table
from samesky.core.strict import Reason
from samesky.errors import SameskyError
from samesky.push.building import BUILDING
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.centre_errors import FaultyRows, MissingRows, RefusedPage, TooLarge
from samesky.push.model import TableModel
from samesky.push.patience import Patience
from samesky.push.pusher import Pusher
from samesky.push.steps import (
    Begin,
    Compare,
    Heartbeat,
    Poison,
    Quarantine,
    ReadPage,
    RunStart,
    SendCatalogue,
    SendPage,
    SendRows,
    SentRows,
    Step,
    Steps,
    Stored,
    Wait,
)
from samesky.push.values import PageFault

READING, NODE_STATE = BUILDING.table("Reading"), BUILDING.table("NodeState")
Row = tuple[Any, ...]
NOW = 1_700_000_000


def reading(time: int, node: int = 1, kind: int = 0, location: int | None = 5, value: float | None = 20.5) -> Row:
    """A row of Reading."""
    return (time, node, kind, location, value)


def as_table(table: TableModel, rows: Sequence[Row]) -> Table:
    """``rows`` as a page."""
    return Table.from_rows(table.name, table.wire, rows)


@dataclass
class MemorySite:
    """Rows of append-only tables by name, in any order; ``dimensions`` are the ids that there are."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    dimensions: dict[str, set[int]] = field(default_factory=dict)
    kept: dict[tuple[Any, ...], Poison] = field(default_factory=dict)
    reads: list[ReadPage] = field(default_factory=list)

    def read_page(self, read: ReadPage) -> Table:
        """As the site's database does."""
        self.reads.append(read)
        width = len(read.table.key)
        rows = sorted(self.rows.get(read.table.name, []), key=lambda row: row[:width])
        after = (
            0 if read.after is None else bisect_right(rows, read.after, key=lambda row: row[: len(read.after or ())])
        )
        return as_table(read.table, rows[after : after + read.most])

    def is_kept(self, table: TableModel, rows: Table) -> Sequence[bool]:
        """As the quarantine does."""
        keys = zip(*(rows.column(name) for name in table.key), strict=True)
        found = (self.kept.get((table.name, *key)) for key in keys)
        return [each is not None and each.row == record for each, record in zip(found, rows.records(), strict=True)]


@dataclass
class MemoryCentre:
    """What a centre keeps of one site, and how it misbehaves."""

    rows: dict[str, dict[Row, Row]] = field(default_factory=dict)
    positions: dict[str, Row | None] = field(default_factory=dict)
    known: dict[str, set[int]] | None = None
    """Ids of dimensions; None: all are known."""
    plan: CataloguePlan | None = None
    """What it answers to the catalogue."""
    hopeless: set[tuple[str, int]] = field(default_factory=set)
    """Dimension rows that it never takes."""
    most_rows: int = 1_000_000
    """Pages with more are too large."""
    is_poison: Callable[[Row], bool] = lambda _: False
    names_poison: bool = True
    page_rows: int = 1000
    pages: list[tuple[str, int, Row | None]] = field(default_factory=list)
    """Table, rows and position of each page that was taken."""
    runs: int = 0

    def begin(self) -> RunStart:
        """As the route does."""
        self.runs += 1
        return RunStart(
            run=self.runs,
            centre="here",
            site="1",
            positions={name: self.positions.get(name) for name in ("Reading", "NodeState")},
            catalogue=None,
            page_bytes=1 << 20,
            page_rows=self.page_rows,
            time_s=NOW,
        )

    def store(self, page: SendPage) -> Stored:
        """As the route does."""
        rows = list(page.rows.rows())
        if len(rows) > self.most_rows:
            raise TooLarge("too many")
        self._check_parents(page)
        faults = [
            PageFault(place, "value", Reason.RANGE, "poison") for place, row in enumerate(rows) if self.is_poison(row)
        ]
        if faults:
            raise FaultyRows(faults[:100]) if self.names_poison else RefusedPage("poison", Reason.RANGE)
        stored = self._put(page.table, rows)
        if page.position is not None:
            self.positions[page.table.name] = page.position
        self.pages.append((page.table.name, len(rows), page.position))
        return stored

    def supply(self, wanted: Mapping[str, frozenset[int]], site: MemorySite) -> SentRows:
        """Take these rows of the site's dimensions."""
        absent: dict[str, frozenset[int]] = {}
        for name, ids in wanted.items():
            there = site.dimensions.get(name, set())
            absent |= {name: ids - there} if ids - there else {}
            assert self.known is not None
            self.known.setdefault(name, set()).update(each for each in ids & there if (name, each) not in self.hopeless)
        return SentRows(None, absent)

    def _put(self, table: TableModel, rows: list[Row]) -> Stored:
        kept = self.rows.setdefault(table.name, {})
        counts = {"accepted": 0, "duplicate": 0, "changed": 0}
        for row in rows:
            old = kept.get(row[: len(table.key)])
            counts["accepted" if old is None else "duplicate" if old == row else "changed"] += 1
            kept[row[: len(table.key)]] = row
        return Stored(**counts)

    def _check_parents(self, page: SendPage) -> None:
        if self.known is None:
            return
        missing = {}
        for column, name in page.table.references.items():
            ids = {each for each in page.rows.column(column) if each is not None}
            if lacking := ids - self.known.get(name, set()):
                missing[name] = frozenset(lacking)
        if missing:
            raise MissingRows(missing)


@dataclass
class Driver:
    """Does the steps of a brain. ``before`` may raise in place of doing one, ``after`` in place of its outcome."""

    site: MemorySite
    centre: MemoryCentre
    before: Callable[[Step], None] = lambda _: None
    after: Callable[[Step], None] = lambda _: None
    steps: list[Step] = field(default_factory=list)

    def waits(self) -> list[float]:
        """The pauses that were made."""
        return [step.seconds for step in self.steps if isinstance(step, Wait)]

    def drive(self, steps: Steps[Any]) -> Any:
        """Lead a brain to its end; returns what it returns."""
        outcome: Any = None
        error: SameskyError | None = None
        while True:
            try:
                step = steps.send(outcome) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            self.steps.append(step)
            try:
                self.before(step)
                outcome, error = self._do(step), None
                self.after(step)
            except SameskyError as failure:
                outcome, error = None, failure

    def _do(self, step: Step) -> Any:
        match step:
            case Begin():
                return self.centre.begin()
            case ReadPage():
                return self.site.read_page(step)
            case SendPage():
                return self.centre.store(step)
            case SendRows(wanted, without):
                rest = {
                    name: frozenset(each for each in ids if (name, each) not in without) for name, ids in wanted.items()
                }
                return self.centre.supply(rest, self.site)
            case Quarantine(rows):
                self.site.kept.update({(each.table, *each.key): each for each in rows})
            case SendCatalogue():
                return self.centre.plan
            case Wait() | Compare() | Heartbeat():
                return None


def pusher(site: MemorySite, *, page_rows: int = 10, lag_window_s: int = 0) -> Pusher:
    """A brain that never compares."""
    numbers: Iterator[float] = iter(lambda: 0.5, None)
    return Pusher(
        BUILDING,
        patience=Patience(Backoff(0.5, 60, random=lambda: next(numbers))),
        quarantined=site,
        page_rows=page_rows,
        lag_window_s=lag_window_s,
        compares=False,
    )
