"""The requester's brain for one stream: what to ask, what to store, when to worry. It reads and sends nothing.

Each ``on_…`` method takes an event and the time and returns actions, in the order in which they are to be done:
`Ask`, `Prepare`, `Store`, `Insert`, `PutSummary`. The thread around it (`following`) does them and reports back with
`on_prepared`, `on_stored` or `on_failed`.

``taken`` is the position up to which every record has been handed over for storing, without a hole before it. A page
continues it exactly; a live record continues it when the primary says that nothing lies between (version 2), and what
doesn't continue it is asked for by page instead of being stored. So the newest record in the copy's table is always
the contiguous position, and nothing else has to be remembered across a restart.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..core.backoff import Backoff
from ..core.status import Counters
from ..core.strict import MAX_PAYLOAD_BYTES, Reason
from ..link.message import Message
from .check_messages import CheckAnswer
from .description import Description
from .messages import DescriptionAnswer, ErrorAnswer, Incoming, LoopMessage, PageAnswer, RecordMessage, SummaryMessage
from .requests import COLUMNS_TYPE, Request, encode_request
from .stream_v1 import StreamV1

FIRST_TIMEOUT_S = 5.0
LONGEST_TIMEOUT_S = 60.0
HEARD_AGAIN_S = 0.5
"""A primary that speaks so long after it was asked who it is hasn't heard the question."""
FEWEST_PAGE_BYTES = 16 << 10
LONGEST_RETRY_AFTER_S = 600
CHECK_INTERVAL_S = 600.0
# After a failure at the copy: at once, then every few seconds, with small pages, so that room on a disk is found soon.
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
Phase = Literal["disconnected", "describing", "catching-up", "live", "version-1", "stopped"]


@dataclass(frozen=True, slots=True)
class Ask:
    """Publish this request."""

    message: Message


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the copy ready for a primary of this description."""

    description: Description
    from_copy: bool = False
    """Whether a copy said it for its primary: it may have fewer records."""


@dataclass(frozen=True, slots=True)
class Store:
    """Store this page."""

    page: PageAnswer


@dataclass(frozen=True, slots=True)
class Insert:
    """Insert this record if it is absent."""

    record: RecordMessage


@dataclass(frozen=True, slots=True)
class PutSummary:
    """Put these daily summary rows in place once the copy's newest record is theirs."""

    summary: SummaryMessage


Action = Ask | Prepare | Store | Insert | PutSummary


@dataclass(frozen=True, slots=True)
class Asking:
    """Where and how to ask."""

    reply_to: str
    request_topics: tuple[str, ...]
    """The instance's (seed 000), then the plain one (seed 001): tried in turn while nobody answers."""
    qos: int = 1
    protocol: int = 2


