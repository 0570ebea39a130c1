"""What a calendar says of each day of a station's database: whether its records are all there, and proven the same."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal

from ..core.status import Snapshot
from ..station.coverage import CoveredDay
from ..station.days import next_archive_day
from ..station.found import FoundDay, FoundKind
from .station_databases import StationRole

DayState = Literal["complete", "partial", "missing", "differs"]
STATE_WORDS: Mapping[DayState, str] = {
    "complete": "complete",
    "partial": "partial: some records are missing",
    "missing": "missing: no record",
    "differs": "differs from the primary",
}
"""What the marks of a calendar mean."""
_FOUND_WORDS: Mapping[FoundKind, tuple[str, str]] = {
    "missing": ("record was missing here", "records were missing here"),
    "different": ("record was different", "records were different"),
    "extra": ("record was only here", "records were only here"),
    "summary": ("day's summaries differed", "days' summaries differed"),
}


def date_of(start: int) -> date:
    """The local day that begins at this moment."""
    local = time.localtime(start)
    return date(local.tm_year, local.tm_mon, local.tm_mday)


@dataclass(frozen=True, slots=True)
class CalendarDay:
    """One day of a calendar; it begins at the local midnight ``start``."""

    start: int
    count: int
    expected: int
    state: DayState
    proven: bool
    """Whether all there is of the day was proven the same as the primary's, gaps included."""
    found: tuple[FoundDay, ...] = ()
    """What checks have found of it in the last ninety days."""
    lost: int = 0
    """Records that were proven the same, and aren't there any more."""

    @property
    def date(self) -> date:
        """The day."""
        return date_of(self.start)

    def describe(self) -> str:
        """``complete: 288 records, proven the same``."""
        counted = (
            f"{self.count:,} of {self.expected:,} records" if self.count < self.expected else f"{self.count:,} records"
        )
        words = [f"{self.state}: {counted}"]
        if self.lost:
            words.append(f"{self.lost:,} that were proven are gone")
        words += [describe_found(each) for each in self.found if each.mended_at is None]
        words += [f"{describe_found(each)}, mended" for each in self.found if each.mended_at is not None]
        if self.proven:
            words.append("proven the same")
        return ", ".join(words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """All days of one database, from its first record to its newest."""

    stream: str
    role: StationRole
    days: tuple[CalendarDay, ...]
    count: int
    first: int | None
    newest: int | None
    counted: bool = True
    """Whether all of it has been counted; while it is read for the first time the newest months are there first."""
    proven_through: int | None = None
    proven_at: float | None = None
    found: tuple[FoundDay, ...] = ()
    trouble: str = ""
    """What is wrong, in a sentence; empty when nothing is."""
    todo: str = ""
    """What to type then."""
    drawn: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """What pages have drawn of it, to be drawn once."""

    @property
    def years(self) -> list[int]:
        """The years that have days in it, the newest first."""
        return list(range(self.days[-1].date.year, self.days[0].date.year - 1, -1)) if self.days else []

    def of_year(self, year: int) -> list[CalendarDay]:
        """The days of a year."""
        start, end = (time.mktime((each, 1, 1, 0, 0, 0, 0, 0, -1)) for each in (year, year + 1))
        return [each for each in self.days if start <= each.start < end]

    def counts(self) -> dict[DayState, int]:
        """How many of all days are in each state."""
        return count_states(self.days)

    def as_dict(self, days: Iterable[CalendarDay] | None = None) -> dict[str, object]:
        """The JSON twin, with these days (None: all)."""
        chosen = self.days if days is None else days
        return {
            "stream": self.stream,
            "role": self.role,
            "count": self.count,
            "first": self.first,
            "newest": self.newest,
            "counted": self.counted,
            "proven_through": self.proven_through,
            "proven_at": self.proven_at,
            "trouble": self.trouble,
            "todo": self.todo,
            "days_in_state": self.counts(),
            "days": [describe_day(each) for each in chosen],
        }


def count_states(days: Iterable[CalendarDay]) -> dict[DayState, int]:
    """How many of ``days`` are in each state, of all states in their order."""
    counts: dict[DayState, int] = dict.fromkeys(STATE_WORDS, 0)
    for each in days:
        counts[each.state] += 1
    return counts


def describe_day(day: CalendarDay) -> dict[str, object]:
    """A day for programs."""
    return {
        "date": day.date.isoformat(),
        "state": day.state,
        "count": day.count,
        "expected": day.expected,
        "proven": day.proven,
        "lost": day.lost,
        "found": [
            {"kind": each.kind, "count": each.count, "found_at": each.found_at, "mended_at": each.mended_at}
            for each in day.found
        ],
    }


def describe_found(found: FoundDay) -> str:
    """``3 records were missing here``."""
    one, more = _FOUND_WORDS[found.kind]
    return f"{found.count:,} {one if found.count == 1 else more}"


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known of a copy beside its records."""

    snapshot: Snapshot | None = None
    found: Sequence[FoundDay] = ()
    proven_counts: Mapping[int, int] = field(default_factory=dict)
    """Day -> how many records it had when it was proven, where somebody has looked then."""
    is_short: bool = False
    """Whether there are fewer records than were proven."""


def judge_days(days: Iterable[CoveredDay], knowledge: Knowledge, newest: int | None) -> list[CalendarDay]:
    """What to say of each day."""
    found: dict[int, list[FoundDay]] = {}
    for each in knowledge.found:
        found.setdefault(each.day, []).append(each)
    snapshot = knowledge.snapshot
    through = snapshot.proven_through if snapshot is not None else None
    return [
        _judge_day(
            day, found.pop(day.start, []), knowledge, min(newest or 0, next_archive_day(day.start)), through or 0
        )
        for day in days
    ]


def _judge_day(
    day: CoveredDay, found: Sequence[FoundDay], knowledge: Knowledge, end: int, proven_through: int
) -> CalendarDay:
    is_open = any(each.mended_at is None for each in found)
    before = knowledge.proven_counts.get(day.start, day.count) if knowledge.is_short else day.count
    lost = max(0, before - day.count)
    state: DayState = "differs" if is_open else day.fullness
    proven = end <= proven_through and not is_open and not lost
    return CalendarDay(day.start, day.count, day.expected, state, proven, tuple(found), lost)
