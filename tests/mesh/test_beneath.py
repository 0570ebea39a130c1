"""Opening below a directory, by openat2 and part by part: the same files, and never one that is elsewhere."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samesky.mesh import beneath
from stands.descriptors import count_open

Opener = Callable[..., int]


@pytest.fixture(params=[beneath.open_beneath, beneath.open_part_by_part], ids=["openat2", "part by part"])
def opener(request: pytest.FixtureRequest) -> Opener:
    return request.param


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/b/file").write_text("inside")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("outside")
    descriptor = os.open(tmp_path / "tree", os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 100)
    finally:
        os.close(descriptor)


def test_a_file_below_is_opened(root: int, opener: Opener) -> None:
    assert read(opener(root, "a/b/file", os.O_RDONLY)) == b"inside"


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_PATH, beneath.DIRECTORY_ONLY])
@pytest.mark.parametrize(
    "path", ["link", "link/secret", "a/link/secret", "a/up/outside/secret", "proc/cwd", "file-link"]
)
def test_no_symbolic_link_is_followed(root: int, opener: Opener, tmp_path: Path, path: str, flags: int) -> None:
    tree = tmp_path / "tree"
    (tree / "link").symlink_to(tmp_path / "outside")
    (tree / "a/link").symlink_to("../../outside")
    (tree / "a/up").symlink_to("../..")
    (tree / "file-link").symlink_to("a/b/file")
    (tree / "proc").symlink_to("/proc/self")
    with pytest.raises(OSError, match="symbolic links") as caught:
        os.close(opener(root, path, flags))
    assert caught.value.errno == errno.ELOOP


@pytest.mark.parametrize("path", ["../outside/secret", "a/../../outside/secret", "/etc/passwd", ""])
def test_no_path_leads_out(root: int, opener: Opener, path: str) -> None:
    with pytest.raises(OSError, match=r"cross-device|No such file"):
        os.close(opener(root, path, os.O_RDONLY))


def test_a_nul_in_a_path_doesnt_end_it(root: int, opener: Opener) -> None:
    with pytest.raises((OSError, ValueError)):
        os.close(opener(root, "a/b/file\0.txt", os.O_RDONLY))


def test_a_file_among_the_directories_is_told_from_a_link(root: int, opener: Opener) -> None:
    with pytest.raises(NotADirectoryError):
        os.close(opener(root, "a/b/file/x", os.O_RDONLY))
    with pytest.raises(FileNotFoundError):
        os.close(opener(root, "a/c/file", os.O_RDONLY))


def test_no_descriptor_is_left_open(root: int, opener: Opener, tmp_path: Path) -> None:
    assert count_open(tmp_path) == 1
    for path in ("a/b/file", "a/b/nothing", "a/b/file/x", "../x"):
        try:
            os.close(opener(root, path, os.O_RDONLY))
        except OSError:
            pass
    assert count_open(tmp_path) == 1
