"""Where the tables of a model are in a site's database: what they are called there, and how they hold times.

Names are found in capital or small letters, tables may be views, and what the model doesn't have is passed over.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from sqlalchemy import Connection, Date, DateTime, Inspector, Integer, inspect
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
    is_settled: bool
    """Whether it holds from now on: not before there are rows that show how SQLite holds times."""
    pinned: bool
    """Whether one transaction may be held: it keeps nobody from writing."""


def read_schema(connection: Connection, dialect: Dialect, model: Model, *, where: str) -> SiteSchema:
    """Look for the tables of ``model``; ``where`` is the database's name in the findings.

    It is an error when a column is missing, or a table that one that is there refers to; other tables may be missing.
    """
    inspector = inspect(connection)
    names = [*inspector.get_table_names(), *inspector.get_view_names()]
    findings, places, settled = Findings(), dict[str, Place](), True
    for table in model.tables:
        actual = _find_name(table.name, names)
        if actual is None:
            findings.warn(where, f"there is no table {table.name}: it isn't pushed")
            continue
        place, is_settled = _read_place(
            connection, inspector, dialect, table, actual, f"{where}, table {actual}", findings
        )
        settled = settled and is_settled
        if place is not None:
            places[table.name] = place
    _check_parents(model, places, names, where, findings)
    _check_tables(model, places, where, findings)
    pinned = dialect != "sqlite" or connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    return SiteSchema(MappingProxyType(places), findings, settled, pinned)


def _read_place(
    connection: Connection,
    inspector: Inspector,
    dialect: Dialect,
    table: TableModel,
    actual: str,
    where: str,
    findings: Findings,
) -> tuple[Place | None, bool]:
    kinds = {column["name"]: column["type"] for column in inspector.get_columns(actual)}
    columns = {column.name: _find_name(column.name, kinds) for column in table.columns}
    missing = [name for name, found in columns.items() if found is None]
    if missing:
        findings.error(where, f"there is no column {', '.join(missing)}: update the database, or describe the table")
        return None, True
    forms = {
        column.name: _form_of(dialect, column, kinds[str(columns[column.name])], where, findings)
        for column in table.columns
        if column.kind is ValueKind.TIME
    }
    here = replace(
        table,
        name=actual,
        columns=tuple(replace(column, name=str(columns[column.name])) for column in table.columns),
        key=tuple(str(columns[name]) for name in table.key),
    )
    place = Place(table, here, dialect, forms)
    if not table.append_only:
        return place, True
    _check_index(inspector, here, where, findings)
    if dialect == "mysql":
        exact = getattr(kinds[here.key[0]], "fsp", None)
        return replace(place, fractions=bool(exact)), True
    return _read_time_form(connection, place, where, findings) if dialect == "sqlite" else (place, True)


def _form_of(
    dialect: Dialect, column: ColumnModel, kind: TypeEngine[object], where: str, findings: Findings
) -> TimeForm:
    if isinstance(kind, Integer):
        return TimeForm.EPOCH
    if dialect != "sqlite" and not isinstance(kind, DateTime | Date):
        findings.error(where, f"the column {column.name} is {kind}, but it should hold a date and a time")
    return TimeForm.DATETIME


def _read_time_form(connection: Connection, place: Place, where: str, findings: Findings) -> tuple[Place, bool]:
    """Look at the first and the last time in SQLite, which takes anything for one."""
    column = place.column(place.model.time_column)
    select = f"SELECT {column} FROM {place.sql} WHERE {column} IS NOT NULL ORDER BY {column}"
    ends = [connection.exec_driver_sql(f"{select} {way} LIMIT 1").scalar() for way in ("ASC", "DESC")]
    forms = {_form_of_value(end) for end in ends if end is not None}
    if not forms:
        return place, False
    if len(forms) > 1 or None in forms:
        findings.error(where, f"times in {place.model.time_column} should be UTC, like 2023-11-15 10:00:00, all alike")
        return place, False
    (form,) = forms
    assert form is not None
    return replace(place, forms=MappingProxyType({**place.forms, place.model.time_column: form})), True


def _form_of_value(value: object) -> TimeForm | None:
    if isinstance(value, int):
        return TimeForm.EPOCH
    match = _TEXT_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return TimeForm.ISO if match[1] == "T" else TimeForm.DATETIME


def _check_index(inspector: Inspector, here: TableModel, where: str, findings: Findings) -> None:
    """Pages are read in the order of the key; without an index each page would sort the whole table."""
    found: list[Sequence[str | None]] = [inspector.get_pk_constraint(here.name)["constrained_columns"]]
    found += [index["column_names"] for index in inspector.get_indexes(here.name)]
    if not any(tuple(columns[: len(here.key)]) == here.key for columns in found):
        findings.warn(where, f"there is no index of {', '.join(here.key)} in this order: reading will be slow")


def _check_parents(
    model: Model, places: Mapping[str, Place], names: Iterable[str], where: str, findings: Findings
) -> None:
    for table in (table for table in model.tables if table.name in places):
        for parent in sorted({*table.references.values()} - places.keys()):
            if _find_name(parent, names) is None:
                findings.error(where, f"there is no table {parent}, to which {table.name} refers")


def _check_tables(model: Model, places: Mapping[str, Place], where: str, findings: Findings) -> None:
    if not any(table.name in places for table in model.append_only()) and not findings.errors:
        wanted = ", ".join(table.name for table in model.append_only())
        findings.error(where, f"there is none of the tables that are pushed ({wanted}): is it the right database?")


def _find_name(name: str, names: Iterable[str]) -> str | None:
    """``name`` as it is among ``names``: just so, or else the one that differs in capital letters alone."""
    alike = [each for each in names if each.lower() == name.lower()]
    if name in alike:
        return name
    return alike[0] if len(alike) == 1 else None
