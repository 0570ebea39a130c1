"""Triggers note every change but an append, whoever makes it, in SQLite and in MariaDB."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from samesky.core.timetree import LEAF
from samesky.station.archive import Archive, open_archive
from samesky.station.dirty_triggers import clear_dirty, drop_triggers, ensure_triggers, read_dirty
from samesky.station.location import MysqlLocation, SqliteLocation
from stands.small_archive import describe_columns

if TYPE_CHECKING:
    pass

HOUR = 1 << LEAF
START = 400_000 * HOUR
NAMES = ("dateTime", "usUnits", "interval", "outTemp")
DESCRIPTION = describe_columns()


@pytest.fixture
def archive(location: SqliteLocation | MysqlLocation) -> Iterator[Archive]:
    with open_archive(location, create=True) as opened:
        opened.ensure_tables(DESCRIPTION)
        store(opened, *range(10))
        assert ensure_triggers(opened)
        yield opened


def store(archive: Archive, *leaves: float) -> None:
    """A record at the beginning of each of these leaves, or as far into it as the fraction says."""
    archive.apply_rows(NAMES, [(int(START + HOUR * leaf), 1, 5, 1.5) for leaf in leaves], mark_update=False)


def change(archive: Archive, statement: str, *leaves: float) -> None:
    archive.apply_statement(
        statement.format(*(int(START + HOUR * leaf) for leaf in leaves)),
    )


def noted(archive: Archive) -> list[int]:
    return [each.leaf - START // HOUR for each in read_dirty(archive)]


def test_records_that_are_appended_note_nothing(archive: Archive) -> None:
    store(archive, 10, 11, 12)
    store(archive, 13)
    assert noted(archive) == []


def test_a_record_that_comes_late_is_noted(archive: Archive) -> None:
    store(archive, 3.5)
    assert noted(archive) == [3]


def test_an_edit_notes_where_the_row_was_and_where_it_is(archive: Archive) -> None:
    change(archive, "UPDATE archive SET outTemp = 9 WHERE dateTime = {}", 9)
    change(archive, "UPDATE archive SET dateTime = {1} WHERE dateTime = {0}", 2, 4.5)
    assert noted(archive) == [9, 2, 4]


def test_a_deletion_is_noted_row_by_row(archive: Archive) -> None:
    change(archive, "DELETE FROM archive WHERE dateTime >= {} AND dateTime < {}", 2, 4)
    assert noted(archive) == [2, 3]
    change(archive, "DELETE FROM archive")
    assert sorted(noted(archive)) == list(range(10))


def test_a_row_put_in_anothers_place_is_noted_even_the_newest(archive: Archive) -> None:
    change(archive, "REPLACE INTO archive (dateTime, usUnits, `interval`) VALUES ({}, 1, 5)", 9)
    change(archive, "REPLACE INTO archive (dateTime, usUnits, `interval`) VALUES ({}, 1, 5)", 4)
    assert noted(archive) == [9, 4]


def test_what_is_put_back_after_the_newest_were_deleted_is_noted(archive: Archive) -> None:
    change(archive, "DELETE FROM archive WHERE dateTime >= {}", 7)
    store(archive, 7.5, 8.5, 9.5, 10)
    assert sorted(noted(archive)) == [7, 8, 9]


def test_what_changes_again_after_it_was_read_is_not_cleared(archive: Archive) -> None:
    store(archive, 3.5, 5.5)
    seen = read_dirty(archive)
    store(archive, 3.6)
    clear_dirty(archive, seen)
    assert noted(archive) == [3]
    clear_dirty(archive, read_dirty(archive))
    store(archive, 3.7)
    assert read_dirty(archive)[0].number > seen[-1].number, "numbers never come twice"


def test_a_statement_that_passes_over_conflicts_notes_them_all_the_same(archive: Archive) -> None:
    store(archive, 3.5)
    (before,) = read_dirty(archive)
    ignore = "INSERT OR IGNORE" if archive.dialect == "sqlite" else "INSERT IGNORE"
    change(archive, ignore + " INTO archive (dateTime, usUnits, `interval`) VALUES ({}, 1, 5)", 3.6)
    (after,) = read_dirty(archive)
    assert (after.leaf, after.number > before.number) == (before.leaf, True)


def test_they_are_made_once_and_go_without_a_trace(archive: Archive) -> None:
    tables = archive.read_tables()
    assert not ensure_triggers(archive)
    drop_triggers(archive)
    drop_triggers(archive)
    store(archive, 3.5)
    assert list(read_dirty(archive)) == []
    assert tables - archive.read_tables() == {"samesky_dirty_archive"}
    assert ensure_triggers(archive), "changes went unnoted meanwhile"


def test_changes_made_by_another_program_are_noted(tmp_path: Path) -> None:
    with open_archive(SqliteLocation(tmp_path / "weewx.sdb"), create=True) as archive:
        archive.ensure_tables(DESCRIPTION)
        store(archive, *range(10))
        ensure_triggers(archive)
        program = "import sqlite3, sys; sqlite3.connect(sys.argv[1], isolation_level=None).execute(sys.argv[2])"
        for statement in (
            f"UPDATE archive SET outTemp = 3 WHERE dateTime = {START + 2 * HOUR}",
            f"DELETE FROM archive WHERE dateTime = {START + 5 * HOUR}",
        ):
            subprocess.run([sys.executable, "-c", program, str(tmp_path / "weewx.sdb"), statement], check=True)
        assert noted(archive) == [2, 5]
