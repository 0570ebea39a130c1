"""A disk without room: a station there can't even write down that it has none, so it is looked for from beside."""

import os
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.status import Snapshot, State

LEAST_BYTES = 256 * 1024
"""With less room a database can't be written to."""


@dataclass(frozen=True, slots=True)
class FullDisk:
    """The disk that ``directory`` is on has no room left."""

    directory: Path

    def apply(self, snapshot: Snapshot) -> Snapshot:
        """A stream whose station keeps its state there: it waits for room, and its silence is no wonder."""
        state: State = "stopped" if snapshot.state == "stopped" else "waiting"
        return replace(
            snapshot,
            state=state,
            last_error=f"the disk of {self.directory} is full",
            hint=f"Make room there (to see: `df -h {shlex.quote(str(self.directory))}`). It goes on by itself.",
            silent_after_s=None,
        )


def find_full_disk(directory: Path) -> FullDisk | None:
    """Whether the disk that ``directory`` is on has room for neither a few pages nor a file."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return None
    has_no_files_left = disk.f_files > 0 and disk.f_favail == 0
    return FullDisk(directory) if disk.f_bavail * disk.f_frsize < LEAST_BYTES or has_no_files_left else None
