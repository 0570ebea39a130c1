"""Groups that differ: what is sent again, and what is known when the centre has answered. No I/O here.

Groups are sent until the centre says of all their rows that it had them already. What differs then has rows that only
the centre has, or lacks those that it refused. A group that is written each time that it is sent alone is *altered*:
the centre doesn't keep what it is given, and sending it once more would be no use.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .digest_question import By
from .digests import NO_ROWS, Group, GroupDigest
from .explanations import Explaining, Tally


@dataclass(frozen=True, slots=True)
class Resent:
    """What became of groups that were sent again."""

    rows: int
    written: int
    """Rows that the centre hadn't, or had otherwise. 0: it has these rows as they are here, but for those refused."""
    refused: Mapping[Group, int] = field(default_factory=dict)
    """How many rows of each group the centre refused."""


Resend = Callable[[Sequence[Group]], Resent]
"""Sends all rows that these groups have in what is compared, read in the same snapshot as their digests."""
Ask = Callable[[Sequence[int]], Mapping[Group, GroupDigest]]
"""The centre's digests of all groups of these days, as they are now."""


@dataclass(slots=True)
class Settling:
    """The groups of some days at the site and at the centre; what is found out is remembered by ``explaining``."""

    here: Mapping[Group, GroupDigest]
    there: dict[Group, GroupDigest]
    """At the centre, as it last said."""
    ask: Ask
    resend: Resend
    explaining: Explaining
    written: int = 0
    """Rows that the centre wrote."""

    def settle(self, groups: Sequence[Group], *, again: bool = False) -> None:
        """Send ``groups``, which differ, until all is known of them; ``again``: they have been sent before."""
        resent = self._send(groups)
        left = [group for group in groups if self._differs(group)]
        if not left:
            return
        if not resent.written:
            for group in left:
                self._judge(group, resent.refused.get(group, 0))
        elif not again:
            self.settle(left, again=True)
        elif len(left) == 1:
            self._judge_altered(left[0], resent.refused.get(left[0], 0))
        else:
            middle = len(left) // 2
            self.settle(left[:middle], again=True)
            self.settle(left[middle:], again=True)

    def _send(self, groups: Sequence[Group]) -> Resent:
        resent = self.resend(groups)
        self.written += resent.written
        days = {day for day, _ in groups}
        answer = self.ask(sorted(days))
        for group in [group for group in self.there if group[0] in days]:
            del self.there[group]
        self.there.update(answer)
        return resent

    def _differs(self, group: Group) -> bool:
        return self.here[group] != self.there.get(group, NO_ROWS)

    def _judge(self, group: Group, refused: int) -> None:
        """The centre has all rows of ``group`` but those ``refused``: whatever else it has, the site hasn't."""
        extra = self.there.get(group, NO_ROWS).count - (self.here[group].count - refused)
        if extra < 0 or (extra == 0 and not refused):
            self._judge_altered(group, refused)
        elif refused:
            self._remember(group, Tally(extra=extra, refused=refused, since=self.explaining.now, examples=(group,)))
        else:
            self._remember(group, Tally(extra=extra))

    def _judge_altered(self, group: Group, refused: int) -> None:
        self._remember(group, Tally(altered=1, refused=refused, since=self.explaining.now, examples=(group,)))

    def _remember(self, group: Group, tally: Tally) -> None:
        self.explaining.remember(By.GROUP, group, self.here[group], self.there.get(group, NO_ROWS), tally)
