"""How a site compares one table with its centre, has what differs sent again, and says what was proven. No I/O here.

Both ends tell digests (`digest_question`): of each month (of everything first, where there are many months); of each
day in the months that differ; of each group (a day and a node) in those days. Groups that differ are sent again whole,
and asked for again (`settling`). The centre never deletes a row, so it may have more than the site; and it may refuse
a row. What differs for such a reason is remembered (`explanations`), so that one question is enough the next time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from .digest_question import WHOLE, By, Digests, months_between
from .digests import NO_ROWS, Group, GroupDigest, combine, combine_days
from .ends import Both, Ends, Parts, Window, ask_in_turn
from .explanations import NOTHING, Explained, Explaining, Tally, add_up
from .proof import Proof, describe_group
from .settling import Resend, Settling

__all__ = ["GROUPS_A_QUESTION", "Window", "compare", "window_of"]

FEW_MONTHS = 24
"""The digests of so many months are asked for at once, in 1 kB: if one differs, nothing has to be added up twice."""
GROUPS_A_QUESTION = 4000
"""Digests of so many groups are asked for at once, if days can be cut so small: some 200 kB."""


def window_of(earliest_s: int | None, position: Sequence[object] | None) -> Window | None:
    """What can be compared: from the site's earliest row to the second of the centre's position; None if nothing can.

    Rows of that very second behind the position differ then, and are sent: the next run would have sent them anyhow.
    So are those of 1970, which a clock that was never set tells: the centre refuses them, and that is said.
    """
    if earliest_s is None or not position or type(position[0]) is not int:
        return None
    window = Window(max(earliest_s, 0), position[0] + 1)
    return window if window.from_s < window.to_s else None


def compare(
    table: str,
    window: Window | None,
    *,
    site: Digests,
    centre: Digests,
    explained: Explained,
    now: float,
    resend: Resend | None = None,
    deep: bool = False,
    retry: bool = False,
    say: Callable[[str], None] = lambda _: None,
    both: Both = ask_in_turn,
) -> Proof:
    """Compare ``table`` in ``window`` at both ends, have what differs sent again if ``resend`` is given, and tell.

    ``site`` and ``resend`` read one snapshot. ``now``: Unix seconds. ``deep``: no digest that was kept is believed, at
    either end. ``retry``: what the centre refused or altered is sent again, though no row changed (a node that it
    didn't know may be known now). ``say`` is told what is being done, now and then. ``both`` may ask the two ends at
    the same time. Raises whatever ``site``, ``centre`` and ``resend`` raise; what was found until then is remembered.
    """
    if window is None:
        return Proof(table=table, same=True, rows=0, rows_at_centre=0, digest=NO_ROWS.digest.hex(), at=now)
    explaining = Explaining(explained, now=now, retry=retry)
    comparison = _Comparison(table, window, Ends(site, centre, window, both), explaining, resend, say)
    return comparison.run(deep=deep)


@dataclass(slots=True)
class _Comparison:
    """Each method but `run` returns the centre's digest of a part as it is when all is done, and what was found."""

    table: str
    window: Window
    ends: Ends
    explaining: Explaining
    resend: Resend | None
    say: Callable[[str], None]
    written: int = 0

    def run(self, *, deep: bool) -> Proof:
        """Everything; where that differs, month by month."""
        months = self._read_deeply() if deep else self._read_few()
        here, there = (combine(months[0]), combine(months[1])) if months else self.ends.whole()
        tally = self.explaining.explain(By.ALL, WHOLE, here, there)
        if tally is None:
            there, tally = self._compare_months(*(months or self.ends.parts(By.MONTH)))
            self.explaining.remember(By.ALL, WHOLE, here, there, tally)
        return self._prove(here, there, tally)

    def _read_few(self) -> tuple[Parts, Parts] | None:
        """The digests of all months, if these are few."""
        return self.ends.parts(By.MONTH) if len(months_between(*self.window)) <= FEW_MONTHS else None

    def _read_deeply(self) -> tuple[Parts, Parts]:
        """The digests of all months that have rows, made anew at both ends: a month a question, as that takes long."""
        here: Parts = {}
        there: Parts = {}
        known = self.ends.parts(By.MONTH)
        for month in sorted({*known[0], *known[1]}):
            self.say(f"{self.table}: reading all rows of {_spell(month)} at both ends")
            of_month = self.ends.parts(By.MONTH, (month,), deep=True)
            here |= of_month[0]
            there |= of_month[1]
        return here, there

    def _compare_months(self, here: Parts, there: Parts) -> tuple[GroupDigest, Tally]:
        tally, after = NOTHING, dict(there)
        for month in sorted({*here, *there}):
            digests = here.get(month, NO_ROWS), there.get(month, NO_ROWS)
            found = self.explaining.explain(By.MONTH, month, *digests)
            if found is None:
                self.say(f"{self.table}: looking for what differs in {_spell(month)}")
                after[month], found = self._compare_days(month, there.get(month, NO_ROWS))
                self.explaining.remember(By.MONTH, month, digests[0], after[month], found)
            tally += found
        return combine(after), tally

    def _compare_days(self, month: int, there: GroupDigest) -> tuple[GroupDigest, Tally]:
        if there.count:
            days_here, after = self.ends.parts(By.DAY, (month,))
        else:
            days_here, after = self.ends.site.parts(By.DAY, (month,)), {}
        found = {
            day: self.explaining.explain(By.DAY, day, days_here.get(day, NO_ROWS), after.get(day, NO_ROWS))
            for day in {*days_here, *after}
        }
        tally = add_up(each for each in found.values() if each is not None)
        groups_here = self.ends.site.groups(sorted(day for day, each in found.items() if each is None))
        for part in _cut(groups_here):
            days = sorted({day for day, _ in part})
            groups_there = self.ends.centre.groups(days) if after.keys() & set(days) else {}
            tallies = self._compare_groups(part, groups_there)
            of_days = combine_days(groups_there)
            for day in days:
                after[day] = of_days.get(day, NO_ROWS)
                self.explaining.remember(By.DAY, day, days_here[day], after[day], tallies[day])
            tally += add_up(tallies.values())
        return combine(after), tally

    def _compare_groups(self, here: dict[Group, GroupDigest], there: dict[Group, GroupDigest]) -> dict[int, Tally]:
        """The tallies of the days; ``there`` is what the centre has when this is done."""
        differing = [group for group in sorted(here) if self._explain_group(group, here, there) is None]
        if differing and self.resend is not None:
            settling = Settling(here, there, self.ends.centre.groups, self.resend, self.explaining)
            settling.settle(differing)
            self.written += settling.written
        tallies = {day: NOTHING for day, _ in here}
        for group in sorted({*here, *there}):
            found = self._explain_group(group, here, there)
            tallies[group[0]] += _describe_difference(group, here, there) if found is None else found
        return tallies

    def _explain_group(
        self, group: Group, here: Mapping[Group, GroupDigest], there: Mapping[Group, GroupDigest]
    ) -> Tally | None:
        return self.explaining.explain(By.GROUP, group, here.get(group, NO_ROWS), there.get(group, NO_ROWS))

    def _prove(self, here: GroupDigest, there: GroupDigest, tally: Tally) -> Proof:
        return Proof(
            table=self.table,
            same=not (tally.refused or tally.altered or tally.different),
            rows=here.count,
            rows_at_centre=there.count,
            digest=here.digest.hex(),
            at=self.explaining.now,
            from_s=self.window.from_s,
            to_s=self.window.to_s,
            extra_at_centre=tally.extra,
            refused=tally.refused,
            altered_groups=tally.altered,
            different_groups=tally.different,
            missing=tally.missing,
            examples=tuple(describe_group(*group) for group in tally.examples),
            resent_rows=self.written,
            questions=self.ends.centre.questions,
        )


def _describe_difference(group: Group, here: Mapping[Group, GroupDigest], there: Mapping[Group, GroupDigest]) -> Tally:
    """What is known of a group that differs for an unknown reason."""
    missing = here.get(group, NO_ROWS).count - there.get(group, NO_ROWS).count
    return Tally(different=1, missing=max(0, missing), examples=(group,))


def _cut(groups: Mapping[Group, GroupDigest]) -> Iterator[dict[Group, GroupDigest]]:
    """The groups of whole days, `GROUPS_A_QUESTION` at most where a day hasn't more."""
    part: dict[Group, GroupDigest] = {}
    for _, of_day in groupby(sorted(groups), key=itemgetter(0)):
        day = {group: groups[group] for group in of_day}
        if part and len(part) + len(day) > GROUPS_A_QUESTION:
            yield part
            part = {}
        part |= day
    if part:
        yield part


def _spell(month: int) -> str:
    return f"{month // 100}-{month % 100:02}"
