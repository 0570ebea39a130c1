"""Real weewxd pairs: a primary that records, a copy that follows, and the same rows in both, whatever happened.

Every test ends with a comparison by tests/stands/rows.py, which shares no code with samesky, while the primary records.
"""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import weewx.manager
import weewx.schemas.wview_extended
import weewx.units

from samesky.demo.year import split_days, write_year
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttSettings
from samesky.station.watched_status import WatchedStatus, watching_link
from stands.databases import Database, SqliteDatabase
from stands.mariadb import MariadbServer
from stands.pairs import cut_after, main_binding, make_copy, make_primary, place_database
from stands.rows import (
    find_row_differences,
    read_columns,
    read_count,
    read_newest,
    read_rows,
    read_tables,
    wait_until_same,
)
from stands.waiting import wait_for
from stands.weewx_station import SMALL, Binding, WeewxStation, tails

pytestmark = pytest.mark.slow

KINDS = [("sqlite", "sqlite"), ("sqlite", "mariadb"), ("mariadb", "sqlite")]
BEHIND = {"fresh": None, "a day behind": 288, "20,000 records behind": 20_000, "100,000 records behind": 100_000}
FEW, MANY, MOST = 3_000, 50_000, 100_600
"""Records of a primary: enough for days of every kind, for a catch-up with a middle, for what a user comes with."""
CATCH_UP_DEADLINE_S = 360
LIVE_DEADLINE_S = 120
AIR = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("pm2_5", "REAL"),
    ("co2", "REAL"),
)


class Years(dict[int, SqliteDatabase]):
    """Databases by number of records, ending two days ago, so that a fast clock has room before it reaches today."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._end = int(time.time()) - 2 * 86_400

    def __missing__(self, count: int) -> SqliteDatabase:
        path = self._folder / f"{count}.sdb"
        write_year(path, count=count, end_time=self._end, seed=count)
        self[count] = SqliteDatabase(path)
        return self[count]


@pytest.fixture(scope="session")
def years(tmp_path_factory: pytest.TempPathFactory) -> Years:
    return Years(tmp_path_factory.mktemp("years"))


@pytest.fixture
def stations() -> Iterator[ExitStack]:
    """Where a test registers its stations, so that every weewxd ends with it."""
    with ExitStack() as stack:
        yield stack


def brisk() -> dict[str, Any]:
    """Options of a primary that archives a minute every four seconds: MariaDB's INTEGER has no parts of a minute."""
    return {"archive_interval_s": 60, "loop_interval_s": 15, "speed": 15, "start_time": int(time.time()) - 86_400}


def few_through_the_engine(kind: str) -> dict[str, str]:
    """Options of a copy that has much to fetch: in MariaDB WeeWX stores a record by a hundred statements.

    Of a usual copy's newest day it has 288 to store so, as slowly as a brisk primary makes others on a busy machine.
    """
    return {"newest": "24"} if kind == "mariadb" else {}


def shorten(year: SqliteDatabase, records: int, folder: Path) -> SqliteDatabase:
    """A copy of ``year`` as it was ``records`` records earlier."""
    folder.mkdir(parents=True)
    database = SqliteDatabase(folder / "shortened.sdb")
    database.path.write_bytes(year.path.read_bytes())
    last = sorted(read_rows(year, "archive"))[-1 - records]
    ((day_start, _),) = split_days([last])
    cut_after(database, last, day_start)
    return database


def start_pair(primary: WeewxStation, *copies: WeewxStation) -> None:
    primary.start()
    for copy in copies:
        copy.start()


def wait_for_live(primary: WeewxStation, *copies: WeewxStation, records: int = 1) -> None:
    """Wait until so many records that the primary has made since now are at every copy, and all tables are equal."""
    before = read_count(primary.database())
    primary.wait_for(
        lambda: read_count(primary.database()) >= before + records, LIVE_DEADLINE_S, what="live records at the primary"
    )
    for copy in copies:
        wait_until_same(primary.database(), copy.database(), LIVE_DEADLINE_S, explain=tails(primary, copy))


