"""The index of a tree: what it remembers, and sums that depend on nothing but what is in it."""

import hashlib
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.stands.small_disk import mounted_disk

from samesky.core.timetree import MODULUS, Sum
from samesky.errors import DataError, Unreachable
from samesky.mesh.announcement import Entry, Integrity
from samesky.mesh.index import Index, entry_hash, join_path, split_path
from samesky.mesh.statefile import FILE_NAME, FOLDER

NOW = 1_700_000_000_000_000_000


def entry(path: str, content: bytes = b"x", *, pub_time: int = NOW, state: str = "here", **more: object) -> Entry:
    digest = hashlib.sha512(content).digest()
    integrity = None if state == "removed" else Integrity("sha512", digest)
    kept = b"" if state == "removed" else digest
    return Entry(path, pub_time, integrity, len(content), NOW, kept, state, **more)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with Index(tmp_path) as opened:
        yield opened


def sums_by_hand(entries: list[Entry]) -> dict[str, Sum]:
    sums: dict[str, Sum] = {}
    for each in entries:
        if each.state != "pruned":
            directory = split_path(each.path)[0]
            one = Sum(1, entry_hash(each.path, each.content, removed=each.state == "removed"))
            sums[directory] = sums.get(directory, Sum()) + one
    return sums


def test_an_entry_is_read_back_as_it_was_applied(index: Index) -> None:
    entries = [
        entry("2026/a/one.txt", b"one", extra={"sundew": 7, "geometry": None, "name": "Zürich"}),
        entry("top.txt", b"", pub_time=1),
        entry("2026/gone", b"", state="removed"),
        entry("2026/old", b"old", state="pruned"),
        Entry("md5", NOW, Integrity("md5", bytes(16)), 3, -5, hashlib.sha512(b"abc").digest()),
    ]
    index.apply(entries)
    assert [index.read(each.path) for each in entries] == entries


def test_many_entries_are_read_at_once_whatever_their_names_are(index: Index) -> None:
    paths = ["top.txt", "a/b.txt", 'a"b/c d', "it's/x", "日本/😀/f", "a/é.txt", "%/+#/x", "[1]/{}"]
    index.apply([entry(path) for path in paths])
    found = index.read_many([*paths, "not there", "a/not there", "nowhere/b.txt"])
    assert found == {path: index.read(path) for path in paths}
    assert index.read("2026/a") is None
    assert index.read("nowhere/at/all") is None


def test_the_state_is_in_a_folder_that_only_its_owner_can_enter(tmp_path: Path, index: Index) -> None:
    assert stat.S_IMODE(os.stat(tmp_path / FOLDER).st_mode) == 0o700
    assert (tmp_path / FOLDER / FILE_NAME).exists()


def test_the_id_stays_when_the_index_is_opened_again_and_is_another_for_another_tree(tmp_path: Path) -> None:
    with Index(tmp_path) as first, Index(tmp_path) as second:
        assert first.id == second.id
        assert len(bytes.fromhex(first.id)) == 8
    (tmp_path / "other").mkdir()
    with Index(tmp_path / "other") as other:
        assert other.id != first.id


def test_sums_are_those_of_the_entries_of_each_directory_alone(index: Index) -> None:
    entries = [entry("a/1"), entry("a/2", b"2"), entry("a/b/3"), entry("4"), entry("a/gone", state="removed")]
    index.apply([*entries, entry("a/old", state="pruned")])
    assert index.sums() == sums_by_hand(entries)
    assert index.sums()["a"].count == 3


def test_a_sum_doesnt_depend_on_when_a_file_was_published(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with Index(tmp_path) as one, Index(tmp_path / "b") as other:
        one.apply([entry("a/1", pub_time=NOW), entry("a/2", b"2")])
        other.apply([entry("a/2", b"2", pub_time=5)])
        other.apply([entry("a/1", b"before", pub_time=5)])
        other.apply([entry("a/1", pub_time=6)])
        assert one.sums() == other.sums()


def test_a_removed_file_has_another_hash_than_any_that_is_here() -> None:
    assert entry_hash("a", b"") != entry_hash("a", b"", removed=True)
    assert entry_hash("a", b"1") != entry_hash("b", b"1")


paths = st.sampled_from(["x", "y", "a/x", "a/y", "a/b/x", "ä/x"])
steps = st.one_of(
    st.builds(
        lambda path, content, state: entry(path, content, state=state),
        paths,
        st.binary(max_size=2),
        st.sampled_from(["here", "removed", "pruned"]),
    ),
    paths,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(batches=st.lists(st.lists(steps, max_size=6), max_size=6))
def test_whatever_is_applied_sums_and_figures_are_those_of_what_is_there(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Entry | str]]
) -> None:
    known: dict[str, Entry] = {}
    with Index(tmp_path_factory.mktemp("tree")) as index:
        for batch in batches:
            new = {step.path: step for step in batch if isinstance(step, Entry)}
            forget = {step for step in batch if isinstance(step, str)} - new.keys()
            index.apply(new.values(), forget=forget)
            known = {path: each for path, each in (known | new).items() if path not in forget}
            here = [each for each in known.values() if each.state == "here"]
            assert index.sums() == sums_by_hand(list(known.values()))
            assert index.count == len(here)
            assert index.size_bytes == sum(each.size for each in here)
            directories = {split_path(path)[0] for path in known}
            assert index.directories() == sorted(directories)
            for directory in directories:
                expected = sorted(path for path in known if split_path(path)[0] == directory)
                assert [each.path for each in index.entries(directory)] == expected


