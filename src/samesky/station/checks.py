"""The copy's part in checks, around the brain (`checker`): sums of the copy, sessions, repairs, and what came of it.

Belongs to the requester's thread. Nothing here raises for what a database or a peer does: a check that can't go on is
given up and tried again later, and the records go on coming meanwhile.
"""

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.strict import Refused
from ..core.timetree import Sum
from ..errors import SameskyError
from ..link.message import Message
from .agreement import Agreement
from .check_messages import CheckAnswer
from .check_question import TreeName
from .check_session import CheckSession, Repair, Scope
from .checker import (
    CHECK_INTERVAL_S,
    Apply,
    AskCheck,
    CheckAction,
    Checker,
    Delete,
    Hold,
    Proof,
    Proven,
    most_deletions,
)
from .copying import Copy
from .description import Description
from .dirty_triggers import ensure_triggers
from .found import FoundKind, count_days
from .messages import ErrorAnswer, LiveRoot
from .quarantine import Quarantine, quarantine_path
from .repairing import Repairing
from .state import State
from .stream_trees import OthersChanges, StreamTrees
from .tree_store import TreeStore

_log = logging.getLogger(__name__)

EMPTY_PAUSE_S = 60.0
FAILURE_PAUSE_S = 5.0
"""After the database or the sums have failed: a disk that is full now will be in a moment."""
BRISK_SLICES = 10
"""So many slices of adding up follow each other at once when a check waits for them; after more there are pauses."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """How a copy checks itself."""

    sums: TreeStore
    state_dir: Path | None = None
    """Where the quarantine of a copy on a server is kept; that of a SQLite copy is beside it."""
    interval_s: float = CHECK_INTERVAL_S
    """From one check to the next when nothing else asks for one."""
    track_changes: bool = False
    """Whether to note changes by hand as they are made, with triggers in the copy's database."""
    enabled: bool = True
    state: State | None = None
    """Where it is kept what checks have found."""


def scope_of(description: Description, agreement: Agreement) -> tuple[Scope, tuple[str, ...], tuple[str, ...]]:
    """What can be compared of a primary and its copy; with it the columns and the observations to add up here.

    Records that were converted from other units are compared by their times alone.
    """
    columns = ("dateTime",) if agreement.converts else tuple(sorted(agreement.names))
    observations = agreement.observations if agreement.summaries == "copied" else ()
    scope = Scope(
        columns=columns if set(columns) != set(description.column_names) else (),
        observations=observations if set(observations) != {obs for obs, _ in description.summaries} else (),
        summaries=bool(observations),
    )
    return scope, columns, observations


