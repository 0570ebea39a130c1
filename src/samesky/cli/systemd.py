"""What systemd is told of a service (``Type=notify``): that it is ready, how it does, that it lives, that it ends.

systemd names a socket in the environment; where there is none, nothing is told. The watchdog is fed by the loops that
do the work, each of which calls what `Systemd.watch` gave it at every turn. Only when all of them have turned, systemd
hears that the service lives: when one hangs, it hears nothing more and starts the service again.
"""

import faulthandler
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from ..core.status import Snapshot
    from ..station.worker import Worker

_log = logging.getLogger(__name__)

LONGEST_WAIT_S = 60.0
"""A loop that has nothing to do turns this often where no watchdog asks for more."""
MOST_STATUS_LETTERS = 200


class Systemd:
    """The service manager that started this process, if there is one; from any thread.

    A context manager: leaving it says that the service ends. ``address`` is the socket's, empty for none;
    ``watchdog_s`` is how long systemd waits for a sign of life, None for ever.
    """

    def __init__(
        self, address: str, watchdog_s: float | None = None, *, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s if address else None
        self._timer = timer
        self._lock = threading.Lock()
        self._loops: set[str] = set()
        self._to_turn: set[str] = set()
        self._next_sign = 0.0

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str] = os.environ) -> Self:
        """The manager that ``environment`` names; takes the names out of it, for child processes aren't the service."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds, process = environment.pop("WATCHDOG_USEC", ""), environment.pop("WATCHDOG_PID", "")
        is_ours = process in ("", str(os.getpid())) and microseconds.isdecimal() and int(microseconds) > 0
        if is_ours:
            faulthandler.enable()  # systemd ends what hangs by SIGABRT: then the journal has what each thread was doing
        return cls(address, int(microseconds) / 1e6 if is_ours else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._send("STOPPING=1")

    @property
    def longest_wait_s(self) -> float:
        """How long a loop that is watched may wait for something to do before its next turn."""
        return LONGEST_WAIT_S if self._watchdog_s is None else min(LONGEST_WAIT_S, self._watchdog_s / 8)

    def tell_ready(self, status: str = "") -> None:
        """The service does its work from now on."""
        self._send("READY=1" + (f"\n{_encode_status(status)}" if status else ""))

    def tell_status(self, status: str) -> None:
        """Have ``systemctl status`` show this line."""
        self._send(_encode_status(status))

    def watch(self, loop: str) -> Callable[[], None]:
        """What a loop, called so in the log, is to call at each of its turns, `longest_wait_s` apart at most."""
        with self._lock:
            self._loops.add(loop)
            self._to_turn.add(loop)
        return lambda: self._on_turn(loop)

    def _on_turn(self, loop: str) -> None:
        if self._watchdog_s is None:
            return
        with self._lock:
            self._to_turn.discard(loop)
            if self._to_turn or self._timer() < self._next_sign:
                return
            self._to_turn = set(self._loops)
            self._next_sign = self._timer() + self._watchdog_s / 4
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sending:
                sending.setblocking(False)
                sending.sendto(text.encode(), self._address)
        except OSError as error:
            _log.warning("systemd_not_told text=%r error=%r", text, error.strerror or str(error))


def watch_worker(systemd: Systemd, worker: "Worker") -> None:
    """Have the thread of ``worker``, which hasn't been started yet, watched."""
    worker.on_turn, worker.longest_wait_s = systemd.watch(worker.name), systemd.longest_wait_s


def describe_streams(snapshots: "Sequence[Snapshot]") -> str:
    """One line for ``systemctl status``: how many streams are in which state, and the first trouble."""
    states = [each.state for each in snapshots]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    trouble = next((f"; {each.stream}: {each.last_error}" for each in snapshots if each.last_error), "")
    return f"{len(snapshots)} {'stream' if len(snapshots) == 1 else 'streams'}: {counted or 'none'}{trouble}"


def _encode_status(status: str) -> str:
    line = " ".join(status.split())
    return f"STATUS={line if len(line) <= MOST_STATUS_LETTERS else line[: MOST_STATUS_LETTERS - 1] + '…'}"
