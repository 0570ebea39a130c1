"""Child processes on loopback ports: what private brokers, the demos and several workers of one tree have in common."""

import ctypes
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable


def find_free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