class Checks:
    """Checks one copy. ``publish`` sends; ``on_hold`` is told the reason when a person has to decide.

    ``is_held`` says whether somebody has stopped the copy meanwhile: what was undone mustn't be repaired again.
    """

    def __init__(
        self,
        copy: Copy,
        checker: Checker,
        settings: CheckSettings,
        *,
        publish: Callable[[Message], object],
        on_hold: Callable[[str], None],
        is_held: Callable[[], bool],
        clock: Callable[[], float],
        timer: Callable[[], float],
    ) -> None:
        self.checker = checker
        self.proof: Proof | None = None
        self.different: bool | None = None
        self.repaired = 0
        self._copy, self._settings = copy, settings
        self._publish, self._on_hold, self._is_held = publish, on_hold, is_held
        self._clock, self._timer = clock, timer
        self._scope = Scope()
        self._trees: StreamTrees | None = None
        self._origin = ""
        self._position = 0
        self._paused_until = -math.inf
        self._slices = 0
        self._live_root: LiveRoot | None = None
        self._session_name = ""
        self._quarantine: Quarantine | None = None
        self._changes = OthersChanges()
        self._checked_root = Sum()
        self._may_be_found = settings.state is not None
        """Whether something is kept as found and not mended; before the first proof one can't know."""
        copy.on_changed = self._mark

    @property
    def is_whole(self) -> bool:
        """Whether the copy holds all that its primary does, column for column, summaries included."""
        return self._trees is not None and self._scope == Scope()

    # ------------------------------------------------------------------ the stream

    def on_prepared(self, description: Description) -> None:
        """The copy is ready for a primary of this description."""
        if not self._settings.enabled:
            return
        scope, columns, observations = scope_of(description, self._copy.agreement)
        self._origin = description.origin
        if self._trees and (self._trees.columns, self._trees.observations) == (columns, observations):
            return
        if self._settings.track_changes:
            ensure_triggers(self._copy.archive)
        self._scope, self._changes = scope, OthersChanges()
        self._trees = StreamTrees(
            self._settings.sums,
            self.checker.stream,
            columns,
            observations,
            owner=True,
            timer=self._timer,
            clock=self._clock,
        )

    def on_connected(self) -> None:
        """The link is up."""
        self.checker.on_connected(self._timer())

    def on_disconnected(self) -> None:
        """The link is down."""
        self.checker.on_disconnected()
        self._live_root = None

    def on_live_root(self, root: LiveRoot) -> None:
        """A live record has brought the primary's root; it is compared when that record is stored."""
        self._live_root = root

    def close(self) -> None:
        """Save the sums, close the quarantine."""
        if self._quarantine is not None:
            self._quarantine.close()
        if self._trees is not None:
            try:
                self._trees.save()
            except SameskyError as error:
                _log.warning("sums_not_saved stream=%s error=%r", self.checker.stream, str(error))

    # ------------------------------------------------------------------ work

    def next_time(self, live: bool) -> float:
        """When `work` has something to do, by the timer."""
        if self._trees is None:
            return math.inf
        if not live:
            due = self.checker.next_time() if self.checker.phase == "checking" else math.inf
        else:
            sums = self._trees.next_time(self._position) if self._position else math.inf
            due = min(self.checker.next_time(), sums)
        return max(due, self._paused_until)

    def work(self, live: bool) -> None:
        """Do what is due: add up, begin a check, ask again. ``live``: nothing is known to be missing here."""
        now = self._timer()
        if self._trees is None or now < self._paused_until:
            return
        try:
            begins = live and self.checker.wants_to_begin(now)  # which adds up as well
            if live and (self._live_root or (not begins and self._is_behind(self._trees, now))):
                self._add_up(self._trees)
                self._compare_live_root(self._trees)
            if begins:
                self._begin(self._trees)
            self._do(self.checker.on_tick(now))
        except SameskyError as error:
            self._fail(error)

    def _is_behind(self, trees: StreamTrees, now: float) -> bool:
        return not self._position or now >= trees.next_time(self._position)

    def _add_up(self, trees: StreamTrees) -> None:
        self._position = self._copy.read_settled_position(self._clock())
        if self._position:
            trees.work(self._copy.archive, self._position)
            if self._changes.take(trees):
                self._on_changed(trees)

    def _on_changed(self, trees: StreamTrees) -> None:
        """Somebody else has changed the copy: it is checked soon, and isn't called the same until then."""
        proof = self.proof
        if proof is not None and trees.view("archive", proof.through).root() != proof.root:
            self.different = True
        self.checker.on_changed(self._timer())

    def _compare_live_root(self, trees: StreamTrees) -> None:
        root = self._live_root
        if root is None or root.until > self._position or self._scope.columns:
            return
        self._live_root = None
        if root.until < self._position or self.checker.phase == "checking":
            return  # there is a newer one, or there will be
        here = trees.live_root(self._copy.archive, root.until)
        if here is None:
            return
        self.checker.on_live_root(here == root, self._timer())
        if here != root:
            self.different = True
            return
        # The root is of records alone: a difference in summaries that couldn't be mended is there as before.
        self._note_proof(root.until, root.count, different=self.different if self.checker.trouble else False)

    def _begin(self, trees: StreamTrees) -> None:
        if self._is_held():
            return
        until = self._copy.read_settled_position(self._clock())
        if not until:
            self.checker.postpone(self._timer(), EMPTY_PAUSE_S)
            return
        if not trees.refresh(self._copy.archive, until):
            self._slices, now = self._slices + 1, self._timer()
            self.checker.postpone(now, 0.0 if self._slices <= BRISK_SLICES else trees.next_time(until) - now)
            return
        self._slices = 0
        names: tuple[TreeName, ...] = ("archive", "summary")
        session = CheckSession({name: trees.view(name, until) for name in names}, until, self._scope)
        self._checked_root = session.views["archive"].root()
        self._do(self.checker.begin(session, self._timer()))

    def on_answer(self, answer: CheckAnswer) -> None:
        """An answer to one of the check's questions."""
        if answer.origin != self._origin:
            self.checker.counts.add("origin")
            return
        try:
            self._do(self.checker.on_answer(answer, self._timer()))
        except SameskyError as error:
            self._fail(error)

    def on_error(self, error: ErrorAnswer) -> None:
        """The primary can't answer."""
        self.checker.on_error(error, self._timer())

    def release(self) -> None:
        """A person has decided: check at once."""
        self.checker.release(self._timer())

    def _fail(self, error: SameskyError) -> None:
        if str(error) != self.checker.trouble:
            _log.warning("check_given_up stream=%s error=%r", self.checker.stream, str(error))
        if not isinstance(error, Refused):
            self._copy.recover()
            self._paused_until = self._timer() + FAILURE_PAUSE_S
        self.checker.give_up(str(error), self._timer())

    # ------------------------------------------------------------------ actions

    def _do(self, actions: Iterable[CheckAction]) -> None:
        for action in actions:
            match action:
                case Apply() | Delete() if self._is_held():
                    self.checker.abandon(self._timer())
                    return
                case AskCheck(message):
                    self._publish(message)
                    self.checker.on_asked(self._timer())
                case Apply(repair):
                    self._apply(repair)
                case Delete(tree, times):
                    self._delete(tree, times)
                case Hold(count, of, times):
                    self._note_found("extra", times)
                    self._hold(count, of)
                case Proven(through, count):
                    self._session_name = ""
                    self._prove(through, count)

    def _apply(self, repair: Repair) -> None:
        self.different = True
        repairing, now = self._repairing(), self._clock()
        if repair.tree == "archive":
            done = repairing.apply_rows(repair.rows.records(), now, self._session())
            self.repaired += done.inserted + done.overwritten
            changed = f"inserted={done.inserted} overwritten={done.overwritten}"
        else:
            rows = repairing.replace_days(repair.times, list(repair.rows.rows()), now, self._session())
            self.repaired += rows
            changed = f"summary_rows={rows}"
        _log.info("repaired stream=%s session=%s %s", self.checker.stream, self._session_name, changed)

    def _delete(self, tree: TreeName, times: tuple[int, ...]) -> None:
        self.different = True
        repairing, now = self._repairing(), self._clock()
        if tree == "archive":
            deleted = repairing.delete(times, now, self._session())
        else:
            deleted = repairing.replace_days(times, [], now, self._session())
        self.repaired += deleted
        _log.info(
            "repaired stream=%s session=%s tree=%s deleted=%d", self.checker.stream, self._session_name, tree, deleted
        )

    def _hold(self, count: int, of: int) -> None:
        self.different = True
        self._on_hold(
            f"{count:,} of {of:,} records of this copy are not at the primary, more than the {most_deletions(of)} that "
            f"are deleted unasked; nothing was deleted. Was the primary restored from an old backup? If the primary is "
            f"right: samesky repair --stream {self.checker.stream} --accept-deletions {count}"
        )

    def _prove(self, through: int, count: int) -> None:
        """The roots agreed: that is a proof, unless rows were changed after the check had begun."""
        assert self._trees is not None
        if self._trees.view("archive", through).root() != self._checked_root:
            self.checker.on_changed(self._timer())
            return
        self._note_proof(through, count)

    def _note_proof(self, through: int, count: int, *, different: bool | None = False) -> None:
        """The records are the primary's. Who sees from another thread that all is, finds what was found mended."""
        assert self._trees is not None
        root = self._trees.view("archive", through).root()
        if not different:
            self._mend_found()
        self.proof, self.different = Proof(through, count, root, self._clock()), different

    def _note_found(self, kind: FoundKind, times: Iterable[int]) -> None:
        """Keep what this check has found, day by day."""
        if self._settings.state is not None:
            self._may_be_found = True
            self._settings.state.note_found(
                self.checker.stream, kind, count_days(kind, times), check=self._session(), now=self._clock()
            )

    def _mend_found(self) -> None:
        if self._may_be_found and self._settings.state is not None:
            self._may_be_found = False
            self._settings.state.mend_found(self.checker.stream, self._clock())

    def _session(self) -> str:
        if not self._session_name:
            self._session_name = self._kept().new_session(self._clock())
        return self._session_name

    def _kept(self) -> Quarantine:
        if self._quarantine is None:
            settings = self._copy.settings
            self._quarantine = Quarantine(quarantine_path(settings.location, self._settings.state_dir, settings.stream))
        return self._quarantine

    def _repairing(self) -> Repairing:
        return Repairing(self._copy, self._kept(), mark_dirty=self._mark, on_found=self._note_found)

    def _mark(self, tree: TreeName, times: Iterable[int]) -> None:
        chosen = tuple(times)
        self._changes.own = True
        if self._trees is not None:
            self._trees.mark_dirty(tree, chosen)
        elif self._settings.enabled:
            self._settings.sums.mark(self.checker.stream, tree, chosen)
