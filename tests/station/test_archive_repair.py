"""What repairs write: rows in place of others, rows that go, days of summaries; SQLite, and MariaDB on a server."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from samesky.errors import Unreachable
from samesky.station.archive import Archive, open_archive
from samesky.station.archive_repair import (
    delete_rows,
    padded,
    raise_last_update,
    read_rows_at,
    read_summary_rows,
    replace_rows,
    replace_summary_days,
    summaries_are_complete,
)
from samesky.station.location import MysqlLocation, SqliteLocation
from stands.small_archive import describe_columns

if TYPE_CHECKING:
    pass

START = 1_700_000_100
DAY = START // 86_400 * 86_400
NAMES = ("dateTime", "usUnits", "interval", "outTemp", "note")
DESCRIPTION = describe_columns(texts=["note"], summaries=[("outTemp", "scalar"), ("wind", "vector")])


def row(number: int, temperature: float | None = 1.5, note: str | None = "Föhn") -> tuple[Any, ...]:
    return (START + 300 * number, 1, 5, temperature, note)


def summary(obs: str, day: int, low: float) -> tuple[Any, ...]:
    scalar = (obs, day, low, day + 5, 9.5, day + 9, 1.0, 2, 3.0, 4)
    return padded((*scalar, 270.0, 1.0, 2.0, 3, 4.0, 5.0) if obs == "wind" else scalar)  # type: ignore[return-value]


@pytest.fixture
def archive(location: SqliteLocation | MysqlLocation) -> Iterator[Archive]:
    """Ten records of one day, and the summaries of three days."""
    with open_archive(location, create=True) as archive:
        archive.ensure_tables(DESCRIPTION)
        archive.apply_rows(NAMES, [row(number) for number in range(10)], mark_update=True)
        days = [DAY - 86_400, DAY, DAY + 86_400]
        archive.write_summaries([summary(obs, day, 1.0) for obs in ("outTemp", "wind") for day in days])
        yield archive


def stored(archive: Archive) -> list[tuple[Any, ...]]:
    return [tuple(each) for each in archive.read_rows(NAMES, 0, 1000)]


def last_update(archive: Archive) -> str | None:
    return archive.read_metadata().get("lastUpdate")


def change_and_fail(archive: Archive) -> None:
    with archive.writing():
        replace_rows(archive, NAMES, [row(1, 7.5), row(30)])
        delete_rows(archive, [row(9)[0]])
        replace_summary_days(archive, [DAY], [], observations=["wind"])
        raise ZeroDivisionError


def test_rows_are_put_in_and_over_others(archive: Archive) -> None:
    changed = [row(3, -7.25, None), row(4, None, "'; DROP TABLE"), row(20)]
    assert replace_rows(archive, NAMES, changed) == []
    assert stored(archive) == [*(row(n) for n in range(3)), *changed[:2], *(row(n) for n in range(5, 10)), changed[2]]
    assert replace_rows(archive, NAMES, []) == []


def test_columns_that_are_not_named_keep_their_values(archive: Archive) -> None:
    names = ("outTemp", "dateTime", "usUnits", "interval")
    assert replace_rows(archive, names, [(8.5, START, 1, 5), (9.5, START + 7, 1, 5)]) == []
    assert stored(archive)[:2] == [row(0, 8.5), (START + 7, 1, 5, 9.5, None)]


def test_a_row_that_the_database_refuses_is_told_and_its_neighbours_are_stored(archive: Archive) -> None:
    bad = (START + 300, None, 5, 1.0, None)
    assert replace_rows(archive, NAMES, [row(0, 2.5), bad, row(2, 2.5)]) == [START + 300]
    assert stored(archive)[:3] == [row(0, 2.5), row(1), row(2, 2.5)]


def test_rows_in_place_of_others_are_exact_to_the_last_bit(archive: Archive) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, 1e22]
    replace_rows(archive, NAMES, [row(number, value) for number, value in enumerate(values)])
    assert [each[3] for each in stored(archive)[:5]] == values


def test_an_infinity_is_put_over_another_value_or_refused(archive: Archive) -> None:
    refused = replace_rows(archive, NAMES, [row(0, math.inf)])
    assert stored(archive)[0] == row(0, 1.5 if refused else math.inf)


def test_rows_are_found_by_their_times_however_many_these_are(archive: Archive) -> None:
    times = range(START, START + 3001)
    assert read_rows_at(archive, ("note", "dateTime"), times) == {row(n)[0]: ("Föhn", row(n)[0]) for n in range(10)}
    assert read_rows_at(archive, NAMES, []) == {}


def test_an_older_row_leaves_the_last_update_alone(archive: Archive) -> None:
    assert last_update(archive) == str(row(9)[0])
    replace_rows(archive, NAMES, [row(1, 7.5), (START + 7, 1, 5, 1.0, None)])
    assert delete_rows(archive, [row(2)[0], START + 1]) == 1
    assert last_update(archive) == str(row(9)[0])


def test_when_the_newest_row_goes_the_last_update_is_the_newest_that_is_left(archive: Archive) -> None:
    assert delete_rows(archive, [row(9)[0], row(8)[0], row(1)[0]]) == 3
    assert last_update(archive) == str(row(7)[0])
    assert summaries_are_complete(archive)
    assert delete_rows(archive, range(START, START + 3000)) == 7
    assert (stored(archive), last_update(archive)) == ([], None)


def test_a_last_update_that_lags_is_left_to_weewx(archive: Archive) -> None:
    archive.apply_rows(NAMES, [row(number) for number in range(10, 13)], mark_update=False)
    assert not summaries_are_complete(archive)
    delete_rows(archive, [row(12)[0]])
    assert last_update(archive) == str(row(9)[0])
    raise_last_update(archive)
    assert last_update(archive) == str(row(11)[0])


def test_whole_days_of_summaries_are_replaced_and_others_left(archive: Archive) -> None:
    new = [summary("outTemp", DAY, -3.0), summary("wind", DAY + 86_400, -4.0)]
    assert replace_summary_days(archive, [DAY, DAY + 86_400], new, observations=["outTemp", "wind"]) == 2
    everything = read_summary_rows(archive, [DAY - 86_400, DAY, DAY + 86_400], ["outTemp", "wind"])
    assert sorted(everything) == sorted(
        [summary("outTemp", DAY - 86_400, 1.0), summary("wind", DAY - 86_400, 1.0), *new]
    )


def test_summaries_of_other_observations_stay(archive: Archive) -> None:
    replace_summary_days(archive, [DAY], [], observations=["outTemp"])
    assert read_summary_rows(archive, [DAY], ["wind", "outTemp"]) == [summary("wind", DAY, 1.0)]


def test_what_fails_half_way_changes_nothing(archive: Archive) -> None:
    before, days = stored(archive), read_summary_rows(archive, [DAY], ["outTemp", "wind"])
    with pytest.raises(ZeroDivisionError):
        change_and_fail(archive)
    with pytest.raises(Unreachable, match="nosuch"):
        replace_rows(archive, [*NAMES, "nosuch"], [(*row(1, 7.5), 1)])
    assert stored(archive) == before
    assert read_summary_rows(archive, [DAY], ["outTemp", "wind"]) == days
    assert last_update(archive) == str(row(9)[0])
