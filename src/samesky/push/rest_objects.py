"""Rows as REST has them: JSON objects of all columns and ``"__table__"``, times as ``2026-01-31T23:59:59``. Pure.

What is proven here is the kind of every value; whether rows and parents are there is for `rest_rows`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ..core.columns import Table
from ..core.strict import HIGHEST_INTEGER, Reason, Refused
from .central_tables import SITE_COLUMN
from .iso_times import decode_time, encode_time
from .model import ColumnModel, Model, TableModel, ValueKind
from .page import FaultyPage, check_page
from .values import PageFault

TABLE_MEMBER = "__table__"
Values = dict[str, object]
"""A row by column, as the model has it: times in seconds, flags 0 or 1."""
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


@dataclass(frozen=True, slots=True)
class Given:
    """One object of a request."""

    table: TableModel
    values: Values
    """All columns; those that weren't given are NULL."""
    named: frozenset[str]
    """The columns that were given."""
    site: int | None = None
    """``siteId``, if it was given."""
    place: int = field(default=0, compare=False)
    """Where it stood in the list."""


def encode_object(table: TableModel, row: Sequence[object], *, site: object = None) -> dict[str, object]:
    """Return ``row``, whose values are in the order of the columns, as REST has it; with ``siteId`` if it is told."""
    values = dict(zip(table.names, row, strict=True))
    for column in table.columns:
        value = values[column.name]
        if value is not None and column.kind is ValueKind.TIME:
            values[column.name] = encode_time(cast(int, value))
        elif value is not None and column.kind is ValueKind.FLAG:
            values[column.name] = bool(value)
    own = {} if site is None else {SITE_COLUMN: site}
    return {TABLE_MEMBER: table.name, **own, **values}


def encode_json(document: object) -> str:
    """Return ``document`` as JSON."""
    return _encode(document)


def etag_of(body: bytes) -> str:
    """Return the strong ETag of an object's JSON."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'


def decode_object(document: object, table: TableModel, *, now: float) -> Given:
    """Return the row in ``document``, an object of ``table``; columns that aren't given are NULL.

    Raises ``Refused`` (SHAPE, COLUMN) for what is no object of the table, `FaultyPage` for its values.
    """
    given = _take_members(document, table)
    _prove([given], now=now)
    return given


def decode_objects(document: object, model: Model, *, now: float, most: int) -> list[Given]:
    """Return the rows in ``document``, a list of objects that name their tables; raises as `decode_object` does.

    Faults are told by the object's place in the list.
    """
    if not isinstance(document, list):
        raise Refused(Reason.SHAPE, "a list of objects was expected")
    if len(document) > most:
        raise Refused(Reason.SIZE, f"at most {most} objects fit into one request")
    given = [_take_listed(entry, model, place) for place, entry in enumerate(document)]
    by_table: dict[str, list[Given]] = {}
    for each in given:
        by_table.setdefault(each.table.name, []).append(each)
    for rows in by_table.values():
        _prove(rows, now=now)
    return given


def decode_key(text: str, table: TableModel) -> Values:
    """Return the key in the last part of an address: ``69``, or ``2026-01-31T23:59:59,69,1`` for several columns.

    Raises ``Refused`` (BAD_REQUEST) when it isn't one.
    """
    parts = text.split(",")
    if len(parts) != len(table.key):
        raise Refused(Reason.BAD_REQUEST, f"a row of {table.name} is addressed by {','.join(table.key)}")
    return {name: _decode_key_part(part, table.column(name)) for name, part in zip(table.key, parts, strict=True)}


def encode_key(table: TableModel, values: Mapping[str, object]) -> str:
    """Return the key of a row as `decode_key` takes it back."""
    parts = ((table.column(name), values[name]) for name in table.key)
    return ",".join(
        encode_time(cast(int, value)) if column.kind is ValueKind.TIME else str(value) for column, value in parts
    )


def _decode_key_part(text: str, column: ColumnModel) -> object:
    if column.kind is ValueKind.TIME:
        return decode_time(text, Reason.BAD_REQUEST)
    if column.kind is ValueKind.TEXT:
        return text
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 19) or abs(int(text)) > HIGHEST_INTEGER:
        raise Refused(Reason.BAD_REQUEST, f"{column.name} in the address must be an integer of 64 bits")
    return int(text)


def _take_listed(entry: object, model: Model, place: int) -> Given:
    name = entry.get(TABLE_MEMBER) if isinstance(entry, dict) else None
    table = model.find(name) if isinstance(name, str) else None
    if table is None:
        raise Refused(Reason.SHAPE, f"object {place} of the list doesn't say of which table it is, in {TABLE_MEMBER}")
    return _take_members(entry, table, place)


def _take_members(document: object, table: TableModel, place: int = 0) -> Given:
    if not isinstance(document, dict):
        raise Refused(Reason.SHAPE, f"an object with columns of {table.name} was expected")
    members = {name: value for name, value in document.items() if name not in (TABLE_MEMBER, SITE_COLUMN)}
    if document.get(TABLE_MEMBER, table.name) != table.name:
        raise Refused(Reason.SHAPE, f"the object is of another table than {table.name}")
    if unknown := members.keys() - set(table.names):
        raise Refused(Reason.COLUMN, f"{len(unknown)} members of the object are no columns of {table.name}")
    site = document.get(SITE_COLUMN)
    if SITE_COLUMN in document and (type(site) is not int or not table.of_site or not 0 < site <= HIGHEST_INTEGER):
        raise Refused(Reason.TYPE, f"{SITE_COLUMN} must be a site's number, with tables that belong to sites")
    values = {name: members.get(name) for name in table.names}
    return Given(table, values, frozenset(members), cast(int | None, site), place)


def _prove(rows: list[Given], *, now: float) -> None:
    """Prove the values of ``rows``, all of one table, and put them as the model has them."""
    table = rows[0].table
    faults = [fault for row in rows for fault in _take_spellings(row)]
    columns: list[list[object]] = [[row.values[name] for row in rows] for name in table.names]
    if table.key == ("id",):  # the centre gives one if there is none
        ids = table.names.index("id")
        columns[ids] = [0 if value is None else value for value in columns[ids]]
    if not faults:
        try:
            proven = check_page(table, Table(table.name, table.wire, tuple(columns)), now=now)
        except FaultyPage as page:
            faults = [replace(fault, row=rows[fault.row].place) for fault in page.faults]
    if faults:
        raise FaultyPage(table.name, faults)
    for row, record in zip(rows, proven.rows(), strict=True):
        has_id = row.values.get("id", 0) is not None
        row.values.update(zip(table.names, record, strict=True))
        if not has_id:
            row.values["id"] = None


def _take_spellings(row: Given) -> list[PageFault]:
    """Replace the spellings of times and flags by their values; returns what can't be."""
    faults = []
    for column in row.table.columns:
        value = row.values[column.name]
        if column.kind is ValueKind.FLAG and type(value) is bool:
            row.values[column.name] = int(value)
        elif column.kind is ValueKind.TIME and value is not None:
            try:
                row.values[column.name] = decode_time(value if isinstance(value, str) else "")
            except Refused as mistake:
                faults.append(PageFault(row.place, column.name, mistake.reason, str(mistake)))
    return faults
