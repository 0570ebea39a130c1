"""A large file while it comes: `PartialFile`, with its checksums so far, kept when a download breaks off."""

import hashlib
import os
from typing import Any

from ..link.http import Get
from .announcement import METHODS, Announcement
from .tree import Tree

_ATTRIBUTE = "user.samesky.source"


class PartialFile:
    """The file that a download goes to, with its checksums so far. Whose pieces they are is in an attribute of it."""

    def __init__(self, tree: Tree, announcement: Announcement) -> None:
        self.name = hashlib.sha256(repr((announcement.path, announcement.version)).encode()).hexdigest()[:32]
        self.size = 0
        self.failure = ""
        self.begins = True
        """Whether the next piece is the first of an answer."""
        self.was_resumed = False
        self._tree = tree
        self._fd = tree.open_incoming(self.name)
        self._integrity = announcement.integrity
        self._methods = {"sha512"} | ({announcement.integrity.method} if announcement.integrity else set())
        self._hashes: dict[str, Any] = {}
        self._begin(os.fstat(self._fd).st_size)

    def validator_of(self, source: str) -> str:
        """What ``source`` called the version whose pieces are here; empty when they are another's."""
        try:
            owner, _, validator = (
                os.getxattr(self._fd, _ATTRIBUTE).decode().partition("\n") if self.size else ("", "", "")
            )
        except (OSError, UnicodeDecodeError):
            return ""
        return validator if owner == source else ""

    def take(self, piece: bytes, get: Get, source: str) -> None:
        """Append what came of ``get`` from ``source``; after a failure to write, nothing more."""
        if self.begins:
            self.begins, self.was_resumed = False, get.begins_at > 0
            if get.begins_at != self.size:
                self.restart()
            self._note_source(source, get.version)
        if self.failure or self._fd < 0:
            return
        try:
            view = memoryview(piece)
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            self.failure = f"{error.strerror} in the folder for incoming files"
            return
        self.size += len(piece)
        for each in self._hashes.values():
            each.update(piece)

    def restart(self) -> None:
        """Begin anew, with nothing."""
        if self.size:
            self._begin(0)

    def digest(self, method: str) -> bytes:
        """The checksum of all that is there."""
        return bytes(self._hashes[method].digest())

    @property
    def is_what_was_announced(self) -> bool:
        """Whether all that is there has the checksum that was announced."""
        integrity = self._integrity
        return integrity is None or self.digest(integrity.method) == integrity.digest

    def discard(self) -> None:
        """None of this is of use."""
        self.close()
        self._tree.discard_incoming(self.name)

    def finish(self) -> None:
        """All is there: it is a file like others."""
        self._note_source("", "")
        self.close()

    def close(self) -> None:
        """Give the descriptor back; the file stays."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _note_source(self, source: str, validator: str) -> None:
        """Remember whose pieces these are; without extended attributes a download isn't resumed."""
        try:
            if validator:
                os.setxattr(self._fd, _ATTRIBUTE, f"{source}\n{validator}".encode())
            else:
                os.removexattr(self._fd, _ATTRIBUTE)
        except OSError:
            pass

    def _begin(self, size: int) -> None:
        """Go on behind the first ``size`` bytes of the file, which are read for the checksums."""
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._hashes = {method: METHODS[method]() for method in self._methods}
        self.size = 0
        while self.size < size and (piece := os.read(self._fd, min(1 << 20, size - self.size))):
            self.size += len(piece)
            for each in self._hashes.values():
                each.update(piece)
