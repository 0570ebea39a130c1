"""A reader of trees who looks at every file the moment it has its name, and sees whether it is whole."""

import hashlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Self

from .inotify import CREATE, IS_FOLDER, MODIFY, MOVED_TO, Inotify, Told

DIGEST_BYTES = 64
LOOK_EVERY_S = 0.1


def make_content(chance: Random, size_bytes: int) -> bytes:
    """Content that tells by itself whether it is whole: it begins with the checksum of the rest."""
    rest = chance.randbytes(size_bytes - DIGEST_BYTES)
    return hashlib.sha256(rest).hexdigest().encode() + rest


def is_whole(content: bytes) -> bool:
    """Whether this is what `make_content` made, to the last byte."""
    return hashlib.sha256(content[DIGEST_BYTES:]).hexdigest().encode() == content[:DIGEST_BYTES]


class Reader:
    """Watches ``trees``, whose files are of `make_content`. A context manager.

    A file must come to its name whole, by a rename; one that is made or written under its name is a fault even when
    nobody was quick enough to read half of it. Names that begin with a dot aren't for readers.
    """

    def __init__(self, trees: Iterable[Path]) -> None:
        self._trees = [str(tree) for tree in trees]
        self._inotify = Inotify()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mesh-reader", daemon=True)
        self.read_count = 0
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        for tree in self._trees:
            self._enter_folder(tree)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._inotify.__exit__()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                for told in self._inotify.read(LOOK_EVERY_S):
                    self._look(told)
            while news := self._inotify.read(0):  # what was there at the end, however busy the machine was
                for told in news:
                    self._look(told)
        except Exception as error:
            self.faults.append(f"the reader itself: {error!r}")

    def _look(self, told: Told) -> None:
        path = f"{told.folder}/{told.name}"
        if told.name.startswith("."):
            return
        if told.mask & IS_FOLDER:
            self._enter_folder(path)
        elif told.mask & (CREATE | MODIFY):
            self.faults.append(f"{path} was written under its name")
        else:
            self._read(path)

    def _enter_folder(self, folder: str) -> None:
        self._inotify.watch(folder, CREATE | MODIFY | MOVED_TO)
        for entry in os.scandir(folder):  # what came before we watched
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                self._enter_folder(entry.path)
            else:
                self._read(entry.path)

    def _read(self, path: str) -> None:
        content = Path(path).read_bytes()
        self.read_count += 1
        if not is_whole(content):
            self.faults.append(f"{path} isn't whole: {len(content)} bytes")
