"""Is a copy its primary? Looks, beside whatever else works on the copy, and changes nothing at either end.

By the sums that are kept of both, it takes a second and a few hundred bytes. Sums are as good as what has been noted of
changes since they were made; ``share`` has that part of the records compared row by row, as they are on the disk now.
"""

import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.timetree import LEAF, STEP, TOP, View
from ..errors import ConfigError, DataError, DifferenceFound
from .agreement import Agreement, CopySettings, agree
from .archive import Archive, open_archive
from .archive_sqlite import SqliteArchive
from .check_question import TreeName
from .check_session import CheckSession, Repair, Scope
from .checks import scope_of
from .conversation import Conversation, Say
from .days import DAY_S
from .decisions import UNDECIDED, check_primary
from .description import Description
from .location import Location
from .row_by_row import compare_rows, read_first, record_leaves
from .schema import UNIT_SYSTEMS
from .stanza import RequesterConfig
from .state import FILE_NAME as STATE_FILE
from .state import State
from .stream_trees import StreamTrees
from .tree_store import FILE_NAME as SUMS_FILE
from .tree_store import TreeStore
from .verdict import Found, Verdict

_MOST_NAMES = 5


@dataclass(frozen=True, slots=True)
class Compared:
    """What can be compared of both sides, and what can't."""

    scope: Scope
    columns: tuple[str, ...]
    observations: tuple[str, ...]
    notes: tuple[str, ...]


def verify(
    config: RequesterConfig,
    stream: str,
    *,
    state_dir: Path,
    share: float = 0.0,
    say: Say = lambda text: None,
    choose: Callable[[Sequence[int], int], list[int]] = random.sample,
) -> Verdict:
    """Compare the copy of ``stream`` with its primary, as far as the copy goes.

    ``share`` of the spans of 36 hours, chosen by ``choose``, are compared row by row; 1: all, and SQLite's own check of
    the file as well. Raises `Unreachable`, `ConfigError`, or `DataError` for a damaged database.
    """
    began = time.monotonic()
    settings = find_copy(config, stream)
    with closing(open_to_read(settings.location)) as archive:
        if share == 1.0:
            say(f"{stream}: looking for damage in {settings.location}")
            check_integrity(archive)
        with Conversation(config, stream, purpose="verify", say=say) as primary:
            description = primary.describe()
            look = _Look(archive, primary, description, settings, state_dir, share=share, say=say, choose=choose)
            verdict = look.run()
            held, obstacle = _read_state(state_dir, stream, description)
            return replace(
                verdict,
                held=held,
                obstacle="" if verdict.same else obstacle,
                messages=primary.messages,
                size_bytes=primary.size_bytes,
                seconds=time.monotonic() - began,
            )


def find_copy(config: RequesterConfig, stream: str) -> CopySettings:
    """The settings of a stream's copy; raises `ConfigError` when it isn't followed."""
    for settings in config.follow.copies:
        if settings.stream == stream:
            return settings
    followed = ", ".join(each.stream for each in config.follow.copies)
    raise ConfigError(f"{stream} isn't followed here", hint=f"Those that are: {followed}.")


def open_to_read(location: Location) -> Archive:
    """The archive, for reading alone: whatever is tried, the database refuses to change."""
    archive = open_archive(location)
    if isinstance(archive, SqliteArchive):
        archive.read_query("PRAGMA query_only = ON")
    else:
        archive.apply_statement("SET SESSION TRANSACTION READ ONLY")
    return archive


