"""What systemd is to a service: a socket that it tells things, named in its environment."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .waiting import wait_for


class NotifySocket:
    """A datagram socket as systemd gives one to a service; `told` is what has come, oldest first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.setblocking(False)

    def environment(self, *, watchdog_s: float | None = None) -> dict[str, str]:
        """What systemd adds to the environment of the service."""
        watchdog = {} if watchdog_s is None else {"WATCHDOG_USEC": str(round(watchdog_s * 1e6))}
        return {"NOTIFY_SOCKET": str(self.path), **watchdog}

    def read(self) -> list[str]:
        """Take what has come since; returns all that has."""
        while True:
            try:
                self.told.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return self.told

    def wait_for(self, text: str, deadline_s: float, *, times: int = 1) -> None:
        """Wait until a message that begins with ``text`` has come so often."""
        wait_for(
            lambda: sum(each.startswith(text) for each in self.read()) >= times,
            deadline_s,
            what=text,
            explain=lambda: f"there came {self.told}",
        )

    def close(self) -> None:
        self._socket.close()


@contextmanager
def notify_socket(folder: Path) -> Iterator[NotifySocket]:
    """A socket in ``folder``, which has a short path."""
    made = NotifySocket(folder / "notify")
    try:
        yield made
    finally:
        made.close()
