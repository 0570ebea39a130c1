"""Differences between two databases that hold the same: holes, late records, edits, deletions, anywhere, made by hand.

They are made as a person with a database client makes them, so nothing of samesky's is told; only triggers, where there
are any, notice. Rows that differ are all different ones, and the newest stay as they are.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .databases import Database, SqliteDatabase

LEFT_ALONE = 500
"""So many of the newest records: they may be on their way."""
_ASIDE_S = 7


@dataclass(frozen=True, slots=True)
class Differences:
    """Times of records, by what is done about them."""

    holes: tuple[int, ...]
    """Deleted at the copy."""
    late: tuple[int, ...]
    """Inserted at the primary, between others."""
    edited: tuple[int, ...]
    """Changed at the primary."""
    garbled: tuple[int, ...]
    """Changed at the copy."""
    deleted: tuple[int, ...]
    """Deleted at the primary."""
    extra: tuple[int, ...]
    """Inserted at the copy, between others."""

    @property
    def deletions(self) -> int:
        """How many records a repair has to delete."""
        return len(self.deleted) + len(self.extra)

    @property
    def count(self) -> int:
        """How many records a repair has to touch."""
        written = (self.holes, self.late, self.edited, self.garbled)
        return sum(map(len, written)) + self.deletions


def plan_differences(times: Sequence[int], count: int, *, seed: int = 1) -> Differences:
    """``count`` differences scattered over records of these ``times``, which rise; a sixth of each kind."""
    chosen = random.Random(seed).sample(times[:-LEFT_ALONE], count)
    holes, late, edited, garbled, deleted, extra = (tuple(sorted(chosen[kind::6])) for kind in range(6))
    return Differences(holes, _aside(late), edited, garbled, deleted, _aside(extra))


def read_times(database: Database) -> list[int]:
    """The times of all records, rising."""
    with database.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("SELECT dateTime FROM archive ORDER BY dateTime")
        return [time for (time,) in cursor.fetchall()]


def apply_at_primary(database: Database, differences: Differences) -> None:
    """What is done at the primary, in one transaction."""
    _apply(database, late=differences.late, edited=differences.edited, deleted=differences.deleted)


def apply_at_copy(database: Database, differences: Differences) -> None:
    """What is done at the copy, in one transaction."""
    _apply(database, late=differences.extra, edited=differences.garbled, deleted=differences.holes)


def _aside(times: Iterable[int]) -> tuple[int, ...]:
    return tuple(time - _ASIDE_S for time in times)


def _apply(database: Database, *, late: Iterable[int], edited: Iterable[int], deleted: Iterable[int]) -> None:
    mark = "?" if isinstance(database, SqliteDatabase) else "%s"
    with database.connect() as connection:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        for query, times in (
            ("INSERT INTO archive (dateTime, usUnits, `interval`, outTemp) VALUES ({}, 1, 5, 61.7)", late),
            ("UPDATE archive SET outTemp = 99.5, rain = NULL WHERE dateTime = {}", edited),
            ("DELETE FROM archive WHERE dateTime = {}", deleted),
        ):
            cursor.executemany(query.format(mark), [(time,) for time in times])
        cursor.execute("COMMIT")
