"""Making a copy its primary by command, beside whatever else works on the copy, and bringing back what that changed.

Rows are written as they are found, deletions come last and only within bounds; then both sides are compared again,
until their sums agree. What is overwritten or deleted is in the quarantine before. A running copy learns of all changes
by the marks that are left in its sums.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..core.counts import count_of
from ..core.timetree import View
from ..errors import DataError, DifferenceFound
from .check_question import TreeName
from .check_session import CheckSession, Repair, Scope
from .checker import MOST_ROUNDS, most_deletions
from .checks import scope_of
from .conversation import Conversation, Say
from .copying import Copy, WeewxCode
from .decisions import UNDECIDED, Decisions, check_primary
from .description import Description
from .found import FoundKind, count_days
from .quarantine import Quarantine, quarantine_path
from .repairing import MarkDirty, Repaired, Repairing, Undone
from .row_by_row import compare_rows, read_first, record_leaves
from .stanza import RequesterConfig
from .state import State
from .stream_trees import StreamTrees
from .tree_store import TreeStore
from .verdict import moment
from .verification import find_copy, open_sums


@dataclass(frozen=True, slots=True, kw_only=True)
class Mended:
    """A copy that is its primary up to ``through`` now, and what was changed for that."""

    stream: str
    through: int
    count: int
    """Records up to then."""
    digest: str
    """Of them, as in `Verdict`."""
    repaired: Repaired = field(default_factory=Repaired)
    deleted: int = 0
    """Records."""
    summary_rows: int = 0
    """Daily summary rows that were written or deleted."""
    session: str = ""
    """What the quarantine calls this repair; empty when nothing was kept there."""
    quarantine: Path | None = None
    released: str = ""
    """Why the copy was stopped, until now; empty when it wasn't."""
    rounds: int = 1
    messages: int = 0
    size_bytes: int = 0
    seconds: float = 0.0

    @property
    def changed(self) -> bool:
        """Whether anything was."""
        return bool(self.repaired.inserted or self.repaired.overwritten or self.deleted or self.summary_rows)

    def describe(self) -> str:
        """One line, without the stream's name."""
        spent = f"in {count_of(self.messages, 'message')}, {self.size_bytes:,} bytes, {self.seconds:.1f} s"
        proof = (
            f"the same: {count_of(self.count, 'record')} up to {moment(self.through)}, digest {self.digest}, {spent}"
        )
        if not self.changed:
            return f"nothing to repair; {proof}"
        done = f"{count_of(self.repaired.inserted, 'record')} inserted, {self.repaired.overwritten:,} overwritten, "
        done += f"{self.deleted:,} deleted"
        if self.summary_rows:
            done += f", {count_of(self.summary_rows, 'row')} of daily summaries mended"
        return f"repaired: {done}; now {proof}"


def repair(
    config: RequesterConfig,
    stream: str,
    *,
    state_dir: Path,
    weewx_code: WeewxCode | None = None,
    decisions: Decisions = UNDECIDED,
    deep: bool = False,
    say: Say = lambda text: None,
) -> Mended:
    """Make the copy of ``stream`` the same as its primary, as far as the copy goes, and let it go on if it is stopped.

    ``deep`` compares all records themselves, and believes no sums that either side has kept.

    Raises `DifferenceFound` where a person has to decide first, `Unreachable`, `ConfigError` or `DataError`. What was
    written until then stays, and can be undone.
    """
    began = time.monotonic()
    settings = find_copy(config, stream)
    with ExitStack() as stack:
        state = stack.enter_context(closing(State(state_dir)))
        sums = stack.enter_context(closing(open_sums(state_dir)))
        copy = stack.enter_context(closing(Copy(settings, weewx_code=weewx_code)))
        copy.open()
        path = quarantine_path(settings.location, state_dir, stream)
        quarantine = stack.enter_context(Quarantine(path))
        primary = stack.enter_context(Conversation(config, stream, purpose="repair", say=say))
        description = primary.describe()
        check_primary(state, description, stream, decisions)
        copy.prepare(description)
        mending = _Mending(copy, quarantine, primary, description, sums, state, decisions, deep, say)
        mended = mending.run()
        state.mend_found(stream, time.time())
        released = _release(state, stream, description)
        return replace(
            mended,
            quarantine=path,
            released=released,
            messages=primary.messages,
            size_bytes=primary.size_bytes,
            seconds=time.monotonic() - began,
        )


