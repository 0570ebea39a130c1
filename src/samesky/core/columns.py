"""Rows, columns and bytes, exact to the bit: the page content that any two databases and languages can exchange.

The bytes are compact UTF-8 JSON, one list per column and ``null`` for a column of NULLs alone, which most columns of a
weather table are::

    {"tables":[{"name":"archive","count":2,"columns":[["dateTime","integer"],["outTemp","real"],["hail","real"]],
                "values":[[1700000000,1700000300],[21.3,-0.0],null]}]}

A float is its shortest decimal that reads back to the same double; infinities, which SQLite keeps, are the strings
"inf" and "-inf". All checks of values run in C over whole columns; only a column that fails one is looked at closely.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import compress
from typing import cast

from .strict import Reason, Refused, check_identifier, check_numbers, check_text, parse_json

MAX_TABLES_BYTES = 8 << 20  # a page of 1 MiB on the wire is some 3 MiB of columns


class Kind(StrEnum):
    """What the values of a column are; NULL is always among them."""

    INTEGER = "integer"  # and floats: SQLite keeps 2.5 in an INTEGER column
    REAL = "real"  # and integers, which stay integers
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table: its SQL name and the kind of its values."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one table, held by column: ``values[i]`` are those of ``columns[i]``, row by row.

    Don't change the lists: columns of NULLs alone may share one.
    """

    name: str
    columns: tuple[Column, ...]
    values: tuple[list[object], ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.columns) or len(set(map(len, self.values))) > 1:
            raise ValueError(f"table {self.name}: every column needs one list of values, all of the same length")

    @property
    def count(self) -> int:
        """The number of rows."""
        return len(self.values[0]) if self.values else 0

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Return the rows, in the order of the columns."""
        return zip(*self.values, strict=True)

    def column(self, name: str) -> list[object]:
        """Return the values of the column ``name``; KeyError when there is none."""
        for column, values in zip(self.columns, self.values, strict=True):
            if column.name == name:
                return values
        raise KeyError(name)

    def records(self) -> list[dict[str, object]]:
        """Return the rows as name -> value."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows()]

    def only(self, chosen: Sequence[bool]) -> "Table":
        """Return the table of the rows for which ``chosen`` is true: this one, if it is for all of them."""
        if all(chosen):
            return self
        return Table(self.name, self.columns, tuple(list(compress(values, chosen)) for values in self.values))

    @classmethod
    def from_rows(cls, name: str, columns: Iterable[Column], rows: Iterable[Sequence[object]]) -> "Table":
        """Return the table of ``rows``, each with a value for each of ``columns``; ValueError when one hasn't."""
        columns = tuple(columns)
        values = tuple(map(list, zip(*rows, strict=True)))
        return cls(name, columns, values or tuple([] for _ in columns))


def encode_tables(tables: Iterable[Table]) -> bytes:
    """Return ``tables`` as bytes that ``decode_tables`` takes back to equal values of equal types.

    Raises ValueError, naming table and column, for what can't be taken back: NaN, an integer of more than 64 bits, a
    lone surrogate, a value that isn't of the column's kind (a text in a REAL column), or a name that is no identifier.
    """
    tables = tuple(tables)
    try:
        _check_distinct([check_identifier(table.name) for table in tables])
    except Refused as mistake:
        raise ValueError(str(mistake)) from None
    return f'{{"tables":[{",".join(map(_encode_table, tables))}]}}'.encode()


def decode_tables(
    payload: bytes, *, max_rows: int, max_columns: int = 1024, max_bytes: int = MAX_TABLES_BYTES
) -> list[Table]:
    """Return the tables in ``payload``, every name, type and range proven, each within both caps.

    Raises ``Refused`` and nothing else. What it returns takes a few times the memory of ``payload``, whatever it says.
    """
    document = parse_json(payload, max_bytes=max_bytes)
    entries = _take_list(_take_fields(document, ("tables",))[0])
    tables = [_decode_table(entry, max_rows, max_columns) for entry in entries]
    _check_distinct([table.name for table in tables])
    return tables


def _encode_table(table: Table) -> str:
    try:
        _check_distinct([check_identifier(column.name) for column in table.columns])
    except Refused as mistake:
        raise ValueError(f"table {table.name}: {mistake}") from None
    nulls = [None] * table.count
    encoded = [
        "null" if values == nulls else _encode_column(table.name, column, values)
        for column, values in zip(table.columns, table.values, strict=True)
    ]
    if nulls and set(encoded) == {"null"}:  # the count is never believed without one list of that length
        encoded[0] = _to_json(nulls)
    columns = [[column.name, column.kind] for column in table.columns]
    head = f'"name":{_to_json(table.name)},"count":{table.count},"columns":{_to_json(columns)}'
    return f'{{{head},"values":[{",".join(encoded)}]}}'


