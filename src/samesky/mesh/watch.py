"""Noticing that something below a folder has changed: the system tells it (inotify, through watchfiles)."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import watchfiles

from ..errors import SetupError

log = logging.getLogger(__name__)

STEP_MS = 10
"""Changes are told when none has come for so long,"""
MOST_MS = 200
"""or after so long all the same."""
LOOK_MS = 100
"""How long the end may take to be noticed."""
WATCHES_HINT = "sysctl fs.inotify.max_user_watches=1000000, or let samesky look by itself with --poll"


class FolderWatch:
    """Tells ``on_changes`` of the paths below ``folder`` at which something has changed, on a thread of its own.

    A path is relative, without a slash in front; it may be a file's, a directory's, or of what is gone. Names that
    begin with a dot are left out. Entering the ``with`` block returns when the system has been asked; it raises
    ``SetupError`` when the system has too few watches for so many directories, or can't watch this file system.
    """

    def __init__(self, folder: Path, on_changes: Callable[[set[str]], None]) -> None:
        self._root = os.path.realpath(folder)
        self._on_changes = on_changes
        self._stop, self._started = threading.Event(), threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="samesky-watch", daemon=True)

    @property
    def fault(self) -> Exception | None:
        """Why nothing is told any more; None while all is well."""
        return self._fault

    def __enter__(self) -> Self:
        self._thread.start()
        self._started.wait()
        if self._fault is not None:
            raise SetupError(f"{self._root} can't be watched: {self._fault}", hint=WATCHES_HINT) from self._fault
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            for changes in watchfiles.watch(
                self._root,
                watch_filter=None,  # the usual one leaves out what programmers don't want to see
                debounce=MOST_MS,
                step=STEP_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
                stop_event=self._stop,
                force_polling=False,
                ignore_permission_denied=True,
                raise_interrupt=False,
            ):
                self._started.set()
                if paths := {path for _, found in changes if (path := self._relative(found))}:
                    self._on_changes(paths)
        except Exception as error:
            self._fault = error
            log.error("watch_system_failed folder=%s reason=%r", self._root, str(error))
        finally:
            self._started.set()

    def _relative(self, found: str) -> str:
        path = os.path.relpath(found, self._root)
        return "" if any(part.startswith(".") for part in path.split("/")) else path
