"""Records on their way from the requester's thread to WeeWX's engine, which fetches them when it is ready."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

Record = dict[str, Any]


class EngineQueue:
    """A queue in which a record counts as under way until the engine has dealt with it."""

    def __init__(self) -> None:
        self.on_done: Callable[[], None] = lambda: None
        self._records: deque[Record] = deque()
        self._in_hand: Record | None = None
        self._newest = 0
        self._changed = threading.Condition()

    @property
    def newest(self) -> int:
        """Time of the newest record ever put in; 0 before the first."""
        return self._newest

    def put(self, records: Iterable[Record]) -> None:
        """Append records, oldest first."""
        with self._changed:
            self._records.extend(records)
            if self._records:
                self._newest = max(self._newest, int(self._records[-1]["dateTime"]))
            self._changed.notify_all()

    def take(self, timeout_s: float) -> Record | None:
        """The oldest record, waiting up to ``timeout_s`` for one; it stays under way until `done`."""
        with self._changed:
            if not self._records:
                self._changed.wait_for(lambda: bool(self._records), timeout_s)
            self._in_hand = self._records.popleft() if self._records else None
            return self._in_hand

    def done(self) -> None:
        """The record last taken is stored."""
        with self._changed:
            self._in_hand = None
        self.on_done()

    def pending(self) -> list[Record]:
        """Everything that the engine hasn't dealt with, oldest first, the record in its hand included."""
        with self._changed:
            return [*([self._in_hand] if self._in_hand else []), *self._records]

    def drop(self, records: Iterable[Record]) -> None:
        """Take these records back: they have been stored in another way."""
        times = {record["dateTime"] for record in records}
        with self._changed:
            self._records = deque(record for record in self._records if record["dateTime"] not in times)
