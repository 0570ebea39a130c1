"""One site's rows of one table at the centre, as `group_digests` reads them, and the digests that are kept of them."""

import time
from collections.abc import Mapping
from struct import Struct
from typing import Any

from sqlalchemy import Connection, Row

from ..core.columns import Table as Rows
from ..core.strict import check_identifier
from .bulk import Upsert
from .central_reading import read_columns, read_rows
from .central_tables import CentralTables
from .checksums import read_checksums
from .databases import Dialect
from .digests import Group
from .group_digests import Kept
from .id_maps import IdMaps, translate_to_site
from .model import ColumnModel, TableModel, ValueKind

_KEPT_VALUES = ("row_count", "checksum", "digest_high", "digest_low")
ANSWER_WITHIN_S = 20.0
"""So long digests are made for one question; those that are ready then are kept, and the site asks again."""
KEPT = TableModel(
    name="samesky_digest",
    columns=(
        ColumnModel("site", ValueKind.INTEGER),
        ColumnModel("table_name", ValueKind.TEXT, 64),
        *(ColumnModel(name, ValueKind.INTEGER) for name in ("day", "second", *_KEPT_VALUES)),
    ),
    key=("site", "table_name", "day", "second"),
)
"""The table in which digests are kept: all numbers, since a year of a hundred nodes has 36,500 groups."""
_AT_ONCE = 5000  # groups in one statement
_PACKED = Struct("<qq")  # a digest as two integers


class SiteGroups:
    """A `GroupSource`: one view of the rows of one site; ids are the site's, whatever the centre's are."""

    def __init__(self, connection: Connection, dialect: Dialect, table: TableModel, maps: IdMaps, *, site: int) -> None:
        self._connection = connection
        self._dialect = dialect
        self._model = table
        self._maps = maps
        self._site = site
        self._second = table.key[1]
        self.version = maps.version

    def read_checksums(self, from_s: int, to_s: int) -> Mapping[Group, tuple[int, int]]:
        """How many rows each group has with ``from_s`` <= time < ``to_s``, and the database's checksum of these."""
        found = read_checksums(
            self._connection, self._dialect, self._model, from_s=from_s, to_s=to_s, site_id=self._site_number()
        )
        ids = self._second_to_site()
        return {(day, ids.get(second, second)): told for (day, second), told in found.items()}

    def read_rows(self, from_s: int, to_s: int, second: int | None) -> Rows:
        """The rows with ``from_s`` <= time < ``to_s`` and, unless None, ``second`` in the key's second column."""
        found = read_rows(
            self._connection,
            self._dialect,
            self._model,
            from_s=from_s,
            to_s=to_s,
            site=self._site,
            second=None if second is None else self._second_to_centre(second),
        )
        columns = translate_to_site(self._model, found.values, self._maps)
        return Rows(found.name, found.columns, tuple(columns))

    def _site_number(self) -> int | None:
        return self._site if self._model.of_site else None

    def _second_to_site(self) -> Mapping[int, int]:
        parent = self._model.references.get(self._second)
        return self._maps.to_site(parent) if parent else {}

    def _second_to_centre(self, second: int) -> int:
        parent = self._model.references.get(self._second)
        return self._maps.of(parent).get(second, second) if parent else second


class KeptDigests:
    """A `DigestCache` for one site. What is written waits in memory until `store`, which needs a transaction."""

    def __init__(
        self, connection: Connection, dialect: Dialect, tables: CentralTables, *, site: int, version: str
    ) -> None:
        self._connection = connection
        self._dialect = dialect
        self._upsert = Upsert(dialect, KEPT, tables.digest)
        self._site = site
        self._version = version  # of the map of ids with which the rows were read
        self._fresh: dict[tuple[str, Group], Kept] = {}

    @property
    def is_fresh(self) -> bool:
        """Whether there is anything to store."""
        return bool(self._fresh)

    def read(self, table: str, from_day: int, to_day: int) -> Mapping[Group, Kept]:
        """What is kept of ``from_day`` <= day < ``to_day``."""
        tail = (
            f"FROM {KEPT.name} WHERE site = {int(self._site)} AND table_name = '{check_identifier(table)}' "
            f"AND day >= {int(from_day)} AND day < {int(to_day)}"
        )
        wanted = [KEPT.column(name) for name in ("day", "second", *_KEPT_VALUES)]
        columns = read_columns(self._connection, self._dialect, wanted, tail)
        return {
            (day, second): Kept(count, checksum, _PACKED.pack(high, low))
            for day, second, count, checksum, high, low in zip(*columns, strict=True)
        }

    def write(self, table: str, kept: Mapping[Group, Kept]) -> None:
        """Keep these, in place of older ones."""
        self._fresh.update({(table, group): each for group, each in kept.items()})

    def store(self, connection: Connection, site: Row[Any]) -> None:
        """Store what was written, while ``site`` is held; not if its ids have changed since the rows were read."""
        if site.map_version != self._version:
            return
        rows = [self._row(table, group, kept) for (table, group), kept in sorted(self._fresh.items())]
        for start in range(0, len(rows), _AT_ONCE):
            self._upsert.apply(connection, list(zip(*rows[start : start + _AT_ONCE], strict=True)), site=self._site)

    def _row(self, table: str, group: Group, kept: Kept) -> tuple[object, ...]:
        return self._site, table, *group, kept.count, kept.checksum, *_PACKED.unpack(kept.digest)


class Patience:
    """Says whether there is time left, from its making on."""

    def __init__(self, seconds: float = ANSWER_WITHIN_S) -> None:
        self._until = time.monotonic() + seconds

    def __call__(self) -> bool:
        return time.monotonic() < self._until
