"""Compares a site's tables with those at a centre, and sends again what differs: the I/O around `comparison`."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Protocol

from ..core.columns import Table
from .comparison import Window, compare, window_of
from .delivery import Delivered
from .digest_question import DigestQuestion
from .digests import DAY_S, Group, GroupDigest
from .digests import Key as DigestKey
from .ends import ask_side_by_side
from .group_digests import GroupDigests
from .model import TableModel
from .proof import Proof
from .push_settings import PAGE_ROWS
from .settling import Resent
from .site_cache import SiteCache
from .site_database import SiteDatabase, SiteSnapshot
from .steps import Key

Deliver = Callable[[TableModel, Table], Delivered]
"""Sends rows again, without a position; returns when each is at the centre or in quarantine."""


class CentreDigests(Protocol):
    """The centre, as far as digests go; it may be asked again while it is busy."""

    def read_digests(self, table: TableModel, question: DigestQuestion) -> Mapping[DigestKey, GroupDigest]:
        """The centre's digests."""


class Comparing:
    """Compares tables of ``site`` with the target's; ``cache`` has what was found before."""

    def __init__(
        self,
        site: SiteDatabase,
        cache: SiteCache,
        target: str,
        *,
        ask: CentreDigests,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._site = site
        self._cache = cache
        self._target = target
        self._ask = ask
        self._say = say

    def compare(
        self,
        table: TableModel,
        position: Key | None,
        *,
        deliver: Deliver | None = None,
        page_rows: int = PAGE_ROWS,
        deep: bool = False,
        retry: bool = False,
    ) -> Proof:
        """Compare ``table`` up to the centre's ``position``; what differs is sent again by ``deliver``, if given.

        See `comparison.compare` for the rest.
        """
        began_s = time.monotonic()
        with self._site.snapshot() as snapshot:
            source, window = _Source(table, snapshot), window_of(snapshot.read_earliest_s(table), position)
            resending = Resending(table, source, window, deliver, page_rows) if deliver and window else None
            proof = compare(
                table.name,
                window,
                site=GroupDigests(table, source, self._cache.digests(name_source(self._site))),
                centre=_Centre(table, self._ask),
                explained=self._cache.explained(self._target, table.name),
                now=time.time(),
                resend=resending,
                deep=deep,
                retry=retry,
                say=self._say,
                both=ask_side_by_side,
            )
        if proof.same and window is not None:  # what was refused once is there now, or is gone at the site
            self._cache.quarantine(self._target).release_between(table.name, 0, window.to_s)
        return replace(proof, seconds=time.monotonic() - began_s)


class Resending:
    """Sends whole groups again, many small ones together."""

    def __init__(self, table: TableModel, source: "_Source", window: Window, deliver: Deliver, page_rows: int) -> None:
        self._table = table
        self._source = source
        self._window = window
        self._deliver = deliver
        self._page_rows = page_rows

    def __call__(self, groups: Sequence[Group]) -> Resent:
        """Send all rows of ``groups`` that are compared; returns what became of them."""
        rows, written, refused = 0, 0, Counter[Group]()
        for page in self._read_pages(groups):
            done = self._deliver(self._table, page)
            rows += page.count
            written += done.written
            refused.update((int(key[0]) // DAY_S, key[1]) for key in done.refused)
        return Resent(rows, written, refused)

    def _read_pages(self, groups: Sequence[Group]) -> Iterator[Table]:
        """The rows of ``groups`` in pages that are full, but for the last."""
        waiting: list[Table] = []
        for day, second in groups:
            from_s, to_s = max(self._window.from_s, day * DAY_S), min(self._window.to_s, (day + 1) * DAY_S)
            waiting.append(self._source.read_rows(from_s, to_s, second))
            if sum(each.count for each in waiting) >= self._page_rows:
                *full, rest = cut(join(waiting), self._page_rows)
                yield from full
                waiting = [rest]
        yield from (page for page in cut(join(waiting), self._page_rows) if page.count)


class _Source:
    """A `group_digests.GroupSource` of one table in one snapshot."""

    def __init__(self, table: TableModel, snapshot: SiteSnapshot) -> None:
        self._table = table
        self._snapshot = snapshot

    def read_checksums(self, from_s: int, to_s: int) -> Mapping[Group, tuple[int, int]]:
        return self._snapshot.read_checksums(self._table, from_s, to_s)

    def read_rows(self, from_s: int, to_s: int, second: int | None) -> Table:
        return self._snapshot.read_rows(self._table, from_s, to_s, second)


class _Centre:
    """A `digest_question.Digests` of one table."""

    def __init__(self, table: TableModel, ask: CentreDigests) -> None:
        self._table = table
        self._ask = ask

    def read_digests(self, question: DigestQuestion) -> Mapping[DigestKey, GroupDigest]:
        return self._ask.read_digests(self._table, question)


def name_source(site: SiteDatabase) -> str:
    """What digests of the site's rows depend on: which database it is, and how its tables are described."""
    described = hashlib.blake2b(repr(site.model.tables).encode(), digest_size=8).hexdigest()
    return f"{site.database.name} {described}"


def join(tables: Sequence[Table]) -> Table:
    """Return the rows of all ``tables``, one or more of the same columns, as one table."""
    first = tables[0]
    if len(tables) == 1:
        return first
    columns = zip(*(table.values for table in tables), strict=True)
    return Table(first.name, first.columns, tuple(list(chain(*values)) for values in columns))


def cut(table: Table, most: int) -> Iterator[Table]:
    """Return ``table`` in pieces of ``most`` rows, and a last one that may have fewer, or none."""
    for start in range(0, max(table.count, 1), most):
        yield Table(table.name, table.columns, tuple(values[start : start + most] for values in table.values))
