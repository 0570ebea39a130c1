"""Which leaves to compare row by row, where stored sums aren't to be believed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from ..core.timetree import LEAF, NODE, View
from .archive import Archive
from .check_question import TreeName
from .check_session import CheckSession, Scope
from .days import DAY_S
from .description import Description


def read_first(archive: Archive, description: Description) -> int:
    """The time of the first record of either side; 1 when there is none."""
    times = [int(row[0]) for row in archive.read_rows(["dateTime"], 0, 1)]
    return max(1, min([*times, *([description.first] if description.first is not None else [])], default=1))


def record_leaves(first: int, until: int) -> Sequence[int]:
    """All leaves that may hold a record from ``first`` to ``until``."""
    return range(first >> LEAF, (until >> LEAF) + 1)


def day_leaves(description: Description, view: View) -> list[int]:
    """All leaves that may hold the beginning of a day of the primary's, or summaries of the copy's own."""
    leaves = {day >> LEAF for day in _midnights(description) if day <= view.until}
    nodes = {node for top in view.tops() for node in view.children(NODE, top)}
    return sorted(leaves | {leaf for node in nodes for leaf in view.children(LEAF, node)})


def compare_rows(
    views: Mapping[TreeName, View],
    until: int,
    scope: Scope,
    description: Description,
    records: Sequence[int],
    *,
    among: Iterable[int] | None = None,
) -> CheckSession:
    """A session over the leaves ``records``, and those of the daily summaries, all of them or those in ``among``."""
    leaves: dict[TreeName, Sequence[int]] = {"archive": records}
    if scope.summaries:
        days = day_leaves(description, views["summary"])
        leaves["summary"] = days if among is None else sorted(set(days) & set(among))
    return CheckSession.of_rows(views, until, scope, leaves)


def _midnights(description: Description) -> Iterator[int]:
    """The primary's midnights from its first record to its last, and one too many when summer time ends."""
    ends = [start for start, _ in description.day_offsets[1:]] + [(description.last or 0) + 1]
    for (start, _), end in zip(description.day_offsets, ends, strict=True):
        yield from range(start, end, DAY_S)
