"""Asks primaries for the records of a day, for the page: one at a time, each answer kept for a minute.

Whoever looks at a page waits a few seconds at most; what comes later is shown when the page is loaded again.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from ..errors import SameskyError
from ..station.primary_rows import PrimaryRows, read_primary_rows
from ..station.verification import open_to_read
from .station_databases import StationDatabase

KEPT_S = 60.0
PATIENCE_S = 6.0
MOST_KEPT = 50
NOT_YET = "the primary hasn't answered yet; load the page again in a moment"


@dataclass(slots=True)
class Asked:
    """What became of a question; ``rows`` or ``why_not`` is set when ``done`` is."""

    at: float
    done: threading.Event = field(default_factory=threading.Event)
    rows: PrimaryRows | None = None
    why_not: str = ""
    hint: str = ""


class Asking:
    """May be called from any thread."""

    def __init__(self, *, timer: Callable[[], float] = time.monotonic, patience_s: float = PATIENCE_S) -> None:
        self._timer, self._patience_s = timer, patience_s
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._asked: OrderedDict[tuple[str, str, int], Asked] = OrderedDict()

    def ask(self, database: StationDatabase, since: int, until: int, *, newest: int = 0) -> Asked:
        """What the primary of this copy has after ``since`` up to ``until``, as it answered within the last minute.

        ``newest`` is the copy's last record there: an answer from before it came is too old.
        """
        key = (str(database.config), database.stream, since)
        with self._lock:
            asked = self._asked.get(key)
            if asked is None or self._is_old(asked, newest):
                asked = self._asked[key] = Asked(self._timer())
                self._asked.move_to_end(key)
                while len(self._asked) > MOST_KEPT:
                    self._asked.popitem(last=False)
                threading.Thread(
                    target=self._find_out,
                    args=(asked, database, since, until),
                    name="samesky-web-asking",
                    daemon=True,
                ).start()
        if not asked.done.wait(self._patience_s):
            return Asked(asked.at, why_not=NOT_YET)
        return asked

    def _is_old(self, asked: Asked, newest: int) -> bool:
        if not asked.done.is_set():
            return False
        if asked.rows is not None and newest > max(asked.rows.records, default=0):
            return self._timer() - asked.at > KEPT_S / 10
        return self._timer() - asked.at > KEPT_S

    def _find_out(self, asked: Asked, database: StationDatabase, since: int, until: int) -> None:
        assert database.follow is not None
        try:
            with self._turn, closing(open_to_read(database.location)) as archive:
                asked.rows = read_primary_rows(database.follow, database.stream, archive, since=since, until=until)
        except SameskyError as error:
            asked.why_not, asked.hint = str(error), error.hint
        except Exception as error:  # a fault of ours mustn't leave everybody waiting
            asked.why_not = f"a fault of samesky: {type(error).__name__}: {error}"
        finally:
            asked.at = self._timer()
            asked.done.set()
