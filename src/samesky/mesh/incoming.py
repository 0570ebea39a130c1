"""Files on their way into a tree: `IncomingFolder`, on the tree's file system, so that a rename puts them in place."""

import fcntl
import itertools
import os
import secrets
from time import time

from ..core.strict import Reason, Refused
from ..errors import Locked, Unreachable
from .announcement import Integrity
from .attribute import FROM_BYTES, write_checksum

FILE_MODE = 0o644
STALE_S = 3600.0
STALE_PARTIAL_S = 86_400.0
_TRIES = 8
_WHOLE = "w-"
"""What names of files begin with that were written at once; others are downloads that may go on."""


class IncomingFolder:
    """The folder that ``folder``, a descriptor which this takes over, is of. For any thread.

    Raises `Unreachable` when the disk is full or can't be used.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder
        self._prefix = f"{_WHOLE}{secrets.token_hex(6)}-"
        self._numbers = itertools.count()

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._folder)

    def descriptor(self, name: str) -> int:
        """The folder's descriptor, when ``name`` can be the name of a file in it."""
        _check_name(name)
        return self._folder

    def write(
        self, content: bytes, *, mtime_ns: int | None = None, integrity: Integrity | None = None, durable: bool = False
    ) -> str:
        """Write a new incoming file and return its name. The rest as of `finish`."""
        name = f"{self._prefix}{next(self._numbers):x}"
        with Trouble("a file can't be written"):
            descriptor = os.open(
                name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE, dir_fd=self._folder
            )
            try:
                _write_whole(descriptor, content)
                if mtime_ns is not None:
                    _finish(descriptor, mtime_ns, integrity if len(content) >= FROM_BYTES else None, durable)
            except BaseException:
                os.unlink(name, dir_fd=self._folder)
                raise
            finally:
                os.close(descriptor)
        return name

    def open(self, name: str) -> int:
        """A descriptor for reading and writing of the incoming file ``name``, made when it isn't there.

        Locked until it is closed: raises `Locked` while another has it open.
        """
        _check_name(name)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        with Trouble("a file can't be written"):
            for _ in range(_TRIES):
                descriptor = os.open(name, flags, FILE_MODE, dir_fd=self._folder)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if os.fstat(descriptor).st_ino == os.stat(name, dir_fd=self._folder).st_ino:
                        return descriptor
                except BlockingIOError:
                    os.close(descriptor)
                    raise Locked("another process is downloading this file") from None
                except FileNotFoundError:
                    pass
                os.close(descriptor)  # its last holder has put it in its place, or removed it, between open and lock
        raise Locked("other processes are downloading this file")

    def finish(self, name: str, *, mtime_ns: int, integrity: Integrity | None = None, durable: bool = False) -> None:
        """Give the incoming file ``name`` its time, and note its checksum; with ``durable`` it is on the disk."""
        _check_name(name)
        with Trouble("a file can't be written"):
            descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
            try:
                _finish(descriptor, mtime_ns, integrity, durable)
            finally:
                os.close(descriptor)

    def discard(self, name: str) -> None:
        """Remove an incoming file, if it is there."""
        _check_name(name)
        with Trouble("an incoming file can't be removed"):
            unlink(name, self._folder)

    def clean(self, *, stale_s: float = STALE_S, stale_partial_s: float = STALE_PARTIAL_S) -> int:
        """Remove incoming files that a process left behind which was ended; returns how many.

        Downloads that may go on are kept for longer (``stale_partial_s``).
        """
        count = 0
        with Trouble("the incoming files can't be looked at"):
            for name in os.listdir(self._folder):
                try:
                    age_s = time() - os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_ctime
                    if age_s > (stale_s if name.startswith(_WHOLE) else stale_partial_s):
                        count += unlink(name, self._folder)
                except FileNotFoundError:
                    pass  # it was put in its place just now
        return count


def _finish(descriptor: int, mtime_ns: int, integrity: Integrity | None, durable: bool) -> None:
    os.utime(descriptor, ns=(mtime_ns, mtime_ns))
    if integrity is not None:
        write_checksum(descriptor, integrity, mtime_ns)
    if durable:
        os.fsync(descriptor)


def _write_whole(descriptor: int, content: bytes) -> None:
    """Write all of ``content``: `os.write` may write a part of it, such as on a disk that is nearly full."""
    written = os.write(descriptor, content)
    while written < len(content):
        written += os.write(descriptor, memoryview(content)[written:])


def _check_name(name: str) -> None:
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise ValueError(f"{name!r} can't be the name of an incoming file")


def unlink(name: str, parent: int) -> bool:
    """Remove the file ``name`` of the directory descriptor ``parent``; whether there was one."""
    try:
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    except IsADirectoryError:
        raise Refused(Reason.CONFLICT, "there is a directory where the file should be") from None
    return True


class Trouble:
    """``with Trouble(what)``: what the system raises there becomes an `Unreachable` that begins with ``what``.

    A class, as it is entered several times a file: `contextlib.contextmanager` takes four times as long.
    """

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise Unreachable(f"{self._what}: {error.strerror}") from error
