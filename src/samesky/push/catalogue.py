"""The dimension rows of a site on the wire (the *catalogue*), and what the centre makes of them."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ..core.columns import Table
from .bodies import MOST_BYTES
from .mapping import Refusal, TablePlan
from .model import Model, TableModel

MOST_ROWS = 200_000
"""The most rows of one table of a catalogue, unless the caller says otherwise."""
MOST_NOTES = 100
"""How many rows of each table are told one by one."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Dimension rows as a site sent them: good ones by table, and those that no table can hold."""

    tables: Mapping[str, Table]
    """In the model's order; the columns of each in the model's order."""
    refused: tuple[Refusal, ...] = ()

    def ids(self, table: str) -> frozenset[int]:
        """The ids of the rows of ``table`` that the site has, whether or not they are good."""
        raise NotImplementedError


def encode_catalogue(tables: Mapping[str, Table]) -> bytes:
    """Return the catalogue as the body of a request, equal bytes each time. Raises ValueError as `encode_page` does."""
    raise NotImplementedError


def decode_catalogue(
    payload: bytes, model: Model, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> Catalogue:
    """Return the catalogue in ``payload`` (gzip or plain), every value proven; tables may be missing.

    Rows that no table can hold are among ``refused``, and the rest goes on. Raises ``Refused`` for the whole (rows 1
    to 17 of the design's table of bad inputs), and nothing else.
    """
    raise NotImplementedError


def digest_catalogue(model: Model, tables: Mapping[str, Table]) -> str:
    """Return the digest of a catalogue in hex: equal for equal rows, in whichever order they are.

    The site sends nothing when it is the one that the centre has kept of the last catalogue that was taken wholly.
    """
    raise NotImplementedError


def chosen_by_activity(model: Model) -> frozenset[str]:
    """Return the dimensions of which a catalogue has the active rows alone; it has all rows of the others.

    These have an end (``active_until``), or are part of what has one by their natural key (a location of a house), or
    are referred to by such (rooms, room types). Nodes and sensors aren't: they are the site's, whatever they hang on.
    """
    raise NotImplementedError


def absent_ids(model: Model, table: TableModel, known: Iterable[int], sent: Collection[int]) -> frozenset[int]:
    """Return which of the ``known`` site ids are surely gone, given the ids ``sent`` in a whole catalogue."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TableOutcome:
    """What becomes of one table: counts, and words for what isn't as it was."""

    table: str
    created: int = 0
    changed: int = 0
    adopted: int = 0
    same: int = 0
    refused: tuple[Refusal, ...] = ()
    refused_count: int = 0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CataloguePlan:
    """What the centre did with a catalogue, or would do (``dry_run``): the answer to the site, and to a person."""

    tables: tuple[TableOutcome, ...] = field(default=())
    dry_run: bool = False

    @classmethod
    def of(
        cls, model: Model, plans: Iterable[TablePlan], *, refused: Iterable[Refusal] = (), dry_run: bool = False
    ) -> "CataloguePlan":
        """Return the answer for ``plans`` and the rows ``refused`` before them (`Catalogue.refused`, PARENT …)."""
        raise NotImplementedError

    @property
    def taken_wholly(self) -> bool:
        """Whether nothing was refused: only then may the centre keep the catalogue's digest."""
        raise NotImplementedError

    @property
    def another_database(self) -> tuple[str, ...]:
        """The tables refused as those of another database; if there are any, no pages may follow."""
        raise NotImplementedError

    def describe(self) -> list[str]:
        """Return lines for a person: what is new, changed and refused, and the counts of the rest."""
        raise NotImplementedError

    def as_dict(self) -> dict[str, object]:
        """Return it as the JSON of the answer."""
        raise NotImplementedError

    @classmethod
    def from_dict(cls, answer: object) -> "CataloguePlan":
        """Return the plan in the centre's answer. Raises ``Refused`` for anything else."""
        raise NotImplementedError
