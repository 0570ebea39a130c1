"""A primary's own writing, as WeeWX does it: one transaction an archive record, weedb's five seconds of patience."""

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from samesky.station.serving import Serving

from .databases import read_tables

WEEDB_TIMEOUT_S = 5.0


@dataclass(slots=True)
class Record:
    """What recording took."""

    published: list[tuple[int, float]] = field(default_factory=list)
    """dateTime and the monotonic time just before `publish_record` was called."""
    slowest_publish_s: float = 0.0
    late_s: float = 0.0
    """How long after its due time the slowest record was in the primary's database."""


class Primary:
    """Adds to one database the records that another, ``source``, has more, with their days' summary rows."""

    def __init__(self, path: Path, source: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=WEEDB_TIMEOUT_S, isolation_level=None, cached_statements=512)
        self._connection.execute("ATTACH ? AS source", (str(source),))
        self._days = [table for table in read_tables(self._connection) if table.startswith("archive_day_")]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def record(self, serving: Serving, *, count: int, rate_hz: float, batch: int) -> Record:
        """Record and publish ``count`` records, ``batch`` in a transaction (WeeWX: one), at ``rate_hz`` records/s."""
        done, start = Record(), time.monotonic()
        for number in range(0, count, batch):
            due = start + number / rate_hz
            time.sleep(max(0.0, due - time.monotonic()))
            records = self._add(min(batch, count - number))
            done.late_s = max(done.late_s, time.monotonic() - due)
            for record in records:
                before = time.monotonic()
                serving.publish_record(record)
                done.slowest_publish_s = max(done.slowest_publish_s, time.monotonic() - before)
                done.published.append((record["dateTime"], before))
        return done

    def _add(self, count: int) -> list[dict[str, Any]]:
        (newest,) = self._connection.execute("SELECT MAX(dateTime) FROM main.archive").fetchone()
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("SELECT * FROM source.archive WHERE dateTime > ? ORDER BY dateTime LIMIT ?", (newest, count))
            names = [entry[0] for entry in cursor.description]
            rows = cursor.fetchall()
            cursor.execute("BEGIN")
            cursor.executemany(f"INSERT INTO main.archive VALUES ({', '.join('?' * len(names))})", rows)
            last = rows[-1][names.index("dateTime")]
            for table in self._days:
                if table.endswith("__metadata"):
                    cursor.execute(f"UPDATE main.{table} SET value = ? WHERE name = 'lastUpdate'", (str(last),))
                else:
                    cursor.execute(
                        f"REPLACE INTO main.{table} SELECT * FROM source.{table} WHERE dateTime > ? AND dateTime < ?",
                        (newest - 90_000, last),
                    )
            cursor.execute("COMMIT")
        # An archive record of WeeWX's names what the station has, not every column of the table.
        pairs = (zip(names, row, strict=True) for row in rows)
        return [{name: value for name, value in pair if value is not None} for pair in pairs]
