"""One suite for every archive: SQLite, and MariaDB on a server of its own."""

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from samesky.core.columns import Column, Kind
from samesky.errors import DataError, Unreachable
from samesky.station.archive import Archive, open_archive
from samesky.station.archive_reader import origin_id
from samesky.station.location import MysqlLocation, SqliteLocation
from samesky.station.schema import METADATA_VERSION
from stands.small_archive import describe_columns

if TYPE_CHECKING:
    pass

START = 1_700_000_100
NOW = float(START + 100_000)
NAMES = ("dateTime", "usUnits", "interval", "outTemp", "windSpeed", "note")
DESCRIPTION = describe_columns(
    ["outTemp", "windSpeed"], ["note"], summaries=[("outTemp", "scalar"), ("wind", "vector")]
)
DAY = START // 86_400 * 86_400
LOW = ("outTemp", DAY, 1.5, 2, 3.5, 4, 5.5, 6, 7.5, 8, None, None, None, None, None, None)
GUST = ("wind", DAY, 1.5, 2, 3.5, 4, 5.5, 6, 7.5, 8, 270.0, 1.0, 2.0, 3, 4.0, 5.0)


def rows(count: int, *, first: int = 0) -> list[tuple[Any, ...]]:
    return [(START + 300 * n, 1, 5, n / 7, None, "Föhn" if n % 2 else None) for n in range(first, first + count)]


@pytest.fixture
def empty(location: SqliteLocation | MysqlLocation) -> Iterator[Archive]:
    with open_archive(location, create=True) as archive:
        yield archive


@pytest.fixture
def archive(empty: Archive) -> Archive:
    empty.ensure_tables(DESCRIPTION)
    return empty


def store(archive: Archive, some: list[tuple[Any, ...]], **more: Any) -> Any:
    return archive.apply_rows(NAMES, some, mark_update=True, **more)


def test_an_empty_database_has_no_columns_until_tables_are_made(empty: Archive) -> None:
    assert empty.read_columns() == ()
    assert empty.ensure_tables(DESCRIPTION)
    assert empty.read_columns() == DESCRIPTION.columns
    assert empty.read_summary_kinds() == dict(DESCRIPTION.summaries)
    assert not empty.ensure_tables(DESCRIPTION)


def test_what_is_empty_is_described_as_empty(archive: Archive) -> None:
    described = archive.read_description(("a",), now=NOW)
    assert (described.count, described.first, described.last, described.origin) == (0, None, None, "")
    assert described.unit_system is None
    assert archive.read_position(NOW) == 0


def test_rows_come_back_as_they_were_stored(archive: Archive) -> None:
    applied = store(archive, rows(10))
    assert (applied.stored, applied.duplicates, applied.refused) == (10, 0, 0)
    stored = archive.read_records(0, 100)
    assert [tuple(record.values()) for record in stored] == rows(10)
    assert archive.read_records(START, 2, until=START + 300) == stored[1:2]
    assert archive.read_record(START + 600) == stored[2]
    assert archive.read_record(START + 601) is None


def test_doubles_are_exact_to_the_last_bit(archive: Archive) -> None:
    values = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 1e22, 123456789.123456789]
    store(archive, [(START + n, 1, 5, value, None, None) for n, value in enumerate(values)])
    assert [record["outTemp"] for record in archive.read_records(0, 100)] == values


def test_what_is_stored_already_is_counted_and_kept(archive: Archive) -> None:
    store(archive, rows(10))
    again = [*rows(9), (START + 2700, 1, 5, 99.0, None, None), *rows(2, first=10)]
    applied = store(archive, again)
    assert (applied.stored, applied.duplicates, applied.conflicts) == (2, 10, 1)
    assert archive.read_record(START + 2700)["outTemp"] == 9 / 7  # type: ignore[index]


