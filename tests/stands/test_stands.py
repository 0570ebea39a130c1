"""The stands hold: real stations record, the server keeps what it is given, and the comparison finds what differs."""

import shutil
from pathlib import Path

import pytest
import weewx.manager

from samesky.demo.year import write_year

from .databases import Database, SqliteDatabase, frozen, query
from .mariadb import MariadbServer
from .rows import find_differences, read_count, read_metadata, wait_until_same
from .weewx_station import NO_SUMMARIES, SMALL, Binding, WeewxStation

pytestmark = pytest.mark.slow

END = 1_795_000_000
AIR = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("pm2_5", "REAL"),
)


@pytest.fixture
def year(tmp_path: Path) -> SqliteDatabase:
    write_year(tmp_path / "year.sdb", count=600, end_time=END)
    return SqliteDatabase(tmp_path / "year.sdb")


def test_a_station_records_into_two_bindings_of_sqlite(tmp_path: Path) -> None:
    main = Binding("wx_binding", SqliteDatabase(tmp_path / "weewx.sdb"), schema=SMALL)
    air = Binding("aq_binding", SqliteDatabase(tmp_path / "air.sdb"), schema=AIR, manager=NO_SUMMARIES)
    with WeewxStation(tmp_path / "station", [main, air], archive_interval_s=5, target_unit="METRICWX") as station:
        options = {"AirSensor": {"data_binding": "aq_binding"}}
        station.add_service("data_services", "stands.air_sensor.AirSensor", options)
        station.start()
        station.wait_for(station.newest, 60, what="the first record")
        station.stop()
    assert station.newest("aq_binding") == station.newest()
    assert query(main.database, "SELECT DISTINCT usUnits, interval FROM archive") == [(17, 5 / 60)]


def test_a_station_goes_on_in_mariadb_where_its_year_ends(
    tmp_path: Path, mariadb: MariadbServer, year: SqliteDatabase
) -> None:
    database = mariadb.create_database()
    mariadb.load_sqlite(year, database)
    with WeewxStation(
        tmp_path / "station", [Binding("wx_binding", database)], archive_interval_s=60, loop_interval_s=15, speed=60
    ) as station:
        station.start()
        station.wait_for(lambda: read_count(database, after=END) >= 2, 60, what="two records")
        station.stop()
    last = END // 300 * 300
    assert query(database, "SELECT MIN(dateTime), MIN(`interval`) FROM archive WHERE dateTime > ?", last) == [
        (last + 60, 1)
    ]
    assert read_metadata(database)["lastUpdate"] == str(station.newest())


def test_mariadb_holds_the_same_rows_as_the_sqlite_database_it_was_loaded_from(
    mariadb: MariadbServer, year: SqliteDatabase
) -> None:
    database = mariadb.create_database()
    mariadb.load_sqlite(year, database)
    assert wait_until_same(year, database, 60) == END // 300 * 300
    options = database.weewx_options()
    with weewx.manager.DaySummaryManager.open(options) as manager:
        assert manager.backfill_day_summary(progress_fn=None) == (0, 0)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "UPDATE archive SET outTemp = outTemp + 1e-9 WHERE rowid = {end}",
            "archive: {end} differs in 1 columns: outTemp",
        ),
        ("UPDATE archive SET UV = 0.5 WHERE dateTime = {end}", "archive: {end} differs in 1 columns: UV"),
        ("UPDATE archive SET outTemp = NULL WHERE rowid = {end}", "archive: {end} differs in 1 columns: outTemp"),
        ("UPDATE archive SET outTemp = 'warm' WHERE rowid = {end}", "archive: {end} differs in 1 columns: outTemp"),
        ("DELETE FROM archive WHERE dateTime = {end} - 300", "archive: {before} is missing at the copy"),
        ("INSERT INTO archive (dateTime, usUnits, interval) VALUES ({end} + 1, 1, 5)", "is only at the copy"),
        ("UPDATE archive_day_outTemp SET maxtime = maxtime + 1", "archive_day_outTemp: "),
        ("DROP TABLE archive_day_signal8", "archive_day_signal8: no such table at the copy"),
        ("UPDATE archive_day__metadata SET value = '5' WHERE name = 'lastUpdate'", "archive_day__metadata: "),
    ],
)
def test_the_comparison_finds_every_kind_of_difference(
    tmp_path: Path, year: SqliteDatabase, change: str, sentence: str
) -> None:
    copy = SqliteDatabase(Path(shutil.copy(year.path, tmp_path / "copy.sdb")))
    assert find_differences(year, copy) == []
    end = END // 300 * 300
    with copy.connect() as connection:
        connection.execute(change.format(end=end))
    found = find_differences(year, copy)
    assert found
    assert sentence.format(end=end, before=end - 300) in found[0]


@pytest.mark.parametrize("kind", ["sqlite", "mariadb"])
def test_what_is_compared_is_in_no_writers_way_and_stays_as_it_was(
    mariadb: MariadbServer, year: SqliteDatabase, kind: str
) -> None:
    database: Database = year
    if kind == "mariadb":
        database = mariadb.create_database()
        mariadb.load_sqlite(year, database)
    with frozen(database) as before:
        ((first,),) = query(before, "SELECT MIN(dateTime) FROM archive")
        with database.connect() as writer:
            cursor = writer.cursor()
            cursor.execute("PRAGMA busy_timeout = 0" if kind == "sqlite" else "SET innodb_lock_wait_timeout = 0")
            cursor.execute(f"DELETE FROM archive WHERE dateTime = {first}")
        assert (read_count(before), read_count(database)) == (600, 599)
        assert find_differences(before, before) == []
