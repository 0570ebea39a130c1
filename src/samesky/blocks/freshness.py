"""Whether a value can still be believed: `Freshness`, and how late messages are: `Lateness`. Pure.

A primary that has died says nothing, and its last value looks like any other. So a value is fresh for a while after it
*came*, not after it was made: a message that the broker has kept may be of any age, and makes nothing fresh.
"""

from collections import deque
from typing import Literal

State = Literal["never", "fresh", "stale"]

TIMES = 3
"""So many messages may be lost before a value is stale."""
GRACE_S = 5.0
SHORTEST_S = 15.0
KEPT_GAPS = 8
KEPT_DELAYS = 64


class Freshness:
    """The freshness of one link's value; ``ttl_s`` is how long it lasts, None: by the pace at which messages come.

    That pace is what the primary says of itself, or the longest of the last gaps between messages.
    """

    def __init__(self, ttl_s: float | None) -> None:
        self._ttl_s = ttl_s
        self._interval_s: float | None = None
        self._gaps: deque[float] = deque(maxlen=KEPT_GAPS)
        self._heard_at: float | None = None
        self._came_at: float | None = None
        self._ended_at: float | None = None

    @property
    def came_at(self) -> float | None:
        """When the last good value came; None: none has."""
        return self._came_at

    @property
    def lasts_s(self) -> float:
        """How long a value is fresh."""
        if self._ttl_s is not None:
            return self._ttl_s
        if self._interval_s is not None:
            return TIMES * self._interval_s + GRACE_S
        return max(TIMES * max(self._gaps, default=0.0) + GRACE_S, SHORTEST_S)

    def note_heard(self, now: float, interval_s: float | None) -> None:
        """A live message came, good or bad: that is the pace."""
        if self._heard_at is not None and self._ended_at is None:
            self._gaps.append(now - self._heard_at)
        self._heard_at = now
        self._interval_s = interval_s

    def note_value(self, came_at: float) -> None:
        """A value that came then was good."""
        self._came_at, self._ended_at = came_at, None

    def note_end(self, now: float) -> None:
        """The primary has said goodbye, or its will has."""
        self._ended_at = now

    def state(self, now: float) -> State:
        """What the value is at ``now``, on the same clock as all other times here."""
        stale_at = self.stale_at()
        if stale_at is None:
            return "never"
        return "fresh" if self._ended_at is None and now <= stale_at else "stale"

    def stale_at(self) -> float | None:
        """When the value gets stale if nothing comes, or got so; None while there is none."""
        if self._came_at is None:
            return None
        return self._came_at + self.lasts_s if self._ended_at is None else self._ended_at

    def describe_end(self) -> str:
        """Why a stale value is stale, in words."""
        if self._ended_at is not None:
            return "stale: its primary has ended"
        return f"stale: no good value has come for more than {self.lasts_s:g} s"


class Lateness:
    """How much later than usual a message is: the two clocks may differ, so only the quickest of the last tells."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=KEPT_DELAYS)

    def add(self, sent_s: float, came_s: float) -> float:
        """Seconds by which the message took longer than the quickest of the last; both times are of wall clocks."""
        delay = came_s - sent_s
        self._delays.append(delay)
        return delay - min(self._delays)
