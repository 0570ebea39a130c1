"""Storing batches of files: each whole or not at all, the newest of them, and the rows move on with them."""

import hashlib
import multiprocessing
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.stands.small_disk import mounted_disk

from samesky.core.strict import Reason
from samesky.mesh import tree as tree_module
from samesky.mesh.announcement import Announcement, Integrity, integrity_of
from samesky.mesh.index import Index
from samesky.mesh.storing import FEW, Item, Storing
from samesky.mesh.tree import INCOMING, Tree
from samesky.mesh.waiting import Depth, Waiting, WaitingRow

NOW = 1_700_000_000_123_456_789


class Stand:
    """A tree with what belongs to it."""

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.tree = Tree(folder)
        self.index = Index(folder, durable=durable)
        self.waiting = Waiting(self.index.file, "me")
        self.storing = Storing(self.tree, self.index, self.waiting, durable=durable)

    def close(self) -> None:
        self.index.close()
        self.tree.close()

    def item(self, path: str, content: bytes, *, pub_time: int = NOW, row: bool = True, **more: object) -> Item:
        row_id = self.waiting.add([WaitingRow("t", b"{}", "", "north")], take=True)[0] if row else 0
        announcement = Announcement(path, pub_time, integrity_of(content), len(content), **more)
        return Item(announcement, content, sha512=hashlib.sha512(content).digest(), row_id=row_id)

    def store(self, *items: Item) -> list[str]:
        return [outcome.state for outcome in self.storing.store(items)]

    def incoming(self) -> list[str]:
        return os.listdir(self.tree.folder / INCOMING)

    def content(self, path: str) -> bytes:
        return (self.tree.folder / path).read_bytes()


@pytest.fixture(params=[False, True], ids=["quick", "durable"])
def stand(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stand]:
    made = Stand(tmp_path, durable=request.param)
    yield made
    made.close()


def removal(path: str, pub_time: int) -> Item:
    return Item(Announcement(path, pub_time, operation="remove"))


