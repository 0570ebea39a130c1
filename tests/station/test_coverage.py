"""How many records each local day has, and how many it should have."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from samesky.station.archive import Archive, open_archive
from samesky.station.coverage import CoverageReader
from samesky.station.location import SqliteLocation
from stands.small_archive import describe_columns

ZONE = ZoneInfo("Europe/Berlin")
NAMES = ("dateTime", "usUnits", "interval", "outTemp")
LATER = 4_000_000_000.0


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with closing(open_archive(SqliteLocation(tmp_path / "weewx.sdb"), create=True)) as made:
        made.ensure_tables(describe_columns())
        yield made


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=ZONE).timestamp())  # type: ignore[misc,arg-type]


def fill(archive: Archive, times: Iterable[int], minutes: int = 5) -> None:
    archive.apply_rows(NAMES, [(each, 1, minutes, 20.0) for each in times], mark_update=False)


def span(after: int, until: int, minutes: int = 5) -> range:
    return range(after + 60 * minutes, until + 1, 60 * minutes)


def test_a_day_without_gaps_is_complete_also_when_the_clocks_change(archive: Archive) -> None:
    fill(archive, span(at(2025, 3, 29), at(2025, 4, 1)))
    fill(archive, span(at(2025, 10, 25), at(2025, 10, 28)))
    reader = CoverageReader()
    assert reader.refresh(archive, LATER)
    days = {each.start: (each.count, each.fullness) for each in reader.days()}
    assert days[at(2025, 3, 30)] == (276, "complete")
    assert days[at(2025, 10, 26)] == (300, "complete")
    assert days[at(2025, 3, 31)] == (288, "complete")
    assert days[at(2025, 6, 1)] == (0, "missing")
    assert len(days) == 213  # every day between the first record and the newest
    assert reader.count == sum(count for count, _ in days.values())


def test_a_day_with_a_gap_is_partial_and_says_how_many_records_it_would_have(archive: Archive) -> None:
    fill(
        archive,
        (each for each in span(at(2025, 6, 1), at(2025, 6, 4)) if not at(2025, 6, 2, 10) < each <= at(2025, 6, 2, 12)),
    )
    reader = CoverageReader()
    reader.refresh(archive, LATER)
    first, second, third = reader.days()
    assert (second.count, second.expected, second.fullness) == (264, 288, "partial")
    assert first.fullness == third.fullness == "complete"


def test_the_first_and_the_newest_day_are_complete_as_far_as_they_go(archive: Archive) -> None:
    fill(archive, span(at(2025, 6, 1, 18), at(2025, 6, 3, 7)))
    reader = CoverageReader()
    reader.refresh(archive, LATER)
    assert [(each.count, each.expected, each.fullness) for each in reader.days()] == [
        (72, 72, "complete"),
        (288, 288, "complete"),
        (84, 84, "complete"),
    ]


def test_an_interval_that_changes_within_a_day_leaves_no_gap(archive: Archive) -> None:
    fill(archive, span(at(2025, 6, 1), at(2025, 6, 2, 12)))
    fill(archive, span(at(2025, 6, 2, 12), at(2025, 6, 4), 1), minutes=1)
    reader = CoverageReader()
    reader.refresh(archive, LATER)
    assert [(each.count, each.fullness) for each in reader.days()] == [
        (288, "complete"),
        (864, "complete"),
        (1440, "complete"),
    ]


def test_later_readings_count_only_what_has_changed(archive: Archive) -> None:
    fill(archive, span(at(2024, 1, 1), at(2025, 1, 1), 60), minutes=60)
    reader = CoverageReader()
    assert reader.refresh(archive, LATER)
    assert reader.reads == 12
    assert reader.refresh(archive, LATER)
    assert reader.reads == 12
    archive.apply_statement("DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", at(2024, 3, 5), at(2024, 3, 6))
    fill(archive, span(at(2025, 1, 1), at(2025, 1, 2), 60), minutes=60)
    assert reader.refresh(archive, LATER)
    assert reader.reads == 14
    days = {each.start: each.fullness for each in reader.days()}
    assert days[at(2024, 3, 5)] == "missing"
    assert days[at(2025, 1, 1)] == "complete"
    assert len(days) == 367


def test_the_newest_months_come_first_and_each_call_takes_its_time_only(archive: Archive) -> None:
    fill(archive, span(at(2024, 1, 1), at(2025, 1, 1), 60), minutes=60)
    ticks: Callable[[], float] = count().__next__
    reader = CoverageReader(timer=ticks)
    assert not reader.refresh(archive, LATER, budget_s=0.5)
    assert not reader.is_counted
    assert next(each.start for each in reader.days()) == at(2024, 11, 1)
    for _ in range(20):
        reader.refresh(archive, LATER, budget_s=0.5)
    assert reader.is_counted
    # From now on each month's turn comes round.
    archive.apply_statement("DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", at(2024, 2, 5), at(2024, 2, 6))
    for _ in range(12):
        reader.refresh(archive, LATER, budget_s=0.5)
    assert next(each for each in reader.days() if each.start == at(2024, 2, 5)).fullness == "missing"


def test_records_up_to_a_moment_are_counted_to_the_second(archive: Archive) -> None:
    fill(archive, span(at(2025, 6, 1), at(2025, 8, 1)))
    reader = CoverageReader()
    reader.refresh(archive, LATER)
    assert reader.count_through(archive, at(2025, 7, 1, 12)) == 30 * 288 + 144
    assert reader.count_through(archive, at(2025, 7, 1)) == 30 * 288


def test_an_archive_without_a_table_or_a_record_has_no_days(tmp_path: Path) -> None:
    with closing(open_archive(SqliteLocation(tmp_path / "weewx.sdb"), create=True)) as archive:
        reader = CoverageReader()
        assert reader.refresh(archive, LATER)
        assert (reader.days(), reader.count, reader.newest) == ([], 0, None)
        archive.ensure_tables(describe_columns())
        assert reader.refresh(archive, LATER)
        assert reader.days() == []


def test_records_from_the_future_are_left_out(archive: Archive) -> None:
    fill(archive, [*span(at(2025, 6, 1), at(2025, 6, 2)), at(2035, 1, 1)])
    reader = CoverageReader()
    reader.refresh(archive, float(at(2025, 6, 2)))
    assert len(reader.days()) == 1
