"""Announcements on their way from the tree's queue to the broker: each row stays until the broker has it."""

import logging
from collections import deque

from ..link.message import Message
from .publisher import Publisher
from .waiting import Waiting, WaitingRow

log = logging.getLogger(__name__)

BATCH = 256
REFUSED_PAUSE_S = 30.0


def make_row(message: Message, now_ns: int) -> WaitingRow:
    """Return what the queue keeps of ``message``: all that is sent."""
    return WaitingRow(message.topic, message.payload, message.content_type or "", "", 0, now_ns)


class Outgoing:
    """Sends the rows of ``queue`` that are to be announced, through ``publisher``. Never waits."""

    def __init__(self, queue: Waiting, publisher: Publisher) -> None:
        self._queue = queue
        self._publisher = publisher
        self._ready: deque[WaitingRow] = deque()
        self._under_way: dict[int, WaitingRow] = {}
        """By the identity of the message."""
        self._depth = queue.depth().announce
        self._not_before = 0.0

    def __len__(self) -> int:
        """How many announcements the broker hasn't yet."""
        return self._depth

    def add(self, rows: list[WaitingRow]) -> None:
        """Queue ``rows``, inside of the transaction that enters the files they tell of; then `recount`."""
        self._queue.to_announce(self._queue.add(rows))

    def recount(self) -> None:
        """Look how much there is to send, after a transaction that queued something."""
        self._depth = self._queue.depth().announce

    def send(self, now: float) -> None:
        """Note what the broker has acknowledged, and hand it as much as it takes. ``now`` is monotonic."""
        self.note_taken()
        self._take_back(now)
        while now >= self._not_before and self._publisher.room and (self._ready or self._fetch()):
            row = self._ready[0]
            message = Message(row.topic, row.payload, content_type=row.content_type)
            self._under_way[id(message)] = row
            if not self._publisher.hand_on(message):
                del self._under_way[id(message)]
                return
            self._ready.popleft()

    def note_taken(self) -> None:
        """Remove from the queue what the broker has acknowledged."""
        taken = self._pop(self._publisher.collect())
        if taken:
            self._queue.done([row.id for row in taken])
            self._depth -= len(taken)

    def _fetch(self) -> bool:
        """Whether there is more to send."""
        if self._depth > len(self._under_way):
            self._ready.extend(self._queue.next_to_announce(BATCH))
        return bool(self._ready)

    def _take_back(self, now: float) -> None:
        """What the broker refuses stays in the queue, to be tried again: our rights there may be mended."""
        refused = self._pop(self._publisher.collect_refused())
        if refused:
            log.warning("announcements_refused count=%d retry_s=%.0f", len(refused), REFUSED_PAUSE_S)
            self._ready.extendleft(reversed(refused))
            self._not_before = now + REFUSED_PAUSE_S

    def _pop(self, messages: list[Message]) -> list[WaitingRow]:
        return [self._under_way.pop(id(each)) for each in messages if id(each) in self._under_way]