def undo(
    config: RequesterConfig, stream: str, session: str | None, *, state_dir: Path, weewx_code: WeewxCode | None = None
) -> Undone:
    """Bring back what the repair ``session`` (None: the last one) overwrote or deleted, and stop the copy.

    Stopped it has to be, else its next check would repair it again. Raises as `Repairing.undo`.
    """
    settings = find_copy(config, stream)
    with ExitStack() as stack:
        state = stack.enter_context(closing(State(state_dir)))
        sums = stack.enter_context(closing(open_sums(state_dir)))
        copy = stack.enter_context(closing(Copy(settings, weewx_code=weewx_code)))
        quarantine = stack.enter_context(Quarantine(quarantine_path(settings.location, state_dir, stream)))
        held = state.read_hold(stream)
        command = f"samesky repair --stream {stream}"
        state.write_hold(stream, f"{stream}: a repair was undone by hand; {command} makes it the primary's again")
        undone = Undone()
        try:
            undone = Repairing(copy, quarantine, mark_dirty=_marking(sums, stream)).undo(session)
        finally:
            if not undone.session:
                state.write_hold(stream, held)
        return undone


def _release(state: State, stream: str, description: Description) -> str:
    """Remember this primary as the right one, and let the copy go on; why it was stopped."""
    held = state.read_hold(stream)
    if description.origin:
        state.write_origin(stream, description.origin)
        state.write_count(stream, description.count)
    if held:
        state.write_hold(stream, "")
    return held


