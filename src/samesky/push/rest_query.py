"""What the address of a list says: ``/rest/reading/?nodeId=69&ge_time=2026-01-01T00:00:00&sort=-time``. Pure.

``column=value`` is equality; ``le_``, ``lt_``, ``ge_`` and ``gt_`` before the column compare. The prefix ends at the
first underscore, and only where it is one of these and a column follows: values are never cut. ``column=`` and
``column=null`` mean NULL, and so does the seed's ``column=None`` for columns that aren't texts. Conditions
add up. A column that isn't there is refused: a condition left out would find the wrong rows.

``Range: items=0-99`` asks for part of a list (RFC 9110, section 14).
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from ..core.strict import HIGHEST_INTEGER, LOWEST_INTEGER, Reason, Refused, check_text
from .iso_times import decode_time
from .model import ColumnModel, TableModel, ValueKind

COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "le": operator.le,
    "lt": operator.lt,
    "ge": operator.ge,
    "gt": operator.gt,
}
MOST_CONDITIONS = 50
MOST_ITEM = 1 << 53
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")
_DOUBLE = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_ITEMS = re.compile(r"([0-9]{1,16})-([0-9]{1,16})?")
_FLAGS = {"true": 1, "1": 1, "false": 0, "0": 0}
_NULLS = ("", "null")


class Condition(NamedTuple):
    """``column`` compares with ``value``: "eq", or one of `COMPARISONS`. A value of None (with "eq") is NULL."""

    column: str
    comparison: str
    value: object


class Order(NamedTuple):
    """A column to sort by."""

    column: str
    descending: bool


class Items(NamedTuple):
    """The part of a list that is asked for, from 0; ``last`` is within it, None for the end."""

    first: int
    last: int | None


@dataclass(frozen=True, slots=True)
class RestQuery:
    """Which rows of a table, in which order."""

    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()


def decode_query(query: bytes, table: TableModel, *, extra: tuple[ColumnModel, ...] = ()) -> RestQuery:
    """Return what ``query`` (behind the ``?``) asks of ``table``; ``extra`` are columns that it has besides.

    Raises ``Refused``: COLUMN for a column that isn't there, BAD_REQUEST for a value that isn't the column's, ENCODING.
    """
    try:
        text = query.decode("ascii")
        pairs = parse_qsl(
            text, keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=MOST_CONDITIONS
        )
    except UnicodeError:
        raise Refused(Reason.ENCODING, "the address isn't UTF-8") from None
    except ValueError:
        raise Refused(Reason.BAD_REQUEST, f"at most {MOST_CONDITIONS} conditions fit into an address") from None
    columns = {column.name: column for column in (*table.columns, *extra)}
    order = [part for name, value in pairs if name == "sort" for part in value.split(",")]
    conditions = [decode_condition(name, value, columns) for name, value in pairs if name != "sort"]
    return RestQuery(tuple(conditions), tuple(_decode_order(part, columns) for part in order))


def decode_condition(name: str, value: str, columns: dict[str, ColumnModel]) -> Condition:
    """Return one condition; raises ``Refused`` as `decode_query` does."""
    comparison, column = "eq", columns.get(name)
    if column is None:
        prefix, underscore, rest = name.partition("_")
        if not underscore or prefix not in COMPARISONS or rest not in columns:
            raise Refused(Reason.COLUMN, "a condition is about a column that the table hasn't")
        comparison, column = prefix, columns[rest]
    decoded = decode_value(value, column)
    if decoded is None and comparison != "eq":
        raise Refused(Reason.BAD_REQUEST, f"{comparison}_{column.name} needs a value: NULL is neither more nor less")
    return Condition(column.name, comparison, decoded)


def decode_value(text: str, column: ColumnModel) -> object:
    """Return the value of ``column`` that ``text`` spells, None for NULL; raises ``Refused`` (BAD_REQUEST)."""
    if text in _NULLS or (text == "None" and column.kind is not ValueKind.TEXT):
        return None
    match column.kind:
        case ValueKind.TEXT:
            return _decode_text(text)
        case ValueKind.TIME:
            return decode_time(text, Reason.BAD_REQUEST)
        case ValueKind.FLAG if text.lower() in _FLAGS:
            return _FLAGS[text.lower()]
        case ValueKind.INTEGER if _INTEGER.fullmatch(text) and LOWEST_INTEGER <= int(text) <= HIGHEST_INTEGER:
            return int(text)
        case ValueKind.DOUBLE if _DOUBLE.fullmatch(text) and abs(float(text)) < float("inf"):
            return float(text)
    raise Refused(Reason.BAD_REQUEST, f"the value for {column.name} isn't {_NAMES[column.kind]}")


def decode_range(header: bytes | None) -> Items | None:
    """Return the items that ``Range`` asks for; None for all, also when the unit is another one (RFC 9110).

    Raises ``Refused`` (BAD_REQUEST) for what isn't ``items=first-last`` with first ≤ last.
    """
    unit, equals, part = (header or b"").decode("latin-1").partition("=")
    if not equals or unit.strip().lower() != "items":
        return None
    found = _ITEMS.fullmatch(part.strip())
    first, last = (int(found[1]), int(found[2]) if found[2] else None) if found else (1, 0)
    if (last is not None and last < first) or first > MOST_ITEM:
        raise Refused(Reason.BAD_REQUEST, "Range must be items=first-last, such as items=0-99")
    return Items(first, last)


def _decode_order(text: str, columns: dict[str, ColumnModel]) -> Order:
    name = text.removeprefix("-")
    if name not in columns:
        raise Refused(Reason.COLUMN, "sort names a column that the table hasn't")
    return Order(name, text.startswith("-"))


def _decode_text(text: str) -> str:
    if "\0" in text:
        raise Refused(Reason.BAD_REQUEST, "no text holds a NUL character")
    return check_text(text)


_NAMES = {
    ValueKind.TIME: "a time",
    ValueKind.FLAG: "true or false",
    ValueKind.INTEGER: "an integer of 64 bits",
    ValueKind.DOUBLE: "a number",
}
