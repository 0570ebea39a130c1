"""Whether the process that has written something down still runs: one that was killed can't say that it has ended."""

import os
from pathlib import Path

_PROC = Path("/proc")
_START_FIELD = 19
"""Of the fields behind the command's name in /proc/PID/stat: when the process started, in ticks since the boot."""


def read_own_mark() -> str:
    """Return what tells this process apart from every other; empty where the system doesn't tell (no Linux)."""
    try:
        return f"{os.getpid()} {_read_start(os.getpid())} {_read_world()}"
    except (OSError, IndexError, ValueError):
        return ""


def has_ended(mark: str) -> bool:
    """Whether the process of ``mark`` has ended; False where that can't be known: of another machine, or container."""
    pid, _, rest = mark.partition(" ")
    start, _, world = rest.partition(" ")
    if not pid.isdecimal() or not start.isdecimal() or len(pid) > 9:
        return False
    try:
        if world != _read_world():
            return False
        return _read_start(int(pid)) != int(start)
    except FileNotFoundError:
        return True
    except (OSError, IndexError, ValueError):
        return False


def _read_start(pid: int) -> int:
    text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    return int(text.rpartition(")")[2].split()[_START_FIELD])


def _read_world() -> str:
    """This machine, since it was started, and which processes are seen here."""
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
