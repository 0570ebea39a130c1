"""What a replica does with the messages under its key: what is written to its block, and when nothing is. Pure.

`ReplicaBrain` is given messages and says what to do next: read its own block, write this to it. One such step is under
way at a time, and meanwhile only the newest message waits: whatever was superseded is never written. All times are
seconds of one monotonic clock, but for ``wall_s``, which is Unix time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ..core.status import Counters
from .envelope import BlockMessage
from .freshness import Freshness, Lateness
from .links import ReplicaLink
from .loops import EchoWatch, Lineage, find_loop
from .ordering import Ordering
from .paths import Blocked, Value, put
from .status import Health, ReplicaStatus
from .translate import HeldBack, copy, translate

RETRY_S = 5.0
PAUSE_S = 600.0
HINTS = {
    "null": 'the sensor gives no value; to have nulls written register the link with "nulls": "write", or "skip"',
    "blocked": "compare the target path with the block's data (samesky blocks preview), and register the link anew",
    "unfit": "compare the transform with the primary's data (samesky blocks preview), and register the link anew",
    "conflict": "two services of one name broadcast under this key: rename one",
    "circle": "two blocks follow each other: remove one of the links; this one is tried again in ten minutes",
    "loop": "this block is where the data come from: remove one of the links in the circle",
}


@dataclass(frozen=True, slots=True)
class ReadOwn:
    """The replica's block is to be read; answer with `ReplicaBrain.on_own` or `on_failed`."""


@dataclass(frozen=True, slots=True)
class Write:
    """``data`` are to be written to the block; answer with `ReplicaBrain.on_written` or `on_failed`."""

    data: Mapping[str, Value]
    is_fallback: bool = False


Step = ReadOwn | Write
Taken = Literal["taken", "dropped"]


class _Pending(NamedTuple):
    message: BlockMessage
    came_at: float


