"""A repair at the copy: rows put in place of others, rows and days that go, and how that is undone.

The primary is always right, but what its answers overwrite or delete is in the `Quarantine` before the copy is changed.
A repair keeps to what lies behind the copy's position: newer records come in pages, in order, or are on their way
through WeeWX's engine. Changes are made in short transactions, so that a WeeWX at the copy never waits for long.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ..core.strict import Reason, Refused, check_time
from ..errors import ConfigError, DataError
from .archive_reader import Row
from .archive_repair import (
    delete_rows,
    padded,
    raise_last_update,
    read_rows_at,
    read_summary_rows,
    replace_rows,
    replace_summary_days,
    summaries_are_complete,
)
from .check_question import TreeName
from .copying import Copy
from .days import next_archive_day, start_of_archive_day
from .engine_queue import Record
from .found import FoundKind
from .messages import check_values
from .quarantine import KeptRows, Quarantine
from .rebuilding import rebuild_days
from .schema import SUMMARY_COLUMNS, check_unit_system, summary_parts

MOST_ROWS = 500
MOST_DAYS_REBUILT = 7
MOST_DAYS_REPLACED = 30
_SUMMARY_NAMES = tuple(column.name for column in SUMMARY_COLUMNS)

MarkDirty = Callable[[TreeName, Iterable[int]], None]
OnFound = Callable[[FoundKind, Iterable[int]], None]
"""(what was wrong, the times of these records, or the days)."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What a repair made of the primary's rows."""

    inserted: int = 0
    overwritten: int = 0
    refused: int = 0
    """Rows that are no records, or that the database refuses."""
    later: int = 0
    """Rows that are left to pages, or to the engine that is about to store them."""

    def __add__(self, other: "Repaired") -> "Repaired":
        return Repaired(
            self.inserted + other.inserted,
            self.overwritten + other.overwritten,
            self.refused + other.refused,
            self.later + other.later,
        )


@dataclass(frozen=True, slots=True)
class Undone:
    """What was brought back: rows that were already as they had been don't count."""

    session: str = ""
    """Empty when there was nothing to undo."""
    overwritten: int = 0
    deleted: int = 0
    summary_rows: int = 0


