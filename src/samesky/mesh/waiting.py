"""What is still to be done, kept through restarts: `Waiting`, announcements to fetch, and files to announce.

A row is written before its message is acknowledged to the broker, and removed when the broker that we post to has our
announcement (or there was nothing to do). In between it is ``fetch``, then ``announce``. Each consumer (a peer's client
id) has rows of its own; all are in the state file of the tree, so storing a file and moving its row on is one
transaction (`storing`).
"""

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ..core.strict import HIGHEST_INTEGER
from .statefile import StateFile

_FETCH, _ANNOUNCE = 0, 1
_ROW = "topic, payload, content_type, neighbour, priority, due_ns, tries, id"
_IDS = "id IN (SELECT value FROM json_each(?))"
SHARE_OF_THE_REST = 8
"""Of so many rows that are taken, one is of a lower priority, when there is any: these wait, but don't starve."""


class WaitingRow(NamedTuple):
    """One announcement, as it was received."""

    topic: str
    payload: bytes
    content_type: str
    neighbour: str
    """Whom it is from, as the peer names its neighbours."""
    priority: int = 0
    """Higher first."""
    due_ns: int = 0
    """When to do it, nanoseconds since 1970: of equals the first due comes first. Thus the time of arrival, usually."""
    tries: int = 0
    """How often it was postponed."""
    id: int = 0
    """Given by `Waiting.add`."""


class Depth(NamedTuple):
    """How many rows a consumer has."""

    fetch: int
    announce: int