def test_entries_come_in_pages(index: Index) -> None:
    index.apply([entry(f"a/{number:02}") for number in range(25)] + [entry("a/b/1"), entry("ab")])
    found: list[Entry] = []
    while page := index.entries("a", after=found[-1].path if found else "", limit=10):
        assert len(page) <= 10
        found += page
    assert [each.path for each in found] == [f"a/{number:02}" for number in range(25)]


def test_only_what_has_changed_since_is_told_and_a_directory_that_became_empty_too(index: Index) -> None:
    index.apply([entry("a/1"), entry("b/1")])
    before = index.sums_since(-1)
    assert before.whole
    index.apply([entry("b/1", b"new")], forget=["a/1"])
    since = index.sums_since(before.changes)
    assert not since.whole
    assert since.sums == {"a": Sum(0, 0), "b": index.sums()["b"]}
    assert index.sums_since(since.changes).sums == {}
    assert index.changes == since.changes


def test_a_change_that_leaves_the_sum_as_it_was_isnt_told(index: Index) -> None:
    index.apply([entry("a/1")])
    before = index.changes
    index.apply([entry("a/1", pub_time=NOW + 1)])
    assert index.changes == before
    assert index.newest == NOW + 1


def test_when_directories_were_forgotten_all_sums_are_told(index: Index) -> None:
    index.apply([entry("a/1"), entry("b/1", state="pruned", pub_time=5)])
    before = index.changes
    assert index.forget_gone(pruned_before_ns=6, removed_before_ns=6) == 1
    assert index.directories() == ["a"]
    since = index.sums_since(before)
    assert since.whole
    assert since.sums.keys() == {"a"}
    assert not index.sums_since(since.changes).whole


def test_a_later_publication_of_the_same_file_is_noted(index: Index) -> None:
    old, changed = entry("a/1"), entry("a/2")
    index.apply([old, changed])
    index.apply([entry("a/2", b"other")])
    index.touch([(old, NOW + 9), (changed, NOW + 9), (entry("a/3"), NOW + 9)])
    assert [index.read(path).pub_time for path in ("a/1", "a/2")] == [NOW + 9, NOW]
    index.touch([(index.read("a/1"), NOW)])
    assert index.read("a/1").pub_time == NOW + 9, "an earlier one changes nothing"


def test_pruned_files_stay_known_and_are_in_no_sum(index: Index) -> None:
    kept = [entry("2026012/1"), entry("20260123", b"a file"), entry("2026012301/gone", state="removed")]
    index.apply([*kept, entry("2026012301/1"), entry("2026012301/a/2"), entry("2026012301/a/b/3")])
    assert index.mark_pruned("2026012301") == 3
    assert index.sums() == sums_by_hand(kept)
    assert index.count == 2
    assert index.read("2026012301/a/b/3").state == "pruned"
    assert index.read("2026012301/gone").state == "removed"
    assert index.mark_pruned("2026012301") == 0
    assert index.mark_pruned("nothing") == 0


def test_a_pruned_directory_stays_known_when_its_files_are_forgotten(index: Index) -> None:
    index.apply([entry("2026012301/a/1"), entry("2026012302/1")])
    before = time.time_ns()
    index.mark_pruned("2026012301")
    assert index.forget_gone(pruned_before_ns=NOW + 1, removed_before_ns=0) == 1
    for path in ("2026012301/a/1", "2026012301/never/here", "2026012301/x"):
        gone = index.read(path)
        assert (gone.path, gone.state, gone.integrity) == (path, "pruned", None)
        assert gone.pub_time >= before, "what was published since is wanted"
        assert index.is_pruned(path)
    for path in ("2026012302/1", "2026012302/2", "20260123", "20260123011/x", "2026012301"):
        assert not index.is_pruned(path)
        assert (index.read(path) is not None) == (path == "2026012302/1")
    index.apply([entry("2026012301/x")])
    assert index.read("2026012301/x").state == "here"
    assert index.read_many(["2026012301/x", "2026012301/y", "z"]).keys() == {"2026012301/x", "2026012301/y"}


