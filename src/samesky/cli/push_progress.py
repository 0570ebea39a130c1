"""How a push is shown while it goes: a bar a target on a terminal, a line a minute elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .console import open_console

if TYPE_CHECKING:
    from rich.console import Console

    from ..push.pushing import Progress

SAID_EVERY_S = 60.0
Tell = Callable[["Progress"], None]


@contextmanager
def showing_progress() -> Iterator[Tell]:
    """A function that shows, on standard error, how far a push is; any thread may call it."""
    console = open_console(stderr=True)
    if console.is_terminal:
        with _bars(console) as tell:
            yield tell
    else:
        yield _Lines(console)


class _Lines:
    """A line a minute for each target."""

    def __init__(self, console: "Console") -> None:
        self._console = console
        self._said_s: dict[str, float] = {}

    def __call__(self, progress: "Progress") -> None:
        now = time.monotonic()
        if now - self._said_s.setdefault(progress.target, now) >= SAID_EVERY_S:
            self._said_s[progress.target] = now
            share = f" {progress.done:,} of {progress.total:,} rows" if progress.total else ""
            self._console.print(f"{progress.target}: {progress.doing}{share}", soft_wrap=True)


@contextmanager
def _bars(console: "Console") -> Iterator[Tell]:
    from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.fields[target]}: {task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}
        doing: dict[str, str] = {}

        def tell(progress: "Progress") -> None:
            if progress.target not in tasks:
                tasks[progress.target] = bars.add_task("", target=progress.target, rows="", total=None)
            task = tasks[progress.target]
            if doing.get(progress.target) != progress.doing:  # another table: its speed says nothing about this one's
                doing[progress.target] = progress.doing
                bars.reset(task, description=progress.doing, total=None)
            rows = f"{progress.done:,} of {progress.total:,} rows" if progress.total else ""
            bars.update(task, completed=progress.done, total=progress.total or None, rows=rows)

        yield tell
