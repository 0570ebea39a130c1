"""Dimension rows of a site, put into the centre's database as `mapping` decides, all in one transaction."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, update

from ..core.slices import slices_of
from .catalogue import Catalogue, CataloguePlan, absent_ids
from .central_tables import SITE_COLUMN, CentralTables
from .central_values import row_from_sql, row_to_sql, to_sql
from .id_maps import IdMaps, read_used_by_others, store_plan
from .mapping import Change, Refusal, TablePlan, plan_table, translate_references
from .model import Model, TableModel

_AT_ONCE = 500  # values in one IN (…)


class CatalogueWriter:
    """Applies one catalogue of one site, within a transaction in which nobody else applies any."""

    def __init__(self, connection: Connection, tables: CentralTables, maps: IdMaps, *, site: int) -> None:
        self._connection = connection
        self._tables = tables
        self._model: Model = tables.model
        self._site = site
        self._maps = {table: dict(ids) for table, ids in maps.to_centre.items()}
        self.mapped_anew = False
        """Whether any id is mapped otherwise than before."""
        self.remapped = False
        """Whether a row that may have readings is another one from now on, or has an id for the first time."""

    def apply(self, catalogue: Catalogue, *, partial: bool, accept_renames: bool, dry_run: bool) -> CataloguePlan:
        """Create, change and map the rows; returns what was done. ``partial``: the site has more than these."""
        plans: list[TablePlan] = []
        refused: list[Refusal] = list(catalogue.refused)
        for table in self._model.dimensions():
            if table.name not in catalogue.tables:
                continue
            records = catalogue.tables[table.name].records()
            rows, orphans = translate_references(table, records, self._maps)
            refused += orphans
            gone = () if partial else self._absent(table, catalogue)
            plan = self._plan(table, rows, absent=gone, accept_renames=accept_renames)
            self._carry_out(table, plan)
            plans.append(plan)
        return CataloguePlan.of(self._model, plans, refused=refused, dry_run=dry_run)

    def _absent(self, table: TableModel, catalogue: Catalogue) -> Collection[int]:
        return absent_ids(self._model, table, self._known(table), catalogue.ids(table.name))

    def _plan(
        self, table: TableModel, rows: Sequence[Mapping[str, object]], *, absent: Collection[int], accept_renames: bool
    ) -> TablePlan:
        known = self._known(table)
        candidates = self._read_candidates(table, rows)
        others: frozenset[int] = frozenset()
        if not table.of_site:
            ids = [row["id"] for row in candidates]
            others = read_used_by_others(self._connection, self._tables, table.name, site=self._site, centre_rows=ids)
        return plan_table(
            table,
            rows,
            known=known,
            candidates=candidates,
            used_by_others=others,
            absent=absent,
            accept_renames=accept_renames,
        )

    def _known(self, table: TableModel) -> Mapping[int, int]:
        return self._maps.get(table.name, {})

    def _read_candidates(self, model: TableModel, rows: Sequence[Mapping[str, object]]) -> list[dict[str, Any]]:
        """The centre's rows that ``rows`` may be: those mapped, and those with an equal part of the natural key."""
        table, found = self._tables.of(model), {}
        for where in self._conditions(model, rows):
            for row in self._connection.execute(select(table).where(where)).mappings():
                found[row["id"]] = row_from_sql(model, dict(row))
        return list(found.values())

    def _conditions(self, model: TableModel, rows: Sequence[Mapping[str, object]]) -> Iterator[ColumnElement[bool]]:
        table = self._tables.of(model)
        if model.of_site:
            yield table.c[SITE_COLUMN] == self._site
            return
        for ids in slices_of(sorted(self._known(model).values()), _AT_ONCE):
            yield table.c.id.in_(ids)
        first = model.natural_key[0]
        wanted = {row[first] for row in rows}
        column = table.c[first]
        if None in wanted:
            yield column.is_(None)
        told = [to_sql(model.column(first), value) for value in wanted if value is not None]
        for values in slices_of(told, _AT_ONCE):
            yield column.in_(values)

    def _carry_out(self, model: TableModel, plan: TablePlan) -> None:
        self._change(model, plan)
        made = self._create(model, plan)
        if store_plan(self._connection, self._tables, plan, site=self._site, made=made):
            self._remember(model, plan, made)

    def _change(self, model: TableModel, plan: TablePlan) -> None:
        """Change rows; those of which the same columns change together."""
        table = self._tables.of(model)
        alike: dict[frozenset[str], list[Change]] = {}
        for change in plan.changes:
            alike.setdefault(frozenset(change.after), []).append(change)
        for names, changes in alike.items():
            values: dict[str, object] = {name: bindparam(f"new_{name}") for name in sorted(names)}
            statement = update(table).where(table.c.id == bindparam("old_id"), *self._own(model)).values(values)
            rows = [row_to_sql(model, change.after) for change in changes]
            self._connection.execute(
                statement,
                [
                    {"old_id": change.centre_id} | {f"new_{name}": value for name, value in row.items()}
                    for change, row in zip(changes, rows, strict=True)
                ],
            )

    def _create(self, model: TableModel, plan: TablePlan) -> dict[int, int]:
        """Insert the rows that the centre lacks; returns the ids that they have got."""
        if not plan.creates:
            return {}
        table = self._tables.of(model)
        made: dict[int, int] = {}
        following = 1 + int(
            self._connection.execute(
                select(func.coalesce(func.max(table.c.id), 0)).where(*self._own(model))
            ).scalar_one()
        )
        rows = []
        for number, create in enumerate(plan.creates, following):
            made[create.site_id] = create.site_id if model.keeps_id else number
            own = {SITE_COLUMN: self._site} if model.of_site else {}
            rows.append({**row_to_sql(model, create.values), **own, "id": made[create.site_id]})
        self._connection.execute(insert(table), rows)
        return made

    def _own(self, model: TableModel) -> list[ColumnElement[bool]]:
        return [self._tables.of(model).c[SITE_COLUMN] == self._site] if model.of_site else []

    def _remember(self, model: TableModel, plan: TablePlan, made: Mapping[int, int]) -> None:
        ids = self._maps.setdefault(model.name, {})
        anew = dict(made) | {adopt.site_id: adopt.centre_id for adopt in plan.adopts}
        taken = set(anew.values())
        for site_row in [*plan.forgets, *(site for site, centre in ids.items() if centre in taken)]:
            ids.pop(site_row, None)
        ids.update(anew)
        self.mapped_anew = True
        self.remapped |= bool(plan.forgets or plan.adopts)
