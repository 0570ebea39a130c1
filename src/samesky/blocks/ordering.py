"""Which of two messages is the later: `Ordering`. Brokers deliver twice, late and in disorder. Pure.

A primary numbers its messages, and begins a new epoch, a greater one, when it starts. Messages of old peers have no
number: they go by their arrival.
"""

import hashlib
from collections import OrderedDict
from typing import Literal, NamedTuple

from .envelope import BlockMessage, encode_body

Place = Literal["new", "duplicate", "older", "conflict"]
"""``conflict``: as late as the last one, with other data: two primaries have one name."""
MOST_KEYS = 1000


class _Last(NamedTuple):
    epoch: int
    sequence: int
    digest: bytes


class Ordering:
    """The last message under each key."""

    def __init__(self) -> None:
        self._last: OrderedDict[str, _Last] = OrderedDict()

    def take(self, message: BlockMessage) -> Place:
        """Where ``message`` stands to the last one of its key; it is the last one now when it is ``new``."""
        metadata = message.metadata
        if metadata is None:
            return "new"
        now = _Last(metadata.epoch, metadata.sequence, hashlib.sha256(encode_body(message.data)).digest())
        last = self._last.get(message.key)
        if last is not None and now[:2] <= last[:2]:
            if now[:2] < last[:2]:
                return "older"
            return "duplicate" if now.digest == last.digest else "conflict"
        self._last[message.key] = now
        self._last.move_to_end(message.key)
        if len(self._last) > MOST_KEYS:
            self._last.popitem(last=False)
        return "new"
