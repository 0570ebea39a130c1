"""A centre with sites, without a server around it: catalogues and pages are handed to its database."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from samesky.core.columns import Table
from samesky.push.building import BUILDING
from samesky.push.catalogue import Catalogue
from samesky.push.central_database import CentralDatabase, Stored
from samesky.push.databases import Database
from samesky.push.model import Model

DIALECTS = ("sqlite", "mysql", "postgresql")
DAY = 1_700_006_400  # 2023-11-15 00:00 UTC

_NUMBERS = count(1)

SMALL_SITE: Mapping[str, Sequence[Mapping[str, object]]] = {
    "Deployment": [{"id": 1, "name": "Winter"}],
    "House": [{"id": 1, "deploymentId": 1, "address": "Hill Farm"}],
    "RoomType": [{"id": 1, "name": "Bedroom"}, {"id": 2, "name": "Kitchen"}],
    "Room": [{"id": 1, "roomTypeId": 1, "name": "North"}, {"id": 2, "roomTypeId": 2, "name": "Kitchen"}],
    "Location": [{"id": 1, "houseId": 1, "roomId": 1}, {"id": 2, "houseId": 1, "roomId": 2}],
    "NodeType": [{"id": 0, "name": "Base", "time": DAY}],
    "Node": [{"id": 69, "locationId": 1, "nodeTypeId": 0}, {"id": 70, "locationId": 2, "nodeTypeId": 0}],
    "SensorType": [
        {"id": 0, "name": "Temperature", "code": "Tmp", "units": "C", "c0": 0.0, "active": 1},
        {"id": 2, "name": "Humidity", "code": "Hum", "units": "%RH", "c0": 1.5, "active": 1},
    ],
    "Sensor": [{"id": 5, "sensorTypeId": 0, "nodeId": 69, "calibrationSlope": 1.0, "calibrationOffset": -0.25}],
}
"""The dimension rows of a site; columns that aren't given are NULL."""


def make_empty(request: pytest.FixtureRequest, dialect: str, folder: Path) -> str:
    """The address of an empty database of this kind, on the server that the whole session shares."""
    if dialect == "sqlite":
        return f"sqlite:///{folder / 'central.db'}"
    if dialect == "postgresql":
        return str(request.getfixturevalue("postgresql").create_database().url)
    made = request.getfixturevalue("mariadb").create_database()
    return f"mysql://{made.user}:{made.password}@{made.host}:{made.port}/{made.name}"


@contextmanager
def open_centre(url: str, model: Model = BUILDING) -> Iterator[CentralDatabase]:
    """A centre in the database at ``url``, its tables made."""
    with Database(url) as database:
        central = CentralDatabase(database, model)
        central.ensure_schema()
        yield central


def make_catalogue(rows: Mapping[str, Iterable[Mapping[str, object]]], model: Model = BUILDING) -> Catalogue:
    """The catalogue of these rows, which are by name, as a site would send it."""
    return Catalogue(
        {
            table.name: Table.from_rows(
                table.name, table.wire, [[row.get(name) for name in table.names] for row in given]
            )
            for table in model.tables
            if (given := list(rows.get(table.name, ()))) or table.name in rows
        }
    )


def make_page(rows: Iterable[Sequence[object]], table: str = "Reading", model: Model = BUILDING) -> Table:
    """The page of these rows, their values in the order of the model's columns."""
    described = model.table(table)
    return Table.from_rows(table, described.wire, rows)


class PushedSite:
    """A site of a centre, named as no other: it begins a run, sends a catalogue, then pages, all in its own ids."""

    def __init__(
        self,
        central: CentralDatabase,
        name: str = "",
        rows: Mapping[str, Iterable[Mapping[str, object]]] = SMALL_SITE,
    ) -> None:
        self.central = central
        self.id = central.sites.add(name or f"site-{next(_NUMBERS)}").id
        self.run = central.begin_run(self.id).run
        self.plan = central.apply_catalogue(self.id, make_catalogue(rows, central.model), run=self.run)

    def push(
        self, rows: Iterable[Sequence[object]], *, table: str = "Reading", position: Sequence[object] | None = None
    ) -> Stored:
        """Send one page."""
        described = self.central.model.table(table)
        return self.central.apply_page(
            self.id, self.run, described, make_page(rows, table, self.central.model), position=position
        )

    def rows(self, table: str = "Reading", *, day: int = DAY // 86_400, second: int = 69) -> list[tuple[object, ...]]:
        """What the centre has of one group, in the site's ids, in key order."""
        from_s, to_s = day * 86_400, (day + 1) * 86_400
        group = self.central.read_rows(self.id, self.central.model.table(table), from_s, to_s, second)
        return sorted(group.rows(), key=lambda row: list(row[:3]))
