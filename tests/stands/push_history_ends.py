"""A site's database and a centre's in memory, for histories: rows are dicts, all that decides is the project's own."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from samesky.core.columns import Table
from samesky.push.building import BUILDING
from samesky.push.catalogue import absent_ids, decode_catalogue, digest_catalogue
from samesky.push.catalogue_plan import CataloguePlan
from samesky.push.centre_errors import FaultyRows, Fenced, MissingRows
from samesky.push.comparison import Window
from samesky.push.digest_question import WHOLE, By, DigestQuestion
from samesky.push.digests import GroupDigest, Key, combine, combine_days, combine_months, digest_groups, month_of
from samesky.push.mapping import TablePlan, plan_table, translate_references
from samesky.push.model import TableModel
from samesky.push.page import FaultyPage, decode_page
from samesky.push.steps import RunStart, Stored

from .push_history_rules import Meddled

Row = dict[str, Any]
Rows = dict[tuple[Any, ...], tuple[Any, ...]]
"""The rows of an append-only table by their keys."""
DIMENSIONS = tuple(BUILDING.dimensions())
GROWING = tuple(BUILDING.append_only())


def table_of(table: TableModel, rows: Iterable[tuple[Any, ...]]) -> Table:
    """``rows`` as columns."""
    return Table.from_rows(table.name, table.wire, rows)


def chosen(rows: Rows, window: Window) -> list[tuple[Any, ...]]:
    """The rows in the window, in the order of their keys."""
    return [rows[key] for key in sorted(rows) if window.from_s <= key[0] < window.to_s]


def read_digests(table: TableModel, rows: Rows, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
    """The answer to ``question`` of an end that has ``rows``."""
    groups = digest_groups(table, table_of(table, chosen(rows, Window(question.from_s, question.to_s))))
    days = combine_days(groups)
    within = question.within
    match question.by:
        case By.ALL:
            return {WHOLE: combine(combine_months(days))}
        case By.MONTH:
            return {key: each for key, each in combine_months(days).items() if not within or key in within}
        case By.DAY:
            return {key: each for key, each in days.items() if not within or month_of(key) in within}
    return {key: each for key, each in groups.items() if not within or key[0] in within}


@dataclass
class HistorySite:
    """A site's database."""

    dimensions: dict[str, dict[int, Row]] = field(default_factory=lambda: {table.name: {} for table in DIMENSIONS})
    growing: dict[str, Rows] = field(default_factory=lambda: {table.name: {} for table in GROWING})
    ever: dict[str, set[tuple[Any, ...]]] = field(default_factory=lambda: {table.name: set() for table in GROWING})
    """Every row that there ever was, without its ids, which may be given to others."""

    def put(self, table: TableModel, row: tuple[Any, ...]) -> None:
        """Insert a row, or replace that of its key."""
        self.growing[table.name][row[: len(table.key)]] = row
        self.ever[table.name].add(self.without_ids(table, row))

    def without_ids(self, table: TableModel, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """What a row is, whatever ids its rows have."""
        return tuple(value for name, value in zip(table.names, row, strict=True) if name not in table.references)

    def read_active(self, since_s: int | None) -> dict[str, Table]:
        """The seed's rule: houses that haven't ended, what is in them; and all nodes and kinds."""
        kept = {name: set(rows) for name, rows in self.dimensions.items()}
        houses = self.dimensions["House"]
        kept["House"] = {
            id for id, row in houses.items() if since_s is None or row["endDate"] is None or row["endDate"] >= since_s
        }
        locations = self.dimensions["Location"]
        kept["Location"] = {id for id, row in locations.items() if row["houseId"] in kept["House"]}
        kept["Room"] = {locations[id]["roomId"] for id in kept["Location"]} - {None}
        rooms = self.dimensions["Room"]
        kept["RoomType"] = {rooms[id]["roomTypeId"] for id in kept["Room"]} - {None}
        return {table.name: self.read_dimension(table, kept[table.name]) for table in DIMENSIONS}

    def read_dimension(self, table: TableModel, ids: Iterable[int]) -> Table:
        """The rows with these ids, as far as there are."""
        rows = self.dimensions[table.name]
        return table_of(table, [tuple(rows[id].values()) for id in sorted(ids) if id in rows])

    def read_with_parents(
        self, wanted: Mapping[str, frozenset[int]]
    ) -> tuple[dict[str, Table], dict[str, frozenset[int]]]:
        """The rows with the ids ``wanted`` and all that they refer to; and the ids that aren't there."""
        todo = {table.name: set(wanted.get(table.name, ())) for table in DIMENSIONS}
        for table in reversed(DIMENSIONS):
            for id in todo[table.name] & self.dimensions[table.name].keys():
                for column, parent in table.references.items():
                    todo[parent] |= {self.dimensions[table.name][id][column]} - {None}
        absent = {name: frozenset(ids - self.dimensions[name].keys()) for name, ids in todo.items()}
        tables = {table.name: self.read_dimension(table, todo[table.name]) for table in DIMENSIONS if todo[table.name]}
        return tables, {name: ids for name, ids in absent.items() if ids}

    def read_page(self, table: TableModel, after: tuple[Any, ...] | None, most: int) -> Table:
        """The first rows behind ``after``, which may be the beginning of a key."""
        rows = self.growing[table.name]
        keys = sorted(rows)
        start = 0 if after is None else bisect_right(keys, after, key=lambda key: key[: len(after)])
        return table_of(table, [rows[key] for key in keys[start : start + most]])


@dataclass
class Stock:
    """What is in the centre's database: a backup is a copy of it."""

    shared: dict[str, dict[int, Row]] = field(default_factory=dict)
    own: dict[tuple[str, str], dict[int, Row]] = field(default_factory=dict)
    """Dimension rows of one site: by site and table."""
    maps: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)
    growing: dict[tuple[str, str], Rows] = field(default_factory=dict)
    positions: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    catalogues: dict[str, str | None] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    last_id: int = 0

    def copy(self) -> "Stock":
        """The same, apart."""
        return Stock(
            shared=_copy_rows(self.shared),
            own=_copy_rows(self.own),
            maps={key: dict(ids) for key, ids in self.maps.items()},
            growing={key: dict(rows) for key, rows in self.growing.items()},
            positions=dict(self.positions),
            catalogues=dict(self.catalogues),
            runs=dict(self.runs),
            last_id=self.last_id,
        )


