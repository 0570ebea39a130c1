"""How long a pusher goes on trying what fails for a reason that may pass."""

from ..core.backoff import Backoff
from ..errors import SameskyError, Unreachable
from .centre_errors import NotNow
from .steps import Step, Steps, Wait

MOST_TRIES = 8
"""So often is one step tried while it fails for a reason that may pass: for about a minute."""
MOST_ASKED = 60
"""So often when the centre answers each time that it wants more time: it is at work."""
MOST_WAIT_S = 120.0
"""A run doesn't wait longer at a time, whatever the centre asks for: the next run will."""


class Patience:
    """How long to go on trying: with a growing pause or the one asked for, until it failed too often in a row."""

    def __init__(self, backoff: Backoff, *, most_tries: int = MOST_TRIES, most_wait_s: float = MOST_WAIT_S) -> None:
        self._backoff = backoff
        self._most_tries = most_tries
        self._most_wait_s = most_wait_s
        self._tries = 0

    def plan_wait_s(self, error: SameskyError) -> float | None:
        """The seconds to wait before the next try; None when there should be none: let ``error`` go up."""
        asked_s = error.wait_s if isinstance(error, NotNow) else None
        self._tries += 1
        most_tries = self._most_tries if asked_s is None else MOST_ASKED
        if not isinstance(error, Unreachable) or self._tries >= most_tries:
            return None
        wait_s = max(asked_s or 0.0, self._backoff.next_s())
        return wait_s if wait_s <= self._most_wait_s else None

    def renew(self) -> None:
        """It worked."""
        self._tries = 0
        self._backoff.reset()

    def persist(self, step: Step) -> Steps:  # type: ignore[type-arg]
        """Do ``step``, again and again while waiting may help; returns what comes of it."""
        while True:
            try:
                outcome = yield step
            except SameskyError as error:
                wait_s = self.plan_wait_s(error)
                if wait_s is None:
                    raise
                cause = error
            else:
                self.renew()
                return outcome
            yield Wait(wait_s, cause)
