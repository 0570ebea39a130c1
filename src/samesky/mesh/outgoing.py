"""Announcements on their way from the tree's queue to the broker: each row stays until the broker has it."""

import logging

from ..link.message import Message
from .announcement import Announcement
from .paths import topic_of
from .publisher import Publisher
from .v03 import CONTENT_TYPE, InlineEncoding, encode_v03
from .waiting import Waiting, WaitingRow

log = logging.getLogger(__name__)

BATCH = 256
REFUSED_PAUSE_S = 30.0


def make_row(announcement: Announcement, *, exchange: str, encoding: InlineEncoding, now_ns: int) -> WaitingRow:
    """Return what the queue keeps of ``announcement``: all that is sent."""
    topic = topic_of(exchange, announcement.path)
    return WaitingRow(topic, encode_v03(announcement, encoding=encoding), CONTENT_TYPE, "", 0, now_ns)


class Outgoing:
    """Sends the rows of ``queue`` that are to be announced, through ``publisher``. Never waits."""

    def __init__(self, queue: Waiting, publisher: Publisher) -> None:
        self._queue = queue
        self._publisher = publisher
        self._rows: dict[int, int] = {}
        """Identity of a message under way -> its row."""
        self._has_more = True
        self._not_before = 0.0

    @property
    def done(self) -> bool:
        """Whether the broker has everything."""
        return not self._rows and not self._has_more

    def add(self, rows: list[WaitingRow]) -> None:
        """Queue ``rows``; best inside of the transaction that enters the files they tell of."""
        self._queue.to_announce(self._queue.add(rows))
        self._has_more = True

    def send(self, now: float) -> None:
        """Note what the broker has acknowledged, and hand it more as far as there is room. ``now`` is monotonic."""
        if taken := [self._rows.pop(id(each)) for each in self._publisher.collect() if id(each) in self._rows]:
            self._queue.done(taken)
        self._take_back(now)
        while self._has_more and now >= self._not_before and (room := self._publisher.room):
            rows = self._queue.next_to_announce(min(room, BATCH))
            self._has_more = bool(rows)
            if not self._publish(rows):
                return

    def _publish(self, rows: list[WaitingRow]) -> bool:
        """Hand these to the link; those that it doesn't take go back. Whether it took all."""
        for number, row in enumerate(rows):
            message = Message(row.topic, row.payload, content_type=row.content_type)
            self._rows[id(message)] = row.id
            if not self._publisher.hand_on(message):
                del self._rows[id(message)]
                self._queue.release([each.id for each in rows[number:]])
                return False
        return True

    def _take_back(self, now: float) -> None:
        """What the broker refuses stays in the queue, to be tried again: its rights may be mended."""
        refused = [self._rows.pop(id(each)) for each in self._publisher.collect_refused() if id(each) in self._rows]
        if refused:
            log.warning("announcements_refused count=%d retry_s=%.0f", len(refused), REFUSED_PAUSE_S)
            self._queue.release(refused)
            self._has_more, self._not_before = True, now + REFUSED_PAUSE_S
