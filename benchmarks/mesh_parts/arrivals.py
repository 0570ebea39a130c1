"""When files come to be: by looking at them in turn, or told by the kernel the moment each appears."""

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

from tests.stands.inotify import CLOSE_WRITE, MOVED_TO, Inotify

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
    """Tells when files get their names or are closed in ``folders``, which have to be there. A context manager."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._inotify = Inotify()
        for folder in folders:
            self._inotify.watch(folder, CLOSE_WRITE | MOVED_TO)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inotify.__exit__()

    def fileno(self) -> int:
        """For `select`."""
        return self._inotify.fileno()

    def read(self, timeout_s: float) -> list[tuple[str, float]]:
        """(place, moment) of each file that has appeared; waits up to ``timeout_s`` for the first."""
        told = self._inotify.read(timeout_s)
        now = time.monotonic()
        return [(f"{each.folder}/{each.name}", now) for each in told]
