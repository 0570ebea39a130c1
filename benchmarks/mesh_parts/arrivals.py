"""When files come to be: by looking at them in turn, or told by the kernel the moment each appears."""

import ctypes
import os
import select
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

IN_CLOSE_WRITE, IN_MOVED_TO = 0x8, 0x80
EVENT = struct.Struct("iIII")
LOOK_EVERY_S = 0.02


def wait_for_files(places: Sequence[Path], size_bytes: int, deadline_s: float) -> float:
    """Wait until all files are there in full; returns the moment (monotonic). Raises `TimeoutError`.

    Each is looked at once when they come in about this order, so that looking costs next to nothing.
    """
    end, texts = time.monotonic() + deadline_s, [str(place) for place in places]
    done = 0
    while True:
        while done < len(texts) and _size_of(texts[done]) == size_bytes:
            done += 1
        if done == len(texts):
            return time.monotonic()
        if time.monotonic() > end:
            there = sum(_size_of(text) == size_bytes for text in texts)
            raise TimeoutError(f"{there:,} of {len(texts):,} files after {deadline_s:.0f} s; missing: {texts[done]}")
        time.sleep(LOOK_EVERY_S)


def _size_of(place: str) -> int:
    try:
        return os.stat(place).st_size
    except FileNotFoundError:
        return -1


class Appearances:
    """Tells when files get their names or are closed below ``folders``, which have to be there. A context manager."""

    def __init__(self, folders: Iterable[Path]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._folders: dict[int, str] = {}
        for folder in folders:
            watch = libc.inotify_add_watch(self._descriptor, os.fsencode(folder), IN_CLOSE_WRITE | IN_MOVED_TO)
            if watch < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))
            self._folders[watch] = str(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def fileno(self) -> int:
        """For `select`."""
        return self._descriptor

    def read(self, timeout_s: float) -> list[tuple[str, float]]:
        """(place, moment) of each file that has appeared; waits up to ``timeout_s`` for the first."""
        if not select.select([self._descriptor], [], [], timeout_s)[0]:
            return []
        now, data = time.monotonic(), os.read(self._descriptor, 1 << 16)
        found, position = [], 0
        while position < len(data):
            watch, _, _, length = EVENT.unpack_from(data, position)
            name = data[position + EVENT.size : position + EVENT.size + length].rstrip(b"\0").decode()
            found.append((f"{self._folders[watch]}/{name}", now))
            position += EVENT.size + length
        return found
