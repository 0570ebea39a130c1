"""What the columns of a model can hold: whole columns are proven in C, and only one that fails is looked at by row."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from operator import is_
from typing import cast

from ..core.columns import Table
from ..core.strict import (
    EARLIEST_TIME,
    FUTURE_LIMIT_S,
    HIGHEST_INTEGER,
    LATEST_TIME,
    LOWEST_INTEGER,
    Reason,
    Refused,
    check_text,
)
from .model import ColumnModel, TableModel, ValueKind

LOWEST_DATE = -30_610_224_000
"""1000-01-01, where MariaDB's DATETIME begins."""
HIGHEST_DATE = 253_402_300_799
"""9999-12-31T23:59:59, where it ends."""


@dataclass(frozen=True, slots=True)
class PageFault:
    """What is wrong with one value: ``row`` counts from 0 in what was sent; ``words`` never quote the value."""

    row: int
    column: str
    reason: Reason
    words: str

    def as_dict(self) -> dict[str, object]:
        """Return it as an entry of ``errors`` in the answer 422."""
        return {"row": self.row, "column": self.column, "reason": self.reason.value, "words": self.words}


def find_faults(table: TableModel, rows: Table, *, now: float, most: int) -> list[PageFault]:
    """Return up to ``most`` values of ``rows`` that don't fit ``table``, by row; ``rows`` has its columns in order.

    The first column of the key of an append-only table is a time of measurement, thus lies between 1971 and an hour
    after ``now``; other times are any date that databases hold.
    """
    faults: list[PageFault] = []
    for column, values in zip(table.columns, rows.values, strict=True):
        rule = _choose_rule(table, column, now)
        if not rule.holds_for(values):
            faults.extend(islice(_find_in_column(rule, values), most))
    return sorted(faults, key=lambda fault: fault.row)[:most]


def take_doubles(table: TableModel, rows: Table) -> Table:
    """Return ``rows`` with the integers in DOUBLE columns as floats; these very rows when there are none."""
    values = tuple(
        _as_floats(of_column) if column.kind is ValueKind.DOUBLE and int in set(map(type, of_column)) else of_column
        for column, of_column in zip(table.columns, rows.values, strict=True)
    )
    return rows if all(map(is_, values, rows.values)) else Table(rows.name, rows.columns, values)


@dataclass(frozen=True, slots=True)
class _Rule:
    """What the values of one column must be; ``low`` and ``high`` bound integers and times."""

    column: ColumnModel
    required: bool
    low: int = LOWEST_INTEGER
    high: int = HIGHEST_INTEGER

    def holds_for(self, values: list[object]) -> bool:
        """Whether every one of ``values`` surely is as it must be."""
        kinds = set(map(type, values))
        if not kinds <= (_KINDS[self.column.kind] if self.required else _KINDS_OR_NULL[self.column.kind]):
            return False
        match self.column.kind:
            case ValueKind.DOUBLE:
                if int in kinds and not all(map(_is_double, values)):
                    return False
                return math.isfinite(sum(filter(None, cast(list[float], values))))
            case ValueKind.TEXT:
                return self._holds_for_texts(cast(list[str], list(filter(None, values))))
            case _:
                # NULL is left out, and 0 with it: where NULL is allowed, 0 is within the bounds.
                numbers = cast(list[int], values if self.required else list(filter(None, values)))
                return not numbers or (self.low <= min(numbers) and max(numbers) <= self.high)

    def fault_of(self, value: object) -> tuple[Reason, str] | None:
        """What is wrong with ``value``; None when nothing is."""
        if value is None:
            return (Reason.REQUIRED, "a value is missing") if self.required else None
        if type(value) not in _KINDS[self.column.kind]:
            return Reason.TYPE, f"{_NAMES[self.column.kind]} was expected, not a {type(value).__name__}"
        match value:
            case str():
                return self._fault_of_text(value)
            case float():
                return None if math.isfinite(value) else (Reason.NONFINITE, "the number is infinite, or none")
            case int() if self.column.kind is ValueKind.DOUBLE:
                return None if _is_double(value) else (Reason.RANGE, "no DOUBLE is this integer")
            case int() if value < self.low:
                return (Reason.PAST, "the time is before 1971") if self.low == EARLIEST_TIME else self._out_of_range()
            case int() if value > self.high:
                return self._too_high()
        return None

    def _holds_for_texts(self, texts: list[str]) -> bool:
        joined = "".join(texts)
        if "\0" in joined or (self.column.size and max(map(len, texts), default=0) > self.column.size):
            return False
        try:
            check_text(joined)
        except Refused:
            return False
        return True

    def _fault_of_text(self, text: str) -> tuple[Reason, str] | None:
        if self.column.size and len(text) > self.column.size:
            return Reason.SIZE, f"the text has more than {self.column.size} characters"
        if "\0" in text:  # which PostgreSQL can't store
            return Reason.ENCODING, "the text has a NUL character"
        try:
            check_text(text)
        except Refused as mistake:
            return mistake.reason, str(mistake)
        return None

    def _too_high(self) -> tuple[Reason, str]:
        if self.low == EARLIEST_TIME:
            return Reason.FUTURE, f"the time is more than {FUTURE_LIMIT_S} s in the future"
        return self._out_of_range()

    def _out_of_range(self) -> tuple[Reason, str]:
        return Reason.RANGE, f"{_NAMES[self.column.kind]} can't be so small or so large"


def _choose_rule(table: TableModel, column: ColumnModel, now: float) -> _Rule:
    required = column.required or column.name in table.key
    match column.kind:
        case ValueKind.TIME if table.append_only and column.name == table.time_column:
            return _Rule(column, required, EARLIEST_TIME, min(int(now) + FUTURE_LIMIT_S, LATEST_TIME))
        case ValueKind.TIME:
            return _Rule(column, required, LOWEST_DATE, HIGHEST_DATE)
        case ValueKind.FLAG:
            return _Rule(column, required, 0, 1)
    return _Rule(column, required)


def _find_in_column(rule: _Rule, values: list[object]) -> Iterator[PageFault]:
    for row, value in enumerate(values):
        fault = rule.fault_of(value)
        if fault is not None:
            yield PageFault(row, rule.column.name, *fault)


def _as_floats(values: list[object]) -> list[object]:
    return [None if value is None else float(cast(float, value)) for value in values]


def _is_double(value: object) -> bool:
    """Whether ``value``, a number or NULL, is exactly some double."""
    return type(value) is not int or (LOWEST_INTEGER <= value <= HIGHEST_INTEGER and int(float(value)) == value)


_KINDS: dict[ValueKind, frozenset[type]] = {
    ValueKind.INTEGER: frozenset({int}),
    ValueKind.DOUBLE: frozenset({int, float}),
    ValueKind.TEXT: frozenset({str}),
    ValueKind.TIME: frozenset({int}),
    ValueKind.FLAG: frozenset({int}),
}
_KINDS_OR_NULL = {kind: types | {type(None)} for kind, types in _KINDS.items()}
_NAMES = {
    ValueKind.INTEGER: "an integer",
    ValueKind.DOUBLE: "a number",
    ValueKind.TEXT: "a text",
    ValueKind.TIME: "a time in whole seconds",
    ValueKind.FLAG: "0 or 1",
}
