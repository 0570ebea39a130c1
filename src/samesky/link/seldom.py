"""A filter for a logger: what is said again and again is said once a minute, with how often it was."""

import logging
import threading
import time
from collections.abc import Callable

EVERY_S = 60.0
MOST_KNOWN = 100


class Seldom(logging.Filter):
    """Lets the first of equal messages pass, and then one in `EVERY_S` seconds.

    Messages are equal that have the same text before their arguments are put in, and the same kind of exception.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}
        """When each was let pass, and how many weren't since."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether ``record`` is to be said; how often it wasn't is added to it."""
        if record.levelno < logging.WARNING:
            return True
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        name, now = (str(record.msg), kind), self._clock()
        with self._lock:
            at, left_out = self._said.get(name, (now - EVERY_S, 0))
            if now - at < EVERY_S:
                self._said[name] = (at, left_out + 1)
                return False
            if len(self._said) >= MOST_KNOWN:
                self._said.clear()
            self._said[name] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} left_out={left_out}"
        return True