class Repairing:
    """Repairs one copy. Belongs to the copy's thread.

    ``mark_dirty`` is told of every time (for ``summary``: day) before and after its rows change, ``on_found`` of what
    was wrong, even if it can't be mended. Methods raise
    `Unreachable` or `DataError` when the copy's database or the quarantine fails: what a transaction was about is as
    before then, and may be repaired again.
    """

    def __init__(
        self,
        copy: Copy,
        quarantine: Quarantine,
        *,
        mark_dirty: MarkDirty,
        on_found: OnFound = lambda kind, times: None,
    ) -> None:
        self._copy = copy
        self._quarantine = quarantine
        self._mark_dirty = mark_dirty
        self._on_found = on_found

    def apply_rows(self, records: Sequence[Record], now: float, session: str) -> Repaired:
        """Insert the primary's records that are missing, put those that differ over the copy's; durable on return.

        The records all have the same names; columns that they don't name are left alone. Needs a copy that has been
        prepared.
        """
        records, refused = self._sound(records, now)
        position = self._copy.archive.read_position(now)
        under_way = {record["dateTime"] for record in self._copy.engine.pending()} if self._copy.engine else set()
        due = {
            record["dateTime"]: record
            for record in records
            if record["dateTime"] <= position and record["dateTime"] not in under_way
        }
        times = {record["dateTime"] for record in records}
        total = Repaired(refused=refused, later=len(times - due.keys()))
        for portion in self._portions(due):
            total += self._apply_portion({time: due[time] for time in portion}, now, session)
        return total

    def delete(self, times: Iterable[int], now: float, session: str) -> int:
        """Delete the records of these times; returns how many there were."""
        archive, deleted = self._copy.archive, 0
        columns = [column.name for column in archive.read_columns()]
        for portion in self._portions(times):
            with self._marking() as mark, archive.writing():
                stored = read_rows_at(archive, columns, portion)
                self._on_found("extra", stored)
                self._quarantine.keep(
                    session, "archive", "deleted", columns=columns, rows=list(stored.values()), now=now
                )
                mark("archive", stored)
                deleted += delete_rows(archive, stored)
                self._rebuild(stored, mark)
        return deleted

    def replace_days(self, days: Iterable[int], rows: Sequence[Row], now: float, session: str) -> int:
        """Make the daily summaries of ``days`` those in ``rows`` (`schema.SUMMARY_COLUMNS`); how many rows changed.

        Only observations that both sides have, where summaries are copied. Days that the copy hasn't come to are left
        for another time, as are days whose last records WeeWX's engine has yet to store: it would count them twice.
        Raises `Refused`, with nothing written.
        """
        if self._copy.summaries != "copied":
            return 0
        wanted = self._sound_summaries(days, rows, now)
        position, through_engine = self._copy.archive.read_position(now), self._copy.engine is not None
        due = [day for day in sorted(wanted) if (next_archive_day(day) if through_engine else day + 1) <= position]
        changed = 0
        for at in range(0, len(due), MOST_DAYS_REPLACED):
            portion = due[at : at + MOST_DAYS_REPLACED]
            changed += self._replace_portion(portion, [row for day in portion for row in wanted[day]], now, session)
        return changed

    def undo(self, session: str | None = None) -> Undone:
        """Bring back what ``session`` (None: the last one) overwrote or deleted, in one transaction, newest first.

        Undoing again changes nothing. Raises `ConfigError` for a session that isn't known.
        """
        known = [each.name for each in self._quarantine.sessions()]
        if session is not None and session not in known:
            raise ConfigError(f"there is no repair {session!r} to undo", hint=_those_known(known))
        if not known:
            return Undone()
        name, archive = session or known[-1], self._copy.archive
        counts = {"overwritten": 0, "deleted": 0, "summary": 0}
        changed: list[int] = []
        self._copy.flush_engine()  # a record that comes back may be newer than those under way
        with self._marking() as mark, archive.writing():
            complete = summaries_are_complete(archive)
            for kept in self._quarantine.read(name):
                if kept.table == "summary":
                    counts["summary"] += self._restore_summaries(kept, mark)
                    continue
                times = self._restore_rows(kept, mark)
                counts[kept.change] += len(times)
                changed += times
            if complete:
                raise_last_update(archive)
            self._rebuild(changed, mark)
        return Undone(name, counts["overwritten"], counts["deleted"], counts["summary"])

    # ------------------------------------------------------------------ what comes from the primary

    def _sound(self, records: Sequence[Record], now: float) -> tuple[list[Record], int]:
        """The records in the copy's units, and how many there are that are none."""
        sound: list[Record] = []
        for record in records:
            try:
                sound.append(self._sound_record(record, now))
            except Refused:
                continue
        return sound, len(records) - len(sound)

    def _sound_record(self, record: Record, now: float) -> Record:
        time = check_time(record.get("dateTime"), now=now)
        check_unit_system(record)
        # An infinity is what some sensor said; SQLite keeps it, and pages bring it as well.
        check_values({name: value for name, value in record.items() if not _is_infinite(value)}, self._copy.kinds)
        (converted,) = self._copy.converted([record])
        if self._copy.units not in (None, converted["usUnits"]):
            raise Refused(Reason.RANGE, "the record is in another unit system than the copy")
        return {**converted, "dateTime": time}

    def _sound_summaries(self, days: Iterable[int], rows: Sequence[Row], now: float) -> dict[int, list[Row]]:
        """day -> its rows of the observations that both sides have; a scalar's without the parts of a vector."""
        wanted: dict[int, list[Row]] = {check_time(day, now=now): [] for day in days}
        kinds, common = self._copy.archive.read_summary_kinds(), frozenset(self._copy.observations)
        for row in rows:
            if len(row) != len(SUMMARY_COLUMNS) or row[1] not in wanted:
                raise Refused(Reason.SHAPE, "a summary row of another day than those named")
            if row[0] in common:
                wanted[row[1]].append(padded(tuple(row[: 1 + len(summary_parts(kinds[row[0]]))])))
        return wanted

    # ------------------------------------------------------------------ writing

    def _portions(self, times: Iterable[int]) -> Iterator[list[int]]:
        """The times in order, as many at once as one short transaction bears."""
        portion: list[int] = []
        days: set[int] = set()
        for time in sorted(set(times)):
            day = start_of_archive_day(time) if self._copy.summaries == "rebuilt" else 0
            if len(portion) == MOST_ROWS or (len(days) == MOST_DAYS_REBUILT and day not in days):
                yield portion
                portion, days = [], set()
            portion.append(time)
            days.add(day)
        if portion:
            yield portion

    def _apply_portion(self, records: Mapping[int, Record], now: float, session: str) -> Repaired:
        archive = self._copy.archive
        columns = [column.name for column in archive.read_columns()]
        first = next(iter(records.values()))
        names = [name for name in self._copy.column_names if name in first]
        places = [columns.index(name) for name in names]
        wanted = {time: tuple(map(record.get, names)) for time, record in records.items()}
        with self._marking() as mark, archive.writing():
            stored = read_rows_at(archive, columns, wanted)
            new = wanted.keys() - stored.keys()
            changed = {time for time, row in stored.items() if tuple(row[at] for at in places) != wanted[time]}
            self._on_found("missing", new)
            self._on_found("different", changed)
            kept = [stored[time] for time in sorted(changed)]
            self._quarantine.keep(session, "archive", "overwritten", columns=columns, rows=kept, now=now)
            touched = sorted(new | changed)
            mark("archive", touched)
            refused = set(replace_rows(archive, names, [wanted[time] for time in touched]))
            self._rebuild(touched, mark)
        return Repaired(len(new - refused), len(changed - refused), len(refused))

    def _replace_portion(self, days: Sequence[int], rows: Sequence[Row], now: float, session: str) -> int:
        archive, observations = self._copy.archive, self._copy.observations
        with self._marking() as mark, archive.writing():
            old = _by_key(read_summary_rows(archive, days, observations))
            new = _by_key(rows)
            gone = [row for key, row in old.items() if key not in new]
            over = [row for key, row in old.items() if key in new and tuple(new[key]) != tuple(row)]
            changed = len(gone) + len(over) + len(new.keys() - old.keys())
            if not changed:
                return 0
            self._on_found("summary", {row[1] for row in (*gone, *over)} | {day for _, day in new.keys() - old.keys()})
            self._quarantine.keep(session, "summary", "deleted", columns=_SUMMARY_NAMES, rows=gone, now=now)
            self._quarantine.keep(session, "summary", "overwritten", columns=_SUMMARY_NAMES, rows=over, now=now)
            mark("summary", days)
            replace_summary_days(archive, days, list(new.values()), observations=observations)
        return changed

    def _rebuild(self, times: Iterable[int], mark: MarkDirty) -> None:
        """Where this copy makes its own daily summaries: make those of the days of these records anew."""
        if self._copy.summaries != "rebuilt":
            return
        days = sorted({start_of_archive_day(time) for time in times})
        mark("summary", days)
        rebuild_days(self._copy.archive, days, self._copy.summarize_day)

    # ------------------------------------------------------------------ bringing back

    def _restore_rows(self, kept: KeptRows, mark: MarkDirty) -> list[int]:
        """Put the rows back as they were; returns the times of those that weren't so."""
        archive = self._copy.archive
        present = {column.name for column in archive.read_columns()}
        names = [name for name in kept.columns if name in present]
        places = [kept.columns.index(name) for name in names]
        at = kept.columns.index("dateTime")
        rows = {row[at]: tuple(row[place] for place in places) for row in kept.rows}
        stored = read_rows_at(archive, names, rows)
        missing = [time for time, row in rows.items() if stored.get(time) != row]
        mark("archive", missing)
        refused = replace_rows(archive, names, [rows[time] for time in missing])
        if refused:
            raise DataError(f"the copy's database refuses {len(refused)} of the rows that were to be brought back")
        return missing

    def _restore_summaries(self, kept: KeptRows, mark: MarkDirty) -> int:
        archive = self._copy.archive
        kinds = archive.read_summary_kinds()
        rows = _by_key([row for row in kept.rows if row[0] in kinds])
        days = {day for _, day in rows}
        stored = _by_key(read_summary_rows(archive, days, {obs for obs, _ in rows}))
        missing = [row for key, row in rows.items() if stored.get(key) != row]
        mark("summary", sorted({row[1] for row in missing}))
        return archive.write_summaries(missing)

    @contextmanager
    def _marking(self) -> Iterator[MarkDirty]:
        """What is marked dirty inside is so at once, and again at the end: it may have been read in between."""
        marked: dict[TreeName, list[int]] = {}

        def mark(table: TreeName, times: Iterable[int]) -> None:
            now_marked = list(times)
            if now_marked:
                self._mark_dirty(table, now_marked)
                marked.setdefault(table, []).extend(now_marked)

        try:
            yield mark
        finally:
            for table, times in marked.items():
                self._mark_dirty(table, times)


def _by_key(rows: Iterable[Row]) -> dict[tuple[str, int], Row]:
    return {(row[0], row[1]): row for row in rows}


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _those_known(known: Sequence[str]) -> str:
    return f"Those that can be undone: {', '.join(known[-5:])}." if known else "Nothing has been kept."
