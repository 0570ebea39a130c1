"""Child processes on loopback ports: what private brokers, the demos and several workers of one tree have in common."""

import ctypes
import errno
import functools
import itertools
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

LOWEST_PORT, EPHEMERAL_PORT = 10_000, 32_768
_turns = itertools.count()


def find_free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody has, and that stays free when its server is away for a while.

    It is below those that the system gives to whoever asks for any, or connects to somebody. Each process goes up from
    a place of its own, so that what two of them find is seldom the same, and what one of them finds never soon again.
    """
    while True:
        port = LOWEST_PORT + (_first_turn() + next(_turns)) % (EPHEMERAL_PORT - LOWEST_PORT)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return port


@functools.cache
def _first_turn() -> int:
    return secrets.randbelow(EPHEMERAL_PORT - LOWEST_PORT)


def accepts(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.5):
            return True
    except OSError:
        return False


def wait_or_kill(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Return when the process has ended; it is killed when that takes longer than ``timeout_s``."""
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def make_die_with_parent() -> Callable[[], object] | None:
    """Return what the child calls so that it ends when we are killed (Linux).

    Linux means the *thread* that made the child, so only for the main thread, which lives as long as we do.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG
