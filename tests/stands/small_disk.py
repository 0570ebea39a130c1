"""A disk of a few megabytes, to fill up."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .waiting import wait_for


class SmallDisk:
    """A disk in memory at ``folder``, that can grow."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mount(self, size: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.folder], check=True)

    def grow(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)

    def unmount(self) -> None:
        """Take it away, when all who used it have let it go."""
        wait_for(
            lambda: subprocess.run(["umount", self.folder], capture_output=True).returncode == 0,
            30,
            what=f"the end of the disk at {self.folder}",
        )


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[SmallDisk]:
    """A disk of ``size`` (``3m``) at ``folder``; without the right to mount, the test is skipped, but not in CI."""
    disk = SmallDisk(folder)
    folder.mkdir()
    try:
        disk.mount(size)
    except (OSError, subprocess.CalledProcessError) as error:
        if "CI" in os.environ:
            raise
        pytest.skip(f"mounting a small disk needs root: {error}")
    try:
        yield disk
    finally:
        disk.unmount()
