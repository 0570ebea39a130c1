"""Which rows of a site can be told at all: SQLite takes any value in any column, PostgreSQL takes NaN for a number."""

import math
from typing import Any

from ..core.columns import Table
from ..core.strict import Refused, check_text
from ..errors import DataError
from .model import ColumnModel, TableModel, ValueKind

_KINDS: dict[ValueKind, frozenset[type]] = {
    ValueKind.INTEGER: frozenset({int}),
    ValueKind.DOUBLE: frozenset({int, float}),
    ValueKind.TEXT: frozenset({str}),
    ValueKind.TIME: frozenset({int}),
    ValueKind.FLAG: frozenset({int}),
}


def take_fit(table: TableModel, columns: list[list[Any]]) -> tuple[Table, dict[str, int]]:
    """The rows in which every value is what the model says; and per column, how many of its values are not.

    Numbers in columns of doubles become floats: a database writes 21.0 as 21.
    """
    kept: list[bool] | None = None
    unfit: dict[str, int] = {}
    for column, of_column in zip(table.columns, columns, strict=True):
        fit = _find_fit(column, of_column, needed=column.required or column.name in table.key)
        if fit is not None:
            unfit[column.name] = fit.count(False)
            kept = fit if kept is None else [one and other for one, other in zip(kept, fit, strict=True)]
    rows = Table(table.name, table.wire, tuple(columns))
    chosen = rows if kept is None else rows.only(kept)
    values = tuple(
        _take_doubles(of_column) if column.kind is ValueKind.DOUBLE else of_column
        for column, of_column in zip(table.columns, chosen.values, strict=True)
    )
    return Table(table.name, table.wire, values), unfit


def _find_fit(column: ColumnModel, values: list[Any], *, needed: bool) -> list[bool] | None:
    """Which of ``values`` can be told; None: all."""
    kinds = set(map(type, values))
    allowed = _KINDS[column.kind] | (frozenset() if needed else {type(None)})
    if kinds <= allowed and _are_sound(column, values):
        return None
    fit = [type(value) in allowed and _are_sound(column, [value]) for value in values]
    return None if all(fit) else fit


def _are_sound(column: ColumnModel, values: list[Any]) -> bool:
    """Whether no number among ``values`` is NaN, and no text half a character."""
    match column.kind:
        case ValueKind.DOUBLE:
            total = sum(filter(None, values))
            return not math.isnan(total) or not any(value is not None and math.isnan(value) for value in values)
        case ValueKind.TEXT:
            try:
                check_text("".join(filter(None, values)))
            except Refused:
                return False
    return True


def _take_doubles(values: list[Any]) -> list[object]:
    """``values`` with the integers as floats: a database writes 21.0 as 21."""
    if int not in set(map(type, values)):
        return values
    return [None if value is None else float(value) for value in values]


def last_fit_key(table: TableModel, columns: list[list[Any]]) -> tuple[Any, ...]:
    """The last key among rows that were all left out for another reason; raises `DataError` when no key is sound."""
    keys = zip(*(columns[table.names.index(name)] for name in table.key), strict=True)
    kinds = [_KINDS[table.column(name).kind] for name in table.key]
    for key in reversed(list(keys)):
        if all(type(value) in allowed for value, allowed in zip(key, kinds, strict=True)):
            return tuple(key)
    raise DataError(
        f"Table {table.name} has rows whose key ({', '.join(table.key)}) can't be told",
        hint="Delete them, or mend their keys: rows after them can't be reached.",
    )
