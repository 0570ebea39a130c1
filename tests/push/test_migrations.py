"""The tables of a centre: made once, by however many servers; migrated step by step, never back."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, select

from samesky.errors import ConfigError
from samesky.push.building import BUILDING
from samesky.push.central_database import CentralDatabase
from samesky.push.central_tables import CentralTables
from samesky.push.databases import Database
from samesky.push.migrations import FIRST_VERSION, Migration, ensure_schema, read_centre_id
from samesky.push.model import ColumnModel, Model, ValueKind
from stands.push_centre import DAY, DIALECTS, PushedSite, make_empty, open_centre

pytestmark = pytest.mark.slow
embedded = pytest.mark.parametrize("url", ["sqlite"], indirect=True)


@pytest.fixture(params=DIALECTS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return make_empty(request, request.param, tmp_path)


def test_several_servers_that_start_at_once_make_the_tables_once(url: str) -> None:
    def start(_: int) -> str:
        with open_centre(url) as central, central.database.reading() as connection:
            return read_centre_id(connection, central.tables)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


@embedded
def test_starting_again_changes_nothing(url: str) -> None:
    with open_centre(url) as central:
        site = PushedSite(central)
        site.push([(DAY, 69, 0, 1, 1.0)])
        state = central.begin_run(site.id)
    with open_centre(url) as central:
        again = central.begin_run(site.id)
        assert (again.centre_id, again.catalogue_digest) == (state.centre_id, state.catalogue_digest)
        assert site.rows() == [(DAY, 69, 0, 1, 1.0)]


def test_the_steps_since_the_last_version_are_taken_once_in_order(url: str) -> None:
    taken: list[int] = []

    def step(version: int) -> Migration:
        def apply(connection: Connection, tables: CentralTables) -> None:
            connection.execute(tables.server.insert().values(id=version, hostname="step"))
            taken.append(version)

        return Migration(version, apply)

    tables = CentralTables(BUILDING)
    with Database(url) as database:
        ensure_schema(database, tables)
        for known in ([step(2)], [step(2), step(3)], [step(2), step(3)]):
            ensure_schema(database, tables, migrations=known)
        with database.reading() as connection:
            versions = connection.execute(select(tables.schema.c.version)).scalars().all()
            assert sorted(versions) == [FIRST_VERSION, 2, 3]
    assert taken == [2, 3]


def test_a_step_that_fails_is_tried_again_at_the_next_start(url: str) -> None:
    tries: list[bool] = []

    def apply(connection: Connection, tables: CentralTables) -> None:
        connection.execute(tables.server.insert().values(id=1, hostname="half"))
        tries.append(True)
        if len(tries) == 1:
            raise RuntimeError("power cut")

    tables = CentralTables(BUILDING)
    with Database(url) as database:
        ensure_schema(database, tables)
        with pytest.raises(RuntimeError, match="power cut"):
            ensure_schema(database, tables, migrations=[Migration(2, apply)])
        ensure_schema(database, tables, migrations=[Migration(2, apply)])
        with database.reading() as connection:
            assert len(connection.execute(select(tables.server)).all()) == 1


@embedded
def test_the_tables_of_a_newer_samesky_are_refused_untouched(url: str) -> None:
    tables = CentralTables(BUILDING)
    with Database(url) as database:
        ensure_schema(database, tables, migrations=[Migration(9, lambda *_: None)])
        with pytest.raises(ConfigError, match="newer samesky") as caught:
            ensure_schema(database, tables)
        assert caught.value.hint


def test_columns_and_tables_that_the_model_got_are_added(url: str) -> None:
    room = BUILDING.table("Room")
    smaller = Model("building", tuple(table for table in BUILDING.tables if table.name != "NodeState"))
    with open_centre(url, smaller) as central:
        PushedSite(central)
    wider = replace(room, columns=(*room.columns, ColumnModel("floor", ValueKind.INTEGER, required=True)))
    larger = Model("building", tuple(wider if table is room else table for table in BUILDING.tables))
    with open_centre(url, larger) as central:
        inspector = inspect(central.database.engine)
        assert "floor" in {column["name"] for column in inspector.get_columns("Room")}
        assert inspector.has_table("NodeState")
        with central.database.reading() as connection:
            assert len(connection.execute(select(central.tables.of("Room"))).all()) == 2


@embedded
def test_a_model_with_another_key_is_refused(url: str) -> None:
    with open_centre(url):
        pass
    reading = BUILDING.table("Reading")
    other = replace(reading, key=("time", "type", "nodeId"))
    model = Model("building", tuple(other if table is reading else table for table in BUILDING.tables))
    with Database(url) as database, pytest.raises(ConfigError, match="Reading of the centre has the key"):
        CentralDatabase(database, model).ensure_schema()


@embedded
def test_a_run_number_is_never_given_twice_even_after_a_restore(url: str, tmp_path: Path) -> None:
    with open_centre(url) as central:
        site = PushedSite(central)
    saved = (tmp_path / "central.db").read_bytes()
    with open_centre(url) as central:
        later = central.begin_run(site.id).run
    for path in tmp_path.iterdir():
        path.unlink()
    (tmp_path / "central.db").write_bytes(saved)
    with open_centre(url) as central:
        assert central.begin_run(site.id).run > later
