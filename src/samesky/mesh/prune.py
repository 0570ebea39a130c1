"""Removing directories that are named by a UTC hour, ``2026112117`` or ``20261121T17``, when they are old enough.

Nothing else is ever removed: no directory with another name, none that is named so but isn't a directory of this very
folder, and none whose hour hasn't ended that long ago. What is removed stays known to the tree's index as pruned, so
that no comparison of trees brings it back.
"""

import errno
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import ConfigError
from .index import Index
from .statefile import FILE_NAME, FOLDER

TRIES = 3
_HOUR = re.compile(r"([0-9]{8})T?([0-9]{2})", re.ASCII)
_BUSY = {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}


@dataclass(frozen=True, slots=True)
class Pruned:
    """What `apply_prune` did: names of directories, and why some are still there."""

    removed: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


def decode_hour(name: str) -> datetime | None:
    """Return the UTC hour that a directory is named by; None for every other name, and for an hour that never was."""
    match = _HOUR.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match[1] + match[2], "%Y%m%d%H").replace(tzinfo=UTC)
    except ValueError:
        return None


def plan_prune(names: Iterable[str], *, hours: int, now: datetime) -> list[str]:
    """Return which of these directories are old, the oldest first: their hour has ended ``hours`` ago, or earlier.

    So what is removed is older than that to the last file, as far as files stand where their time says.
    """
    before = now - timedelta(hours=hours + 1)
    dated = [(hour, name) for name in names if (hour := decode_hour(name)) is not None]
    return [name for hour, name in sorted(dated) if hour <= before]


def read_directories(folder: Path) -> list[str]:
    """Return the names of the directories in ``folder``: no links, and nothing that another disk is mounted on.

    Raises ``OSError``.
    """
    home = os.stat(folder).st_dev
    with os.scandir(folder) as entries:
        return [
            each.name
            for each in entries
            if each.is_dir(follow_symlinks=False) and each.stat(follow_symlinks=False).st_dev == home
        ]


def apply_prune(folder: Path, names: Iterable[str], *, on_removed: Callable[[str], None]) -> Pruned:
    """Remove the directories ``names`` of ``folder`` with all that is in them; ``on_removed`` is told of each.

    The index of the tree that ``folder`` is, or is in, is told first: if we end in between, the next run goes on.
    Raises `ConfigError` for a name that names no hour, and what `Index` raises.
    """
    chosen = list(names)
    if wrong := [name for name in chosen if decode_hour(name) is None]:
        raise ConfigError(f"{wrong[0]} is no directory of an hour")
    tree = find_tree(folder)
    index = Index(tree) if tree else None
    root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    removed, failed = [], {}
    try:
        for name in chosen:
            if index is not None and tree is not None:
                index.mark_pruned(_place_in(tree, folder, name))
            try:
                _remove(root, name)
            except OSError as error:
                failed[name] = error.strerror or str(error)
            else:
                removed.append(name)
                on_removed(name)
    finally:
        os.close(root)
        if index is not None:
            index.close()
    return Pruned(tuple(removed), failed)


def find_tree(folder: Path) -> Path | None:
    """Return the tree that ``folder`` is or is in: the nearest folder with an index; None when there is none."""
    here = folder.resolve()
    for place in (here, *here.parents):
        if (place / FOLDER / FILE_NAME).is_file():
            return place
    return None


def _place_in(tree: Path, folder: Path, name: str) -> str:
    """The path of the directory ``name`` of ``folder``, as the tree's index knows it."""
    return (folder.resolve() / name).relative_to(tree).as_posix()


def _remove(root: int, name: str) -> None:
    """Remove a directory; again, when a peer put a file into it meanwhile, or another pruner took one out.

    Nothing is followed (`shutil.rmtree`).
    """
    for last in (*[False] * (TRIES - 1), True):
        try:
            mode = os.stat(name, dir_fd=root, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return  # another pruner was quicker
        if not stat.S_ISDIR(mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        try:
            shutil.rmtree(name, dir_fd=root)
            return
        except OSError as error:
            if last or error.errno not in _BUSY:
                raise
