"""What the readings in a database mean, in no number that only one database knows: so a site and a centre can be equal.

Nothing here is ours: the rows are read with joins as anybody would write them.
"""

import calendar
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Select, column, create_engine, func, literal_column, make_url, select, table

Reading = tuple[int, int, str | None, str | None, str | None, str | None, str | None, float | None]
"""Time in Unix seconds, node, name and unit of the sensor type, address of the house, room, kind of room, value."""

_ROWS_AT_ONCE = 20_000
_DRIVERS = {"mysql": "mysql+pymysql", "postgresql": "postgresql+psycopg"}


@dataclass(frozen=True, slots=True)
class Meaning:
    """All readings of a site, in two figures that are equal for equal readings within one run of Python."""

    count: int
    total: int


def read_meaning(url: str, *, site: str | None = None) -> Meaning:
    """All readings in a site's database; with ``site`` those of that site in a centre's. Any order of rows is one."""
    count, total = 0, 0
    for reading in read_readings(url, site=site):
        count += 1
        total += hash(reading)
    return Meaning(count, total)


def read_readings(url: str, *, site: str | None = None) -> Iterator[Reading]:
    """The readings one by one."""
    with _connect(url) as connection:
        statement = _select_meaning(connection.dialect.name, site)
        for moment, *others in connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(statement):
            yield _read_time(moment), *others


def count_rows(url: str, name: str) -> int:
    """The number of rows in the table ``name``."""
    with _connect(url) as connection:
        return int(connection.execute(select(func.count()).select_from(table(name))).scalar_one())


@contextmanager
def _connect(url: str) -> Iterator[Connection]:
    given = make_url(url)
    engine = create_engine(given.set(drivername=_DRIVERS.get(given.drivername, given.drivername)))
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _select_meaning(dialect: str, site: str | None) -> Select[Any]:
    readings = _table("Reading", "time", "nodeId", "type", "locationId", "value", "siteId")
    types, houses = _table("SensorType", "id", "name", "units"), _table("House", "id", "address")
    locations, rooms = _table("Location", "id", "houseId", "roomId"), _table("Room", "id", "name", "roomTypeId")
    kinds, sites = _table("RoomType", "id", "name"), _table("samesky_site", "id", "name")
    # MariaDB tells a FLOAT with six digits; as a double it tells what it has.
    value = literal_column("`Reading`.value + 0e0") if dialect == "mysql" and site is None else readings.c.value
    joined = (
        readings.outerjoin(types, types.c.id == readings.c.type)
        .outerjoin(locations, locations.c.id == readings.c.locationId)
        .outerjoin(houses, houses.c.id == locations.c.houseId)
        .outerjoin(rooms, rooms.c.id == locations.c.roomId)
        .outerjoin(kinds, kinds.c.id == rooms.c.roomTypeId)
    )
    chosen = (types.c.name, types.c.units, houses.c.address, rooms.c.name, kinds.c.name)
    statement = select(readings.c.time, readings.c.nodeId, *chosen, value)
    if site is None:
        return statement.select_from(joined)
    return statement.select_from(joined.join(sites, sites.c.id == readings.c.siteId)).where(sites.c.name == site)


def _table(name: str, *columns: str) -> Any:
    return table(name, *map(column, columns))


@lru_cache(maxsize=1000)
def _read_time(moment: object) -> int:
    if isinstance(moment, datetime):
        return calendar.timegm(moment.timetuple())
    if isinstance(moment, str):
        return calendar.timegm(time.strptime(moment[:19], "%Y-%m-%d %H:%M:%S"))
    assert isinstance(moment, int)
    return moment
