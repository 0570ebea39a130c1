"""What a station remembers beside its database: which primary a copy belongs to, what was proven of it, why it stopped,
how each stream was doing a moment ago, what checks have found, and the last inputs it refused.

One small SQLite file, ``samesky.sdb``, in the state directory; commands read it while the station runs. Losing it loses
no observation: origins are learnt anew.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..core.status import Snapshot
from ..link.message import Message
from .found import KEPT_S, FoundKind

_log = logging.getLogger(__name__)

FILE_NAME = "samesky.sdb"
KEPT_REFUSALS = 200
KEPT_BYTES = 4096


class State:
    """The state file in ``directory``; without one, or where it can't be written, memory ends with the process."""

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.Lock()
        self._connection = open_state_file(directory, FILE_NAME, _prepare)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def read_origin(self, stream: str) -> str:
        """The origin that the copy of ``stream`` was made from; empty when none is known."""
        rows = self._read("SELECT origin FROM origin WHERE stream = ?", stream)
        return str(rows[0][0]) if rows else ""

    def write_origin(self, stream: str, origin: str) -> None:
        """Remember the origin of ``stream``."""
        self._write("INSERT OR REPLACE INTO origin VALUES (?, ?)", stream, origin)

    def read_count(self, stream: str) -> int:
        """How many records the primary of ``stream`` had when it was last asked; 0 when it never was."""
        rows = self._read("SELECT count FROM seen WHERE stream = ?", stream)
        return int(rows[0][0]) if rows else 0

    def write_count(self, stream: str, count: int) -> None:
        """Remember how many records the primary of ``stream`` has."""
        self._write("INSERT OR REPLACE INTO seen VALUES (?, ?)", stream, count)

    def read_hold(self, stream: str) -> str:
        """Why ``stream`` waits for a person's decision; empty when it doesn't."""
        rows = self._read("SELECT reason FROM hold WHERE stream = ?", stream)
        return str(rows[0][0]) if rows else ""

    def write_hold(self, stream: str, reason: str) -> None:
        """Have ``stream`` wait for a decision, or (``reason`` empty) go on."""
        if reason:
            self._write("INSERT OR REPLACE INTO hold VALUES (?, ?)", stream, reason)
        else:
            self._write("DELETE FROM hold WHERE stream = ?", stream)

    def write_snapshot(self, snapshot: Snapshot, now: float) -> None:
        """Keep how a stream is doing, for `written_state.read_written`."""
        text = json.dumps(snapshot.as_dict())
        self._write("INSERT OR REPLACE INTO snapshot VALUES (?, ?, ?, ?)", snapshot.stream, snapshot.role, now, text)

    def forget_snapshots(self, role: str, *, but: Collection[str]) -> None:
        """Forget how streams were doing that aren't followed, or served, any more."""
        marks = ", ".join("?" * len(but))
        self._write(f"DELETE FROM snapshot WHERE role = ? AND stream NOT IN ({marks})", role, *but)

    def note_found(self, stream: str, kind: FoundKind, days: Mapping[int, int], *, check: str, now: float) -> None:
        """Keep what one answer to a check has found: how many records of each day. ``check`` names the check.

        Answers to the same check add up; what an earlier check had found of the same days is found again, not more.
        """
        query = (
            "INSERT INTO found VALUES (?, ?, ?, ?, ?, ?, 0) ON CONFLICT (stream, day, kind, mended_at) "
            "DO UPDATE SET check_name = excluded.check_name, "
            "count = excluded.count + CASE check_name WHEN excluded.check_name THEN count ELSE 0 END"
        )
        self._write_many(query, [(stream, day, kind, count, check, now) for day, count in days.items()])

    def mend_found(self, stream: str, now: float) -> None:
        """The copy of ``stream`` is proven the same: whatever was found of it is mended. Old findings are forgotten."""
        self._write("UPDATE OR REPLACE found SET mended_at = ? WHERE stream = ? AND mended_at = 0", now, stream)
        self._write("DELETE FROM found WHERE mended_at > 0 AND mended_at < ?", now - KEPT_S)

    def read_told(self, role: str) -> set[str]:
        """The topics on which a broker retains what the ``role`` of this station has told."""
        return {str(topic) for (topic,) in self._read("SELECT topic FROM told WHERE role = ?", role)}

    def write_told(self, role: str, topics: Collection[str]) -> None:
        """Remember that these, and no others, are the topics of `read_told`."""
        self._write("DELETE FROM told WHERE role = ?", role)
        self._write_many("INSERT OR IGNORE INTO told VALUES (?, ?)", [(role, topic) for topic in topics])

    def keep_refused(self, message: Message, reason: str, now: float) -> None:
        """Keep the first 4 KiB of a refused message, and the last two hundred such messages."""
        size, head = len(message.payload), message.payload[:KEPT_BYTES]
        self._write(
            "INSERT INTO refused (time, topic, reason, size, head) VALUES (?, ?, ?, ?, ?)",
            now,
            message.topic,
            reason,
            size,
            head,
        )
        self._write("DELETE FROM refused WHERE id <= (SELECT MAX(id) FROM refused) - ?", KEPT_REFUSALS)

    def read_refused(self) -> list[tuple[float, str, str, int, bytes]]:
        """(time, topic, reason, size in bytes, first 4 KiB) of what was refused, oldest first."""
        return self._read("SELECT time, topic, reason, size, head FROM refused ORDER BY id")

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        try:
            with self._lock:
                return self._connection.execute(query, values).fetchall()
        except sqlite3.Error as error:
            _log.warning("state_not_read error=%r", str(error))
            return []

    def _write(self, query: str, *values: object) -> None:
        try:
            with self._lock, self._connection:
                self._connection.execute(query, values)
        except sqlite3.Error as error:
            _log.warning("state_not_written error=%r", str(error))

    def _write_many(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        try:
            with self._lock, self._connection:
                self._connection.executemany(query, rows)
        except sqlite3.Error as error:
            _log.warning("state_not_written error=%r", str(error))


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """One transaction of a connection in autocommit mode; nothing is changed when it fails."""
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk has rolled back already
            connection.execute("ROLLBACK")
        raise


def open_state_file(
    directory: Path | None, name: str, prepare: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """The SQLite file ``name`` in ``directory``, prepared; memory where there is no directory, or it can't be used."""
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(directory / name, timeout=5.0, check_same_thread=False)
            prepare(connection)
            return connection
        except (OSError, sqlite3.Error) as error:
            _log.warning(
                "state_in_memory directory=%s error=%r hint='give state_dir a folder this user may write to'",
                directory,
                str(error),
            )
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    prepare(connection)
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA user_version = 1")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS seen (stream TEXT PRIMARY KEY, count INTEGER NOT NULL)")
    connection.execute("CREATE TABLE IF NOT EXISTS told (role TEXT, topic TEXT, PRIMARY KEY (role, topic))")
    connection.execute("CREATE TABLE IF NOT EXISTS hold (stream TEXT PRIMARY KEY, reason TEXT NOT NULL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS snapshot (stream TEXT, role TEXT, time REAL, text TEXT, PRIMARY KEY (stream, role))"
    )
    connection.execute("CREATE TABLE IF NOT EXISTS origin (stream TEXT PRIMARY KEY, origin TEXT NOT NULL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS found (stream TEXT, day INTEGER, kind TEXT, count INTEGER, check_name TEXT, "
        "found_at REAL, mended_at REAL, PRIMARY KEY (stream, day, kind, mended_at))"
    )
    connection.execute(
        "CREATE TABLE IF NOT EXISTS refused "
        "(id INTEGER PRIMARY KEY, time REAL, topic TEXT, reason TEXT, size INTEGER, head BLOB)"
    )
