"""The digests of one table at one end, of which only groups that changed are read: the cheap way to the exact answer.

A database can add up a checksum of all rows of a group itself, a million rows a second, but each kind of database in
its own way. So such checksums are compared with nothing but those that the same database gave before: a group that has
the same count and checksum has the digest that was kept for it, and the rows of the others are read. Both ends work so,
the site for its snapshot and the centre for each question, and both go through the months one by one: what is in memory
is a month's digests and `ROWS_AT_ONCE` rows.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple, Protocol

from ..core.columns import Table
from ..errors import Unreachable
from .digest_question import WHOLE, By, DigestQuestion, months_between
from .digests import (
    DAY_S,
    NO_ROWS,
    Group,
    GroupDigest,
    Key,
    combine,
    combine_days,
    day_of,
    days_of,
    digest_groups,
    month_of,
)
from .model import TableModel

ROWS_AT_ONCE = 20_000
"""Whole days are read together up to so many rows; a larger day is read group by group."""
EMPTY_MONTHS_AT_ONCE = 12
_Groups = dict[Group, GroupDigest]


class Unfinished(Unreachable):
    """The time is up, and digests are still to be made: ask again, what was made is kept. The centre answers 503."""

    code = "unfinished"


class Kept(NamedTuple):
    """What is kept of a group: rows, the database's checksum of them, and their digest."""

    count: int  # type: ignore[assignment]  # a tuple's count() isn't needed here
    checksum: int
    digest: bytes
    unfit: int = 0
    """Rows among these that aren't in the digest, because they can't be sent; a centre has none."""

    @property
    def of_fit_rows(self) -> GroupDigest:
        """The digest, with the number of its rows."""
        return GroupDigest(self.count - self.unfit, self.digest)


class DigestCache(Protocol):
    """Where digests are kept, for one database; losing any of it costs time alone."""

    def read(self, table: str, from_day: int, to_day: int) -> Mapping[Group, Kept]:
        """What is kept of ``from_day`` <= day < ``to_day``."""

    def write(self, table: str, kept: Mapping[Group, Kept]) -> None:
        """Keep these, in place of older ones of the same groups; also when the reading ends in `Unfinished`."""


class GroupSource(Protocol):
    """One consistent view of a table in one database, in the site's ids."""

    def read_checksums(self, from_s: int, to_s: int) -> Mapping[Group, tuple[int, int]]:
        """How many rows each group has with ``from_s`` <= time < ``to_s``, and the checksum of these."""

    def read_rows(self, from_s: int, to_s: int, second: int | None) -> Table:
        """All rows with such a time and, unless None, ``second`` in the key's second column; in any order."""


class Reading(NamedTuple):
    """Rows to be read at once: those with ``from_s`` <= time < ``to_s`` and, unless None, that ``second``."""

    from_s: int
    to_s: int
    second: int | None


