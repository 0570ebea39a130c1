"""Dimension rows that a centre misses, read with all the rows that they refer to."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from ..core.columns import Table
from .model import Model
from .site_database import SiteSnapshot


def read_with_parents(
    snapshot: SiteSnapshot,
    model: Model,
    wanted: Mapping[str, frozenset[int]],
    *,
    without: AbstractSet[tuple[str, int]] = frozenset(),
) -> tuple[dict[str, Table], dict[str, frozenset[int]]]:
    """Return the dimension rows with the ids ``wanted`` and all that they refer to; and the ids that aren't there.

    Rows in ``without`` (table, id) are left out; what refers to them isn't.
    """
    todo = {table.name: set(wanted.get(table.name, ())) for table in model.dimensions()}
    tables: dict[str, Table] = {}
    absent: dict[str, frozenset[int]] = {}
    for table in reversed(list(model.dimensions())):  # children before parents
        if not todo[table.name]:
            continue
        rows = snapshot.read_dimension(table, sorted(todo[table.name]))
        missing = todo[table.name].difference(rows.column("id"))
        if missing:
            absent[table.name] = frozenset(missing)
        for column, parent in table.references.items():
            todo[parent].update(number for number in rows.column(column) if isinstance(number, int))
        tables[table.name] = rows.only([(table.name, number) not in without for number in rows.column("id")])
    return {name: tables[name] for name in todo if name in tables and tables[name].count}, absent