def test_a_row_that_the_database_refuses_is_left_out_and_its_neighbours_are_stored(archive: Archive) -> None:
    bad = (START + 600, None, 5, 1.0, None, None)
    applied = store(archive, [*rows(2), bad, *rows(2, first=3)])
    assert (applied.stored, applied.duplicates, applied.refused) == (4, 0, 1)
    assert [record["dateTime"] for record in archive.read_records(0, 9)] == [
        START,
        START + 300,
        START + 900,
        START + 1200,
    ]


def test_an_infinite_value_is_stored_exactly_or_refused(archive: Archive) -> None:
    applied = store(archive, [*rows(1), (START + 300, 1, 5, math.inf, None, None), *rows(1, first=2)])
    stored = archive.read_record(START + 300)
    assert applied.stored + applied.refused == 3
    assert stored is None if applied.refused else stored["outTemp"] == math.inf  # type: ignore[index]


def test_a_transaction_that_fails_in_its_second_half_leaves_nothing(archive: Archive) -> None:
    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store(archive, rows(5), then=fail)
    assert archive.read_records(0, 9) == []
    store(archive, rows(5))
    assert archive.read_position(NOW) == START + 1200


def test_the_mark_moves_forward_and_never_back(archive: Archive) -> None:
    for some, mark in ((rows(5, first=5), START + 2700), (rows(5), START + 2700), (rows(1, first=10), START + 3000)):
        store(archive, some)
        assert archive.read_metadata() == {"Version": METADATA_VERSION, "lastUpdate": str(mark)}


def test_the_position_is_the_newest_record_that_is_not_from_the_future(archive: Archive) -> None:
    store(archive, [*rows(3), (int(NOW) + 3601, 1, 5, 1.0, None, None)])
    assert archive.read_position(NOW) == START + 600
    assert archive.read_position(NOW + 1) == int(NOW) + 3601
    assert archive.read_previous(START + 600) == START + 300
    assert archive.read_previous(START) == 0


def test_the_nearest_record_is_found_within_delta(archive: Archive) -> None:
    store(archive, rows(3))
    assert archive.read_nearest(START + 340, delta_s=60)["dateTime"] == START + 300  # type: ignore[index]
    assert archive.read_nearest(START + 240, delta_s=60)["dateTime"] == START + 300  # type: ignore[index]
    assert archive.read_nearest(START + 450, delta_s=60) is None


def test_pages_follow_one_another_without_hole_or_overlap(archive: Archive) -> None:
    store(archive, rows(25))
    after, seen = 0, []
    while True:
        span, tables = archive.read_page(after, 10, now=NOW, summaries=True)
        seen += list(tables[0].column("dateTime"))
        assert (span.count, span.newest) == (tables[0].count, START + 300 * 24)
        if not span.more:
            break
        after = span.last
    assert seen == [row[0] for row in rows(25)]


def test_a_page_leaves_the_future_to_itself(archive: Archive) -> None:
    store(archive, [*rows(2), (int(NOW) + 3601, 1, 5, 1.0, None, None)])
    span, tables = archive.read_page(0, 10, now=NOW, summaries=False)
    assert (span.count, span.newest, span.more) == (2, START + 300, False)
    assert [table.name for table in tables] == ["archive"]


def test_summary_rows_are_put_in_place_of_those_stored(archive: Archive) -> None:
    assert archive.write_summaries([LOW, GUST, ("unknown", *LOW[1:])]) == 2
    changed = (*LOW[:2], 0.5, *LOW[3:])
    assert archive.write_summaries([changed]) == 1
    assert sorted(archive.read_summaries(0, DAY).rows(), key=str) == [changed, GUST]
    assert archive.read_summaries(DAY + 1, DAY + 2).count == 0


