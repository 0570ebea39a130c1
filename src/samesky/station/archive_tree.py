"""The time tree of one table of one database: kept up to date, saved, and never trusted for ever.

All work is done in slices, so that whoever owns the tree can answer between them. Rows that are newer than the tree's
position are added up as they are read; leaves that were marked (`tree_store`, `dirty_triggers`) are read anew, and so
are, when asked for, whole spans: the last days, those that were read longest ago, or all.
"""

import heapq
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..core.timetree import CHILDREN, LEAF, NODE, NOTHING, STEP, Entry, Sum, add_up, sum_of
from ..errors import Unreachable
from .archive import Archive
from .dirty_triggers import DirtyLeaf, clear_dirty, read_dirty
from .tree_source import DaySource, Reading, RowSource, Source
from .tree_store import Node, TreeChange, TreeKind, TreeStore

_log = logging.getLogger(__name__)

MAX_ROWS = 2000
"""Rows read in one slice, by default: some 30 ms."""
SAVE_INTERVAL_S, SAVE_READINGS_S = 5.0, 600.0
MOST_UNSAVED = 100
_LEAF_S = 1 << LEAF
_MARKS_A_TIME = 100
_SPANS_A_TIME = 32


class ArchiveTree:
    """A `Tree` of the table ``kind`` of the database behind ``stream``, hashed by ``names``.

    ``names`` are sorted: columns, or for ``summary`` observations, whose entries are days. The ``owner`` saves what it
    finds; any other program begins with what was saved and keeps its own in memory. One thread's, and `attach` before
    anything else. Methods that read raise what `ArchiveReader` raises; the tree is whole nevertheless.
    """

    def __init__(
        self,
        store: TreeStore,
        stream: str,
        kind: TreeKind,
        names: Sequence[str],
        *,
        owner: bool,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream, self.kind = stream, kind
        self.silent_changes = 0
        """Leaves whose rows had changed without a mark, found by reading them again."""
        self.changes = 0
        """Leaves that were other than before when they were read again, marked or not."""
        self._scope = ",".join(names)
        self._source: Source = RowSource(names) if kind == "archive" else DaySource(names)
        self._marks = store
        self._owner, self._heeded_notes = owner, frozenset[DirtyLeaf]()
        self._store = store if owner else store.copy_tree(stream, kind, self._scope)
        self._clock, self._timer = clock, timer
        self._archive: Archive | None = None
        self._stale: list[int] = []
        self._unsavable = False
        self._load()

    def attach(self, archive: Archive) -> None:
        """Read from ``archive`` from now on: an open connection to the same database."""
        self._archive = archive

    @property
    def position(self) -> int:
        """Time of the last row in the sums."""
        return self._position

    # ------------------------------------------------------------------ what it says

    def nodes(self) -> Mapping[int, Sum]:
        """As `Tree.nodes`; it changes with the tree."""
        return self._sums

    def leaves(self, node: int) -> Mapping[int, Sum]:
        """As `Tree.leaves`."""
        return self._read_leaves(node << STEP, ((node + 1) << STEP) - 1)

    def entries(self, leaf: int) -> Sequence[Entry]:
        """As `Tree.entries`: what is in the table now, later than the position too."""
        return self._read_span(leaf, ((leaf + 1) << LEAF) - 1, max_rows=_LEAF_S + 1).entries

    def oldest_read(self) -> int:
        """Since when (epoch seconds) every span between the first row and the position has been read from the rows."""
        return min(self._read_at.values(), default=int(self._clock()))

    # ------------------------------------------------------------------ upkeep

    def refresh(self, until: int, *, max_rows: int = MAX_ROWS) -> bool:
        """Read about ``max_rows`` rows; whether all rows up to ``until`` are in the sums, and no leaf is marked."""
        self._follow_others()
        self._follow_table()
        left = self._heed_marks(max_rows)
        complete = left > 0 and self._append(until, left)
        position, seen = self._position, self._seen
        self._save_when_due()
        # Another owner may have come between, who is behind us: then its sums are ours now.
        return complete and self._position >= position and self._seen >= seen

    def mark_dirty(self, times: Iterable[int]) -> None:
        """Have the leaves of these times read anew by the next `refresh`, here and in every program's tree."""
        self._marks.mark(self.stream, self.kind, times)

    def require_fresh(self, since: int) -> None:
        """Have `reread` read all spans that were last read before ``since``."""
        self._note_first()
        # A span of which a part was read before then begins anew.
        for node in [node for node, (_, began) in self._node_midway.items() if began < since]:
            del self._node_midway[node]
        self._add_stale(node for node, read_at in self._read_at.items() if read_at < since)

    def recheck_recent(self, seconds: int) -> None:
        """Have `reread` read the last ``seconds`` before the position."""
        first = (self._position - seconds) >> NODE
        self._add_stale(node for node in self._read_at if node >= first)

    def scrub(self, count: int, *, before: float = math.inf) -> bool:
        """Have `reread` read so many spans, empty ones too: those that were read longest ago, and before that moment.

        Returns whether there is any.
        """
        self._note_first()
        chosen = heapq.nsmallest(count, self._read_at, key=lambda node: (self._read_at[node], node))
        old = [node for node in chosen if self._read_at[node] < before]
        self._add_stale(old)
        return bool(old)

    def distrust(self, nodes: Iterable[int]) -> None:
        """Have `reread` read these spans."""
        chosen = list(nodes)
        for node in chosen:
            self._note_unread(node)
            self._node_midway.pop(node, None)
        self._add_stale(chosen)

    def reread(self, *, max_rows: int = MAX_ROWS) -> bool:
        """Read about ``max_rows`` rows of the spans asked for, oldest first; whether none is left."""
        self._follow_others()
        left = max_rows
        while self._stale and left > 0:
            left -= self._reread_nodes(left) + 1
        self._save_when_due()
        return not self._stale

    def save(self) -> None:
        """Save what is new since the last time, if this is the owner's; what can't be saved is kept (`Unreachable`)."""
        self._saved_at = self._timer()
        if not self._unsaved and not self._touched and self._saved_state == (self._position, self._seen):
            return
        nodes = {node: self._node(node) for node in self._touched}
        change = TreeChange(self._position, self._seen, self._unsaved, nodes)
        if not self._store.save(self._id, self._version, change):
            self._load()  # another program's tree has been saved, which is as good as ours
            return
        self._version += 1
        self._mark_saved()

    # ------------------------------------------------------------------ saved state

    def _load(self) -> None:
        saved = self._store.load(self.stream, self.kind, self._scope)
        self._id, self._version = saved.id, saved.version
        self._position, self._seen = saved.position, saved.seen
        self._sums = {index: node.sum for index, node in saved.nodes.items() if node.sum.count}
        self._read_at = {index: node.read_at for index, node in saved.nodes.items()}
        # Where a mark, or a span, that was too large for one slice goes on.
        self._mark_midway = (0, 0)
        self._node_midway: dict[int, tuple[int, int]] = {}
        self._saved_at = self._timer()
        self._mark_saved()

    def _mark_saved(self) -> None:
        self._unsaved: dict[int, Sum] = {}
        self._touched: set[int] = set()
        self._saved_state = (self._position, self._seen)

    def _follow_others(self) -> None:
        if not self._store.is_current(self._id, self._version):
            self._load()

    def _save_when_due(self) -> None:
        """A build is saved slice by slice, live records every few seconds: what a crash takes is read again.

        When spans were read that are as before is saved seldom: it is news to nobody, and memory cards wear out.
        """
        many = len(self._unsaved) > MOST_UNSAVED and not self._unsavable
        is_news = self._unsaved or self._saved_state != (self._position, self._seen)
        if not many and self._timer() - self._saved_at < (SAVE_INTERVAL_S if is_news else SAVE_READINGS_S):
            return
        try:
            self.save()
            self._unsavable = False
        except Unreachable as error:
            if not self._unsavable:
                _log.warning("sums_not_saved stream=%s error=%r; it is tried again", self.stream, str(error))
            self._unsavable = True

    def _node(self, index: int) -> Node | None:
        read_at = self._read_at.get(index)
        return None if read_at is None else Node(self._sums.get(index, NOTHING), read_at)

    # ------------------------------------------------------------------ the table

    def _follow_table(self) -> None:
        """Take what triggers have noted, and notice when the newest rows are gone.

        The notes are cleared after that look only, by the owner. While they are there, triggers note rows that are
        inserted before what was deleted; afterwards those rows are new to us.
        """
        archive = self._attached()
        noted = read_dirty(archive) if self.kind == "archive" else ()
        fresh = [each.leaf for each in noted if each not in self._heeded_notes]
        kept = self._marks.mark_leaves(self.stream, self.kind, fresh)
        newest = self._source.read_newest(archive, self._position) if self._position else 0
        if newest < self._position:
            self._rewind(newest)
        if not self._owner:
            self._heeded_notes = frozenset(noted)
        elif noted and kept:
            clear_dirty(archive, noted)

    def _rewind(self, newest: int) -> None:
        """Nothing is left after ``newest``; what has come before the position since then is read as new."""
        first, last = (newest >> LEAF) + 1, self._position >> LEAF
        silent, gone = not self._is_marked(last), self._read_leaves(first, last)
        # A mark, not a note of our own: when the other scopes look, newer rows may be there again.
        self._marks.mark_from(self.stream, self.kind, self._find_unchanged(newest))
        self.silent_changes += silent
        self.changes += 1
        for leaf, each in gone.items():
            self._put(leaf, NOTHING, each)
        for node in [node for node in self._read_at if node > newest >> NODE]:
            del self._read_at[node]
            self._touched.add(node)
        self._position = newest

    def _find_unchanged(self, newest: int) -> int:
        """From when on rows may have come since the newest were deleted: after a leaf that is as we know it."""
        time = newest
        for _ in range(CHILDREN):
            leaf = time >> LEAF
            read = self._read_span(leaf, min(((leaf + 1) << LEAF) - 1, newest), max_rows=_LEAF_S + 1)
            if sum_of(read.entries) == self._read_leaves(leaf, leaf).get(leaf):
                return (leaf + 1) << LEAF
            time = self._source.read_newest(self._attached(), (leaf << LEAF) - 1)
            if not time:
                break
        return 0

    def _heed_marks(self, left: int) -> int:
        """Read marked leaves anew; how many rows are left to be read in this slice, 0 when marks are left too."""
        while marks := self._marks.read_marks(self.stream, self.kind, after=self._seen, limit=_MARKS_A_TIME):
            for mark in marks:
                number, leaf = self._mark_midway
                leaf = leaf if number == mark.number else mark.first
                last = min(mark.last, self._position >> LEAF)
                while leaf <= last:
                    if left <= 0:
                        self._mark_midway = (mark.number, leaf)
                        return 0
                    leaf, rows, _ = self._reread(leaf, last, left)
                    left -= rows + 1
                self._seen = mark.number
        return max(left, 1)

    def _append(self, until: int, max_rows: int) -> bool:
        """Add rows after the position; whether there are no more up to ``until``."""
        if until <= self._position:
            return True
        now = int(self._clock())
        read = self._source.read_entries(self._attached(), self._position, until, max_rows=max_rows)
        if entries := read.entries:
            edge = self._position >> LEAF
            known = self._read_leaves(edge, edge)
            self._note_read(entries[0][0], entries[-1][0], now)
            for leaf, each in _by_leaf(entries).items():
                old = known.get(leaf, NOTHING)
                self._put(leaf, old + each, old)
            self._position = entries[-1][0]
        return read.reached >= until

    def _note_read(self, first: int, last: int, now: int) -> None:
        """Spans from the position to ``last`` have been read, those without rows too; the position's span before."""
        begin = (self._position >> NODE) + 1 if self._read_at else first >> NODE
        for node in range(begin, (last >> NODE) + 1):
            self._read_at[node] = now
            self._touched.add(node)

    # ------------------------------------------------------------------ reading again

    def _reread_nodes(self, max_rows: int) -> int:
        """Read the next spans asked for anew, as many as ``max_rows`` rows fill; how many were read."""
        node, end = self._next_stale()
        first, began = self._node_midway.pop(node, (node << STEP, int(self._clock())))
        following, rows, changed = self._reread(first, (end << STEP) - 1, max_rows)
        self.silent_changes += sum(not self._is_marked(leaf) for leaf in changed)
        for done in range(node, following >> STEP):
            self._stale.pop()
            self._on_reread(done, began)
        if following % CHILDREN:
            self._node_midway[following >> STEP] = (following, began)
        return rows

    def _next_stale(self) -> tuple[int, int]:
        """The next span asked for, and the end of those that follow it without a gap."""
        node = self._stale[-1]
        end = node + 1
        for following in reversed(self._stale[-_SPANS_A_TIME:-1]):
            if following != end or following in self._node_midway:
                break
            end += 1
        return node, end

    def _on_reread(self, node: int, began: int) -> None:
        if node in self._read_at:
            self._read_at[node] = began
            self._touched.add(node)
            self._set_sum(node, add_up(self.leaves(node).values()))  # whatever has become of the one saved

    def _reread(self, first: int, last: int, max_rows: int) -> tuple[int, int, list[int]]:
        """Read leaves ``first`` to ``last`` anew, as many as ``max_rows`` rows fill, one at least.

        Returns the leaf to go on with, the rows read, and the leaves whose sums have changed.
        """
        end = min(((last + 1) << LEAF) - 1, self._position)
        if end < first << LEAF:
            return last + 1, 0, []
        read = self._read_span(first, end, max_rows=max_rows)
        following = last + 1 if read.reached >= end else (read.reached + 1) >> LEAF
        if following == first:
            return self._reread(first, first, _LEAF_S + 1)
        found = _by_leaf(read.entries)
        known = self._read_leaves(first, following - 1)
        changed = [
            leaf for leaf in found.keys() | known.keys() if leaf < following and found.get(leaf) != known.get(leaf)
        ]
        self.changes += len(changed)
        for leaf in changed:
            self._put(leaf, found.get(leaf, NOTHING), known.get(leaf, NOTHING))
        return following, read.rows, changed

    def _note_first(self) -> None:
        """Rows may have been put before the first one known."""
        first = self._source.read_first(self._attached())
        if first and self._read_at:
            self._note_unread(first >> NODE)

    def _note_unread(self, node: int) -> None:
        """A span that holds rows, or did, and has never been read as a whole; nor have those up to the known ones."""
        first, last = min(self._read_at, default=node + 1), max(self._read_at, default=node)
        for unread in (*range(node, first), *range(last + 1, node + 1)):
            self._read_at[unread] = 0
            self._touched.add(unread)

    def _add_stale(self, nodes: Iterable[int]) -> None:
        self._stale = sorted({*self._stale, *nodes}, key=lambda node: (self._read_at.get(node, 0), node), reverse=True)

    def _is_marked(self, leaf: int) -> bool:
        return self._marks.is_marked(self.stream, self.kind, leaf, after=self._seen)

    def _read_span(self, first: int, end: int, *, max_rows: int) -> Reading:
        return self._source.read_entries(self._attached(), max((first << LEAF) - 1, 0), end, max_rows=max_rows)

    def _attached(self) -> Archive:
        if self._archive is None:
            raise RuntimeError("a tree reads from an archive: attach one first")
        return self._archive

    # ------------------------------------------------------------------ sums

    def _read_leaves(self, first: int, last: int) -> dict[int, Sum]:
        saved = self._store.read_leaves(self._id, first, last)
        newer = {leaf: each for leaf, each in self._unsaved.items() if first <= leaf <= last}
        return {leaf: each for leaf, each in (saved | newer).items() if each.count}

    def _put(self, leaf: int, new: Sum, old: Sum) -> None:
        node = leaf >> STEP
        if node not in self._read_at:
            self._note_unread(node)
        self._unsaved[leaf] = new
        self._touched.add(node)
        self._set_sum(node, self._sums.get(node, NOTHING) + (new - old))

    def _set_sum(self, node: int, each: Sum) -> None:
        if each.count:
            self._sums[node] = each
        else:
            self._sums.pop(node, None)


def _by_leaf(entries: Iterable[Entry]) -> dict[int, Sum]:
    leaves: dict[int, list[Entry]] = {}
    for entry in entries:
        leaves.setdefault(entry[0] >> LEAF, []).append(entry)
    return {leaf: sum_of(each) for leaf, each in leaves.items()}
