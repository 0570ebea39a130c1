"""A comparison finds every difference, names where it is, and takes equal numbers for equal."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from samesky.demo.year import write_year
from samesky.station import comparison
from samesky.station.archive import Archive, open_archive
from samesky.station.comparison import TableComparison, compare_records, compare_summaries
from samesky.station.location import MysqlLocation, SqliteLocation
from stands.databases import MariaDatabase, SqliteDatabase
from stands.mariadb import MariadbServer

COUNT = 3_000
END = 1_795_000_200
SMALL = "wview_small"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("made") / "made.sdb"
    write_year(path, count=COUNT, end_time=END, schema=SMALL)
    return path


@pytest.fixture
def paths(tmp_path: Path, made: Path) -> tuple[Path, Path]:
    """Two databases that are the same."""
    left, right = tmp_path / "left.sdb", tmp_path / "right.sdb"
    for path in (left, right):
        path.write_bytes(made.read_bytes())
    return left, right


def open_both(paths: tuple[Path, Path]) -> tuple[Archive, Archive]:
    return open_archive(SqliteLocation(paths[0])), open_archive(SqliteLocation(paths[1]))


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement, values).rowcount != 0, statement


def times_of(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT dateTime FROM archive ORDER BY dateTime")]


def compare_archives(left: Archive, right: Archive, *, until: int | None = None) -> list[TableComparison]:
    return [compare_records(left, right, until=until), *compare_summaries(left, right, until=until)]


def compare(paths: tuple[Path, Path], *, until: int | None = None) -> list[TableComparison]:
    left, right = open_both(paths)
    with left, right:
        return compare_archives(left, right, until=until)


def different(found: list[TableComparison]) -> list[str]:
    return [each.table for each in found if not each.is_same]


def test_two_that_are_the_same_are_the_same_in_every_table(paths: tuple[Path, Path]) -> None:
    found = compare(paths)
    with closing(sqlite3.connect(paths[0])) as connection:
        counts = {
            name: connection.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        }
    assert different(found) == []
    assert {each.table: each.left_count for each in found} == counts
    assert {each.table: each.same for each in found} == counts


@pytest.mark.parametrize("at", [0, 1, 999, 1000, 1001, 1999, COUNT - 1])
def test_one_missing_row_is_found_wherever_it_is(paths: tuple[Path, Path], at: int) -> None:
    time = times_of(paths[0])[at]
    change(paths[1], "DELETE FROM archive WHERE dateTime = ?", time)
    (archive, *_) = compare(paths)
    assert (archive.only_left, archive.only_left_examples) == (1, (time,))
    assert (archive.same, archive.different, archive.only_right) == (COUNT - 1, 0, 0)
    (mirrored, *_) = compare((paths[1], paths[0]))
    assert (mirrored.only_right, mirrored.only_right_examples) == (1, (time,))


@pytest.mark.parametrize("at", [0, 1, 999, 1000, 1001, 1999, COUNT - 1])
def test_one_changed_value_is_found_wherever_it_is(paths: tuple[Path, Path], at: int) -> None:
    time = times_of(paths[0])[at]
    change(paths[1], "UPDATE archive SET barometer = 29.5 WHERE dateTime = ?", time)
    (archive, *_) = compare(paths)
    assert (archive.different, archive.different_examples) == (1, (time,))
    assert (archive.same, archive.only_left, archive.only_right) == (COUNT - 1, 0, 0)


def test_the_last_bit_of_a_double_counts_and_the_kind_of_number_does_not(paths: tuple[Path, Path]) -> None:
    first, second, third, *_ = times_of(paths[0])
    for path, value in zip(paths, (0.1 + 0.2, 0.3), strict=True):
        change(path, "UPDATE archive SET outTemp = ? WHERE dateTime = ?", value, first)
    for path, number in zip(paths, (5, 5.0), strict=True):
        change(path, "UPDATE archive SET interval = ? WHERE dateTime = ?", number, second)
    for path, text in zip(paths, (None, 0), strict=True):
        change(path, "UPDATE archive SET windGust = ? WHERE dateTime = ?", text, third)
    (archive, *rest) = compare(paths)
    assert (archive.different, archive.different_examples) == (2, (first, third))
    assert different(rest) == []


def test_many_holes_on_both_sides_are_counted_and_the_first_few_named(paths: tuple[Path, Path]) -> None:
    times = times_of(paths[0])
    here, there = times[100:2500:7], times[1200:]
    for path, gone in zip(paths, (there, here), strict=True):
        change(path, f"DELETE FROM archive WHERE dateTime IN ({', '.join(map(str, gone))})")
    (archive, *_) = compare(paths)
    only_left, only_right = sorted(set(here) - set(there)), sorted(set(there) - set(here))
    assert (archive.only_left, archive.only_right) == (len(only_left), len(only_right))
    assert archive.only_left_examples == tuple(only_left[:5])
    assert archive.only_right_examples == tuple(only_right[:5])
    assert archive.same == COUNT - len(set(here) | set(there))


def test_what_is_later_than_until_is_left_out(paths: tuple[Path, Path]) -> None:
    times = times_of(paths[0])
    change(paths[1], "DELETE FROM archive WHERE dateTime > ?", times[2000])
    (archive, *_) = compare(paths, until=times[2000])
    assert archive.is_same
    assert archive.left_count == 2001
    assert not compare(paths)[0].is_same


def test_a_later_span_adds_to_an_earlier_one(paths: tuple[Path, Path]) -> None:
    times = times_of(paths[0])
    change(paths[1], "DELETE FROM archive WHERE dateTime IN (?, ?)", times[10], times[2900])
    left, right = open_both(paths)
    with left, right:
        whole = compare_records(left, right)
        parts = compare_records(left, right, until=times[1500]) + compare_records(left, right, after=times[1500])
    assert parts == whole
    assert whole.only_left_examples == (times[10], times[2900])


def test_a_changed_high_in_a_summary_is_found_in_its_table(paths: tuple[Path, Path]) -> None:
    change(
        paths[1],
        "UPDATE archive_day_outTemp SET max = max + 1 WHERE dateTime = (SELECT MAX(dateTime) FROM archive_day_outTemp)",
    )
    change(paths[1], "UPDATE archive_day__metadata SET value = '1' WHERE name = 'lastUpdate'")
    assert different(compare(paths)) == ["archive_day_outTemp", "archive_day__metadata"]


def test_columns_and_tables_that_one_side_lacks_are_named(paths: tuple[Path, Path]) -> None:
    change(paths[1], "ALTER TABLE archive DROP COLUMN UV")
    change(paths[1], "DROP TABLE archive_day_UV")
    found = {each.table: each for each in compare(paths)}
    archive, summary = found["archive"], found["archive_day_UV"]
    assert archive.only_left_columns == ("UV",)
    assert archive.rows_are_same
    assert not archive.is_same
    assert summary.missing == ("right",)
    assert summary.only_left == summary.left_count > 0
    assert archive.describe("primary", "copy") == "archive: columns only at the primary: UV"
    assert summary.describe("primary", "copy").startswith("archive_day_UV: no such table at the copy; ")
    assert different(list(found.values())) == ["archive", "archive_day_UV"]


def test_tables_of_different_names_are_compared(paths: tuple[Path, Path]) -> None:
    change(paths[1], "ALTER TABLE archive RENAME TO weather")
    with closing(sqlite3.connect(paths[1])) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'archive_day%'")
        ]
        for name in names:
            connection.execute(f"ALTER TABLE {name} RENAME TO {name.replace('archive', 'weather')}")
    with open_archive(SqliteLocation(paths[0])) as left, open_archive(SqliteLocation(paths[1], "weather")) as right:
        assert different(compare_archives(left, right)) == []


def test_memory_is_bounded_by_the_chunk(paths: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "CHUNK_ROWS", 7)
    seen: list[int] = []
    left, right = open_both(paths)
    with left, right:
        assert compare_records(left, right, progress=seen.append).is_same
    assert seen[:2] == [7, 14]
    assert seen[-1] == COUNT


@pytest.mark.slow
def test_sqlite_and_mariadb_are_compared(made: Path, mariadb: MariadbServer) -> None:
    database: MariaDatabase = mariadb.create_database()
    mariadb.load_sqlite(SqliteDatabase(made), database)
    there = MysqlLocation(database.name, database.host, database.port, database.user, database.password)
    with open_archive(SqliteLocation(made)) as left, open_archive(there) as right:
        assert different(compare_archives(left, right)) == []
        assert different(compare_summaries(right, left)) == []
    changed = times_of(made)[1234]
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE archive SET barometer = barometer + 0.001 WHERE dateTime = %s", (changed,))
    with open_archive(SqliteLocation(made)) as left, open_archive(there) as right:
        (archive, *rest) = compare_archives(left, right)
    assert archive.different_examples == (changed,)
    assert different(rest) == []


@pytest.mark.slow
def test_a_year_is_compared_in_seconds(tmp_path: Path) -> None:
    write_year(tmp_path / "left.sdb", end_time=END)
    (tmp_path / "right.sdb").write_bytes((tmp_path / "left.sdb").read_bytes())
    started = time.thread_time()  # its own time, not what it waited for a processor
    assert different(compare((tmp_path / "left.sdb", tmp_path / "right.sdb"))) == []
    assert time.thread_time() - started < 8
