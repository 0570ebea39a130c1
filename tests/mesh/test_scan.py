"""Scanning a tree: what nobody announced is found, what is gone forgotten, and what is unchanged not even read."""

import base64
import hashlib
import json
import os
import time
from pathlib import Path

import pytest

from samesky.core.strict import EARLIEST_TIME
from samesky.mesh import scan
from samesky.mesh.announcement import Announcement, Entry, Integrity, integrity_of
from samesky.mesh.attribute import FROM_BYTES, IDENTITY, INTEGRITY, MTIME, read_checksum
from samesky.mesh.index import Index
from samesky.mesh.scan import ScanCounts, scan_tree
from samesky.mesh.storing import Item, Storing
from samesky.mesh.tree import INCOMING, Tree

NOW = 1_700_000_000_123_456_789


def write(folder: Path, path: str, content: bytes = b"x", mtime_ns: int = NOW) -> Path:
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(mtime_ns, mtime_ns))
    return file


def store(folder: Path, path: str, content: bytes = b"x", pub_time: int = NOW) -> Entry:
    with Tree(folder) as tree, Index(folder) as index:
        item = Item(Announcement(path, pub_time, integrity_of(content)), content, sha512=sha512(content))
        (outcome,) = Storing(tree, index).store([item])
        return outcome.entry


def sha512(content: bytes) -> bytes:
    return hashlib.sha512(content).digest()


def read(folder: Path, path: str) -> Entry | None:
    with Index(folder) as index:
        return index.read(path)


def test_files_that_nobody_announced_are_entered_a_nanosecond_before_their_time(tmp_path: Path) -> None:
    write(tmp_path, "a/b/file", b"hello")
    write(tmp_path, "top")
    counts = scan_tree(tmp_path)
    assert (counts.files, counts.entered, counts.read_bytes) == (2, 2, 6)
    expected = Integrity("sha512", sha512(b"hello"))
    assert read(tmp_path, "a/b/file") == Entry("a/b/file", NOW - 1, expected, 5, NOW, sha512(b"hello"))


def test_what_is_unchanged_isnt_read(tmp_path: Path) -> None:
    store(tmp_path, "a/1")
    write(tmp_path, "a/2")
    scan_tree(tmp_path)
    with Index(tmp_path) as index:
        before = index.sums_since(-1)
    assert scan_tree(tmp_path) == ScanCounts(files=2)
    with Index(tmp_path) as index:
        assert index.sums_since(-1) == before


def test_a_changed_file_is_entered_as_a_newer_version(tmp_path: Path) -> None:
    store(tmp_path, "a", b"before")
    write(tmp_path, "a", b"after", NOW + 10)
    assert scan_tree(tmp_path).entered == 1
    entry = read(tmp_path, "a")
    assert (entry.pub_time, entry.content) == (NOW + 9, sha512(b"after"))


def test_a_file_with_another_time_and_the_same_content_keeps_its_version(tmp_path: Path) -> None:
    before = store(tmp_path, "a")
    os.utime(tmp_path / "a", ns=(NOW + 10, NOW + 10))
    assert scan_tree(tmp_path).touched == 1
    after = read(tmp_path, "a")
    assert (after.version, after.mtime_ns) == (before.version, NOW + 10)
    assert scan_tree(tmp_path).touched == 0


def test_what_is_gone_is_forgotten_with_its_directories(tmp_path: Path) -> None:
    for path in ("a/1", "a/2", "b/c/3"):
        store(tmp_path, path)
    (tmp_path / "a/1").unlink()
    (tmp_path / "b/c/3").unlink()
    (tmp_path / "b/c").rmdir()
    assert scan_tree(tmp_path).gone == 2
    assert read(tmp_path, "a/1") is read(tmp_path, "b/c/3") is None
    with Index(tmp_path) as index:
        assert index.sums().keys() == {"a"}


def test_what_a_power_cut_left_of_a_file_loses_against_the_whole_one(tmp_path: Path) -> None:
    whole = store(tmp_path, "a", b"the whole file")
    write(tmp_path, "a", b"", NOW)  # its size was lost, its time wasn't
    scan_tree(tmp_path)
    assert read(tmp_path, "a").version < whole.version
    with Index(tmp_path) as index:
        index.apply([], forget=["a"])  # as when the entry was lost too
    scan_tree(tmp_path)
    assert read(tmp_path, "a").version < whole.version
    assert store(tmp_path, "a", b"the whole file") == whole


