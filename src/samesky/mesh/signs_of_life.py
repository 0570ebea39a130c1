"""Whether a process that we started still works, by the protocol with which services tell systemd (sd_notify(3))."""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

LONGEST_DATAGRAM: Final = 4096


class SignsOfLife:
    """Hears one process, which may be started again, at a socket ``path`` that isn't there yet.

    A process gets `environment`, and gives a sign several times in ``hung_after_s``, as a service of systemd with a
    watchdog does. Raises ``OSError`` when there can't be a socket at ``path`` (108 bytes are the most on Linux).
    """

    def __init__(self, path: Path, hung_after_s: float, *, timer: Callable[[], float] = time.monotonic) -> None:
        self._path, self._hung_after_s, self._timer = path, hung_after_s, timer
        self._heard_at: float | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    @property
    def environment(self) -> dict[str, str]:
        """Where a process is to give its signs, and how often."""
        return {"NOTIFY_SOCKET": str(self._path), "WATCHDOG_USEC": str(round(self._hung_after_s * 1e6))}

    def begin(self) -> None:
        """Another process starts: from it nothing was heard."""
        self._read()
        self._heard_at = None

    def is_hung(self) -> bool:
        """Whether the process, which had said that it was ready, has given no sign for too long."""
        for text in self._read():
            if self._heard_at is not None or b"READY=1" in text:
                self._heard_at = self._timer()
        return self._heard_at is not None and self._timer() - self._heard_at > self._hung_after_s

    def _read(self) -> list[bytes]:
        texts = []
        while True:
            try:
                texts.append(self._socket.recv(LONGEST_DATAGRAM))
            except BlockingIOError:
                return texts