def test_summaries_come_with_the_page_that_completes_their_day(archive: Archive) -> None:
    some = [(START + 3600 * n, 1, 60, float(n), None, None) for n in range(60)]
    store(archive, some)
    for number in range(4):
        archive.write_summaries([(LOW[0], DAY + 86_400 * number, *LOW[2:])])
    after, days = 0, []
    while True:
        span, (_, summary) = archive.read_page(after, 7, now=START + 60 * 3600, summaries=True)
        days.append(len(list(summary.rows())))
        after = span.last
        if not span.more:
            break
    assert sum(days) >= 3
    assert days[-1] >= 1, "the current day comes with the page that reaches the newest record"


def test_a_record_is_made_equal_in_the_columns_named(archive: Archive) -> None:
    store(archive, rows(2))
    wanted = {"dateTime": START, "usUnits": 1, "interval": 5, "outTemp": 7.5, "note": "x"}
    assert archive.ensure_record(wanted, ["dateTime", "usUnits", "interval", "outTemp"])
    assert not archive.ensure_record(wanted, ["dateTime", "usUnits", "interval", "outTemp"])
    assert archive.read_record(START)["outTemp"] == 7.5  # type: ignore[index]
    assert archive.read_record(START)["note"] is None  # type: ignore[index]


def test_missing_columns_are_added_with_their_summaries(archive: Archive) -> None:
    store(archive, rows(2))
    archive.ensure_columns([Column("hail", Kind.REAL), Column("note", Kind.TEXT)], {"hail": "scalar"})
    assert archive.read_columns()[-1] == Column("hail", Kind.REAL)
    assert archive.read_summary_kinds()["hail"] == "scalar"
    assert archive.read_records(0, 1)[0]["hail"] is None


def test_the_origin_is_the_first_record_and_the_same_wherever_it_is_stored(archive: Archive, tmp_path: Path) -> None:
    store(archive, rows(3))
    origin = archive.read_origin(NOW)
    assert origin == origin_id([dict(zip(NAMES, rows(1)[0], strict=True))])
    store(archive, [(START - 300, 1, 5, 1.0, None, None)])
    assert archive.read_origin(NOW) != origin


def test_counting_goes_on_from_where_it_was(archive: Archive) -> None:
    for count in (3, 3, 8):
        store(archive, rows(count))
        described = archive.read_description((), now=NOW)
        assert (described.count, described.first, described.last) == (count, START, START + 300 * (count - 1))
    assert described.interval_s == 300


def test_the_change_mark_moves_when_somebody_else_writes(
    archive: Archive, location: SqliteLocation | MysqlLocation
) -> None:
    mark = archive.read_change_mark()
    assert archive.read_change_mark() == mark
    with open_archive(location) as other:
        store(other, rows(1))
    assert archive.read_change_mark() != mark


def test_a_column_that_has_gone_is_trouble_that_may_pass_and_leaves_nothing_open(
    archive: Archive, location: SqliteLocation | MysqlLocation
) -> None:
    with pytest.raises(Unreachable, match="nosuch"):
        archive.apply_rows(["dateTime", "nosuch"], [(START, 1), (START + 1, 2)], mark_update=False)
    with open_archive(location) as other:
        store(other, rows(3))
    assert archive.read_position(NOW) == START + 600


def test_what_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.sdb"):
        open_archive(SqliteLocation(tmp_path / "nowhere.sdb"))
    assert not (tmp_path / "nowhere.sdb").exists()
    with pytest.raises(Unreachable):
        open_archive(MysqlLocation("x", host="127.0.0.1", port=1))


def test_a_locked_database_is_unreachable_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samesky.station.archive_sqlite.BUSY_TIMEOUT_S", 0.05)
    location = SqliteLocation(tmp_path / "weewx.sdb")
    with open_archive(location, create=True) as archive:
        archive.ensure_tables(DESCRIPTION)
        holder = sqlite3.connect(location.path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unreachable, match="locked") as trouble:
            store(archive, rows(1))
        assert trouble.value.transient
        holder.close()
        store(archive, rows(1))


def test_a_file_that_is_no_database_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "weewx.sdb").write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(DataError), open_archive(SqliteLocation(tmp_path / "weewx.sdb")) as archive:
        archive.read_columns()
