"""What the kernel tells of directories: files that are made, written, and given their names (Linux)."""

import ctypes
import os
import select
import struct
from pathlib import Path
from typing import NamedTuple, Self

MODIFY, CLOSE_WRITE, MOVED_TO, CREATE = 0x2, 0x8, 0x80, 0x100
OVERFLOW, IS_FOLDER = 0x4000, 0x4000_0000
_EVENT = struct.Struct("iIII")


class Told(NamedTuple):
    """One event."""

    folder: str
    name: str
    mask: int


class Inotify:
    """Watches folders. A context manager."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """For `select`."""
        return self._descriptor

    def watch(self, folder: Path | str, mask: int) -> None:
        """Tell of ``mask`` in ``folder`` from now on; harmless when it is watched."""
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)
        if number < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(folder))
        self._folders[number] = str(folder)

    def read(self, timeout_s: float) -> list[Told]:
        """What has happened; waits up to ``timeout_s`` for the first. Raises `OverflowError` when some was lost."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        data, position, told = os.read(self._descriptor, 1 << 18), 0, []
        while position < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, position)
            if mask & OVERFLOW:
                raise OverflowError("the kernel's queue of events ran over")
            end = position + _EVENT.size + length
            if number in self._folders:
                name = os.fsdecode(data[position + _EVENT.size : end].rstrip(b"\0"))
                told.append(Told(self._folders[number], name, mask))
            position = end
        return told
