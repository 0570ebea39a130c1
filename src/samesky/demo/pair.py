"""One binding at the primary and at the copy: how far each is, what has just arrived, and whether the two are equal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from ..errors import Unreachable
from ..station.archive import Archive, open_archive
from ..station.comparison import TableComparison, compare_records, compare_summaries
from ..station.location import Location

POLL_S = 0.005
# Records younger than this are compared together with the summaries, in a moment in which nobody writes.
RECENT_S = 3600
MOST_RECORDS = 10**9


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record that has come to the copy."""

    label: str
    record: dict[str, Any]
    delay_s: float | None
    """How long after the primary had it; None for a record that the primary had before anybody looked."""


class Side:
    """One database, looked at while a station writes to it; it may not be there yet."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._archive: Archive | None = None
        self._mark: object = None
        self._newest = 0

    @property
    def archive(self) -> Archive:
        """The open database; raises `Unreachable` while there is none."""
        if self._archive is None:
            self._archive = open_archive(self._location)
        return self._archive

    def close(self) -> None:
        """Close the database."""
        if self._archive is not None:
            self._archive.close()

    def read_newest(self) -> int:
        """Time of the newest record; 0 while there is none. Costs nearly nothing when nothing was written."""
        try:
            archive = self.archive
            mark = archive.read_change_mark()
            if mark != self._mark and archive.read_columns():
                self._newest = archive.read_position(time.time())
                self._mark = mark
        except Unreachable:
            pass  # not there yet, or its station holds it for long: the next look will tell
        return self._newest

    def read_times(self) -> list[int]:
        """Times of all records, rising."""
        return [row[0] for row in self.archive.read_rows(["dateTime"], 0, MOST_RECORDS)]


class Pair:
    """One binding at both stations, called ``label`` in messages. A context manager that closes the databases."""

    def __init__(self, label: str, primary: Location, copy: Location) -> None:
        self.label = label
        self.primary = Side(primary)
        self.copy = Side(copy)
        self._came: dict[int, float] = {}
        self._seen: tuple[int, int] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.primary.close()
        self.copy.close()

    def take_arrivals(self) -> Iterator[Arrival]:
        """What has come to the copy since the last call; the first call only looks where both are."""
        now = time.monotonic()
        # The primary first: what it gets between the two looks may not seem to be at the copy before.
        newest, reached = self.primary.read_newest(), self.copy.read_newest()
        if self._seen is None:
            self._seen = (newest, reached)
        if newest > self._seen[0]:
            self._came[newest] = now
        if reached > self._seen[1]:
            for record in self.copy.archive.read_records(self._seen[1], 1000, until=reached):
                came = self._came.pop(record["dateTime"], None)
                yield Arrival(self.label, record, None if came is None else time.monotonic() - came)
        self._seen = (newest, reached)


def compare_pairs(
    pairs: list[Pair], *, deadline_s: float, wait: Callable[[float], None], progress: Callable[[int], None]
) -> dict[str, list[TableComparison]]:
    """Compare every table of every pair, while the primary records: label -> comparisons, the archive table's first.

    What is older than an hour is compared first. The rest, and the daily summaries that change with each record, are
    compared in a moment in which both sides have the same newest record from the beginning to the end; where only these
    differ, it is tried again until ``deadline_s`` seconds are over, for the copy may be about to store them.

    ``wait`` is called with seconds to pass; ``progress`` with the number of records compared. Raises `Unreachable`
    when the two don't become level in that time.
    """
    older: dict[str, TableComparison] = {}
    starts: dict[str, int] = {}
    for pair in pairs:
        base = sum(each.left_count for each in older.values())
        starts[pair.label] = min(pair.primary.read_newest(), pair.copy.read_newest()) - RECENT_S
        older[pair.label] = compare_records(
            pair.primary.archive,
            pair.copy.archive,
            until=starts[pair.label],
            progress=partial(_add, progress, base),
        )
    deadline = time.monotonic() + deadline_s
    last: dict[str, list[TableComparison]] | None = None
    while time.monotonic() < deadline:
        found = _compare_level(pairs, starts)
        if found is not None:
            last = {label: [older[label] + records, *summaries] for label, (records, *summaries) in found.items()}
            same = all(each.is_same for comparisons in last.values() for each in comparisons)
            if same or not all(each.is_same for each in older.values()):
                break
        wait(0.1)
    if last is None:
        raise Unreachable(f"the copy didn't have the primary's newest record at any time in {deadline_s:.0f} s")
    return last


def _compare_level(pairs: list[Pair], starts: dict[str, int]) -> dict[str, list[TableComparison]] | None:
    """The newest records and all summaries compared; None if the sides weren't level throughout."""
    before = [(pair.primary.read_newest(), pair.copy.read_newest()) for pair in pairs]
    if any(ours != theirs for ours, theirs in before):
        return None
    found = {
        pair.label: [
            compare_records(pair.primary.archive, pair.copy.archive, after=starts[pair.label]),
            *compare_summaries(pair.primary.archive, pair.copy.archive),
        ]
        for pair in pairs
    }
    after = [(pair.primary.read_newest(), pair.copy.read_newest()) for pair in pairs]
    return found if after == before else None


def _add(progress: Callable[[int], None], base: int, done: int) -> None:
    progress(base + done)
