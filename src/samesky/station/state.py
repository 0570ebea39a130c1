"""What a station remembers beside its database: which primary a copy belongs to, and the last inputs it refused.

One small SQLite file, ``samesky.sdb``, in the state directory. Losing it loses no observation: origins are learnt anew.
"""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Any

from ..link.message import Message

_log = logging.getLogger(__name__)

FILE_NAME = "samesky.sdb"
KEPT_REFUSALS = 200
KEPT_BYTES = 4096


class State:
    """The state file in ``directory``; without one, or where it can't be written, memory ends with the process."""

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.Lock()
        self._connection = _open(directory)

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


def _open(directory: Path | None) -> sqlite3.Connection:
    if directory is not None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(directory / FILE_NAME, timeout=5.0, check_same_thread=False)
            connection.execute("PRAGMA user_version = 1")
            connection.execute("PRAGMA synchronous = NORMAL")
            return _with_tables(connection)
        except (OSError, sqlite3.Error) as error:
            _log.warning(
                "state_in_memory directory=%s error=%r hint='give state_dir a folder this user may write to'",
                directory,
                str(error),
            )
    return _with_tables(sqlite3.connect(":memory:", check_same_thread=False))


def _with_tables(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("CREATE TABLE IF NOT EXISTS origin (stream TEXT PRIMARY KEY, origin TEXT NOT NULL)")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS refused "
        "(id INTEGER PRIMARY KEY, time REAL, topic TEXT, reason TEXT, size INTEGER, head BLOB)"
    )
    return connection
