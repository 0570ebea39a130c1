"""Pushes a site to one centre: does the steps that the brain (`pusher`) asks for, and nothing else.

While a page is in flight the next one is read and packed. A read of the site's database is one short transaction: a
slow link holds no lock and no snapshot there.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from random import random
from typing import Any, Self, TypeVar

from ..core.backoff import Backoff
from ..core.columns import Table
from ..errors import SameskyError
from .catalogue import digest_catalogue
from .catalogue_plan import CataloguePlan
from .centre_client import CentreClient
from .comparing import Comparing
from .databases import Database
from .delivery import Delivered
from .digest_question import DigestQuestion
from .digests import GroupDigest, Key
from .model import TableModel
from .parents import read_with_parents
from .patience import MOST_TRIES, Patience
from .proof import Proof
from .push_settings import PushSettings, TargetSettings
from .pusher import Pusher
from .reporting import Reporting
from .site_cache import SiteCache
from .site_database import SiteDatabase, SiteSnapshot
from .steps import (
    Ask,
    Begin,
    Compare,
    Heartbeat,
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
    Wait,
)

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
FAST_LINK_S = 0.125
"""A page that takes less met a link on which hard packing costs more time than it saves."""
Read = TypeVar("Read")
Returned = TypeVar("Returned")


class Stopped(Exception):
    """The run was asked to end, and has between two steps."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    target: str
    doing: str
    """A table's name, or what is being done in words."""
    done: int = 0
    total: int = 0
    """Rows of the table to be sent; 0 where there is nothing to count."""


