"""A field site's database as the original made it, in any of three: SQLAlchemy's tables of the seed's schema.

Values of readings are exact in a FLOAT, which MariaDB's tables have, so that what is read can be compared exactly.
"""

import random
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Boolean, Column, DateTime, Float, Integer, MetaData, String, Table, select
from sqlalchemy.types import TypeEngine

from samesky.push.building import BUILDING
from samesky.push.databases import Database
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind

DAY = 1_700_006_400  # 2023-11-15 00:00 UTC
_EPOCH = datetime(1970, 1, 1)
_BATCH = 20_000

DIMENSIONS: Mapping[str, Sequence[Mapping[str, object]]] = {
    "Deployment": [{"id": 1, "name": "Winter"}, {"id": 2, "name": "Summer", "endDate": DAY - 86_400}],
    "House": [
        {"id": 1, "deploymentId": 1, "address": "Hill Farm"},
        {"id": 2, "deploymentId": 2, "address": "Mill Cottage", "endDate": DAY - 86_400},
    ],
    "RoomType": [{"id": 1, "name": "Bedroom"}, {"id": 2, "name": "Kitchen"}],
    "Room": [
        {"id": 1, "roomTypeId": 1, "name": "North"},
        {"id": 2, "roomTypeId": 2, "name": "Kitchen"},
        {"id": 3, "roomTypeId": 1, "name": "Attic"},
    ],
    "Location": [
        {"id": 1, "houseId": 1, "roomId": 1},
        {"id": 2, "houseId": 1, "roomId": 2},
        {"id": 3, "houseId": 2, "roomId": 3},
    ],
    "NodeType": [{"id": 0, "name": "Base", "time": DAY, "blink": 1}],
    "Node": [
        {"id": 69, "locationId": 1, "nodeTypeId": 0},
        {"id": 70, "locationId": 2, "nodeTypeId": 0},
        {"id": 71, "nodeTypeId": 0},
    ],
    "SensorType": [
        {"id": 0, "name": "Temperature", "code": "Tmp", "units": "°C", "c0": 0.5, "active": 1},
        {"id": 2, "name": "Humidity", "code": "Hum", "units": "%RH", "c0": 1.5, "active": 0},
        {"id": 8, "name": "CO2", "code": "CO2", "units": "ppm"},
    ],
    "Sensor": [{"id": 5, "sensorTypeId": 0, "nodeId": 69, "calibrationSlope": 1.0, "calibrationOffset": -0.25}],
}
"""A small site; columns that aren't given are NULL."""


