"""What only WeeWX can do for a copy, compared with what WeeWX does by itself."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import weewx.manager

from samesky.demo.year import write_year
from samesky.errors import DataError
from samesky.station.archive import Archive, open_archive
from samesky.station.archive_repair import padded
from samesky.station.days import next_archive_day, start_of_archive_day
from samesky.station.location import SqliteLocation
from samesky.station.weewx_code import BindingCode

BINDING = "wx_binding"
COUNT = 1000


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    """As weewx.conf for a database of a few days, whose daily summaries WeeWX has just made of its records."""
    write_year(tmp_path / "weewx.sdb", count=COUNT, end_time=int(time.time()) - 3600)
    database = {"database_name": "weewx.sdb", "SQLITE_ROOT": str(tmp_path), "driver": "weedb.sqlite"}
    binding = {
        "database": "archive_sqlite",
        "table_name": "archive",
        "manager": "weewx.manager.DaySummaryManager",
        "schema": "schemas.wview_extended.schema",
    }
    config = {
        "WEEWX_ROOT": str(tmp_path),
        "DataBindings": {BINDING: binding},
        "Databases": {"archive_sqlite": database},
    }
    with weewx.manager.open_manager_with_config(config, BINDING) as manager:
        manager.drop_daily()
    with weewx.manager.open_manager_with_config(config, BINDING, initialize=True) as manager:
        assert manager.backfill_day_summary(progress_fn=None)[0] == COUNT
    return config


@pytest.fixture
def archive(config: dict[str, Any], tmp_path: Path) -> Iterator[Archive]:
    with open_archive(SqliteLocation(tmp_path / "weewx.sdb")) as archive:
        yield archive


def test_a_day_is_summarized_as_weewx_does_it(config: dict[str, Any], archive: Archive) -> None:
    code, kinds = BindingCode(config, BINDING), archive.read_summary_kinds()
    records = archive.read_records(0, COUNT)
    assert len(kinds) > 100
    day, days = start_of_archive_day(records[0]["dateTime"]), 0
    while day < records[-1]["dateTime"]:
        made = code.summarize_day(day, archive.read_records(day, COUNT, until=next_archive_day(day)))
        assert {padded(row) for row in made if row[0] in kinds} == set(archive.read_summaries(day, day).rows())
        day, days = next_archive_day(day), days + 1
    assert days > 3


def test_records_of_no_length_are_left_out_as_weewx_does_it(config: dict[str, Any], archive: Archive) -> None:
    record = archive.read_records(0, 1)[0]
    day = start_of_archive_day(record["dateTime"])
    assert BindingCode(config, BINDING).summarize_day(day, [record | {"interval": 0}]) == []


def test_records_that_do_not_fit_together_are_data_trouble(config: dict[str, Any], archive: Archive) -> None:
    first, second = archive.read_records(0, 2)
    day = start_of_archive_day(first["dateTime"])
    with pytest.raises(DataError, match="can't be summarised"):
        BindingCode(config, BINDING).summarize_day(day, [first, second | {"usUnits": 17}])
