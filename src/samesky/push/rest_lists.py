"""Lists of rows as answers: short ones at once, long ones as they are read, so that no list is too long for memory.

A long list is one state of the database. When something fails under way the connection is cut, which its reader sees.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import NamedTuple, cast

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ..link.problems import Problem, wait_and_retry
from .central_database import CentralDatabase
from .keys import Caller
from .model import TableModel
from .rest_objects import encode_json
from .rest_query import Items, RestQuery
from .rest_reading import CHUNK_ROWS, RestReading, Sight
from .turns import Turns

Objects = list[dict[str, object]]
MOST_UNDER_WAY = 16
"""Lists of all keys together: each has a connection to the database until its reader has taken it."""
LIST_S = 900.0
"""How long a reader may take over one."""


class Chunk(NamedTuple):
    """Part of a list, as JSON without the brackets around it."""

    rows: int
    text: str


class RestList:
    """One list while it is read: first how many rows there are, then these; by any thread, one at a time."""

    def __init__(
        self,
        central: CentralDatabase,
        reading: RestReading,
        table: TableModel,
        *,
        query: RestQuery,
        sight: Sight,
        items: Items | None,
    ) -> None:
        self.items = items
        self._lock = threading.Lock()
        self._steps = _read(central, reading, table, query, sight, items)

    def read_total(self) -> int | None:
        """How many rows there are; None when all of them are asked for. To be called first."""
        with self._lock:
            return cast(int | None, next(self._steps))

    def read_chunk(self) -> Chunk:
        """The next objects; none at the end."""
        with self._lock:
            objects = cast(Objects, next(self._steps, []))
        return Chunk(len(objects), encode_json(objects)[1:-1])

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._steps.close()  # type: ignore[attr-defined]  # it's a generator


class Lists:
    """Answers with lists; ``at_once`` for one key."""

    def __init__(self, reads: Turns, *, at_once: int) -> None:
        self._reads = reads
        self._at_once = at_once
        self._under_way: Counter[str] = Counter()

    async def answer(self, rows: RestList, caller: Caller | None) -> Response:
        """Return the answer with ``rows``, which it closes; `Problem` 416, and 429 while too many are under way."""
        name = caller.key if caller else ""
        if caller and self._under_way[name] >= self._at_once:
            raise wait_and_retry(429, "rate", f"{self._at_once} lists of this key are under way already")
        if self._under_way.total() >= MOST_UNDER_WAY:
            raise wait_and_retry(503, "busy", f"{MOST_UNDER_WAY} lists are under way already")
        self._under_way[name] += 1
        try:
            total = await self._reads.run(rows.read_total)
            headers = _describe_part(rows.items, total)
            first = await self._reads.run(rows.read_chunk)
        except BaseException:
            self._end(rows, name)
            raise
        status = 206 if total and rows.items else 200
        if first.rows < CHUNK_ROWS:
            self._end(rows, name)
            return Response(f"[{first.text}]", status, headers, media_type="application/json")
        return _LongList(self._encode(first, rows), status, headers, end=lambda: self._end(rows, name))

    async def _encode(self, first: Chunk, rows: RestList) -> AsyncIterator[str]:
        chunk, before = first, "["
        while chunk.rows:
            yield before + chunk.text
            chunk, before = await self._reads.run(rows.read_chunk), ", "
        yield "]"

    def _end(self, rows: RestList, name: str) -> None:
        self._under_way[name] -= 1
        if not self._under_way[name]:
            del self._under_way[name]
        self._reads.run_later(rows.close)


class _LongList(StreamingResponse):
    """Calls ``end`` however the answer ends; a reader that takes longer than `LIST_S` is cut off."""

    def __init__(
        self, content: AsyncIterator[str], status: int, headers: Mapping[str, str], *, end: Callable[[], None]
    ) -> None:
        super().__init__(content, status, headers, media_type="application/json")
        self._end = end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(LIST_S):
                await super().__call__(scope, receive, send)
        finally:
            self._end()


def _read(
    central: CentralDatabase,
    reading: RestReading,
    table: TableModel,
    query: RestQuery,
    sight: Sight,
    items: Items | None,
) -> Iterator[int | Objects | None]:
    with central.database.reading() as connection:
        yield None if items is None else reading.count(connection, table, query, sight)
        yield from reading.read(connection, table, query, sight, items)


def _describe_part(items: Items | None, total: int | None) -> dict[str, str]:
    """The headers that say which part of the list it is."""
    if items is None or total is None:
        return {"accept-ranges": "items"}
    if total == 0 and items.first == 0:
        return {"accept-ranges": "items", "content-range": "items */0"}
    if items.first >= total:
        raise Problem(416, "range", "the list isn't that long", headers={"content-range": f"items */{total}"})
    last = total - 1 if items.last is None else min(items.last, total - 1)
    return {"accept-ranges": "items", "content-range": f"items {items.first}-{last}/{total}"}
