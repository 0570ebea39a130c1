"""One stream that a copy follows: its database, its two brains, and how it is doing."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ..core.pace import Pace
from ..core.status import Counters, Snapshot, take_snapshot
from ..core.status import State as StreamState
from ..link.message import Message
from .advice import advise
from .agreement import CopySettings
from .archive import Applied
from .checker import Checker, Proof
from .checks import Checks, CheckSettings
from .copying import Copy, WeewxCode
from .description import Description
from .engine_queue import EngineQueue
from .requester import Asking, Requester

_STATES: dict[str, StreamState] = {
    "disconnected": "disconnected",
    "describing": "waiting",
    "catching-up": "catching-up",
    "live": "live",
    "version-1": "live",
    "stopped": "stopped",
}


@dataclass(slots=True)
class FollowedStream:
    """Belongs to the requester's thread; `snapshot` and `authority` may be called from any."""

    copy: Copy
    brain: Requester
    checks: Checks
    since: float
    counts: Counters = field(default_factory=Counters)
    phase: str = "disconnected"
    stored: int = 0
    caught_up: bool = False
    """Whether nothing is known to be missing, and what has come is stored."""
    pace: Pace = field(default_factory=Pace)
    described: Description | None = None
    """What the primary last said of its database."""
    distrust: str = ""
    """Why no message of this stream has been believed yet; empty when one was, or nobody has to be trusted."""
    is_believed: bool = False
    """Whether a message of it was: another that isn't is somebody else's, and no fault of the primary."""
    doubt_until: float = -math.inf
    """Until then, by the timer, the primary isn't asked again how far its signatures are."""

    def on_distrusted(self, reason: str) -> None:
        """A message wasn't believed; it is the primary's fault unless others of it are, and it needn't be asked for."""
        if not self.is_believed or self.brain.phase == "describing":
            self.distrust = reason

    def count(self, applied: Applied, refused: Counters) -> None:
        """Count what a write changed; refused rows are counted for the whole requester."""
        self.stored += applied.stored
        self.counts.add("duplicate", applied.duplicates)
        self.counts.add("conflict", applied.conflicts)
        if applied.refused:
            refused.add("row", applied.refused)

    @property
    def may_check(self) -> bool:
        """Whether nothing is known to be missing, and nothing waits to be archived."""
        return self.brain.phase == "live" and self.copy.is_settled

    def authority(self) -> Proof | None:
        """On what proof this copy may answer for its primary; None: not at all now."""
        if self.brain.phase != "live" or self.checks.different or not self.checks.is_whole:
            return None
        return self.checks.proof

    def _estimate_behind(self) -> int | None:
        """How many records the copy lacks, taken that the primary's are spread evenly; None while nothing is known."""
        taken, newest, told = self.brain.taken, self.brain.newest, self.described
        if newest is None:
            return None
        interval_s, known, missing = self.copy.interval_s, taken, 0.0
        if told is not None and told.first is not None and told.last is not None and taken < told.last:
            interval_s, known = told.interval_s or interval_s, told.last
            share = (told.last - taken) / max(1, told.last - told.first)
            missing = told.count * min(1.0, share)
        return round(missing + max(0, newest - known) / interval_s)

    def trouble(self, trouble: str | None) -> str:
        """What is wrong with the stream, else ``trouble``, which is the whole requester's; empty: nothing."""
        return self.distrust or self.brain.trouble or self.checks.checker.trouble or trouble or ""

    def snapshot(self, refused: Counters, trouble: str | None, *, now: float) -> Snapshot:
        """How the stream is doing; ``refused`` and ``trouble`` are the whole requester's."""
        brain, newest, proof = self.brain, self.brain.newest, self.checks.proof
        words, hint = advise(self.trouble(trouble), stream=brain.stream)
        if self.checks.different and not words:
            hint = f"It mends itself when it next compares. To do that now: samesky repair --stream {brain.stream}"
        rough = Snapshot(
            system="station",
            stream=brain.stream,
            role="requester",
            state=_STATES[brain.phase],
            position=brain.taken or None,
            newest=newest,
            behind=self._estimate_behind(),
            stored=self.stored,
            duplicates=self.counts["duplicate"],
            refused=refused.copy() | brain.counts.copy() | {"conflict": self.counts["conflict"]},
            proven_through=proof.through if proof else None,
            proven_count=proof.count if proof else None,
            proven_digest=proof.digest if proof else None,
            proven_at=proof.at if proof else None,
            different=self.checks.different,
            repaired=self.checks.repaired,
            last_error=words,
            hint=hint,
            since=self.since,
            rate_per_s=self.pace.read(now),
            details={"interval_s": self.copy.interval_s, "protocol": 1 if brain.phase == "version-1" else 2},
        )
        return take_snapshot(rough, now)


def make_stream(
    settings: CopySettings,
    asking: Asking,
    *,
    engine: EngineQueue | None,
    weewx_code: WeewxCode | None,
    checks: CheckSettings,
    publish: Callable[[Message], object],
    on_hold: Callable[[str], None],
    is_held: Callable[[], bool],
    clock: Callable[[], float],
    timer: Callable[[], float],
    random: Callable[[], float],
) -> FollowedStream:
    """The stream of ``settings``, nothing opened yet; for what the functions do see `Checks` and `Requester`."""
    copy = Copy(settings, engine=engine, weewx_code=weewx_code)
    brain = Requester(settings.stream, 0, asking=asking, random=random)
    checker = Checker(
        settings.stream,
        topic=asking.request_topics[0],
        reply_to=asking.reply_to,
        random=random,
        interval_s=checks.interval_s,
    )
    checking = Checks(
        copy, checker, checks, publish=publish, on_hold=on_hold, is_held=is_held, clock=clock, timer=timer
    )
    return FollowedStream(copy, brain, checking, clock())