def test_pruned_files_and_removals_are_forgotten_each_at_its_time(index: Index) -> None:
    index.apply([entry("a/1", pub_time=5, state="removed"), entry("a/2", pub_time=5, state="pruned")])
    assert index.forget_gone(pruned_before_ns=6, removed_before_ns=5) == 1
    assert [each.path for each in index.entries("a")] == ["a/1"]


def test_what_is_gone_is_forgotten_after_a_while(index: Index) -> None:
    index.apply([entry("a/1", pub_time=5), entry("a/2", pub_time=5, state="removed"), entry("a/3", state="pruned")])
    assert index.forget_gone(pruned_before_ns=6, removed_before_ns=6) == 1
    assert [each.path for each in index.entries("a")] == ["a/1", "a/3"]
    assert index.sums() == sums_by_hand([entry("a/1")])


def test_a_transaction_that_fails_changes_nothing(index: Index) -> None:
    index.apply([entry("a/1")])
    before = index.sums()

    def fail() -> None:
        with index.file.writing():
            index.apply([entry("a/2")])
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        fail()
    assert index.sums() == before
    index.apply([entry("a/2")])
    assert index.count == 2


def _apply_many(folder: Path, name: str) -> None:
    with Index(folder) as index:
        for number in range(100):
            index.apply([entry(f"shared/{name}-{number}"), entry("shared/same", name.encode() + bytes([number]))])


@pytest.mark.slow
def test_two_processes_at_once_leave_sums_that_fit(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_apply_many, args=(tmp_path, name)) for name in ("one", "two")]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    with Index(tmp_path) as index:
        entries = index.entries("shared")
        assert len(entries) == 201
        assert index.sums() == sums_by_hand(entries)


def test_a_damaged_state_file_is_set_aside_and_made_anew(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    damaged = b"not a database at all" * 100
    (tmp_path / FOLDER / FILE_NAME).write_bytes(damaged)
    with Index(tmp_path) as index:
        index.apply([entry("a")])
        assert index.count == 1
    assert (tmp_path / FOLDER / f"{FILE_NAME}.damaged").read_bytes() == damaged
    with Index(tmp_path) as index:
        assert index.count == 1


def damage_the_middle(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    whole = bytearray(path.read_bytes())
    whole[4096 * 8 :] = b"\xff" * (len(whole) - 4096 * 8)
    path.write_bytes(whole)


def test_damage_that_shows_later_is_told_and_mended_at_the_next_start(tmp_path: Path) -> None:
    with Index(tmp_path) as index:
        index.apply([entry(f"a/{number}") for number in range(2000)])
        before = index.id
    damage_the_middle(index.file.path)
    with Index(tmp_path) as index, Index(tmp_path) as other:
        with pytest.raises(DataError, match="is damaged") as caught:
            index.entries("a", limit=5000)
        assert "made anew" in caught.value.hint
        with pytest.raises(DataError, match="is damaged"):
            Index(tmp_path)  # others have it open
        assert other.id == before
    with Index(tmp_path) as index:
        assert index.id != before
        assert index.count == 0


def test_the_state_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    with Index(tmp_path) as index:
        path = index.file.path
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match="later samesky"):
        Index(tmp_path)


def test_a_folder_that_isnt_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="No such file"):
        Index(tmp_path / "nowhere")


def test_on_a_full_disk_nothing_changes_and_later_all_goes_on(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "3m") as disk, Index(disk.folder) as index:
        index.apply([entry("a/1")])
        before = index.sums()
        big = [entry(f"a/{number}", extra={"filler": "x" * 1000}) for number in range(4000)]
        with pytest.raises(Unreachable, match="full"):
            index.apply(big)
        assert index.sums() == before
        disk.grow("30m")
        index.apply(big)
        assert index.count == 4000


def test_totals_stay_below_the_modulus(index: Index) -> None:
    index.apply([entry(f"a/{number}") for number in range(50)])
    assert 0 <= index.sums()["a"].total < MODULUS
    assert join_path(*split_path("a/b/c")) == "a/b/c"


def test_nothing_is_lost_when_others_open_and_close_the_index_meanwhile(tmp_path: Path) -> None:
    """POSIX locks are those of a process: closing any descriptor of the file would drop all that SQLite has on it."""
    opening = f"from pathlib import Path; from samesky.mesh.index import Index; index = Index(Path({str(tmp_path)!r}))"
    with Index(tmp_path) as index:
        index.apply([entry("a")])
        Index(tmp_path).close()
        for _ in range(2):
            subprocess.run([sys.executable, "-c", f"{opening}; index.close()"], check=True)
            index.apply([entry("b")])
        told = subprocess.run([sys.executable, "-c", f"{opening}; print(index.count)"], check=True, capture_output=True)
    assert told.stdout.strip() == b"2"
