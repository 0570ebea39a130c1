"""Only what is active is told, with all that it refers to (seed 003)."""

from collections.abc import Mapping, Sequence

from samesky.core.columns import Table
from samesky.push.active_rows import choose_active
from samesky.push.building import BUILDING

NOW = 1_700_000_000
PAST, FUTURE = NOW - 1, NOW + 1


def make_tables(**rows: Sequence[Mapping[str, object]]) -> dict[str, Table]:
    return {
        table.name: Table.from_rows(
            table.name, table.wire, [[row.get(name) for name in table.names] for row in rows.get(table.name, ())]
        )
        for table in BUILDING.dimensions()
    }


def ids(tables: Mapping[str, Table]) -> dict[str, list[object]]:
    return {name: table.column("id") for name, table in tables.items() if table.count}


def test_everything_is_told_the_first_time() -> None:
    tables = make_tables(Deployment=[{"id": 1, "endDate": 5}], Room=[{"id": 4}])
    assert choose_active(BUILDING, tables, None) == tables


def test_houses_follow_their_deployments_and_locations_their_houses_and_rooms_are_told_as_needed() -> None:
    tables = make_tables(
        Deployment=[{"id": 1}, {"id": 2, "endDate": PAST}, {"id": 3, "endDate": NOW}, {"id": 4, "endDate": FUTURE}],
        House=[
            {"id": 10, "deploymentId": 1},
            {"id": 11, "deploymentId": 2},
            {"id": 12, "deploymentId": 3, "endDate": PAST},
            {"id": 13, "deploymentId": 4, "endDate": FUTURE},
            {"id": 14},
        ],
        RoomType=[{"id": 1}, {"id": 2}, {"id": 3}],
        Room=[{"id": 20, "roomTypeId": 1}, {"id": 21, "roomTypeId": 2}, {"id": 22}, {"id": 23, "roomTypeId": 3}],
        Location=[
            {"id": 30, "houseId": 10, "roomId": 20},
            {"id": 31, "houseId": 11, "roomId": 21},
            {"id": 32, "houseId": 13, "roomId": 22},
            {"id": 33, "houseId": 14},
        ],
        SensorType=[{"id": 0}, {"id": 1}],
        NodeType=[{"id": 0}],
    )
    assert ids(choose_active(BUILDING, tables, NOW)) == {
        "Deployment": [1, 3, 4],
        "House": [10, 13, 14],
        "RoomType": [1],
        "Room": [20, 22],
        "Location": [30, 32, 33],
        "SensorType": [0, 1],
        "NodeType": [0],
    }


def test_when_no_deployment_is_active_active_houses_are_told_with_their_deployments() -> None:
    tables = make_tables(
        Deployment=[{"id": 1, "endDate": PAST}, {"id": 2, "endDate": PAST}],
        House=[{"id": 10, "deploymentId": 1}, {"id": 11, "deploymentId": 2, "endDate": PAST}],
        Location=[{"id": 30, "houseId": 10}, {"id": 31, "houseId": 11}],
    )
    assert ids(choose_active(BUILDING, tables, NOW)) == {"Deployment": [1], "House": [10], "Location": [30]}


def test_nodes_and_sensors_are_told_wholly_with_all_that_they_refer_to() -> None:
    tables = make_tables(
        Deployment=[{"id": 1}, {"id": 2, "endDate": PAST}],
        House=[{"id": 10, "deploymentId": 1}, {"id": 11, "deploymentId": 2, "endDate": PAST}],
        RoomType=[{"id": 1}],
        Room=[{"id": 20, "roomTypeId": 1}],
        Location=[{"id": 30, "houseId": 11, "roomId": 20}, {"id": 31, "houseId": 11}],
        Node=[{"id": 69, "locationId": 30}, {"id": 70}],
        Sensor=[{"id": 1, "nodeId": 70}],
    )
    assert ids(choose_active(BUILDING, tables, NOW)) == {
        "Deployment": [1, 2],
        "House": [10, 11],
        "RoomType": [1],
        "Room": [20],
        "Location": [30],
        "Node": [69, 70],
        "Sensor": [1],
    }


def test_tables_that_a_site_has_not_are_no_hindrance() -> None:
    tables = {name: table for name, table in make_tables(Node=[{"id": 69, "locationId": 3}]).items() if name == "Node"}
    assert ids(choose_active(BUILDING, tables, NOW)) == {"Node": [69]}
