"""The bounded window of QoS 1 messages on their way to the broker."""

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

MOST_ATTEMPTS = 5
MOST_MIDS = 65_535

Item = TypeVar("Item")


@dataclass(slots=True)
class _Outgoing(Generic[Item]):
    message: Item
    size_bytes: int
    failures: int = 0


class Window(Generic[Item]):
    """What was published at QoS 1 and isn't acknowledged yet, oldest first. Not thread-safe: the owner locks.

    A message keeps its slot over reconnections. Never more than the broker's Receive Maximum are in flight (paho
    doesn't obey it). A message during which connections keep ending is dropped after ``MOST_ATTEMPTS``: a broker that
    hangs up on one message would otherwise never get another from us.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._limit = most
        self._kept: dict[int, _Outgoing[Item]] = {}
        self._unsent: deque[int] = deque()
        self._in_flight: dict[int, int] = {}
        self._next = 0
        self._mid = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def has_room(self) -> bool:
        """Whether another message may be added."""
        return len(self._kept) < self._limit

    @property
    def is_roomy(self) -> bool:
        """Whether a quarter may be added, or as good as one."""
        return len(self._kept) <= self._limit - self._limit // 4

    def add(self, message: Item, size_bytes: int) -> None:
        """Take a slot for ``message``; the caller has looked at ``has_room``."""
        self._kept[self._next] = _Outgoing(message, size_bytes)
        self._unsent.append(self._next)
        self._next += 1

    def next_unsent(self) -> tuple[int, Item] | None:
        """Return (slot, message) to send now, for which the caller then says ``sent``; None when there is none."""
        if not self._unsent or len(self._in_flight) >= self._limit:
            return None
        slot = self._unsent.popleft()
        return slot, self._kept[slot].message

    def free_mid(self) -> int:
        """Return a packet identifier that no message in flight has."""
        while True:
            self._mid = self._mid % MOST_MIDS + 1
            if self._mid not in self._in_flight:
                return self._mid

    def sent(self, slot: int, mid: int) -> None:
        """Remember that the message of ``slot`` went out under the packet identifier ``mid``."""
        self._in_flight[mid] = slot

    def acknowledged(self, mid: int) -> Item | None:
        """Free the slot of ``mid`` and return its message; None when ``mid`` isn't ours."""
        slot = self._in_flight.pop(mid, None)
        return None if slot is None else self._kept.pop(slot).message

    def connection_began(self, receive_maximum: int, max_packet_bytes: int) -> list[Item]:
        """Plan to send everything again; return what this broker is too small for, which is dropped."""
        self._limit = max(1, min(self._most, receive_maximum, MOST_MIDS))
        too_large = [slot for slot, kept in self._kept.items() if kept.size_bytes > max_packet_bytes]
        dropped = [self._kept.pop(slot).message for slot in too_large]
        self._unsent = deque(self._kept)
        return dropped

    def connection_ended(self) -> Item | None:
        """Forget what was in flight; return the oldest message if it is dropped because it ends every connection."""
        suspect = min(self._in_flight.values(), default=None)
        self._in_flight.clear()
        self._unsent.clear()
        if suspect is None:
            return None
        self._kept[suspect].failures += 1
        if self._kept[suspect].failures < MOST_ATTEMPTS:
            return None
        return self._kept.pop(suspect).message