class Waiting:
    """The rows of ``consumer`` in the state file ``file`` (`Index.file`). For one thread at a time.

    A row that was handed out isn't handed out again by this object, unless it is postponed or released: the holder
    has it in memory. Another object, after a restart, begins with all of them. Raises what `StateFile.writing` does.
    """

    def __init__(self, file: StateFile, consumer: str) -> None:
        self._file = file
        self._consumer = consumer
        self._taken: set[int] = set()
        self._turn = 0

    def depth(self) -> Depth:
        """How many rows there are; reads their index, thus takes some milliseconds for 100,000."""
        query = "SELECT state, COUNT(*) FROM waiting WHERE consumer = ? GROUP BY state"
        counts = dict(self._read(query, self._consumer))
        return Depth(counts.get(_FETCH, 0), counts.get(_ANNOUNCE, 0))

    def add(self, rows: Sequence[WaitingRow], *, take: bool = False, stored: bool = False) -> list[int]:
        """Write ``rows`` in one transaction and return their ids. With ``take`` they are handed out.

        They are to be fetched; with ``stored`` their files are here already, and only to be announced.
        """
        state = _ANNOUNCE if stored else _FETCH
        with self._file.writing() as connection:
            last = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'waiting'").fetchone()
            first = last[0] + 1 if last else 1
            ids = list(range(first, first + len(rows)))
            connection.executemany(
                "INSERT INTO waiting (topic, payload, content_type, neighbour, priority, due_ns, tries, id, "
                f"consumer, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, {state})",
                [(*row[:-1], id, self._consumer) for id, row in zip(ids, rows, strict=True)],
            )
        if take:
            self._taken.update(ids)
        else:  # ids may have been given, and taken, in a transaction that came to nothing
            self._taken.difference_update(ids)
        return ids

    def next(self, limit: int, now_ns: int) -> list[WaitingRow]:
        """Hand out at most ``limit`` rows to fetch that are due: of the highest priority those due first.

        Every eighth is one of a lower priority, when there is any.
        """
        queues = [deque(ids) for priority in self._priorities() if (ids := self._due(priority, limit, now_ns))]
        chosen: list[int] = []
        while queues and len(chosen) < limit:
            chosen.append(_pick(queues, self._turn))
            self._turn += 1
        return self._take(chosen)

    def next_due(self) -> int | None:
        """When the next row to fetch that isn't handed out is due; None when there is none."""
        times = []
        for priority in self._priorities():
            query = (
                f"SELECT id, due_ns FROM waiting WHERE consumer = ? AND state = {_FETCH} AND priority = ? "
                "ORDER BY due_ns, id LIMIT ?"
            )
            rows = self._read(query, self._consumer, priority, len(self._taken) + 1)
            times += [due_ns for id, due_ns in rows if id not in self._taken][:1]
        return min(times, default=None)

    def next_to_announce(self, limit: int) -> list[WaitingRow]:
        """Hand out at most ``limit`` rows whose file is stored but perhaps not announced, highest priority first."""
        ids: list[int] = []
        for priority in self._priorities(_ANNOUNCE):  # one by one, as the index has them: nothing is to be sorted
            ids += self._due(priority, limit - len(ids), HIGHEST_INTEGER, _ANNOUNCE)
        return self._take(ids)

    def postpone(self, ids_and_due: Iterable[tuple[int, int]]) -> None:
        """Give rows back, each (id, due_ns) to be handed out when it is due, with one try more."""
        pairs = list(ids_and_due)
        with self._file.writing() as connection:
            connection.executemany(
                "UPDATE waiting SET due_ns = ?, tries = tries + 1 WHERE id = ?", [(due, id) for id, due in pairs]
            )
        self._taken.difference_update(id for id, _ in pairs)

    def release(self, ids: Iterable[int]) -> None:
        """Give rows back as they were; nothing is written."""
        self._taken.difference_update(ids)

    def to_announce(self, ids: Iterable[int]) -> None:
        """The files of these rows are stored: their announcements are to be made. They stay with their holder."""
        with self._file.writing() as connection:
            connection.execute(f"UPDATE waiting SET state = {_ANNOUNCE} WHERE {_IDS}", (json.dumps(list(ids)),))

    def done(self, ids: Iterable[int]) -> None:
        """Remove rows, of which nothing is left to do."""
        gone = list(ids)
        with self._file.writing() as connection:
            connection.execute(f"DELETE FROM waiting WHERE {_IDS}", (json.dumps(gone),))
        self._taken.difference_update(gone)

    def _priorities(self, state: int = _FETCH) -> list[int]:
        """The priorities that rows have, highest first: one look into the index for each."""
        found: list[int] = []
        query = f"SELECT MAX(priority) FROM waiting WHERE consumer = ? AND state = {state} AND priority < ?"
        below: int | float = float("inf")
        while (highest := self._read(query, self._consumer, below)[0][0]) is not None:
            found.append(highest)
            below = highest
        return found

    def _due(self, priority: int, limit: int, now_ns: int, state: int = _FETCH) -> list[int]:
        query = (
            f"SELECT id FROM waiting WHERE consumer = ? AND state = {state} AND priority = ? AND due_ns <= ? "
            "ORDER BY due_ns, id LIMIT ?"
        )
        rows = self._read(query, self._consumer, priority, now_ns, limit + len(self._taken))
        return [id for (id,) in rows if id not in self._taken][:limit]

    def _take(self, ids: Sequence[int]) -> list[WaitingRow]:
        rows = self._read(f"SELECT {_ROW} FROM waiting WHERE {_IDS}", json.dumps(ids))
        self._taken.update(ids)
        by_id = {row[-1]: WaitingRow._make(row) for row in rows}
        return [by_id[id] for id in ids if id in by_id]

    def _read(self, query: str, *values: object) -> list[Any]:
        with self._file.errors():
            return self._file.connection.execute(query, values).fetchall()


def _pick(queues: list[deque[int]], turn: int) -> int:
    """The next of ``queues``, the highest priority first; every eighth turn is the second's, every 64th the third's.

    Takes a queue that is empty out of ``queues``.
    """
    number = 0
    while number < len(queues) - 1 and turn % SHARE_OF_THE_REST == SHARE_OF_THE_REST - 1:
        turn //= SHARE_OF_THE_REST
        number += 1
    chosen = queues[number].popleft()
    if not queues[number]:
        del queues[number]
    return chosen
