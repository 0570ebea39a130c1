"""Which row of the centre a site means by an id, and back: read from the database, used for whole columns at once.

The map is kept beside the rows, in the same transactions: it can't outlive a restore of the centre.
"""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from ..core.columns import Table as Rows
from ..core.slices import slices_of
from ..errors import SameskyError
from .central_tables import CentralTables
from .mapping import TablePlan
from .model import TableModel

MAPS_KEPT = 256
"""Sites whose maps of ids are kept in memory."""
_AT_ONCE = 500  # ids in one statement


class MissingParents(SameskyError):
    """Rows refer to others that the centre doesn't know of this site: ``tables`` has the site's ids by table."""

    code = "parent"

    def __init__(self, tables: Mapping[str, tuple[int, ...]]) -> None:
        words = ", ".join(f"{len(ids)} of {table}" for table, ids in tables.items())
        super().__init__(f"Rows are missing that others refer to: {words}", hint="Send these first.")
        self.tables = dict(tables)


@dataclass(frozen=True, slots=True)
class IdMaps:
    """The ids of one site: by table, the site's -> the centre's. ``version`` changes whenever any of them does."""

    version: str
    to_centre: Mapping[str, Mapping[int, int]]
    _to_site: dict[str, dict[int, int]] = field(default_factory=dict, repr=False)

    def of(self, table: str) -> Mapping[int, int]:
        """The map of one table, perhaps empty."""
        return self.to_centre.get(table, {})

    def to_site(self, table: str) -> Mapping[int, int]:
        """The centre's ids -> the site's."""
        made = self._to_site.get(table)
        if made is None:
            made = self._to_site[table] = {centre: site for site, centre in self.of(table).items()}
        return made


class KeptMaps:
    """Keeps the maps of sites that push, which read them for every page otherwise. Any thread may use it."""

    def __init__(self, tables: CentralTables) -> None:
        self._tables = tables
        self._maps: OrderedDict[int, IdMaps] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, connection: Connection, site: Row[Any]) -> IdMaps:
        """The maps of ``site``, a row as this transaction sees it: kept ones only if they are of its version."""
        with self._lock:
            maps = self._maps.get(site.id)
        if maps is not None and maps.version == site.map_version:
            return maps
        maps = read_maps(connection, self._tables, site=site.id, version=site.map_version)
        with self._lock:
            self._maps[site.id] = maps
            self._maps.move_to_end(site.id)
            while len(self._maps) > MAPS_KEPT:
                self._maps.popitem(last=False)
        return maps


def read_maps(connection: Connection, tables: CentralTables, *, site: int, version: str) -> IdMaps:
    """The ids of ``site``, whose version is ``version``."""
    columns = tables.id.c
    asked = select(columns.table_name, columns.site_row, columns.centre_row).where(columns.site == site)
    maps: dict[str, dict[int, int]] = {}
    for table, site_row, centre_row in connection.execute(asked):
        maps.setdefault(table, {})[site_row] = centre_row
    return IdMaps(version, maps)


def translate_to_centre(table: TableModel, rows: Rows, maps: IdMaps) -> list[list[object]]:
    """The columns of ``rows`` with the centre's ids in all references; `MissingParents` names all that aren't known."""
    missing = find_missing(table, rows, maps)
    if missing:
        raise MissingParents(missing)
    return [
        _translate(values, maps.of(table.references[name])) if name in table.references else values
        for name, values in zip(table.names, rows.values, strict=True)
    ]


def find_missing(table: TableModel, rows: Rows, maps: IdMaps) -> dict[str, tuple[int, ...]]:
    """The site's ids, by table, that ``rows`` refer to and the centre doesn't know."""
    missing: dict[str, set[int]] = {}
    for name, parent in table.references.items():
        unknown: set[int] = set(rows.column(name)) - maps.of(parent).keys() - {None}  # type: ignore[assignment]
        if unknown:
            missing.setdefault(parent, set()).update(unknown)
    return {parent: tuple(sorted(ids)) for parent, ids in missing.items()}


def translate_to_site(table: TableModel, columns: Sequence[list[object]], maps: IdMaps) -> list[list[object]]:
    """The columns of rows of the centre with the site's ids in all references.

    What the site has no id for becomes negative, which differs from every id that a site gives.
    """
    return [
        _translate_back(values, maps.to_site(table.references[name])) if name in table.references else values
        for name, values in zip(table.names, columns, strict=True)
    ]


def store_plan(
    connection: Connection, tables: CentralTables, plan: TablePlan, *, site: int, made: Mapping[int, int]
) -> bool:
    """Map the rows that ``plan`` creates (``made``: the site's ids -> the centre's) and adopts; False for no change."""
    mapped = dict(made) | {adopt.site_id: adopt.centre_id for adopt in plan.adopts}
    columns, gone = tables.id.c, sorted({*plan.forgets, *mapped})
    if not gone:
        return False
    of_table = (columns.site == site, columns.table_name == plan.table)
    for ids in slices_of(gone, _AT_ONCE):
        connection.execute(delete(tables.id).where(*of_table, columns.site_row.in_(ids)))
    # A row of the centre is one row of the site, the newest that it gave.
    for ids in slices_of(sorted(mapped.values()), _AT_ONCE):
        connection.execute(delete(tables.id).where(*of_table, columns.centre_row.in_(ids)))
    if mapped:
        rows = [
            {"site": site, "table_name": plan.table, "site_row": site_row, "centre_row": centre_row}
            for site_row, centre_row in mapped.items()
        ]
        connection.execute(insert(tables.id), rows)
    return True


def read_used_by_others(
    connection: Connection, tables: CentralTables, table: str, *, site: int, centre_rows: Iterable[int]
) -> frozenset[int]:
    """Those of ``centre_rows`` to which a site other than ``site`` is mapped."""
    columns = tables.id.c
    used: set[int] = set()
    for ids in slices_of(sorted(centre_rows), _AT_ONCE):
        asked = select(columns.centre_row).where(
            columns.table_name == table, columns.centre_row.in_(ids), columns.site != site
        )
        used.update(connection.execute(asked).scalars())
    return frozenset(used)


def new_version() -> str:
    """A version that no map has had, not even one that a backup brings back."""
    return secrets.token_hex(8)


def _translate(values: list[object], ids: Mapping[int, int]) -> list[object]:
    """``values`` by ``ids``, which has all of them but NULL; NULL stays."""
    return list(map(ids.get, values))  # type: ignore[arg-type]


def _translate_back(values: list[object], ids: Mapping[int, int]) -> list[object]:
    translated: dict[object, object] = {
        value: None if value is None else ids.get(value, -abs(value) - 1)  # type: ignore[call-overload, arg-type]
        for value in set(values)
    }
    return list(map(translated.__getitem__, values))