class PushSite:
    """A site's database with the tables of ``model``; `make_site` makes one."""

    def __init__(self, database: Database, model: Model = BUILDING) -> None:
        self.database = database
        self.model = model
        self._metadata = MetaData()
        for table in model.tables:
            _make_table(table, self._metadata)

    def create_tables(self) -> None:
        """Make the tables, as the original's installation does."""
        with self.database.writing() as connection:
            self._metadata.create_all(connection)

    def insert(self, table: str, *rows: Mapping[str, object]) -> None:
        """Add rows; times are Unix seconds, and may be fractions of one."""
        described = self.model.table(table)
        with self.database.writing() as connection:
            connection.execute(
                self._metadata.tables[table].insert(),
                [{column.name: _to_sql(column, row.get(column.name)) for column in described.columns} for row in rows],
            )

    def replace(self, table: str, row: Mapping[str, object]) -> None:
        """Put ``row`` in the place of the one with its key."""
        described, made = self.model.table(table), self._metadata.tables[table]
        same = (made.c[name] == _to_sql(described.column(name), row[name]) for name in described.key)
        with self.database.writing() as connection:
            connection.execute(made.delete().where(*same))
        self.insert(table, row)

    def execute(self, statement: str) -> int:
        """Execute SQL with names in double quotes; returns how many rows it concerned."""
        with self.database.writing() as connection:
            words = statement.replace('"', "`") if self.database.dialect == "mysql" else statement
            return connection.exec_driver_sql(words).rowcount

    def read(self, table: str) -> list[tuple[object, ...]]:
        """All rows in key order, read as SQLAlchemy reads them (FLOATs of MariaDB have 6 digits then)."""
        described, made = self.model.table(table), self._metadata.tables[table]
        asked = select(*(made.c[name] for name in described.names)).order_by(*(made.c[name] for name in described.key))
        with self.database.reading() as connection:
            return [tuple(map(_from_sql, row)) for row in connection.execute(asked)]

    def fill(
        self,
        count: int,
        *,
        start_s: int = DAY,
        step_s: int = 300,
        nodes: Sequence[int] = (69, 70, 71),
        types: Sequence[int] = (0, 2, 8),
        seed: int = 0,
    ) -> list[tuple[object, ...]]:
        """Add ``count`` readings and return them, in key order: each node tells each type every ``step_s`` seconds."""
        rows = make_readings(count, start_s=start_s, step_s=step_s, nodes=nodes, types=types, seed=seed)
        self.insert_readings(rows)
        return rows

    def insert_readings(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Add readings (time, nodeId, type, locationId, value), fast."""
        with self.database.writing() as connection:
            cursor: Any = connection.connection.cursor()
            for start in range(0, len(rows), _BATCH):
                batch = [(_text_of(int(str(row[0]))), *row[1:]) for row in rows[start : start + _BATCH]]
                _INSERTS[self.database.dialect](cursor, batch)


@contextmanager
def make_site(url: str, *, dimensions: bool = True, model: Model = BUILDING) -> Iterator[PushSite]:
    """A site in the empty database at ``url``; with ``dimensions``, those above are there already."""
    with Database(url) as database:
        site = PushSite(database, model)
        site.create_tables()
        for table, rows in DIMENSIONS.items() if dimensions else ():
            site.insert(table, *rows)
        yield site


def make_readings(
    count: int, *, start_s: int, step_s: int, nodes: Sequence[int], types: Sequence[int], seed: int
) -> list[tuple[object, ...]]:
    """Readings in key order: one in fifty without a value, one in twenty without a location."""
    chance = random.Random(seed)
    floats = struct.unpack(f"<{count}f", struct.pack(f"<{count}f", *(chance.uniform(-30, 1300) for _ in range(count))))
    rounds = -(-count // (len(nodes) * len(types)))
    keys = [
        (start_s + number * step_s, node, kind) for number in range(rounds) for node in sorted(nodes) for kind in types
    ]
    return [
        (
            *key,
            None if number % 20 == 7 else 1 + (key[1] == max(nodes)),
            None if number % 50 == 9 else floats[number],
        )
        for number, key in enumerate(keys[:count])
    ]


def _make_table(table: TableModel, metadata: MetaData) -> Table:
    columns = [
        Column(
            column.name,
            _type_of(column),
            primary_key=column.name in table.key,
            autoincrement=False,
        )
        for column in table.columns
    ]
    return Table(table.name, metadata, *columns, mysql_engine="InnoDB")


def _type_of(column: ColumnModel) -> TypeEngine[Any]:
    match column.kind:
        case ValueKind.INTEGER:
            return Integer()
        case ValueKind.DOUBLE:
            return Float()
        case ValueKind.TEXT:
            return String(column.size or 255)
        case ValueKind.TIME:
            return DateTime()
        case ValueKind.FLAG:
            return Boolean()


def _to_sql(column: ColumnModel, value: Any) -> object:
    if value is None:
        return None
    if column.kind is ValueKind.TIME:
        return _EPOCH + timedelta(seconds=value)
    return bool(value) if column.kind is ValueKind.FLAG else value


def _from_sql(value: object) -> object:
    if isinstance(value, datetime):
        return int(value.replace(tzinfo=UTC).timestamp())
    return int(value) if isinstance(value, bool) else value


def _text_of(time_s: int) -> str:
    return f"{_EPOCH + timedelta(seconds=time_s):%Y-%m-%d %H:%M:%S}"


def _insert_sqlite(cursor: Any, rows: Iterable[tuple[Any, ...]]) -> None:
    # SQLAlchemy writes the fraction of a second, too.
    cursor.executemany('INSERT INTO "Reading" VALUES (?, ?, ?, ?, ?)', ((f"{r[0]}.000000", *r[1:]) for r in rows))


def _insert_mysql(cursor: Any, rows: Iterable[tuple[Any, ...]]) -> None:
    texts = (f"('{r[0]}',{','.join('NULL' if v is None else repr(v) for v in r[1:])})" for r in rows)
    cursor.execute(f"INSERT INTO Reading VALUES {','.join(texts)}")


def _insert_postgresql(cursor: Any, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy('COPY "Reading" FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


_INSERTS = {"sqlite": _insert_sqlite, "mysql": _insert_mysql, "postgresql": _insert_postgresql}
