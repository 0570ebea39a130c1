"""Who is next: higher priorities first, and now and then a turn for the lower ones, so that none waits for ever."""

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")

TURNS = 8
"""Of so many turns, one goes past the highest priority; of the square of it, one goes past the two highest."""


class Turns(Generic[Item]):
    """A queue with levels; level 0 comes first. Within a level the order is that of arrival."""

    def __init__(self) -> None:
        self._levels: dict[int, deque[Item]] = {}
        self._turn = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, level: int, item: Item) -> None:
        """Put ``item`` at the end of ``level``."""
        if level not in self._levels:
            self._levels = dict(sorted({**self._levels, level: deque[Item]()}.items()))
        self._levels[level].append(item)
        self._count += 1

    def pop(self) -> Item:
        """Take out whose turn it is. Raises `IndexError` when nobody waits."""
        if not self._count:
            raise IndexError("nobody waits")
        self._turn += 1
        self._count -= 1
        first = next(iter(self._levels.values()))
        if first and self._turn % TURNS:  # nearly always
            return first.popleft()
        waiting = [queue for queue in self._levels.values() if queue]
        return waiting[min(_passed_over(self._turn), len(waiting) - 1)].popleft()


def _passed_over(turn: int) -> int:
    """How many levels are passed over at ``turn``: 0 mostly, 1 at every 8th, 2 at every 64th …"""
    passed = 0
    while turn % TURNS == 0:
        turn //= TURNS
        passed += 1
    return passed
