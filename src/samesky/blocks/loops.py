"""Blocks that follow each other in a circle: seen in the headers, or, of old peers, in values that come back. Pure.

Within one service a circle is refused when it is registered (`cycles`). Across services each message says which block
its data come from: what comes back to its origin is dropped. Old peers say nothing; two of them that follow each other
swap their values for ever. There only the values tell: what we published before our present state comes back, again
and again, soon after we published.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from .envelope import Metadata
from .paths import Value

MOST_HOPS = 8
ECHOES = 6
"""So many echoes in a row are a circle."""
INTERVALS = 2.5
"""An echo comes so soon after our own message, counted in the intervals of that."""
REMEMBERED = 8


class Lineage(NamedTuple):
    """Where a block's data come from, when it was given them: the block at the beginning, and the hops up to here."""

    origin: str
    hops: int


def find_loop(own: str, metadata: Metadata | None) -> str:
    """Return why a message goes round in a circle at the block ``own`` (``service.id``): in a word, empty if not."""
    if metadata is None:
        return ""
    if metadata.origin == own:
        return "own"
    return "hops" if metadata.hops >= MOST_HOPS else ""


class EchoWatch:
    """Watches a block that is primary and replica at once."""

    def __init__(self) -> None:
        self._published: deque[tuple[float, Mapping[str, Value]]] = deque(maxlen=REMEMBERED)
        self._echoes = 0

    def note_published(self, data: Mapping[str, Value], now: float) -> None:
        """This state of the block was broadcast."""
        if not self._published or self._published[-1][1] != data:
            self._published.append((now, data))

    def is_circle(self, before: Mapping[str, Value], after: Mapping[str, Value], now: float, interval_s: float) -> bool:
        """Whether the change of the block from ``before`` to ``after``, about to be written, is one echo too many.

        An actuator that goes on and off, or a schedule, brings states back too: only changes of numbers count, and only
        those that come as soon after our own message as an answer to it would, every time.
        """
        if before == after:
            return False
        is_soon = bool(self._published) and now - self._published[-1][0] <= INTERVALS * interval_s
        is_back = any(state == after for _, state in list(self._published)[:-1])
        self._echoes = self._echoes + 1 if is_soon and is_back and _differ_in_numbers(before, after) else 0
        return self._echoes >= ECHOES

    def forget(self) -> None:
        """Begin anew, after a pause."""
        self._published.clear()
        self._echoes = 0


def _differ_in_numbers(one: Value, other: Value) -> bool:
    """Whether nothing but numbers is different; fractions, as measured: a 0 and a 1 are a switch."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_differ_in_numbers(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_differ_in_numbers, one, other))
    if one == other:
        return True
    numbers = not isinstance(one, bool) and not isinstance(other, bool)
    return numbers and isinstance(one, int | float) and isinstance(other, int | float) and {one, other} != {0, 1}