@dataclass(slots=True)
class GroupDigests:
    """Answers questions about one table from one view of it.

    ``has_time`` is asked after each month; when it says no, `Unfinished` is raised, unless no row had to be read: so
    each question finishes sooner than the one before, and in the end is answered.
    """

    table: TableModel
    source: GroupSource
    cache: DigestCache
    has_time: Callable[[], bool] = lambda: True
    rows_read: int = 0
    """Rows that had to be read for digests, so far."""
    _months: dict[tuple[int, int], dict[int, GroupDigest]] = field(default_factory=dict)

    def read_digests(self, question: DigestQuestion) -> dict[Key, GroupDigest]:
        """The digests asked for; what has no rows is left out. Raises `Unfinished`."""
        from_s, to_s = question.from_s, question.to_s
        if from_s >= to_s:
            return {}
        match question.by:
            case By.ALL:
                whole = combine(self._read_months(from_s, to_s, (), question.deep))
                return {WHOLE: whole} if whole.count else {}
            case By.MONTH:
                return dict[Key, GroupDigest](self._read_months(from_s, to_s, question.within, question.deep).items())
            case By.DAY:
                months = self._each_month(from_s, to_s, question.within, question.deep)
                return {day: each for _, groups in months for day, each in combine_days(groups).items()}
        return dict[Key, GroupDigest](self._read_groups_of_days(from_s, to_s, question.within, question.deep).items())

    def _read_months(self, from_s: int, to_s: int, within: tuple[int, ...], deep: bool) -> dict[int, GroupDigest]:
        """The digests of months. They are remembered, as the view doesn't change: they are asked for twice or more."""
        known = self._months.setdefault((from_s, to_s), {})
        wanted = within or tuple(months_between(from_s, to_s))
        lacking = tuple(month for month in wanted if deep or month not in known)
        for month, groups in self._each_month(from_s, to_s, lacking, deep) if lacking else ():
            known[month] = combine(combine_days(groups))
        return {month: known[month] for month in sorted(set(wanted)) if month in known and known[month].count}

    def _each_month(self, from_s: int, to_s: int, within: tuple[int, ...], deep: bool) -> Iterator[tuple[int, _Groups]]:
        """The groups of each month. Behind a month without rows several are read at once: one clock that was never set
        must not cost a question for each month since 1970."""
        months = [month for month in months_between(from_s, to_s) if not within or month in within]
        rows_before, at_once = self.rows_read, 1
        while months:
            part = _first_run(months[:at_once])
            start_s, end_s = days_of(part[0])[0] * DAY_S, (days_of(part[-1])[-1] + 1) * DAY_S
            groups = self._read_span(max(from_s, start_s), min(to_s, end_s), deep)
            yield from _by_month(part, groups)
            del months[: len(part)]
            at_once = 1 if groups else min(2 * at_once, EMPTY_MONTHS_AT_ONCE)
            if months and self.rows_read > rows_before and not self.has_time():
                raise Unfinished(f"the digests of {self.table.name} aren't all made yet", hint="Ask again; it goes on.")

    def _read_groups_of_days(
        self, from_s: int, to_s: int, within: tuple[int, ...], deep: bool
    ) -> dict[Group, GroupDigest]:
        days = sorted(set(within)) or range(day_of(from_s), day_of(to_s - 1) + 1)
        groups: dict[Group, GroupDigest] = {}
        for first, last in _runs(days):
            start, end = max(from_s, first * DAY_S), min(to_s, (last + 1) * DAY_S)
            groups |= self._read_span(start, end, deep) if start < end else {}
        return groups

    def _read_span(self, from_s: int, to_s: int, deep: bool) -> _Groups:
        """The digests of all groups between two times."""
        now = self.source.read_checksums(from_s, to_s)
        kept = {} if deep or not now else self.cache.read(self.table.name, day_of(from_s), day_of(to_s - 1) + 1)
        digests = {
            group: each.of_fit_rows for group, each in kept.items() if now.get(group) == (each.count, each.checksum)
        }
        changed = now.keys() - digests.keys()
        if changed:
            counts = {group: count for group, (count, _) in now.items()}
            fresh = self._digest_rows(plan_readings(changed, counts, from_s, to_s), changed)
            self.cache.write(
                self.table.name,
                {
                    group: Kept(*now[group], each.digest, unfit=counts[group] - each.count)
                    for group, each in fresh.items()
                    if each.count <= counts[group]  # else rows came between: the next question sees another checksum
                },
            )
            digests |= fresh
        return {group: each for group, each in digests.items() if each.count}

    def _digest_rows(self, readings: Iterator[Reading], wanted: Collection[Group]) -> dict[Group, GroupDigest]:
        digests = dict.fromkeys(wanted, NO_ROWS)
        for reading in readings:
            rows = self.source.read_rows(*reading)
            self.rows_read += rows.count
            found = digest_groups(self.table, rows)
            digests |= {group: each for group, each in found.items() if group in digests}
        return digests


def plan_readings(changed: Collection[Group], counts: Mapping[Group, int], from_s: int, to_s: int) -> Iterator[Reading]:
    """How to read the ``changed`` of the groups that there are, whose ``counts`` of rows are given.

    Whole days, several at once, where at least half of their rows are wanted; else group by group.
    """
    first: int | None = None
    last, rows = 0, 0
    for day, of_day in _by_day(counts):
        total = sum(counts[group] for group in of_day)
        wanted = [group for group in of_day if group in changed]
        whole = total <= ROWS_AT_ONCE and 2 * sum(counts[group] for group in wanted) >= total
        if first is not None and (not whole or rows + total > ROWS_AT_ONCE):
            yield _clip(first, last, from_s, to_s, None)
            first, rows = None, 0
        if whole:
            first = day if first is None else first
            last, rows = day, rows + total
        else:
            yield from (_clip(day, day, from_s, to_s, second) for _, second in wanted)
    if first is not None:
        yield _clip(first, last, from_s, to_s, None)


def _clip(first_day: int, last_day: int, from_s: int, to_s: int, second: int | None) -> Reading:
    return Reading(max(from_s, first_day * DAY_S), min(to_s, (last_day + 1) * DAY_S), second)


def _by_day(groups: Collection[Group]) -> Iterator[tuple[int, list[Group]]]:
    days: dict[int, list[Group]] = {}
    for group in sorted(groups):
        days.setdefault(group[0], []).append(group)
    yield from days.items()


def _first_run(months: list[int]) -> list[int]:
    """The first of ``months``, and those that follow it without a gap."""
    for place, (month, after) in enumerate(pairwise(months), start=1):
        if days_of(after)[0] != days_of(month)[-1] + 1:
            return months[:place]
    return months


def _by_month(months: list[int], groups: _Groups) -> Iterator[tuple[int, _Groups]]:
    if len(months) == 1:
        yield months[0], groups
        return
    split: dict[int, _Groups] = {month: {} for month in months}
    for group, digest in groups.items():
        split[month_of(group[0])][group] = digest
    yield from split.items()


def _runs(days: Collection[int]) -> Iterator[tuple[int, int]]:
    """The first and last days of runs that have no gap; at most a month long."""
    run: list[int] = []
    for day in days:
        if run and (day != run[-1] + 1 or len(run) == _RUN_DAYS):
            yield run[0], run[-1]
            run = []
        run.append(day)
    if run:
        yield run[0], run[-1]


_RUN_DAYS = 31
