"""The copy's checking brain for one stream: when to check, what to do with what a check finds, and what is proven.

`Checker` decides and does nothing. The shell around it (`checks`) makes the session of a check, publishes what is to be
asked, applies repairs, and tells what came of it. A check is due after every catch-up, when a live message shows that
the primary's sums are others, and now and then; one that found something is followed by another, until the roots agree.

Rows are written as they are found. Deletions wait until the whole check is known, and are held when they are many: a
primary that was restored from a backup, or lost its disk, mustn't take the copies with it.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ..core.backoff import Backoff
from ..core.status import Counters
from ..core.strict import Reason, Refused
from ..core.timetree import Sum
from ..link.message import Message
from .check_messages import CheckAnswer
from .check_question import TreeName, encode_question
from .check_session import CheckSession, Repair
from .messages import ErrorAnswer

FIRST_TIMEOUT_S = 5.0
LONGEST_TIMEOUT_S = 60.0
MOST_TRIES = 5
CHECK_INTERVAL_S = 300.0
SOON_S = 3.0
"""After a catch-up, or a live message that shows a difference: what is under way comes in meanwhile."""
BETWEEN_ALARMS_S = 30.0
AFTER_FAILURE_S = 300.0
LONGEST_FAILURE_PAUSE_S = 3600.0
LONGEST_PAUSE_S = 86_400.0
MOST_ROUNDS = 6
MOST_DELETIONS = 100

Phase = Literal["disconnected", "resting", "checking", "held"]


@dataclass(frozen=True, slots=True)
class Proof:
    """What was proven the same, and when."""

    through: int
    """Time of the last record that was compared."""
    count: int
    """Records up to then."""
    root: Sum
    """The sum of them."""
    at: float
    """When the roots agreed, in Unix seconds."""

    @property
    def digest(self) -> str:
        """The root's digest without a nonce, which two people can compare."""
        return self.root.digest(b"").hex()


@dataclass(frozen=True, slots=True)
class AskCheck:
    """Publish this question."""

    message: Message


