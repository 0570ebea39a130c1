"""Where the application's threads leave what the network thread is to send."""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from .message import LARGEST_PACKET_BYTES, Message
from .packet import Parcel, Receipt
from .waker import Waker
from .window import Window

QOS0_MOST_MESSAGES, QOS0_MOST_BYTES = 256, 4 << 20


class Outbox:
    """Bounded, thread-safe. Holds the window of QoS 1, a short queue of QoS 0, and acknowledgements to send."""

    def __init__(self, window: int) -> None:
        self.waker = Waker()
        self.open = False
        """Whether messages are taken: only while connected."""
        self.max_packet_bytes = LARGEST_PACKET_BYTES
        self.retains = True
        """Whether the broker keeps retained messages."""
        self._lock = threading.RLock()  # entered by itself: a condition's own ``with`` is Python, and slower
        self._changed = threading.Condition(self._lock)
        self._window: Window[Parcel] = Window(window)
        self._qos0: deque[Parcel] = deque()
        self._qos0_sizes: deque[int] = deque()
        self._receipts: deque[Receipt] = deque()
        self._network_thread = 0
        self._closed = False
        self._telling = False
        """Whether what became of a message is being told to the application."""
        self._holding: set[int] = set()

    # The application's side.

    def put(self, parcel: Parcel, timeout_s: float) -> bool:
        """Take ``parcel``, waiting for a slot if need be; False if it was not taken."""
        size_bytes = parcel.size_bytes
        with self._lock:
            if parcel.message.qos and timeout_s > 0 and not self._window.has_room and not self._on_network_thread():
                self._wait_for_room(timeout_s)
            if not self.open or size_bytes > self.max_packet_bytes or not self._has_room(parcel.message, size_bytes):
                return False
            if parcel.message.qos:
                self._window.add(parcel, size_bytes)
            else:
                self._qos0.append(parcel)
                self._qos0_sizes.append(size_bytes)
        self._wake()
        return True

    def acknowledge(self, receipt: Receipt) -> None:
        """Have ``receipt`` sent."""
        self._receipts.append(receipt)
        self._wake()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What this thread puts and acknowledges inside is sent when it ends: one waking, not one each time.

        Other threads wake the network thread as ever.
        """
        thread = threading.get_ident()
        if thread in self._holding:
            yield
            return
        self._holding.add(thread)
        try:
            yield
        finally:
            self._holding.discard(thread)
            self._wake()

    def drain(self, timeout_s: float) -> bool:
        """Wait until the window is empty and all events of that have been told; whether that came true."""
        with self._lock:
            self._changed.wait_for(lambda: self._is_drained() or self._closed, timeout_s)
            return self._is_drained()

    def close(self) -> None:
        """Take nothing more, and let nobody wait."""
        with self._lock:
            self._closed = True
            self.open = False
            self._changed.notify_all()
        self._wake()

    def _wait_for_room(self, timeout_s: float) -> None:
        if threading.get_ident() in self._holding:
            self.waker.wake()  # what fills the window may be what is held
        self._changed.wait_for(lambda: not self.open or self._window.has_room, timeout_s)

    def _has_room(self, message: Message, size_bytes: int) -> bool:
        if message.qos:
            return self._window.has_room
        if not self._qos0_sizes:
            return True
        return len(self._qos0_sizes) < QOS0_MOST_MESSAGES and sum(self._qos0_sizes) + size_bytes <= QOS0_MOST_BYTES

    def _is_drained(self) -> bool:
        # Who asks inside of an event has been told.
        return not len(self._window) and (not self._telling or self._on_network_thread())

    def _wake(self) -> None:
        thread = threading.get_ident()
        if thread != self._network_thread and thread not in self._holding:
            self.waker.wake()

    def _on_network_thread(self) -> bool:
        return threading.get_ident() == self._network_thread

    # The network thread's side.

    def serve_this_thread(self) -> None:
        """Say that the calling thread is the one that sends: it is never made to wait, and needs no waking."""
        self._network_thread = threading.get_ident()

    def begin(self, *, receive_maximum: int, max_packet_bytes: int) -> list[Message]:
        """A connection is ready: take messages, and send the window again.

        Returns what is too large for the broker; `told` is to be called when that was told.
        """
        with self._lock:
            too_large = self._window.connection_began(receive_maximum, max_packet_bytes)
            self._telling = bool(too_large)
            self.max_packet_bytes = max_packet_bytes
            self.open = not self._closed
            self._changed.notify_all()
        return [parcel.message for parcel in too_large]

    def end(self) -> Message | None:
        """The connection is over. Returns a message that is dropped because it ends every connection.

        `told` is to be called when that was told.
        """
        with self._lock:
            self.open = False
            dropped = self._window.connection_ended()
            self._telling = dropped is not None
            self._qos0.clear()
            self._qos0_sizes.clear()
            self._receipts.clear()
            self._changed.notify_all()
        return dropped.message if dropped else None

    def take_receipts(self) -> Iterator[Receipt]:
        """Yield what is to be acknowledged."""
        while self._receipts:
            yield self._receipts.popleft()

    def take(self, least_bytes: int) -> list[tuple[int, Parcel]]:
        """Return (packet identifier, parcel) of what is to be sent now: all there is, or ``least_bytes`` of it.

        What has QoS 0 is first, counts until ``written``, and has 0 for an identifier. The identifiers are ours: paho
        uses one, for its SUBSCRIBE, and that is answered before the first message is sent.
        """
        taken: list[tuple[int, Parcel]] = []
        with self._lock:
            while least_bytes > 0 and (parcel := self._next()):
                taken.append(parcel)
                least_bytes -= parcel[1].size_bytes
        return taken

    def _next(self) -> tuple[int, Parcel] | None:
        if self._qos0:
            return 0, self._qos0.popleft()
        if not (unsent := self._window.next_unsent()):
            return None
        slot, parcel = unsent
        mid = self._window.free_mid()
        self._window.sent(slot, mid)
        return mid, parcel

    def written(self) -> None:
        """The network has all that was taken: there is room for other QoS 0 messages."""
        if len(self._qos0_sizes) > len(self._qos0):
            with self._lock:
                while len(self._qos0_sizes) > len(self._qos0):
                    self._qos0_sizes.popleft()

    def acknowledged(self, mid: int, *, tells: bool) -> Message | None:
        """Packet ``mid`` is done with: free its slot and return its message, None when we sent no such packet.

        ``tells``: there is an event of that, and `told` is called behind it.
        """
        with self._lock:
            parcel = self._window.acknowledged(mid)
            self._telling = tells
            # A thread that waits for a slot is let go on when it can take several: two threads that take turns
            # at every message cost more than all the rest.
            if self._window.is_roomy:
                self._changed.notify_all()
        return parcel.message if parcel else None

    def told(self) -> None:
        """The application knows what became of the messages that are out of the window."""
        with self._lock:
            self._telling = False
            if not len(self._window):
                self._changed.notify_all()
