"""Why two ends differ though nothing is to be done about it, and for how long that is believed.

The centre may have rows that the site has no more, or refuse some of the site's. An explanation holds both digests, and
is believed for these alone; explanations of groups add up to those of their day, month and table, so that the next
comparison ends at the top.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from .digest_question import By
from .digests import Group, GroupDigest, Key
from .proof import MOST_EXAMPLES

DOUBT_S = 86_400
"""So long a refusal or an alteration is believed; then the rows are sent again: a parent may be there now."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What is known of differences; tallies of several groups are added up."""

    extra: int = 0
    """Rows that only the centre has."""
    refused: int = 0
    """Rows that the centre refuses."""
    altered: int = 0
    """Groups that the centre doesn't keep as they are sent."""
    different: int = 0
    """Groups that differ for a reason that isn't known: they weren't sent again."""
    missing: int = 0
    """At least so many rows of these aren't at the centre."""
    since: float = math.inf
    """When the first was found to be refused or altered, in Unix seconds."""
    examples: tuple[Group, ...] = ()

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.extra + other.extra,
            self.refused + other.refused,
            self.altered + other.altered,
            self.different + other.different,
            self.missing + other.missing,
            min(self.since, other.since),
            (self.examples + other.examples)[:MOST_EXAMPLES],
        )


NOTHING = Tally()


def add_up(tallies: Iterable[Tally]) -> Tally:
    """All these together."""
    return sum(tallies, NOTHING)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two digests that differ, and why: nothing is to be done as long as both are these."""

    site: GroupDigest
    centre: GroupDigest
    tally: Tally


class Explained(Protocol):
    """What is remembered of one table and one centre. Losing it costs time alone."""

    def read(self, by: By, key: Key) -> Explanation | None:
        """The newest explanation for ``key``."""

    def write(self, by: By, key: Key, explanation: Explanation) -> None:
        """Remember ``explanation`` in place of any older one."""


class Explaining:
    """Explains differences at ``now`` (Unix seconds); ``retry``: believes no refusal that was found earlier."""

    def __init__(self, explained: Explained, *, now: float, retry: bool) -> None:
        self._explained = explained
        self.now = now
        self._believed_since = now if retry else now - DOUBT_S

    def explain(self, by: By, key: Key, here: GroupDigest, there: GroupDigest) -> Tally | None:
        """What is known of ``key``, which has these digests at the site and at the centre; None: it has to be found."""
        if here == there:
            return NOTHING
        if not here.count:
            return Tally(extra=there.count)
        known = self._explained.read(by, key)
        if known is None or (known.site, known.centre) != (here, there):
            return None
        doubtful = known.tally.since < self._believed_since
        return None if doubtful else known.tally

    def remember(self, by: By, key: Key, here: GroupDigest, there: GroupDigest, tally: Tally) -> None:
        """Remember what ``tally`` says of ``key``, if it says all, and something that digests don't say."""
        if here != there and here.count and not tally.different:
            self._explained.write(by, key, Explanation(here, there, tally))
