"""The trees of a stream look again at what they hold: the last days often, counts of all, old rows a few at a time."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from samesky.core.timetree import NODE
from samesky.demo.year import write_year
from samesky.station.archive import Archive, open_archive
from samesky.station.location import SqliteLocation
from samesky.station.stream_trees import MOST_SPANS, RECHECK_INTERVAL_S, StreamTrees
from samesky.station.tree_store import TreeStore

STREAM = "home/wx_binding"
END = 1_760_000_100
COUNT = 12_000
SPANS = COUNT * 300 >> NODE


@dataclass
class Bench:
    """Trees over a small archive, and a timer that moves when it is told to; work takes no time on it."""

    archive: Archive
    path: Path
    now: float = 0.0

    def __post_init__(self) -> None:
        columns = sorted(each.name for each in self.archive.read_columns())
        observations = sorted(self.archive.read_summary_kinds())
        self.trees = StreamTrees(
            TreeStore(None),
            STREAM,
            columns,
            observations,
            owner=True,
            timer=lambda: self.now,
            clock=lambda: END + self.now,
        )
        while not self.trees.refresh(self.archive, END):
            pass

    def pass_time(self, seconds: float) -> None:
        """Do all that is due in so many seconds."""
        end = self.now + seconds
        while (due := self.trees.next_time(END)) <= end:
            self.now = max(self.now, due)
            self.trees.work(self.archive, END)
        self.now = end

    def change(self, query: str, *values: object) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(query, values)

    def is_right(self) -> bool:
        fresh = Bench(self.archive, self.path)
        return self.trees.view("archive", END).root() == fresh.trees.view("archive", END).root()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    path = tmp_path / "weewx.sdb"
    write_year(
        path,
        count=COUNT,
        end_time=END,
        schema=(
            ("dateTime", "INTEGER PRIMARY KEY"),
            ("usUnits", "INTEGER"),
            ("interval", "INTEGER"),
            ("outTemp", "REAL"),
        ),
    )
    with closing(open_archive(SqliteLocation(path))) as archive:
        yield Bench(archive, path)


def test_an_edit_in_the_last_days_is_noticed_within_half_a_minute(bench: Bench) -> None:
    bench.change("UPDATE archive SET outTemp = 99 WHERE dateTime = ?", END // 300 * 300 - 86_400)
    bench.pass_time(RECHECK_INTERVAL_S + 1)
    assert (bench.trees.silent_changes, bench.is_right()) == (1, True)


def test_rows_that_were_deleted_or_inserted_anywhere_are_noticed_within_half_a_minute(bench: Bench) -> None:
    old = END // 300 * 300 - 300 * (COUNT - 400)
    bench.change("DELETE FROM archive WHERE dateTime > ? AND dateTime <= ?", old, old + 86_400)
    bench.change("INSERT INTO archive VALUES (?, 1, 5, 3.5)", old + 10 * 86_400 + 7)
    bench.pass_time(RECHECK_INTERVAL_S + 1)
    assert bench.trees.silent_changes > 20
    assert bench.is_right()


def test_an_edit_in_old_rows_is_noticed_when_its_turn_comes(bench: Bench) -> None:
    bench.change("UPDATE archive SET outTemp = 99 WHERE dateTime = ?", END // 300 * 300 - 300 * (COUNT - 400))
    bench.pass_time(RECHECK_INTERVAL_S * (SPANS // MOST_SPANS + 2))
    assert (bench.trees.silent_changes, bench.is_right()) == (1, True)


def test_looking_again_finds_nothing_where_nothing_has_changed(bench: Bench) -> None:
    bench.pass_time(RECHECK_INTERVAL_S * 5)
    assert (bench.trees.silent_changes, bench.trees.changes) == (0, 0)
