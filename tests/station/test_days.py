"""Days of an archive, in zones that change their clocks."""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from samesky.station.days import days_agree, next_archive_day, read_day_offsets, start_of_archive_day

SetZone = Callable[[str], ZoneInfo]


@pytest.fixture
def set_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[SetZone]:
    def set_to(name: str) -> ZoneInfo:
        monkeypatch.setenv("TZ", name)
        time.tzset()
        return ZoneInfo(name)

    yield set_to
    monkeypatch.undo()
    time.tzset()


def at(zone: ZoneInfo, *when: int) -> int:
    return int(datetime(*when, tzinfo=zone).timestamp())  # type: ignore[misc,arg-type]


def test_midnight_belongs_to_the_day_that_it_ends(set_zone: SetZone) -> None:
    zone = set_zone("Europe/Berlin")
    assert start_of_archive_day(at(zone, 2025, 6, 2)) == at(zone, 2025, 6, 1)
    assert start_of_archive_day(at(zone, 2025, 6, 2) + 1) == at(zone, 2025, 6, 2)


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 30, 23), (10, 26, 25), (6, 1, 24)])
def test_days_last_as_long_as_the_zone_says(set_zone: SetZone, month: int, day: int, hours: int) -> None:
    zone = set_zone("Europe/Berlin")
    start = at(zone, 2025, month, day)
    assert next_archive_day(start) - start == hours * 3600
    for moment in (start + 1, start + 2 * 3600, start + 3 * 3600, start + hours * 3600):
        assert start_of_archive_day(moment) == start


@pytest.mark.parametrize("name", ["America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"])
def test_each_day_follows_the_one_before_in_every_zone(set_zone: SetZone, name: str) -> None:
    zone = set_zone(name)
    day, end = start_of_archive_day(at(zone, 2024, 1, 2)), at(zone, 2025, 12, 31)
    while day < end:
        following = next_archive_day(day)
        assert 22 * 3600 < following - day < 26 * 3600
        assert start_of_archive_day(following) == day
        assert start_of_archive_day(day + 1) == day
        day = following


def test_zones_of_other_names_with_the_same_midnights_agree(set_zone: SetZone) -> None:
    zone = set_zone("Europe/Berlin")
    span = at(zone, 2024, 1, 1), at(zone, 2025, 12, 31)
    here = read_day_offsets(*span)
    assert len(here) == 5
    set_zone("Europe/Paris")
    assert days_agree(here, read_day_offsets(*span))
    for other in ("Europe/London", "UTC", "Africa/Lagos"):
        set_zone(other)
        assert not days_agree(here, read_day_offsets(*span))


def test_a_winter_is_the_same_in_zones_that_differ_in_summer(set_zone: SetZone) -> None:
    zone = set_zone("Europe/Berlin")
    span = at(zone, 2024, 11, 1), at(zone, 2025, 2, 1)
    here = read_day_offsets(*span)
    set_zone("Africa/Lagos")
    assert days_agree(here, read_day_offsets(*span))


def test_forty_years_take_milliseconds(set_zone: SetZone) -> None:
    zone = set_zone("Europe/Berlin")
    begin = time.perf_counter()
    assert len(read_day_offsets(at(zone, 1985, 1, 1), at(zone, 2025, 1, 1))) == 81
    assert time.perf_counter() - begin < 2
