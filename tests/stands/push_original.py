"""The naive ways of pushing that the original went, or that one would go: what each of them gets wrong is a test.

Written from the list of its faults in the design, in as few lines as show the fault.
"""

import http.client
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
Reading = tuple[Any, ...]


def map_by_name(local: Sequence[Row], remote: Sequence[Row]) -> dict[int, int]:
    """{the site's id: the centre's}: what has a name that the centre knows keeps its id."""
    known = {row["name"] for row in remote}
    return {row["id"]: row["id"] for row in local if row["name"] in known}


def read_pages_by_time(
    connection: sqlite3.Connection, most: int, *, after: str = ""
) -> Iterator[list[tuple[Any, ...]]]:
    """The readings in pages, each after the time of the last one's last row."""
    while True:
        rows = connection.execute(
            "SELECT time, nodeId, type, locationId, value FROM Reading WHERE time > ? ORDER BY time LIMIT ?",
            (after, most),
        ).fetchall()
        if not rows:
            return
        yield rows
        after = rows[-1][0]


def post(port: int, path: str, body: bytes) -> bool:
    """Send and read the answer, if there is one; it isn't looked at, and may take for ever to come."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", path, body=body)
    connection.getresponse().read()
    return True


def read_filter(text: str) -> tuple[str, str]:
    """Column and value of ``column=value``: prefixes like ``le_`` are looked for from the right."""
    name, _, value = text.partition("=")
    return name.rpartition("_")[2], value.rpartition("_")[0] or value


def find_location(connection: sqlite3.Connection, **wanted: int | None) -> Row | None:
    """The first location at which all is as wanted; what is None isn't asked for."""
    given = {name: value for name, value in wanted.items() if value is not None}
    words = " AND ".join(f"{name} = ?" for name in given)
    connection.row_factory = sqlite3.Row
    row = connection.execute(f"SELECT * FROM Location WHERE {words} ORDER BY id", (*given.values(),)).fetchone()
    return dict(row) if row else None


class OriginalCentre:
    """A centre that knows nothing of sites: one table of readings, with the time, node and type as key."""

    def __init__(self) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.connection.execute(
            "CREATE TABLE Reading (time, nodeId, type, locationId, value, PRIMARY KEY (time, nodeId, type))"
        )
        self.transactions = 0

    def store(self, rows: Sequence[Reading]) -> None:
        """Store a page; when that fails, each row for itself, and those that fail are left out."""
        try:
            self._insert(rows)
        except sqlite3.IntegrityError:
            for row in rows:
                try:
                    self._insert([row])
                except sqlite3.IntegrityError:
                    continue  # "it's there already"

    def read_values(self) -> list[float]:
        """All values, by key."""
        return [value for (value,) in self.connection.execute("SELECT value FROM Reading ORDER BY time, nodeId, type")]

    def _insert(self, rows: Sequence[Reading]) -> None:
        self.transactions += 1
        with self.connection:
            self.connection.execute("BEGIN")
            self.connection.executemany("INSERT INTO Reading VALUES (?, ?, ?, ?, ?)", rows)


def translate(rows: Sequence[Row], column: str, mapped: Mapping[int, int]) -> list[Row]:
    """``rows`` with the ids in ``column`` as the map has them; what it hasn't stays."""
    return [{**row, column: mapped.get(row[column], row[column])} for row in rows]