class Pushing:
    """Runs for one site and one target. For one thread at a time; a context manager."""

    def __init__(
        self,
        settings: PushSettings,
        target: TargetSettings,
        site: SiteDatabase,
        client: CentreClient,
        cache: SiteCache,
        *,
        stop: threading.Event | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._target = target
        self._site = site
        self._client = client
        self._cache = cache
        self._quarantine = cache.quarantine(target.name)
        self.reporting = Reporting(target, settings.model, cache)
        self._stop = stop or threading.Event()
        self._on_progress = on_progress
        self._sender = ThreadPoolExecutor(1, thread_name_prefix=f"push-send-{target.name}")
        self._pusher = self._make_pusher()
        self._start: RunStart | None = None
        self._started_s = 0.0
        self._ahead: tuple[ReadPage, Table] | None = None
        self._packed: tuple[Table, bytes] | None = None
        self._level = 6
        self._waits_for: SameskyError | None = None
        """What is being waited for, if anything is."""
        self._deep = self._retry = False
        self._refused_before: set[str] = set()
        self._done = 0
        self._totals: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Wait for the page that is in flight, and close the connection."""
        self._sender.shutdown()
        self._client.close()

    @property
    def report(self) -> RunReport:
        """What the current or last run did so far."""
        return self._pusher.report

    def run(self) -> RunReport:
        """Push everything there is, compare, and say how it went. Raises `SameskyError` when it couldn't, `Stopped`."""
        return self._do_reporting(lambda pusher: pusher.run())

    def repair(self, *, deep: bool = False, retry: bool = True) -> RunReport:
        """Compare all tables with the centre, up to where it is, and send again what differs; push nothing else.

        ``deep``: no digest that was kept is believed, at either end; ``retry``: rows that the centre refused before are
        sent again, too. A run is begun for it. Raises as `run` does.
        """
        self._deep, self._retry = deep, retry
        return self._do_reporting(lambda pusher: pusher.repair())

    def _do_reporting(self, plan: Callable[[Pusher], Steps[RunReport]]) -> RunReport:
        self._pusher = self._make_pusher()
        self._totals, self._ahead, self._packed = {}, None, None
        tables = self._settings.model.append_only()
        self._refused_before = {table.name for table in tables if self._quarantine.count(table.name)}
        self.reporting.begin()
        try:
            report = self.drive(plan(self._pusher))
        except SameskyError as error:
            self.reporting.write_end(self.report, error=error)
            raise
        except (Stopped, KeyboardInterrupt, SystemExit):
            self.reporting.write_end(self.report, error=self._waits_for)
            raise
        report.unfit = self._site.unfit
        self._count_backlog()
        self.reporting.write_end(report)
        return report

    def _make_pusher(self) -> Pusher:
        return Pusher(
            self._settings.model,
            patience=Patience(Backoff(FIRST_WAIT_S, LONGEST_WAIT_S, random=random), most_tries=MOST_TRIES),
            quarantined=self._quarantine,
            page_rows=self._target.page_rows,
            lag_window_s=self._settings.lag_window_s,
            compares=self._settings.compare,
        )

    def drive(self, steps: Steps[Returned]) -> Returned:
        """Do what ``steps`` ask for until they end; returns what they return."""
        outcome: Any = None
        error: SameskyError | None = None
        while True:
            try:
                step = steps.send(outcome) if error is None else steps.throw(error)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if self._stop.is_set():
                steps.close()
                raise Stopped
            try:
                outcome, error = self._do(step), None
            except SameskyError as failure:
                outcome, error = None, failure
            else:
                if not isinstance(step, Wait):  # who has waited knows no more than before
                    self._waits_for = None

    def _do(self, step: Step) -> Any:
        match step:
            case Begin():
                return self._begin()
            case SendCatalogue():
                return self._send_catalogue(step)
            case SendRows():
                return self._send_rows(step)
            case ReadPage():
                return self._read_page(step)
            case SendPage():
                return self._send_page(step)
            case Quarantine(rows):
                self._quarantine.add(rows)
                name, first = self._target.name, rows[0]
                log.warning(
                    "push_rows_refused target=%s table=%s rows=%d reason=%s", name, first.table, len(rows), first.reason
                )
            case Wait():
                self._wait(step)
            case Compare():
                return self._compare(step)
            case Heartbeat(report):
                self._count_backlog()
                self._client.send_heartbeat(self.reporting.describe_heartbeat(report))
            case Ask(question):
                return question()
        return None

    def _begin(self) -> RunStart:
        self._on_progress(Progress(self._target.name, "connecting"))
        self._start, self._started_s = self._client.begin_run(), time.monotonic()
        log.info("push_run_begun target=%s run=%d", self._target.name, self._start.run)
        return self._start

    def _send_catalogue(self, step: SendCatalogue) -> CataloguePlan | None:
        tables = self._read(lambda snapshot: snapshot.read_active(step.since_s))
        if digest_catalogue(self._settings.model, tables) == step.digest:
            return None
        return self._client.send_catalogue(tables, self._run, accept_renames=self._target.accept_renames)

    def _send_rows(self, step: SendRows) -> SentRows:
        model = self._settings.model
        tables, absent = self._read(
            lambda snapshot: read_with_parents(snapshot, model, step.wanted, without=step.without)
        )
        plan = self._client.send_catalogue(tables, self._run, partial=True) if tables else None
        return SentRows(plan, absent)

    def _read_page(self, step: ReadPage) -> Table:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == step:
            return ahead[1]
        if step.table.name not in self._totals:
            self._done = 0
            self._totals[step.table.name] = self._read(lambda snapshot: snapshot.count_from(step.table, step.after))
        return self._read(lambda snapshot: snapshot.read_page(step.table, step.after, step.most))

    def _send_page(self, step: SendPage) -> Stored:
        packed, self._packed = self._packed, None
        body = packed[1] if packed and packed[0] is step.rows else self._pack(step.table, step.rows)
        began_s = time.monotonic()
        sending = self._sender.submit(
            self._client.send_page, step.table, body, rows=step.rows.count, run=self._run, position=step.position
        )
        if step.then is not None:
            self._read_ahead(step.then)
        stored = sending.result()
        self._quarantine.release_stored(step.table, step.rows)
        self._level = 1 if time.monotonic() - began_s < FAST_LINK_S else 6
        self._tell(step)
        return stored

    def _read_ahead(self, step: ReadPage) -> None:
        """Do the step that will probably follow; when it fails it is done again in its turn."""
        try:
            page = self._read_page(step)
            self._ahead = step, page
            if page.count:
                self._packed = page, self._pack(step.table, page)
        except SameskyError:
            pass

    def _pack(self, table: TableModel, rows: Table) -> bytes:
        return self._client.encode_page(table, rows, now_s=self._now_s, level=self._level)

    def _wait(self, step: Wait) -> None:
        log.warning("push_waits target=%s seconds=%.1f cause=%r", self._target.name, step.seconds, str(step.cause))
        self._on_progress(Progress(self._target.name, f"waiting {step.seconds:.0f} s: {step.cause}"))
        self.reporting.write_progress(self.report, error=step.cause)
        self._waits_for = step.cause
        if self._stop.wait(step.seconds):
            raise Stopped

    def _tell(self, step: SendPage) -> None:
        self._done += step.rows.count
        total = max(self._totals.get(step.table.name, 0), self._done)
        self.reporting.backlogs[step.table.name] = total - self._done
        self._on_progress(Progress(self._target.name, step.table.name, self._done, total))
        self.reporting.write_progress(self.report)

    def _compare(self, step: Compare) -> Proof:
        def deliver(table: TableModel, rows: Table) -> Delivered:
            # Those in quarantine too: whoever compares knows why to send them, and when it's no use.
            return self.drive(self._pusher.deliver(table, rows, None, retry=True))

        name, table = self._target.name, step.table
        retry = self._retry or (table.name in self._refused_before and _changed_anything(self.report.catalogue))
        self._on_progress(Progress(name, f"comparing {table.name}"))
        comparing = Comparing(
            self._site, self._cache, name, ask=self, say=lambda words: self._on_progress(Progress(name, words))
        )
        proof = comparing.compare(
            table,
            step.position,
            deliver=deliver,
            page_rows=self._pusher.page_rows,
            deep=self._deep,
            retry=retry,
        )
        log.info("push_compared target=%s table=%s same=%s rows=%d", name, table.name, proof.same, proof.rows)
        return proof

    def read_digests(self, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """Ask the centre, again and again while it can't answer now: a `comparing.CentreDigests`."""
        step = Ask(lambda: self._client.read_digests(table, question))
        digests: Mapping[Key, GroupDigest] = self.drive(self._pusher.persist(step))
        return digests

    def _count_backlog(self) -> None:
        """Count what the centre hasn't; quarantined rows before its position aren't among them."""
        for table in self._settings.model.append_only():
            position = self.report.tables[table.name].position
            self.reporting.backlogs[table.name] = self._read(
                lambda snapshot, table=table, position=position: snapshot.count_from(table, position)  # type: ignore[misc]
            )

    def _read(self, read: "Callable[[SiteSnapshot], Read]") -> Read:
        with self._site.snapshot() as snapshot:
            return read(snapshot)

    @property
    def _run(self) -> int:
        assert self._start is not None
        return self._start.run

    @property
    def _now_s(self) -> float:
        """The centre's clock."""
        assert self._start is not None
        return self._start.time_s + time.monotonic() - self._started_s


def _changed_anything(plan: CataloguePlan | None) -> bool:
    """Whether a parent that was refused before may be there now."""
    return plan is not None and any(table.created or table.changed or table.adopted for table in plan.tables)


@contextmanager
def open_pushing(
    settings: PushSettings,
    target: TargetSettings,
    cache: SiteCache,
    *,
    stop: threading.Event | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Iterator[Pushing]:
    """The pushing of a site, with its database and its centre; nothing is asked yet.

    Raises `ConfigError` when a database, or a file, isn't what it should be, `SetupError` without a driver for it.
    """
    with Database(settings.database, password=settings.database_password, read_only=True) as database:
        site = SiteDatabase(database, settings.model)
        client = CentreClient(target, settings.model)
        with Pushing(settings, target, site, client, cache, stop=stop, on_progress=on_progress) as pushing:
            yield pushing