@dataclass(frozen=True, slots=True)
class Apply:
    """Write these rows at the copy; what they overwrite goes into quarantine."""

    repair: Repair


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete these rows (of ``summary``: days) at the copy, quarantine first."""

    tree: TreeName
    times: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Hold:
    """So many records would have to go that a person has to decide; nothing is deleted."""

    count: int
    of: int
    times: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """Of records alone."""


@dataclass(frozen=True, slots=True)
class Proven:
    """The roots agreed."""

    through: int
    count: int


CheckAction = AskCheck | Apply | Delete | Hold | Proven


def most_deletions(count: int) -> int:
    """How many of ``count`` records one check may delete by itself: 100 or 1 %, whichever is fewer."""
    return min(MOST_DELETIONS, max(1, count // 100))


class Checker:
    """Decides for one stream. ``random`` gives numbers from 0 to 1; times are those of a timer that never jumps."""

    def __init__(
        self,
        stream: str,
        *,
        topic: str,
        reply_to: str,
        random: Callable[[], float],
        interval_s: float = CHECK_INTERVAL_S,
    ) -> None:
        self.stream = stream
        self.phase: Phase = "disconnected"
        self.counts = Counters()
        self.trouble: str | None = None
        self.allowed_deletions = 0
        """More deletions than usual that a person has allowed for the next check."""
        self._topic, self._reply_to, self._random = topic, reply_to, random
        self._interval_s = interval_s
        self._numbers = itertools.count(1)
        self._session: CheckSession | None = None
        self._correlation = b""
        self._deadline = math.inf
        self._tries = 0
        self._rounds = 0
        self._failures = Backoff(AFTER_FAILURE_S, LONGEST_FAILURE_PAUSE_S, random=random)
        self._vain_repairs = Backoff(AFTER_FAILURE_S, LONGEST_PAUSE_S, random=random)
        self._gone: dict[TreeName, list[int]] = {}
        self._found: list[int] = []
        """Hashes of the rows that this check has found missing or different, and of the times of those to go."""
        self._found_before: list[int] = []
        """The same of the check whose repair this one is to prove."""
        self._alarmed_at = -math.inf
        self._not_before = -math.inf
        """What can't be mended isn't tried at each record again."""

    # ------------------------------------------------------------------ when

    def on_connected(self, now: float) -> None:
        """The link is up: check once the copy has caught up."""
        if self.phase != "held":
            self._rest(max(now + SOON_S, self._not_before))

    def on_disconnected(self) -> None:
        """The link is down: a check under way is void."""
        self._session = None
        if self.phase != "held":
            self.phase, self._deadline = "disconnected", math.inf

    def wants_to_begin(self, now: float) -> bool:
        """Whether a check is due; make a session of the copy as it is now and `begin` it."""
        return self.phase == "resting" and now >= self._deadline

    def next_time(self) -> float:
        """When there is something to do; never while disconnected or held."""
        return self._deadline if self.phase in ("resting", "checking") else math.inf

    def ask_for_check(self, now: float, *, after_s: float = 0.0) -> None:
        """Somebody wants a check soon; one that is due earlier stays due."""
        if self.phase == "resting":
            self._deadline = min(self._deadline, now + after_s)

    def on_live_root(self, same: bool, now: float) -> None:
        """A live message has told the primary's root, and it is (not) that of the copy up to the same record."""
        if not same and self.phase == "resting":
            self.counts.add("live difference")
            self._check_soon(now)

    def on_changed(self, now: float) -> None:
        """Somebody else has changed rows here."""
        if self.phase == "resting":
            self.counts.add("changed here")
            self._check_soon(now)

    def _check_soon(self, now: float) -> None:
        soon = max(now + SOON_S, self._alarmed_at + BETWEEN_ALARMS_S, self._not_before)
        self._deadline = min(self._deadline, soon)
        self._alarmed_at = max(self._alarmed_at, self._deadline)

    def release(self, now: float) -> None:
        """A person has decided: go on checking."""
        if self.phase == "held":
            self.trouble = None
            self._rest(now)

    # ------------------------------------------------------------------ a check

    def begin(self, session: CheckSession, now: float) -> list[CheckAction]:
        """Begin a check."""
        self.phase, self._session, self._tries = "checking", session, 0
        self._gone, self._found = {"archive": [], "summary": []}, []
        return self._ask(now)

    def postpone(self, now: float, pause_s: float) -> None:
        """The copy isn't ready for a check."""
        if self.phase == "resting":
            self._deadline = now + pause_s

    def awaits(self, correlation: bytes) -> bool:
        """Whether the open question was sent under ``correlation``."""
        return self.phase == "checking" and bool(correlation) and correlation == self._correlation

    def on_answer(self, answer: CheckAnswer, now: float) -> list[CheckAction]:
        """An answer of the primary's, or of one who says so."""
        session = self._awaiting(answer.correlation)
        if session is None:
            return []
        by = answer.stand_in
        if by is not None and (by.name == self._reply_to or by.proven < session.until):
            self.counts.add("unproven")  # ourselves, or a copy that may lack what we have: it proves nothing
            return []
        self._correlation = b""
        try:
            repair = session.on_answer(answer)
        except Refused as refusal:
            self.counts.add(refusal.reason)
            self._give_up(f"the primary's answer makes no sense: {refusal}", now)
            return []
        self._tries = 0
        return [*self._take(repair), *self._ask(now)]

    def on_asked(self, now: float) -> None:
        """The question goes out now: to read the rows for it may have taken seconds, which aren't the primary's."""
        timeout_s = min(FIRST_TIMEOUT_S * 2**self._tries, LONGEST_TIMEOUT_S)
        self._deadline = now + timeout_s * (0.8 + 0.4 * self._random())

    def on_error(self, error: ErrorAnswer, now: float) -> None:
        """The primary can't answer now: ``busy`` while it adds up its sums, which may take minutes once."""
        if self._awaiting(error.correlation) is None:
            return
        self._correlation = b""
        if error.code == "busy":
            self.counts.add("busy")
            self._deadline = now + max(1, min(error.retry_after_s, 60)) * (0.75 + 0.5 * self._random())
        else:
            self._give_up(f"the primary answers {error.code!r} to a check", now)

    def on_tick(self, now: float) -> list[CheckAction]:
        """Time has passed: ask again what nobody has answered."""
        if self.phase != "checking" or now < self._deadline:
            return []
        if self._correlation:
            self._tries += 1
            self.counts.add("timeout")
        if self._tries >= MOST_TRIES:
            self._give_up("nobody answers to a check", now)
            return []
        return self._ask(now)

    def abandon(self, now: float) -> None:
        """Nothing is to be repaired now: another check is due as soon as there may be one."""
        self._session = None
        self._found_before = []  # what wasn't repaired will rightly be found again
        self._rest(now)

    def give_up(self, reason: str, now: float) -> None:
        """The shell couldn't apply what was found: try again later."""
        self._found_before = []  # what wasn't repaired will rightly be found again
        self._give_up(reason, now)

    # ------------------------------------------------------------------ parts

    def _ask(self, now: float) -> list[CheckAction]:
        assert self._session is not None
        correlation = f"c{next(self._numbers):x}.{int(self._random() * 2**53):x}".encode()
        question = self._session.next_question(correlation)
        if question is None:
            return self._conclude(self._session, now)
        self._correlation = correlation
        self.on_asked(now)
        message = encode_question(
            self.stream, question, topic=self._topic, reply_to=self._reply_to, correlation=correlation
        )
        return [AskCheck(message)]

    def _awaiting(self, correlation: bytes) -> CheckSession | None:
        if not self.awaits(correlation):
            self.counts.add(Reason.UNCORRELATED)
            return None
        return self._session

    def _take(self, repair: Repair | None) -> list[CheckAction]:
        if repair is None:
            return []
        self._gone[repair.tree] += repair.gone
        self._found += [hash((repair.tree, row)) for row in repair.rows.rows()]
        self._found += [hash((repair.tree, time)) for time in repair.gone]
        return [Apply(repair)] if repair.rows.count else []

    def _conclude(self, session: CheckSession, now: float) -> list[CheckAction]:
        """Every question is answered."""
        self._session = None
        if session.same:
            self._rounds, self.trouble, self.allowed_deletions = 0, None, 0
            self._found_before, self._not_before = [], -math.inf
            self._failures.reset()
            self._vain_repairs.reset()
            self.counts.add("proven")
            self._rest(now + self._interval_s * (0.75 + 0.5 * self._random()))
            return [Proven(session.until, session.count)]
        self.counts.add("different")
        if session.suspect:
            self.counts.add("inconsistent")
        return self._delete(session, now)

    def _delete(self, session: CheckSession, now: float) -> list[CheckAction]:
        held_by = session.views["archive"].root().count
        limit = max(most_deletions(held_by), self.allowed_deletions)
        for tree, gone in self._gone.items():
            if len(gone) > limit:
                self.phase, self._deadline = "held", math.inf
                self.trouble = f"{len(gone)} of {held_by} records here are not at the primary"
                return [Hold(len(gone), held_by, tuple(gone) if tree == "archive" else ())]
        self._plan_next(now)
        return [Delete(tree, tuple(times)) for tree, times in self._gone.items() if times]

    def _plan_next(self, now: float) -> None:
        """The next check proves that this one has mended everything; but what it can't mend isn't tried for ever."""
        self._rounds += 1
        if self._found and self._found == self._found_before:
            self._rounds = 0
            self._give_up(
                f"{len(self._found)} rows are different again after they were repaired: the copy's columns may not "
                "hold the primary's values",
                now,
                self._vain_repairs,
            )
            self._not_before = self._deadline
        elif self._rounds >= MOST_ROUNDS:
            self._rounds = 0
            self._give_up(f"still different after {MOST_ROUNDS} repairs", now)
        else:
            self._rest(now)
        self._found_before = self._found

    def _give_up(self, reason: str, now: float, pauses: Backoff | None = None) -> None:
        self.trouble = reason
        self.counts.add("given up")
        self._session = None
        self._rest(now + (pauses or self._failures).next_s())

    def _rest(self, deadline: float) -> None:
        self.phase, self._deadline, self._correlation = "resting", deadline, b""
