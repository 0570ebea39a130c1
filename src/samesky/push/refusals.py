"""What the server refused since it began: counted by reason, and told in the log, seldom, without what was sent."""

import logging
from collections import Counter
from collections.abc import Mapping

from starlette.types import Scope

from ..link.problems import Problem
from ..link.seldom import Seldom
from .keys import Caller

log = logging.getLogger(__name__)
_SELDOM = Seldom()
_USUAL = frozenset({404, 405, 409, 412, 416})
"""Parts of any conversation, which nobody has to look after."""


class Refusals:
    """The counts of one server."""

    def __init__(self) -> None:
        log.addFilter(_SELDOM)
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Mapping[str, int]:
        """How many requests were refused, by reason."""
        return dict(sorted(self._counts.items()))

    def note(self, problem: Problem, scope: Scope) -> None:
        """Count ``problem``, the answer to the request in ``scope``, and log it."""
        reason = str(problem.members.get("reason", problem.kind))
        self._counts[reason] += 1
        caller = scope["state"].get("caller")
        site = caller.site_name if isinstance(caller, Caller) else ""
        level = logging.INFO if problem.status in _USUAL else logging.WARNING
        # The reason is part of the text, so that each has its own line a minute.
        log.log(level, f"request_refused status={problem.status} reason={reason} site=%s", site or "-")
