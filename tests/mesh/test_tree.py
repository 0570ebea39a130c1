"""The tree: files are whole or not there, and nothing outside is ever touched (rows 35 to 39 of the bad inputs)."""

import ctypes
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stands.small_disk import mounted_disk

from samesky.core.strict import Reason, Refused
from samesky.errors import Locked, Unreachable
from samesky.mesh import beneath
from samesky.mesh.tree import INCOMING, Tree
from stands.descriptors import count_open


@pytest.fixture(params=["openat2", "part by part"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    if request.param == "part by part":  # what an old kernel, or a sandbox, makes of it
        monkeypatch.setattr(beneath, "_openat2_works", lambda: False)
    with Tree(tmp_path / "tree") as opened:
        yield opened


def place(tree: Tree, path: str, content: bytes = b"content") -> os.stat_result:
    return tree.place(tree.write_incoming(content), path)


def files(folder: Path) -> dict[str, bytes]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found if "mesh.sdb" not in path.name}


def test_a_file_is_placed_with_its_directories_and_the_usual_modes(tree: Tree) -> None:
    before = os.umask(0o022)
    try:
        found = place(tree, "2026/11/21/file.txt", b"hello")
    finally:
        os.umask(before)
    path = tree.folder / "2026/11/21/file.txt"
    assert path.read_bytes() == b"hello"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert (found.st_size, found.st_ino) == (5, path.stat().st_ino)
    assert files(tree.folder) == {"2026/11/21/file.txt": b"hello"}, "nothing else is left"


def test_the_folder_for_incoming_files_is_for_the_owner_alone(tree: Tree) -> None:
    assert stat.S_IMODE((tree.folder / INCOMING).stat().st_mode) == 0o700


def test_a_file_is_replaced_whole_and_one_that_is_being_read_stays_as_it_was(tree: Tree) -> None:
    place(tree, "a/file", b"old" * 1000)
    reader = tree.open_file("a/file")
    place(tree, "a/file", b"new")
    assert os.read(reader, 10_000) == b"old" * 1000
    os.close(reader)
    assert (tree.folder / "a/file").read_bytes() == b"new"


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "a/", "", ".", "a/./b", "a\0b"])
def test_a_path_that_leads_out_of_the_tree_is_refused(tree: Tree, tmp_path: Path, path: str) -> None:
    name = tree.write_incoming(b"evil")
    before = files(tmp_path)
    for act in (
        lambda: tree.place(name, path),
        lambda: tree.remove(path),
        lambda: tree.read_stat(path),
        lambda: tree.open_file(path),
        lambda: tree.make_directory(path),
        lambda: tree.remove_directory(path),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason == Reason.PATH
    assert files(tmp_path) == before


def test_percent_signs_and_backslashes_in_a_name_are_only_characters(tree: Tree, tmp_path: Path) -> None:
    place(tree, "%2e%2e/x")
    place(tree, "..\\x")
    assert files(tmp_path / "tree").keys() == {"%2e%2e/x", "..\\x"}


@pytest.mark.parametrize("path", [".samesky/mesh.sdb", ".samesky", ".samesky/incoming/x"])
def test_where_the_state_is_kept_nothing_is_placed_or_removed(tree: Tree, path: str) -> None:
    name = tree.write_incoming(b"evil")
    for act in (lambda: tree.place(name, path), lambda: tree.remove(path)):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason == Reason.RESERVED


@pytest.mark.parametrize("link", ["../outside", "/etc", "/proc/self/root", "here"])
def test_no_file_is_written_read_or_removed_through_a_symbolic_link(tree: Tree, tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("precious")
    place(tree, "here/file", b"precious")
    (tree.folder / "link").symlink_to(link)
    before = files(tmp_path)
    name = tree.write_incoming(b"evil")
    for act in (
        lambda: tree.place(name, "link/file"),
        lambda: tree.place(name, "link/new/file"),
        lambda: tree.place_new(name, "link/file"),
        lambda: tree.remove("link/file"),
        lambda: tree.make_directory("link/new"),
    ):
        with pytest.raises(Refused) as caught:
            act()
        assert caught.value.reason == Reason.PATH
    assert tree.read_stat("link/file") is None
    assert tree.hash_file("link/file") is None
    tree.discard_incoming(name)
    assert files(tmp_path) == before


def test_a_symbolic_link_in_the_place_of_a_file_is_replaced_not_followed(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tree.folder / "file").symlink_to(tmp_path / "precious")
    assert tree.read_stat("file") is None
    place(tree, "file", b"new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tree.folder / "file").is_symlink()


def test_what_is_to_be_new_is_placed_only_where_nothing_is(tree: Tree) -> None:
    place(tree, "a/file", b"first")
    (tree.folder / "a/link").symlink_to("nowhere")
    name = tree.write_incoming(b"second")
    assert [tree.place_new(name, path) for path in ("a/file", "a/link", "a")] == [None, None, None]
    assert (tree.folder / "a/file").read_bytes() == b"first"
    found = tree.place_new(name, "b/new/file")
    assert found is not None
    assert found.st_size == 6
    assert (tree.folder / "b/new/file").read_bytes() == b"second"


def test_nothing_gets_out_while_somebody_swaps_a_directory_for_a_link(tree: Tree, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tree.folder / "d").mkdir()
    (tree.folder / "link").symlink_to(tmp_path / "outside")
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = [os.fsencode(tree.folder / name) for name in ("d", "link")]
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            assert renameat2(-100, names[0], -100, names[1], 2) == 0  # 2 is RENAME_EXCHANGE

    swapper = threading.Thread(target=swap, name="swapper")
    swapper.start()
    placed = refused = 0
    try:
        while not (placed > 50 and refused > 50):
            name = tree.write_incoming(b"evil")
            try:
                tree.place(name, f"d/file{placed}")
                placed += 1
            except Refused:
                refused += 1
                tree.discard_incoming(name)
    finally:
        stop.set()
        swapper.join(30)
    assert os.listdir(tmp_path / "outside") == []


def test_a_directory_in_the_way_of_a_file_is_a_conflict_and_stays(tree: Tree) -> None:
    place(tree, "a/b/file")
    before = files(tree.folder)
    name = tree.write_incoming(b"x")
    with pytest.raises(Refused) as caught:
        tree.place(name, "a/b")
    assert caught.value.reason == Reason.CONFLICT
    with pytest.raises(Refused):
        tree.remove("a/b")
    tree.discard_incoming(name)
    assert files(tree.folder) == before


def test_a_file_in_the_way_of_a_directory_is_a_conflict_and_stays(tree: Tree) -> None:
    place(tree, "a/b", b"a file")
    name = tree.write_incoming(b"x")
    for path in ("a/b/file", "a/b/c/d/file"):
        with pytest.raises(Refused) as caught:
            tree.place(name, path)
        assert caught.value.reason == Reason.CONFLICT
    assert (tree.folder / "a/b").read_bytes() == b"a file"


def test_a_directory_that_is_removed_and_made_again_under_way_doesnt_lose_files(tree: Tree) -> None:
    stop = threading.Event()

    def prune() -> None:
        while not stop.wait(0.0002):
            tree.remove_directory("d/e")
            tree.remove_directory("d")

    pruner = threading.Thread(target=prune, name="pruner")
    pruner.start()
    try:
        for number in range(150):
            place(tree, f"d/e/{number}")
            assert tree.remove(f"d/e/{number}")
    finally:
        stop.set()
        pruner.join(30)


def test_removing_says_whether_there_was_a_file(tree: Tree) -> None:
    place(tree, "a/file")
    assert tree.remove("a/file")
    assert not tree.remove("a/file")
    assert not tree.remove("nowhere/at/all")
    assert tree.remove_directory("a")
    assert not tree.remove_directory("a")


def test_only_an_empty_directory_is_removed(tree: Tree) -> None:
    place(tree, "a/file")
    assert not tree.remove_directory("a")
    assert not tree.remove_directory("a/file")
    tree.make_directory("b/c")
    assert (tree.folder / "b/c").is_dir()
    tree.make_directory("b/c")


def test_reading_a_files_figures_and_checksum(tree: Tree) -> None:
    place(tree, "a/file", b"hello")
    found = tree.read_stat("a/file")
    hashed = tree.hash_file("a/file")
    assert (hashed.sha512, hashed.size) == (hashlib.sha512(b"hello").digest(), 5)
    assert hashed.mtime_ns == found.st_mtime_ns
    assert tree.hash_file("a/nothing") is None
    assert tree.read_stat("a") is None


def test_what_isnt_a_regular_file_isnt_opened_and_doesnt_stop_us(tree: Tree) -> None:
    os.mkfifo(tree.folder / "pipe")
    tree.make_directory("directory")
    for path in ("pipe", "directory", "nothing", "pipe/x"):
        with pytest.raises(FileNotFoundError):
            tree.open_file(path)
    assert tree.read_stat("pipe") is None


def test_walking_tells_all_regular_files_by_directory_and_nothing_else(tree: Tree, tmp_path: Path) -> None:
    for path in ("top", "b/2", "a/1", "a/3", "a/c/deep", "ä/ö"):
        place(tree, path, path.encode())
    place(tree, "a/.hidden")
    place(tree, ".git/config")
    os.mkfifo(tree.folder / "pipe")
    (tree.folder / "link").symlink_to("a")
    (tree.folder / "a/link").symlink_to("1")
    (Path(os.fsdecode(os.fsencode(tree.folder) + b"/bad\xff"))).write_text("not a text")
    found = {directory: sorted(each.name for each in listed) for directory, listed in tree.walk()}
    assert found == {"": ["top"], "a": ["1", "3"], "a/c": ["deep"], "b": ["2"], "ä": ["ö"]}
    assert list(found) == sorted(found)
    listed = dict(tree.walk())["a"]
    assert {each.name: each.size for each in listed} == {"1": 3, "3": 3}
    assert all(each.mtime_ns == tree.read_stat(f"a/{each.name}").st_mtime_ns for each in listed)


def test_a_download_goes_on_where_it_ended_and_only_one_writes_it(tree: Tree) -> None:
    first = tree.open_incoming("download")
    os.write(first, b"half")
    with pytest.raises(Locked):
        tree.open_incoming("download")
    os.close(first)
    again = tree.open_incoming("download")
    assert os.read(again, 10) == b"half"
    os.write(again, b" whole")
    os.close(again)
    tree.place("download", "a/file")
    assert (tree.folder / "a/file").read_bytes() == b"half whole"
    os.close(tree.open_incoming("download"))
    assert (tree.folder / INCOMING / "download").read_bytes() == b"", "a new one, not the file that is in place"


def test_who_waited_for_a_download_doesnt_write_into_the_file_in_place(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(tree.open_incoming("download"))
    real = fcntl.flock
    moves = [lambda: tree.place("download", "file")]

    def slow_flock(descriptor: int, how: int) -> None:
        if moves:
            moves.pop()()
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", slow_flock)
    descriptor = tree.open_incoming("download")
    os.write(descriptor, b"other")
    os.close(descriptor)
    assert (tree.folder / "file").read_bytes() == b""


@pytest.mark.parametrize("name", ["../x", "a/b", "", "..", "x\0y"])
def test_the_name_of_an_incoming_file_is_a_name(tree: Tree, name: str) -> None:
    for act in (lambda: tree.open_incoming(name), lambda: tree.discard_incoming(name), lambda: tree.place(name, "a")):
        with pytest.raises(ValueError, match="incoming file"):
            act()


def test_incoming_files_that_a_killed_process_left_are_removed_after_a_while(tree: Tree) -> None:
    tree.write_incoming(b"left")
    os.close(tree.open_incoming("download"))
    assert tree.clean_incoming() == 0
    assert tree.incoming.clean(stale_s=-1) == 1
    assert tree.incoming.clean(stale_partial_s=-1) == 1
    assert os.listdir(tree.folder / INCOMING) == []


def test_on_a_full_disk_no_part_of_a_file_is_left(tmp_path: Path) -> None:
    with mounted_disk(tmp_path / "disk", "1m") as disk, Tree(disk.folder) as tree:
        with pytest.raises(Unreachable, match="No space left"):
            tree.write_incoming(os.urandom(2 << 20))
        assert os.listdir(tree.folder / INCOMING) == []
        place(tree, "small")
        disk.grow("4m")
        place(tree, "large", os.urandom(2 << 20))


def test_no_descriptor_is_left_open(tree: Tree, tmp_path: Path) -> None:
    before = count_open(tmp_path)
    place(tree, "a/b/file")
    (tree.folder / "link").symlink_to("a")
    list(tree.walk())
    for path in ("a/b/file", "a", "a/b/file/x", "link/b/file", "nowhere/x"):
        tree.read_stat(path)
        tree.hash_file(path)
    name = tree.write_incoming(b"x")
    for path in ("a", "a/b/file/x", "link/x"):
        with pytest.raises(Refused):
            tree.place(name, path)
    tree.sync()
    assert count_open(tmp_path) == before > 0
