"""How far each site has come with each table: the key of the last row that was pushed in order, in the site's ids."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from .central_tables import CentralTables


class Place(NamedTuple):
    """Whose position: a site's, in an append-only table."""

    site: int
    table: str


def read_positions(connection: Connection, tables: CentralTables, *, site: int) -> dict[str, list[object] | None]:
    """For each append-only table, the position of ``site``; None where nothing was pushed in order yet."""
    columns = tables.position.c
    asked = select(columns.table_name, columns.position).where(columns.site == site)
    found = {table: position for table, position in connection.execute(asked) if position is not None}
    return {
        table.name: json.loads(found[table.name]) if table.name in found else None
        for table in tables.model.append_only()
    }


def store_position(
    connection: Connection,
    tables: CentralTables,
    place: Place,
    position: Sequence[object] | None,
    *,
    new_rows: int,
    now_s: int,
) -> list[object] | None:
    """Store ``position``, unless it is None or before the stored one in time, and that ``new_rows`` came now.

    Returns what is the position now. The site must be held, so that nobody else stores one.
    """
    store, columns = tables.position, tables.position.c
    here = (columns.site == place.site, columns.table_name == place.table)
    row = connection.execute(select(columns.position, columns.row_count).where(*here)).first()
    old = json.loads(row.position) if row is not None and row.position is not None else None
    now = old if position is None or (old is not None and old[0] > position[0]) else list(position)
    values = {"position": None if now is None else json.dumps(now), "stored_s": now_s}
    if row is None:
        values |= {"site": place.site, "table_name": place.table, "row_count": new_rows}
        connection.execute(insert(store).values(values))
    else:
        connection.execute(update(store).where(*here).values({**values, "row_count": row.row_count + new_rows}))
    return now
