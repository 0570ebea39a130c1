"""Daily summary rows that wait until the records they include are stored: WeeWX's engine takes its time.

A row of a day that is over is right from then on and waits however long it takes. A row of the day under way is right
for one moment only, that of the record it came with; the next record brings another. The primary's days need not be
this machine's, so a day counts as over when it is in any time zone.
"""

from collections.abc import Sequence
from typing import Any

from .days import LONGEST_DAY_S

SummaryRow = Sequence[Any]

MAX_MOMENTS = 8
MAX_COMPLETE = 100_000


class WaitingSummaries:
    """Rows of the ``summary`` table: (observation, day, …)."""

    def __init__(self) -> None:
        self._moments: dict[int, list[SummaryRow]] = {}
        self._complete: dict[tuple[str, int], tuple[int, SummaryRow]] = {}

    def __bool__(self) -> bool:
        return bool(self._moments or self._complete)

    def put(self, through: int, rows: Sequence[SummaryRow]) -> None:
        """Keep rows that were read when ``through`` was the newest record."""
        complete = {day for day in {int(row[1]) for row in rows} if day + LONGEST_DAY_S <= through}
        for row in rows:
            key = (row[0], int(row[1]))
            if key[1] in complete and through >= self._complete.get(key, (0,))[0]:
                self._complete[key] = (through, row)
        self._moments[through] = [row for row in rows if int(row[1]) not in complete]
        for moment in sorted(self._moments)[:-MAX_MOMENTS]:
            del self._moments[moment]
        while len(self._complete) > MAX_COMPLETE:
            del self._complete[next(iter(self._complete))]

    def take(self, position: int) -> list[SummaryRow]:
        """The rows that are right now that ``position`` is the newest record; they and the outdated ones are gone."""
        due = [key for key, (through, _) in self._complete.items() if through <= position]
        rows = [self._complete.pop(key)[1] for key in due] + self._moments.get(position, [])
        self._moments = {moment: rows for moment, rows in self._moments.items() if moment > position}
        return rows
