"""Ends asyncio tasks, also where a library loses a cancellation."""

import asyncio
from typing import Any, Final

CANCEL_AGAIN_S: Final = 5.0


async def end_tasks(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel ``tasks`` and wait until they have ended; what they raise is nobody's any more.

    Who doesn't end is cancelled again after `CANCEL_AGAIN_S`: before Python 3.12, `asyncio.wait_for`, in which the AMQP
    library waits for each answer, goes on as if nothing had been said when the answer comes in the same turn of the
    loop (CPython's issue 86296), and who waited for such a task once would wait for ever.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
