"""One connection to a web server, with several requests on their way at once (RFC 9112, 9.3.2: pipelining).

Answers come in the order of the questions, so a line of exchanges is all the state there is. No task and no timer
belongs to a request: the transport calls, and `HttpClient` looks at the clock a few times a second (``check_time``).
"""

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from typing import Protocol, cast

from ..core.strict import Reason, Refused
from .http1 import END, Event, Head, ResponseReader
from .http_exchange import Exchange, FailureKind, HttpFailure

log = logging.getLogger(__name__)

READ_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a server may take. All are watched a few times a second, so they may end that much later."""

    connect_s: float = 10.0
    """To be connected, TLS included, for each of its addresses."""
    first_byte_s: float = 30.0
    """For the whole head of an answer, from when the answer before it ended."""
    stall_s: float = 20.0
    """Without a byte, within an answer."""
    rate_window_s: float = 10.0
    least_rate: float = 1024.0
    """Bytes a second, over each ``rate_window_s`` of an answer's body."""
    total_s: float = 3600.0
    """For one answer."""
    idle_s: float = 15.0
    """A connection without requests is closed after so long: before most servers do it."""

    @property
    def shortest_s(self) -> float:
        """The one that has to be watched most often."""
        return min(self.first_byte_s, self.stall_s, self.rate_window_s, self.total_s, self.idle_s)


class Owner(Protocol):
    """Who has connections, and is told what becomes of them."""

    timeouts: Timeouts

    def on_answer(self, connection: "Connection", exchange: Exchange) -> None:
        """``exchange`` has its answer, good or bad."""

    def on_room(self, connection: "Connection") -> None:
        """Answers came; the connection may take further requests (unless ``usable`` is False)."""

    def on_lost(self, connection: "Connection", unanswered: list[Exchange], *, ours: bool) -> None:
        """The connection is over, by our own doing or the server's."""


class Connection(asyncio.BufferedProtocol):
    """The protocol of one transport. ``line`` are the exchanges whose answers haven't ended, the current one first."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._reader = ResponseReader()
        self._buffer = bytearray(READ_BYTES)
        self._view = memoryview(self._buffer)
        self._transport: asyncio.Transport | None = None
        self._over = False
        self._head_came = False
        self._since = self._latest = self._window_since = time.monotonic()
        self._window_bytes = 0
        self.line: deque[Exchange] = deque()
        self.line_bytes = 0
        """The most that the answers in ``line`` may bring."""
        self.answered = 0
        self.usable = False
        """Whether it takes requests: connected, and the server hasn't announced its end."""

    def send(self, exchanges: list[Exchange], requests: bytes) -> None:
        """Ask for ``exchanges``, whose ``requests`` are encoded, one behind the other."""
        assert self._transport is not None
        if not self.line:
            self._latest = time.monotonic()
            self._begin_answer()
        self.line.extend(exchanges)
        for exchange in exchanges:
            self.line_bytes += exchange.most_bytes
        self._transport.write(requests)

    def check_time(self) -> None:
        """Give up an answer that takes too long, close when idle for long."""
        now, timeouts = time.monotonic(), self._owner.timeouts
        if not self.line:
            if self.usable and now - self._latest > timeouts.idle_s:
                self.close()
            return
        words = ""
        if not self._head_came and now - self._since > timeouts.first_byte_s:
            words = f"no answer within {timeouts.first_byte_s:g} s"
        elif self._head_came and now - self._latest > timeouts.stall_s:
            words = f"nothing came for {timeouts.stall_s:g} s"
        elif now - self._since > timeouts.total_s:
            words = f"not done within {timeouts.total_s:g} s"
        elif now - self._window_since >= timeouts.rate_window_s:
            if self._head_came and self._window_bytes < timeouts.least_rate * (now - self._window_since):
                words = f"less than {timeouts.least_rate:g} bytes a second"
            self._window_since, self._window_bytes = now, 0
        if words:
            self.abandon("slow", words, retry=True)

    def abandon(self, kind: FailureKind, words: str, *, retry: bool) -> None:
        """Fail the current exchange, unless something is known of it already, and end the connection."""
        exchange = self.line.popleft()
        if exchange.failure is None and not exchange.location:
            exchange.failure = HttpFailure(kind, words, retry)
        self.close(ours=kind == "size")
        self._owner.on_answer(self, exchange)

    def close(self, *, ours: bool = True) -> None:
        """End the connection; what is unanswered goes back to the owner."""
        if self._over:
            return
        self._over, self.usable = True, False
        if self._transport is not None:  # soon: asyncio's TLS mustn't be aborted from within what it calls
            asyncio.get_running_loop().call_soon(self._transport.abort)
        unanswered = list(self.line)
        self.line.clear()
        self._owner.on_lost(self, unanswered, ours=ours)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast(asyncio.Transport, transport)
        self._latest = time.monotonic()
        self.usable = True

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio: where received bytes go."""
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio: so many bytes came."""
        if self._over:
            return
        self._latest = time.monotonic()
        self._window_bytes += nbytes
        try:
            if not self.line:
                raise Refused(Reason.SHAPE, "an answer that nobody asked for")
            self._reader.feed(bytes(self._view[:nbytes]))
            self._take_events()
        except Refused as refusal:
            self._give_up("protocol", str(refusal))
        if not self._over:
            self._owner.on_room(self)

    def eof_received(self) -> bool:
        """Called by asyncio: the server sends no more."""
        self._take_end(None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio."""
        self._take_end(error)

    def _take_end(self, error: Exception | None) -> None:
        if self._over:
            return
        self.usable = False
        try:
            if self._head_came and error is not None:  # a reset ends nothing properly, not even a body without length
                self._give_up("cut", str(error))
            elif self._reader.feed_end() is END:
                self._end_answer()
        except Refused as refusal:
            self._give_up("cut", str(refusal))
        self.close(ours=False)

    def _give_up(self, kind: FailureKind, words: str) -> None:
        if self.line:
            self.abandon(kind, words, retry=True)
        else:
            log.debug("http_unasked words=%r", words)
            self.close(ours=False)

    def _take_events(self) -> None:
        next_event = self._reader.next_event
        while self.line and (event := next_event()) is not None:
            self._take(event, self.line[0])
        if not self._over and not self.line and not self._reader.between_answers:
            raise Refused(Reason.SHAPE, "more than was asked for")  # or it would begin the next question's answer

    def _take(self, event: Event, exchange: Exchange) -> None:
        if event is END:
            self._end_answer()
        elif isinstance(event, Head):
            self._head_came = True
            self._window_since, self._window_bytes = self._latest, 0
            self.usable = self.usable and event.keep_alive
            if not exchange.take_head(event):
                self.abandon("size", "the answer is longer than it should be", retry=False)
        elif not exchange.take_piece(event):
            self.abandon("size", "the answer is longer than it should be", retry=False)

    def _end_answer(self) -> None:
        exchange = self.line.popleft()
        self.line_bytes -= exchange.most_bytes
        self.answered += 1
        self._begin_answer()
        if not self.usable:
            self.close(ours=False)
        self._owner.on_answer(self, exchange)

    def _begin_answer(self) -> None:
        self._head_came = False
        self._since = self._window_since = time.monotonic()
        self._window_bytes = 0
