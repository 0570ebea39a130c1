import asyncio
from collections.abc import Awaitable

import pytest

from samesky.link import tasks
from samesky.link.tasks import end_tasks


def deaf_until(cancelled_times: int) -> tuple[list[int], Awaitable[None]]:
    """What counts its cancellations, and ends at the one with this number."""
    counted: list[int] = []

    async def work() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                counted.append(len(counted) + 1)
                if len(counted) == cancelled_times:
                    raise

    return counted, work()


def test_tasks_end_though_a_cancellation_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "CANCEL_AGAIN_S", 0.01)

    async def run() -> None:
        (first, quick), (second, deaf) = deaf_until(1), deaf_until(3)
        begun = [asyncio.ensure_future(each) for each in (quick, deaf)]
        await asyncio.sleep(0)
        await end_tasks(*begun)
        assert (first, second) == ([1], [1, 2, 3])
        assert all(each.done() for each in begun)

    asyncio.run(asyncio.wait_for(run(), 30))


def test_tasks_that_failed_or_were_never_there_are_no_trouble() -> None:
    async def fail() -> None:
        raise ValueError("wrong")

    async def run() -> None:
        task = asyncio.ensure_future(fail())
        await asyncio.sleep(0)
        await end_tasks(task)
        await end_tasks()

    asyncio.run(run())
