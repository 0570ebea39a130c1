"""What the pushes of a site have written down, read beside them: nothing is made, and nothing is locked for long."""

import sqlite3
from contextlib import closing
from pathlib import Path

from .cache_file import FILE_NAME
from .status import PushStatus

BUSY_TIMEOUT_S = 2.0


def read_written(directory: Path) -> list[PushStatus]:
    """How each push was going, by target; nothing where the pusher's file isn't in ``directory``.

    What another version wrote and can't be read isn't there. Raises `sqlite3.Error` where the file can't be read.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        return []
    uri = f"{path.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)) as connection:
        rows = connection.execute("SELECT text FROM status ORDER BY target").fetchall()
    read = (PushStatus.read(text) for (text,) in rows)
    return [status for status in read if status is not None]
