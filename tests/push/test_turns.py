"""Work beside the event loop: so many at once, the others wait their turn."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from samesky.link.problems import Problem
from samesky.push.turns import Turns


def run(work: Callable[[Turns], Awaitable[Any]], *, at_once: int = 1, wait_s: float = 10.0) -> Any:
    async def all_of_it() -> Any:
        turns = Turns(at_once, name="test", wait_s=wait_s)
        try:
            return await work(turns)
        finally:
            turns.close()

    return asyncio.run(all_of_it())


def test_what_the_work_returns_or_raises_comes_back() -> None:
    assert run(lambda turns: turns.run(lambda: threading.current_thread().name)).startswith("samesky-test")
    with pytest.raises(ZeroDivisionError):
        run(lambda turns: turns.run(lambda: 1 // 0))


def test_no_more_work_is_done_at_once_than_allowed() -> None:
    under_way, most = [0], [0]
    lock = threading.Lock()
    meet = threading.Barrier(2, timeout=60)

    def work() -> None:
        with lock:
            under_way[0] += 1
            most[0] = max(most[0], under_way[0])
        meet.wait()
        with lock:
            under_way[0] -= 1

    async def many(turns: Turns) -> None:
        await asyncio.gather(*(turns.run(work) for _ in range(6)))

    run(many, at_once=2)
    assert most[0] == 2


def test_who_waits_too_long_is_told_to_come_again() -> None:
    free = threading.Event()

    async def two(turns: Turns) -> Problem:
        first = asyncio.ensure_future(turns.run(lambda: free.wait(60)))
        await asyncio.sleep(0)
        with pytest.raises(Problem) as problem:
            await turns.run(lambda: None)
        free.set()
        await first
        await turns.run(lambda: None)
        return problem.value

    refusal = run(two, wait_s=0.02)
    assert refusal.status == 503
    assert "retry-after" in refusal.headers
