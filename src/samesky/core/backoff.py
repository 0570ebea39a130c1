"""How long to wait before the next try: doubling, bounded, and spread so that many copies don't return at once."""

from collections.abc import Callable


class Backoff:
    """Delays of one thing that is tried again and again; ``random`` gives numbers from 0 to 1 (``random.random``)."""

    def __init__(self, first_s: float, most_s: float, *, random: Callable[[], float]) -> None:
        if not 0 < first_s <= most_s:
            raise ValueError("a back-off needs 0 < first_s <= most_s")
        self._first_s = first_s
        self._most_s = most_s
        self._random = random
        self._delay_s = first_s

    def next_s(self) -> float:
        """Return the seconds to wait now: half to whole of a delay that doubles from ``first_s`` up to ``most_s``."""
        delay_s = self._delay_s
        self._delay_s = min(2 * delay_s, self._most_s)
        return delay_s * (0.5 + 0.5 * self._random())

    def reset(self) -> None:
        """Start again at ``first_s``: the try succeeded."""
        self._delay_s = self._first_s
