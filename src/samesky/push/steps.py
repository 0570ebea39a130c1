"""The steps of a push, what comes of them, and the report of a run: what `pusher` and `pushing` say to each other."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..core.columns import Table
from ..core.strict import Reason
from ..errors import SameskyError
from .catalogue_plan import CataloguePlan
from .model import TableModel
from .proof import Proof

Key = tuple[Any, ...]
"""The primary key of a row of an append-only table: its time first."""
Outcome = TypeVar("Outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What the centre tells when a run begins."""

    run: int
    centre: str
    """Its id; another one means another centre, or one that was made anew."""
    site: str
    positions: Mapping[str, Key | None]
    """The key of the last row stored of each append-only table."""
    catalogue: str | None
    """The digest of the last catalogue that was taken wholly."""
    page_bytes: int
    page_rows: int
    time_s: float
    """The centre's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What the centre did with the rows of one page."""

    accepted: int
    """New rows."""
    duplicate: int
    """Rows that it had just so."""
    changed: int
    """Rows that it had otherwise."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a run at the centre -> `RunStart`."""


@dataclass(frozen=True, slots=True)
class SendCatalogue:
    """Read the dimension rows that are active since ``since_s``, send them unless they have ``digest`` already.

    -> `CataloguePlan`, None when nothing was sent."""

    since_s: int | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class SendRows:
    """Read these rows of dimensions, and all that they refer to, and send them -> `SentRows`."""

    wanted: Mapping[str, frozenset[int]]
    without: frozenset[tuple[str, int]] = frozenset()
    """Rows that were refused before: an ambiguous one wouldn't be, without the one that it is confused with."""


@dataclass(frozen=True, slots=True)
class SentRows:
    """What came of `SendRows`."""

    plan: CataloguePlan | None
    absent: Mapping[str, frozenset[int]]
    """Those that the site doesn't have either."""


@dataclass(frozen=True, slots=True)
class ReadPage:
    """Read the first ``most`` rows behind the key ``after`` (None: from the beginning) -> `Table`."""

    table: TableModel
    after: Key | None
    most: int


@dataclass(frozen=True, slots=True)
class SendPage:
    """Send rows, and with them the position that the centre is to keep -> `Stored`."""

    table: TableModel
    rows: Table
    position: Key | None
    then: ReadPage | None = None
    """What will probably be the next step: it may be done meanwhile."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Keep these rows, which the centre doesn't take, for a person to look at -> None."""

    rows: "tuple[Poison, ...]"


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for so long, because of this -> None."""

    seconds: float
    cause: SameskyError


@dataclass(frozen=True, slots=True)
class Compare:
    """Compare a table with the centre's, and send again what differs -> `Proof`."""

    table: TableModel
    position: Key | None
    """Up to where both have it."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Tell the centre how the site is doing -> None."""

    report: "RunReport"


@dataclass(frozen=True, slots=True)
class Ask:
    """Any other question to the centre, for the sake of trying it again: ``question()`` -> what it returns."""

    question: Any


Step = Begin | SendCatalogue | SendRows | ReadPage | SendPage | Quarantine | Wait | Compare | Heartbeat | Ask
Steps = Generator[Step, Any, Outcome]


@dataclass(frozen=True, slots=True)
class Poison:
    """A row that the centre doesn't take, and why."""

    table: str
    key: Key
    row: Mapping[str, object]
    reason: Reason
    words: str


@dataclass(slots=True)
class TableReport:
    """What a run did about one append-only table."""

    table: str
    position: Key | None = None
    """The centre's, as far as we know."""
    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    changed: int = 0
    quarantined: dict[Reason, int] = field(default_factory=dict)
    skipped: int = 0
    """Rows that are in the quarantine from before, and unchanged."""
    is_pushed: bool = False
    """Whether everything there was has been sent."""
    future: bool = False
    """Whether rows wait because their times are in the future."""
    trouble: SameskyError | None = None
    """Why this table was given up."""
    proof: Proof | None = None

    def count(self, stored: Stored, rows: int) -> None:
        """Add what became of ``rows``."""
        self.sent += rows
        self.accepted += stored.accepted
        self.duplicate += stored.duplicate
        self.changed += stored.changed

    @property
    def is_well(self) -> bool:
        """Whether the centre took everything, and has it."""
        if self.trouble or self.proof is None:
            return not (self.trouble or self.quarantined or self.skipped)
        return self.proof.same

    def describe(self) -> str:
        """One line for a person, without the table's name."""
        if self.position is None and not (self.trouble or self.quarantined or self.skipped or self.future):
            return "no rows"
        refused = sum(self.quarantined.values())
        told = [
            f"{self.accepted:,} new rows" if self.accepted else "nothing new",
            f"{self.changed:,} changed" if self.changed else "",
            f"{refused:,} refused ({', '.join(sorted(self.quarantined))})" if refused else "",
            f"{self.skipped:,} not sent, as they were refused before" if self.skipped else "",
            "some wait, as their time is in the future" if self.future else "",
            f"given up: {self.trouble}" if self.trouble else "",
        ]
        return "; ".join([", ".join(filter(None, told)), *([self.proof.describe()] if self.proof else [])])

    def as_dict(self) -> dict[str, object]:
        """The report as JSON has it."""
        names = ("table", "sent", "accepted", "duplicate", "changed", "skipped", "is_pushed", "future")
        return {name: getattr(self, name) for name in names} | {
            "position": None if self.position is None else list(self.position),
            "quarantined": {str(reason): count for reason, count in self.quarantined.items()},
            "trouble": None if self.trouble is None else str(self.trouble),
            "proof": None if self.proof is None else self.proof.as_dict(),
        }


@dataclass(slots=True)
class RunReport:
    """What a run did."""

    start: RunStart | None = None
    catalogue: CataloguePlan | None = None
    """None: the centre had it already."""
    tables: dict[str, TableReport] = field(default_factory=dict)
    unfit: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Table and column -> rows that the site can't tell, and that aren't sent: a text in a column of numbers …"""

    @property
    def exit_status(self) -> int:
        """4 when a table was given up, 1 when something was refused or differs, else 0."""
        if any(table.trouble for table in self.tables.values()):
            return 4
        refused = self.catalogue is not None and not self.catalogue.taken_wholly
        return 1 if refused or self.unfit or not all(table.is_well for table in self.tables.values()) else 0

    def describe(self) -> list[str]:
        """Lines for a person: one a table, and one for each dimension row that was refused."""
        catalogue = [] if self.catalogue is None else self.catalogue.describe(rows=False)
        tables = [f"{name}: {table.describe()}" for name, table in self.tables.items()]
        return [*catalogue, *tables, *self.describe_unfit()]

    def describe_unfit(self) -> list[str]:
        """Lines about rows that aren't sent, as the site can't tell them."""
        return [
            f"{table}: {count:,} rows have a {column} that isn't of its column's kind, and aren't sent"
            for (table, column), count in self.unfit.items()
        ]

    def as_dict(self) -> dict[str, object]:
        """The report as JSON has it."""
        return {
            "run": self.start.run if self.start else None,
            "catalogue": None if self.catalogue is None else self.catalogue.as_dict(),
            "tables": [table.as_dict() for table in self.tables.values()],
            "unfit": [[table, column, count] for (table, column), count in self.unfit.items()],
            "status": self.exit_status,
        }
