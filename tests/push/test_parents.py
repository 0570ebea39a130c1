"""Rows that a centre misses are read with all that they refer to, and no others."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from samesky.push.building import BUILDING
from samesky.push.parents import read_with_parents
from samesky.push.site_database import SiteDatabase, SiteSnapshot
from stands.push_site import make_site


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[SiteSnapshot]:
    with (
        make_site(f"sqlite:///{tmp_path / 'site.db'}") as site,
        SiteDatabase(site.database, BUILDING).snapshot() as opened,
    ):
        yield opened


def ids(tables: dict) -> dict[str, list[int]]:  # type: ignore[type-arg]
    return {name: table.column("id") for name, table in tables.items()}


def test_a_node_comes_with_its_location_house_room_and_types(snapshot: SiteSnapshot) -> None:
    tables, absent = read_with_parents(snapshot, BUILDING, {"Node": frozenset({69})})
    assert ids(tables) == {
        "Deployment": [1],
        "House": [1],
        "RoomType": [1],
        "Room": [1],
        "Location": [1],
        "NodeType": [0],
        "Node": [69],
    }
    assert list(tables) == [table.name for table in BUILDING.dimensions() if table.name in tables], "parents first"
    assert absent == {}


def test_what_the_site_hasnt_is_told(snapshot: SiteSnapshot) -> None:
    tables, absent = read_with_parents(snapshot, BUILDING, {"SensorType": frozenset({2, 5}), "Node": frozenset({99})})
    assert ids(tables) == {"SensorType": [2]}
    assert absent == {"SensorType": {5}, "Node": {99}}


def test_rows_that_were_refused_are_left_out_though_others_refer_to_them(snapshot: SiteSnapshot) -> None:
    tables, absent = read_with_parents(
        snapshot, BUILDING, {"Location": frozenset({1})}, without=frozenset({("Room", 1), ("House", 9)})
    )
    assert ids(tables) == {"Deployment": [1], "House": [1], "RoomType": [1], "Location": [1]}
    assert absent == {}
