"""Wakes a thread that waits in a selector."""

import socket
import threading


class Waker:
    """Register it for reading; ``wake`` from any thread makes the selector return, once until it is cleared."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._awake = False

    def fileno(self) -> int:
        """What the selector watches."""
        return self._reader.fileno()

    def wake(self) -> None:
        """Make the waiting thread go on; harmless when it isn't waiting, or after ``close``."""
        with self._lock:
            if not self._awake and self._writer.fileno() >= 0:
                self._awake = True
                self._writer.send(b"w")

    def clear(self) -> None:
        """Be ready for the next ``wake``; the waiting thread calls it before it looks what there is to do."""
        with self._lock:
            if self._awake:
                self._awake = False
                self._reader.recv(16)

    def close(self) -> None:
        """Give the sockets back."""
        with self._lock:
            self._reader.close()
            self._writer.close()
