"""Reading files when they are complete: when nobody has them open for writing any more."""

import logging
import os

from ..core.strict import Refused
from ..errors import DataError
from .open_files import read_open_for_writing
from .paths import check_path
from .pending import File, Pending
from .publish import ReadFile, read_open_file
from .tree import Tree

log = logging.getLogger(__name__)

QUIET_S = 2.0
"""Where the system doesn't tell who writes to a file, it is complete when it hasn't changed for so long."""
CLOCK_TICK_NS = 20_000_000
"""By how much the times of files are behind the clock, at most."""
MOST_TOLD = 10_000


class CompleteFiles:
    """Reads the files of ``tree`` that are in ``pending``, each once, when it is complete.

    ``since_ns`` is when the folder began to be watched: what was found then, and changed later, wasn't there before.
    """

    def __init__(self, tree: Tree, pending: Pending, *, inline_most_bytes: int, since_ns: int) -> None:
        self._tree = tree
        self._pending = pending
        self._inline_most_bytes = inline_most_bytes
        self._since_ns = since_ns - CLOCK_TICK_NS
        self._told: set[str] = set()

    def read_due(self, limit: int, now: float) -> tuple[list[ReadFile], list[ReadFile]]:
        """Read at most ``limit`` files that are due: those to be announced, and those that are only to be entered."""
        aloud: list[ReadFile] = []
        silent: list[ReadFile] = []
        for path, file in self._pending.take(limit, now):
            if (read := self._read(path, file, now)) is not None:
                self._pending.done(path)
                (silent if file.silent else aloud).append(read)
        return aloud, silent

    def _read(self, path: str, file: File, now: float) -> ReadFile | None:
        """Read a file that is complete; another one is looked at later, or not any more."""
        try:
            descriptor = self._tree.open_file(check_path(path))
        except FileNotFoundError:
            self._pending.done(path)
            return None
        except (Refused, OSError) as error:
            self._give_up(path, error)
            return None
        try:
            return self._read_complete(descriptor, path, file, now)
        except OSError as error:
            self._give_up(path, error)
            return None
        finally:
            os.close(descriptor)

    def _read_complete(self, descriptor: int, path: str, file: File, now: float) -> ReadFile | None:
        found = os.fstat(descriptor)
        state = found.st_size, found.st_mtime_ns
        is_open = read_open_for_writing(descriptor)
        if is_open or (is_open is None and not (file.state == state and now - file.since >= QUIET_S)):
            self._pending.postpone(file, state, now)
            return None
        file.silent &= found.st_ctime_ns < self._since_ns
        try:
            return read_open_file(descriptor, path, inline_most_bytes=self._inline_most_bytes)
        except DataError:
            self._pending.postpone(file, None, now)  # somebody has begun to write
            return None

    def _give_up(self, path: str, error: Exception) -> None:
        """A file can't be announced: say so once."""
        self._pending.done(path)
        if path not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(path)
            words = error.strerror if isinstance(error, OSError) else str(error)
            log.warning("watch_refused path=%r reason=%r", path, words)
