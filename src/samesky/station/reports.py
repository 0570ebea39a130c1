"""When a station writes down how it does: at once when there is news, often while much moves, else now and then."""

import math

INTERVAL_S = 30.0
MOVING_INTERVAL_S = 2.0
SHORTEST_S = 0.5
"""News that come one after the other are written down together."""


class Reports:
    """Says when the next report is due. Belongs to one thread; times are by a timer that never jumps."""

    def __init__(self) -> None:
        self._due = self._soonest = -math.inf
        self._told: object = None

    def is_due(self, now: float, news: object) -> bool:
        """Whether to report now, given all that is news when it changes."""
        return now >= self.next_time(news)

    def note(self, now: float, news: object, *, moves: bool) -> None:
        """It was reported; ``moves``: the next report is to come soon."""
        self._told = news
        self._soonest = now + SHORTEST_S
        self._due = now + (MOVING_INTERVAL_S if moves else INTERVAL_S)

    def next_time(self, news: object) -> float:
        """When to report."""
        return self._due if news == self._told else min(self._due, self._soonest)
