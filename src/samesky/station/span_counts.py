"""Counts rows where sums are kept, to find what others have inserted or deleted, for a hundredth of a reading's work.

What was edited in place has the same count; that is found by reading (`ArchiveTree.reread`).
"""

from collections.abc import Callable, Iterator

from ..core.timetree import NODE, STEP, TOP
from .archive_reader import ArchiveReader
from .archive_tree import ArchiveTree


class SpanCounts:
    """Goes through the archive from the newest span of 48 days to the first, and around again. One thread's."""

    def __init__(self, timer: Callable[[], float]) -> None:
        self._timer = timer
        self._next: int | None = None
        """The span to go on with; None: the newest."""
        self._uncounted: set[int] | None = None
        """Spans that weren't counted in this round; None: none was yet."""

    @property
    def is_round_complete(self) -> bool:
        """Whether every span was counted since the round began."""
        return self._uncounted == set()

    def begin_round(self) -> None:
        """Somebody may have changed rows: all spans are to be counted again, from where the counting is."""
        self._uncounted = None

    def find_changed(self, tree: ArchiveTree, archive: ArchiveReader, *, budget_s: float) -> list[int]:
        """Spans of 36 hours that hold more or fewer rows than their sums say.

        Counts for about ``budget_s``, and no span twice. The tree has to be complete up to its position.
        """
        began, found = self._timer(), list[int]()
        counts: dict[int, int] = {}
        for node, each in tree.nodes().items():
            counts[node >> STEP] = counts.get(node >> STEP, 0) + each.count
        tops = list(_from(self._next, sorted(counts, reverse=True)))
        self._uncounted = set(tops) if self._uncounted is None else self._uncounted.intersection(tops)
        for number, top in enumerate(tops, 1):
            if _count(archive, top << TOP, (top + 1) << TOP, tree.position) != counts[top]:
                found += _find_nodes(tree, archive, top)
            self._uncounted.discard(top)
            self._next = tops[number] if number < len(tops) else None
            if self._timer() - began >= budget_s:
                break
        return found


def _from(first: int | None, tops: list[int]) -> Iterator[int]:
    """Those that come after ``first`` and then the others, for which there may be time as well."""
    at = next((at for at, top in enumerate(tops) if first is not None and top <= first), 0)
    yield from tops[at:]
    yield from tops[:at]


def _find_nodes(tree: ArchiveTree, archive: ArchiveReader, top: int) -> Iterator[int]:
    sums = tree.nodes()
    for node in range(top << STEP, (top + 1) << STEP):
        known = sums[node].count if node in sums else 0
        if _count(archive, node << NODE, (node + 1) << NODE, tree.position) != known:
            yield node


def _count(archive: ArchiveReader, first: int, end: int, position: int) -> int:
    """Rows from ``first`` to before ``end``, and not after ``position``."""
    query = (
        f"SELECT COUNT(*) FROM `{archive.table}` WHERE `dateTime` >= {archive.mark} AND `dateTime` <= {archive.mark}"
    )
    return int(archive.read_query(query, first, min(end - 1, position))[0][0])
