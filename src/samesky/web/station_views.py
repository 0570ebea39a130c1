"""What the page shows of stations' databases: calendars, the records of a day side by side, an observation's course.

`Calendars` reads the databases that lie on this machine, for looking only, and asks a primary elsewhere for no more
than a few days, one question at a time, each answer kept for a minute. All of it may be called from any thread.
"""

import shlex
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from ..core.status import Snapshot
from ..errors import SameskyError
from ..station.archive import Archive
from ..station.coverage import CoverageReader
from ..station.days import next_archive_day
from ..station.found import FoundDay, read_found
from ..station.state import FILE_NAME
from ..station.verification import open_to_read
from ..station.written_state import read_written
from .asking import Asking
from .calendar_days import Coverage, Knowledge, judge_days
from .day_records import DayRecords, pair_records
from .series import Series, read_observations, read_series
from .station_databases import StationDatabase, StationDatabases, StationRole

LOOK_AGAIN_S = 5.0
FIRST_BUDGET_S, BUDGET_S = 0.4, 0.1
"""How long one look at a database may take: while it is read for the first time, and later."""
REST_FACTOR = 50
"""What takes a second to read isn't read again for so many."""
MOST_SERIES = 50
SHORT_FOR_S = 5.0
"""A repair that deletes is followed by a proof within seconds; what is gone for longer is told."""


@dataclass(slots=True)
class _Counted:
    """One database, as far as it has been counted."""

    database: StationDatabase
    reader: CoverageReader = field(default_factory=CoverageReader)
    lock: threading.Lock = field(default_factory=threading.Lock)
    look_at: float = 0.0
    coverage: Coverage | None = None
    seen: object = None
    proven_counts: dict[int, int] = field(default_factory=dict)
    short_since: float | None = None
    trouble: str = ""


class Calendars:
    """The databases of the stations in ``configs``; ``timer`` never jumps."""

    def __init__(self, configs: Sequence[Path], *, timer: Callable[[], float] = time.monotonic) -> None:
        self._databases = StationDatabases(configs)
        self._timer = timer
        self._lock = threading.Lock()
        self._counted: dict[StationDatabase, _Counted] = {}
        self._asking = Asking()
        self._series: dict[tuple[str, str, int], tuple[float, list[Series]]] = {}

    def databases(self, stream: str) -> list[StationDatabase]:
        """Those of a stream that lie on this machine: its copy first, then its primary."""
        with self._lock:
            return self._databases.of(stream)

    def streams(self) -> list[str]:
        """All streams that have a database here."""
        with self._lock:
            return sorted({each.stream for each in self._databases.read()})

    # ------------------------------------------------------------------ calendar

    def calendar(self, stream: str, now: float, *, role: StationRole | None = None) -> Coverage | None:
        """What is known of each day, as it was at most some seconds ago; None where there is no such database.

        ``role`` says which of the two, where both are on this machine; usually the copy is meant.
        """
        chosen = next((each for each in self.databases(stream) if role in (None, each.role)), None)
        if chosen is None:
            return None
        with self._lock:
            counted = self._counted.setdefault(chosen, _Counted(chosen))
        with counted.lock:
            if counted.coverage is None or self._timer() >= counted.look_at or not counted.coverage.counted:
                self._look(counted, now)
                counted.look_at = self._timer() + LOOK_AGAIN_S
            return counted.coverage

    def _look(self, counted: _Counted, now: float) -> None:
        database, reader = counted.database, counted.reader
        snapshot, found = _read_state(database)
        counted.trouble = ""
        missing = 0
        try:
            with closing(open_to_read(database.location)) as archive:
                reader.refresh(archive, now, budget_s=BUDGET_S if reader.is_counted else FIRST_BUDGET_S)
                missing = self._compare_with_proof(counted, archive, snapshot)
        except SameskyError as error:
            counted.trouble = f"{error} {error.hint}".strip()
        _update(counted, snapshot, found, missing)

    def _compare_with_proof(self, counted: _Counted, archive: Archive, snapshot: Snapshot | None) -> int:
        """How many records fewer there are than were proven, for some seconds already."""
        through = snapshot.proven_through if snapshot is not None else None
        if snapshot is None or through is None or snapshot.proven_count is None or not counted.reader.is_counted:
            return 0
        missing = snapshot.proven_count - counted.reader.count_through(archive, through)
        if missing <= 0:
            counted.short_since = None
            if missing == 0:
                counted.proven_counts = counted.reader.counts()
            return 0
        if counted.short_since is None:
            counted.short_since = self._timer()
        return missing if self._timer() - counted.short_since >= SHORT_FOR_S else 0

    # ------------------------------------------------------------------ a day, and a course

    def day(self, stream: str, day: date) -> DayRecords | None:
        """The records of one day, here and at the primary; None where there is no such database."""
        databases = self.databases(stream)
        if not databases:
            return None
        start = int(time.mktime((day.year, day.month, day.day, 0, 0, 0, 0, 0, -1)))
        end = next_archive_day(start)
        here = databases[0]
        try:
            with closing(open_to_read(here.location)) as archive:
                names = [column.name for column in archive.read_columns()]
                records = (
                    {each["dateTime"]: each for each in archive.read_records(start, 10_000, until=end)} if names else {}
                )
        except SameskyError as error:
            return DayRecords(stream, here.role, day, start, end, why_not=f"{error} {error.hint}".strip())
        asked = self._asking.ask(here, start, end, newest=max(records, default=0)) if here.follow is not None else None
        return pair_records(here, day, (start, end), names, records, asked)

    def repair_command(self, stream: str) -> str:
        """What to type to make the copy of a stream its primary; empty where there is no copy here."""
        return next((repair_command(each) for each in self.databases(stream) if each.role == "requester"), "")

    def observations(self, stream: str) -> list[str]:
        """What has been measured lately: the names of columns with numbers in the newest records."""
        with self._reading(stream) as archives:
            return read_observations(archives[0][1]) if archives else []

    def series(self, stream: str, observation: str, since: int, until: int) -> list[Series]:
        """The course of an observation in each database of the stream here, in a few hundred points at most.

        It is read again after a time that is long beside what the reading takes.
        """
        key = (stream, observation, until - since)
        with self._lock:
            read_again_at, kept = self._series.get(key, (0.0, []))
        began = self._timer()
        if began < read_again_at:
            return kept
        with self._reading(stream) as archives:
            kept = [
                read_series(archive, database.role, observation, since=since, until=until)
                for database, archive in archives
            ]
        ended = self._timer()
        with self._lock:
            if len(self._series) >= MOST_SERIES:
                self._series.clear()
            self._series[key] = ended + max(LOOK_AGAIN_S, REST_FACTOR * (ended - began)), kept
        return kept

    @contextmanager
    def _reading(self, stream: str) -> Iterator[list[tuple[StationDatabase, Archive]]]:
        opened: list[tuple[StationDatabase, Archive]] = []
        try:
            for database in self.databases(stream):
                try:
                    archive = open_to_read(database.location)
                except SameskyError:
                    continue  # the calendar says why
                opened.append((database, archive))
            yield opened
        finally:
            for _, archive in opened:
                archive.close()


