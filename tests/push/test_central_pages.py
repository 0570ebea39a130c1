"""Pages of readings in the centre's database: stored once, exactly, with their position; on three databases."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Connection, select

from samesky.core.strict import Refused
from samesky.errors import Unreachable
from samesky.push.bulk import Upsert
from samesky.push.central_database import CentralDatabase, MissingParents, Older
from stands.push_centre import DAY, DIALECTS, SMALL_SITE, PushedSite, make_empty, make_page, open_centre

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=DIALECTS)
def central(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CentralDatabase]:
    """One centre of each kind for all tests, which have sites of their own."""
    with open_centre(make_empty(request, request.param, tmp_path_factory.mktemp("centre"))) as opened:
        yield opened


@pytest.fixture
def site(central: CentralDatabase) -> PushedSite:
    return PushedSite(central)


def readings(*values: float, at: int = DAY) -> list[tuple[object, ...]]:
    return [(at + 300 * i, 69, 0, 1, value) for i, value in enumerate(values)]


def test_rows_come_back_as_they_were_sent(site: PushedSite) -> None:
    sent = [
        (DAY, 69, 0, 1, 21.5),
        (DAY, 69, 2, None, 1234567.75),
        (DAY + 1, 69, 0, 2, None),
        (DAY + 86_399, 69, 0, 1, 5e-324),
        (DAY + 86_399, 69, 2, 1, -1.7976931348623157e308),
    ]
    stored = site.push(sent, position=[DAY + 86_399, 69, 2])
    assert (stored.accepted, stored.duplicate, stored.changed, stored.rejected) == (5, 0, 0, ())
    assert site.rows() == sent


def test_the_same_page_again_is_all_duplicates(site: PushedSite) -> None:
    page = [*readings(1.0, 2.0, 3.0), (DAY, 70, 2, None, None)]
    site.push(page)
    again = site.push(page)
    assert (again.accepted, again.duplicate, again.changed) == (0, 4, 0)


def test_new_changed_and_equal_rows_of_one_page_are_told_apart(site: PushedSite) -> None:
    site.push(readings(1.0, 2.0, 3.0))
    stored = site.push([*readings(1.0, 2.5, 3.0, 4.0), (DAY, 70, 0, 2, 5.0)])
    assert (stored.accepted, stored.duplicate, stored.changed) == (2, 2, 1)
    assert [row[4] for row in site.rows()] == [1.0, 2.5, 3.0, 4.0]


@pytest.mark.parametrize(("before", "after"), [(None, 1.0), (1.0, None)])
def test_a_value_that_came_or_went_is_a_change(site: PushedSite, before: float | None, after: float | None) -> None:
    site.push([(DAY, 69, 0, 1, before)])
    assert site.push([(DAY, 69, 0, 1, after)]).changed == 1
    assert site.rows() == [(DAY, 69, 0, 1, after)]


def test_a_reading_that_moved_to_another_location_is_changed(site: PushedSite) -> None:
    site.push([(DAY, 69, 0, 1, 1.0)])
    assert site.push([(DAY, 69, 0, 2, 1.0)]).changed == 1
    assert site.rows() == [(DAY, 69, 0, 2, 1.0)]


def test_a_table_of_node_states_is_stored_too(site: PushedSite) -> None:
    states = [(DAY, 69, 1, 70, 12345, -70), (DAY, 69, 2, None, -(1 << 63), None)]
    assert site.push(states, table="NodeState").accepted == 2
    assert site.rows("NodeState") == states
    assert site.push(states, table="NodeState").duplicate == 2


def test_the_position_is_stored_with_the_rows_and_never_goes_back(site: PushedSite) -> None:
    assert site.push(readings(1.0), position=[DAY, 69, 0]).position == [DAY, 69, 0]
    assert site.push(readings(2.0, at=DAY + 600), position=[DAY + 600, 69, 0]).position == [DAY + 600, 69, 0]
    assert site.push(readings(1.0), position=[DAY, 69, 0]).position == [DAY + 600, 69, 0]
    assert site.push(readings(1.0)).position == [DAY + 600, 69, 0]
    assert site.central.read_positions(site.id) == {"Reading": [DAY + 600, 69, 0], "NodeState": None}
    assert site.central.begin_run(site.id).positions["Reading"] == [DAY + 600, 69, 0]


def test_rows_sent_again_before_any_position_leave_it_unknown(site: PushedSite) -> None:
    assert site.push(readings(1.0)).position is None
    assert site.central.read_positions(site.id)["Reading"] is None


def test_an_empty_page_moves_the_position_alone(site: PushedSite) -> None:
    stored = site.push([], position=[DAY, 69, 0])
    assert (stored.accepted, stored.position) == (0, [DAY, 69, 0])


def test_missing_parents_are_all_named_and_nothing_is_stored(site: PushedSite) -> None:
    with pytest.raises(MissingParents) as caught:
        site.push([(DAY, 69, 0, 1, 1.0), (DAY, 8, 9, 1, 1.0), (DAY, 7, 0, 30, 1.0)], position=[DAY, 69, 0])
    assert caught.value.tables == {"Node": (7, 8), "SensorType": (9,), "Location": (30,)}
    assert site.rows() == []
    assert site.central.read_positions(site.id)["Reading"] is None


def test_pages_of_a_run_that_was_followed_by_another_are_refused(site: PushedSite) -> None:
    assert site.central.begin_run(site.id).run > site.run
    with pytest.raises(Older):
        site.push(readings(1.0))
    assert site.rows() == []


def test_a_site_that_there_isnt_is_refused(central: CentralDatabase) -> None:
    with pytest.raises(Refused, match="no such site"):
        central.begin_run(99_999)


def test_equal_nodes_of_two_sites_stay_apart(central: CentralDatabase) -> None:
    hill, mill = PushedSite(central), PushedSite(central)
    hill.push([(DAY, 69, 0, 1, 1.0)])
    assert mill.push([(DAY, 69, 0, 1, 2.0)]).accepted == 1
    assert (hill.rows(), mill.rows()) == ([(DAY, 69, 0, 1, 1.0)], [(DAY, 69, 0, 1, 2.0)])
    node = central.tables.of("Node")
    with central.database.reading() as connection:
        sites = connection.execute(select(node.c.siteId).where(node.c.id == 69)).scalars().all()
    assert {hill.id, mill.id} <= set(sites)


def test_a_page_that_comes_many_times_at_once_is_stored_once(site: PushedSite) -> None:
    page = [(DAY + i, 69, 0, 1, float(i)) for i in range(200)]
    with ThreadPoolExecutor(6) as pool:
        stored = list(pool.map(lambda _: site.push(page, position=[DAY + 199, 69, 0]), range(6)))
    assert sorted(each.accepted for each in stored) == [0, 0, 0, 0, 0, 200]
    assert sum(each.duplicate for each in stored) == 1000
    assert site.rows() == page


def test_a_page_of_five_thousand_rows_is_stored_whole(site: PushedSite) -> None:
    page = [(DAY + i, 69 + i % 2, 0, 1, i / 7) for i in range(5000)]
    assert site.push(page).accepted == 5000
    assert site.push(page).duplicate == 5000
    assert site.rows() == [row for row in page if row[1] == 69]


def test_sites_with_other_ids_for_the_same_types_share_them(central: CentralDatabase) -> None:
    hill = PushedSite(central)
    swapped = [dict(row, id=2 - int(str(row["id"]))) for row in SMALL_SITE["SensorType"]]
    sensor = [dict(SMALL_SITE["Sensor"][0], sensorTypeId=2)]
    mill = PushedSite(central, rows={**SMALL_SITE, "SensorType": swapped, "Sensor": sensor})
    hill.push([(DAY, 69, 0, 1, 20.0)])
    mill.push([(DAY, 69, 2, 1, 21.0)])
    reading = central.tables.of("Reading")
    with central.database.reading() as connection:
        of_both = select(reading.c.type).where(reading.c.siteId.in_([hill.id, mill.id]))
        assert len(connection.execute(of_both.distinct()).all()) == 1
    assert mill.rows() == [(DAY, 69, 2, 1, 21.0)]


@pytest.mark.parametrize("central", ["mysql", "postgresql"], indirect=True)
def test_a_connection_that_is_cut_in_mid_transaction_leaves_nothing_and_the_next_try_works(site: PushedSite) -> None:
    central = site.central
    page, table = make_page(readings(1.0)), central.model.table("Reading")

    def work(connection: Connection) -> None:
        upsert = Upsert(central.database.dialect, table, central.tables.of(table))
        upsert.apply(connection, page.values, site=site.id)
        cut(central, connection)
        upsert.apply(connection, page.values, site=site.id)

    with pytest.raises(Unreachable):
        central.transactions.write(work)
    assert site.rows() == []
    assert site.push(readings(1.0)).accepted == 1


def cut(central: CentralDatabase, connection: Connection) -> None:
    """End the connection from the server's side, as a restart does."""
    mysql = central.database.dialect == "mysql"
    number = connection.exec_driver_sql("SELECT CONNECTION_ID()" if mysql else "SELECT pg_backend_pid()").scalar()
    with central.database.engine.connect() as other:
        other.exec_driver_sql(f"KILL {number}" if mysql else f"SELECT pg_terminate_backend({number})")
