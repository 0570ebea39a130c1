"""When to compare our tree with a neighbour's, and what came of it: the brain, one for each neighbour. It does nothing.

On connecting, whenever somebody asks for it, and on a timer it goes through one comparison (`comparison_walk`), one
question at a time. What we lack is handed out as announcements, as if they had come from the neighbour. Once all of
them are here, we have what the neighbour had when the comparison began: that is proven without another question.

Sums say nothing of times, so once a day a comparison is deep: it looks at every file, whatever the sums say.

A neighbour that never answers (Sarracenia doesn't know our questions) is asked less and less often, and is no trouble.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import SystemRandom

from ..core.backoff import Backoff
from ..core.counts import count_of
from ..core.strict import Reason, Refused, check_properties
from ..core.timetree import Sum
from ..errors import SameskyError
from ..link.message import Message
from .announcement import Announcement
from .comparison_walk import Walk
from .directory_sums import TreeSums
from .explained import Explained
from .promised import Promised
from .questions import CONTENT_TYPE, Answer, Question, decode_answer, encode_question
from .tree_view import TreeView
from .wishes import Wishes

_log = logging.getLogger(__name__)

INTERVAL_S = 3600.0
DEEP_INTERVAL_S = 86_400.0
"""Every so often each file is looked at, whatever the sums say: they don't tell when a file was announced again, and
might be wrong."""
PATIENCE_S = 5.0
"""Until an unanswered question is asked again."""
MOST_TRIES = 3
FIRST_PAUSE_S = 10.0
"""After a comparison that nobody answered, or that failed; doubling up to the interval."""
SETTLE_S = 2.0
"""How often it is looked whether what was lacking is here."""
RECHECK_S = 60.0
"""When something goes on lacking, another comparison begins after so long; doubling up to the interval."""
FEWEST_REMOVALS = 100
SAME_MISFITS = 3


@dataclass(frozen=True, slots=True)
class _Asked:
    """The question that is out."""

    question: Question
    correlation: bytes
    deadline: float
    tries: int = 1


class Comparison:
    """Compares the tree of ``node`` (our id) with that of the neighbour behind ``ask_topic``, answers on ``reply_to``.

    ``now`` is always Unix seconds. ``on_connected``, ``on_tick`` and ``on_answer`` return what is to be published to
    the neighbour's broker; ``on_tick`` is due at `next_time`. Nothing here raises for what a neighbour says, or for an
    index that can't be read: `trouble` tells. The same announcement may be handed out by every comparison until its
    file is here. ``random`` gives numbers from 0 to 1 that nobody should be able to guess.

    ``neighbour`` is the id of the tree that it was the last time, if that is known: removals come from no other.
    ``accept_removals`` of them are done once all the same, whatever tree answers; it is the neighbour's from then on.
    ``sums`` may be shared by all comparisons of ``tree``, and its `Answering`.
    """

    def __init__(
        self,
        node: str,
        *,
        tree: TreeView,
        ask_topic: str,
        reply_to: str,
        selects: Callable[[str], bool] = lambda path: True,
        covers: Callable[[str], bool] = lambda directory: True,
        wants: Callable[[Announcement], bool] = lambda announcement: True,
        take_removals: bool = False,
        accept_removals: int = 0,
        random: Callable[[], float] | None = None,
        interval_s: float = INTERVAL_S,
        deep_interval_s: float = DEEP_INTERVAL_S,
        neighbour: str = "",
        sums: TreeSums | None = None,
    ) -> None:
        self.node = node
        self.neighbour = neighbour
        """The tree that removals are taken from: the one met first."""
        self.same: bool | None = None
        """Whether we have all that the neighbour has and we want; None before the first comparison is over."""
        self.proven_at: float | None = None
        """What the neighbour had at this moment, we have; the latest such moment."""
        self.trouble = ""
        """What is wrong, in a sentence; empty when nothing is."""
        self.remedy = ""
        """What a person may do about it, where a person has to decide."""
        self.suspect = False
        """Whether what the neighbour says of its tree contradicts itself."""
        self.answered = False
        """Whether anybody has answered the last question."""
        self.newest = 0
        """The latest pub_time in the neighbour's tree, in nanoseconds since 1970; 0 when unknown."""
        self.refused: dict[Reason, int] = {}
        """Answers, and files in answers, that weren't taken, by reason."""
        self.messages = 0
        """Questions and answers so far."""
        self.size_bytes = 0
        """Their payloads."""
        self._tree, self._ask_topic, self._reply_to = tree, ask_topic, reply_to
        self._wishes = Wishes(selects, covers, wants, take_removals)
        self._random, self._interval_s = random or SystemRandom().random, interval_s
        self._accept_removals = accept_removals
        self._pauses = Backoff(min(FIRST_PAUSE_S, interval_s), interval_s, random=self._random)
        self._rechecks = Backoff(min(RECHECK_S, interval_s), interval_s, random=self._random)
        self._connected = self._wanted = False
        self._next_walk = self._resume_at = self._settle_at = self._deep_at = math.inf
        self._deep_interval_s = deep_interval_s
        self._walk: Walk | None = None
        self._asked: _Asked | None = None
        self._questions = 0
        self._answering_node = ""
        self._sums = sums or TreeSums(tree)
        self._explained = Explained(interval_s / 2)
        self._misfits: dict[str, tuple[Sum, int]] = {}
        self._found = Promised(tree)
        """Of the comparison under way."""
        self._promised = Promised(tree)
        """Of the last one."""
        self._held = 0
        self._compared_at = 0.0

    @property
    def lacking(self) -> int:
        """Files that the neighbour has and we don't, though we want them; and removals that aren't done here."""
        return len(self._promised) + self._held

    @property
    def under_way(self) -> bool:
        """Whether a comparison is."""
        return self._walk is not None

    # ------------------------------------------------------------------ what happens

    def on_connected(self, now: float) -> list[Message]:
        """The neighbour's broker took the connection, and our subscription to ``reply_to``."""
        self._connected = True
        if self._deep_at == math.inf:
            self._deep_at = now + self._deep_interval_s * (0.5 + 0.5 * self._random())
        self._pauses.reset()
        return self._begin(now)

    def on_disconnected(self) -> None:
        """The connection ended; a comparison under way with it."""
        self._connected = False
        self._walk = self._asked = None
        self._next_walk = self._resume_at = math.inf

    def ask_for_check(self, now: float, *, deep: bool = False) -> None:
        """Compare as soon as possible: after a gap, when a queue has run empty, when a person wants to know.

        ``deep``: look at every file, whatever the sums say; costs some 20 bytes a file.
        """
        self._wanted = True
        if deep:
            self._deep_at = -math.inf
        if self._connected and self._walk is None:
            self._next_walk = now

    def next_time(self) -> float:
        """When `on_tick` is due, in Unix seconds; infinity when it isn't."""
        if not self._connected:
            return self._settle_at
        if self._walk is None:
            return min(self._next_walk, self._settle_at)
        return min(self._asked.deadline if self._asked else self._resume_at, self._settle_at)

    def on_tick(self, now: float) -> list[Message]:
        """Time has passed."""
        if now >= self._settle_at:
            self._settle(now)
        if not self._connected:
            return []
        if self._walk is None:
            return self._begin(now) if now >= self._next_walk else []
        if self._asked is not None:
            return self._ask_again(self._asked, now) if now >= self._asked.deadline else []
        try:
            return self._ask(now) if now >= self._resume_at else []
        except SameskyError as error:
            self._give_up(str(error), now)
            return []

    def on_answer(self, message: Message, now: float) -> tuple[list[Message], list[Announcement]]:
        """A message came to ``reply_to``: what to ask now, and what we lack, as announcements of the neighbour."""
        asked, walk = self._asked, self._walk
        if asked is None or walk is None or message.correlation != asked.correlation:
            self._count(Reason.UNCORRELATED)
            return [], []
        try:
            check_properties(message.properties)
            answer = decode_answer(message.payload)
            if answer.node == self.node or (asked.question.to and answer.node != asked.question.to):
                self._count(Reason.UNCORRELATED)
                return [], []
            self.messages += 1
            self.size_bytes += len(message.payload)
            return self._on_answer(walk, answer, now)
        except Refused as refusal:
            self._count(refusal.reason)
            self.suspect = self.suspect or refusal.reason == Reason.DIGEST
            self._give_up(f"an answer was refused: {refusal}", now)
        except SameskyError as error:
            self._give_up(str(error), now)
        return [], []

    def _on_answer(self, walk: Walk, answer: Answer, now: float) -> tuple[list[Message], list[Announcement]]:
        self._asked = None
        self.answered = True
        self._answering_node = answer.node
        if answer.busy_s:
            self._resume_at = now + answer.busy_s
            return [], []
        self.newest = answer.newest
        found = walk.on_answer(answer)
        self._found.add(found)
        found += walk.again
        walk.again = []
        messages = self._ask(now)
        if not messages:
            found += self._end(walk, now)
        return messages, found

    # ------------------------------------------------------------------ asking

    def _begin(self, now: float) -> list[Message]:
        self._wanted = False
        self._found = Promised(self._tree)
        try:
            deep = now >= self._deep_at
            self._walk = Walk(self.node, self._tree, self._wishes, self._sums, self._explained, now, deep)
            return self._ask(now)
        except SameskyError as error:
            self._give_up(str(error), now)
            return []

    def _ask(self, now: float) -> list[Message]:
        """Ask the next question; nothing when all were answered."""
        assert self._walk is not None
        self._resume_at = math.inf
        self._questions += 1
        correlation = f"{int(self._random() * (1 << 53)):x}-{self._questions:x}".encode()
        question = self._walk.next_question(correlation, to=self._answering_node)
        if question is None:
            return []
        self._asked = _Asked(question, correlation, now + PATIENCE_S)
        return [self._message(self._asked)]

    def _ask_again(self, asked: _Asked, now: float) -> list[Message]:
        assert self._walk is not None
        if asked.tries >= MOST_TRIES:
            first = self._walk.rounds == 0
            self.answered = not first
            self._give_up("" if first else "the neighbour has stopped answering", now)
            return []
        question = asked.question
        if self._walk.rounds == 0 and asked.tries == MOST_TRIES - 1:
            question = replace(question, to="")  # the tree was made anew, or somebody else is there now
        self._asked = replace(asked, question=question, deadline=now + PATIENCE_S, tries=asked.tries + 1)
        return [self._message(self._asked)]

    def _message(self, asked: _Asked) -> Message:
        payload = encode_question(asked.question)
        self.messages += 1
        self.size_bytes += len(payload)
        return Message(
            self._ask_topic,
            payload,
            response_topic=self._reply_to,
            correlation=asked.correlation,
            content_type=CONTENT_TYPE,
            expiry_s=int(PATIENCE_S),
        )

    # ------------------------------------------------------------------ the end

    def _give_up(self, trouble: str, now: float) -> None:
        """End a comparison that leads nowhere, and begin another later."""
        if trouble and trouble != self.trouble:
            _log.warning("mesh_comparison_failed neighbour=%s reason=%r", self._answering_node or "-", trouble)
        self.trouble = trouble
        self._answering_node = ""  # whoever is there may answer the next time
        self._walk = self._asked = None
        self._next_walk = now + self._pauses.next_s() if self._connected else math.inf

    def _end(self, walk: Walk, now: float) -> list[Announcement]:
        """A comparison is over; returns the removals to be done."""
        self._walk = None
        self.trouble, self.remedy, self.suspect = "", "", False
        for reason, count in walk.refused.items():
            self._count(reason, count)
        self._judge_misfits(walk.misfits)
        removals = self._judge_removals(walk.removals)
        self._held = len(walk.removals) - len(removals)
        self._promised = self._found
        self._promised.add(removals)
        # An explanation that may be out of date by now proves no more than it did when it was found.
        self._compared_at = min(walk.now, self._explained.oldest_doubt(walk.now))
        if walk.deep:
            self._deep_at = now + self._deep_interval_s
        self._pauses.reset()
        _log.info(
            "mesh_compared neighbour=%s same=%s lacking=%d rounds=%d",
            self._answering_node,
            "yes" if walk.same else "no",
            self.lacking,
            walk.rounds,
        )
        if walk.same:
            self._prove(now)
        else:
            self.same = False
            self._settle_at = now + SETTLE_S
            self._plan_next(now, self._rechecks.next_s())
        return removals

    def _prove(self, now: float) -> None:
        self.same, self.proven_at = True, max(self._compared_at, self.proven_at or 0.0)
        self._settle_at = math.inf
        self._rechecks.reset()
        self._plan_next(now, self._interval_s * (0.9 + 0.2 * self._random()))

    def _plan_next(self, now: float, delay_s: float) -> None:
        if self._connected and self._walk is None:
            self._next_walk = now if self._wanted else now + delay_s

    def _settle(self, now: float) -> None:
        """Look whether what was lacking is here now."""
        try:
            more = self._promised.look()
        except SameskyError as error:
            self.trouble, self._settle_at = str(error), now + RECHECK_S
            return
        if not self._promised.all_here:
            self._settle_at = now if more else now + SETTLE_S
            return
        self._settle_at = math.inf
        if self._promised.forgotten:
            self.ask_for_check(now)
        elif not self._held:
            self._prove(now)

    # ------------------------------------------------------------------ what isn't believed

    def _judge_removals(self, removals: Sequence[Announcement]) -> list[Announcement]:
        """All of them, or none: few enough, and from the tree that we know, or accepted by a person."""
        if not self.neighbour:
            self.neighbour = self._answering_node
        count, most = len(removals), max(FEWEST_REMOVALS, self._tree.count // 100)
        is_another = self._answering_node != self.neighbour
        if not count or (count <= most and not is_another):
            return list(removals)
        if count <= self._accept_removals:
            _log.warning("mesh_removals_accepted neighbour=%s count=%d", self._answering_node, count)
            self.neighbour, self._accept_removals = self._answering_node, 0
            return list(removals)
        if is_another:
            self._hold(count, "a tree that isn't the neighbour's of before")
        else:
            self._hold(count, f"the neighbour's tree, more than the {most} done unasked")
        return []

    def _hold(self, count: int, where: str) -> None:
        self.trouble = f"{count_of(count, 'file')} were removed in {where}: nothing was removed here"
        self.remedy = f"If they are to go here too, start this peer once with `--accept-removals {count}`."
        _log.warning("mesh_removals_held neighbour=%s reason=%r", self._answering_node, self.trouble)

    def _judge_misfits(self, misfits: dict[str, Sum]) -> None:
        """Files that change while they are compared explain any misfit, but not the same one again and again."""
        counts = {path: self._misfits.get(path, (misfit, 0)) for path, misfit in misfits.items()}
        self._misfits = {
            path: (misfit, counts[path][1] + 1 if counts[path][0] == misfit else 1) for path, misfit in misfits.items()
        }
        if any(times >= SAME_MISFITS for _, times in self._misfits.values()):
            self.suspect = True
            self.trouble = "the sums of a directory don't fit its files, there or here"

    def _count(self, reason: Reason, times: int = 1) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + times
