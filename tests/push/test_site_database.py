"""A site's database is read exactly, completely and in order, whatever kind it is, and never written."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from samesky.core.columns import Table, encode_tables
from samesky.errors import ConfigError
from samesky.push.building import BUILDING
from samesky.push.databases import Database
from samesky.push.model import ColumnModel, Model, TableModel, ValueKind
from samesky.push.site_database import SiteDatabase, SiteSnapshot
from stands.mariadb import MariadbServer
from stands.postgresql import PostgresqlServer
from stands.push_site import DAY, DIMENSIONS, PushSite, make_site

pytestmark = pytest.mark.slow
READING = BUILDING.table("Reading")
DAY_S = 86_400

MODEL = Model(
    "notes",
    (
        TableModel(
            name="note",
            columns=(
                ColumnModel("at", ValueKind.TIME, required=True),
                ColumnModel("tag", ValueKind.TEXT, 20, required=True),
                ColumnModel("node", ValueKind.INTEGER, required=True),
                ColumnModel("words", ValueKind.TEXT, 200),
            ),
            key=("at", "tag", "node"),
            append_only=True,
        ),
    ),
)


@pytest.fixture
def made(database_url: str) -> Iterator[PushSite]:
    with make_site(database_url) as site:
        yield site


@pytest.fixture
def site(made: PushSite, database_url: str) -> Iterator[SiteDatabase]:
    with Database(database_url, read_only=True) as database:
        yield SiteDatabase(database, BUILDING)


def read_pages(site: SiteDatabase, most: int, table: TableModel = READING) -> Iterator[Table]:
    """All pages, each from a snapshot of its own, as a pusher reads them."""
    after = None
    while True:
        with site.snapshot() as snapshot:
            page = snapshot.read_page(table, after, most)
        if not page.count:
            return
        yield page
        after = [page.column(name)[-1] for name in table.key]


def read_all(site: SiteDatabase, most: int = 1000, table: TableModel = READING) -> list[tuple[object, ...]]:
    return [row for page in read_pages(site, most, table) for row in page.rows()]


def spell(made: PushSite, text: str) -> str:
    """A time of day as SQLAlchemy writes it."""
    return f"'2023-11-15 {text}'" if made.database.dialect != "sqlite" else f"'2023-11-15 {text}.000000'"


@pytest.mark.parametrize("most", [1, 7, 9, 10, 5000])
def test_pages_hold_every_row_once_and_exactly_wherever_they_end(made: PushSite, site: SiteDatabase, most: int) -> None:
    rows = made.fill(60)
    pages = list(read_pages(site, most))
    assert [row for page in pages for row in page.rows()] == rows
    assert {page.count for page in pages[:-1]} <= {most}
    assert pages[0].columns == READING.wire
    assert {type(value) for page in pages for value in page.column("value")} == {float, type(None)}
    assert all(encode_tables([page]) for page in pages)


def test_a_page_may_end_within_a_second_of_many_rows(made: PushSite, site: SiteDatabase) -> None:
    rows = made.fill(400, nodes=range(1, 101), types=(0, 2), step_s=1)
    assert read_all(site, 30) == rows
    with site.snapshot() as snapshot:
        assert list(snapshot.read_page(READING, (DAY, 100, 2), 1).rows()) == [rows[200]]
        assert list(snapshot.read_page(READING, (DAY, 3, 1), 1).rows()) == [rows[5]]
        assert list(snapshot.read_page(READING, (DAY - 5, 999, 999), 1).rows()) == [rows[0]]
        assert list(snapshot.read_page(READING, (DAY,), 1).rows()) == [rows[200]]
        assert list(snapshot.read_page(READING, (DAY, 99), 1).rows()) == [rows[198]]


def test_floats_are_exact_where_the_database_tells_six_digits(made: PushSite, site: SiteDatabase) -> None:
    values = [1234567.75, -0.1015625, 16777215.0, 3.0, 2.0**-30, 2.0**66, 16777215.0 * 2.0**-70]
    made.insert(
        "Reading",
        *({"time": DAY + number, "nodeId": 69, "type": 0, "value": value} for number, value in enumerate(values)),
    )
    assert [row[4] for row in read_all(site)] == values


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=8)
@example([-1.2345678901234567e-14, 9.313225746154785e-10, 1.7976931348623157e308, 5e-324, 123456789012345678.0])
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=64), min_size=1, max_size=40))
def test_doubles_are_exact_to_the_bit(double_site: tuple[PushSite, SiteDatabase], values: list[float]) -> None:
    made, site = double_site
    made.execute('DELETE FROM "Sensor"')
    made.execute('DELETE FROM "Reading"')
    made.insert("Sensor", *({"id": number, "calibrationSlope": value} for number, value in enumerate(values)))
    made.insert(
        "Reading",
        *({"time": DAY + number, "nodeId": 69, "type": 0, "value": value} for number, value in enumerate(values)),
    )
    with site.snapshot() as snapshot:
        sensors = snapshot.read_active(None)["Sensor"].column("calibrationSlope")
    assert sensors == values == [row[4] for row in read_all(site, 7)]


@pytest.fixture
def double_site(made: PushSite, site: SiteDatabase) -> tuple[PushSite, SiteDatabase]:
    if made.database.dialect == "mysql":
        made.execute('ALTER TABLE "Sensor" MODIFY "calibrationSlope" DOUBLE')
        made.execute('ALTER TABLE "Reading" MODIFY value DOUBLE')
    return made, site


def test_the_dimensions_are_read_as_the_model_has_them(made: PushSite, site: SiteDatabase) -> None:
    with site.snapshot() as snapshot:
        tables = snapshot.read_active(None)
        assert list(tables) == [table.name for table in BUILDING.dimensions()]
        for name, rows in DIMENSIONS.items():
            names = BUILDING.table(name).names
            assert list(tables[name].rows()) == [tuple(row.get(each) for each in names) for row in rows]
        assert {type(value) for value in tables["SensorType"].column("active")} == {int, type(None)}
        assert encode_tables(tables.values())
        active = snapshot.read_active(DAY)
    assert active["Deployment"].column("id") == active["House"].column("id") == [1]
    assert active["Location"].column("id") == active["Room"].column("id") == [1, 2]


def test_rows_of_dimensions_are_read_by_id(site: SiteDatabase) -> None:
    with site.snapshot() as snapshot:
        table = BUILDING.table("Location")
        assert snapshot.read_dimension(table, {3, 1, 99}).column("id") == [1, 3]
        assert snapshot.read_dimension(table, range(2000)).column("id") == [1, 2, 3]
        assert snapshot.read_dimension(table, []).count == 0


def test_times_dont_depend_on_the_zone_of_the_server(
    made: PushSite, database_url: str, mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    spring, autumn = 1_679_792_400, 1_698_541_200  # hours that Berlin skipped, and had twice
    times = [spring - 3600, spring, spring + 3600, autumn - 1, autumn, autumn + 3600]
    made.insert("Reading", *({"time": time, "nodeId": 69, "type": 0, "value": 1.0} for time in times))
    mariadb.execute("SET GLOBAL time_zone = '+05:30'")
    try:
        postgresql.execute("ALTER SYSTEM SET timezone = 'Europe/Berlin'", "SELECT pg_reload_conf()")
        with Database(database_url, read_only=True) as database:
            assert [row[0] for row in read_all(SiteDatabase(database, BUILDING))] == times
    finally:
        mariadb.execute("SET GLOBAL time_zone = 'SYSTEM'")
        postgresql.execute("ALTER SYSTEM RESET timezone", "SELECT pg_reload_conf()")


def test_counts_ends_and_groups_are_told(made: PushSite, site: SiteDatabase) -> None:
    rows = made.fill(3000)
    with site.snapshot() as snapshot:
        assert snapshot.count_from(READING, None) == 3000
        assert snapshot.count_from(READING, rows[999][:3]) == 2000
        assert snapshot.count_from(READING, rows[-1][:3]) == 0
        assert snapshot.read_earliest_s(READING) == DAY
        group = [row for row in rows if DAY <= row[0] < DAY + DAY_S and row[1] == 70]  # type: ignore[operator]
        assert list(snapshot.read_rows(READING, DAY, DAY + DAY_S, 70).rows()) == group
        part = [row for row in rows if DAY + 1 <= row[0] < DAY + 601]  # type: ignore[operator]
        assert list(snapshot.read_rows(READING, DAY + 1, DAY + 601).rows()) == part
        counts = snapshot.read_checksums(READING, 0, DAY + DAY_S)
        assert counts[DAY // DAY_S, 70][0] == len(group)
        for empty in (BUILDING.table("NodeState"),):
            assert snapshot.read_earliest_s(empty) is None
            assert snapshot.read_page(empty, None, 10).count == snapshot.count_from(empty, None) == 0


def test_a_snapshot_sees_one_state(made: PushSite, database_url: str) -> None:
    made.fill(90)
    with Database(database_url, read_only=True) as database, SiteDatabase(database, BUILDING).snapshot() as snapshot:
        assert snapshot.count_from(READING, None) == 90
        made.execute('DELETE FROM "Reading" WHERE "nodeId" = 70')
        made.execute("UPDATE \"House\" SET address = 'elsewhere'")
        assert snapshot.count_from(READING, None) == 90
        assert "elsewhere" not in snapshot.read_active(None)["House"].column("address")


def test_a_file_without_a_write_ahead_log_can_be_written_while_a_snapshot_is_open(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sdb'}"
    with make_site(url) as made:
        made.fill(90)
    with sqlite3.connect(tmp_path / "site.sdb", timeout=0) as logger:
        assert logger.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        with Database(url, read_only=True) as database, SiteDatabase(database, BUILDING).snapshot() as snapshot:
            assert snapshot.read_page(READING, None, 50).count == 50
            logger.execute("DELETE FROM Reading WHERE nodeId = 70")
            logger.commit()
            assert snapshot.count_from(READING, None) == 60


def test_nothing_can_be_written(site: SiteDatabase) -> None:
    with pytest.raises(Exception, match=r"(?i)read.?only"), site.snapshot() as snapshot:
        snapshot._connection.exec_driver_sql("DELETE FROM " + ("`Node`" if is_mysql(snapshot) else '"Node"'))


def is_mysql(snapshot: SiteSnapshot) -> bool:
    return snapshot._connection.dialect.name == "mysql"


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("most", [1, 2, 3, 4, 50])
def test_times_with_fractions_of_a_second_lose_no_row(made: PushSite, site: SiteDatabase, most: int) -> None:
    times = [(0.0, 3), (0.25, 1), (0.9996, 2), (1.0, 5), (1.5, 5), (1.75, 4), (2.0, 1), (3.999999, 1)]
    made.insert("Reading", *({"time": DAY + time, "nodeId": node, "type": 0, "value": time} for time, node in times))
    assert [(row[0], row[1], row[4]) for row in read_all(site, most)] == [
        (DAY, 1, 0.25),
        (DAY, 2, 0.9996),
        (DAY, 3, 0.0),
        (DAY + 1, 4, 1.75),
        (DAY + 1, 5, 1.5),
        (DAY + 2, 1, 2.0),
        (DAY + 3, 1, 3.999999),
    ]
    with site.snapshot() as snapshot:
        assert snapshot.read_rows(READING, DAY, DAY + DAY_S, 5).column("value") == [1.5]


def test_texts_may_be_part_of_the_key(database_url: str) -> None:
    tags = ["a", "b", "it's", 'q"', "ü", "%s", "zz"]
    with make_site(database_url, dimensions=False, model=MODEL) as made:
        made.insert(
            "note",
            *(
                {"at": DAY + second, "tag": tag, "node": node, "words": f"{tag}\n\\{node}"}
                for second in (0, 1)
                for tag in tags
                for node in (1, 2)
            ),
        )
        site, (table,) = SiteDatabase(made.database, MODEL), MODEL.tables
        for most in (1, 3, 5, 100):
            rows = read_all(site, most, table)
            assert len(rows) == len(set(rows)) == 28
            assert {(row[1], row[3]) for row in rows} == {(tag, f"{tag}\n\\{node}") for tag in tags for node in (1, 2)}
        with site.snapshot() as snapshot:
            assert snapshot.read_rows(table, DAY, DAY + 1, "it's").column("node") == [1, 2]


@pytest.mark.filterwarnings("error::sqlalchemy.exc.SAWarning")
def test_what_is_missing_is_named_at_once(made: PushSite, site: SiteDatabase) -> None:
    assert not site.check().found
    made.execute('ALTER TABLE "Sensor" DROP COLUMN "calibrationSlope"')
    made.execute('ALTER TABLE "House" DROP COLUMN "startDate"')
    made.execute('DROP TABLE "NodeType"')
    made.execute('DROP TABLE "NodeState"')
    made.execute('ALTER TABLE "Reading" ADD COLUMN more POINT')
    found = SiteDatabase(site.database, BUILDING).check()
    text = "\n".join(map(str, found.errors))
    assert len(found.errors) == 3
    assert "calibrationSlope" in text
    assert "startDate" in text
    assert "no table NodeType, to which Node refers" in text
    assert "NodeState" in "\n".join(str(each) for each in found.found if each.severity == "warning")
    assert "secret" not in "\n".join(map(str, found.found))
    with pytest.raises(ConfigError) as caught, SiteDatabase(site.database, BUILDING).snapshot():
        pass
    assert len(caught.value.problems) == 3


def test_tables_to_which_nothing_refers_may_be_missing_and_then_have_no_rows(
    made: PushSite, site: SiteDatabase
) -> None:
    made.execute('DROP TABLE "NodeState"')
    made.execute('DROP TABLE "Sensor"')
    state = BUILDING.table("NodeState")
    with site.snapshot() as snapshot:
        assert "Sensor" not in snapshot.read_active(None)
        assert snapshot.read_page(state, None, 5).count == snapshot.count_from(state, None) == 0
        assert snapshot.read_rows(state, 0, DAY).columns == state.wire
        assert snapshot.read_checksums(state, 0, DAY) == {}
        assert snapshot.read_earliest_s(state) is None
        assert snapshot.read_dimension(BUILDING.table("Sensor"), [1]).count == 0


def test_an_empty_database_is_told_to_be_the_wrong_one(database_url: str) -> None:
    with Database(database_url) as database:
        with database.writing() as connection:
            connection.exec_driver_sql("CREATE TABLE other (id INTEGER PRIMARY KEY)")
        assert "right database" in str(SiteDatabase(database, BUILDING).check().errors[0])


def test_names_may_be_in_other_letters_and_tables_may_be_views(made: PushSite, site: SiteDatabase) -> None:
    rows = made.fill(30)
    made.execute('ALTER TABLE "Reading" RENAME TO store')
    columns = 'time AS "TIME", "nodeId" AS nodeid, type, "locationId" AS "LocationID", value AS "Value"'
    made.execute(f"CREATE VIEW reading AS SELECT {columns} FROM store")
    assert [each.severity for each in SiteDatabase(site.database, BUILDING).check().found] == ["warning"]  # no index
    assert read_all(SiteDatabase(site.database, BUILDING), 7) == rows
    with SiteDatabase(site.database, BUILDING).snapshot() as snapshot:
        assert snapshot.read_checksums(READING, 0, DAY + DAY_S)


def test_tables_that_change_under_way_are_looked_at_anew(made: PushSite, site: SiteDatabase) -> None:
    made.fill(9)
    assert len(read_all(site)) == 9
    made.execute('ALTER TABLE "Reading" DROP COLUMN value')
    with pytest.raises(Exception, match="value"):
        read_all(site)
    with pytest.raises(ConfigError, match="no column value"):
        read_all(site)


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_a_page_that_is_too_long_for_one_text_is_read_row_by_row(made: PushSite, site: SiteDatabase) -> None:
    rows = made.fill(900)
    with site.snapshot() as snapshot:
        snapshot._connection.exec_driver_sql("SET SESSION group_concat_max_len = 1024")
        assert list(snapshot.read_page(READING, None, 1000).rows()) == rows
        snapshot._connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {16 << 20}")


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_a_server_that_answers_with_short_rows_alone_is_asked_for_no_others(
    made: PushSite, database_url: str, mariadb: MariadbServer
) -> None:
    rows = made.fill(900)
    ((usual,),) = mariadb.execute("SELECT @@max_allowed_packet")
    mariadb.execute("SET GLOBAL max_allowed_packet = 16384")
    try:
        with Database(database_url, read_only=True) as database:
            site = SiteDatabase(database, BUILDING)
            assert read_all(site, 400) == read_all(site, 40) == rows
            with site.snapshot() as snapshot:
                assert list(snapshot.read_rows(READING, 0, DAY * 2).rows()) == rows
    finally:
        mariadb.execute(f"SET GLOBAL max_allowed_packet = {usual}")


@pytest.mark.parametrize("database_url", ["mysql", "postgresql"], indirect=True)
def test_who_may_only_read_can_push(
    made: PushSite, database_url: str, mariadb: MariadbServer, postgresql: PostgresqlServer
) -> None:
    rows = made.fill(30)
    url = make_url(database_url)
    reader = url.set(username="reader", password="reads")
    if made.database.dialect == "mysql":
        mariadb.execute("CREATE USER reader IDENTIFIED BY 'reads'", f"GRANT SELECT ON {url.database}.* TO reader")
    else:
        postgresql.execute("CREATE USER reader PASSWORD 'reads'")
        postgresql.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", database=str(url.database))
    with Database(reader.render_as_string(hide_password=False), read_only=True) as database:
        site = SiteDatabase(database, BUILDING)
        assert not site.check().found
        assert read_all(site) == rows
        with site.snapshot() as snapshot:
            assert snapshot.read_checksums(READING, 0, DAY * 2)


@pytest.mark.parametrize("database_url", ["mysql"], indirect=True)
def test_dates_of_zeros_are_none(made: PushSite, site: SiteDatabase, mariadb: MariadbServer) -> None:
    name = made.database.name.rsplit("/")[-1]
    mariadb.execute("SET sql_mode = ''", f"UPDATE {name}.House SET endDate = '0000-00-00 00:00:00'")
    with site.snapshot() as snapshot:
        assert snapshot.read_active(None)["House"].column("endDate") == [None, None]


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_dates_without_an_end_are_none_and_readings_that_are_no_number_are_left_out(
    made: PushSite, site: SiteDatabase
) -> None:
    made.execute('UPDATE "House" SET "endDate" = \'infinity\'')
    rows = made.fill(30)
    made.execute("UPDATE \"Reading\" SET value = 'NaN' WHERE time = '2023-11-15 00:05:00'")
    with site.snapshot() as snapshot:
        assert snapshot.read_active(None)["House"].column("endDate") == [None, None]
    assert read_all(site, 4) == [row for row in rows if row[0] != DAY + 300]
    assert site.unfit == {("Reading", "value"): 4}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_sqlite_takes_for_anything_is_left_out_and_the_rest_goes_on(
    made: PushSite, site: SiteDatabase, tmp_path: Path
) -> None:
    rows = made.fill(90)
    made.execute(f"UPDATE Reading SET value = 'n/a' WHERE time = {spell(made, '00:05:00')}")
    made.execute(f"UPDATE Reading SET locationId = 1.5 WHERE time = {spell(made, '00:10:00')} AND nodeId = 69")
    made.execute("UPDATE House SET address = CAST(x'48fc74746c' AS TEXT) WHERE id = 2")  # Latin-1
    made.execute("UPDATE Deployment SET startDate = 'tomorrow' WHERE id = 2")
    gone = {(DAY + 300, node) for node in (69, 70, 71)} | {(DAY + 600, 69)}
    for most in (1, 2, 5, 1000):
        pages = list(read_pages(site, most))
        assert [row for page in pages for row in page.rows()] == [row for row in rows if row[:2] not in gone]
        assert all(page.count == most for page in pages[:-1])  # a short page would be taken for the last
    with site.snapshot() as snapshot:
        tables = snapshot.read_active(None)
    assert tables["House"].column("id") == tables["Deployment"].column("id") == [1]
    assert set(site.unfit) == {
        ("Reading", "value"),
        ("Reading", "locationId"),
        ("House", "address"),
        ("Deployment", "startDate"),
    }


@pytest.mark.parametrize("form", ["'{}'", "'{}Z'", "'{}.250000'"])
@pytest.mark.parametrize("separator", [" ", "T"])
def test_sqlite_may_hold_times_as_texts_of_several_forms(tmp_path: Path, form: str, separator: str) -> None:
    url = f"sqlite:///{tmp_path / 'site.sdb'}"
    with make_site(url) as made, Database(url, read_only=True) as database:
        texts = [f"2023-11-{day}{separator}{hour:02}:00:00" for day in (15, 16) for hour in range(24)]
        values = ", ".join(f"({form.format(text)}, 69, 0, 1, {number})" for number, text in enumerate(texts))
        made.execute(f"INSERT INTO Reading VALUES {values}")
        site = SiteDatabase(database, BUILDING)
        assert [row[0] for row in read_all(site, 7)] == [DAY + 3600 * number for number in range(48)]
        with site.snapshot() as snapshot:
            middle = DAY + 36 * 3600
            assert {g: n for g, (n, _) in snapshot.read_checksums(READING, 0, middle).items()} == {
                (DAY // DAY_S, 69): 24,
                (DAY // DAY_S + 1, 69): 12,
            }
            assert snapshot.count_from(READING, (middle, 69, 0)) == 11


def test_tables_that_were_empty_are_looked_at_again_when_they_have_rows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sdb'}"
    with make_site(url) as made, Database(url, read_only=True) as database:
        site = SiteDatabase(database, BUILDING)
        assert read_all(site) == []
        made.execute(
            "INSERT INTO Reading VALUES ('2023-11-15T10:00:00', 69, 0, 1, 1), ('2023-11-15T09:00:00', 69, 0, 1, 2)"
        )
        with site.snapshot() as snapshot:
            assert snapshot.count_from(READING, (DAY + 9 * 3600, 69, 0)) == 1


def test_sqlite_may_hold_times_as_numbers_but_not_mixed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sdb'}"
    with make_site(url) as made, Database(url, read_only=True) as database:
        values = ", ".join(f"({DAY + 3600 * number}, 69, 0, 1, {number})" for number in range(48))
        made.execute(f"INSERT INTO Reading VALUES {values}")
        site = SiteDatabase(database, BUILDING)
        assert [row[0] for row in read_all(site, 7)] == [DAY + 3600 * number for number in range(48)]
        with site.snapshot() as snapshot:
            assert {n for n, _ in snapshot.read_checksums(READING, 0, DAY * 2).values()} == {24}
        made.execute("INSERT INTO Reading VALUES ('2024-01-01 00:00:00', 69, 0, 1, 1)")
        assert "all alike" in str(SiteDatabase(database, BUILDING).check().errors[0])


def test_times_of_local_zones_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site.sdb'}"
    with make_site(url) as made:
        made.execute("INSERT INTO Reading VALUES ('2024-01-01 00:00:00+02:00', 69, 0, 1, 1)")
        assert "should be UTC" in str(SiteDatabase(made.database, BUILDING).check().errors[0])
