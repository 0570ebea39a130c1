"""Where sums are kept: they outlive the process, and a file that can't be used stops nobody."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from samesky.core.timetree import LEAF, Sum
from samesky.errors import Unreachable
from samesky.station.tree_store import FILE_NAME, KEPT_SCOPES, Node, TreeChange, TreeStore

STREAM = "home/wx_binding"
BIG = (1 << 128) - 1


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TreeStore]:
    with closing(TreeStore(tmp_path)) as opened:
        yield opened


def change(position: int = 100, seen: int = 0, **leaves: int) -> TreeChange:
    sums = {int(name[1:]): Sum(count, BIG) for name, count in leaves.items()}
    nodes = {leaf >> 5: Node(each, 7) for leaf, each in sums.items()}
    return TreeChange(position, seen, sums, nodes)


def marks(store: TreeStore, *, after: int = 0) -> list[tuple[int, int]]:
    return [(mark.first, mark.last) for mark in store.read_marks(STREAM, "archive", after=after, limit=100)]


def test_what_was_saved_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    with closing(TreeStore(tmp_path / "deep" / "folder")) as store:
        tree = store.load(STREAM, "archive", "dateTime")
        assert (tree.position, tree.seen, tree.nodes) == (0, 0, {})
        assert store.save(tree.id, tree.version, change(200, 3, l1=2, l2=5))
    with closing(TreeStore(tmp_path / "deep" / "folder")) as store:
        tree = store.load(STREAM, "archive", "dateTime")
        assert (tree.position, tree.seen, tree.nodes) == (200, 3, {0: Node(Sum(5, BIG), 7)})
        assert store.read_leaves(tree.id, 0, 9) == {1: Sum(2, BIG), 2: Sum(5, BIG)}
        assert store.read_leaves(tree.id, 2, 9) == {2: Sum(5, BIG)}
        assert store.load(STREAM, "summary", "dateTime").nodes == {}


def test_leaves_and_spans_that_hold_nothing_any_more_are_removed(store: TreeStore) -> None:
    tree = store.load(STREAM, "archive", "dateTime")
    assert store.save(tree.id, tree.version, change(l1=2, l40=5))
    assert store.save(tree.id, tree.version + 1, TreeChange(50, 0, {40: Sum()}, {1: None}))
    assert store.read_leaves(tree.id, 0, 99) == {1: Sum(2, BIG)}
    assert list(store.load(STREAM, "archive", "dateTime").nodes) == [0]


def test_of_two_who_save_the_same_tree_the_second_is_told_and_changes_nothing(tmp_path: Path) -> None:
    with closing(TreeStore(tmp_path)) as one, closing(TreeStore(tmp_path)) as two:
        ours, theirs = (each.load(STREAM, "archive", "dateTime") for each in (one, two))
        assert one.save(ours.id, ours.version, change(l1=2))
        assert not two.is_current(theirs.id, theirs.version)
        assert not two.save(theirs.id, theirs.version, change(999, l1=3, l2=3))
        assert two.read_leaves(theirs.id, 0, 9) == {1: Sum(2, BIG)}


def test_the_scope_that_has_been_left_alone_for_longest_makes_room(store: TreeStore) -> None:
    first = store.load(STREAM, "archive", "scope 0")
    assert store.save(first.id, first.version, change(l1=2))
    other = store.load("home/aq_binding", "archive", "scope 0")
    for number in range(1, KEPT_SCOPES):
        store.load(STREAM, "archive", f"scope {number}")
    assert store.load(STREAM, "archive", "scope 0").position == 100
    store.load(STREAM, "archive", "one more")
    assert store.load(STREAM, "archive", "scope 0").position == 100
    assert store.is_current(other.id, other.version)
    for number in range(KEPT_SCOPES):
        store.load(STREAM, "archive", f"still more {number}")
    assert not store.is_current(first.id, first.version + 1)
    assert store.read_leaves(first.id, 0, 9) == {}


def test_marks_are_heeded_in_order_and_one_that_comes_again_comes_last(store: TreeStore) -> None:
    store.mark(STREAM, "archive", [5 << LEAF, 7 << LEAF, (8 << LEAF) + 5])
    assert marks(store) == [(5, 5), (7, 8)]
    (first, second) = store.read_marks(STREAM, "archive", after=0, limit=9)
    store.mark(STREAM, "archive", [5 << LEAF])
    assert marks(store, after=second.number) == [(5, 5)]
    assert store.is_marked(STREAM, "archive", 8, after=first.number)
    assert not store.is_marked(STREAM, "archive", 8, after=second.number)
    assert not store.is_marked(STREAM, "summary", 8, after=0)
    store.mark_from(STREAM, "archive", 3 << LEAF)
    assert store.is_marked(STREAM, "archive", 1 << 40, after=second.number)


def test_another_process_sees_marks_at_once(tmp_path: Path, store: TreeStore) -> None:
    with closing(TreeStore(tmp_path)) as other:
        other.mark(STREAM, "archive", [1 << LEAF])
    assert marks(store) == [(1, 1)]


def test_marks_that_cannot_be_written_are_kept_until_they_can_and_nothing_counts_as_unmarked(
    tmp_path: Path, store: TreeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store._connection.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as hog:
        hog.execute("BEGIN IMMEDIATE")
        assert not store.mark(STREAM, "archive", [1 << LEAF])
        assert "marks_not_written waiting=1" in caplog.text
        with pytest.raises(Unreachable):
            marks(store)
        hog.execute("ROLLBACK")
    assert marks(store) == [(1, 1)]


def test_marks_that_every_tree_has_heeded_are_dropped_in_the_end(
    store: TreeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("samesky.station.tree_store.KEPT_MARKS", 2)
    ours, other = (store.load(STREAM, "archive", scope) for scope in ("all", "dateTime"))
    for leaf in range(1, 11):
        store.mark(STREAM, "archive", [leaf << LEAF])
    assert store.save(ours.id, ours.version, change(seen=10))
    assert len(marks(store)) == 10, "the other tree has heeded none"
    assert store.save(other.id, other.version, change(seen=10))
    assert marks(store) == [(9, 9), (10, 10)]


def test_a_copy_holds_one_tree_and_leaves_the_file_alone(store: TreeStore) -> None:
    tree = store.load(STREAM, "archive", "dateTime")
    store.save(tree.id, tree.version, change(l1=2))
    with closing(store.copy_tree(STREAM, "archive", "dateTime")) as copy:
        copied = copy.load(STREAM, "archive", "dateTime")
        assert (copied.position, copied.nodes) == (100, {0: Node(Sum(2, BIG), 7)})
        assert copy.save(copied.id, copied.version, change(500, l1=0, l2=1))
    assert store.read_leaves(tree.id, 0, 9) == {1: Sum(2, BIG)}
    assert store.is_current(tree.id, tree.version + 1)
    with closing(store.copy_tree(STREAM, "archive", "no such scope")) as copy:
        assert copy.load(STREAM, "archive", "no such scope").position == 0


def fill(path: Path) -> None:
    with closing(TreeStore(path.parent)) as store:
        tree = store.load(STREAM, "archive", "dateTime")
        store.save(tree.id, tree.version, change(**{f"l{n}": 1 for n in range(1, 500)}))


def damage_as_text(path: Path) -> None:
    path.write_bytes(b"this is no database" * 500)


def damage_the_middle(path: Path) -> None:
    fill(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))


def truncate(path: Path) -> None:
    fill(path)
    path.write_bytes(path.read_bytes()[:-4096])


def make_it_of_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE tree (something INTEGER)")
        connection.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    "damage", [damage_as_text, damage_the_middle, truncate, make_it_of_another_version], ids=lambda d: d.__name__
)
def test_a_file_that_is_damaged_or_of_another_version_is_started_anew(
    tmp_path: Path, damage: object, caplog: pytest.LogCaptureFixture
) -> None:
    assert callable(damage)
    damage(tmp_path / FILE_NAME)
    with closing(TreeStore(tmp_path)) as store:
        tree = store.load(STREAM, "archive", "dateTime")
        assert (tree.position, tree.nodes) == (0, {})
        assert store.save(tree.id, tree.version, change(l1=2))
    assert "made anew" in caplog.text
    with closing(TreeStore(tmp_path)) as store:
        assert store.load(STREAM, "archive", "dateTime").position == 100


def test_damage_that_shows_while_it_is_open_is_trouble_that_passes(tmp_path: Path) -> None:
    fill(tmp_path / FILE_NAME)
    with closing(TreeStore(tmp_path)) as store:
        tree = store.load(STREAM, "archive", "dateTime")
        store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store._connection.execute("PRAGMA cache_size = 0")
        with (tmp_path / FILE_NAME).open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * 400_000)
        with pytest.raises(Unreachable, match="damaged"):
            store.read_leaves(tree.id, 0, 999)
        assert not store.is_current(tree.id, tree.version)
        assert store.load(STREAM, "archive", "dateTime").position == 0


def test_without_a_folder_or_a_file_it_keeps_sums_until_the_end(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    for directory in (None, tmp_path):
        with closing(TreeStore(directory)) as store:
            tree = store.load(STREAM, "archive", "dateTime")
            assert store.save(tree.id, tree.version, change(l1=2))
            assert store.read_leaves(tree.id, 0, 9) == {1: Sum(2, BIG)}