def _read_state(database: StationDatabase) -> tuple[Snapshot | None, list[FoundDay]]:
    """What the station has written down of the stream."""
    try:
        written = read_written(database.state_dir)
    except sqlite3.Error:
        written = []
    snapshots = (each.snapshot for each in written)
    snapshot = next((each for each in snapshots if (each.stream, each.role) == (database.stream, database.role)), None)
    found = read_found(database.state_dir / FILE_NAME, database.stream) if database.role == "requester" else []
    return snapshot, [_mend(each, snapshot) for each in found]


def _mend(found: FoundDay, snapshot: Snapshot | None) -> FoundDay:
    """What was proven the same after it was found is mended, whoever has noted that or not."""
    if snapshot is None or snapshot.different or snapshot.proven_at is None or found.mended_at is not None:
        return found
    return replace(found, mended_at=snapshot.proven_at) if snapshot.proven_at > found.found_at else found


def _update(counted: _Counted, snapshot: Snapshot | None, found: Sequence[FoundDay], missing: int) -> None:
    """Make the coverage anew, if anything is other than before."""
    reader, database = counted.reader, counted.database
    proof = None if snapshot is None else (snapshot.proven_through, snapshot.proven_at)
    seen = (reader.reads, reader.first, reader.newest, proof, tuple(found), missing, counted.trouble)
    if seen == counted.seen:
        return
    counted.seen = seen
    knowledge = Knowledge(snapshot, found, counted.proven_counts, is_short=missing > 0)
    trouble, todo = counted.trouble, ""
    if missing:
        which = "record that was proven is" if missing == 1 else "records that were proven are"
        trouble = f"{missing:,} {which} gone from this copy"
        todo = f"Bring them back: `{repair_command(database)}`"
    counted.coverage = Coverage(
        stream=database.stream,
        role=database.role,
        days=tuple(judge_days(reader.days(), knowledge, reader.newest)),
        count=reader.count,
        first=reader.first,
        newest=reader.newest,
        counted=reader.is_counted,
        proven_through=snapshot.proven_through if snapshot else None,
        proven_at=snapshot.proven_at if snapshot else None,
        found=tuple(found),
        trouble=trouble,
        todo=todo,
    )


def repair_command(database: StationDatabase) -> str:
    """What to type to make a copy its primary."""
    return f"samesky repair --config {shlex.quote(str(database.config))} --stream {shlex.quote(database.stream)}"