@dataclass(slots=True)
class _Mending:
    """One repair, round after round."""

    copy: Copy
    quarantine: Quarantine
    primary: Conversation
    description: Description
    sums: TreeStore
    state: State
    decisions: Decisions
    deep: bool
    say: Say
    repaired: Repaired = field(default_factory=Repaired)
    deleted: int = 0
    summary_rows: int = 0
    session: str = ""
    distrusted: bool = False
    gone: dict[TreeName, set[int]] = field(default_factory=dict)

    @property
    def stream(self) -> str:
        return self.copy.settings.stream

    def run(self) -> Mended:
        scope, columns, observations = scope_of(self.description, self.copy.agreement)
        if self.deep:
            self._distrust_sums()
        trees = StreamTrees(
            self.sums, self.stream, columns, observations, owner=False, timer=time.monotonic, clock=time.time
        )
        for number in range(1, MOST_ROUNDS + 1):
            session = self._begin(trees, scope)
            before = self._changes()
            self._go_through(session)
            if session.same:
                return self._conclude(session, number)
            if self._changes() == before:
                self._find_nothing()
        raise DifferenceFound(
            f"{self.stream}: still different after {MOST_ROUNDS} repairs",
            hint="samesky verify says where. Does another program change this copy's records all the time?",
        )

    def _begin(self, trees: StreamTrees, scope: Scope) -> CheckSession:
        until = self.copy.read_settled_position(time.time())
        if not until:
            raise DataError(
                f"{self.stream}: the copy has no record yet, so there is nothing to repair",
                hint="Start it: it fetches the whole history by itself.",
            )
        while not trees.refresh(self.copy.archive, until):
            self.say(f"{self.stream}: adding up the copy's records")
        views: dict[TreeName, View] = {
            "archive": trees.view("archive", until),
            "summary": trees.view("summary", until),
        }
        if not self.deep:
            return CheckSession(views, until, scope)
        records = record_leaves(read_first(self.copy.archive, self.description), until)
        return compare_rows(views, until, scope, self.description, records)

    def _conclude(self, session: CheckSession, rounds: int) -> Mended:
        root = session.views["archive"].root()
        return Mended(
            stream=self.stream,
            through=session.until,
            count=root.count,
            digest=root.digest(b"").hex(),
            repaired=self.repaired,
            deleted=self.deleted,
            summary_rows=self.summary_rows,
            session=self.session if self._has_kept() else "",
            rounds=rounds,
        )

    def _changes(self) -> int:
        return self.repaired.inserted + self.repaired.overwritten + self.deleted + self.summary_rows

    def _find_nothing(self) -> None:
        """The sums differ, but no record does that could be mended: once, have all sums of this copy made anew."""
        if self.distrusted:
            refused = self.repaired.refused
            why = f": {refused:,} of the primary's records can't be stored here" if refused else ""
            raise DifferenceFound(
                f"{self.stream}: still different, with nothing left to repair{why}",
                hint="samesky verify --deep compares the records themselves.",
            )
        self._distrust_sums()

    def _distrust_sums(self) -> None:
        """Have all sums of this copy made anew, by a running copy as well."""
        self.distrusted = True
        names: tuple[TreeName, ...] = ("archive", "summary")
        for tree in names:
            self.sums.mark_from(self.stream, tree, 0)

    def _go_through(self, session: CheckSession) -> None:
        self.gone = {"archive": set(), "summary": set()}
        for found in self.primary.go_through(session):
            self._apply(found)
        self._check_deletions(session.views["archive"].root().count)
        if self.gone["archive"]:
            self.deleted += self._repairing().delete(self.gone["archive"], time.time(), self._name())
        if self.gone["summary"]:
            days = self.gone["summary"]
            self.summary_rows += self._repairing().replace_days(days, [], time.time(), self._name())

    def _apply(self, found: Repair) -> None:
        self.gone[found.tree] |= set(found.gone)
        if not found.rows.count:
            return
        if found.tree == "archive":
            self.repaired += self._repairing().apply_rows(found.rows.records(), time.time(), self._name())
            done = self.repaired
            self.say(f"{self.stream}: {done.inserted:,} records inserted, {done.overwritten:,} overwritten")
        else:
            rows = list(found.rows.rows())
            self.summary_rows += self._repairing().replace_days(found.times, rows, time.time(), self._name())

    def _check_deletions(self, held_here: int) -> None:
        limit = max(most_deletions(held_here), self.decisions.deletions)
        for gone in self.gone.values():
            if len(gone) > limit:
                self._note_found("extra", self.gone["archive"])
                done = self.repaired
                raise DifferenceFound(
                    f"{self.stream}: {len(gone):,} of {held_here:,} records of this copy are not at the primary, more "
                    f"than the {limit:,} that are deleted unasked; nothing was deleted "
                    f"({done.inserted:,} records were inserted, {done.overwritten:,} overwritten)",
                    hint="Was the primary restored from an old backup? If the primary is right: "
                    f"samesky repair --stream {self.stream} --accept-deletions {len(gone)}",
                )

    def _repairing(self) -> Repairing:
        marking = _marking(self.sums, self.stream)
        return Repairing(self.copy, self.quarantine, mark_dirty=marking, on_found=self._note_found)

    def _note_found(self, kind: FoundKind, times: Iterable[int]) -> None:
        days = count_days(kind, times)
        self.state.note_found(self.stream, kind, days, check=self._name(), now=time.time())

    def _name(self) -> str:
        if not self.session:
            self.session = self.quarantine.new_session(time.time())
        return self.session

    def _has_kept(self) -> bool:
        return any(each.name == self.session for each in self.quarantine.sessions())


def _marking(sums: TreeStore, stream: str) -> MarkDirty:
    def mark(tree: TreeName, times: Iterable[int]) -> None:
        sums.mark(stream, tree, times)

    return mark
