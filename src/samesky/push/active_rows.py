"""Which rows of the dimensions a site tells: those that are active, to spare the link (seed 003), and their parents.

Deployments and houses are active when they have no end, or one after the last push. Houses follow their deployments,
locations their houses; rooms and their types are told as far as something that is told refers to them. When no
deployment is active, active houses are told by themselves. What is the site's own (nodes and their sensors) and its
kinds (of nodes, of sensors) are told wholly.
"""

from collections.abc import Mapping

from ..core.columns import Table
from .model import Model, TableModel

Ids = dict[str, set[object]]


def choose_active(model: Model, tables: Mapping[str, Table], last_push_s: int | None) -> dict[str, Table]:
    """Return the rows to be told of the dimensions in ``tables``, in the model's order; each parent is among them.

    ``last_push_s``: Unix seconds; None: there was none, and all rows are told.
    """
    if last_push_s is None:
        return dict(tables)
    dimensions = [table for table in model.dimensions() if table.name in tables]
    followed = _find_followed(dimensions)
    chosen: Ids = {}
    for table in dimensions:
        if table.name in followed:
            chosen[table.name] = _choose_followers(table, tables[table.name], followed, chosen, last_push_s)
        elif not _is_told_as_needed(table, dimensions, followed):
            chosen[table.name] = set(tables[table.name].column("id"))
        else:
            chosen[table.name] = set()
    _add_parents(dimensions, tables, chosen)
    return {
        table.name: tables[table.name].only(
            [number in chosen[table.name] for number in tables[table.name].column("id")]
        )
        for table in dimensions
    }


def _find_followed(dimensions: list[TableModel]) -> set[str]:
    """The tables whose rows are active or not, and those whose rows follow them; but never the site's own."""
    followed: set[str] = set()
    for table in dimensions:
        follows = not followed.isdisjoint(table.references.values())
        if table.active_until or (follows and not table.of_site):
            followed.add(table.name)
    return followed


def _is_told_as_needed(table: TableModel, dimensions: list[TableModel], followed: set[str]) -> bool:
    """Whether nothing but rows that follow, or are told as needed themselves, refers to ``table``."""
    children = [child for child in dimensions if table.name in child.references.values() and child != table]
    return bool(children) and all(
        child.name in followed or (not child.of_site and _is_told_as_needed(child, dimensions, followed))
        for child in children
    )


def _choose_followers(table: TableModel, rows: Table, followed: set[str], chosen: Ids, last_push_s: int) -> set[object]:
    kept = [True] * rows.count
    if table.active_until:
        ends = rows.column(table.active_until)
        kept = [not isinstance(end, int) or end >= last_push_s for end in ends]
    for column, parent in table.references.items():
        # When no parent is active, the rows that are active themselves are told without them.
        if parent in followed and parent != table.name and (chosen[parent] or not table.active_until):
            kept = [
                keep and (number is None or number in chosen[parent])
                for keep, number in zip(kept, rows.column(column), strict=True)
            ]
    return {number for number, keep in zip(rows.column("id"), kept, strict=True) if keep}


def _add_parents(dimensions: list[TableModel], tables: Mapping[str, Table], chosen: Ids) -> None:
    """Choose all that the chosen rows refer to: a row without its parent would be refused."""
    for table in reversed(dimensions):  # children before parents
        for column, parent in table.references.items():
            if parent in chosen:
                parent_of = dict(zip(tables[table.name].column("id"), tables[table.name].column(column), strict=True))
                _add_parents_in(chosen[parent], parent_of, chosen[table.name])


def _add_parents_in(chosen: set[object], parent_of: Mapping[object, object], rows: set[object]) -> None:
    """Add the parents of ``rows`` to ``chosen``, and theirs, when these are the same table's."""
    new = {parent_of.get(row) for row in rows} - {None}
    while new - chosen:
        added = new - chosen
        chosen |= added
        new = {parent_of.get(row) for row in added} - {None} if rows is chosen else set()
