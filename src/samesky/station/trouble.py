"""One place that logs a stream's errors: at once, then rarely and with a count, then one line on recovery."""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

FIRST_SILENCE_S = 60.0
LONGEST_SILENCE_S = 3600.0
LAST_S = 900.0
"""What went wrong once, and not again for so long, isn't the status any more."""


@dataclass(slots=True)
class _Case:
    next_line: float
    silence_s: float
    unsaid: int = 0


class Trouble:
    """Errors by subject. Not for several threads at once."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._last: str | None = None
        self._last_until = 0.0
        self._log = log
        self._clock = clock
        self._cases: dict[str, _Case] = {}

    @property
    def last(self) -> str | None:
        """What is wrong, for the status; from any thread."""
        return self._last if self._clock() < self._last_until else None

    def report(self, subject: str, error: object) -> None:
        """Log ``error`` of ``subject`` unless its like was logged a short while ago."""
        hint = getattr(error, "hint", "")
        now = self._clock()
        self._last, self._last_until = f"{error}{' ' if hint else ''}{hint}", now + LAST_S
        case = self._cases.get(subject)
        if case is None:
            self._cases[subject] = _Case(now + FIRST_SILENCE_S, FIRST_SILENCE_S)
            self._log.warning("trouble subject=%r error=%r hint=%r", subject, str(error), hint)
        elif now < case.next_line:
            case.unsaid += 1
        else:
            self._log.warning(
                "trouble subject=%r error=%r hint=%r repeated=%d", subject, str(error), hint, case.unsaid + 1
            )
            case.silence_s = min(case.silence_s * 2, LONGEST_SILENCE_S)
            case.next_line, case.unsaid = now + case.silence_s, 0

    def note(self, error: str | None) -> None:
        """Remember ``error`` for the status (None: it is over); somebody else logs it."""
        self._last, self._last_until = error, math.inf

    def clear(self, subject: str) -> None:
        """``subject`` works again: says so once, if there was trouble."""
        case = self._cases.pop(subject, None)
        if case is not None:
            self._log.info("recovered subject=%r unsaid=%d", subject, case.unsaid)
            if not self._cases:
                self._last = None
