"""Columns without any value are neither read nor written, and yet nothing is altered."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from samesky.station.archive import Archive, open_archive
from samesky.station.location import SqliteLocation

NOW = 1_700_000_000
NAMES = ("dateTime", "usUnits", "interval", "outTemp", "hail", "note", "rain")
KEYS = "dateTime INTEGER NOT NULL PRIMARY KEY, usUnits INTEGER NOT NULL, interval INTEGER NOT NULL"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive table in which a column has a default value."""
    path = tmp_path / "copy.sdb"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE archive ({KEYS}, outTemp REAL, hail REAL DEFAULT 7, note TEXT, rain REAL)")
    with open_archive(SqliteLocation(path)) as archive:
        yield archive


def rows_of(count: int, **values: Any) -> list[tuple[Any, ...]]:
    """``count`` rows, a minute apart, with these values in every row and NULL elsewhere."""
    return [(NOW - 60 * (count - n), 1, 1, *(values.get(name) for name in NAMES[3:])) for n in range(count)]


@pytest.mark.parametrize("count", [1, 49, 50, 500])
def test_null_is_stored_where_the_column_has_a_default(archive: Archive, count: int) -> None:
    rows = rows_of(count, outTemp=20.5)
    assert archive.apply_rows(NAMES, rows, mark_update=False).stored == count
    assert [tuple(row) for row in archive.read_rows(NAMES, 0, 1000)] == rows


def test_a_value_in_one_row_of_many_is_stored(archive: Archive) -> None:
    rows = [*rows_of(299, outTemp=20.5), (NOW, 1, 1, None, None, "storm", None)]
    archive.apply_rows(NAMES, rows, mark_update=False)
    assert [tuple(row) for row in archive.read_rows(NAMES, 0, 1000)] == rows


def test_a_duplicate_that_lacks_what_is_stored_counts_as_a_conflict(archive: Archive) -> None:
    archive.apply_rows(NAMES, rows_of(100, outTemp=20.5, rain=1.0), mark_update=False)
    applied = archive.apply_rows(NAMES, rows_of(100, outTemp=20.5), mark_update=False)
    assert (applied.stored, applied.duplicates, applied.conflicts) == (0, 100, 100)


def test_a_page_has_every_column_with_nulls_where_there_is_nothing(archive: Archive) -> None:
    rows = [*rows_of(120, outTemp=20.5), (NOW, 1, 1, None, None, "storm", None)]
    archive.apply_rows(NAMES, rows, mark_update=False)
    span, (table,) = archive.read_page(0, 1000, now=NOW, summaries=False)
    assert [column.name for column in table.columns] == list(NAMES)
    assert list(table.rows()) == rows
    assert (span.count, span.first, span.last, span.newest) == (121, rows[0][0], NOW, NOW)


def test_a_page_without_records_has_every_column_all_the_same(archive: Archive) -> None:
    span, (table,) = archive.read_page(0, 1000, now=time.time(), summaries=False)
    assert [column.name for column in table.columns] == list(NAMES)
    assert (table.count, span.count, span.last) == (0, 0, 0)


def test_a_page_ends_where_it_was_told_and_before_the_future(archive: Archive) -> None:
    rows = rows_of(120, outTemp=20.5)
    archive.apply_rows(NAMES, [*rows, (NOW + 7200, 1, 1, 99.0, None, None, None)], mark_update=False)
    span, (table,) = archive.read_page(rows[9][0], 100, now=NOW, summaries=False)
    assert list(table.rows()) == rows[10:110]
    assert span.more
    span, (table,) = archive.read_page(span.last, 100, now=NOW, summaries=False)
    assert list(table.rows()) == rows[110:]
    assert not span.more
