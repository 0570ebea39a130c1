"""A command on an asyncio loop, which SIGTERM ends in order."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from .main import STATUS_TERMINATED


def run_on_a_loop(command: Coroutine[Any, Any, None]) -> None:
    """Run ``command``; SIGTERM cancels it, so that what it opened is closed, and ends the process, as SIGINT does.

    A handler that raises, as commands without a loop have, can be lost here: what is raised while garbage is collected,
    or in a callback of C code, is printed by Python and forgotten.
    """
    asyncio.run(_end_at_sigterm(command))


async def turn_for_ever(on_turn: Callable[[], None], wait_s: float) -> None:
    """Call ``on_turn`` on the loop that others use too, every ``wait_s``: as long as that isn't stuck."""
    while True:
        on_turn()
        await asyncio.sleep(wait_s)


async def _end_at_sigterm(command: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def end() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        await command
    except asyncio.CancelledError:
        if terminated:
            raise SystemExit(STATUS_TERMINATED) from None
        raise
