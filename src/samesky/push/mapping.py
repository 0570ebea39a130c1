"""Which row of the centre each row of a site is: decided by the id it came with before, else by its natural key. Pure.

The caller reads what is known, calls `translate_references` and `plan_table` for one dimension after the other, parents
first, and applies each `TablePlan` before it asks for the next, since children need the ids of their parents.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from ..core.strict import Reason
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
    raise NotImplementedError


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
    raise NotImplementedError
