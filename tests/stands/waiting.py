"""Waiting for a condition with a deadline, the one way in which tests let time pass."""

import time
from collections.abc import Callable
from typing import TypeVar

Answer = TypeVar("Answer")


def wait_for(
    condition: Callable[[], Answer],
    deadline_s: float,
    *,
    what: str = "the condition",
    every_s: float = 0.05,
    explain: Callable[[], str] | None = None,
) -> Answer:
    """Call ``condition`` until its answer is true, then return that answer.

    Raises AssertionError after ``deadline_s`` seconds, naming ``what`` was awaited, with what ``explain`` says then.
    """
    end = time.monotonic() + deadline_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what} didn't come within {deadline_s} s. {explain() if explain else ''}")
        time.sleep(every_s)
