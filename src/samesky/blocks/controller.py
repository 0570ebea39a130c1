"""A controller's service over HTTP: `Controller` asks it, in order, and tells what its answers mean.

What the two generations of Brewblox have in common; `spark_2018` and `spark` know the rest. A request that nobody waits
for any more, because a newer value came, isn't sent; one that is under way ends before another about the same block
begins. So an old value never overtakes a newer one, however slow the controller is.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit
from zlib import crc32

from ..errors import DataError, Unreachable
from ..link.rest import Answer, RestClient, RestTimeouts
from .envelope import encode_body
from .objects import NoSuchBlock
from .paths import Value

TIMEOUTS = RestTimeouts(connect_s=3.0, idle_s=8.0, total_s=8.0)
"""Less than what a link waits for its controller, so that a request has ended when the next begins."""
LANES = 4
"""Requests that are under way at once: a controller answers them one by one anyway."""

_AWAY = frozenset({408, 423, 424, 425, 429})
"""What a service answers beside 5xx while it can't: 424 is Brewblox's when no controller is connected."""
Result = TypeVar("Result")


class Controller:
    """The service at ``url``: at ``http://spark-one:5000`` all its paths begin with ``/name``, as is usual in Brewblox,
    at ``http://brewery/spark-one`` they begin with what the URL says.

    Belongs to one event loop. Every answer but one of success is raised: `NoSuchBlock` (404, and what Brewblox answers,
    400, to a request that says only which block it means), `Unreachable` (5xx, and others that pass by themselves), and
    `DataError`.
    """

    def __init__(self, url: str, name: str, *, timeouts: RestTimeouts = TIMEOUTS) -> None:
        path = urlsplit(url).path.strip("/")
        self.base_url = url.rstrip("/") if path else f"{url.rstrip('/')}/{name}"
        self.service = path.rpartition("/")[2] or name
        """The name that the controller's service has for itself."""
        self._lanes = [_Lane(self.base_url, timeouts, number) for number in range(LANES)]

    async def read(self, path: str, id: str) -> object:
        """Return the document at ``path``, which is about the block ``id``."""
        return self._take(await self._find_lane(id).run(lambda client: client.get(path)), id, is_read=True)

    async def ask(self, path: str, question: Mapping[str, Value], id: str, *, is_read: bool) -> object:
        """Return the answer to ``question``, posted to ``path``; ``is_read``: it only says which block it means."""
        body = encode_body(question)
        return self._take(await self._find_lane(id).run(lambda client: client.post(path, body)), id, is_read=is_read)

    async def put(self, path: str, told: Mapping[str, Value], id: str) -> object:
        """Return what is answered when ``told`` is put at ``path``."""
        body = encode_body(told)
        return self._take(await self._find_lane(id).run(lambda client: client.put(path, body)), id, is_read=False)

    async def close(self) -> None:
        """End all connections, when what is under way has ended."""
        await asyncio.gather(*(lane.close() for lane in self._lanes))

    def damaged(self, words: str) -> DataError:
        """The error of an answer that is something else than it should be."""
        return DataError(
            f"{self.base_url} answers something else than blocks: {words}",
            hint="look whether the controller's URL and its generation are right",
        )

    def _find_lane(self, id: str) -> "_Lane":
        """One block's requests are all in one lane."""
        return self._lanes[crc32(id.encode()) % LANES]

    def _take(self, answer: Answer, id: str, *, is_read: bool) -> object:
        if answer.is_success:
            if answer.mistake:
                raise self.damaged(answer.mistake)
            return answer.json
        if id and (answer.status == 404 or (is_read and answer.status == 400)):
            raise NoSuchBlock(
                f"{self.base_url} has no block {id} (status {answer.status})",
                hint="look at its name there; and whether the controller's URL is right, its path included",
            )
        if answer.status >= 500 or answer.status in _AWAY:
            raise Unreachable(
                f"{self.base_url} can't do what it's asked for now: status {answer.status}",
                hint="look whether the controller is connected to its service",
            )
        raise self._refused(answer.status, is_read)

    def _refused(self, status: int, is_read: bool) -> DataError:
        what = "to read blocks" if is_read else "what is written"
        if status in (401, 403, 407):
            return DataError(f"{self.base_url} refuses {what}: status {status}", hint="it wants to know who asks")
        if status in (404, 405):
            return self.damaged(f"status {status}")
        if 300 <= status < 400:
            return DataError(f"{self.base_url} sends us elsewhere: status {status}", hint="name where it has moved to")
        return DataError(f"{self.base_url} refuses {what}: status {status}", hint="its log says why")


class _Lane:
    """A connection with a thread of its own, which does one request after the other."""

    def __init__(self, base_url: str, timeouts: RestTimeouts, number: int) -> None:
        self._make = partial(RestClient, base_url, timeouts=timeouts)
        self._client: RestClient | None = None  # made when it's needed: one for https takes a while
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"samesky-controller-{number}")

    async def run(self, request: Callable[[RestClient], Result]) -> Result:
        """Return what ``request`` does; one that is cancelled before its turn is never begun."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._do, request)

    async def close(self) -> None:
        """Not before the request that is under way has ended."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _do(self, request: Callable[[RestClient], Result]) -> Result:
        if self._client is None:
            self._client = self._make()
        return request(self._client)