def test_a_deep_scan_finds_damage_that_left_size_and_time_as_they_were(tmp_path: Path) -> None:
    whole = store(tmp_path, "a", b"good")
    write(tmp_path, "a", b"evil", NOW)
    assert scan_tree(tmp_path).entered == 0
    counts = scan_tree(tmp_path, deep=True)
    assert (counts.entered, counts.read_bytes) == (1, 4)
    assert read(tmp_path, "a").content == sha512(b"evil")
    assert read(tmp_path, "a").version < whole.version
    assert scan_tree(tmp_path, deep=True).entered == 0


def test_a_killed_process_leaves_files_that_are_found_with_the_version_they_had(tmp_path: Path) -> None:
    with Tree(tmp_path) as tree:  # renamed, and not committed
        tree.place(tree.incoming.write(b"x", mtime_ns=NOW), "a")
    scan_tree(tmp_path)
    assert store(tmp_path, "a").pub_time == NOW
    assert store(tmp_path, "a", b"next", NOW + 1).pub_time == NOW + 1


def test_a_removed_file_that_somebody_makes_again_is_entered(tmp_path: Path) -> None:
    removed_at = time.time_ns() - 10**10
    with Index(tmp_path) as index:
        index.apply([Entry(path, removed_at, None, 0, 0, state="removed") for path in "ab"])
    write(tmp_path, "a", mtime_ns=removed_at + 2)
    write(tmp_path, "b", mtime_ns=removed_at)
    scan_tree(tmp_path)
    assert read(tmp_path, "a").state == "here"
    assert read(tmp_path, "b").state == "removed", "as old as before: the removal hasn't come to it yet"


def test_pruned_files_that_are_still_there_stay_pruned(tmp_path: Path) -> None:
    store(tmp_path, "2026112101/a")
    with Index(tmp_path) as index:
        index.mark_pruned("2026112101")
    assert scan_tree(tmp_path).entered == 0
    assert read(tmp_path, "2026112101/a").state == "pruned"


def test_what_has_been_gone_for_long_is_forgotten(tmp_path: Path) -> None:
    day = 86_400 * 1_000_000_000
    with Index(tmp_path) as index:
        for path, days, state in (("a", 8, "pruned"), ("b", 6, "pruned"), ("c", 366, "removed"), ("d", 8, "removed")):
            index.apply([Entry(path, time.time_ns() - days * day, None, 0, 0, state=state)])
    scan_tree(tmp_path)
    assert [read(tmp_path, path) is not None for path in "abcd"] == [False, True, False, True]


@pytest.mark.parametrize("name", ["-rf", "CON", "a\\b", "end.", "e\u0301", "new\nline"])
def test_names_that_no_peer_takes_are_ignored(tmp_path: Path, name: str) -> None:
    write(tmp_path, f"a/{name}")
    assert scan_tree(tmp_path) == ScanCounts(files=1, ignored=1)
    assert read(tmp_path, f"a/{name}") is None


def test_a_file_that_was_written_just_now_is_entered_when_nobody_goes_on_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "whole", mtime_ns=NOW)
    write(tmp_path, "growing", mtime_ns=NOW)

    def pause(seconds: float) -> None:
        write(tmp_path, "growing", b"more", NOW + 1)

    monkeypatch.setattr(scan, "sleep", pause)
    monkeypatch.setattr(scan, "time_ns", lambda: NOW + 5)
    counts = scan_tree(tmp_path)
    assert (counts.entered, counts.ignored) == (1, 1)
    assert read(tmp_path, "whole") is not None
    assert read(tmp_path, "growing") is None


def test_a_file_from_the_future_or_from_before_all_announcements_has_a_time_that_peers_take(tmp_path: Path) -> None:
    write(tmp_path, "future", mtime_ns=4_000_000_000_000_000_000)
    write(tmp_path, "old", mtime_ns=-5)
    scan_tree(tmp_path)
    assert NOW < read(tmp_path, "future").pub_time < 4_000_000_000_000_000_000
    assert read(tmp_path, "old").pub_time == EARLIEST_TIME * 1_000_000_000
    assert scan_tree(tmp_path).entered == 0


def test_progress_is_told_and_can_end_the_scan(tmp_path: Path) -> None:
    for number in range(5):
        write(tmp_path, f"{number}/file")
    told: list[int] = []

    def tell(counts: ScanCounts) -> bool:
        told.append(counts.files)
        return counts.files < 3

    counts = scan_tree(tmp_path, on_progress=tell)
    assert told == [0, 1, 2, 3]
    assert counts.files == 3


