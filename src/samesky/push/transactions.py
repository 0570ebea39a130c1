"""Transactions that are done again when another one was in their way: a deadlock, a lock that took too long."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeVar

from sqlalchemy import Connection

from ..core.backoff import Backoff
from ..errors import Locked
from .databases import Database

TRIES = 6
PATIENCE_S = 30.0
"""No try begins later than this after the first: who waits for a lock has waited long by then."""
_FIRST_S = 0.02
_MOST_S = 1.0

Result = TypeVar("Result")


class Transactions:
    """Reads and writes of one database, each a function of a connection. Raises what they do, and `Database.worded`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        # SQLite has one writer at a time. Whoever waits for it in this process does so in turn, not by trying.
        self._turn = threading.Lock() if database.dialect == "sqlite" else nullcontext()

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work`` returns, of one state of the database."""
        with self.database.reading() as connection:
            return work(connection)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work`` returns when it is committed; it may be called several times, and must bear it.

        Raises `Locked` after `TRIES` transactions that another one was in the way of, or `PATIENCE_S`.
        """
        backoff = Backoff(_FIRST_S, _MOST_S, random=random.random)
        until = time.monotonic() + PATIENCE_S
        for tries in range(1, TRIES + 1):
            try:
                return self._write_once(work)
            except Locked:
                if tries == TRIES or time.monotonic() > until:
                    raise
                time.sleep(backoff.next_s())
        raise AssertionError("the last try returns or raises")

    def _write_once(self, work: Callable[[Connection], Result]) -> Result:
        with self._turn, self.database.writing() as connection:
            return work(connection)
