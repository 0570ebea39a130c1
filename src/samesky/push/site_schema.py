"""Where the tables of a model are in a site's database: what they are called there, and how they hold times.

Names are found in capital or small letters, tables may be views, and what the model doesn't have is passed over.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, Date, DateTime, Integer, inspect
from sqlalchemy.exc import SAWarning
from sqlalchemy.types import TypeEngine

from ..config import Findings
from .databases import Dialect
from .model import ColumnModel, Model, TableModel, ValueKind
from .sql_words import TimeForm, has_fraction, quote, value_of

_TEXT_TIME = re.compile(r"\d{4}-\d\d-\d\d([ T])\d\d:\d\d:\d\d(?:\.\d+)?Z?")


@dataclass(frozen=True, slots=True)
class Place:
    """One table of the model in the site's database."""

    model: TableModel
    here: TableModel
    """The table with the names that it and its columns have here."""
    dialect: Dialect
    forms: Mapping[str, TimeForm]
    """How the columns with times, by the model's names, hold them."""
    fractions: bool = True
    """Whether times may be fractions of a second."""
    is_empty: bool = False

    @property
    def sql(self) -> str:
        """The name of the table as SQL has it."""
        return quote(self.dialect, self.here.name)

    @property
    def time_form(self) -> TimeForm:
        """How the times of an append-only table are held."""
        return self.forms[self.model.time_column]

    def column(self, name: str) -> str:
        """The model's column ``name`` as SQL has it."""
        return quote(self.dialect, self.here.names[self.model.names.index(name)])

    def values(self) -> list[str]:
        """What to select for the model's columns, in their order."""
        return [
            value_of(self.dialect, self.forms.get(column.name, TimeForm.DATETIME), column, self.column(column.name))
            for column in self.model.columns
        ]

    def fraction(self) -> str:
        """The condition for a row whose time isn't a whole second; empty where there can be none."""
        column = self.column(self.model.time_column)
        return has_fraction(self.dialect, self.time_form, column) if self.fractions else ""


@dataclass(frozen=True, slots=True)
class SiteSchema:
    """The tables that are there, by their names in the model, and what was found to be wrong, or is good to know."""

    places: Mapping[str, Place]
    findings: Findings
    empty: tuple[Place, ...]
    """Tables without rows in SQLite, where rows alone show how times are held."""
    pinned: bool
    """Whether one transaction may be held: it keeps nobody from writing."""
    most_bytes: int = 0
    """The longest row that MariaDB or MySQL answers with; 0 elsewhere."""

    def is_outdated(self, connection: Connection) -> bool:
        """Whether one of the empty tables has rows by now."""
        first = "SELECT 1 FROM {} LIMIT 1"
        return any(connection.exec_driver_sql(first.format(place.sql)).first() for place in self.empty)


def read_schema(connection: Connection, dialect: Dialect, model: Model, *, where: str) -> SiteSchema:
    """Look for the tables of ``model``; ``where`` is the database's name in the findings.

    It is an error when a column is missing, or a table that one that is there refers to; other tables may be missing.
    """
    look = _Look(connection, dialect, where)
    places = {table.name: place for table in model.tables if (place := look.find_place(table)) is not None}
    look.check_parents(model, places)
    look.check_purpose(model, places)
    empty = tuple(place for place in places.values() if place.is_empty)
    pinned = dialect != "sqlite" or connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    longest = int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()) if dialect == "mysql" else 0
    return SiteSchema(MappingProxyType(places), look.findings, empty, pinned, longest)


