"""The field sites of `samesky demo push`: houses with sensors, and a month of readings, in SQLite files."""

import math
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from ..push.building import BUILDING
from ..push.model import ColumnModel, TableModel, ValueKind

STEP_S = 300
DAY_S = 86_400
_BATCH = 20_000

# SQLAlchemy's words for these kinds in SQLite.
_SQL_TYPES = {
    ValueKind.INTEGER: "INTEGER",
    ValueKind.DOUBLE: "FLOAT",
    ValueKind.TIME: "DATETIME",
    ValueKind.FLAG: "BOOLEAN",
}
# What a reading means, without any number that only one database knows.
_MEANING = """
    SELECT iif(typeof(Reading.time) = 'text', CAST(strftime('%s', Reading.time) AS INTEGER), Reading.time),
           Reading.nodeId, SensorType.name, SensorType.units, House.address, Room.name, RoomType.name, Reading.value
      FROM Reading
      LEFT JOIN SensorType ON SensorType.id = Reading.type
      LEFT JOIN Location ON Location.id = Reading.locationId
      LEFT JOIN House ON House.id = Location.houseId
      LEFT JOIN Room ON Room.id = Location.roomId
      LEFT JOIN RoomType ON RoomType.id = Room.roomTypeId
"""


@dataclass(frozen=True, slots=True)
class Place:
    """What one site measures, in the numbers that it gave to things itself."""

    name: str
    deployment: str
    address: str
    room_types: tuple[tuple[int, str], ...]
    sensor_types: tuple[tuple[int, str, str], ...]
    """Number, name, unit."""
    rooms: tuple[tuple[str, int, int], ...]
    """Name, number of the room type, number of the node in it."""


PLACES = (
    Place(
        "hillside",
        "Hillside retrofit",
        "1 Hill Road",
        ((1, "Bedroom"), (2, "Kitchen"), (3, "Living room")),
        ((1, "Temperature", "C"), (2, "Humidity", "%RH"), (3, "CO2", "ppm")),
        (("Master bedroom", 1, 69), ("Kitchen", 2, 70), ("Lounge", 3, 71)),
    ),
    Place(
        "harbour",
        "Harbour flats",
        "12 Quay Street",
        ((1, "Kitchen"), (2, "Bathroom"), (3, "Bedroom")),
        ((1, "CO2", "ppm"), (2, "Temperature", "C"), (5, "Humidity", "%RH")),
        (("Kitchen", 1, 69), ("Bathroom", 2, 70), ("Small bedroom", 3, 72)),
    ),
)
_MIDDLES = {"Temperature": (20.0, 3.0), "Humidity": (50.0, 15.0), "CO2": (700.0, 300.0)}


@dataclass(frozen=True, slots=True)
class Readings:
    """All readings of one site, in two figures."""

    count: int
    digest: str
    """Of what every reading means: time, node, sensor type, unit, house, room, kind of room, and the exact value."""


def write_site(path: Path, place: Place, *, days: int, until_s: int) -> int:
    """Make the database of ``place`` at ``path``, with the readings of ``days`` days before ``until_s``.

    Returns how many readings there are. What is there already stays: later calls add what is new since.
    """
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for table in BUILDING.tables:
            connection.execute(describe_table(table))
        _write_dimensions(connection, place, until_s - days * DAY_S)
        add_readings(connection, place, from_s=until_s - days * DAY_S, until_s=until_s)
        return int(connection.execute("SELECT count(*) FROM Reading").fetchone()[0])


def describe_table(table: TableModel) -> str:
    """The CREATE TABLE of ``table`` at a site, as SQLAlchemy writes it for SQLite."""
    columns = [f"{column.name} {_sql_type(column)}" for column in table.columns]
    return f"CREATE TABLE IF NOT EXISTS {table.name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(table.key)}))"


