"""Work that waits for a database, done in threads beside the event loop, so many pieces at once and no more."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Self, TypeVar

from ..link.problems import wait_and_retry
from .databases import Dialect

Answer = TypeVar("Answer")
AT_ONCE = 8


class Turns:
    """``at_once`` threads; who comes while all are busy waits at most ``wait_s``; first come, first served."""

    def __init__(self, at_once: int, *, name: str, wait_s: float) -> None:
        self._turns = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=f"samesky-{name}")
        self._wait_s = wait_s

    async def run(self, work: Callable[[], Answer]) -> Answer:
        """Return what ``work`` returns, or raise what it raises; `Problem` 503 when it doesn't get its turn in time."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._turns.acquire()
        except TimeoutError:
            raise wait_and_retry(503, "busy", "the centre has too much to do; nothing was stored") from None
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._turns.release()

    def run_later(self, work: Callable[[], object]) -> None:
        """Do ``work`` in one of the threads; nobody waits for it."""
        self._threads.submit(work)

    def close(self) -> None:
        """Wait for the work that is under way, and end the threads."""
        self._threads.shutdown(cancel_futures=True)


class Threads(NamedTuple):
    """The threads of a server, apart for each kind of work, so that a long one doesn't keep a short one waiting."""

    quick: Turns
    """Keys, and proving what came: milliseconds."""
    reads: Turns
    writes: Turns

    @classmethod
    def of(cls, dialect: Dialect, *, wait_s: float) -> Self:
        """Threads for a database of this kind."""
        # SQLite has one writer at a time: waiting here is fair, and costs nothing.
        writers = 1 if dialect == "sqlite" else AT_ONCE
        return cls(
            Turns(AT_ONCE, name="quick", wait_s=wait_s),
            Turns(AT_ONCE, name="read", wait_s=wait_s),
            Turns(writers, name="write", wait_s=wait_s),
        )

    def close(self) -> None:
        """Wait for the work that is under way, and end the threads."""
        for turns in self:
            turns.close()
