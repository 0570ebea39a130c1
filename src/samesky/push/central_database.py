"""The centre's database: catalogues, pages, positions and digests of its sites, each change one transaction.

A page's rows and its position are stored together, so the centre alone knows how far a site has come; and the map of a
site's ids lies beside the rows it speaks of. What comes in and goes out is in the site's own ids.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, select, update

from ..core.columns import Table as Rows
from ..core.strict import Reason, Refused
from ..errors import Locked, SameskyError
from .bulk import Upsert
from .catalogue import Catalogue, CataloguePlan, digest_catalogue
from .central_catalogue import CatalogueWriter
from .central_digests import KeptDigests, Patience, SiteGroups
from .central_tables import CentralTables
from .databases import Database
from .digest_question import DigestQuestion
from .digests import GroupDigest, Key
from .fleet import Heartbeat, SiteStatus, read_fleet, store_heartbeat
from .group_digests import GroupDigests, Unfinished
from .id_maps import KeptMaps, MissingParents, new_version, translate_to_centre
from .keys import Keys
from .migrations import ensure_schema, read_centre_id
from .model import Model, TableModel
from .positions import Place, read_positions, store_position
from .sites import Sites
from .transactions import Transactions
from .values import PageFault

__all__ = ["CentralDatabase", "MissingParents", "Older", "RunState", "Stored"]

log = logging.getLogger(__name__)


class Older(SameskyError):
    """A newer run of this site has begun, thus nothing more is taken from this one."""

    code = "older"


@dataclass(frozen=True, slots=True)
class RunState:
    """What a pusher starts from: the answer to the beginning of a run."""

    run: int
    """This run's number; the site's runs with smaller ones are fenced off."""
    positions: Mapping[str, list[object] | None]
    """For each append-only table, the key of the last row that was pushed in order, in the site's ids; or None."""
    catalogue_digest: str | None
    """Of the catalogue that was last taken wholly: an equal one needn't be sent."""
    centre_id: str
    """The database's own name: another one has other positions and ids."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of the rows of a page; they are durable."""

    accepted: int
    """Rows that are new."""
    duplicate: int
    """Rows that were there already, equal in every value."""
    changed: int
    """Rows that were there with other values."""
    rejected: tuple[PageFault, ...] = ()
    """Rows that can't be stored; if there are any, none was."""
    position: list[object] | None = None
    """The table's position now."""