def test_a_scan_cleans_up_what_killed_processes_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Tree(tmp_path) as tree:
        tree.write_incoming(b"left")
    scan_tree(tmp_path)
    assert len(os.listdir(tmp_path / INCOMING)) == 1, "another process may be about to place it"
    monkeypatch.setattr("samesky.mesh.incoming.time", lambda: os.stat(tmp_path).st_ctime + 7200)
    scan_tree(tmp_path)
    assert os.listdir(tmp_path / INCOMING) == []


def test_many_files_are_entered_in_batches(tmp_path: Path) -> None:
    for number in range(600):
        write(tmp_path, f"a/{number}", b"%d" % number)
    assert scan_tree(tmp_path).entered == 600
    with Index(tmp_path) as index:
        assert index.count == 600


# ---------------------------------------------------------------------- checksums in attributes


def attributes(file: Path, **values: object) -> None:
    for name, value in values.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        os.setxattr(file, f"user.sr_{name}", text.encode())


def noted(content: bytes) -> dict[str, str]:
    return {"method": "sha512", "value": base64.b64encode(sha512(content)).decode()}


TIME_TEXT = "20231114T221320.123456789"


def test_a_large_file_is_stored_with_its_checksum_which_saves_reading_it(tmp_path: Path) -> None:
    content = os.urandom(FROM_BYTES)
    entry = store(tmp_path, "large", content)
    store(tmp_path, "small")
    assert json.loads(os.getxattr(tmp_path / "large", INTEGRITY)) == noted(content)
    assert os.getxattr(tmp_path / "large", MTIME).decode() == TIME_TEXT
    assert os.listxattr(tmp_path / "small") == []
    for file in (tmp_path / ".samesky").glob("mesh.sdb*"):
        file.unlink()
    counts = scan_tree(tmp_path)
    assert (counts.entered, counts.read_bytes) == (2, 1)
    assert read(tmp_path, "large").content == entry.content


@pytest.mark.parametrize("name", ["integrity", "identity"])
def test_the_checksum_that_sarracenia_noted_is_believed_when_its_time_fits(tmp_path: Path, name: str) -> None:
    file = write(tmp_path, "a", b"hello")
    attributes(file, **{name: noted(b"told"), "mtime": TIME_TEXT[:-3]})
    scan_tree(tmp_path)
    assert read(tmp_path, "a").content == sha512(b"told")
    assert scan_tree(tmp_path, deep=True).entered == 1, "a deep scan believes nothing"


@pytest.mark.parametrize(
    "values",
    [
        {"integrity": noted(b"told")},
        {"integrity": noted(b"told"), "mtime": "20231114T221321.123456789"},
        {"integrity": noted(b"told"), "mtime": "yesterday"},
        {"integrity": noted(b"told"), "identity": noted(b"other"), "mtime": TIME_TEXT},
        {"integrity": {"method": "sha512", "value": "short"}, "mtime": TIME_TEXT},
        {"integrity": {"method": "md5", "value": "!"}, "mtime": TIME_TEXT},
        {"integrity": {"method": "cod", "value": "sha512"}, "mtime": TIME_TEXT},
        {"integrity": {"method": 7}, "mtime": TIME_TEXT},
        {"integrity": "{", "mtime": TIME_TEXT},
        {"integrity": "d,ac8d831ec7ffe25b3a0bbc3b22fca2c4", "mtime": TIME_TEXT},
    ],
)
def test_a_checksum_that_may_be_of_another_content_is_not_believed(tmp_path: Path, values: dict[str, object]) -> None:
    file = write(tmp_path, "a", b"hello")
    attributes(file, **values)
    scan_tree(tmp_path)
    assert read(tmp_path, "a").content == sha512(b"hello")


def test_both_attributes_may_be_there_when_they_tell_the_same(tmp_path: Path) -> None:
    file = write(tmp_path, "a")
    attributes(file, integrity=noted(b"x"), identity=noted(b"x"), mtime=TIME_TEXT)
    descriptor = os.open(file, os.O_RDONLY)
    try:
        assert read_checksum(descriptor, NOW) == Integrity("sha512", sha512(b"x"))
        os.removexattr(file, f"{IDENTITY}")
        assert read_checksum(descriptor, NOW) == Integrity("sha512", sha512(b"x"))
    finally:
        os.close(descriptor)