class Requester:
    """Decides for one stream. ``random`` gives numbers from 0 to 1."""

    def __init__(self, stream: str, position: int, *, asking: Asking, random: Callable[[], float]) -> None:
        self.stream = stream
        self.taken = position
        self.newest: int | None = None
        self.phase: Phase = "disconnected"
        self.trouble: str | None = None
        self.counts = Counters()
        self.origin: str | None = None
        self.accepts: tuple[str, ...] = (COLUMNS_TYPE,)
        self.summaries = True
        self._asking = asking
        self._random = random
        self._backoff = Backoff(FIRST_PAUSE_S, LONGEST_PAUSE_S, random=random)
        self._failed_at: int | None = None
        self._told_busy = False
        self._numbers = itertools.count(1)
        self._waiting: Request | None = None
        self._recent: deque[bytes] = deque(maxlen=8)
        self._deadline = 0.0
        self._asked_at = 0.0
        self._attempts = 0
        self._page_bytes = MAX_PAYLOAD_BYTES
        self._promised = 0
        self._v1: StreamV1 | None = None
        self._heard_v1 = False
        """Whether a stream has come since the last request."""

    # ------------------------------------------------------------------ the connection

    def on_connected(self, now: float) -> list[Action]:
        """The link is up and subscribed: find out what the primary has."""
        if self.phase == "stopped":
            return []
        self._attempts = 0
        return self._describe(now)

    def on_disconnected(self) -> None:
        """The link is down: what was asked won't be answered."""
        if self.phase != "stopped":
            self.phase = "disconnected"
        self._waiting = None

    def on_tick(self, now: float) -> list[Action]:
        """Time has passed; call it at `next_time` at the latest."""
        if now < self.next_time():
            return []
        if self._v1 is not None:
            return self._asked_v1(self._v1.on_tick(now))
        if self._waiting is None:
            return self._ask("page", now)
        return self._ask_again(now)

    def next_time(self) -> float:
        """When `on_tick` has something to do; never while stopped or disconnected."""
        if self.phase in ("disconnected", "stopped"):
            return math.inf
        return self._v1.next_time() if self._v1 is not None else self._deadline

    # ------------------------------------------------------------------ messages

    def on_message(self, message: Incoming, now: float) -> list[Action]:
        """A decoded message of this stream."""
        match message:
            case _ if self.phase in ("stopped", "disconnected"):
                return []
            case DescriptionAnswer():
                return self._on_description(message, now)
            case PageAnswer():
                return self._on_page(message, now)
            case ErrorAnswer():
                return self._on_error(message, now)
            case RecordMessage(previous=None):
                return self._on_record_v1(message, now)
            case RecordMessage():
                return self._on_live(message, now)
            case SummaryMessage():
                return self._on_summary(message, now)
            case CheckAnswer() | LoopMessage():
                return []  # the checker's, the driver's

    def on_prepared(
        self, description: Description, *, position: int, accepts: tuple[str, ...], summaries: bool, now: float
    ) -> list[Action]:
        """The copy is ready for that primary: its position, the content types it takes, whether it takes summaries."""
        self.origin = description.origin
        self.taken, self.newest = position, description.last
        self.accepts, self.summaries = accepts, summaries
        self.trouble = None
        self.phase = "catching-up"
        return self._ask("page", now)

    def on_failed(self, position: int, reason: str, now: float) -> None:
        """Storing failed and left the copy at ``position``: ask again from there after a pause."""
        self.taken, self.trouble = position, reason
        if self.phase == "stopped":
            return
        self._waiting, self._v1 = None, None
        self.phase = "describing"
        self._failed_at, self._page_bytes = position, FEWEST_PAGE_BYTES
        self._deadline = now + self._backoff.next_s()

    def on_doubt(self, now: float) -> list[Action]:
        """What comes live may be older than the primary: ask it who it is now."""
        return self._describe(now) if self.phase in ("live", "catching-up") else []

    def stop(self, reason: str) -> None:
        """Do nothing more until a person has decided."""
        self.trouble, self.phase = reason, "stopped"  # who sees from another thread that it stopped wants to know why
        self._waiting = None

    def resume(self) -> None:
        """A person has decided: go on with the next connection."""
        if self.phase == "stopped":
            self.phase, self.trouble = "disconnected", None

    # ------------------------------------------------------------------ version 2

    def _on_description(self, answer: DescriptionAnswer, now: float) -> list[Action]:
        if not self._is_awaited(answer.correlation, "describe"):
            return []
        self._answered(now)
        return [Prepare(answer.description, answer.stand_in is not None)]

    def _on_page(self, page: PageAnswer, now: float) -> list[Action]:
        if not self._is_awaited(page.correlation, "page"):
            return []
        self._answered(now)
        if page.origin != self.origin:
            return self._describe(now)
        self.newest = page.newest
        continues = page.after == self.taken  # else live records have overtaken the check
        self._note_progress(page.after)
        self.taken = max(self.taken, page.last) if continues else self.taken
        store: list[Action] = [Store(page)] if continues else []
        if (page.newest > self.taken and (page.count or not continues)) or self._promised > self.taken:
            self._promised = 0
            self.phase = "catching-up"
            return [*self._ask("page", now), *store]
        self.phase = "live"
        self._rest(now)
        return store

    def _on_error(self, error: ErrorAnswer, now: float) -> list[Action]:
        if not self._is_awaited(error.correlation, None):
            return []
        pause_s = max(1.0, min(error.retry_after_s, LONGEST_RETRY_AFTER_S)) * (0.5 + self._random())
        if error.code == "busy":
            self._told_busy = True  # it may still answer the question that it has already
        else:
            pause_s = max(pause_s, self._timeout_s())
            self._attempts += 1
            self._waiting = None
            self.trouble = f"the primary answers {error.code!r} for {self.stream}"
        self._deadline = now + pause_s
        return []

    def _on_live(self, message: RecordMessage, now: float) -> list[Action]:
        timestamp, previous = int(message.record["dateTime"]), message.previous or 0
        if self.phase == "describing":
            return self._ask_who_speaks(now)
        if message.origin != self.origin or self._v1 is not None:
            return self._describe(now)
        self.newest = max(self.newest or 0, timestamp)
        if timestamp <= self.taken:
            return [Insert(message)]
        if self.phase == "live" and previous <= self.taken:
            self.taken = timestamp
            if self._waiting is None:
                self._rest(now)
            return [Insert(message)]
        # A page read before this record was archived won't bring it: remember to ask once more.
        self._promised = max(self._promised, timestamp)
        self.phase = "catching-up"
        return self._ask("page", now) if self._waiting is None else []

    def _ask_who_speaks(self, now: float) -> list[Action]:
        """The primary is there, but the question was sent before it was: ask it again now, not when time is out."""
        if self._waiting is None or self._told_busy or now - self._asked_at < HEARD_AGAIN_S:
            return []
        return self._ask("describe", now)

    def _on_summary(self, message: SummaryMessage, now: float) -> list[Action]:
        if self.phase == "describing":
            return self._ask_who_speaks(now)
        if message.origin != self.origin:
            return []
        asks: list[Action] = []
        if self.phase == "live" and message.through > self.taken:
            # The live record that the summary includes was lost; nothing else would tell before the next one.
            self._promised = max(self._promised, message.through)
            self.phase = "catching-up"
            asks = self._ask("page", now) if self._waiting is None else []
        return [*asks, PutSummary(message)] if self.summaries else asks

    # ------------------------------------------------------------------ version 1

    def _on_record_v1(self, message: RecordMessage, now: float) -> list[Action]:
        if self.phase in ("live", "catching-up"):
            self.counts.add(Reason.UNINVITED)
            return []
        if self._v1 is None:
            self._v1 = StreamV1(self.taken, answered=not message.live, now=now)
            self.phase = "version-1"
            self._waiting = None
            self.trouble = None
        self._heard_v1 = self._heard_v1 or not message.live
        stores, request = self._v1.on_record(message, now)
        self.taken = self._v1.taken
        self.newest = max(self.newest or 0, int(message.record["dateTime"]))
        actions: list[Action] = [Insert(message)] if stores else []
        return actions + self._asked_v1(request)

    def _asked_v1(self, request: bool) -> list[Action]:
        if not request:
            return []
        if not self._heard_v1:
            self._attempts += 1  # a topic on which nobody has answered isn't asked twice running
        self._heard_v1 = False
        return [Ask(encode_request(self._request("page", 1), self._topic(), qos=self._asking.qos))]

    # ------------------------------------------------------------------ asking

    def _describe(self, now: float) -> list[Action]:
        self.phase, self._v1, self._heard_v1 = "describing", None, False
        return self._ask("describe", now)

    def _ask(self, op: str, now: float) -> list[Action]:
        op = "describe" if self.phase == "describing" else op
        request = self._request(op, self._asking.protocol)
        self._waiting, self._told_busy = request, False
        self._asked_at = now
        self._deadline = now + self._timeout_s()
        self._recent.append(request.correlation or b"")
        return [Ask(encode_request(request, self._topic(), qos=self._asking.qos))]

    def _ask_again(self, now: float) -> list[Action]:
        """Nobody has answered in time: ask for less, wait longer, try the other topic; after a while start over."""
        assert self._waiting is not None
        op = self._waiting.op
        if self._told_busy:
            return self._ask(op, now)
        self._attempts += 1
        self.counts.add("timeout")
        self._page_bytes = max(FEWEST_PAGE_BYTES, self._page_bytes // 4)
        if op == "page" and self._attempts >= 4:
            return self._describe(now)
        if self._attempts >= 3:
            self.trouble = (
                f"nobody answers for {self.stream}: does the primary run, and may it answer to {self._asking.reply_to}?"
            )
        return self._ask(op, now)

    def _timeout_s(self) -> float:
        longest = FIRST_TIMEOUT_S * 2.0 ** min(self._attempts, 4)
        return min(longest, LONGEST_TIMEOUT_S) * (0.8 + 0.4 * self._random())

    def _request(self, op: str, version: int) -> Request:
        correlation = f"{self.stream[-24:]}#{next(self._numbers)}.{int(self._random() * 2**53):x}".encode()
        return Request(
            stream=self.stream,
            after=self.taken,
            reply_to=self._asking.reply_to,
            correlation=correlation if version >= 2 else None,
            version=version,
            op=op,
            accepts=self.accepts,
            max_bytes=self._page_bytes,
            summaries=self.summaries,
        )

    def _topic(self) -> str:
        """The instance's topic; while nobody answers, each of the topics in turn."""
        topics = self._asking.request_topics
        return topics[self._attempts % len(topics)]

    def _is_awaited(self, correlation: bytes, op: str | None) -> bool:
        """Whether this answers a question of ours that is still open; late answers to its earlier tries count too."""
        if self._waiting is None or correlation not in self._recent or (op and self._waiting.op != op):
            self.counts.add(Reason.UNCORRELATED)
            return False
        return True

    def _answered(self, now: float) -> None:
        took_s = now - self._asked_at
        self._waiting, self._attempts, self.trouble = None, 0, None
        self._recent.clear()
        if took_s < FIRST_TIMEOUT_S / 4:
            self._page_bytes = min(MAX_PAYLOAD_BYTES, self._page_bytes * 2)

    def _note_progress(self, after: int) -> None:
        """A page that is asked for says that what was before it has been stored."""
        if self._failed_at is not None and after > self._failed_at:
            self._failed_at = None
            self._backoff.reset()

    @property
    def caught_up(self) -> bool:
        """Whether nothing is known to be missing here."""
        return self.phase == "live" or (self._v1 is not None and not self._v1.streaming)

    def _rest(self, now: float) -> None:
        """Nothing is open: look again after a long while, each follower at a time of its own."""
        self._deadline = now + CHECK_INTERVAL_S * (0.75 + 0.5 * self._random())
