"""What a primary does: when it reads its block, and what of it is broadcast. The brain; pure.

`PrimaryBrain` is asked when to read (`next_time`), told what was read, and says what to publish. All times are seconds
of one monotonic clock, but for ``wall_s``, which is Unix time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from ..core.status import Counters
from .envelope import Metadata
from .links import PrimaryLink
from .loops import Lineage
from .paths import Value
from .status import Health, PrimaryStatus


@dataclass(frozen=True, slots=True)
class Broadcast:
    """To be published under the link's key."""

    data: Mapping[str, Value]
    metadata: Metadata


class PrimaryBrain:
    """Decides for ``link``. ``epoch`` is greater than that of any earlier start of this service."""

    def __init__(self, link: PrimaryLink, *, epoch: int, now: float) -> None:
        self.link = link
        self._epoch = epoch
        self._sequence = 0
        self._next_read = now
        self._is_reading = False
        self._data: Mapping[str, Value] | None = None
        """What was published last."""
        self._published_at: float | None = None
        self._tried_at: float | None = None
        self._counts = {"published": 0, "unchanged": 0}
        self._failed = Counters()
        self._last_error = self._hint = ""

    def next_time(self) -> float | None:
        """When to read the block; None while it is being read."""
        return None if self._is_reading else self._next_read

    def begin_reading(self, now: float) -> None:
        """The block is being read; the next time is on the same beat, those that were missed are left out."""
        self._is_reading = True
        missed = max(0, int((now - self._next_read) / self.link.interval_s))
        self._next_read += (missed + 1) * self.link.interval_s

    def on_read(
        self, data: Mapping[str, Value], now: float, *, wall_s: float, lineage: Lineage | None = None
    ) -> Broadcast | None:
        """The block's data, and where they come from when the block is a replica too; returns what to publish."""
        self._is_reading = False
        if not self._is_worth(data, now):
            self._counts["unchanged"] += 1
            return None
        self._data, self._tried_at = data, now
        self._sequence += 1
        link = self.link
        metadata = Metadata(
            origin=lineage.origin if lineage else link.key,
            hops=lineage.hops if lineage else 0,
            epoch=self._epoch,
            sequence=self._sequence,
            interval_s=link.heard_every_s,
            sent_s=round(wall_s, 3),
        )
        return Broadcast(data, metadata)

    def on_read_failed(self, words: str, hint: str = "") -> None:
        """The block couldn't be read: nothing is published, so its replicas get stale."""
        self._is_reading = False
        self._fail("read", words, hint)

    def on_source_stale(self, key: str) -> None:
        """The block follows ``key``, which is stale: nothing is published, or an old value would be fresh elsewhere."""
        self._is_reading = False
        words = f"nothing is broadcast, because the block follows {key}, which is stale"
        self._fail(
            "stale", words, f"look whether the service behind {key} runs, give that link a fallback, or remove it"
        )

    def on_published(self, now: float) -> None:
        """The broker has taken the last message."""
        self._published_at = now
        self._counts["published"] += 1
        self._last_error = self._hint = ""

    def on_publish_failed(self, words: str, hint: str = "") -> None:
        """The broker hasn't; what is read next goes in its place, nothing old."""
        self._data = None  # it must be said again, though it doesn't change
        self._fail("publish", words, hint)

    @property
    def data(self) -> Mapping[str, Value] | None:
        """What was read last; None: nothing yet, or it has to be said again."""
        return self._data

    def goodbye(self, *, wall_s: float) -> Broadcast | None:
        """What to publish when the service ends: the last data once more, so that old peers see nothing new."""
        if self._data is None:
            return None
        self._sequence += 1
        metadata = Metadata(
            origin=self.link.key,
            epoch=self._epoch,
            sequence=self._sequence,
            sent_s=round(wall_s, 3),
            state="goodbye",
        )
        return Broadcast(self._data, metadata)

    def status(self, now: float) -> PrimaryStatus:
        """How it is doing."""
        health: Health = "failing" if self._last_error else "waiting" if self._published_at is None else "ok"
        return PrimaryStatus(
            service=self.link.service,
            id=self.link.id,
            key=self.link.key,
            health=health,
            published=self._counts["published"],
            unchanged=self._counts["unchanged"],
            failed=self._failed.copy(),
            age_s=None if self._published_at is None else now - self._published_at,
            last_error=self._last_error,
            hint=self._hint,
        )

    def _is_worth(self, data: Mapping[str, Value], now: float) -> bool:
        link = self.link
        if self._tried_at is None or self._data is None:
            return self._tried_at is None or now - self._tried_at >= link.shortest_s
        age_s = now - self._tried_at
        if age_s < link.shortest_s:
            return False
        is_due = age_s >= link.longest_s - link.interval_s / 2  # the reading nearest to it
        return link.publish == "always" or is_due or not is_near(data, self._data, link.deadband)

    def _fail(self, what: str, words: str, hint: str) -> None:
        self._failed.add(what)
        self._last_error, self._hint = words, hint


def is_near(one: Value, other: Value, deadband: float) -> bool:
    """Whether two values are the same but for numbers that differ by no more than ``deadband``."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_near(one[name], other[name], deadband) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(is_near(*pair, deadband) for pair in zip(one, other, strict=True))
    if _is_number(one) and _is_number(other):
        return abs(one - other) <= deadband
    return type(one) is type(other) and one == other


def _is_number(value: Value) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
