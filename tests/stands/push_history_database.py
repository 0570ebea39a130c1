"""The real database of a centre in place of the one in memory: the same histories, backups are copies of its rows."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Table, delete, insert, select

from samesky.push.building import BUILDING
from samesky.push.catalogue import decode_catalogue
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.central_database import CentralDatabase, MissingParents, Older
from samesky.push.central_tables import SITE_COLUMN
from samesky.push.central_values import row_from_sql
from samesky.push.centre_errors import FaultyRows, Fenced, MissingRows
from samesky.push.databases import Database
from samesky.push.digest_question import DigestQuestion
from samesky.push.digests import GroupDigest, Key
from samesky.push.model import TableModel
from samesky.push.page import FaultyPage, decode_page
from samesky.push.steps import RunStart, Stored

from .push_history_ends import DIMENSIONS, GROWING, HistoryCentre, Stock

Backup = list[tuple[Table, list[dict[str, Any]]]]


class DatabaseCentre(HistoryCentre):
    """A centre in an empty database; the rules look into it as they do into the one in memory."""

    def __init__(self, database: Database, sites: tuple[str, ...]) -> None:
        self._database = database
        self._moment = 0.0
        self._central = CentralDatabase(database, BUILDING, clock=self._read_clock)
        self._central.ensure_schema()
        self._sites = {name: self._central.sites.add(name).id for name in sites}
        self._stock: Stock | None = None

    @property
    def stock(self) -> Stock:  # type: ignore[override]
        """Everything that is in the database now."""
        if self._stock is None:
            self._stock = self._read_stock()
        return self._stock

    def _read_stock(self) -> Stock:
        names = {id: name for name, id in self._sites.items()}
        stock, tables = Stock(), self._central.tables
        with self._database.reading() as connection:
            for row in connection.execute(select(tables.id)):
                stock.maps.setdefault((names[row.site], row.table_name), {})[row.site_row] = row.centre_row
            for model in BUILDING.tables:
                for found in connection.execute(select(tables.of(model))).mappings():
                    _put(stock, model, names.get(found.get(SITE_COLUMN), ""), row_from_sql(model, dict(found)))
        return stock

    def back_up(self) -> Backup:  # type: ignore[override]
        """All rows of all tables."""
        with self._database.reading() as connection:
            return [
                (table, [dict(row) for row in connection.execute(select(table)).mappings()])
                for table in self._central.tables.metadata.sorted_tables
            ]

    def restore(self, backup: Backup) -> None:  # type: ignore[override]
        """Put these rows in the place of all that there is; the server goes on, with what it has in memory."""
        with self._database.writing() as connection:
            for table, rows in backup:
                connection.execute(delete(table))
                if rows:
                    connection.execute(insert(table), rows)
        self._stock = None

    def begin(self, site: str, now: float) -> RunStart:
        """As the route does."""
        self._moment = max(now, self._moment)
        state = self._central.begin_run(self._sites[site])
        positions = {name: None if key is None else tuple(key) for name, key in state.positions.items()}
        return RunStart(
            run=state.run,
            centre=state.centre_id,
            site=site,
            positions=positions,
            catalogue=state.catalogue_digest,
            page_bytes=1 << 20,
            page_rows=1000,
            time_s=now,
        )

    def apply_catalogue(
        self, site: str, run: int, payload: bytes, *, partial: bool = False, accept_renames: bool = False
    ) -> CataloguePlan:
        """As the route does."""
        catalogue = decode_catalogue(payload, BUILDING)
        self._stock = None
        try:
            return self._central.apply_catalogue(
                self._sites[site], catalogue, run=run, partial=partial, accept_renames=accept_renames
            )
        except Older as error:
            raise Fenced(str(error)) from None

    def apply_page(
        self, site: str, run: int, table: TableModel, payload: bytes, position: tuple[Any, ...] | None, now: float
    ) -> Stored:
        """As the route does."""
        self._stock = None
        try:
            page = decode_page(payload, table, now=now)
            stored = self._central.apply_page(self._sites[site], run, table, page, position=position)
        except FaultyPage as error:
            raise FaultyRows(error.faults) from None
        except MissingParents as error:
            raise MissingRows({name: frozenset(ids) for name, ids in error.tables.items()}) from None
        except Older as error:
            raise Fenced(str(error)) from None
        return Stored(accepted=stored.accepted, duplicate=stored.duplicate, changed=stored.changed)

    def read_digests(self, site: str, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """As the route does."""
        return self._central.read_digests(self._sites[site], table, question)

    def _read_clock(self) -> float:
        self._moment += 0.001
        return self._moment


def _put(stock: Stock, model: TableModel, site: str, row: dict[str, Any]) -> None:
    if model in GROWING:
        values = tuple(row.values())
        stock.growing.setdefault((site, model.name), {})[values[: len(model.key)]] = values
    elif model in DIMENSIONS:
        rows = (
            stock.own.setdefault((site, model.name), {}) if model.of_site else stock.shared.setdefault(model.name, {})
        )
        rows[row["id"]] = row


@contextmanager
def open_centre(url: str, sites: tuple[str, ...]) -> Iterator[DatabaseCentre]:
    """A new centre in the empty database at ``url``."""
    with Database(url) as database:
        yield DatabaseCentre(database, sites)
