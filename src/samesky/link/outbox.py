"""Where the application's threads leave what the network thread is to send."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from .message import LARGEST_PACKET_BYTES, Message
from .waker import Waker
from .window import Window

QOS0_MOST_MESSAGES, QOS0_MOST_BYTES = 256, 4 << 20


class Receipt(NamedTuple):
    """Which message of which connection is to be acknowledged."""

    generation: int
    mid: int


class Outbox:
    """Bounded, thread-safe. Holds the window of QoS 1, a short queue of QoS 0, and acknowledgements to send."""

    def __init__(self, window: int) -> None:
        self.waker = Waker()
        self.open = False
        """Whether messages are taken: only while connected."""
        self.max_packet_bytes = LARGEST_PACKET_BYTES
        self._changed = threading.Condition()
        self._window = Window(window)
        self._qos0: deque[Message] = deque()
        self._qos0_sizes: deque[int] = deque()
        self._receipts: deque[Receipt] = deque()
        self._network_thread: threading.Thread | None = None
        self._closed = False

    # The application's side.

    def put(self, message: Message, size_bytes: int, timeout_s: float) -> bool:
        """Take ``message``, waiting for a slot if need be; False if it was not taken."""
        with self._changed:
            if message.qos and timeout_s > 0 and not self._on_network_thread():
                self._changed.wait_for(lambda: not self.open or self._window.has_room, timeout_s)
            if not self.open or size_bytes > self.max_packet_bytes or not self._has_room(message, size_bytes):
                return False
            if message.qos:
                self._window.add(message, size_bytes)
            else:
                self._qos0.append(message)
                self._qos0_sizes.append(size_bytes)
        self._wake()
        return True

    def acknowledge(self, receipt: Receipt) -> None:
        """Have ``receipt`` sent."""
        self._receipts.append(receipt)
        self._wake()

    def drain(self, timeout_s: float) -> bool:
        """Wait until the window is empty; whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: not len(self._window) or self._closed, timeout_s)
            return not len(self._window)

    def close(self) -> None:
        """Take nothing more, and let nobody wait."""
        with self._changed:
            self._closed = True
            self.open = False
            self._changed.notify_all()
        self._wake()

    def _has_room(self, message: Message, size_bytes: int) -> bool:
        if message.qos:
            return self._window.has_room
        if not self._qos0_sizes:
            return True
        return len(self._qos0_sizes) < QOS0_MOST_MESSAGES and sum(self._qos0_sizes) + size_bytes <= QOS0_MOST_BYTES

    def _wake(self) -> None:
        if not self._on_network_thread():
            self.waker.wake()

    def _on_network_thread(self) -> bool:
        return threading.current_thread() is self._network_thread

    # The network thread's side.

    def serve_this_thread(self) -> None:
        """Say that the calling thread is the one that sends: it is never made to wait, and needs no waking."""
        self._network_thread = threading.current_thread()

    def begin(self, *, receive_maximum: int, max_packet_bytes: int) -> list[Message]:
        """A connection is ready: take messages, and send the window again. Returns what is too large for the broker."""
        with self._changed:
            too_large = self._window.connection_began(receive_maximum, max_packet_bytes)
            self.max_packet_bytes = max_packet_bytes
            self.open = not self._closed
            self._changed.notify_all()
        return too_large

    def end(self) -> Message | None:
        """The connection is over. Returns a message that is dropped because it ends every connection."""
        with self._changed:
            self.open = False
            dropped = self._window.connection_ended()
            self._qos0.clear()
            self._qos0_sizes.clear()
            self._receipts.clear()
            self._changed.notify_all()
        return dropped

    def take_receipts(self) -> Iterator[Receipt]:
        """Yield what is to be acknowledged."""
        while self._receipts:
            yield self._receipts.popleft()

    def take_qos0(self) -> Iterator[Message]:
        """Yield the QoS 0 messages to send; they count until ``written``."""
        while self._qos0:
            yield self._qos0.popleft()

    def take_window(self) -> Iterator[tuple[int, Message]]:
        """Yield (slot, message) to send at QoS 1; the caller says ``sent`` for each."""
        while True:
            with self._changed:
                waiting = self._window.next_unsent()
            if waiting is None:
                return
            yield waiting

    def sent(self, slot: int, mid: int) -> None:
        """The message of ``slot`` went out as packet ``mid``."""
        with self._changed:
            self._window.sent(slot, mid)

    def finished(self, mid: int) -> Message | None:
        """Packet ``mid`` is done with: acknowledged, then its message is returned, or a QoS 0 one that is written."""
        with self._changed:
            message = self._window.acknowledged(mid)
            if message is None and self._qos0_sizes:
                self._qos0_sizes.popleft()
            self._changed.notify_all()
        return message