@pytest.mark.parametrize(
    ("primary_kind", "copy_kind", "behind"),
    [
        *[(*kinds, behind) for kinds in KINDS for behind in ("fresh", "a day behind")],
        ("sqlite", "sqlite", "100,000 records behind"),
        ("sqlite", "mariadb", "20,000 records behind"),
        ("mariadb", "sqlite", "20,000 records behind"),
    ],
)
def test_a_copy_catches_up_and_follows(
    tmp_path: Path,
    broker: MosquittoBroker,
    mariadb: MariadbServer,
    years: Years,
    stations: ExitStack,
    primary_kind: str,
    copy_kind: str,
    behind: str,
) -> None:
    records = BEHIND[behind]
    year = years[next(count for count in (FEW, MANY, MOST) if count > (records or 0))]
    like = shorten(year, records, tmp_path / "shortened") if records else None
    here = place_database(primary_kind, tmp_path / "primary-data", mariadb, like=year)
    there = place_database(copy_kind, tmp_path / "copy-data", mariadb, like=like)
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, **brisk())
    options = {} if behind == "a day behind" else few_through_the_engine(copy_kind)
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port, options=options)
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy, records=2)
    assert primary.running
    assert copy.running
    assert "Traceback" not in primary.log_text + copy.log_text


@pytest.mark.alone
def test_a_primary_in_real_time_is_never_late_while_it_serves(
    tmp_path: Path, broker: MosquittoBroker, years: Years, stations: ExitStack
) -> None:
    interval_s = 5
    here = place_database("sqlite", tmp_path / "primary-data", like=years[MOST])
    primary = make_primary(
        tmp_path / "primary",
        [main_binding(here)],
        port=broker.port,
        archive_interval_s=interval_s,
        loop_interval_s=1,
    )
    stations.enter_context(primary)
    primary.start()
    old = read_newest(here) or 0
    primary.wait_for(lambda: (primary.newest() or 0) > old, LIVE_DEADLINE_S, what="the first live record")
    copies = []
    for number in range(2):
        there = place_database("sqlite", tmp_path / f"copy{number}-data")
        copy = make_copy(tmp_path / f"copy{number}", [main_binding(there)], port=broker.port)
        copies.append(stations.enter_context(copy))
        copy.start()
    for copy in copies:
        wait_until_same(here, copy.database(), CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, *copies, records=2)
    times = sorted(timestamp for timestamp in read_rows(here, "archive") if timestamp > old)
    assert {after - before for before, after in itertools.pairwise(times)} == {interval_s}
    # By itself WeeWX takes the delay and a LOOP packet; late is what comes when the next one is due.
    assert max(logged - stamped for logged, stamped in primary.read_additions()) < interval_s
    assert "locked" not in primary.log_text + "".join(copy.log_text for copy in copies)


def test_two_copies_catch_up_at_once(
    tmp_path: Path,
    broker: MosquittoBroker,
    mariadb: MariadbServer,
    years: Years,
    stations: ExitStack,
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data", like=years[MANY])
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, **brisk())
    copies = [
        make_copy(
            tmp_path / f"copy-{kind}",
            [main_binding(place_database(kind, tmp_path / f"copy-{kind}-data", mariadb))],
            port=broker.port,
            options=few_through_the_engine(kind),
        )
        for kind in ("sqlite", "mariadb")
    ]
    for station in (primary, *copies):
        stations.enter_context(station)
    start_pair(primary, *copies)
    for copy in copies:
        wait_until_same(here, copy.database(), CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, *copies)


@pytest.mark.parametrize(("primary_kind", "copy_kind"), KINDS, ids=lambda kind: str(kind))
def test_a_secondary_binding_comes_along_under_another_name(
    tmp_path: Path,
    broker: MosquittoBroker,
    mariadb: MariadbServer,
    years: Years,
    stations: ExitStack,
    primary_kind: str,
    copy_kind: str,
) -> None:
    def air(kind: str, name: str, like: SqliteDatabase | None = None) -> Binding:
        return Binding(name, place_database(kind, tmp_path / f"{name}-data", mariadb, like=like), schema=AIR)

    end = read_newest(years[FEW]) or 0
    write_year(tmp_path / "air.sdb", count=2_000, end_time=end, schema=AIR)
    here = place_database(primary_kind, tmp_path / "primary-data", mariadb, like=years[FEW])
    there = place_database(copy_kind, tmp_path / "copy-data", mariadb)
    air_here = air(primary_kind, "aq_binding", SqliteDatabase(tmp_path / "air.sdb"))
    air_there = air(copy_kind, "luft_binding")
    primary = make_primary(tmp_path / "primary", [main_binding(here), air_here], port=broker.port, **brisk())
    primary.add_service("data_services", "stands.air_sensor.AirSensor", {"AirSensor": {"data_binding": "aq_binding"}})
    copy = make_copy(
        tmp_path / "copy",
        [main_binding(there), air_there],
        port=broker.port,
        options=few_through_the_engine(copy_kind),
        follows={"luft_binding": "aq_binding"},
    )
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy, records=2)
    wait_until_same(air_here.database, air_there.database, LIVE_DEADLINE_S, explain=tails(primary, copy))
    assert read_newest(air_there.database) > end
    copies = {("home/aq_binding", "copy"), ("home/wx_binding", "copy")}
    make_link = watching_link(MqttSettings("watcher", port=broker.port), "test")
    with WatchedStatus(make_link, "replicate/status", ["home"]) as watched:
        assert wait_for(lambda: find_online(watched) >= copies, LIVE_DEADLINE_S)
        copy.stop()
        assert wait_for(lambda: not find_online(watched) & copies, LIVE_DEADLINE_S)
        assert len(watched.read_watched()) == 4


