"""The rows of a time tree are hashed with all their values, however few columns are fetched."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from samesky.core.timetree import LEAF, RowHasher
from samesky.station.archive import Archive, open_archive
from samesky.station.location import MysqlLocation, SqliteLocation
from samesky.station.tree_source import RowSource
from stands.small_archive import describe_columns

if TYPE_CHECKING:
    pass

START = 400_000 << LEAF
NAMES = ("dateTime", "inTemp", "interval", "note", "outTemp", "usUnits")
ROWS = [
    (START + 300, None, 5, None, 1.5, 1),
    (START + 600, None, 5, None, None, 1),
    (START + 900, 20.5, 5, None, 2.5, 1),
    (START + 1200, None, 5, "cleaned", 2.5, 1),
    (START + 1500, None, 5, None, 2.5, 1),
]


@pytest.fixture
def archive(location: SqliteLocation | MysqlLocation) -> Iterator[Archive]:
    with open_archive(location, create=True) as opened:
        opened.ensure_tables(describe_columns(["outTemp", "inTemp"], ["note"]))
        opened.apply_rows(NAMES, ROWS, mark_update=False)
        yield opened


def test_a_value_in_a_column_that_had_none_before_is_hashed(archive: Archive) -> None:
    source, hash_row = RowSource(NAMES), RowHasher(NAMES).hash
    for row in (*ROWS, *ROWS):
        read = source.read_entries(archive, row[0] - 1, row[0], max_rows=10)
        assert read.entries == [(row[0], hash_row(row))]


def test_rows_of_which_one_has_a_value_more_are_all_hashed(archive: Archive) -> None:
    source, hash_row = RowSource(NAMES), RowHasher(NAMES).hash
    source.read_entries(archive, START, START + 300, max_rows=10)
    read = source.read_entries(archive, START, START + 1500, max_rows=10)
    assert read.entries == [(row[0], hash_row(row)) for row in ROWS]


def test_no_more_rows_are_read_than_asked_for(archive: Archive) -> None:
    source = RowSource(NAMES)
    for _ in range(2):
        read = source.read_entries(archive, START, START + 1500, max_rows=2)
        assert ([time for time, _ in read.entries], read.reached) == ([START + 300, START + 600], START + 600)
