"""What checks of a copy have found, day by day, and when it was mended: kept for ninety days in ``samesky.sdb``.

A check compares records; a person asks about days. So the times of records that were missing, differed, or were only
here are counted by the archive day that they belong to. Whatever a check found is open until another check has proven
the copy the same.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .days import next_archive_day, start_of_archive_day

KEPT_S = 90 * 86_400.0
FoundKind = Literal["missing", "different", "extra", "summary"]
"""A record that the copy lacked, one with other content, one that the primary lacks; a day whose summaries differed."""


@dataclass(frozen=True, slots=True)
class FoundDay:
    """What checks found wrong with one day of a copy."""

    day: int
    """Local midnight at which the day begins, in epoch seconds."""
    kind: FoundKind
    count: int
    """Records; of ``summary``, days."""
    found_at: float
    mended_at: float | None = None
    """When the copy was proven the same again; None: it wasn't yet."""


def count_days(kind: FoundKind, times: Iterable[int]) -> Mapping[int, int]:
    """How many of these times belong to each archive day; those of ``summary`` are the days themselves."""
    if kind == "summary":
        return dict.fromkeys(times, 1)
    counts: dict[int, int] = {}
    start = end = 0
    for moment in sorted(times):
        if not start < moment <= end:
            start = start_of_archive_day(moment)
            end = next_archive_day(start)
        counts[start] = counts.get(start, 0) + 1
    return counts


def read_found(file: Path, stream: str) -> list[FoundDay]:
    """What checks of ``stream`` have found in the last ninety days, and what isn't mended yet, by day.

    ``file`` is the state file of a station, which may be running. Nothing where it isn't there, or can't be read now.
    """
    query = "SELECT day, kind, count, found_at, mended_at FROM found WHERE stream = ? ORDER BY day, found_at"
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)) as connection:
            rows = connection.execute(query, (stream,)).fetchall()
    except sqlite3.Error:
        return []
    return [FoundDay(day, kind, count, found_at, mended_at or None) for day, kind, count, found_at, mended_at in rows]
