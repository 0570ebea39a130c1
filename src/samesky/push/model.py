"""What is pushed, described as data: tables, their columns, keys and references, and which rows are the site's own.

The seed's schema is `building.BUILDING`; another one is described in samesky.toml (`described`). Everything else here
works from a `Model` and knows no table by name.

Values travel and are compared as Python's int, float, str and None. A time is whole seconds since 1970, UTC.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ..core.columns import Column, Kind


class ValueKind(StrEnum):
    """What the values of a column are, besides NULL."""

    INTEGER = "integer"
    DOUBLE = "double"
    TEXT = "text"
    TIME = "time"  # DateTime without a zone in the databases; whole seconds UTC here
    FLAG = "flag"  # BOOLEAN, TINYINT(1); 0 or 1 here


_WIRE = {
    ValueKind.INTEGER: Kind.INTEGER,
    ValueKind.DOUBLE: Kind.REAL,
    ValueKind.TEXT: Kind.TEXT,
    ValueKind.TIME: Kind.INTEGER,
    ValueKind.FLAG: Kind.INTEGER,
}


@dataclass(frozen=True, slots=True)
class ColumnModel:
    """One column; ``size`` is the most characters of a text, 0 for no bound."""

    name: str
    kind: ValueKind
    size: int = 0
    required: bool = False
    """Whether NULL is refused. The columns of a primary key are required anyway."""

    @property
    def wire(self) -> Column:
        """The column as `core.columns` carries it."""
        return Column(self.name, _WIRE[self.kind])


@dataclass(frozen=True, slots=True, kw_only=True)
class TableModel:
    """One table, at a site and at the centre.

    A *dimension* (houses, rooms, nodes …) is small; its rows have the single key ``id``, are found by ``natural_key``
    when the centre meets them first, and by the id that the site gave them ever after. An *append-only* table
    (readings) is large, and is pushed in the order of its primary key, whose first column is a time.
    """

    name: str
    columns: tuple[ColumnModel, ...]
    key: tuple[str, ...] = ("id",)
    natural_key: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Column -> the dimension whose ``id`` it holds."""
    append_only: bool = False
    of_site: bool = False
    """Whether the centre keeps the site with each row, as part of its primary key: equal ids of two sites differ."""
    keeps_id: bool = False
    """Whether the site's id stays as it is at the centre ("node 69 will always be node 69"); needs ``of_site``."""
    active_until: str = ""
    """The column with the end of what a row stands for; active rows have NULL there, or a time since the last push."""

    def column(self, name: str) -> ColumnModel:
        """The column ``name``; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def wire(self) -> tuple[Column, ...]:
        """All columns as `core.columns` carries them."""
        return tuple(column.wire for column in self.columns)

    @property
    def time_column(self) -> str:
        """The time by which an append-only table is ordered, and cut into days."""
        return self.key[0]


@dataclass(frozen=True, slots=True)
class Model:
    """All tables, parents before children. `check` in `described` proves one that a user wrote."""

    name: str
    tables: tuple[TableModel, ...]

    def table(self, name: str) -> TableModel:
        """The table ``name``; KeyError when there is none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)

    def find(self, name: str) -> TableModel | None:
        """The table called ``name`` in capital or small letters (``/rest/sensortype/``); None when there is none."""
        return next((table for table in self.tables if table.name.lower() == name.lower()), None)

    def dimensions(self) -> Iterator[TableModel]:
        """The dimensions, parents before children."""
        return (table for table in self.tables if not table.append_only)

    def append_only(self) -> Iterator[TableModel]:
        """The tables that only grow."""
        return (table for table in self.tables if table.append_only)