def find_online(watched: WatchedStatus) -> set[tuple[str, str]]:
    """(stream, client id) of what is told by somebody who is connected."""
    told = watched.read_watched()
    return {(each.snapshot.stream, each.client_id) for each in told if each.snapshot.state != "disconnected"}


def test_a_secondary_binding_without_a_database_does_not_hold_up_the_main_one(
    tmp_path: Path, broker: MosquittoBroker, years: Years, stations: ExitStack
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data", like=years[FEW])
    there = place_database("sqlite", tmp_path / "copy-data")
    air_here = Binding("aq_binding", SqliteDatabase(tmp_path / "air.sdb"), schema=AIR)
    air_there = Binding("aq_binding", SqliteDatabase(tmp_path / "nowhere" / "air.sdb"), schema=AIR)
    write_year(tmp_path / "air.sdb", count=2_000, end_time=read_newest(here) or 0, schema=AIR)
    primary = make_primary(tmp_path / "primary", [main_binding(here), air_here], port=broker.port, **brisk())
    copy = make_copy(
        tmp_path / "copy",
        [main_binding(there), air_there],
        port=broker.port,
        options={"startup_max_tries": "1", "startup_wait_before_retry": "8"},  # longer than from record to record
        initialize=False,
    )
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    wait_until_same(here, there, LIVE_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy)
    assert "nowhere/air.sdb" in copy.log_text


@pytest.mark.parametrize("copy_kind", ["sqlite", "mariadb"])
def test_a_primary_with_other_units_is_converted_as_weewx_converts(
    tmp_path: Path, broker: MosquittoBroker, mariadb: MariadbServer, stations: ExitStack, copy_kind: str
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data")
    there = place_database(copy_kind, tmp_path / "copy-data", mariadb)
    end = int(time.time()) - 2 * 86_400
    write_year(here.path, count=2_000, end_time=end, unit_system=weewx.METRICWX)
    primary = make_primary(
        tmp_path / "primary", [main_binding(here)], port=broker.port, target_unit="METRICWX", **brisk()
    )
    options = few_through_the_engine(copy_kind)
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port, options=options)
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    primary.wait_for(lambda: read_count(here, after=end) >= 2, LIVE_DEADLINE_S, what="live records")
    wait_for(
        lambda: read_newest(there) == read_newest(here),
        CATCH_UP_DEADLINE_S,
        what="the newest record",
        explain=tails(primary, copy),
    )
    primary.stop()
    wait_for(
        lambda: read_newest(there) == read_newest(here),
        LIVE_DEADLINE_S,
        what="the last record",
        explain=tails(primary, copy),
    )
    copy.stop()
    converted = {
        timestamp: weewx.units.to_std_system(row, weewx.US) for timestamp, row in read_rows(here, "archive").items()
    }
    assert find_row_differences(converted, read_rows(there, "archive")) == []
    assert_summaries_hold_their_records(there)


def test_a_copy_with_fewer_columns_leaves_the_others_out(
    tmp_path: Path, broker: MosquittoBroker, years: Years, stations: ExitStack
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data", like=years[FEW])
    there = place_database("sqlite", tmp_path / "copy-data")
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, **brisk())
    copy = make_copy(
        tmp_path / "copy",
        [main_binding(there, SMALL)],
        port=broker.port,
        options={"missing_columns": "ignore"},
    )
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    copy.wait_for(lambda: read_newest(there), LIVE_DEADLINE_S, what="the first record")
    columns = [*read_columns(there, "archive"), "wind"]
    assert "soilTemp1" not in columns
    old = read_newest(here) or 0
    primary.wait_for(lambda: (primary.newest() or 0) > old, LIVE_DEADLINE_S, what="a live record")
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, columns=columns, explain=tails(primary, copy))
    assert "soilTemp1" not in read_columns(there, "archive")


