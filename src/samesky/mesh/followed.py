"""One neighbour as a peer sees it: its broker, what came of its announcements, and how its tree compares."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager

from ..core.pace import Pace
from ..core.status import Counters, State
from ..link.message import Link, Message
from .comparison import Comparison
from .peer_settings import Neighbour
from .status import LagMeter, NeighbourStatus


@contextmanager
def all_together(followed: "Iterable[Followed]") -> Iterator[None]:
    """What is acknowledged inside goes out at its end (`Link.together`)."""
    with ExitStack() as stack:
        for each in followed:
            if each.link is not None:
                stack.enter_context(each.link.together())
        yield


class Followed:
    """Counts for ``neighbour``. Belongs to the loop's thread."""

    def __init__(self, neighbour: Neighbour, number: int, comparison: Comparison | None) -> None:
        self.neighbour, self.number, self.comparison = neighbour, number, comparison
        self.link: Link | None = None
        self.answers = f"{neighbour.exchange}/samesky/"
        """What the topics of answers to our questions begin with; all else are announcements."""
        self.received = 0
        self.fetched = 0
        self.inlined = 0
        self.size_bytes = 0
        self.removed = 0
        self.failed = 0
        self.skipped = Counters()
        self.refused = Counters()
        self.lag = LagMeter()
        self.queue = 0
        self.late = 0
        self.compared_after = 0
        """How many announcements had come when a comparison was asked for last."""
        self.compared_at = 0.0
        self.last_error = ""
        self._pace = Pace()
        self._state: State = "waiting"
        self._since = 0.0

    def acknowledge(self, message: Message | None) -> None:
        """Have the broker forget ``message``, if there is one."""
        if message is not None and self.link is not None:
            self.link.acknowledge(message)

    def note_state(self, now: float) -> None:
        """See which state this is in now, and how fast it goes."""
        self._pace.note(self.fetched + self.inlined, now)
        state: State = "disconnected"
        if self.link is not None and self.link.connected:
            lacking = self.comparison.lacking if self.comparison is not None else 0
            state = "catching-up" if self.queue or lacking else "live"
        if state != self._state or not self._since:
            self._state, self._since = state, now

    def status(self, now: float) -> NeighbourStatus:
        """This at one moment."""
        self.note_state(now)
        comparison = self.comparison
        return NeighbourStatus(
            name=self.neighbour.name,
            state=self._state,
            since=self._since,
            received=self.received,
            fetched=self.fetched,
            inlined=self.inlined,
            size_bytes=self.size_bytes,
            removed=self.removed,
            failed=self.failed,
            skipped=self.skipped.copy(),
            refused=self.refused.copy(),
            lag=self.lag.read(now),
            queue=self.queue,
            late=self.late,
            same=comparison.same if comparison else None,
            lacking=comparison.lacking if comparison else 0,
            proven_at=comparison.proven_at if comparison else None,
            compares=comparison is not None,
            rate_per_s=self._pace.read(now),
            last_error=self.last_error or (comparison.trouble if comparison else "") or "",
            remedy=comparison.remedy if comparison and not self.last_error else "",
        )