class _Look:
    """One look at a database; collects what it finds to say."""

    def __init__(self, connection: Connection, dialect: Dialect, where: str) -> None:
        self.findings = Findings()
        self._connection = connection
        self._dialect = dialect
        self._where = where
        self._inspector = inspect(connection)
        self._names = [*self._inspector.get_table_names(), *self._inspector.get_view_names()]

    def find_place(self, table: TableModel) -> Place | None:
        """Where ``table`` is; None when it isn't there as it should be."""
        actual = _find_name(table.name, self._names)
        if actual is None:
            self.findings.warn(self._where, f"there is no table {table.name}: it isn't pushed")
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # columns that aren't ours may be of any type
            kinds = {column["name"]: column["type"] for column in self._inspector.get_columns(actual)}
        columns = {column.name: _find_name(column.name, kinds) for column in table.columns}
        missing = [name for name, found in columns.items() if found is None]
        if missing:
            what = f"there is no column {', '.join(missing)}: update the database, or describe the table"
            self.findings.error(self._table(actual), what)
            return None
        here = replace(
            table,
            name=actual,
            columns=tuple(replace(column, name=str(columns[column.name])) for column in table.columns),
            key=tuple(str(columns[name]) for name in table.key),
        )
        forms = {
            column.name: self._form_of(here, column, kinds[str(columns[column.name])])
            for column in table.columns
            if column.kind is ValueKind.TIME
        }
        place = Place(table, here, self._dialect, MappingProxyType(forms))
        return self._look_at_rows(place, kinds) if table.append_only else place

    def check_parents(self, model: Model, places: Mapping[str, Place]) -> None:
        """A row can't be told without those it refers to."""
        for table in (table for table in model.tables if table.name in places):
            for parent in sorted({*table.references.values()} - places.keys()):
                if _find_name(parent, self._names) is None:
                    self.findings.error(self._where, f"there is no table {parent}, to which {table.name} refers")

    def check_purpose(self, model: Model, places: Mapping[str, Place]) -> None:
        """Dimensions alone are of no use."""
        if not any(table.name in places for table in model.append_only()) and not self.findings.errors:
            wanted = ", ".join(table.name for table in model.append_only())
            what = f"there is none of the tables that are pushed ({wanted}): is it the right database?"
            self.findings.error(self._where, what)

    def _look_at_rows(self, place: Place, kinds: Mapping[str, TypeEngine[Any]]) -> Place:
        self._check_index(place.here)
        match self._dialect:
            case "sqlite":
                return self._look_at_times(place)
            case "mysql":
                return replace(place, fractions=bool(getattr(kinds[place.here.key[0]], "fsp", None)))
        return place

    def _form_of(self, here: TableModel, column: ColumnModel, kind: TypeEngine[Any]) -> TimeForm:
        if isinstance(kind, Integer):
            return TimeForm.EPOCH
        if self._dialect != "sqlite" and not isinstance(kind, DateTime | Date):
            what = f"the column {column.name} is {kind}, but it should hold a date and a time"
            self.findings.error(self._table(here.name), what)
        return TimeForm.DATETIME

    def _look_at_times(self, place: Place) -> Place:
        """Look at the first and the last time in SQLite, which takes anything for one."""
        name = place.model.time_column
        column = place.column(name)
        select = f"SELECT {column} FROM {place.sql} WHERE {column} IS NOT NULL ORDER BY {column}"
        ends = [self._connection.exec_driver_sql(f"{select} {way} LIMIT 1").scalar() for way in ("ASC", "DESC")]
        forms = {_form_of_value(end) for end in ends if end is not None}
        if not forms:
            return replace(place, is_empty=True)
        form = forms.pop()
        if forms or form is None:
            what = f"times in {name} should be UTC, like 2023-11-15 10:00:00, all alike"
            self.findings.error(self._table(place.here.name), what)
            return place
        return replace(place, forms=MappingProxyType({**place.forms, name: form}))

    def _check_index(self, here: TableModel) -> None:
        """Pages are read in the order of the key; without an index each page would sort the whole table."""
        found: list[Sequence[str | None]] = [self._inspector.get_pk_constraint(here.name)["constrained_columns"]]
        found += [index["column_names"] for index in self._inspector.get_indexes(here.name)]
        if not any(tuple(columns[: len(here.key)]) == here.key for columns in found):
            what = f"there is no index of {', '.join(here.key)} in this order: reading will be slow"
            self.findings.warn(self._table(here.name), what)

    def _table(self, name: str) -> str:
        return f"{self._where}, table {name}"


def _form_of_value(value: object) -> TimeForm | None:
    if isinstance(value, int):
        return TimeForm.EPOCH
    match = _TEXT_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return TimeForm.ISO if match[1] == "T" else TimeForm.DATETIME


def _find_name(name: str, names: Iterable[str]) -> str | None:
    """``name`` as it is among ``names``: just so, or else the one that differs in capital letters alone."""
    alike = [each for each in names if each.lower() == name.lower()]
    if name in alike:
        return name
    return alike[0] if len(alike) == 1 else None