@pytest.mark.parametrize("copy_kind", ["sqlite", "mariadb"])
def test_a_copy_with_fewer_columns_gets_the_others_when_it_is_told_to(
    tmp_path: Path,
    broker: MosquittoBroker,
    mariadb: MariadbServer,
    years: Years,
    stations: ExitStack,
    copy_kind: str,
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data", like=years[FEW])
    there = place_database(copy_kind, tmp_path / "copy-data", mariadb)
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, **brisk())
    copy = make_copy(
        tmp_path / "copy",
        [main_binding(there, SMALL)],
        port=broker.port,
        options={"missing_columns": "add", **few_through_the_engine(copy_kind)},
    )
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy)
    assert read_tables(there) == read_tables(here)


def test_without_a_broker_the_primary_records_and_the_copy_waits(
    tmp_path: Path, broker: MosquittoBroker, years: Years, stations: ExitStack
) -> None:
    broker.stop()
    here = place_database("sqlite", tmp_path / "primary-data", like=years[FEW])
    there = place_database("sqlite", tmp_path / "copy-data")
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, **brisk())
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port)
    stations.enter_context(primary)
    stations.enter_context(copy)
    old = read_newest(here) or 0
    start_pair(primary, copy)
    primary.wait_for(lambda: read_count(here, after=old) >= 3, LIVE_DEADLINE_S, what="records without a broker")
    assert copy.running
    broker.start()
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy)


@pytest.mark.parametrize("at", [1_000, 25_000], ids=lambda at: f"after {at}")
@pytest.mark.parametrize(
    ("who", "how"),
    [
        ("copy", "kill"),
        ("copy", "stop"),
        ("primary", "kill"),
        ("primary", "stop"),
        ("broker", "kill"),
        ("broker", "stop"),
    ],
)
def test_a_restart_in_the_middle_of_a_catch_up_costs_nothing(
    tmp_path: Path,
    broker: MosquittoBroker,
    years: Years,
    stations: ExitStack,
    who: str,
    how: str,
    at: int,
) -> None:
    here = place_database("sqlite", tmp_path / "primary-data", like=years[MANY])
    there = place_database("sqlite", tmp_path / "copy-data")
    # Small pages, so that a catch-up has a middle.
    small = {"max_page_bytes": "40000"}
    primary = make_primary(tmp_path / "primary", [main_binding(here)], port=broker.port, options=small, **brisk())
    copy = make_copy(tmp_path / "copy", [main_binding(there)], port=broker.port)
    stations.enter_context(primary)
    stations.enter_context(copy)
    start_pair(primary, copy)
    explain = tails(primary, copy)
    wait_for(lambda: read_count(there) >= at, CATCH_UP_DEADLINE_S, what=f"{at} records at the copy", explain=explain)
    victim = {"copy": copy, "primary": primary, "broker": broker}[who]
    getattr(victim, how)()
    assert read_count(there) < MANY, "the catch-up was over before anything could happen to it"
    victim.start()
    wait_until_same(here, there, CATCH_UP_DEADLINE_S, explain=tails(primary, copy))
    wait_for_live(primary, copy)
    assert primary.running
    assert copy.running


def assert_summaries_hold_their_records(database: Database) -> None:
    """Summaries that a copy made itself have WeeWX's sums of its archive, and enclose the values."""
    made = {table: read_rows(database, table) for table in read_tables(database) if table != "archive"}
    options = database.weewx_options()
    with weewx.manager.DaySummaryManager.open(options) as manager:
        manager.drop_daily()
    schema = weewx.schemas.wview_extended.schema
    with weewx.manager.DaySummaryManager.open_with_create(options, schema=schema) as manager:
        manager.backfill_day_summary(progress_fn=None)
    for table, rows in made.items():
        expected = read_rows(database, table)
        sums = [name for name in expected[min(expected)] if name not in ("min", "mintime", "max", "maxtime", "max_dir")]
        assert find_row_differences(expected, rows, columns=sums) == [], table
        for day, row in expected.items():
            assert row["min"] is None or rows[day]["min"] <= row["min"] <= row["max"] <= rows[day]["max"], (table, day)
