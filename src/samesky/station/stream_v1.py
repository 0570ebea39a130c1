"""Following a version 1 primary, which streams without flow control and never says where its stream ends.

A broker may drop any part of such a stream, so a hole in it proves nothing, and the position may not pass it. Three
things prove that nothing lies between two records: the second is the first one to arrive after a request made in
silence (a broker's queue is empty then); they are one archive interval apart; or several streams have shown the same
hole, many if one of them was ever caught losing a record. At the first hole that isn't proven nothing more is stored;
when the stream has fallen silent, the rest is asked for again.
"""

from .messages import RecordMessage

QUIET_S = 10.0
UNANSWERED_S = 30.0
CHECK_INTERVAL_S = 3600.0
MAX_HOLES = 100_000
# A lost record leaves a hole of at least two intervals; hardware clocks wander by less than half of one.
TOLERANCE = 1.5
WITNESSES = 3
WITNESSES_IN_DOUBT = 12
# More holes than one in so many records look like losses rather than like a station that was off.
RECORDS_A_HOLE = 50


class StreamV1:
    """Decides which records continue the position; ``answered``: a stream is under way already, perhaps an old one."""

    def __init__(self, position: int, *, answered: bool, now: float) -> None:
        self.taken = position
        self._streaming = answered
        self._first = answered and not position
        self._blocked = False
        self._missed = False
        self._previous = position
        self._seen = position
        self._heard = answered
        self._silences = 0
        self._holes: dict[int, tuple[int, int]] = {}
        """Time before the hole -> time after it, and how many streams have shown it."""
        self._records = 0
        self._doubt = False
        self._deadline = now + (QUIET_S if answered else 0.0)

    @property
    def streaming(self) -> bool:
        """Whether records of a stream are still expected."""
        return self._streaming

    def next_time(self) -> float:
        """When `on_tick` has something to do."""
        return self._deadline

    def on_record(self, message: RecordMessage, now: float) -> tuple[bool, bool]:
        """A record came: whether to insert it, and whether to publish a request from ``taken``."""
        self._seen = max(self._seen, int(message.record["dateTime"]))
        return self._on_live(message, now) if message.live else (self._on_streamed(message, now), False)

    def on_tick(self, now: float) -> bool:
        """The deadline has passed: whether to publish a request from ``taken``."""
        if self._streaming and not (self._blocked or self._missed or self._seen > self.taken):
            self._streaming = False
            self._deadline = now + CHECK_INTERVAL_S
            return False
        return self._ask(now)

    def _ask(self, now: float) -> bool:
        """A request is published; where nobody answers it although records are missing, the next one comes later."""
        silent = self._streaming and not self._heard
        self._silences = self._silences + 1 if silent else 0
        self._streaming, self._first, self._heard = True, True, False
        self._blocked, self._missed = False, False
        self._previous = self.taken
        self._deadline = now + min(UNANSWERED_S * 2.0**self._silences, CHECK_INTERVAL_S)
        return True

    def _on_streamed(self, message: RecordMessage, now: float) -> bool:
        timestamp = int(message.record["dateTime"])
        shown = self._note_hole(message, timestamp) if timestamp > self._previous else 0
        proven = _is_next(message, self.taken) or (self._previous == self.taken and shown >= self._witnesses)
        self._first, self._heard, self._previous = False, True, timestamp
        self._streaming, self._deadline = True, now + QUIET_S
        if timestamp <= self.taken:
            return True
        if self._blocked or not proven:
            self._blocked = True
            return False
        self.taken = timestamp
        return True

    @property
    def _witnesses(self) -> int:
        many = len(self._holes) * RECORDS_A_HOLE > self._records + RECORDS_A_HOLE
        return WITNESSES_IN_DOUBT if self._doubt or many else WITNESSES

    def _note_hole(self, message: RecordMessage, timestamp: int) -> int:
        """How many streams have shown that ``timestamp`` comes right after the record before it in this one."""
        self._records += 1
        known, shown = self._holes.get(self._previous, (timestamp, 0))
        if known != timestamp:
            self._doubt = True  # one of the streams has lost a record here
        if known < timestamp:
            return 0
        if known > timestamp:
            shown = 0
        if _is_next(message, self._previous):
            self._holes.pop(self._previous, None)
            return 0
        if len(self._holes) < MAX_HOLES:
            self._holes[self._previous] = (timestamp, shown + 1)
        return WITNESSES_IN_DOUBT if self._first else shown + 1

    def _on_live(self, message: RecordMessage, now: float) -> tuple[bool, bool]:
        timestamp = int(message.record["dateTime"])
        if timestamp <= self.taken:
            return True, False
        if self._streaming:
            self._missed = True
            return False, False
        if _is_next(message, self.taken):
            self.taken = timestamp
            return True, False
        return False, self._ask(now)


def _is_next(message: RecordMessage, previous: int) -> bool:
    """Whether the record is at most one archive interval after ``previous``."""
    minutes = message.record.get("interval")
    if not isinstance(minutes, int | float) or minutes <= 0:
        return False
    return int(message.record["dateTime"]) - minutes * 60 * TOLERANCE < previous
