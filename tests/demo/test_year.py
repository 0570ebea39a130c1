"""A made year is a WeeWX database to WeeWX, and looks like weather."""

import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import weewx.manager
import weewx.schemas.wview_extended
import weewx.schemas.wview_small

from samesky.demo.tables import columns_of
from samesky.demo.year import make_times, split_days, write_year

END = 1_795_000_000
SCHEMAS = {"wview_extended": weewx.schemas.wview_extended.schema, "wview_small": weewx.schemas.wview_small.schema}
AIR = (
    ("dateTime", "INTEGER NOT NULL PRIMARY KEY"),
    ("usUnits", "INTEGER NOT NULL"),
    ("interval", "INTEGER NOT NULL"),
    ("pm2_5", "REAL"),
    ("quality", "TEXT"),
    ("alarms", "INTEGER"),
)


@pytest.fixture
def time_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A place where days have 23, 24 or 25 hours."""
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def open_manager(path: Path, schema: Any = None) -> weewx.manager.DaySummaryManager:
    options = {"driver": "weedb.sqlite", "SQLITE_ROOT": str(path.parent), "database_name": path.name}
    return weewx.manager.DaySummaryManager.open_with_create(options, schema=schema)


def read_all(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


@pytest.mark.parametrize("schema", SCHEMAS)
def test_its_tables_are_those_that_weewx_makes(tmp_path: Path, schema: str) -> None:
    write_year(tmp_path / "ours.sdb", count=300, end_time=END, schema=schema)
    open_manager(tmp_path / "weewx.sdb", SCHEMAS[schema]).close()
    ours, theirs = (
        {
            name: read_all(path, f"PRAGMA table_info({name})")
            for (name,) in read_all(path, "SELECT name FROM sqlite_master")
        }
        for path in (tmp_path / "ours.sdb", tmp_path / "weewx.sdb")
    )
    assert ours == theirs


def test_weewx_opens_it_and_finds_nothing_to_backfill(tmp_path: Path) -> None:
    path = tmp_path / "year.sdb"
    write_year(path, count=2000, end_time=END)
    with open_manager(path) as manager:
        assert manager.version == "4.0"
        assert manager.std_unit_system == weewx.US
        assert manager.lastGoodStamp() == END // 300 * 300
        assert manager.backfill_day_summary(progress_fn=None) == (0, 0)


@pytest.mark.usefixtures("time_zone")
def test_its_summaries_have_weewx_sums_and_extremes_of_their_own(tmp_path: Path) -> None:
    """Sums and counts are what WeeWX makes of the records; highs, lows and times lie beyond, as LOOP's do."""
    path, again = tmp_path / "year.sdb", tmp_path / "again.sdb"
    write_year(path, count=4000, end_time=1_793_000_000)  # over the end of summer time
    again.write_bytes(path.read_bytes())
    with open_manager(again) as manager:
        manager.drop_daily()
        manager.close()
    with open_manager(again, SCHEMAS["wview_extended"]) as manager:
        manager.backfill_day_summary(progress_fn=None)
    different = 0
    for obs in ("outTemp", "windSpeed", "barometer", "wind"):
        names = "dateTime, count, sumtime, sum, wsum, min, max, mintime, maxtime"
        names += ", dirsumtime, xsum, ysum, squaresum, wsquaresum" if obs == "wind" else ""
        made, backfilled = (read_all(file, f"SELECT {names} FROM archive_day_{obs}") for file in (path, again))
        assert len(made) == len(backfilled) > 13
        for ours, theirs in zip(made, backfilled, strict=True):
            assert ours[:3] == theirs[:3]
            assert ours[3:5] == pytest.approx(theirs[3:5])
            assert ours[9:] == pytest.approx(theirs[9:])
            assert ours[5] <= theirs[5]
            assert ours[6] >= theirs[6]
            different += ours[5:9] != theirs[5:9]
    assert different > 40


@pytest.mark.usefixtures("time_zone")
def test_a_record_stamped_midnight_belongs_to_the_day_before() -> None:
    midnight = 1_761_519_600  # 2025-10-27 00:00 in Berlin, the end of a day of 25 hours
    days = dict(split_days([midnight - 25 * 3600, midnight - 25 * 3600 + 300, midnight, midnight + 300]))
    assert days == {
        midnight - 49 * 3600: [midnight - 25 * 3600],
        midnight - 25 * 3600: [midnight - 25 * 3600 + 300, midnight],
        midnight: [midnight + 300],
    }


def test_it_has_seasons_days_rain_gaps_and_nulls(tmp_path: Path) -> None:
    path = tmp_path / "year.sdb"
    write_year(path, count=9000, interval_s=3600, end_time=END, unit_system=weewx.METRICWX)
    month = "strftime('%m', dateTime, 'unixepoch')"
    means = dict(read_all(path, f"SELECT {month}, AVG(outTemp) FROM archive GROUP BY 1"))
    assert means["07"] > means["01"] + 12
    at_noon, at_midnight = (f"AVG(radiation) FILTER (WHERE dateTime % 86400 = {second})" for second in (43_200, 0))
    ((day, night),) = read_all(path, f"SELECT {at_noon}, {at_midnight} FROM archive")
    assert day > 200
    assert night == 0
    ((rain, nulls, calm),) = read_all(path, "SELECT SUM(rain), SUM(outTemp IS NULL), SUM(windDir IS NULL) FROM archive")
    assert 300 < rain < 2000
    assert calm > nulls > 0
    times = make_times(20_000, 300, end_time=END, seed=1)
    steps = {after - before for before, after in itertools.pairwise(times)}
    assert 300 in steps
    assert len(steps) > 1
    assert all(step % 300 == 0 for step in steps)


def test_a_schema_of_ones_own_is_filled(tmp_path: Path) -> None:
    write_year(tmp_path / "air.sdb", count=100, end_time=END, schema=AIR, table="air", summaries=False)
    assert read_all(tmp_path / "air.sdb", "SELECT name FROM sqlite_master") == [("air",)]
    counts = "COUNT(pm2_5), SUM(typeof(pm2_5) = 'real'), SUM(typeof(alarms) = 'integer'), COUNT(quality) > 0"
    assert read_all(tmp_path / "air.sdb", f"SELECT {counts} FROM air") == [(100, 100, 100, 1)]


def test_a_short_interval_is_kept_as_weewx_keeps_it(tmp_path: Path) -> None:
    write_year(tmp_path / "year.sdb", count=100, interval_s=10, end_time=END, schema="wview_small")
    assert read_all(tmp_path / "year.sdb", "SELECT DISTINCT interval FROM archive") == [(10 / 60,)]


def test_the_same_seed_makes_the_same_year(tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_year(tmp_path / name, count=600, end_time=END, seed=7)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_progress_ends_with_all_of_it_and_nothing_is_overwritten(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    write_year(
        tmp_path / "year.sdb", count=3000, end_time=END, progress=lambda done, count: calls.append((done, count))
    )
    assert calls[-1] == (3000, 3000)
    assert len(calls) > 1
    assert sorted(calls) == calls
    assert [file.name for file in tmp_path.iterdir()] == ["year.sdb"]
    with pytest.raises(FileExistsError):
        write_year(tmp_path / "year.sdb", count=1, end_time=END)


def test_an_unknown_schema_is_refused() -> None:
    with pytest.raises(ValueError, match="wview_extended, wview_small"):
        columns_of("wview")
