"""Which row of the centre each row of a site is: decided by the id it came with before, else by its natural key. Pure.

The caller reads what is known, calls `translate_references` and `plan_table` for one dimension after the other, parents
first, and applies each `TablePlan` before it asks for the next, since children need the ids of their parents.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

from ..core.strict import Reason
from .matching import Matches, match_rows
from .model import TableModel

Row = Mapping[str, object]
"""A row by the names of its columns."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row of a site that is left as it is at the centre, or left out: why, in a word and in words."""

    table: str
    site_id: int
    reason: Reason
    words: str


@dataclass(frozen=True, slots=True)
class Create:
    """A row that the centre lacks: ``values`` are all its columns, ``id`` only where the site's is kept."""

    site_id: int
    values: Row


@dataclass(frozen=True, slots=True)
class Change:
    """A row whose content changed at the site: ``before`` and ``after`` have the columns that differ."""

    site_id: int
    centre_id: int
    before: Row
    after: Row


@dataclass(frozen=True, slots=True)
class Adopt:
    """A row that the centre has already, from another site or an earlier life: from now on it is this site's too."""

    site_id: int
    centre_id: int


@dataclass(frozen=True, slots=True)
class TablePlan:
    """What to do with one table for one site, in this order: forget, change, create, adopt.

    Apply it in one transaction: map every created and adopted row, after unmapping the ``forgets``.
    """

    table: str
    forgets: tuple[int, ...] = ()
    """Site ids whose mapping is wrong from now on; some of them are mapped anew by ``creates`` and ``adopts``."""
    changes: tuple[Change, ...] = ()
    """Also of rows that are adopted by this very plan."""
    creates: tuple[Create, ...] = ()
    adopts: tuple[Adopt, ...] = ()
    same: int = 0
    """Mapped rows that are as they should be already; adopted ones aren't counted here."""
    refused: tuple[Refusal, ...] = ()

    @property
    def another_database(self) -> bool:
        """Whether the whole table was refused because it seems to be that of another database: send no pages."""
        return any(refusal.reason is Reason.ORIGIN for refusal in self.refused)


def translate_references(
    table: TableModel, rows: Sequence[Row], maps: Mapping[str, Mapping[int, int]]
) -> tuple[list[dict[str, object]], tuple[Refusal, ...]]:
    """Return ``rows`` with the centre's ids for the site's in all references, and those whose parent isn't mapped.

    ``maps`` has the site's id -> the centre's id for every table referred to. NULL stays NULL; ``id`` stays the site's.
    """
    references = [(column, parent, maps.get(parent, {})) for column, parent in table.references.items()]
    translated: list[dict[str, object]] = []
    refused: list[Refusal] = []
    for row in rows:
        values = dict(row)
        for column, parent, ids in references:
            if (site_id := row[column]) is None:
                continue
            centre_id = ids.get(cast(int, site_id))
            if centre_id is None:
                words = f"its {column} is the {parent} {site_id}, which the centre has not been sent or has refused"
                refused.append(Refusal(table.name, cast(int, row["id"]), Reason.PARENT, words))
                break
            values[column] = centre_id
        else:
            translated.append(values)
    return translated, tuple(refused)


def plan_table(
    table: TableModel,
    rows: Sequence[Row],
    *,
    known: Mapping[int, int],
    candidates: Sequence[Row],
    used_by_others: AbstractSet[int] = frozenset(),
    absent: Collection[int] = (),
    accept_renames: bool = False,
) -> TablePlan:
    """Return what to do so that the centre has ``rows``, those of one site with their references translated.

    * ``known``: the site's id -> the centre's, of this table, as far as it is mapped.
    * ``candidates``: rows of the centre with all columns, in its ids: those that ``known`` points to, and those with
      the natural key of one of ``rows`` (of a table ``of_site``: of this site alone). More of them do no harm.
    * ``used_by_others``: the centre's ids to which another site is mapped.
    * ``absent``: site ids in ``known`` that the site surely no longer has (`catalogue.absent_ids`): who has their
      natural key now takes their place.
    * ``accept_renames``: believe the site, however many of its rows changed their natural key at once.
    """
    matches = match_rows(table, rows, known=known, candidates=candidates, absent=absent, accept_renames=accept_renames)
    by_id = {cast(int, row["id"]): row for row in candidates}
    draft = _Draft(table, known, used_by_others)
    for row in rows:
        site_id = cast(int, row["id"])
        if site_id in matches.doubts:
            draft.refuse(site_id, *matches.doubts[site_id])
        elif site_id in matches.matched:
            draft.add_match(site_id, row, by_id[matches.matched[site_id]])
        else:
            draft.add_new(site_id, row)
    return draft.finish(matches)


class _Draft:
    """A `TablePlan` while it grows, row by row."""

    def __init__(self, table: TableModel, known: Mapping[int, int], used_by_others: AbstractSet[int]) -> None:
        self._table = table
        self._known = known
        self._used_by_others = used_by_others
        self._changes: list[Change] = []
        self._creates: list[Create] = []
        self._adopts: list[Adopt] = []
        self._refused: list[Refusal] = []
        self._same = 0

    def refuse(self, site_id: int, reason: Reason, words: str) -> None:
        """The row is left as it is at the centre, or left out."""
        self._refused.append(Refusal(self._table.name, site_id, reason, words))

    def add_new(self, site_id: int, row: Row) -> None:
        """The centre has no such row."""
        left_out = () if self._table.keeps_id else ("id",)
        self._creates.append(Create(site_id, {name: row[name] for name in self._table.names if name not in left_out}))

    def add_match(self, site_id: int, row: Row, there: Row) -> None:
        """The centre has the row, as ``there``."""
        centre_id = cast(int, there["id"])
        adopted = self._known.get(site_id) != centre_id
        if adopted:
            self._adopts.append(Adopt(site_id, centre_id))
        differing = [name for name in self._table.names if name != "id" and row[name] != there[name]]
        if not differing:
            self._same += not adopted
        elif centre_id in self._used_by_others:
            words = f"its {', '.join(differing)} differ from the centre's row {centre_id}, which other sites use too"
            self.refuse(site_id, Reason.SHARED, words)
        else:
            self._changes.append(
                Change(
                    site_id,
                    centre_id,
                    {name: there[name] for name in differing},
                    {name: row[name] for name in differing},
                )
            )

    def finish(self, matches: Matches) -> TablePlan:
        """Return the plan; mappings go whose row of the centre is another's now, and those that are made anew."""
        taken = {centre_id: site_id for site_id, centre_id in matches.matched.items()}
        made_anew = {create.site_id for create in self._creates} | {adopt.site_id for adopt in self._adopts}
        forgets = [
            site_id
            for site_id, centre_id in self._known.items()
            if site_id in made_anew or taken.get(centre_id, site_id) != site_id
        ]
        return TablePlan(
            self._table.name,
            forgets=tuple(forgets),
            changes=tuple(self._changes),
            creates=tuple(self._creates),
            adopts=tuple(self._adopts),
            same=self._same,
            refused=tuple(self._refused),
        )
