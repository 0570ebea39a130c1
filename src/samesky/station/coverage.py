"""How many records an archive has on each local day, and how many there would be without a gap.

Twenty years at five minutes are two million records: `CoverageReader` counts them month by month, the newest first, in
slices of time, and afterwards looks only whether a month's count and sums are as before. What was expected of a day
follows from the intervals that its records name, so a day on which the interval changed, or the clock, is right too.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .archive_reader import ArchiveReader
from .days import next_archive_day, start_of_archive_day

FUTURE_LIMIT_S = 3600
FEWEST_MONTHS = 2
USUAL_INTERVAL_S = 300.0
Fullness = Literal["complete", "partial", "missing"]


@dataclass(frozen=True, slots=True)
class CoveredDay:
    """One archive day: it begins at the local midnight ``start`` (epoch seconds)."""

    start: int
    count: int
    """Records."""
    expected: int
    """Records of a day without a gap; on the first and the last day, of the part that is over."""

    @property
    def fullness(self) -> Fullness:
        """Whether the day has all its records, some or none."""
        if not self.count:
            return "missing"
        return "complete" if self.count >= self.expected else "partial"


class _Sums(NamedTuple):
    """Of some records. Where these three are as before, no record has come, gone or moved."""

    records: int
    times: int
    """Their times, added up."""
    minutes: int
    """Their intervals."""


@dataclass(slots=True)
class _Month:
    sums: _Sums
    days: list[tuple[int, _Sums]]
    read_at: float


_Key = tuple[int, int]
"""Year and month."""


class CoverageReader:
    """Counts one archive. One thread's at a time; each call may bring another open connection to the same database."""

    def __init__(self, *, timer: Callable[[], float] = time.monotonic) -> None:
        self.first: int | None = None
        self.newest: int | None = None
        self.reads = 0
        """Months of which every day was counted: a measure of the work."""
        self._months: dict[_Key, _Month] = {}
        self._timer = timer

    def refresh(self, archive: ArchiveReader, now: float, *, budget_s: float = 0.5) -> bool:
        """Count what is new for about ``budget_s``, the newest month and another at least.

        Returns whether every month has been counted, or looked at again.
        """
        began = self._timer()
        due = self._months_due(archive, now)
        for number, key in enumerate(due, 1):
            self._look_at(archive, key, began)
            if number >= FEWEST_MONTHS and self._timer() - began >= budget_s:
                return number == len(due)
        return True

    @property
    def is_counted(self) -> bool:
        """Whether every month between the first record and the newest has been counted at least once."""
        return all(key in self._months for key in self._keys())

    @property
    def count(self) -> int:
        """Records that have been counted."""
        return sum(month.sums.records for month in self._months.values())

    def counts(self) -> dict[int, int]:
        """How many records each day has, by its beginning."""
        return {day: sums.records for month in self._months.values() for day, sums in month.days}

    def count_through(self, archive: ArchiveReader, until: int) -> int:
        """Records up to ``until``, when all months are counted; what is later is counted anew."""
        start = start_of_archive_day(until)
        before = sum(sums.records for month in self._months.values() for day, sums in month.days if day < start)
        return before + _read_sums(archive, start, until).records

    def days(self) -> list[CoveredDay]:
        """Every day from the first record to the newest, as far as they have been counted, in order."""
        found: list[CoveredDay] = []
        usual_s = USUAL_INTERVAL_S
        for key in self._keys():
            if (month := self._months.get(key)) is None:
                continue
            for start, sums in month.days:
                if sums.records and sums.minutes:
                    usual_s = sums.minutes * 60 / sums.records
                if (length_s := self._length_s(start, usual_s)) > 0:
                    found.append(CoveredDay(start, sums.records, round(length_s / usual_s)))
        return found

    # ------------------------------------------------------------------ months

    def _months_due(self, archive: ArchiveReader, now: float) -> list[_Key]:
        """The newest month, those never counted, then those looked at longest ago."""
        bounds: list[int | None] = [None, None]
        if archive.read_columns():
            # One by one: of both in one query SQLite reads the whole table.
            bounds = [_read_bound(archive, bound, int(now) + FUTURE_LIMIT_S) for bound in ("MIN", "MAX")]
        self.first, self.newest = bounds
        keys = list(self._keys())
        self._months = {key: month for key, month in self._months.items() if key in keys}
        newest_first = list(reversed(keys))
        fresh = [key for key in newest_first[1:] if key not in self._months]
        known = sorted((key for key in newest_first[1:] if key in self._months), key=self._read_at)
        return [*newest_first[:1], *fresh, *known]

    def _read_at(self, key: _Key) -> float:
        return self._months[key].read_at

    def _look_at(self, archive: ArchiveReader, key: _Key, now: float) -> None:
        month, (start, end) = self._months.get(key), _bounds(key)
        if month is not None and _read_sums(archive, start, end) == month.sums:
            month.read_at = now
            return
        self.reads += 1
        days = [(day, _read_sums(archive, day, next_archive_day(day))) for day in _days_between(start, end)]
        total = _Sums(*(sum(column) for column in zip(*(sums for _, sums in days), strict=True)))
        self._months[key] = _Month(total, days, now)

    def _keys(self) -> Iterator[_Key]:
        if self.first is None or self.newest is None:
            return
        first, last = (time.localtime(start_of_archive_day(moment)) for moment in (self.first, self.newest))
        for number in range(first.tm_year * 12 + first.tm_mon - 1, last.tm_year * 12 + last.tm_mon):
            yield number // 12, number % 12 + 1

    def _length_s(self, start: int, interval_s: float) -> float:
        """How long the day is, between what the first record is about and the newest; 0 outside."""
        assert self.first is not None
        assert self.newest is not None
        return min(next_archive_day(start), self.newest) - max(start, self.first - interval_s)


def _read_bound(archive: ArchiveReader, bound: str, until: int) -> int | None:
    query = f"SELECT {bound}(`dateTime`) FROM `{archive.table}` WHERE `dateTime` > 0 AND `dateTime` <= {archive.mark}"
    (value,) = archive.read_query(query, until)[0]
    return None if value is None else int(value)


def _read_sums(archive: ArchiveReader, after: int, until: int) -> _Sums:
    query = (
        f"SELECT COUNT(*), SUM(`dateTime`), SUM(`interval`) FROM `{archive.table}` "
        f"WHERE `dateTime` > {archive.mark} AND `dateTime` <= {archive.mark}"
    )
    count, times, minutes = archive.read_query(query, after, until)[0]
    return _Sums(int(count), int(times or 0), int(minutes or 0))


def _bounds(key: _Key) -> tuple[int, int]:
    year, month = key
    starts = (time.mktime((year, month + more, 1, 0, 0, 0, 0, 0, -1)) for more in (0, 1))
    first, end = map(int, starts)
    return first, end


def _days_between(start: int, end: int) -> Iterator[int]:
    while start < end:
        yield start
        start = next_archive_day(start)