class CentralDatabase:
    """One centre. Any number of threads and processes may use it at once.

    Everything raises what `Database.worded` says: `Unreachable` and `Locked`, which may pass, `DataError`,
    `ConfigError`; and `Refused` (NOT_FOUND) for a site that there isn't.
    """

    def __init__(self, database: Database, model: Model, *, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.model = model
        self.tables = CentralTables(model)
        self.transactions = Transactions(database)
        self.sites = Sites(self.transactions, self.tables, clock=clock)
        self.keys = Keys(self.transactions, self.tables, clock=clock)
        self._clock = clock
        self._upserts = {
            table.name: Upsert(database.dialect, table, self.tables.of(table)) for table in model.append_only()
        }
        self._maps = KeptMaps(self.tables)

    def ensure_schema(self) -> None:
        """Make the tables, or migrate them; raises `ConfigError` when a newer samesky has made them."""
        ensure_schema(self.database, self.tables)

    def begin_run(self, site: int) -> RunState:
        """Begin a run of ``site``: pages of its older runs are refused from now on."""
        return self.transactions.write(lambda connection: self._begin_run(connection, site))

    def apply_catalogue(
        self,
        site: int,
        catalogue: Catalogue,
        *,
        run: int | None = None,
        partial: bool = False,
        accept_renames: bool = False,
        dry_run: bool = False,
    ) -> CataloguePlan:
        """Create, change and map dimension rows of ``site``; returns what was done, or would be (``dry_run``).

        ``partial``: these are some rows that were missing, not all active ones. Nothing is done with a catalogue that
        seems to be of another database (``another_database``). Raises `Older` for a fenced ``run``.
        """

        def work(connection: Connection) -> CataloguePlan:
            self._lock_catalogues(connection)
            maps = self._maps.find(connection, self._lock_site(connection, site, run))
            writer = CatalogueWriter(connection, self.tables, maps, site=site)
            plan = writer.apply(catalogue, partial=partial, accept_renames=accept_renames, dry_run=dry_run)
            if plan.dry_run:  # also when it seems to be of another database
                raise _Undo(plan)
            self._note_catalogue(connection, site, catalogue if plan.taken_wholly else None, writer, partial=partial)
            return plan

        try:
            return self.transactions.write(work)
        except _Undo as undone:
            return undone.plan

    def apply_page(
        self, site: int, run: int, table: TableModel, page: Rows, *, position: Sequence[object] | None = None
    ) -> Stored:
        """Store the rows of ``page``, each key once, and with them ``position``; equal ones of before are no error.

        ``page`` has the table's columns in their order, proven by `page.decode_page`. ``position`` is the last key of a
        page in order, None for rows that are sent again; it never goes back in time. Raises `MissingParents`, `Older`.
        """
        return self.transactions.write(
            lambda connection: self._apply_page(connection, site, run, table, page, position)
        )

    def read_positions(self, site: int) -> dict[str, list[object] | None]:
        """For each append-only table, the position of ``site``; None where nothing was pushed in order yet."""
        return self.transactions.read(lambda connection: read_positions(connection, self.tables, site=site))

    def read_rows(self, site: int, table: TableModel, from_s: int, to_s: int, second: int | None = None) -> Rows:
        """The rows of ``site`` with ``from_s`` <= time < ``to_s`` and, unless None, ``second``; in the site's ids."""

        def work(connection: Connection) -> Rows:
            return self._open_groups(connection, site, table).read_rows(from_s, to_s, second)

        return self.transactions.read(work)

    def read_digests(self, site: int, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """The answer to a site's question for digests; reads only groups that changed since they were last read.

        Raises `group_digests.Unfinished` after a while; what was made until then is kept.
        """

        def work(connection: Connection) -> tuple[KeptDigests, Mapping[Key, GroupDigest] | Unfinished]:
            source = self._open_groups(connection, site, table)
            kept = KeptDigests(connection, self.database.dialect, self.tables, site=site, version=source.version)
            try:
                return kept, GroupDigests(table, source, kept, Patience()).read_digests(question)
            except Unfinished as unfinished:
                return kept, unfinished

        kept, answer = self.transactions.read(work)
        if kept.is_fresh:
            self._keep_digests(site, kept)
        if isinstance(answer, Unfinished):
            raise answer
        return answer

    def apply_heartbeat(self, site: int, heartbeat: Heartbeat) -> None:
        """Keep what ``site`` says of itself."""

        def work(connection: Connection) -> None:
            self._lock_site(connection, site)
            store_heartbeat(connection, self.tables, heartbeat, site=site, now=self._clock())

        self.transactions.write(work)

    def read_fleet(self, site: int | None = None) -> list[SiteStatus]:
        """How all sites are doing, or ``site`` alone; by name."""
        return self.transactions.read(lambda connection: read_fleet(connection, self.tables, site=site))

    def _begin_run(self, connection: Connection, site: int) -> RunState:
        known = self._lock_site(connection, site)
        # Not only larger than the last, but of this moment: a database restored from a backup never gives one twice.
        run = max(known.run + 1, int(self._clock() * 1000))
        connection.execute(update(self.tables.site).where(self.tables.site.c.id == site).values(run=run))
        positions = read_positions(connection, self.tables, site=site)
        return RunState(run, positions, known.catalogue, read_centre_id(connection, self.tables))

    def _apply_page(
        self,
        connection: Connection,
        site: int,
        run: int,
        table: TableModel,
        page: Rows,
        position: Sequence[object] | None,
    ) -> Stored:
        maps = self._maps.find(connection, self._lock_site(connection, site, run))
        columns = translate_to_centre(table, page, maps)
        counts = self._upserts[table.name].apply(connection, columns, site=site)
        place = Place(site, table.name)
        stored = store_position(connection, self.tables, place, position, new_rows=counts.new, now_s=int(self._clock()))
        return Stored(counts.new, counts.same, counts.changed, (), stored)

    def _lock_site(self, connection: Connection, site: int, run: int | None = None) -> Row[Any]:
        """The site's row, held until the transaction ends. Raises `Older` unless ``run`` is the newest, or None."""
        row = self._read_site(connection, site, hold=True)
        if run is not None and run != row.run:
            raise Older("A newer run of this site has begun", hint="Let it go on; begin a run when it has ended.")
        return row

    def _read_site(self, connection: Connection, site: int, *, hold: bool = False) -> Row[Any]:
        columns = self.tables.site.c
        needed = [columns.id, columns.run, columns.map_version, columns.catalogue]
        asked = select(*needed).where(columns.id == site)
        row = connection.execute(asked.with_for_update() if hold else asked).first()
        if row is None:
            raise Refused(Reason.NOT_FOUND, "there is no such site")
        return row

    def _lock_catalogues(self, connection: Connection) -> None:
        """One catalogue at a time: two sites that bring the same room type must end with one row of it."""
        connection.execute(select(self.tables.centre.c.id).with_for_update())

    def _note_catalogue(
        self,
        connection: Connection,
        site: int,
        taken: Catalogue | None,
        writer: CatalogueWriter,
        *,
        partial: bool,
    ) -> None:
        values: dict[str, object] = {}
        if writer.mapped_anew:
            values["map_version"] = new_version()
        if not partial:
            values["catalogue"] = digest_catalogue(self.model, taken.tables) if taken else None
        if values:
            connection.execute(update(self.tables.site).where(self.tables.site.c.id == site).values(values))
        if writer.remapped:  # digests are of the site's ids
            connection.execute(delete(self.tables.digest).where(self.tables.digest.c.site == site))

    def _keep_digests(self, site: int, kept: KeptDigests) -> None:
        try:
            self.transactions.write(lambda connection: kept.store(connection, self._lock_site(connection, site)))
        except Locked:
            log.info("digests_not_kept site=%d", site)  # they are made again another time

    def _open_groups(self, connection: Connection, site: int, table: TableModel) -> SiteGroups:
        maps = self._maps.find(connection, self._read_site(connection, site))
        return SiteGroups(connection, self.database.dialect, table, maps, site=site)


class _Undo(Exception):
    """Ends the transaction of a catalogue without keeping anything."""

    def __init__(self, plan: CataloguePlan) -> None:
        self.plan = plan
