"""Pages of an append-only table on the wire: compressed columns, every value proven before anything is stored.

What is wrong with a page as a whole is ``Refused`` (rows 1 to 13 of the design's table of bad inputs). What is wrong
with single rows is a `FaultyPage`: it names the rows, so that the site puts these into quarantine and sends the rest.
"""

from collections.abc import Sequence

from ..core.columns import Column, Table, decode_tables, encode_tables
from ..core.strict import Reason, Refused
from .bodies import MOST_BYTES, compress, expand
from .model import TableModel
from .values import PageFault, find_faults, take_doubles

MOST_ROWS = 50_000
"""The most rows of a page, unless the caller says otherwise."""
MOST_FAULTS = 100
"""How many faults are told of one page."""


class FaultyPage(Refused):
    """Rows of a page can't be stored; the first `MOST_FAULTS` mistakes are ``faults``. Nothing of it was stored."""

    code = "faulty_page"

    def __init__(self, table: str, faults: Sequence[PageFault]) -> None:
        first = faults[0]
        super().__init__(first.reason, f"table {table}, row {first.row}, column {first.column}: {first.words}")
        self.faults = tuple(faults[:MOST_FAULTS])


def encode_page(page: Table, *, level: int = 6) -> bytes:
    """Return ``page`` as the body of a request, equal bytes each time; `decode_page` takes it back to equal values.

    ``level`` is zlib's: 6 for slow links, 1 where the processor is what is slow. Raises ValueError for what can't
    travel (NaN, more than 64 bits, half a surrogate pair): `check_page` says which rows these are.
    """
    return compress(encode_tables([page]), level=level)


def decode_page(
    payload: bytes, table: TableModel, *, now: float, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> Table:
    """Return the page of ``table`` in ``payload`` (gzip or plain): its columns in the model's order, all values proven.

    A key may be in a page twice; only its last row is returned. Integers in DOUBLE columns become floats. Raises
    ``Refused`` for the page, `FaultyPage` for its rows, and nothing else. ``now`` is in seconds since 1970.
    """
    tables = decode_tables(
        expand(payload, most_bytes=most_bytes),
        max_rows=most_rows,
        max_columns=len(table.columns),
        max_bytes=most_bytes,
    )
    if len(tables) != 1 or tables[0].name != table.name:
        raise Refused(Reason.SHAPE, f"a page must hold the table {table.name} and no other")
    return drop_repeated(table, check_page(table, put_in_order(table, tables[0]), now=now))


def check_page(table: TableModel, page: Table, *, now: float) -> Table:
    """Return ``page``, which has the columns of ``table`` in their order, with floats in DOUBLE columns.

    Raises `FaultyPage` for rows that the centre wouldn't take; for a site that wants to know before it sends.
    """
    faults = find_faults(table, page, now=now, most=MOST_FAULTS)
    if faults:
        raise FaultyPage(table.name, faults)
    return take_doubles(table, page)


def put_in_order(table: TableModel, given: Table) -> Table:
    """Return ``given`` with the columns in the order of the model; it must have exactly these, of their kinds.

    Raises ``Refused``: COLUMN for an unknown or missing one, TYPE for another kind.
    """
    if given.columns == table.wire:
        return given
    kinds = {column.name: column.kind for column in table.wire}
    for column in given.columns:
        if column.name not in kinds:
            raise Refused(Reason.COLUMN, f"table {table.name} has a column that the centre doesn't know")
        if column.kind is not kinds[column.name]:
            raise Refused(Reason.TYPE, f"column {table.name}.{column.name} must be {kinds[column.name]}")
    by_name: dict[str, tuple[Column, list[object]]] = {
        column.name: (column, values) for column, values in zip(given.columns, given.values, strict=True)
    }
    missing = [name for name in table.names if name not in by_name]
    if missing:
        raise Refused(Reason.COLUMN, f"table {table.name} lacks the column {missing[0]}")
    return Table(table.name, table.wire, tuple(by_name[name][1] for name in table.names))


def drop_repeated(table: TableModel, page: Table) -> Table:
    """Return ``page`` with one row of each key, the last; this very page when no key is repeated."""
    keys = list(zip(*(page.column(name) for name in table.key), strict=True))
    if len(set(keys)) == len(keys):
        return page
    last = {key: place for place, key in enumerate(keys)}
    return page.only([last[key] == place for place, key in enumerate(keys)])