def test_files_are_stored_with_their_entries_and_their_rows_are_to_be_announced(stand: Stand) -> None:
    items = [stand.item(f"a/{number}", b"%d" % number, extra={"n": number}) for number in range(FEW + 3)]
    assert stand.store(*items) == ["stored"] * len(items)
    for number, item in enumerate(items):
        entry = stand.index.read(f"a/{number}")
        assert stand.content(f"a/{number}") == item.content
        assert (entry.version, entry.extra, entry.content) == (item.announcement.version, {"n": number}, item.sha512)
        assert (entry.size, entry.state) == (1, "here")
    assert stand.waiting.depth() == Depth(0, len(items))
    assert stand.incoming() == []


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 50])
def test_a_durable_file_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Else a power cut leaves a name with a part of a file. What the system is asked for is noted, and done."""
    stand = Stand(tmp_path, durable=True)
    on_disk: set[int] = set()
    named: dict[str, bool] = {}
    fsync, rename, syncfs = os.fsync, os.rename, tree_module._syncfs()

    def note_fsync(descriptor: int) -> None:
        fsync(descriptor)
        on_disk.add(os.fstat(descriptor).st_ino)

    def note_syncfs(descriptor: int) -> int:
        on_disk.update(each.stat().st_ino for each in (tmp_path / INCOMING).iterdir())
        return int(syncfs(descriptor))

    def note_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        named[new] = os.stat(old, dir_fd=src_dir_fd).st_ino in on_disk
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "rename", note_rename)
    monkeypatch.setattr(tree_module, "_syncfs", lambda: note_syncfs)
    downloaded = stand.tree.write_incoming(b"downloaded")
    item = stand.item("a/large", b"downloaded")._replace(content=None, name=downloaded)
    assert set(stand.store(item, *(stand.item(f"a/{number}", b"x") for number in range(1, count)))) == {"stored"}
    assert named == {"large": True} | {str(number): True for number in range(1, count)}
    (synchronous,) = stand.index.file.connection.execute("PRAGMA synchronous").fetchone()
    assert synchronous == 2  # FULL: so is what is known of them, when the batch returns
    stand.close()


def test_a_file_has_the_time_of_its_publication(stand: Stand) -> None:
    stand.store(stand.item("a", b"x"))
    assert (stand.tree.folder / "a").stat().st_mtime_ns == stand.index.read("a").mtime_ns == NOW


def test_a_downloaded_file_is_stored_from_where_it_is(stand: Stand) -> None:
    item = stand.item("a/b", b"large")
    descriptor = stand.tree.open_incoming("download")
    os.write(descriptor, b"large")
    os.close(descriptor)
    assert stand.store(item._replace(content=None, name="download")) == ["stored"]
    assert stand.content("a/b") == b"large"
    assert (stand.tree.folder / "a/b").stat().st_mtime_ns == NOW
    assert stand.incoming() == []


def test_an_empty_file_is_a_file(stand: Stand) -> None:
    assert stand.store(stand.item("a", b"")) == ["stored"]
    assert stand.content("a") == b""
    assert stand.store(stand.item("a", b"")) == ["same"]


def test_what_is_older_than_what_is_here_isnt_stored(stand: Stand) -> None:
    stand.store(stand.item("a", b"new", pub_time=NOW + 1))
    outcome = stand.storing.store([stand.item("a", b"old", pub_time=NOW)])[0]
    assert (outcome.state, outcome.entry.pub_time) == ("older", NOW + 1)
    assert stand.content("a") == b"new"
    assert stand.waiting.depth() == Depth(0, 1), "the row of the older one is gone"
    assert stand.incoming() == []


def test_what_somebody_put_there_by_hand_is_kept_when_it_is_newer_and_known_from_then_on(stand: Stand) -> None:
    stand.store(stand.item("a", b"first"))
    for known, by_hand in ((True, "a"), (False, "b")):
        (stand.tree.folder / by_hand).write_bytes(b"by hand")
        os.utime(stand.tree.folder / by_hand, ns=(NOW + 100, NOW + 100))
        outcome = stand.storing.store([stand.item(by_hand, b"published before", pub_time=NOW + 50)])[0]
        assert (outcome.state, stand.content(by_hand)) == ("older", b"by hand"), known
        assert stand.index.read(by_hand).content == hashlib.sha512(b"by hand").digest()
        assert stand.store(removal(by_hand, NOW + 60)) == ["older"]
        assert stand.store(stand.item(by_hand, b"published after", pub_time=NOW + 200)) == ["stored"]
        assert stand.content(by_hand) == b"published after"


def test_a_file_that_was_only_touched_gives_way_to_a_newer_one(stand: Stand) -> None:
    stand.store(stand.item("a", b"first"))
    os.utime(stand.tree.folder / "a", ns=(NOW + 100, NOW + 100))
    assert stand.store(stand.item("a", b"second", pub_time=NOW + 50)) == ["stored"]
    assert stand.content("a") == b"second"


def test_a_file_that_a_kill_left_without_its_entry_is_stored_and_announced(stand: Stand) -> None:
    (stand.tree.folder / "a").write_bytes(b"content")
    assert stand.store(stand.item("a", b"content")) == ["stored"]
    assert stand.index.read("a").pub_time == NOW
    assert stand.waiting.depth() == Depth(0, 1)


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_of_the_same_time_all_peers_keep_the_same(stand: Stand, turned: bool) -> None:
    items = [stand.item("a", content) for content in (b"one", b"two")]
    stand.store(*(reversed(items) if turned else items))
    greater = max(items, key=lambda item: item.announcement.version)
    assert stand.content("a") == greater.content
    assert stand.index.read("a").content == greater.sha512


def test_the_same_content_published_later_is_only_noted(stand: Stand) -> None:
    stand.store(stand.item("a", b"x"))
    before = (stand.tree.folder / "a").stat()
    assert stand.store(stand.item("a", b"x", pub_time=NOW + 5), stand.item("a", b"x", pub_time=NOW - 5)) == ["same"] * 2
    assert stand.index.read("a").pub_time == NOW + 5
    assert (stand.tree.folder / "a").stat().st_ino == before.st_ino
    assert stand.incoming() == []


def test_the_same_content_is_stored_when_somebody_has_removed_the_file(stand: Stand) -> None:
    stand.store(stand.item("a", b"x"))
    (stand.tree.folder / "a").unlink()
    assert stand.store(stand.item("a", b"x", pub_time=NOW + 1)) == ["stored"]
    assert stand.content("a") == b"x"


def test_a_removal_stays_known_and_what_is_older_doesnt_come_back(stand: Stand) -> None:
    stand.store(stand.item("a/b", b"x"))
    assert stand.store(removal("a/b", NOW + 1), removal("never/here", NOW)) == ["stored", "stored"]
    assert not (stand.tree.folder / "a/b").exists()
    assert stand.index.read("a/b").state == stand.index.read("never/here").state == "removed"
    assert stand.store(stand.item("a/b", b"x")) == ["older"]
    assert stand.store(stand.item("a/b", b"y", pub_time=NOW + 2)) == ["stored"]
    assert stand.store(removal("a/b", NOW + 1)) == ["older"]


def test_what_was_pruned_comes_back_only_when_it_is_published_anew(stand: Stand) -> None:
    stand.store(stand.item("2026112101/a", b"x"))
    stand.index.mark_pruned("2026112101")
    assert stand.store(stand.item("2026112101/a", b"x")) == ["older"]
    assert stand.store(stand.item("2026112101/a", b"x", pub_time=NOW + 1)) == ["stored"]


def test_a_file_that_never_was_here_isnt_stored_in_a_directory_that_was_pruned_since(stand: Stand) -> None:
    stand.index.mark_pruned("2026112101")
    assert stand.store(stand.item("2026112101/late", b"x")) == ["older"]
    assert not (stand.tree.folder / "2026112101").exists()


def test_a_conflict_is_refused_and_the_others_of_the_batch_are_stored(stand: Stand) -> None:
    stand.store(stand.item("a/b", b"file"))
    items = [stand.item("a/b/c", b"x"), stand.item("a", b"x"), stand.item("a/d", b"x")]
    outcomes = stand.storing.store(items)
    assert [outcome.state for outcome in outcomes] == ["refused", "refused", "stored"]
    assert [outcome.words for outcome in outcomes[:2]] == [Reason.CONFLICT] * 2
    assert stand.content("a/b") == b"file"
    assert stand.incoming() == []


def test_a_file_announced_without_a_checksum_gets_the_one_it_has(stand: Stand) -> None:
    item = stand.item("a", b"x")
    assert stand.store(item._replace(announcement=replace(item.announcement, integrity=None))) == ["stored"]
    assert stand.index.read("a").integrity == Integrity("sha512", item.sha512)


def test_a_batch_of_many_directories_is_stored(stand: Stand) -> None:
    items = [stand.item(f"{number}/{number}", b"%d" % number, row=False) for number in range(30)]
    assert stand.store(*items) == ["stored"] * 30
    assert stand.index.count == 30


def test_an_index_that_is_locked_fails_the_batch_and_leaves_no_rubbish(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand.index.file.connection.execute("PRAGMA busy_timeout = 10")
    item = stand.item("a", b"x")
    with Index(stand.tree.folder) as other, other.file.writing():
        assert stand.store(item) == ["failed"]
    assert stand.incoming() == []
    assert stand.waiting.depth() == Depth(1, 0)
    assert stand.store(item) == ["stored"]


@pytest.mark.slow
def test_a_reader_never_sees_a_part_of_a_file(tmp_path: Path) -> None:
    stand = Stand(tmp_path)
    contents = [bytes([number]) * 300_000 for number in (1, 2)]
    stand.store(stand.item("a", contents[0], row=False))
    seen: set[bytes] = set()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(stand.content("a"))

    reader = threading.Thread(target=read, name="reader")
    reader.start()
    try:
        for number in range(100):
            stand.store(stand.item("a", contents[number % 2], pub_time=NOW + number, row=False))
    finally:
        stop.set()
        reader.join(30)
        stand.close()
    assert seen <= set(contents)


@pytest.mark.parametrize("durable", [False, True])
def test_on_a_full_disk_nothing_is_half_done_and_later_all_goes_on(tmp_path: Path, durable: bool) -> None:
    with mounted_disk(tmp_path / "disk", "2m") as disk:
        stand = Stand(disk.folder, durable=durable)
        contents = {f"a/{number}": os.urandom(300_000) for number in range(20)}
        items = [stand.item(path, content) for path, content in contents.items()]
        outcomes = stand.storing.store(items)
        assert {outcome.state for outcome in outcomes} == {"stored", "failed"}
        failed = [item for item, outcome in zip(items, outcomes, strict=True) if outcome.state == "failed"]
        assert all("No space" in outcome.words for outcome in outcomes if outcome.state == "failed")
        assert stand.incoming() == []
        for path in (stand.tree.folder / "a").iterdir():
            assert path.read_bytes() == contents[f"a/{path.name}"]
        assert stand.waiting.depth() == Depth(len(failed), len(items) - len(failed))
        disk.grow("30m")
        assert set(stand.store(*failed)) == {"stored"}
        assert {path: stand.content(path) for path in contents} == contents
        assert stand.index.count == 20
        stand.close()


def test_when_the_index_finds_no_room_the_files_are_whole_and_the_rows_stay(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "3m") as disk:
        stand = Stand(disk.folder)
        items = [stand.item(f"{number}/x", b"small", extra={"filler": "x" * 20_000}) for number in range(200)]
        assert set(stand.store(*items)) == {"failed"}
        assert stand.incoming() == []
        assert stand.index.count == 0
        disk.grow("30m")
        assert set(stand.store(*items)) == {"stored"}
        assert stand.index.count == 200
        stand.close()


def _store_many(folder: Path, name: str) -> None:
    stand = Stand(folder)
    for start in range(0, 200, 20):
        # Each process has another content for every path, and the later time for every second one.
        items = [
            stand.item(f"d/{number}", name.encode(), pub_time=NOW + (number + (name == "two")) % 2, row=False)
            for number in range(start, start + 20)
        ]
        stand.store(*items)
    stand.close()


@pytest.mark.slow
def test_two_processes_at_once_keep_the_newest_of_every_path(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    children = [spawn.Process(target=_store_many, args=(tmp_path, name)) for name in ("one", "two")]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    with Index(tmp_path) as index:
        for number in range(200):
            content = (tmp_path / f"d/{number}").read_bytes()
            assert content == (b"two" if number % 2 == 0 else b"one")
            assert index.read(f"d/{number}").content == hashlib.sha512(content).digest()
