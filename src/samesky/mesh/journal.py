"""All that a peer writes, in a thread of its own and in batches: while one is being written, the next one gathers.

So an idle peer stores a file at once, and a busy one pays for a transaction, and for the disk, once for hundreds.
What can't be written (the disk is full) is kept and tried again: its messages aren't acknowledged meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import time_ns
from typing import NamedTuple

from ..errors import DataError, SameskyError
from ..link.message import Message
from .announcement import Announcement, Entry
from .fetching import Fetched, Job
from .index import Index
from .storing import Item, Outcome, Storing
from .tree import Tree
from .waiting import Waiting, WaitingRow

_log = logging.getLogger(__name__)

FAILURE_PAUSE_S = 5.0
REFILL = 1000
PATIENCE_S = 0.004
"""What brings no file waits so long for one: most files are fetched sooner, and are written with their rows then."""


@dataclass(slots=True, eq=False)
class Work:
    """An announcement that is being dealt with, until it is announced again."""

    announcement: Announcement
    neighbour: int
    row: WaitingRow
    message: Message | None = None
    """To be acknowledged when the row is written."""
    row_id: int = 0
    late: bool = False
    job: Job | None = None
    superseded: bool = False
    """Something newer of this path came meanwhile."""


@dataclass(slots=True)
class Cycle:
    """What is to be written together."""

    added: list[Work] = field(default_factory=list)
    kept: list[tuple[WaitingRow, Message | None, int]] = field(default_factory=list)
    """Rows for which there is no room in memory now, and whose message (of which neighbour) it was."""
    stored: list[tuple[Work, Fetched | None]] = field(default_factory=list)
    """None: the file is to be removed."""
    passed_on: list[Work] = field(default_factory=list)
    """Works without a file of our own: only their announcements are to be made."""
    touched: list[tuple[Entry, int]] = field(default_factory=list)
    postponed: list[tuple[Work, int]] = field(default_factory=list)
    finished: list[Work] = field(default_factory=list)
    done: list[int] = field(default_factory=list)
    """Ids of rows that need nothing more."""
    released: list[int] = field(default_factory=list)
    """Ids of rows to announce that are held here no longer."""
    refill: int = 0
    refill_announcements: int = 0

    def __bool__(self) -> bool:
        return any(getattr(self, name) for name in _LISTS) or self.refill > 0 or self.refill_announcements > 0


_ROW_LISTS = ("added", "kept", "touched", "postponed", "finished", "done")
_LISTS = (*_ROW_LISTS, "stored", "passed_on", "released")


@dataclass(slots=True)
class Written:
    """What came of a cycle; ``cycle`` holds what could be written, the rest is tried again."""

    cycle: Cycle
    outcomes: list[tuple[Work, Fetched | None, Outcome]] = field(default_factory=list)
    rows: list[WaitingRow] = field(default_factory=list)
    to_announce: list[WaitingRow] = field(default_factory=list)
    next_due_ns: int | None = None
    error: str = ""
    damage: DataError | None = None

    @property
    def has_all_rows(self) -> bool:
        """Whether ``rows`` were asked for and are all that is due."""
        return len(self.rows) < self.cycle.refill


class Journal:
    """Writes for the peer ``consumer`` of the tree in ``folder``. All methods belong to the loop's thread."""

    def __init__(
        self,
        tree: Tree,
        consumer: str,
        *,
        durable: bool,
        announces: bool,
        on_written: Callable[[Written], None],
    ) -> None:
        self._tree, self._consumer, self._durable, self._announces = tree, consumer, durable, announces
        self._on_written = on_written
        self._loop = asyncio.get_running_loop()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="samesky-mesh-writing")
        self._next = Cycle()
        self._timer: asyncio.TimerHandle | None = None
        self._running = False
        self._paused = False
        self._closed = False
        self._opened: _Opened | None = None

    # ------------------------------------------------------------------ what to write

    def add(self, work: Work) -> None:
        """Remember that this is to be done."""
        self._next.added.append(work)
        self._begin()

    def keep(self, row: WaitingRow, message: Message | None, neighbour: int) -> None:
        """Remember that this is to be done, when there is room again."""
        self._next.kept.append((row, message, neighbour))
        self._begin()

    def store(self, work: Work, fetched: Fetched) -> None:
        """Put a file in its place."""
        self._next.stored.append((work, fetched))
        self._begin_now()

    def remove(self, work: Work) -> None:
        """Remove a file."""
        self._next.stored.append((work, None))
        self._begin_now()

    def pass_on(self, work: Work) -> None:
        """There is nothing to store: the announcement is all."""
        self._next.passed_on.append(work)
        self._begin()

    def touch(self, entry: Entry, pub_time: int) -> None:
        """Note a later time of a file that is here."""
        self._next.touched.append((entry, pub_time))
        self._begin()

    def postpone(self, work: Work, due_ns: int) -> None:
        """Do this later."""
        self._next.postponed.append((work, due_ns))
        self._begin()

    def finish(self, work: Work) -> None:
        """Nothing is left to be done of this."""
        self._next.finished.append(work)
        self._begin()

    def done(self, row_ids: list[int]) -> None:
        """As `finish`, of rows."""
        self._next.done += row_ids
        self._begin()

    def release(self, row_ids: list[int]) -> None:
        """These are to be handed out again."""
        self._next.released += row_ids
        self._begin()

    def refill(self, limit: int) -> None:
        """Hand out so many rows that are due."""
        self._next.refill = max(self._next.refill, limit)
        self._begin()

    def refill_announcements(self, limit: int) -> None:
        """Hand out so many rows of files that are stored and perhaps not announced."""
        self._next.refill_announcements = max(self._next.refill_announcements, limit)
        self._begin()

    async def close(self) -> None:
        """Write what has gathered, and end the thread."""
        while self._running or (self._next and not self._paused):
            self._begin_now()
            await asyncio.sleep(0.01)
        self._closed = True
        if self._opened is not None:
            await self._loop.run_in_executor(self._executor, self._opened.state.close)
        self._executor.shutdown()

    # ------------------------------------------------------------------ cycles

    def _begin(self) -> None:
        """Write soon."""
        if self._timer is None and not self._running:
            self._timer = self._loop.call_later(PATIENCE_S, self._begin_now)

    def _begin_now(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running or self._paused or self._closed or not self._next:
            return
        self._running = True
        cycle, self._next = self._next, Cycle()
        self._loop.run_in_executor(self._executor, self._write, cycle).add_done_callback(self._finish)

    def _finish(self, future: "asyncio.Future[tuple[Written, Cycle]]") -> None:
        self._running = False
        written, left = future.result()
        self._put_back(left)
        if written.error:
            self._paused = True
            self._loop.call_later(FAILURE_PAUSE_S, self._resume)
        self._on_written(written)
        if self._next.stored:
            self._begin_now()
        elif self._next:
            self._begin()

    def _resume(self) -> None:
        self._paused = False
        self._begin_now()

    def _put_back(self, left: Cycle) -> None:
        mine = self._next
        for name in _LISTS:
            setattr(mine, name, getattr(left, name) + getattr(mine, name))
        mine.refill = max(mine.refill, left.refill)
        mine.refill_announcements = max(mine.refill_announcements, left.refill_announcements)

    # ------------------------------------------------------------------ the writing thread

    def _write(self, cycle: Cycle) -> tuple[Written, Cycle]:
        """Write a cycle; returns what came of it, and what couldn't be written."""
        written = Written(Cycle())
        # A file that is here before its row was written needs none but that of its announcement.
        at_once = {id(work) for work, _ in cycle.stored if not work.row_id}
        fresh = [work for work in cycle.added if id(work) in at_once]
        cycle.added = [work for work in cycle.added if id(work) not in at_once]
        try:
            self._write_rows(cycle, written)
            self._write_files(cycle, written)
            self._note_fresh(fresh, cycle, written)
            self._read_rows(cycle, written)
        except SameskyError as error:
            if not written.outcomes:
                cycle.added += fresh
            written.error = str(error)
            written.damage = error if isinstance(error, DataError) else None
        return written, cycle

    def _write_rows(self, cycle: Cycle, written: Written) -> None:
        """The rows that are new, and those that are done with; each list is emptied when it is written."""
        if not any(getattr(cycle, name) for name in _ROW_LISTS):
            return  # nearly always on an idle peer, and an empty transaction would hold its file up
        opened = self._open()
        index, waiting = opened.state, opened.waiting
        must_last = bool(cycle.added or cycle.kept)  # their messages are acknowledged
        with index.file.writing() if must_last else index.file.writing_lightly():
            ids = waiting.add([work.row for work in cycle.added], take=True)
            for work, row_id in zip(cycle.added, ids, strict=True):
                work.row_id = row_id
            waiting.add([row for row, _, _ in cycle.kept])
            index.touch(cycle.touched)
            waiting.postpone([(work.row_id, due_ns) for work, due_ns in cycle.postponed])
            waiting.done([*cycle.done, *(work.row_id for work in cycle.finished)])
        for name in _ROW_LISTS:
            setattr(written.cycle, name, getattr(cycle, name))
            setattr(cycle, name, [])

    def _write_files(self, cycle: Cycle, written: Written) -> None:
        opened = self._open()
        if cycle.passed_on:
            opened.waiting.to_announce([work.row_id for work in cycle.passed_on])
            written.cycle.passed_on, cycle.passed_on = cycle.passed_on, []
        if cycle.stored:
            items = [_make_item(work, fetched, announces=self._announces) for work, fetched in cycle.stored]
            outcomes = opened.storing.store(items)
            written.outcomes = [(*each, outcome) for each, outcome in zip(cycle.stored, outcomes, strict=True)]
            cycle.stored = []

    def _note_fresh(self, fresh: list[Work], cycle: Cycle, written: Written) -> None:
        """Those that couldn't be stored get a row in the next cycle, before they are postponed."""
        if not fresh:
            return
        outcomes = {id(work): outcome for work, _, outcome in written.outcomes}
        for work in fresh:
            outcome = outcomes[id(work)]
            work.row_id = outcome.row_id
            (cycle if outcome.state == "failed" else written.cycle).added.append(work)

    def _read_rows(self, cycle: Cycle, written: Written) -> None:
        waiting = self._open().waiting
        waiting.release(cycle.released)
        written.cycle.released, cycle.released = cycle.released, []
        if cycle.refill:
            written.rows = waiting.next(cycle.refill, time_ns())
        if cycle.refill_announcements:
            written.to_announce = waiting.next_to_announce(cycle.refill_announcements)
        written.cycle.refill, cycle.refill = cycle.refill, 0
        written.cycle.refill_announcements, cycle.refill_announcements = cycle.refill_announcements, 0
        if written.has_all_rows or written.cycle.postponed:
            written.next_due_ns = waiting.next_due()

    def _open(self) -> "_Opened":
        if self._opened is None:
            index = Index(self._tree.folder, durable=self._durable)
            waiting = Waiting(index.file, self._consumer)
            self._opened = _Opened(index, waiting, Storing(self._tree, index, waiting, durable=self._durable))
        return self._opened


class _Opened(NamedTuple):
    """What belongs to the writing thread."""

    state: Index
    waiting: Waiting
    storing: Storing


def _make_item(work: Work, fetched: Fetched | None, *, announces: bool) -> Item:
    row = work.row if announces and not work.row_id else None
    if fetched is None:
        return Item(work.announcement, row_id=work.row_id, row=row)
    return Item(work.announcement, fetched.content, fetched.name, fetched.sha512, work.row_id, row)