class HistoryCentre:
    """A centre of any number of sites; ids of its own, and one map a site and table."""

    def __init__(self) -> None:
        self.stock = Stock()
        self._runs = 0

    def back_up(self) -> Stock:
        """A copy of everything."""
        return self.stock.copy()

    def restore(self, stock: Stock) -> None:
        """Be as it was."""
        self.stock = stock.copy()

    def begin(self, site: str, now: float) -> RunStart:
        """Begin a run; numbers are never given twice, whatever is restored."""
        self._runs += 1
        self.stock.runs[site] = self._runs
        return RunStart(
            run=self._runs,
            centre="centre",
            site=site,
            positions={table.name: self.stock.positions.get((site, table.name)) for table in GROWING},
            catalogue=self.stock.catalogues.get(site),
            page_bytes=1 << 20,
            page_rows=1000,
            time_s=now,
        )

    def apply_catalogue(
        self, site: str, run: int, payload: bytes, *, partial: bool = False, accept_renames: bool = False
    ) -> CataloguePlan:
        """Decide and carry out, one table after the other."""
        self._check_run(site, run)
        before = self.back_up()
        catalogue = decode_catalogue(payload, BUILDING)
        plans, refused = [], list(catalogue.refused)
        for table in DIMENSIONS:
            if table.name not in catalogue.tables:
                continue
            maps = {name: self.map_of(site, name) for name in table.references.values()}
            rows, orphans = translate_references(table, catalogue.tables[table.name].records(), maps)
            refused += orphans
            known = self.map_of(site, table.name)
            plan = plan_table(
                table,
                rows,
                known=known,
                candidates=list(self.rows_of(site, table).values()),
                used_by_others=self._used_by_others(site, table),
                absent=() if partial else absent_ids(BUILDING, table, known, catalogue.ids(table.name)),
                accept_renames=accept_renames,
            )
            self._carry_out(site, table, plan)
            plans.append(plan)
        made = CataloguePlan.of(BUILDING, plans, refused=refused)
        if made.dry_run:
            self.restore(before)
        elif not partial:
            digest = digest_catalogue(BUILDING, catalogue.tables)
            self.stock.catalogues[site] = digest if made.taken_wholly else None
        return made

    def apply_page(
        self, site: str, run: int, table: TableModel, payload: bytes, position: tuple[Any, ...] | None, now: float
    ) -> Stored:
        """Store the rows and the position together, or neither."""
        self._check_run(site, run)
        try:
            page = decode_page(payload, table, now=now)
        except FaultyPage as error:
            raise FaultyRows(error.faults) from None
        rows = [self._to_centre(site, table, row) for row in page.records()]
        kept = self.stock.growing.setdefault((site, table.name), {})
        counts = {"accepted": 0, "duplicate": 0, "changed": 0}
        for row in rows:
            old = kept.get(row[: len(table.key)])
            counts["accepted" if old is None else "duplicate" if old == row else "changed"] += 1
            kept[row[: len(table.key)]] = row
        known = self.stock.positions.get((site, table.name))
        if position is not None and (known is None or known[0] <= position[0]):
            self.stock.positions[site, table.name] = position
        return Stored(**counts)

    def read_digests(self, site: str, table: TableModel, question: DigestQuestion) -> Mapping[Key, GroupDigest]:
        """In the site's ids."""
        return read_digests(table, self.rows_in_site_ids(site, table), question)

    def rows_in_site_ids(self, site: str, table: TableModel) -> Rows:
        """What there is of an append-only table; an id that the site has no more is negative."""
        back = {name: {there: here for here, there in self.map_of(site, name).items()} for name in self._names(table)}
        rows: Rows = {}
        for row in self.stock.growing.get((site, table.name), {}).values():
            values = dict(zip(table.names, row, strict=True))
            for column, parent in table.references.items():
                if values[column] is not None:
                    values[column] = back[parent].get(values[column], -values[column])
            made = tuple(values.values())
            rows[made[: len(table.key)]] = made
        return rows

    def map_of(self, site: str, table: str) -> dict[int, int]:
        """The site's ids -> the centre's."""
        return self.stock.maps.setdefault((site, table), {})

    def rows_of(self, site: str, table: TableModel) -> dict[int, Row]:
        """The rows of a dimension that a site may be mapped to."""
        if table.of_site:
            return self.stock.own.setdefault((site, table.name), {})
        return self.stock.shared.setdefault(table.name, {})

    def _carry_out(self, site: str, table: TableModel, plan: TablePlan) -> None:
        rows, ids = self.rows_of(site, table), self.map_of(site, table.name)
        for site_id in plan.forgets:
            del ids[site_id]
        for change in plan.changes:
            if change.centre_id in self._used_by_others(site, table):
                raise Meddled(f"{site}: {table.name} {change}")
            rows[change.centre_id] |= change.after
        for create in plan.creates:
            self.stock.last_id += 1
            centre_id = create.site_id if table.keeps_id else self.stock.last_id
            rows[centre_id] = {**create.values, "id": centre_id}
            ids[create.site_id] = centre_id
        for adopt in plan.adopts:
            ids[adopt.site_id] = adopt.centre_id

    def _used_by_others(self, site: str, table: TableModel) -> frozenset[int]:
        if table.of_site:
            return frozenset()
        others = (ids for (other, name), ids in self.stock.maps.items() if name == table.name and other != site)
        return frozenset(id for ids in others for id in ids.values())

    def _to_centre(self, site: str, table: TableModel, row: Mapping[str, Any]) -> tuple[Any, ...]:
        values = dict(row)
        for column, parent in table.references.items():
            if values[column] is None:
                continue
            if values[column] not in self.map_of(site, parent):
                raise MissingRows({parent: frozenset({values[column]})})
            values[column] = self.map_of(site, parent)[values[column]]
        return tuple(values.values())

    def _check_run(self, site: str, run: int) -> None:
        if self.stock.runs.get(site) != run:
            raise Fenced("a newer run has begun")

    def _names(self, table: TableModel) -> set[str]:
        return set(table.references.values())


def _copy_rows(tables: Mapping[Any, Mapping[int, Row]]) -> dict[Any, dict[int, Row]]:
    return {key: {id: dict(row) for id, row in rows.items()} for key, rows in tables.items()}
