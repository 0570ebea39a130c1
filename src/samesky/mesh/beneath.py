"""Opening what is below a directory, and nothing else: no ``..``, no symbolic link, no magic link of ``/proc``.

Linux does it in one call, ``openat2`` (5.6); elsewhere, and where a sandbox forbids the call, each part of the path is
opened in the directory before it. Either way nobody can slip a link in between a check and the use of a path.
"""

import ctypes
import errno
import functools
import os
import stat
import struct
from typing import Any

_OPENAT2 = 437  # the same number on every architecture that Python knows but Alpha
_NO_MAGICLINKS, _NO_SYMLINKS, _BENEATH = 0x02, 0x04, 0x08
_RESOLVE = _NO_MAGICLINKS | _NO_SYMLINKS | _BENEATH
_TRIES = 16
PATH_ONLY = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)
"""Flags for looking at a file without opening it, which a FIFO could stop."""
DIRECTORY_ONLY = PATH_ONLY | os.O_DIRECTORY
"""Flags for a directory in which names are looked up, made, renamed or removed."""


def open_beneath(root: int, path: str, flags: int, mode: int = 0) -> int:
    """Open ``path`` below the directory descriptor ``root``, as `os.open` does; it is closed on exec.

    Raises OSError: ELOOP where the path has a symbolic link, EXDEV where it leads out, and what `os.open` raises.
    """
    name = os.fsencode(path)
    if b"\0" in name:  # C would take what is before it for the whole
        raise OSError(errno.EINVAL, "the path has a NUL")
    if _openat2_works():
        # With O_NOFOLLOW it would open a link itself, in spite of NO_SYMLINKS.
        return _open_at_once(root, name, (flags | os.O_CLOEXEC) & ~os.O_NOFOLLOW, mode)
    return open_part_by_part(root, path, flags, mode)


def open_part_by_part(root: int, path: str, flags: int, mode: int = 0) -> int:
    """What `open_beneath` does where there is no ``openat2``."""
    parts = path.split("/")
    if not all(part not in ("", "..") for part in parts):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    here = root
    try:
        for part in parts[:-1]:
            below = _open_one(here, part, DIRECTORY_ONLY)
            _close_below(root, here)
            here = below
        return _open_one(here, parts[-1], flags, mode)
    finally:
        _close_below(root, here)


def _open_one(here: int, part: str, flags: int, mode: int = 0) -> int:
    flags |= os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        opened = os.open(part, flags, mode, dir_fd=here)
    except NotADirectoryError:  # so a symbolic link is called when a directory is wanted
        if stat.S_ISLNK(os.stat(part, dir_fd=here, follow_symlinks=False).st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP)) from None
        raise
    if flags & PATH_ONLY and stat.S_ISLNK(os.fstat(opened).st_mode):  # O_PATH opens the link itself
        os.close(opened)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return opened


def _close_below(root: int, descriptor: int) -> None:
    if descriptor != root:
        os.close(descriptor)


def _open_at_once(root: int, name: bytes, flags: int, mode: int) -> int:
    how = struct.pack("QQQ", flags, mode, _RESOLVE)
    for _ in range(_TRIES):
        opened = _syscall()(_OPENAT2, root, name, how, len(how))
        if opened >= 0:
            return int(opened)
        error = ctypes.get_errno()
        if error not in (errno.EAGAIN, errno.EINTR):  # EAGAIN: something was renamed just then
            break
    raise OSError(error, os.strerror(error))


@functools.cache
def _openat2_works() -> bool:
    if not hasattr(os, "O_PATH"):
        return False
    try:
        os.close(_open_at_once(-100, b".", os.O_PATH | os.O_CLOEXEC, 0))  # -100 is AT_FDCWD
    except OSError:  # ENOSYS: an old kernel; EPERM: a sandbox that doesn't know the call
        return False
    return True


@functools.cache
def _syscall() -> Any:
    function = ctypes.CDLL(None, use_errno=True).syscall
    function.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    function.restype = ctypes.c_long
    return function
