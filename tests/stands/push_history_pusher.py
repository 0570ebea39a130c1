"""One site of a history: its pusher, and what a process does around that brain, on a link that loses requests."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from samesky.core.backoff import Backoff
from samesky.core.columns import Table
from samesky.errors import DataError, SameskyError, Unreachable
from samesky.push.building import BUILDING
from samesky.push.catalogue import digest_catalogue, encode_catalogue
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.centre_errors import TooLarge
from samesky.push.comparison import Window, compare, window_of
from samesky.push.digest_question import DigestQuestion, decode_digests, encode_digests
from samesky.push.digests import DAY_S, Group, GroupDigest, Key, day_of
from samesky.push.model import TableModel
from samesky.push.page import encode_page
from samesky.push.patience import Patience
from samesky.push.proof import Proof
from samesky.push.pusher import Pusher
from samesky.push.settling import Resent
from samesky.push.steps import (
    Begin,
    Compare,
    Heartbeat,
    Poison,
    Quarantine,
    ReadPage,
    RunReport,
    SendCatalogue,
    SendPage,
    SendRows,
    SentRows,
    Step,
    Steps,
    Wait,
)

from .push_ends import MemoryExplained
from .push_history_ends import GROWING, HistoryCentre, HistorySite, chosen, read_digests, table_of
from .push_history_rules import FalseProof, Invented, PassedOver
from .push_history_site import SiteLife

START = 1_700_000_000


class Cut(Exception):
    """The pusher was killed."""


class Trouble:
    """What happens to requests, and to the pusher."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.lost, self.unanswered, self.killed, self.small = 0.0, 0.0, 0.0, 0
        if rng.random() < 0.7:
            self.lost, self.unanswered = rng.choice([0, 0.05, 0.3]), rng.choice([0, 0.05, 0.3])
            self.killed = rng.choice([0, 0, 0.05])
            self.small = rng.choice([0, 0, 2, 5])

    def before(self) -> None:
        """A request is about to be sent."""
        if self._rng.random() < self.killed:
            raise Cut
        if self._rng.random() < self.lost:
            raise Unreachable("lost")

    def after(self) -> None:
        """It was done; the answer is on its way."""
        if self._rng.random() < self.unanswered:
            raise Unreachable("not answered")
        if self._rng.random() < self.killed:
            raise Cut


CALM = Trouble(random.Random(0))
CALM.lost = CALM.unanswered = CALM.killed = 0.0
CALM.small = 0


