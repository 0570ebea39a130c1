"""What a running station has written down of its streams, read beside it: nothing is made or changed."""

import logging
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.snapshot_document import decode_snapshot
from ..core.status import Snapshot
from ..core.strict import MAX_PAYLOAD_BYTES, Refused, decode_json
from .advice import advise
from .state import FILE_NAME

_log = logging.getLogger(__name__)

BUSY_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Written:
    """One stream as the station wrote it down, and when (Unix seconds)."""

    snapshot: Snapshot
    """A stream that waits for a person's decision is stopped, whatever was written down before that."""
    at: float
    is_held: bool = False


def read_written(directory: Path) -> list[Written]:
    """What the state file in ``directory`` says of all streams; nothing where there is none.

    What another version wrote and can't be read isn't there. Raises `sqlite3.Error` where the file can't be read.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return []
    try:
        rows, holds = _read(path, "ro")
    except sqlite3.OperationalError:
        # A writer that was killed has left something to be rolled back. (`cache_file` of push/ has a write-ahead log,
        # which needs no such thing.)
        rows, holds = _read(path, "rw")
    found = (_decode(text, float(at)) for at, text in rows)
    return [_hold(each, holds.get(each.snapshot.stream, "")) for each in found if each is not None]


def _read(path: Path, mode: str) -> tuple[list[tuple[float, str]], dict[str, str]]:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        rows = connection.execute("SELECT time, text FROM snapshot ORDER BY stream, role").fetchall()
        return rows, dict(connection.execute("SELECT stream, reason FROM hold").fetchall())


def _decode(text: str, at: float) -> Written | None:
    try:
        return Written(decode_snapshot(decode_json(text.encode(), max_bytes=MAX_PAYLOAD_BYTES)), at)
    except Refused as error:
        _log.warning("snapshot_not_read error=%r", str(error))
        return None


def _hold(written: Written, reason: str) -> Written:
    shown = written.snapshot
    if not reason or shown.role != "requester":
        return written
    words, hint = advise(reason, stream=shown.stream)
    return Written(replace(shown, state="stopped", last_error=words, hint=hint), written.at, True)
