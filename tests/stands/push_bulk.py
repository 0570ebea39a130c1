"""A site's database in MariaDB, with as many readings as one wants: the server makes them itself, in seconds."""

from samesky.push.building import BUILDING
from samesky.push.model import ColumnModel, TableModel, ValueKind

from .databases import MariaDatabase
from .mariadb import MariadbServer

NODES, TYPES, STEP_S = 10, 5, 300
"""Each node tells a value of each type every five minutes."""
FIRST_NODE = 69
_START_S = 1_700_000_100
_DAY_S = 86_400
_KINDS = {
    ValueKind.INTEGER: "INTEGER",
    ValueKind.DOUBLE: "FLOAT",  # as the original's tables have it
    ValueKind.TIME: "DATETIME",
    ValueKind.FLAG: "BOOLEAN",
}


def mariadb_url(database: MariaDatabase) -> str:
    """How a user writes where the database is."""
    return f"mysql://{database.user}:{database.password}@{database.host}:{database.port}/{database.name}"


def make_tables(server: MariadbServer, name: str) -> None:
    """Make the tables of a site in the empty database ``name``, typed as the original's are."""
    server.execute(*(f"CREATE TABLE {name}.`{table.name}` ({_describe(table)})" for table in BUILDING.tables))


def fill_site(server: MariadbServer, name: str, rows: int) -> None:
    """Make a site with ``rows`` readings of one house in the empty database ``name``. Equal calls make equal rows."""
    make_tables(server, name)
    server.execute(
        f"USE {name}",
        "SET time_zone = '+00:00'",
        "INSERT INTO Deployment (id, name) VALUES (1, 'Benchmark')",
        "INSERT INTO House (id, deploymentId, address) VALUES (1, 1, '1 Long Road')",
        "INSERT INTO RoomType (id, name) VALUES (1, 'Bedroom'), (2, 'Kitchen')",
        f"INSERT INTO Room (id, roomTypeId, name) SELECT seq, 1 + seq % 2, CONCAT('Room ', seq) FROM seq_1_to_{NODES}",
        f"INSERT INTO Location (id, houseId, roomId) SELECT seq, 1, seq FROM seq_1_to_{NODES}",
        f"INSERT INTO Node (id, locationId) SELECT {FIRST_NODE} - 1 + seq, seq FROM seq_1_to_{NODES}",
        "INSERT INTO SensorType (id, name, code, units, active)"
        f" SELECT seq, CONCAT('Type ', seq), CONCAT('T', seq), 'C', 1 FROM seq_1_to_{TYPES}",
        "INSERT INTO Reading (time, nodeId, type, locationId, value)"
        f" SELECT FROM_UNIXTIME({_START_S} + {STEP_S} * (seq DIV {NODES * TYPES})),"
        f" {FIRST_NODE} + seq DIV {TYPES} % {NODES}, 1 + seq % {TYPES}, 1 + seq DIV {TYPES} % {NODES},"
        f" ROUND(20 + 5 * SIN(seq DIV {NODES * TYPES} * {STEP_S} * 2 * PI() / {_DAY_S} + seq % 50) + seq % 7 / 100, 2)"
        f" FROM seq_0_to_{rows - 1}",
    )


def _describe(table: TableModel) -> str:
    columns = ", ".join(f"`{column.name}` {_kind_of(column)}" for column in table.columns)
    return f"{columns}, PRIMARY KEY ({', '.join(f'`{name}`' for name in table.key)})"


def _kind_of(column: ColumnModel) -> str:
    return f"VARCHAR({column.size or 255})" if column.kind is ValueKind.TEXT else _KINDS[column.kind]