class Site:
    """One site with its pusher: what a process does around the brain."""

    def __init__(self, name: str, centre: HistoryCentre, rng: random.Random) -> None:
        self.name = name
        self.database = HistorySite()
        self.life = SiteLife(self.database, rng)
        self.explained = {table.name: MemoryExplained() for table in GROWING}
        self.kept: dict[tuple[Any, ...], Poison] = {}
        self.now = float(START)
        self._centre = centre
        self._rng = rng
        self._run = 0
        self._trouble = CALM
        self._accept_renames = False
        self._refused_before: set[str] = set()
        self._pusher: Pusher | None = None
        self._busy = 0.0

    def run(
        self,
        trouble: Trouble,
        *,
        busy: float = 0.0,
        accept_renames: bool = False,
        compares: bool = True,
    ) -> RunReport | None:
        """One run; None when it couldn't be ended. ``busy``: how likely the database changes between two steps."""
        self._trouble, self._busy, self._accept_renames = trouble, busy, accept_renames
        self._refused_before = {key[0] for key in self.kept}
        rng = self._rng
        self._pusher = Pusher(
            BUILDING,
            patience=Patience(Backoff(0.5, 60, random=rng.random)),
            quarantined=self,
            page_rows=rng.randint(1, 9),
            lag_window_s=rng.choice([0, 600, DAY_S]),
            compares=compares,
        )
        try:
            report: RunReport = self._drive(self._pusher.run())
            if not (compares or busy):
                self._check_not_passed_over(report)
            return report
        except Cut:
            return None
        except SameskyError as error:
            if trouble is CALM and not isinstance(error, DataError):
                raise
            return None

    def is_kept(self, table: TableModel, rows: Table) -> Sequence[bool]:
        """As the quarantine does."""
        keys = zip(*(rows.column(name) for name in table.key), strict=True)
        found = (self.kept.get((table.name, *key)) for key in keys)
        return [each is not None and each.row == record for each, record in zip(found, rows.records(), strict=True)]

    def _drive(self, steps: Steps[Any]) -> Any:
        outcome: Any = None
        error: SameskyError | None = None
        while True:
            try:
                step = steps.send(outcome) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value
            if self._rng.random() < self._busy:
                self.life.change(self.now)
            try:
                outcome, error = self._do(step), None
            except SameskyError as failure:
                outcome, error = None, failure

    def _do(self, step: Step) -> Any:
        match step:
            case ReadPage():
                return self.database.read_page(step.table, step.after, step.most)
            case Quarantine(rows):
                self.kept.update({(each.table, *each.key): each for each in rows})
                return None
            case Wait():
                self.now += step.seconds
                return None
            case Compare():
                return self._compare(step)
        self._trouble.before()
        outcome = self._ask(step)
        self._trouble.after()
        return outcome

    def _ask(self, step: Step) -> Any:
        match step:
            case Begin():
                start = self._centre.begin(self.name, self.now)
                self._run = start.run
                return start
            case SendCatalogue():
                tables = self.database.read_active(step.since_s)
                if digest_catalogue(BUILDING, tables) == step.digest:
                    return None
                return self._send_catalogue(tables, accept_renames=self._accept_renames)
            case SendRows(wanted):
                tables, absent = self.database.read_with_parents(wanted)
                return SentRows(self._send_catalogue(tables, partial=True) if tables else None, absent)
            case SendPage():
                if self._trouble.small and step.rows.count > self._trouble.small:
                    raise TooLarge("too large")
                payload = encode_page(step.rows)
                return self._centre.apply_page(self.name, self._run, step.table, payload, step.position, self.now)
            case Heartbeat():
                return None
        raise AssertionError(step)

    def _send_catalogue(self, tables: Mapping[str, Table], **options: bool) -> CataloguePlan:
        answer = self._centre.apply_catalogue(self.name, self._run, encode_catalogue(tables), **options)
        return CataloguePlan.from_dict(json.loads(json.dumps(answer.as_dict())))

    def _compare(self, step: Compare) -> Proof:
        snapshot = dict(self.database.growing[step.table.name])
        window = window_of(min((key[0] for key in snapshot), default=None), step.position)
        proof = compare(
            step.table.name,
            window,
            site=_End(lambda question: read_digests(step.table, snapshot, question)),
            centre=_End(lambda question: self._ask_digests(step.table, question)),
            explained=self.explained[step.table.name],
            now=self.now,
            resend=lambda groups: self._resend(step.table, snapshot, window, groups),
            retry=step.table.name in self._refused_before and self._has_changed_the_centre(),
        )
        if proof.same and window is not None:
            self.check_held(step.table, chosen(snapshot, window), FalseProof)
            for key in [key for key in self.kept if key[0] == step.table.name and key[1] < window.to_s]:
                del self.kept[key]
        return proof

    def _has_changed_the_centre(self) -> bool:
        """Whether a parent that was refused before may be there now."""
        assert self._pusher is not None
        plan = self._pusher.report.catalogue
        return plan is not None and any(table.created or table.changed or table.adopted for table in plan.tables)

    def _ask_digests(self, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        self._trouble.before()
        asked = DigestQuestion.from_dict(json.loads(json.dumps(question.as_dict())))
        answer = json.loads(json.dumps(encode_digests(self._centre.read_digests(self.name, table, asked))))
        self._trouble.after()
        return decode_digests(answer, question)

    def _resend(
        self, table: TableModel, snapshot: dict[Any, Any], window: Window | None, groups: Sequence[Group]
    ) -> Resent:
        assert window is not None
        assert self._pusher is not None
        wanted = set(groups)
        rows = [row for row in chosen(snapshot, window) if (day_of(row[0]), row[1]) in wanted]
        done = self._drive(self._pusher.deliver(table, table_of(table, rows), None, retry=True))
        refused: dict[Group, int] = {}
        for key in done.refused:
            group = (day_of(key[0]), key[1])
            refused[group] = refused.get(group, 0) + 1
        return Resent(len(rows), done.written, refused)

    # ------------------------------------------------------------------ rules

    def check_held(self, table: TableModel, rows: Sequence[tuple[Any, ...]], failure: type[AssertionError]) -> None:
        """The centre has each of ``rows``, equal in every value, and the rows that it refers to."""
        there = self._centre.rows_in_site_ids(self.name, table)
        for row in rows:
            if there.get(row[: len(table.key)]) != row:
                raise failure(f"{self.name}: {row} is {there.get(row[: len(table.key)])} at the centre")

    def _check_not_passed_over(self, report: RunReport) -> None:
        """Without any comparison, the centre has all rows behind the position from which the run began."""
        assert report.start is not None
        for table in GROWING:
            began = report.start.positions[table.name] or ()
            rows = self.database.growing[table.name]
            new = [rows[key] for key in sorted(rows) if key > began and (table.name, *key) not in self.kept]
            if report.tables[table.name].trouble is None:
                self.check_held(table, new, PassedOver)

    def check_never_invented(self) -> None:
        """Every row that the centre has of this site, the site had at some time."""
        for table in GROWING:
            for row in self._centre.stock.growing.get((self.name, table.name), {}).values():
                if self.database.without_ids(table, row) not in self.database.ever[table.name]:
                    raise Invented(f"{self.name}: {row}")


class _End:
    """A `Digests` that asks a function."""

    def __init__(self, ask: Any) -> None:
        self.read_digests = ask
