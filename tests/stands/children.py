"""Child processes that don't outlive the test run, even when it is killed."""

import ctypes
import signal
import sys
import threading
from collections.abc import Callable


def die_with_parent() -> Callable[[], object] | None:
    """What a child calls before it becomes another program, so that it is killed when we end (Linux).

    Linux means the thread that made the child; so it is asked for in the main thread alone, which lives as long as we.
    """
    if not sys.platform.startswith("linux") or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
