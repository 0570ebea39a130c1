"""The dimension rows of a site on the wire: its *catalogue*. What the centre answers is in `catalogue_plan`."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import cast

from ..core.columns import Table, decode_tables, encode_tables
from ..core.strict import Reason, Refused
from .bodies import MOST_BYTES, compress, expand
from .catalogue_plan import CataloguePlan as CataloguePlan
from .digests import DIGEST_BYTES, pack_rows
from .mapping import Refusal
from .model import Model, TableModel
from .page import put_in_order
from .values import find_faults, take_doubles

MOST_ROWS = 200_000
"""The most rows of one table of a catalogue, unless the caller says otherwise."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Dimension rows as a site sent them: good ones by table, and those that no table can hold."""

    tables: Mapping[str, Table]
    """In the model's order; the columns of each in the model's order."""
    refused: tuple[Refusal, ...] = ()

    def ids(self, table: str) -> frozenset[int]:
        """The ids of the rows of ``table`` that the site has, whether or not they are good."""
        good = cast(list[int], self.tables[table].column("id")) if table in self.tables else []
        return frozenset(chain(good, (refusal.site_id for refusal in self.refused if refusal.table == table)))


def encode_catalogue(tables: Mapping[str, Table]) -> bytes:
    """Return the catalogue as the body of a request, equal bytes each time. Raises ValueError as `encode_page` does."""
    return compress(encode_tables(tables.values()))


def decode_catalogue(
    payload: bytes, model: Model, *, most_rows: int = MOST_ROWS, most_bytes: int = MOST_BYTES
) -> Catalogue:
    """Return the catalogue in ``payload`` (gzip or plain), every value proven; tables may be missing.

    Rows that no table can hold are among ``refused``, and the rest goes on. Raises ``Refused`` for the whole (rows 1
    to 17 of the design's table of bad inputs), and nothing else.
    """
    decoded = decode_tables(expand(payload, most_bytes=most_bytes), max_rows=most_rows, max_bytes=most_bytes)
    given = {table.name: table for table in decoded}
    dimensions = {table.name: table for table in model.dimensions()}
    if not given.keys() <= dimensions.keys():
        raise Refused(Reason.COLUMN, "the catalogue has a table that is no dimension at the centre")
    tables: dict[str, Table] = {}
    refused: list[Refusal] = []
    for name, table in dimensions.items():
        if name in given:
            tables[name], faulty = _take_good(table, put_in_order(table, given[name]))
            refused.extend(faulty)
    return Catalogue(tables, tuple(refused))


def digest_catalogue(model: Model, tables: Mapping[str, Table]) -> str:
    """Return the digest of a catalogue in hex: equal for equal rows, in whichever order they are.

    The site sends nothing when it is the one that the centre has kept of the last catalogue that was taken wholly.
    """
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for table in model.dimensions():
        if table.name in tables:
            rows = tables[table.name]
            ids = cast(list[int], rows.column("id"))
            order = sorted(range(rows.count), key=ids.__getitem__)
            values = tuple([column[place] for place in order] for column in rows.values)
            packed = pack_rows(table, Table(table.name, rows.columns, values))
            digest.update(f"{table.name} {' '.join(table.names)} {rows.count} {len(packed)}\n".encode() + packed)
    return digest.hexdigest()


def chosen_by_activity(model: Model) -> frozenset[str]:
    """Return the dimensions of which a catalogue may lack rows that aren't active (`active_rows`); others are whole.

    These have an end (``active_until``), or hang on what has one (a location on its house), or are referred to by
    such (rooms, room types). What is the site's own (nodes, sensors) is whole, whatever it hangs on.
    """
    chosen: set[str] = set()
    for table in model.dimensions():  # parents come first, so one pass finds what hangs on what hangs on …
        if table.active_until or (not table.of_site and not chosen.isdisjoint(table.references.values())):
            chosen.add(table.name)
    for table in reversed(list(model.dimensions())):
        if table.name in chosen:
            chosen.update(table.references.values())
    return frozenset(chosen)


def absent_ids(model: Model, table: TableModel, known: Iterable[int], sent: Collection[int]) -> frozenset[int]:
    """Return which of the ``known`` site ids are surely gone, given the ids ``sent`` in a whole catalogue."""
    return frozenset() if table.name in chosen_by_activity(model) else frozenset(known).difference(sent)


def _take_good(table: TableModel, rows: Table) -> tuple[Table, list[Refusal]]:
    """The rows that ``table`` can hold, and the others; `Refused` for ids that are none, and so can't be told."""
    ids = rows.column("id")
    if not set(map(type, ids)) <= {int}:
        raise Refused(Reason.REQUIRED if None in ids else Reason.TYPE, f"table {table.name} has a row without an id")
    if len(set(ids)) != len(ids):
        raise Refused(Reason.DUPKEY, f"table {table.name} has an id twice")
    faults = {fault.row: fault for fault in reversed(find_faults(table, rows, now=0, most=rows.count))}
    refused = [
        Refusal(table.name, cast(int, ids[row]), fault.reason, f"its {fault.column} can't be stored: {fault.words}")
        for row, fault in sorted(faults.items())
    ]
    good = rows.only([row not in faults for row in range(rows.count)]) if faults else rows
    return take_doubles(table, good), refused