def check_integrity(archive: Archive) -> None:
    """SQLite's own look at every page of the file; raises `DataError` when it is damaged."""
    if not isinstance(archive, SqliteArchive):
        return
    found = [str(row[0]) for row in archive.read_query("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DataError(
            f"SQLite database {archive.location} is damaged: {'; '.join(found)}",
            hint="Stop what writes to it and bring back a backup, or move it away: a copy fetches all of it again.",
        )


def open_sums(state_dir: Path) -> TreeStore:
    """The sums that a running copy keeps; where none does, its place isn't made."""
    return TreeStore(state_dir if (state_dir / SUMS_FILE).is_file() else None)


def plan_comparison(description: Description, archive: Archive, settings: CopySettings) -> Compared:
    """What can be compared of a primary of this description and the copy as it is."""
    # With these settings nothing is made and nothing is added, and what only WeeWX can do isn't asked for.
    as_it_is = replace(settings, create=False, missing_columns="ignore")
    agreement = agree(description, archive, as_it_is, weewx=True)
    scope, columns, observations = scope_of(description, agreement)
    return Compared(scope, columns, observations, tuple(_notes(description, archive, agreement)))


class _Look:
    """One verification."""

    def __init__(
        self,
        archive: Archive,
        primary: Conversation,
        description: Description,
        settings: CopySettings,
        state_dir: Path,
        *,
        share: float,
        say: Say,
        choose: Callable[[Sequence[int], int], list[int]],
    ) -> None:
        self._archive, self._primary, self._description = archive, primary, description
        self._settings, self._state_dir = settings, state_dir
        self._share, self._say, self._choose = share, say, choose
        self._until = archive.read_position(time.time()) if archive.read_columns() else 0
        self._views: dict[TreeName, View] = {}
        self._missing = self._different = self._extra = self._days = Found()
        self._unexplained = False

    def run(self) -> Verdict:
        if not self._until or not self._description.count:
            return self._judge_empty()
        compared = plan_comparison(self._description, self._archive, self._settings)
        with closing(open_sums(self._state_dir) if self._share < 1.0 else TreeStore(None)) as store:
            self._add_up(compared, store)
            count = self._compare(compared.scope)
        root = self._views["archive"].root()
        same = not self._found_any and (self._share == 1.0 or not self._unexplained)
        return Verdict(
            stream=self._settings.stream,
            same=same,
            through=self._until,
            here=root.count,
            there=root.count + self._missing.count - self._extra.count if count is None else count,
            digest=root.digest(b"").hex() if same else "",
            missing=self._missing,
            different=self._different,
            extra=self._extra,
            days=self._days,
            notes=(*compared.notes, *self._notes_on_sums()),
            share=self._share,
        )

    @property
    def _found_any(self) -> bool:
        return any(each.count for each in (self._missing, self._different, self._extra, self._days))

    def _notes_on_sums(self) -> Iterable[str]:
        if self._unexplained and self._share == 1.0:
            yield "the sums kept at the primary don't fit its records, which are the same: it will find that out itself"
        elif self._unexplained:
            yield "the sums kept at one side don't fit its records: samesky verify --deep compares the records alone"

    def _judge_empty(self) -> Verdict:
        """One side has nothing, so there is nothing to ask."""
        there = self._description
        first = self._archive.read_rows(["dateTime"], 0, 1, until=self._until) if self._until else ()
        ends = [int(first[0][0]), self._until] if first else []
        here = self._count_here() if first else 0
        return Verdict(
            stream=self._settings.stream,
            same=not here and not there.count,
            through=self._until,
            here=here,
            there=there.count,
            missing=Found(there.count, (), there.first, there.last) if there.count else Found(),
            extra=replace(Found().plus(ends), count=here, examples=tuple(ends[:1])) if here else Found(),
            share=self._share,
        )

    def _count_here(self) -> int:
        query = f"SELECT COUNT(*) FROM `{self._archive.table}` WHERE `dateTime` <= {int(self._until)}"
        return int(self._archive.read_query(query)[0][0])

    # ------------------------------------------------------------------ comparing

    def _add_up(self, compared: Compared, store: TreeStore) -> None:
        trees = StreamTrees(
            store,
            self._settings.stream,
            compared.columns,
            compared.observations,
            owner=False,
            timer=time.monotonic,
            clock=time.time,
        )
        while not trees.refresh(self._archive, self._until):
            self._say(f"{self._settings.stream}: adding up the copy's records")
        names: tuple[TreeName, ...] = ("archive", "summary")
        self._views = {name: trees.view(name, self._until) for name in names}

    def _compare(self, scope: Scope) -> int | None:
        """Note what differs; how many records the primary has, where it was asked."""
        if self._share == 1.0 and not self._compare_rows(scope):
            return None
        session = CheckSession(self._views, self._until, scope)
        self._go_through(session)
        self._unexplained = not session.same and not self._found_any
        if session.differs == ("archive", "summary"):
            first = read_first(self._archive, self._description) - DAY_S
            tops = range(first >> TOP, (self._until >> TOP) + 1)
            self._go_through(CheckSession.of_spans(self._views, self._until, scope, "summary", tops))
        if session.same and 0.0 < self._share < 1.0:
            self._compare_rows(scope)
        return session.count

    def _compare_rows(self, scope: Scope) -> bool:
        """Compare rows themselves; whether they are the same."""
        records = record_leaves(read_first(self._archive, self._description), self._until)
        among = None
        if self._share < 1.0:
            records = among = self._sample(records)
        session = compare_rows(self._views, self._until, scope, self._description, records, among=among)
        self._go_through(session)
        return bool(session.same)

    def _sample(self, leaves: Sequence[int]) -> list[int]:
        """Those of the leaves that lie in the spans of 36 hours that are chosen."""
        nodes = range(leaves[0] >> STEP, (leaves[-1] >> STEP) + 1)
        chosen = set(self._choose(nodes, math.ceil(len(nodes) * self._share)))
        return [leaf for leaf in leaves if leaf >> STEP in chosen]

    def _go_through(self, session: CheckSession) -> None:
        for repair in self._primary.go_through(session):
            self._note(repair)

    def _note(self, repair: Repair) -> None:
        if repair.tree == "summary":
            self._days = self._days.plus({*repair.times, *repair.gone})
            return
        times = [int(str(time)) for time in repair.rows.column("dateTime")]
        leaves = {time >> LEAF for time in times}
        here = {time for leaf in leaves for time, _ in self._views["archive"].entries(leaf)}
        self._missing = self._missing.plus(time for time in times if time not in here)
        self._different = self._different.plus(time for time in times if time in here)
        self._extra = self._extra.plus(repair.gone)


def _read_state(state_dir: Path, stream: str, description: Description) -> tuple[str, str]:
    """Why the copy is stopped, and what a repair would have to be told; empty when there is nothing."""
    if not (state_dir / STATE_FILE).is_file():
        return "", ""
    with closing(State(state_dir)) as state:
        held = state.read_hold(stream)
        try:
            check_primary(state, description, stream, UNDECIDED)
        except DifferenceFound as error:
            return held, f"{error}. {error.hint}"
    return held, ""


def _notes(description: Description, archive: Archive, agreement: Agreement) -> Iterable[str]:
    """What isn't compared, in words."""
    if agreement.converts:
        here, there = (UNIT_SYSTEMS.get(each or 0, str(each)) for each in (agreement.units, agreement.source_units))
        yield f"the copy is in {here}, the primary in {there}: only the records' times were compared"
    elif lacking := [name for name in description.column_names if name not in agreement.names]:
        more = f" and {len(lacking) - _MOST_NAMES} more" if lacking[_MOST_NAMES:] else ""
        yield f"the copy lacks {', '.join(lacking[:_MOST_NAMES])}{more}: not compared"
    if not archive.read_summary_kinds():
        if description.summaries:
            yield "the copy has no daily summaries: not compared"
    elif agreement.summaries != "copied" and description.summaries:
        yield "the copy makes daily summaries of its own: not compared"
    elif lacking := [obs for obs, _ in description.summaries if obs not in agreement.observations]:
        more = f" and {len(lacking) - _MOST_NAMES} more" if lacking[_MOST_NAMES:] else ""
        yield f"the copy lacks the daily summaries of {', '.join(lacking[:_MOST_NAMES])}{more}: not compared"
