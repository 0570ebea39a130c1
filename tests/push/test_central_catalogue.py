"""Catalogues in the centre's database: rows made, changed, shared and mapped in one transaction; on three databases."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import select

from samesky.core.strict import Reason
from samesky.push.catalogue import CataloguePlan, digest_catalogue
from samesky.push.central_database import CentralDatabase, Older
from stands.push_centre import DAY, DIALECTS, SMALL_SITE, PushedSite, make_catalogue, make_empty, open_centre

pytestmark = pytest.mark.slow
embedded = pytest.mark.parametrize("central", ["sqlite"], indirect=True)
"""For what has nothing to do with the kind of database."""


@pytest.fixture(scope="module", params=DIALECTS)
def central(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralDatabase]:
    with open_centre(make_empty(request, request.param, tmp_path_factory.mktemp("centre"))) as opened:
        yield opened


@pytest.fixture(autouse=True)
def no_rows(central: CentralDatabase) -> None:
    """Every test begins with empty tables; to make a database for each would take longer than the tests."""
    with central.database.writing() as connection:
        for table in central.tables.metadata.tables.values():
            if table not in (central.tables.schema, central.tables.centre):
                connection.execute(table.delete())


def read(central: CentralDatabase, table: str) -> list[dict[str, Any]]:
    asked = select(central.tables.of(table)).order_by(*central.tables.of(table).primary_key.columns)
    with central.database.reading() as connection:
        return [dict(row) for row in connection.execute(asked).mappings()]


def change(table: str, id_: int, **values: object) -> Mapping[str, list[Mapping[str, object]]]:
    """The small site with another value in one row."""
    return {**SMALL_SITE, table: [dict(row, **values) if row["id"] == id_ else row for row in SMALL_SITE[table]]}


def refusals(plan: CataloguePlan) -> list[tuple[str, int, Reason]]:
    return [(each.table, each.site_id, each.reason) for table in plan.tables for each in table.refused]


def test_every_row_is_made_once_and_sending_it_again_changes_nothing(central: CentralDatabase) -> None:
    site = PushedSite(central)
    assert site.plan.taken_wholly
    before = {table: read(central, table) for table in SMALL_SITE}
    assert [len(before[table]) for table in SMALL_SITE] == [len(SMALL_SITE[table]) for table in SMALL_SITE]
    again = central.apply_catalogue(site.id, make_catalogue(SMALL_SITE))
    assert sum(table.same for table in again.tables) == sum(map(len, SMALL_SITE.values()))
    assert {table: read(central, table) for table in SMALL_SITE} == before


@embedded
def test_a_dry_run_tells_what_would_be_and_leaves_nothing(central: CentralDatabase) -> None:
    site = central.sites.add("hill").id
    plan = central.apply_catalogue(site, make_catalogue(SMALL_SITE), dry_run=True)
    assert sum(table.created for table in plan.tables) == sum(map(len, SMALL_SITE.values()))
    assert all(read(central, table) == [] for table in SMALL_SITE)
    assert central.begin_run(site).catalogue_digest is None


@embedded
def test_the_digest_of_a_catalogue_is_kept_when_it_was_taken_wholly(central: CentralDatabase) -> None:
    site = PushedSite(central)
    catalogue = make_catalogue(SMALL_SITE)
    assert central.begin_run(site.id).catalogue_digest == digest_catalogue(central.model, catalogue.tables)
    central.apply_catalogue(site.id, make_catalogue({"RoomType": [{"id": 3, "name": "Bath"}]}), partial=True)
    assert central.begin_run(site.id).catalogue_digest == digest_catalogue(central.model, catalogue.tables)
    doubled = {**SMALL_SITE, "RoomType": [*SMALL_SITE["RoomType"], {"id": 4, "name": "Bedroom"}]}
    assert not central.apply_catalogue(site.id, make_catalogue(doubled)).taken_wholly
    assert central.begin_run(site.id).catalogue_digest is None


@embedded
def test_rows_that_sites_share_are_one_and_nodes_arent_shared(central: CentralDatabase) -> None:
    PushedSite(central)
    other = PushedSite(central)
    assert other.plan.taken_wholly
    assert sum(table.adopted for table in other.plan.tables) == 11
    assert [row["name"] for row in read(central, "RoomType")] == ["Bedroom", "Kitchen"]
    assert [(row["siteId"], row["id"]) for row in read(central, "Node")] == [(1, 69), (1, 70), (2, 69), (2, 70)]


def test_a_renamed_deployment_a_moved_node_and_a_calibration_are_changed(central: CentralDatabase) -> None:
    site = PushedSite(central)
    rows = {
        **SMALL_SITE,
        "Deployment": [{"id": 1, "name": "Spring", "endDate": DAY}],
        "Node": [{"id": 69, "locationId": 2, "nodeTypeId": 0}, {"id": 70, "locationId": None, "nodeTypeId": 0}],
        "Sensor": [dict(SMALL_SITE["Sensor"][0], calibrationSlope=1.0000000000000002)],
    }
    plan = central.apply_catalogue(site.id, make_catalogue(rows))
    assert plan.taken_wholly
    assert sum(table.changed for table in plan.tables) == 4
    (deployment,) = read(central, "Deployment")
    assert (deployment["name"], str(deployment["endDate"])) == ("Spring", "2023-11-15 00:00:00")
    locations = {row["id"]: row["locationId"] for row in read(central, "Node")}
    assert locations == {69: read(central, "Location")[1]["id"], 70: None}
    assert read(central, "Sensor")[0]["calibrationSlope"] == 1.0000000000000002


@embedded
def test_a_row_that_another_site_uses_too_isnt_changed(central: CentralDatabase) -> None:
    PushedSite(central)
    other = PushedSite(central)
    plan = central.apply_catalogue(other.id, make_catalogue(change("RoomType", 1, name="Attic")))
    assert refusals(plan) == [("RoomType", 1, Reason.SHARED)]
    assert [row["name"] for row in read(central, "RoomType")] == ["Bedroom", "Kitchen"]


@embedded
def test_rows_whose_parent_is_refused_are_refused_and_the_rest_goes_on(central: CentralDatabase) -> None:
    site = central.sites.add("hill").id
    plan = central.apply_catalogue(site, make_catalogue({**SMALL_SITE, "House": []}))
    assert {(table, id_) for table, id_, _ in refusals(plan)} == {("Location", 1), ("Location", 2)} | {
        ("Node", 69),
        ("Node", 70),
        ("Sensor", 5),
    }
    assert len(read(central, "SensorType")) == 2


def test_what_a_null_in_a_natural_key_stands_for_is_one_value(central: CentralDatabase) -> None:
    whole_house = {**SMALL_SITE, "Location": [*SMALL_SITE["Location"], {"id": 3, "houseId": 1, "roomId": None}]}
    PushedSite(central, rows=whole_house)
    assert PushedSite(central, rows=whole_house).plan.taken_wholly
    assert len(read(central, "Location")) == 3


def test_names_that_differ_in_letters_of_another_size_or_in_blanks_are_different(central: CentralDatabase) -> None:
    names = ["Bath", "bath", "Bath ", "Bäth", "BATH", "浴室", "🛁"]
    rows = {"RoomType": [{"id": i, "name": name} for i, name in enumerate(names)]}
    PushedSite(central, rows=rows)
    assert PushedSite(central, rows=rows).plan.taken_wholly
    assert [row["name"] for row in read(central, "RoomType")] == names


@embedded
def test_a_room_that_was_made_at_the_centre_by_hand_is_adopted(central: CentralDatabase) -> None:
    with central.database.writing() as connection:
        connection.execute(central.tables.of("RoomType").insert().values(id=77, name="Bedroom"))
    PushedSite(central)
    assert [(row["id"], row["name"]) for row in read(central, "RoomType")] == [(77, "Bedroom"), (78, "Kitchen")]


@embedded
def test_nothing_is_done_with_the_catalogue_of_another_database_unless_it_is_meant(central: CentralDatabase) -> None:
    before = {"RoomType": [{"id": i, "name": name} for i, name in enumerate("abcd")]}
    site = PushedSite(central, rows=before)
    digest = central.begin_run(site.id).catalogue_digest
    other = {
        "Deployment": [{"id": 1, "name": "Winter"}],
        "RoomType": [{"id": i, "name": name} for i, name in enumerate("wxyz")],
    }
    plan = central.apply_catalogue(site.id, make_catalogue(other))
    assert plan.another_database == ("RoomType",)
    assert plan.dry_run
    assert (read(central, "Deployment"), [row["name"] for row in read(central, "RoomType")]) == ([], list("abcd"))
    assert central.begin_run(site.id).catalogue_digest == digest
    assert central.apply_catalogue(site.id, make_catalogue(other), accept_renames=True).taken_wholly
    assert [row["name"] for row in read(central, "RoomType")] == list("wxyz")


@embedded
def test_a_catalogue_of_a_fenced_run_is_refused(central: CentralDatabase) -> None:
    site = PushedSite(central)
    central.begin_run(site.id)
    with pytest.raises(Older):
        central.apply_catalogue(site.id, make_catalogue(change("RoomType", 1, name="Attic")), run=site.run)
    assert read(central, "RoomType")[0]["name"] == "Bedroom"


def test_sites_that_bring_the_same_rows_at_the_same_moment_end_with_one_of_each(central: CentralDatabase) -> None:
    sites = [central.sites.add(f"site{i}").id for i in range(6)]
    with ThreadPoolExecutor(6) as pool:
        plans = list(pool.map(lambda site: central.apply_catalogue(site, make_catalogue(SMALL_SITE)), sites))
    assert all(plan.taken_wholly for plan in plans)
    assert [row["name"] for row in read(central, "RoomType")] == ["Bedroom", "Kitchen"]
    assert len(read(central, "House")) == 1
    assert len(read(central, "Node")) == 12


def test_more_rows_than_a_statement_takes_are_taken_at_once(central: CentralDatabase) -> None:
    rows = {
        "RoomType": [{"id": i, "name": f"kind {i}"} for i in range(700)],
        "Room": [{"id": i, "name": f"room {i}", "roomTypeId": i % 700} for i in range(1000)],
    }
    site = PushedSite(central, rows=rows)
    assert site.plan.taken_wholly
    again = central.apply_catalogue(site.id, make_catalogue(rows))
    assert [table.same for table in again.tables] == [700, 1000]
    assert len(read(central, "Room")) == 1000