def add_readings(
    connection: sqlite3.Connection, place: Place, *, from_s: int, until_s: int, nodes: Iterable[int] = ()
) -> int:
    """Add the readings of ``nodes`` (none: all) from ``from_s`` until before ``until_s``; returns how many were new."""
    before = connection.total_changes
    statement = "INSERT OR IGNORE INTO Reading (time, nodeId, type, locationId, value) VALUES (?, ?, ?, ?, ?)"
    batch: list[tuple[object, ...]] = []
    for row in _make_readings(place, from_s, until_s, frozenset(nodes)):
        batch.append(row)
        if len(batch) == _BATCH:
            connection.executemany(statement, batch)
            batch.clear()
    connection.executemany(statement, batch)
    return connection.total_changes - before


def remove_readings(connection: sqlite3.Connection, node: int, *, from_s: int, until_s: int) -> int:
    """Take the readings of ``node`` from ``from_s`` until before ``until_s`` away; returns how many they were."""
    return connection.execute(
        "DELETE FROM Reading WHERE nodeId = ? AND time >= ? AND time < ?", (node, _datetime(from_s), _datetime(until_s))
    ).rowcount


def read_site(path: Path) -> Readings:
    """All readings of a site's database."""
    return _read_readings(path, _MEANING, ())


def read_centre(path: Path, site_name: str) -> Readings:
    """All readings of one site in the database of a centre."""
    of_site = "JOIN samesky_site ON samesky_site.id = Reading.siteId WHERE samesky_site.name = ?"
    return _read_readings(path, f"{_MEANING} {of_site}", (site_name,))


def _read_readings(path: Path, statement: str, values: tuple[object, ...]) -> Readings:
    count, digest = 0, blake2b(digest_size=16)
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        for row in connection.execute(f"{statement} ORDER BY 1, 2, 3, 4", values):
            count += 1
            digest.update(repr(row).encode())
    return Readings(count, digest.hexdigest())


def _write_dimensions(connection: sqlite3.Connection, place: Place, start_s: int) -> None:
    start = _datetime(start_s)
    _insert(connection, "Deployment", [(1, place.deployment, "made by samesky demo push", start, None)])
    _insert(connection, "House", [(1, 1, place.address, start, None)])
    _insert(connection, "RoomType", place.room_types)
    _insert(connection, "NodeType", [(0, "Base", None, None, None, STEP_S, 0, None)])
    _insert(
        connection,
        "SensorType",
        [(number, name, name[:4], unit, 0.0, 1.0, 0.0, 0.0, 1) for number, name, unit in place.sensor_types],
    )
    for number, (name, room_type, node) in enumerate(place.rooms, start=1):
        _insert(connection, "Room", [(number, room_type, name)])
        _insert(connection, "Location", [(number, 1, number)])
        _insert(connection, "Node", [(node, number, 0)])
        sensors = [(node * 10 + kind, kind, node, 1.0, 0.0) for kind, _, _ in place.sensor_types]
        _insert(connection, "Sensor", sensors)


def _insert(connection: sqlite3.Connection, table: str, rows: Iterable[tuple[object, ...]]) -> None:
    marks = ", ".join("?" * len(BUILDING.table(table).columns))
    connection.executemany(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", rows)


def _make_readings(place: Place, from_s: int, until_s: int, nodes: frozenset[int]) -> Iterator[tuple[object, ...]]:
    """A day has its warm afternoon; every node and type has a wave of its own, so that no two columns are alike."""
    for moment in range(from_s - from_s % STEP_S, until_s - until_s % STEP_S, STEP_S):
        told = _datetime(moment)
        angle = 2 * math.pi * (moment % DAY_S) / DAY_S
        for location, (_, _, node) in enumerate(place.rooms, start=1):
            if nodes and node not in nodes:
                continue
            for kind, name, _ in place.sensor_types:
                middle, swing = _MIDDLES[name]
                wave = math.sin(angle + node) + 0.2 * math.sin(moment / 5400 + kind)
                yield told, node, kind, location, round(middle + swing * wave, 2)


def _datetime(moment_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.000000", time.gmtime(moment_s))


def _sql_type(column: ColumnModel) -> str:
    if column.kind is ValueKind.TEXT:
        return f"VARCHAR({column.size})"
    return _SQL_TYPES[column.kind]
