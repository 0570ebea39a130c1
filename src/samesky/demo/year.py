"""A year of weather in a WeeWX database that WeeWX takes for its own, daily summaries included.

The summaries are what a station with LOOP packets has: sums come from the archive records, highs, lows and their times
lie a little beyond what the records show, so nobody can make them again from the records alone.
"""

import math
import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import groupby, repeat
from pathlib import Path

from .tables import KEY_NAMES, Columns, columns_of, create_tables, summaries_of
from .weather import US, Series, Weather

Progress = Callable[[int, int], None]
SummaryRow = tuple[float | None, ...]

_PROGRESS_EVERY_DAYS = 5
_EMPTY = {
    "scalar": (None, None, None, None, 0.0, 0, 0.0, 0),
    "vector": (None, None, None, None, 0.0, 0, 0.0, 0, None, 0.0, 0.0, 0, 0.0, 0.0),
}


def write_year(
    database_path: Path,
    *,
    count: int = 105_120,
    interval_s: int = 300,
    end_time: int,
    seed: int = 1,
    schema: str | Columns = "wview_extended",
    table: str = "archive",
    unit_system: int = US,
    summaries: bool = True,
    progress: Progress | None = None,
) -> None:
    """Make a SQLite WeeWX database of ``count`` archive records, the newest at ``end_time`` or just before it.

    ``end_time`` is epoch seconds, rounded down to a whole interval; ``unit_system`` is 1 (US), 16 (METRIC) or
    17 (METRICWX). A ``schema`` of one's own is a tuple of (column, SQLite type), keys among them; its columns are all
    filled. ``progress`` is called with (records written, ``count``) now and then and at the end.

    The file appears when it is complete. Raises FileExistsError when something is there already.
    """
    if database_path.exists():
        raise FileExistsError(f"{database_path} is there already")
    columns = columns_of(schema)
    kinds = summaries_of(columns) if summaries else {}
    times = make_times(count, interval_s, end_time=end_time, seed=seed)
    weather = Weather(
        [pair for pair in columns if pair[0] not in KEY_NAMES],
        seed=seed,
        unit_system=unit_system,
        interval_s=interval_s,
        fill=not isinstance(schema, str),
    )
    unfinished = database_path.with_name(database_path.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
        # The file is nobody's until it is renamed, so a crash costs nothing but making it again.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        create_tables(connection, table, columns, summaries=summaries)
        book = _Book(connection, table, interval_s=interval_s, unit_system=unit_system)
        extremes = _Extremes(random.Random(seed + 1), interval_s)
        for day_start, day_times in split_days(times):
            values = weather.day(day_start, day_times)
            book.write_day(day_times, values)
            for obs, kind in kinds.items():
                book.keep_summary(obs, (day_start, *extremes.summary(obs, kind, day_times, values)))
            if progress and book.days % _PROGRESS_EVERY_DAYS == 0:
                progress(book.count, count)
        if kinds and times:
            book.write_summaries(times[-1])
        connection.execute("COMMIT")
    os.replace(unfinished, database_path)
    if progress:
        progress(count, count)


def make_times(count: int, interval_s: int, *, end_time: int, seed: int) -> list[int]:
    """``count`` record times up to ``end_time``, rising, with a gap of up to 40 records about once a fortnight."""
    rng = random.Random(seed)
    times: list[int] = []
    following = end_time // interval_s * interval_s
    while len(times) < count:
        times.append(following)
        following -= interval_s * (rng.randint(2, 41) if rng.random() < 1 / 4000 else 1)
    return times[::-1]


def split_days(times: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """(local midnight, its record times) for each archive day; a record stamped midnight ends the day before."""
    end = 0
    start = 0

    def day_of(timestamp: int) -> int:
        nonlocal start, end
        if timestamp > end:
            day = time.localtime(timestamp - 1)[:3]
            start, end = (int(time.mktime((*day[:2], day[2] + more, 0, 0, 0, 0, 0, -1))) for more in (0, 1))
        return start

    return ((day, list(members)) for day, members in groupby(times, day_of))


class _Book:
    """Writes days of records and their summaries into one open database."""

    def __init__(self, connection: sqlite3.Connection, table: str, *, interval_s: int, unit_system: int) -> None:
        self._connection = connection
        self._table = table
        self._minutes = interval_s // 60 if interval_s % 60 == 0 else interval_s / 60
        self._unit_system = unit_system
        self._summary_rows: dict[str, list[SummaryRow]] = {}
        self.count = 0
        self.days = 0

    def write_day(self, times: Sequence[int], values: dict[str, Series]) -> None:
        """Insert one day's records."""
        names = ("dateTime", "usUnits", "interval", *values)
        marks = ", ".join("?" * len(names))
        rows = zip(times, repeat(self._unit_system), repeat(self._minutes), *values.values(), strict=False)
        self._connection.executemany(f"INSERT INTO {self._table} ({', '.join(names)}) VALUES ({marks})", rows)
        self.count += len(times)
        self.days += 1

    def keep_summary(self, obs: str, row: SummaryRow) -> None:
        """Note one day's summary row; `write_summaries` writes it, table by table, which is much faster."""
        self._summary_rows.setdefault(obs, []).append(row)

    def write_summaries(self, last_update: int) -> None:
        """Insert the summary rows that were kept, and ``lastUpdate``."""
        for obs, rows in self._summary_rows.items():
            marks = ", ".join("?" * len(rows[0]))
            self._connection.executemany(f"INSERT INTO {self._table}_day_{obs} VALUES ({marks})", rows)
        metadata = f"{self._table}_day__metadata"
        self._connection.execute(f"INSERT INTO {metadata} VALUES ('lastUpdate', ?)", (str(last_update),))


class _Extremes:
    """One day's summary rows, with highs and lows as LOOP packets between the records would have found them."""

    def __init__(self, rng: random.Random, interval_s: int) -> None:
        self._rng = rng
        self._interval_s = interval_s

    def summary(self, obs: str, kind: str, times: Sequence[int], values: dict[str, Series]) -> SummaryRow:
        """What WeeWX's daily table ``obs`` holds for the day, without the leading dateTime."""
        source = values.get("windSpeed" if kind == "vector" else obs)
        if source is None:
            return _EMPTY[kind]
        if kind == "vector":
            return self._wind(times, values)
        present, kept = _present(source, times)
        return (*self._high_low(obs, present, kept), *self._sums(present)) if present else _EMPTY[kind]

    def _wind(self, times: Sequence[int], values: dict[str, Series]) -> SummaryRow:
        speeds, kept = _present(values["windSpeed"], times)
        gusts, gust_times = _present(values.get("windGust", values["windSpeed"]), times)
        if not speeds or not gusts:
            return _EMPTY["vector"]
        low = self._high_low("windSpeed", speeds, kept)[:2]
        high = self._high_low("windGust", gusts, gust_times)[2:]
        pairs = zip(values["windSpeed"], values["windDir"], strict=True)
        directions = [angle for speed, angle in pairs if speed is not None]
        moves = [(s, math.radians(90 - a)) for s, a in zip(speeds, directions, strict=True) if a is not None]
        weight = float(self._interval_s)
        squares = sum(speed * speed for speed in speeds)
        return (
            *low,
            *high,
            *self._sums(speeds),
            next((angle for angle in reversed(directions) if angle is not None), None),
            weight * sum(speed * math.cos(angle) for speed, angle in moves),
            weight * sum(speed * math.sin(angle) for speed, angle in moves),
            self._interval_s * sum(1 for s, a in zip(speeds, directions, strict=True) if a is not None or s == 0),
            squares,
            weight * squares,
        )

    def _high_low(self, obs: str, present: Sequence[float], times: Sequence[int]) -> tuple[float, int, float, int]:
        low, high = min(present), max(present)
        beyond = (high - low) * 0.04 * self._rng.random()
        new_low = max(0.0, low - beyond) if low >= 0 else low - beyond
        new_high = min(100.0, high + beyond) if "umidity" in obs else high + beyond
        return new_low, self._before(times[present.index(low)]), new_high, self._before(times[present.index(high)])

    def _before(self, timestamp: int) -> int:
        """A moment within the interval that the record stamped ``timestamp`` archives."""
        return timestamp - self._rng.randrange(self._interval_s)

    def _sums(self, present: Sequence[float]) -> tuple[float, int, float, int]:
        total = sum(present)
        return total, len(present), total * self._interval_s, len(present) * self._interval_s


def _present(values: Series, times: Sequence[int]) -> tuple[Sequence[float], Sequence[int]]:
    """The numbers among ``values`` and the times they belong to; text has no summary."""
    types = set(map(type, values))
    if str in types:
        return (), ()
    if type(None) not in types:
        return values, times  # type: ignore[return-value]  # nothing but numbers is left
    kept = [(value, timestamp) for value, timestamp in zip(values, times, strict=True) if value is not None]
    return [value for value, _ in kept], [timestamp for _, timestamp in kept]
