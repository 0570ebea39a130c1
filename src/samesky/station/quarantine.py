"""What repairs overwrote or deleted at a copy, kept for 30 days in a SQLite file beside it, so that it can be undone.

A repair is a *session*. What it is about to change is kept, durable, before the copy is changed: a process that ends
in between has lost nothing, and has kept a few rows that are stored as well. The file is made when there is first
something to keep. It holds batches of whole rows as compressed JSON; every value reads back equal, to the last bit.
"""

import hashlib
import json
import math
import os
import re
import sqlite3
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, Self, cast

from ..errors import ConfigError, DataError
from .archive_reader import Row
from .archive_sqlite import worded
from .check_question import TreeName
from .location import Location, SqliteLocation
from .state import transaction

KEPT_S = 30 * 86_400
BUSY_TIMEOUT_S = 10.0
_SUFFIX = ".quarantine.sdb"
_LONGEST_NAME = 150

Change = Literal["overwritten", "deleted"]


@dataclass(frozen=True, slots=True)
class Session:
    """One repair, and how much of it can be undone."""

    name: str
    time: int
    """When it began to change the copy."""
    overwritten: int
    """Archive records that it overwrote."""
    deleted: int
    """Archive records that it deleted."""
    summary_rows: int
    """Daily summary rows that it overwrote or deleted."""


@dataclass(frozen=True, slots=True)
class KeptRows:
    """Rows of one table as they were before one change."""

    table: TreeName
    change: Change
    time: int
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def quarantine_path(location: Location, state_dir: Path | None, stream: str) -> Path:
    """Where the rows are kept: beside a SQLite copy; for a copy on a server, in the state directory.

    Raises `ConfigError` when a copy on a server has no state directory.
    """
    if isinstance(location, SqliteLocation):
        table = "" if location.table == "archive" else f".{location.table}"
        return location.path.with_name(f"{location.path.name}{table}{_SUFFIX}")
    if state_dir is None:
        raise ConfigError(
            f"{stream}: there is no folder to keep in what repairs overwrite or delete",
            hint="Set state_dir to a folder that this user may write to.",
        )
    return state_dir / f"{_file_name(stream)}{_SUFFIX}"


class Quarantine:
    """The file at ``path``. Belongs to the thread that uses it first.

    Methods raise `Unreachable` (no room, no right to write, locked) or `DataError` (damaged), with a hint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def new_session(self, now: float) -> str:
        """A name for a session that begins ``now``: the time in UTC, and the first number that isn't taken."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
        taken = {name for (name,) in self._read("SELECT DISTINCT session FROM batch")}
        number = next(number for number in range(1, len(taken) + 2) if f"{moment}-{number}" not in taken)
        return f"{moment}-{number}"

    def keep(
        self,
        session: str,
        table: TreeName,
        change: Change,
        *,
        columns: Sequence[str],
        rows: Sequence[Row],
        now: float,
    ) -> None:
        """Keep whole ``rows`` as they are now, before ``change``; durable on return. What is too old is forgotten."""
        if not rows:
            return
        payload = _encode(columns, rows)
        connection = self._open()
        with _hinting(self.path), transaction(connection):
            connection.execute("DELETE FROM batch WHERE time < ?", (int(now - KEPT_S),))
            connection.execute(
                "INSERT INTO batch (session, time, kind, change, count, rows) VALUES (?, ?, ?, ?, ?, ?)",
                (session, int(now), table, change, len(rows), payload),
            )

    def sessions(self) -> list[Session]:
        """The sessions that can be undone, oldest first."""
        rows = self._read(
            "SELECT session, MIN(time),"
            " SUM(CASE WHEN kind = 'archive' AND change = 'overwritten' THEN count ELSE 0 END),"
            " SUM(CASE WHEN kind = 'archive' AND change = 'deleted' THEN count ELSE 0 END),"
            " SUM(CASE WHEN kind = 'summary' THEN count ELSE 0 END) "
            "FROM batch GROUP BY session ORDER BY MAX(id)"
        )
        return [Session(*row) for row in rows]

    def read(self, session: str) -> Iterator[KeptRows]:
        """What the session overwrote and deleted, newest change first, one batch in memory at a time."""
        for (number,) in self._read("SELECT id FROM batch WHERE session = ? ORDER BY id DESC", session):
            for table, change, changed, rows in self._read(
                "SELECT kind, change, time, rows FROM batch WHERE id = ?", number
            ):
                with _hinting(self.path):
                    kept = KeptRows(cast(TreeName, table), cast(Change, change), changed, *_decode(rows))
                yield kept

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if self._connection is None and not self.path.exists():
            return []
        connection = self._open()
        with _hinting(self.path):
            return connection.execute(query, values).fetchall()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _connect(self.path)
        return self._connection


def _give_to_the_owner_of_its_folder(path: Path) -> None:
    """A repair that root has made mustn't leave a file that the copy's own process can't write to."""
    folder = path.absolute().parent.stat()
    if os.geteuid() == 0 and folder.st_uid:
        os.chown(path, folder.st_uid, folder.st_gid)


def _connect(path: Path) -> sqlite3.Connection:
    with _hinting(path):
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY, session TEXT NOT NULL, "
                "time INTEGER NOT NULL, kind TEXT NOT NULL, change TEXT NOT NULL, count INTEGER NOT NULL, "
                "rows BLOB NOT NULL)"
            )
            connection.execute("CREATE INDEX IF NOT EXISTS batch_session ON batch (session)")
            _give_to_the_owner_of_its_folder(path)
        except sqlite3.Error:
            connection.close()
            raise
        return connection


@contextmanager
def _hinting(path: Path) -> Iterator[None]:
    try:
        with worded(path):
            yield
    except DataError as error:
        raise DataError(
            str(error),
            hint=f"What repairs overwrote is kept in {path}. Move it away and a new one is made; "
            "what is in it then can't be brought back.",
        ) from error


def _file_name(stream: str) -> str:
    """The stream's name as a file's; two streams never have the same."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "-", stream)[:_LONGEST_NAME]
    if stream.count("/") == 1 and name == stream.replace("/", "-") and name.count("-") == 1:
        return name
    return f"{name}-{hashlib.blake2b(stream.encode(), digest_size=4).hexdigest()}"


# ---------------------------------------------------------------------- rows as bytes


def _encode(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    document = {"columns": list(columns), "rows": [list(row) for row in rows]}
    try:
        text = _to_json(document)
    except ValueError:  # json's way to say that a number isn't finite
        document["rows"] = [[_tagged_infinity(value) for value in row] for row in rows]
        text = _to_json(document)
    return zlib.compress(text.encode(), 1)


def _decode(payload: bytes) -> tuple[tuple[str, ...], tuple[Row, ...]]:
    try:
        document = json.loads(zlib.decompress(payload), object_hook=_untagged)
        return tuple(document["columns"]), tuple(map(tuple, document["rows"]))
    except (zlib.error, ValueError, KeyError, TypeError) as error:
        raise DataError(f"rows that were kept can't be read: {error}") from error


def _tagged_infinity(value: Any) -> Any:
    return {"real": repr(value)} if isinstance(value, float) and math.isinf(value) else value


def _tagged(value: Any) -> dict[str, str]:
    """Values that JSON has no form for."""
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    raise DataError(f"a value of type {type(value).__name__} can't be kept, so its row isn't changed")


def _untagged(tagged: dict[str, Any]) -> Any:
    match tagged:
        case {"real": text}:
            return float(text)
        case {"bytes": text}:
            return bytes.fromhex(text)
        case {"decimal": text}:
            return Decimal(text)
    return tagged


_to_json = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_tagged).encode
