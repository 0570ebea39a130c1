"""The primary's own records of a short span, asked for over the broker, to be shown beside the copy's.

It is the last step of a check, with the copy saying that it has nothing: so a primary needs to know nothing new, and
only whoever may check may ask.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.timetree import LEAF, MemoryTree, View
from .archive import Archive
from .check_question import TreeName
from .check_session import CheckSession
from .conversation import Conversation, Say
from .stanza import RequesterConfig
from .verification import find_copy, plan_comparison

MOST_ROWS = 5000
LONGEST_S = 8 * 86_400


@dataclass(frozen=True, slots=True)
class PrimaryRows:
    """What a primary has in a span, and which columns can be compared with the copy's."""

    records: Mapping[int, Mapping[str, Any]]
    """By time."""
    compared: frozenset[str]
    notes: tuple[str, ...]
    """What can't be compared, and why."""
    asked_at: float
    cut: bool = False
    """Whether there are more, which weren't asked for."""


def read_primary_rows(
    config: RequesterConfig, stream: str, archive: Archive, *, since: int, until: int, say: Say = lambda text: None
) -> PrimaryRows:
    """The primary's records after ``since`` and not after ``until``; ``archive`` is the copy's, to be read.

    Raises as `Conversation`, and `ValueError` for a span that is longer than a few days.
    """
    if until - since > LONGEST_S:
        raise ValueError("so long a span isn't asked for at once")
    with Conversation(config, stream, purpose="look", say=say) as primary:
        description = primary.describe()
        compared = plan_comparison(description, archive, find_copy(config, stream))
        last = min(until, description.last or 0)
        names: tuple[TreeName, ...] = ("archive", "summary")
        nothing = {name: View(MemoryTree(()), last) for name in names}
        leaves = range((since + 1) >> LEAF, (last >> LEAF) + 1)
        session = CheckSession.of_rows(nothing, last, compared.scope, {"archive": leaves})
        records: dict[int, Mapping[str, Any]] = {}
        for repair in primary.go_through(session):
            found = zip(repair.rows.column("dateTime"), repair.rows.records(), strict=True)
            records |= {int(str(at)): record for at, record in found if since < int(str(at)) <= last}
            if len(records) > MOST_ROWS:
                break
    cut = len(records) > MOST_ROWS
    kept = dict(sorted(records.items())[:MOST_ROWS])
    return PrimaryRows(kept, frozenset(compared.columns), compared.notes, time.time(), cut)
