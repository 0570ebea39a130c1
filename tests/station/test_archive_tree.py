"""The tree of a table is the tree of its rows: built in slices, kept up, saved, and read again."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samesky.core.timetree import LEAF, MODULUS, NODE, MemoryTree, RowHasher, Sum, View, add_up
from samesky.demo.year import write_year
from samesky.station.archive import Archive, open_archive
from samesky.station.archive_tree import ArchiveTree
from samesky.station.dirty_triggers import ensure_triggers, read_dirty
from samesky.station.location import MysqlLocation, SqliteLocation
from samesky.station.schema import summary_parts
from samesky.station.tree_store import FILE_NAME, TreeStore
from stands.databases import SqliteDatabase
from stands.small_archive import describe_columns

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from stands.mariadb import MariadbServer

STREAM = "home/wx_binding"
END = 1_700_000_100
FOREVER = 1 << 34
NAMES = ("dateTime", "interval", "note", "outTemp", "usUnits")
DESCRIPTION = describe_columns(texts=["note"])


@dataclass
class Clock:
    """The time of day and the timer, both as told."""

    now: float = float(END)
    tick: float = 0.0

    def time(self) -> float:
        return self.now

    def timer(self) -> float:
        return self.tick


@dataclass
class Bench:
    """A small database in a folder, its store, and the tree of it."""

    folder: Path
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.archive = open_archive(SqliteLocation(self.folder / "weewx.sdb"), create=True)
        self.archive.ensure_tables(DESCRIPTION)
        self.store = TreeStore(self.folder)
        self.tree = self.open_tree()

    def open_tree(self, *, owner: bool = True) -> ArchiveTree:
        tree = ArchiveTree(
            self.store, STREAM, "archive", NAMES, owner=owner, clock=self.clock.time, timer=self.clock.timer
        )
        tree.attach(self.archive)
        return tree

    def restart(self) -> None:
        """As after a kill: what wasn't saved is gone."""
        self.store.close()
        self.store = TreeStore(self.folder)
        self.tree = self.open_tree()

    def close(self) -> None:
        self.store.close()
        self.archive.close()

    def put(self, *times: int, temp: Any = 1.5, note: str | None = None) -> None:
        """Write rows behind the tree's back."""
        rows = [(time, 5, note, temp, 1) for time in times]
        for row in rows:
            self.archive.apply_statement(
                "REPLACE INTO archive (dateTime, interval, note, outTemp, usUnits) VALUES (?, ?, ?, ?, ?)", *row
            )

    def delete(self, first: int, last: int) -> None:
        self.archive.apply_statement("DELETE FROM archive WHERE dateTime BETWEEN ? AND ?", first, last)

    def refresh(self, **more: int) -> None:
        refresh(self.tree, FOREVER, **more)

    def is_right(self, tree: ArchiveTree | None = None) -> bool:
        return same(tree or self.tree, MemoryTree(entries_of(self.archive, "archive", NAMES)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with closing(Bench(tmp_path)) as made:
        yield made


def refresh(tree: ArchiveTree, until: int, **more: int) -> int:
    """Refresh to the end; how many slices that took."""
    slices = 1
    while not tree.refresh(until, **more):
        slices += 1
        assert slices < 100_000
    return slices


def reread(tree: ArchiveTree, **more: int) -> int:
    slices = 1
    while not tree.reread(**more):
        slices += 1
        assert slices < 100_000
    return slices


def entries_of(archive: Archive, table: str, names: tuple[str, ...], prefix: str = "") -> list[tuple[int, int]]:
    """All rows of a table, hashed column by column as `RowHasher` says."""
    hasher = RowHasher([prefix + name for name in names])
    rows = archive.read_query(f"SELECT {', '.join(f'`{name}`' for name in names)} FROM `{table}`")
    at = names.index("dateTime")
    return [(row[at], hasher.hash(row)) for row in rows]


def day_entries(archive: Archive) -> list[tuple[int, int]]:
    """All days of the daily summaries."""
    days: dict[int, int] = {}
    for obs, kind in archive.read_summary_kinds().items():
        parts = tuple(sorted(summary_parts(kind)))
        for day, each in entries_of(archive, f"archive_day_{obs}", parts, f"{obs}."):
            days[day] = (days.get(day, 0) + each) % MODULUS
    return list(days.items())


def same(tree: ArchiveTree, expected: MemoryTree) -> bool:
    nodes = expected.nodes()
    assert dict(tree.nodes()) == nodes
    for node in nodes:
        assert dict(tree.leaves(node)) == expected.leaves(node)
    for leaf in tree.leaves(max(nodes, default=0)):
        assert list(tree.entries(leaf)) == list(expected.entries(leaf))
    return True


# ---------------------------------------------------------------------- real databases


@pytest.fixture(scope="module")
def year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("year") / "weewx.sdb"
    write_year(path, count=20_000, end_time=END)
    return path


def test_a_whole_database_is_built_in_slices_and_saved(year: Path, tmp_path: Path) -> None:
    with open_archive(SqliteLocation(year)) as archive, closing(TreeStore(tmp_path)) as store:
        names = tuple(sorted(column.name for column in archive.read_columns()))
        expected = MemoryTree(entries_of(archive, "archive", names))
        tree = ArchiveTree(store, STREAM, "archive", names, owner=True)
        tree.attach(archive)
        assert refresh(tree, END, max_rows=1000) == 20
        assert same(tree, expected)
        assert tree.position == END // 300 * 300
        for moment in (END - 1, END - 12_345, END - 1_000_000, 5):
            assert View(tree, moment).root() == View(expected, moment).root()
        tree.save()
        again = ArchiveTree(store, STREAM, "archive", names, owner=True)
        again.attach(archive)
        assert refresh(again, END) == 1
        assert same(again, expected)


def test_the_days_of_the_summaries_have_a_tree_of_their_own(year: Path, tmp_path: Path) -> None:
    with open_archive(SqliteLocation(year)) as archive, closing(TreeStore(tmp_path)) as store:
        observations = sorted(archive.read_summary_kinds())
        tree = ArchiveTree(store, STREAM, "summary", observations, owner=True)
        tree.attach(archive)
        days = sorted(day_entries(archive))
        last = days[-2][0]
        refresh(tree, last)
        assert same(tree, MemoryTree(days[:-1]))
        refresh(tree, FOREVER)
        assert same(tree, MemoryTree(days))
        tree.require_fresh(int(time.time()) + 10)
        reread(tree)
        assert (tree.silent_changes, same(tree, MemoryTree(days))) == (0, True)


def test_a_summary_row_that_changed_is_found_by_its_day(year: Path, tmp_path: Path) -> None:
    path = tmp_path / "weewx.sdb"
    path.write_bytes(year.read_bytes())
    with open_archive(SqliteLocation(path)) as archive, closing(TreeStore(tmp_path)) as store:
        tree = ArchiveTree(store, STREAM, "summary", sorted(archive.read_summary_kinds()), owner=True)
        tree.attach(archive)
        refresh(tree, FOREVER)
        day = sorted(day_entries(archive))[30][0]
        archive.apply_statement("UPDATE archive_day_outTemp SET max = max + 1 WHERE dateTime = ?", day)
        before = tree.nodes()[day >> NODE]
        tree.mark_dirty([day])
        refresh(tree, FOREVER)
        assert tree.nodes()[day >> NODE] != before
        assert same(tree, MemoryTree(day_entries(archive)))


@pytest.mark.slow
def test_the_same_rows_have_the_same_root_in_sqlite_and_mariadb(
    year: Path, tmp_path: Path, mariadb: "MariadbServer"
) -> None:
    target = mariadb.create_database()
    mariadb.load_sqlite(SqliteDatabase(year), target)
    locations = (
        SqliteLocation(year),
        MysqlLocation(target.name, host=target.host, port=target.port, user=target.user, password=target.password),
    )
    roots = []
    for location in locations:
        with open_archive(location) as archive, closing(TreeStore(None)) as store:
            columns = sorted(column.name for column in archive.read_columns())
            rows = ArchiveTree(store, STREAM, "archive", columns, owner=True)
            days = ArchiveTree(store, STREAM, "summary", sorted(archive.read_summary_kinds()), owner=True)
            for tree in (rows, days):
                tree.attach(archive)
                refresh(tree, END)
            roots.append((add_up(rows.nodes().values()), add_up(days.nodes().values())))
    assert roots[0] == roots[1]
    assert roots[0][0].count == 20_000


@pytest.mark.slow
def test_what_is_awkward_to_store_has_the_same_hash_in_sqlite_and_mariadb(
    tmp_path: Path, mariadb: "MariadbServer"
) -> None:
    target = mariadb.create_database()
    locations = (
        SqliteLocation(tmp_path / "weewx.sdb"),
        MysqlLocation(target.name, host=target.host, port=target.port, user=target.user, password=target.password),
    )
    temps = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, 0.0, 0, 7, -7.25, None]
    rows = [
        (END + n, 5, note, temp, 1) for n, (temp, note) in enumerate(zip(temps, ["Föhn", "", None] * 4, strict=False))
    ]
    found = []
    for location in locations:
        with open_archive(location, create=True) as archive, closing(TreeStore(None)) as store:
            archive.ensure_tables(DESCRIPTION)
            archive.apply_rows(NAMES, rows, mark_update=False)
            tree = ArchiveTree(store, STREAM, "archive", NAMES, owner=True)
            tree.attach(archive)
            refresh(tree, FOREVER)
            found.append([*tree.entries(END >> LEAF), *tree.entries((END >> LEAF) + 1)])
    assert found[0] == found[1]
    assert len(found[0]) == len(rows)


# ---------------------------------------------------------------------- what changes


def test_records_are_added_as_they_come_and_those_after_until_are_left(bench: Bench) -> None:
    bench.put(END, END + 300)
    assert bench.tree.refresh(END)
    assert (bench.tree.position, add_up(bench.tree.nodes().values()).count) == (END, 1)
    assert bench.tree.refresh(END + 10_000)
    assert (bench.tree.position, bench.is_right()) == (END + 300, True)


def test_an_old_row_counts_when_its_leaf_is_marked(bench: Bench) -> None:
    bench.put(END, END + 300_000)
    bench.refresh()
    bench.put(END + 100_000)
    bench.put(END, temp=9)
    bench.refresh()
    assert add_up(bench.tree.nodes().values()).count == 2
    bench.tree.mark_dirty([END + 100_000, END])
    bench.refresh()
    assert (bench.is_right(), bench.tree.silent_changes) == (True, 0)


def test_a_row_before_all_others_is_kept_and_what_lies_between_is_read_in_time(bench: Bench) -> None:
    bench.put(END)
    bench.refresh()
    bench.put(END - 900_000)
    bench.tree.mark_dirty([END - 900_000])
    bench.refresh()
    bench.tree.save()
    bench.restart()
    assert bench.is_right()
    bench.put(END - 450_000)
    bench.tree.require_fresh(1)
    reread(bench.tree)
    assert (bench.is_right(), bench.tree.oldest_read()) == (True, END)


def test_a_mark_of_another_process_reaches_every_scope(bench: Bench, tmp_path: Path) -> None:
    narrow = ArchiveTree(bench.store, STREAM, "archive", ["dateTime"], owner=True)
    narrow.attach(bench.archive)
    bench.put(END, END + 300)
    for tree in (bench.tree, narrow):
        refresh(tree, FOREVER)
    bench.put(END + 7)
    with closing(TreeStore(tmp_path)) as other:
        other.mark(STREAM, "archive", [END + 7])
    bench.refresh()
    bench.tree.save()
    refresh(narrow, FOREVER)
    assert add_up(narrow.nodes().values()).count == add_up(bench.tree.nodes().values()).count == 3


def test_a_table_whose_end_is_gone_is_noticed_without_a_mark(bench: Bench) -> None:
    bench.put(*range(END, END + 600_000, 3000))
    bench.refresh()
    bench.delete(END + 100_000, FOREVER)
    bench.refresh()
    assert (bench.is_right(), bench.tree.silent_changes) == (True, 1)
    assert bench.tree.position < END + 100_000
    bench.delete(0, FOREVER)
    bench.refresh()
    assert (dict(bench.tree.nodes()), bench.tree.position) == ({}, 0)


def test_what_came_after_the_end_was_gone_is_read_as_new(bench: Bench) -> None:
    bench.put(END, END + 10_000, END + 90_000)
    bench.refresh()
    bench.delete(END + 90_000, END + 90_000)
    bench.put(END + 20_000, END + 50_000)
    bench.refresh()
    assert (bench.is_right(), bench.tree.position) == (True, END + 50_000)


def test_a_table_that_is_gone_has_an_empty_tree(bench: Bench) -> None:
    bench.put(END)
    bench.refresh()
    bench.archive.apply_statement("DROP TABLE archive")
    bench.archive.forget_schema()
    bench.refresh()
    assert dict(bench.tree.nodes()) == {}
    bench.archive.ensure_tables(DESCRIPTION)
    bench.put(END + 300)
    bench.refresh()
    assert bench.is_right()


def test_every_scope_reads_what_came_back_after_the_end_was_gone(bench: Bench) -> None:
    narrow = ArchiveTree(bench.store, STREAM, "archive", ["dateTime"], owner=True)
    narrow.attach(bench.archive)
    bench.put(END, END + 90_000)
    for tree in (bench.tree, narrow):
        refresh(tree, FOREVER)
    bench.delete(END + 90_000, END + 90_000)
    bench.refresh()
    bench.put(END + 45_000, END + 90_000)
    for tree in (bench.tree, narrow):
        refresh(tree, FOREVER)
        assert add_up(tree.nodes().values()).count == 3


def test_a_column_without_a_value_changes_nothing_and_one_with_values_does(bench: Bench) -> None:
    bench.put(END)
    bench.refresh()
    wide = ArchiveTree(bench.store, STREAM, "archive", ["dateTime", "hail", *NAMES[1:]], owner=True)
    wide.attach(bench.archive)
    refresh(wide, FOREVER)
    assert wide.nodes() == bench.tree.nodes()
    bench.archive.apply_statement("ALTER TABLE archive ADD COLUMN hail REAL")
    bench.archive.apply_statement("UPDATE archive SET hail = 2")
    wide.mark_dirty([END])
    refresh(wide, FOREVER)
    assert wide.nodes() != bench.tree.nodes()


def test_triggers_tell_the_tree_of_changes_by_hand(bench: Bench) -> None:
    bench.put(*range(END, END + 300_000, 3000))
    bench.refresh()
    ensure_triggers(bench.archive)
    bench.put(END + 1)
    bench.delete(END + 30_000, END + 60_000)
    bench.archive.apply_statement("UPDATE archive SET outTemp = 4 WHERE dateTime = ?", END + 90_000)
    bench.refresh()
    assert (bench.is_right(), bench.tree.silent_changes) == (True, 0)
    assert list(read_dirty(bench.archive)) == []


# ---------------------------------------------------------------------- reading again


def test_whoever_is_not_the_owner_heeds_what_triggers_noted_and_leaves_it_to_the_owner(bench: Bench) -> None:
    bench.put(*range(END - 300_000, END, 3000))
    ensure_triggers(bench.archive)
    bench.refresh()
    bench.tree.save()
    bench.archive.apply_statement("UPDATE archive SET outTemp = outTemp + 1")
    other = bench.open_tree(owner=False)
    bench.archive.read_query("PRAGMA query_only = ON")
    refresh(other, FOREVER, max_rows=10)
    bench.archive.read_query("PRAGMA query_only = OFF")
    assert bench.is_right(other)
    assert len(read_dirty(bench.archive)) > 10
    bench.refresh()
    assert bench.is_right()
    assert not read_dirty(bench.archive)


def test_everything_is_read_again_when_sums_must_be_fresh(bench: Bench) -> None:
    bench.put(*range(END, END + 2_000_000, 4000))
    bench.refresh(max_rows=50)
    assert bench.tree.oldest_read() == END
    bench.put(END - 900_000)  # before the first
    bench.put(END + 1_000_001)  # in a leaf, or none
    bench.put(END + 400_000, temp=3)
    bench.delete(END + 800_000, END + 900_000)
    bench.clock.now += 100
    assert bench.tree.oldest_read() < END + 50
    bench.tree.require_fresh(END + 50)
    assert bench.tree.oldest_read() == 0
    assert reread(bench.tree, max_rows=50) > 5
    assert bench.tree.oldest_read() == END + 100
    assert bench.is_right()
    assert bench.tree.silent_changes >= 4
    bench.tree.require_fresh(END + 50)
    assert reread(bench.tree) == 1


def test_rows_by_the_second_are_read_again_in_slices(bench: Bench) -> None:
    rows = [(END + n, 5, None, n / 7, 1) for n in range(10_000)]
    bench.archive.apply_rows(NAMES, rows, mark_update=False)
    bench.refresh(max_rows=900)
    bench.put(END + 1, END + 5000, END + 9999, temp=3)
    bench.clock.now += 100
    bench.tree.require_fresh(END + 50)
    slices = reread(bench.tree, max_rows=900)
    assert 2 < slices < 12
    assert (bench.is_right(), bench.tree.oldest_read()) == (True, END + 100)


def test_the_last_days_are_read_again_and_nothing_older(bench: Bench) -> None:
    bench.put(*range(END, END + 2_000_000, 4000))
    bench.refresh()
    bench.put(END + 10_000, END + 1_990_001, temp=3)
    bench.tree.recheck_recent(2 * 86_400)
    reread(bench.tree)
    assert bench.tree.silent_changes == 1
    assert not bench.tree.leaves((END + 10_000) >> NODE).get((END + 10_000) >> LEAF, Sum()).count > 1


def test_a_scrub_a_day_reads_everything_once_a_month_after_restarts_too(bench: Bench) -> None:
    bench.put(*range(END, END + 20_000_000, 40_000))
    bench.refresh()
    bench.put(END + 15_000_001, END + 70_001, END - 500_000)
    spans = len({*range((END - 500_000) >> NODE, ((END + 20_000_000) >> NODE) + 1)})
    for day in range(31):
        bench.clock.now += 86_400
        bench.tree.scrub(-(-spans // 30))
        reread(bench.tree)
        bench.tree.save()
        if day % 7 == 0:
            bench.restart()
    assert bench.is_right()
    assert bench.tree.oldest_read() > END
    before = bench.clock.now
    bench.clock.now += 1
    bench.tree.scrub(-(-spans // 30))
    reread(bench.tree)
    fresh = [node for node, read_at in bench.tree._read_at.items() if read_at > before]
    assert len(fresh) == -(-spans // 30)


def test_a_change_that_was_marked_is_not_silent(bench: Bench) -> None:
    bench.put(END, END + 300)
    bench.refresh()
    bench.put(END + 7)
    bench.tree.mark_dirty([END + 7])
    bench.tree.recheck_recent(86_400)
    reread(bench.tree)
    assert bench.tree.silent_changes == 0
    bench.refresh()
    assert bench.is_right()


# ---------------------------------------------------------------------- saving


def test_live_records_are_saved_every_few_seconds_and_a_crash_costs_no_more(bench: Bench) -> None:
    bench.put(END)
    bench.refresh()
    bench.tree.save()
    bench.put(END + 300)
    bench.refresh()
    assert bench.store.load(STREAM, "archive", ",".join(NAMES)).position == END
    bench.clock.tick += 6
    bench.put(END + 600)
    bench.refresh()
    assert bench.store.load(STREAM, "archive", ",".join(NAMES)).position == END + 600
    bench.put(END + 900)
    bench.refresh()
    bench.restart()
    assert bench.tree.position == END + 600
    bench.refresh()
    assert bench.is_right()


def test_a_mark_outlives_a_crash_before_its_leaf_is_saved(bench: Bench) -> None:
    bench.put(END, END + 300)
    bench.refresh()
    bench.tree.save()
    bench.put(END + 7)
    bench.tree.mark_dirty([END + 7])
    bench.refresh()
    bench.restart()
    bench.refresh()
    assert bench.is_right()


def test_two_owners_of_one_tree_are_both_right(bench: Bench) -> None:
    other = bench.open_tree()
    for moment in range(END, END + 6000, 300):
        bench.put(moment)
        bench.clock.tick += 3
        for tree in (bench.tree, other):
            refresh(tree, FOREVER)
            assert bench.is_right(tree)


def test_an_owner_overtaken_while_it_saves_does_not_call_the_others_sums_complete(bench: Bench) -> None:
    class Overtaken(TreeStore):
        def save(self, *args: Any) -> bool:
            other.save()
            return super().save(*args)

    other = bench.open_tree()
    bench.put(END)
    refresh(other, FOREVER)
    with closing(Overtaken(bench.folder)) as store:
        tree = ArchiveTree(store, STREAM, "archive", NAMES, owner=True, clock=bench.clock.time, timer=bench.clock.timer)
        tree.attach(bench.archive)
        bench.put(END + 300)
        bench.clock.tick += 6
        assert not tree.refresh(FOREVER)
        assert tree.position == END
        assert tree.refresh(FOREVER)
        assert bench.is_right(tree)


def test_whoever_is_not_the_owner_starts_from_what_was_saved_and_saves_nothing(bench: Bench) -> None:
    bench.put(*range(END, END + 300_000, 300))
    bench.refresh()
    bench.tree.save()
    guest = bench.open_tree(owner=False)
    assert guest.position == bench.tree.position
    bench.put(END + 7, END + 300_000)
    guest.mark_dirty([END + 7])
    refresh(guest, FOREVER)
    guest.save()
    assert bench.is_right(guest)
    assert bench.store.load(STREAM, "archive", ",".join(NAMES)).position < END + 300_000
    bench.refresh()
    assert bench.is_right()


def test_sums_that_cannot_be_saved_are_kept_and_saved_later(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.store._connection.execute("PRAGMA max_page_count = 12")
    rows = [(END + 3000 * n, 5, None, n / 7, 1) for n in range(3000)]
    bench.archive.apply_rows(NAMES, rows, mark_update=False)
    bench.refresh(max_rows=200)
    assert "sums_not_saved" in caplog.text
    assert bench.is_right()
    bench.store._connection.execute("PRAGMA max_page_count = 100000")
    bench.clock.tick += 6
    bench.refresh()
    bench.restart()
    assert bench.tree.position == rows[-1][0]
    assert bench.is_right()


def test_a_store_that_was_damaged_costs_a_rebuild(bench: Bench) -> None:
    bench.put(*range(END, END + 300_000, 300))
    bench.refresh()
    bench.tree.save()
    bench.store.close()
    (bench.folder / FILE_NAME).write_bytes(b"\xff" * 10_000)
    bench.restart()
    assert bench.tree.position == 0
    bench.refresh()
    assert bench.is_right()


# ---------------------------------------------------------------------- any history

moments = st.integers(0, 60).map(lambda n: END + n * 7919)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 40_000)),
        st.tuples(st.just("write"), moments),
        st.tuples(st.just("delete"), moments),
        st.tuples(st.just("cut"), moments),
        st.tuples(st.just("slice"), st.integers(1, 5)),
        st.tuples(st.just("scrub"), st.integers(1, 5)),
        st.tuples(st.sampled_from(["save", "crash", "guest"]), st.just(0)),
    ),
    max_size=30,
)


def play(bench: Bench, step: str, value: int, number: int, *, marked: bool) -> None:
    """One step of a history; what changes rows marks them before and after, or leaves it to triggers."""
    newest = bench.archive.read_position(FOREVER)
    match step:
        case "append":
            bench.put(max(newest, END) + value, temp=number)
        case "write" | "delete" | "cut":
            last = newest if step == "cut" else value
            touched = range(value, last + 1, 1 << LEAF) if step == "cut" else [value]
            if marked:
                bench.store.mark(STREAM, "archive", [*touched, last])
            if number % 3 == 0:
                bench.tree.refresh(FOREVER)
            if step == "write":
                bench.put(value, temp=number, note="x" * (number % 2) or None)
            else:
                bench.delete(value, last)
            if marked:
                bench.store.mark(STREAM, "archive", [*touched, last])
        case "slice":
            bench.tree.refresh(FOREVER, max_rows=value)
        case "scrub":
            bench.tree.scrub(value)
            bench.tree.reread(max_rows=value)
        case "save":
            bench.tree.save()
        case "crash":
            bench.restart()
        case "guest":
            guest = bench.open_tree(owner=False)
            refresh(guest, FOREVER)
            assert bench.is_right(guest)
    bench.clock.tick += number % 4


@given(steps, st.booleans())
def test_after_any_history_the_tree_is_the_tree_of_the_rows(history: list[tuple[str, int]], marked: bool) -> None:
    with TemporaryDirectory() as folder, closing(Bench(Path(folder))) as bench:
        if not marked:
            ensure_triggers(bench.archive)
        for number, (step, value) in enumerate(history):
            play(bench, step, value, number, marked=marked)
        bench.refresh(max_rows=3)
        assert bench.is_right()
        bench.restart()
        bench.refresh(max_rows=3)
        assert bench.is_right()


@example(
    [
        ("append", 1),
        ("write", 1_700_142_642),
        *([("append", 1)] * 7),
        ("write", 1_700_015_938),
        ("scrub", 2),
        ("write", 1_700_008_019),
    ]
)
@given(steps)
def test_after_any_history_without_marks_everything_read_again_is_right(history: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder, closing(Bench(Path(folder))) as bench:
        for number, (step, value) in enumerate(history):
            if step != "guest":
                play(bench, step, value, number, marked=False)
        bench.refresh()
        bench.clock.now += 10
        bench.tree.require_fresh(END + 5)
        reread(bench.tree, max_rows=3)
        assert bench.is_right()