def _encode_column(table: str, column: Column, values: list[object]) -> str:
    kinds = set(map(type, values))
    strangers = kinds - (_TEXTS if column.kind is Kind.TEXT else _NUMBERS)
    try:
        if strangers:
            raise ValueError(f"{column.kind} was expected, found {', '.join(kind.__name__ for kind in strangers)}")
        if int in kinds:
            check_numbers(values if len(kinds) == 1 else [value for value in values if type(value) is int], {int})
        if str in kinds:
            check_text("".join(filter(None, cast(list[str], values))))
        return _encode_values(values)
    except (Refused, ValueError) as mistake:
        raise ValueError(f"table {table}, column {column.name}: {mistake}") from None


def _encode_values(values: list[object]) -> str:
    try:
        return _to_json(values)
    except ValueError:  # json's way to say that one of them isn't finite
        return _to_json([_INFINITY_NAMES.get(cast(float, value), value) for value in values])


def _decode_table(entry: object, max_rows: int, max_columns: int) -> Table:
    name, count, columns, values = _take_fields(entry, ("name", "count", "columns", "values"))
    if type(count) is not int or count < 0:
        raise Refused(Reason.TYPE, "the count of a table isn't a number of rows")
    if count > max_rows:
        raise Refused(Reason.SIZE, f"a table has more than {max_rows} rows")
    headings = _take_list(columns)
    if len(headings) > max_columns:
        raise Refused(Reason.SIZE, f"a table has more than {max_columns} columns")
    decoded = tuple(map(_decode_heading, headings))
    _check_distinct([column.name for column in decoded])
    return Table(check_identifier(name), decoded, _decode_values(decoded, _take_list(values), count))


def _decode_heading(entry: object) -> Column:
    if isinstance(entry, list) and len(entry) == 2:
        name, kind = entry
        if isinstance(kind, str) and kind in _KINDS:
            return Column(check_identifier(name), _KINDS[kind])
    raise Refused(Reason.SHAPE, "a column must be given by its name and one of integer, real and text")


def _decode_values(columns: tuple[Column, ...], lists: list[object], count: int) -> tuple[list[object], ...]:
    given = [values for values in lists if values is not None]
    if len(lists) != len(columns) or (count and not given):
        raise Refused(Reason.SHAPE, "a table needs a list or null for each column, and one list at least")
    for values in given:
        if type(values) is not list or len(values) != count:
            raise Refused(Reason.SHAPE, "the lists of a table must have as many values as it has rows")
    nulls: list[object] = [None] * count  # only now: as long as a list that was really sent
    return tuple(
        nulls if values is None else _decode_column(column, cast(list[object], values))
        for column, values in zip(columns, lists, strict=True)
    )


def _decode_column(column: Column, values: list[object]) -> list[object]:
    """Return ``values`` proven, the same list unless infinities had to be put in."""
    kinds = set(map(type, values))
    if column.kind is Kind.TEXT:
        if not kinds <= _TEXTS:
            raise Refused(Reason.TYPE, f"column {column.name} has values that aren't texts")
        check_text("".join(filter(None, cast(list[str], values))))
        return values
    if not kinds <= _NUMBERS | {str}:
        raise Refused(Reason.TYPE, f"column {column.name} has values that aren't numbers")
    check_numbers(values, kinds)
    return _decode_infinities(column, values) if str in kinds else values


def _decode_infinities(column: Column, values: list[object]) -> list[object]:
    try:
        return [_INFINITIES[value] if isinstance(value, str) else value for value in values]
    except KeyError:
        raise Refused(Reason.TYPE, f"column {column.name} has texts for numbers") from None


def _take_fields(entry: object, names: tuple[str, ...]) -> list[object]:
    if not isinstance(entry, dict) or entry.keys() != set(names):
        raise Refused(Reason.SHAPE, f"a JSON object of {', '.join(names)} and nothing else was expected")
    return [entry[name] for name in names]


def _take_list(entry: object) -> list[object]:
    if not isinstance(entry, list):
        raise Refused(Reason.SHAPE, "a JSON list was expected")
    return entry


def _check_distinct(names: Sequence[str]) -> None:
    """Refuse names that SQL takes for the same, which has no case in them."""
    if len(set(map(str.lower, names))) != len(names):
        raise Refused(Reason.DUPKEY, "a table or column is named twice")


_KINDS = {kind.value: kind for kind in Kind}
_NUMBERS = frozenset({int, float, type(None)})
_TEXTS = frozenset({str, type(None)})
_INFINITY_NAMES = {math.inf: "inf", -math.inf: "-inf"}
_INFINITIES = {name: value for value, name in _INFINITY_NAMES.items()}
_to_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