class ReplicaBrain:
    """Decides for ``link``. ``echo_interval_s``: the interval at which the same block is broadcast, if it is."""

    def __init__(self, link: ReplicaLink, *, echo_interval_s: float | None = None) -> None:
        self.link = link
        self.lineage: Lineage | None = None
        """Where the block's data come from; for its primary, if it is one too."""
        self.echoes = EchoWatch()
        """Told by its primary what was published."""
        self.echo_interval_s = echo_interval_s
        self._ordering = Ordering()
        self._freshness = Freshness(link.ttl_s)
        self._lateness = Lateness()
        self._pending: _Pending | None = None
        self._working: _Pending | None = None
        self._is_busy = False
        self._not_before = 0.0
        self._settled: tuple[Mapping[str, Value], Mapping[str, Value] | None] | None = None
        """What was written last, and what the controller made of it."""
        self._writing: Write | None = None
        self._has_fallen_back = False
        self._paused_until = 0.0
        self._counts = {"received": 0, "written": 0, "unchanged": 0}
        self._dropped = Counters()
        self._lag_s: float | None = None
        self._last_error = self._hint = ""

    @property
    def has_message(self) -> bool:
        """Whether a message is still to be dealt with."""
        return self._pending is not None or self._working is not None

    def is_stale(self, now: float) -> bool:
        """Whether what stands in the block came from elsewhere, and may be true no longer; a fallback is true."""
        return not self._has_fallen_back and self._freshness.state(now) == "stale"

    # ------------------------------------------------------------------ messages

    def on_message(self, message: BlockMessage, now: float, *, wall_s: float) -> Taken:
        """A message came. One that is ``dropped`` is done with; else ask for the `next_step`."""
        self._counts["received"] += 1
        reason = self._find_fault(message, now, wall_s)
        if reason:
            self._drop(reason)
            return "dropped"
        if self._pending is not None:
            self._dropped.add("superseded")
        self._pending = _Pending(message, now)
        return "taken"

    def on_refused(self, reason: str, words: str) -> None:
        """Something came under the key that is no message (`Refused`)."""
        self._counts["received"] += 1
        self._dropped.add(reason)
        self._last_error, self._hint = words, "the sender is to be mended; nothing was written"

    def on_gone(self, now: float) -> None:
        """Whoever had sent the last message has died: its value is stale."""
        self._freshness.note_end(now)

    def _find_fault(self, message: BlockMessage, now: float, wall_s: float) -> str:
        """Why a message is worth nothing, in a word."""
        if now < self._paused_until:
            return "paused"
        loop = find_loop(f"{self.link.service}.{self.link.id}", message.metadata)
        if loop:
            return "loop"
        place = self._ordering.take(message)
        if place != "new":
            return place
        metadata = message.metadata
        if metadata is not None and metadata.state == "goodbye":
            self._freshness.note_end(now)
            return "goodbye"
        if message.retained:
            # It may be years old. It is written only where nothing was ever written, and makes nothing fresh.
            return "" if self._freshness.came_at is None and self._settled is None else "retained"
        self._freshness.note_heard(now, metadata.interval_s if metadata is not None else None)
        if metadata is not None and metadata.sent_s is not None:
            late_s = self._lateness.add(metadata.sent_s, wall_s)
            if late_s > self._freshness.lasts_s:
                return "late"
        return ""

    # ------------------------------------------------------------------ steps

    def next_step(self, now: float) -> Step | None:
        """What to do now; None when there is nothing, or one step is still under way."""
        if self._is_busy or now < self._not_before:
            return None
        if self._pending is not None:
            self._working, self._pending = self._pending, None
            if self._is_too_late(now):
                return self.next_step(now)
        elif self._working is None and not self._wants_fallback(now):
            return None
        self._is_busy = True
        return ReadOwn()

    def next_time(self) -> float | None:
        """When `next_step` may have something though no message comes."""
        if self._is_busy:
            return None
        times = [self._not_before] if self.has_message else []
        stale_at = self._freshness.stale_at()
        if self.link.fallback and not self._has_fallen_back and stale_at is not None:
            times.append(max(stale_at, self._not_before))
        return min(times, default=None)

    def on_own(self, own: Mapping[str, Value], now: float) -> Write | None:
        """The block's data are ``own``; returns what to write, None when nothing is."""
        if self._pending is not None:  # something newer came meanwhile
            if self._working is not None:
                self._dropped.add("superseded")
            self._working, self._pending = self._pending, None
        if self._working is not None:
            write = None if self._is_too_late(now) else self._plan_write(own, now)
        else:
            write = self._plan_fallback(own, now)
        self._writing = write
        self._is_busy = write is not None
        return write

    def on_written(self, stored: Mapping[str, Value] | None, now: float) -> None:
        """The data were written; ``stored`` is what the controller made of them, where it tells."""
        write, self._writing, self._is_busy = self._writing, None, False
        assert write is not None
        self._settled = write.data, stored
        self._counts["written"] += 1
        if write.is_fallback:
            self._has_fallen_back = True
            return
        self._finish(now)

    def on_failed(self, words: str, now: float, hint: str = "") -> None:
        """The block couldn't be read or written: it is tried again in a moment, unless something newer comes."""
        self._writing, self._is_busy = None, False
        self._not_before = now + RETRY_S
        self._dropped.add("controller")
        self._last_error, self._hint = words, hint
        if self._pending is None:
            self._pending = self._working
        self._working = None

    def _is_too_late(self, now: float) -> bool:
        """Whether the controller was slow, or away, for so long that the message is worth nothing; then it is gone."""
        assert self._working is not None
        if self._working.message.retained or now - self._working.came_at <= self._freshness.lasts_s:
            return False
        self._working = None
        self._drop("late")
        return True

    def _plan_write(self, own: Mapping[str, Value], now: float) -> Write | None:
        assert self._working is not None
        wanted = translate(self.link.translation, self._working.message.data, own)
        if isinstance(wanted, HeldBack):
            self._working = None
            self._drop(wanted.reason, wanted.words)
            return None
        if wanted == own or self._settled == (wanted, own):
            self._counts["unchanged"] += 1
            self._finish(now)
            return None
        if self._is_circle(own, wanted, now):
            self._working = None
            self._paused_until = now + PAUSE_S
            self.echoes.forget()
            self._drop("circle")
            return None
        return Write(wanted)

    def _is_circle(self, own: Mapping[str, Value], wanted: Mapping[str, Value], now: float) -> bool:
        assert self._working is not None
        if self.echo_interval_s is None or self._working.message.metadata is not None:
            return False
        return self.echoes.is_circle(own, wanted, now, self.echo_interval_s)

    def _wants_fallback(self, now: float) -> bool:
        return bool(self.link.fallback) and not self._has_fallen_back and self._freshness.state(now) == "stale"

    def _plan_fallback(self, own: Mapping[str, Value], now: float) -> Write | None:
        if not self._wants_fallback(now):
            return None
        data = copy(own)
        assert isinstance(data, dict)
        try:
            for path, value in self.link.fallback.items():
                put(data, path, copy(value))
        except Blocked as error:
            self._has_fallen_back = True
            self._drop("blocked", f"the fallback can't be written: {error}")
            return None
        if data == own:
            self._has_fallen_back = True
            return None
        return Write(data, is_fallback=True)

    def _finish(self, now: float) -> None:
        """The block is as the message says."""
        assert self._working is not None
        message, came_at = self._working
        self._working = None
        self._last_error = self._hint = ""
        if not message.retained:
            self._freshness.note_value(came_at)
            self._has_fallen_back = False
        self._lag_s = now - came_at
        metadata = message.metadata
        self.lineage = Lineage(metadata.origin, metadata.hops + 1) if metadata else Lineage(message.key, 1)

    # ------------------------------------------------------------------ how it goes

    def status(self, now: float) -> ReplicaStatus:
        """How it is doing."""
        freshness = self._freshness.state(now)
        health: Health = "ok" if freshness == "fresh" else "waiting" if freshness == "never" else "failing"
        if self._last_error:
            health = "failing"
        if now < self._paused_until:
            health = "paused"
        came_at = self._freshness.came_at
        last_error, hint = self._last_error, self._hint
        if freshness == "stale" and not last_error:
            last_error, hint = self._freshness.describe_end(), f"look whether the service behind {self.link.key} runs"
        return ReplicaStatus(
            service=self.link.service,
            id=self.link.id,
            key=self.link.key,
            health=health,
            freshness=freshness,
            received=self._counts["received"],
            written=self._counts["written"],
            unchanged=self._counts["unchanged"],
            dropped=self._dropped.copy(),
            age_s=None if came_at is None else now - came_at,
            lag_s=self._lag_s,
            last_error=last_error,
            hint=hint,
        )

    def _drop(self, reason: str, words: str = "") -> None:
        self._dropped.add(reason)
        if reason in HINTS:
            self._last_error, self._hint = words or _WORDS[reason], HINTS[reason]


_WORDS = {
    "conflict": "two messages of one number have other data",
    "circle": "what this block's service broadcasts comes back again and again",
    "loop": "a message came back to the block that its data are from",
}
"""What is said of messages that were dropped, where nobody has said more."""
