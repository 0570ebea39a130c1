"""A file is read once and announced as it was then; the publisher knows what the broker has taken."""

import hashlib
import os
from pathlib import Path

import pytest

from samesky.core.strict import Reason, Refused
from samesky.errors import DataError
from samesky.mesh.announcement import Entry, Integrity
from samesky.mesh.index import Index
from samesky.mesh.publish import (
    PIECE_BYTES,
    choose_pub_time,
    enter_files,
    find_files,
    make_announcement,
    make_message,
    open_index,
    path_below,
    read_file,
)
from samesky.mesh.v03 import decode_v03

NOW_NS = 1_700_000_000_000_000_000
URL = "http://blacklab:8000/data"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "data" / "GTS").mkdir(parents=True)
    (tmp_path / "data" / "GTS" / "a.txt").write_bytes(b"hello\n")
    return tmp_path / "data"


# ---------------------------------------------------------------------- files


def test_a_file_is_announced_by_its_place_in_the_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert path_below(tree / "GTS" / "a.txt", tree) == "GTS/a.txt"
    monkeypatch.chdir(tree.parent)
    assert path_below(Path("data/GTS/../GTS/a.txt"), Path("data")) == "GTS/a.txt"
    (tree.parent / "link").symlink_to(tree)
    assert path_below(Path("link/GTS/a.txt"), Path("data")) == "GTS/a.txt"
    assert path_below(Path("data/GTS/a.txt"), Path("link")) == "GTS/a.txt"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../other/a", Reason.PATH),
        ("x/../../a", Reason.PATH),
        (".samesky/mesh.sdb", Reason.RESERVED),
        ("-rf", Reason.RESERVED),
    ],
)
def test_what_is_outside_or_has_a_name_that_peers_refuse_is_not_announced(
    tree: Path, name: str, reason: Reason
) -> None:
    with pytest.raises(Refused) as raised:
        path_below(tree / name, tree)
    assert raised.value.reason == reason


def test_a_directory_that_leads_out_of_the_tree_does_not(tree: Path) -> None:
    (tree.parent / "out").mkdir()
    (tree / "in").symlink_to(tree.parent / "out")
    with pytest.raises(Refused, match="isn't below"):
        path_below(tree / "in" / "a", tree)


@pytest.mark.parametrize("size", [0, 1, 1024, 1025, PIECE_BYTES, 3 * PIECE_BYTES + 5])
def test_a_file_is_read_once_with_its_checksum_and_its_content_when_it_is_small(tree: Path, size: int) -> None:
    content = os.urandom(size)
    (tree / "f").write_bytes(content)
    read = read_file(tree / "f", "f", inline_most_bytes=1024)
    assert (read.size, read.sha512) == (size, hashlib.sha512(content).digest())
    assert read.content == (content if 0 < size <= 1024 else None)
    assert read.mtime_ns == (tree / "f").stat().st_mtime_ns
    assert read_file(tree / "f", "f").content is None


def test_what_is_no_regular_file_is_refused_and_never_waited_for(tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    (tree / "link").symlink_to(tree / "GTS" / "a.txt")
    for name in ("pipe", "GTS"):
        with pytest.raises(Refused, match="no regular file"):
            read_file(tree / name, name)
    with pytest.raises(OSError, match="symbolic links"):
        read_file(tree / "link", "link")


def test_a_file_that_is_longer_than_it_was_a_moment_ago_is_not_announced() -> None:
    with pytest.raises(DataError, match="being written"):
        read_file(Path("/proc/self/status"), "status")  # it says that it has 0 bytes, and then there are more


def test_the_files_of_a_folder_are_found_without_links_and_hidden_ones(tree: Path) -> None:
    for name in (".samesky", "GTS/.git", "empty"):
        (tree / name).mkdir()
    for name in (".samesky/mesh.sdb", "GTS/.git/x", "GTS/.part", "GTS/b", "top"):
        (tree / name).write_bytes(b"x")
    (tree / "link").symlink_to(tree / "GTS")
    os.mkfifo(tree / "pipe")
    assert [str(file.relative_to(tree)) for file in find_files(tree)] == ["GTS/a.txt", "GTS/b", "top"]


# ---------------------------------------------------------------------- announcements


def test_an_announcement_tells_what_was_read(tree: Path) -> None:
    read = read_file(tree / "GTS" / "a.txt", "GTS/a.txt", inline_most_bytes=10)
    told = make_announcement(read, base_url=URL, pub_time=NOW_NS, headers={"source": "CWAO"})
    message = make_message(told, exchange="xpublic")
    assert (message.topic, message.qos, message.content_type) == ("xpublic/v03/post/GTS", 1, "application/json")
    heard = decode_v03(message.payload, now_ns=NOW_NS)
    assert heard == told
    assert heard.integrity == Integrity("sha512", hashlib.sha512(b"hello\n").digest())
    assert heard.url == f"{URL}/GTS/a.txt"
    assert (heard.content, heard.extra["source"]) == (b"hello\n", "CWAO")


def test_no_announcement_has_the_content_of_another_file(tree: Path) -> None:
    files = []
    for number, size in enumerate([5, 5000, 0, 7]):
        (tree / f"{number}").write_bytes(bytes([number]) * size)
        files.append(read_file(tree / f"{number}", f"{number}", inline_most_bytes=1024))
    told = enter_files(None, files, base_url=URL)
    assert [each.content for each in told] == [b"\0" * 5, None, None, b"\3" * 7]
    assert len({each.path for each in told}) == 4


def test_a_new_version_is_later_than_what_is_known_whatever_the_clock_says() -> None:
    assert choose_pub_time(None, NOW_NS + 999) == NOW_NS
    known = Entry("a", NOW_NS + 5_000_000, None, 0, 0)
    assert choose_pub_time(known, NOW_NS) == NOW_NS + 5_001_000
    assert choose_pub_time(known, NOW_NS + 9_000_000) == NOW_NS + 9_000_000


def test_a_file_is_in_the_trees_index_before_it_is_announced(tree: Path) -> None:
    assert open_index(tree) is None
    with Index(tree) as index:
        index.apply([Entry("GTS/a.txt", 1 << 62, None, 0, 0, state="removed")])
    opened = open_index(tree)
    assert opened is not None
    with opened as index:
        read = read_file(tree / "GTS" / "a.txt", "GTS/a.txt")
        (told,) = enter_files(index, [read], base_url=URL, headers={"source": "CWAO"})
        entry = index.read("GTS/a.txt")
        assert entry is not None
        assert entry.version == told.version
        assert told.pub_time > 1 << 62
        assert (entry.state, entry.content, entry.size, entry.mtime_ns) == ("here", read.sha512, 6, read.mtime_ns)
        assert entry.extra == {"source": "CWAO"}
        assert index.count == 1
