"""``Idempotency-Key``: a request that is sent again, because its answer was lost, is done once and answered the same.

Answers are kept in memory, so a key is known until the server ends. Pushers need none: their pages are stored by key.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.responses import Response

from ..link.problems import Problem, wait_and_retry

MOST_KEPT = 2000
MOST_KEY_LENGTH = 128
MOST_ANSWER_BYTES = 64 << 10


@dataclass(slots=True)
class _Kept:
    request: bytes
    answer: Response | None = None
    """None while the request is under way."""


class IdempotencyKeys:
    """The answers to the latest requests with a key."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()

    async def once(
        self, caller: str, key: str | None, request: bytes, work: Callable[[], Awaitable[Response]]
    ) -> Response:
        """Return the answer that ``work`` makes, or that it made for the same ``caller``, ``key`` and ``request``.

        Raises `Problem`: 422 for a key that came with another request, 429 while the first one is under way.
        """
        if key is None:
            return await work()
        if not 0 < len(key) <= MOST_KEY_LENGTH:
            raise Problem(400, "idempotency", f"Idempotency-Key must have 1 to {MOST_KEY_LENGTH} characters")
        name, digest = (caller, key), hashlib.blake2b(request).digest()
        if (kept := self._kept.get(name)) is not None:
            return _recall(kept, digest)
        self._kept[name] = kept = _Kept(digest)
        try:
            kept.answer = await work()
        finally:
            if kept.answer is None or len(kept.answer.body) > MOST_ANSWER_BYTES:
                del self._kept[name]
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return kept.answer


def _recall(kept: _Kept, request: bytes) -> Response:
    if kept.request != request:
        raise Problem(422, "idempotency", "this Idempotency-Key came with another request before")
    if kept.answer is None:
        raise wait_and_retry(429, "idempotency", "the request with this Idempotency-Key is under way")
    return kept.answer
