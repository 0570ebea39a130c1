"""What the demo shows: bars that move on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ..station.comparison import TableComparison

LINE_EVERY_S = 3.0

Update = Callable[[int], None]


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a reader that has gone to the command line: rich would end with status 1, "different" here."""
        raise BrokenPipeError


class Screen:
    """Writes on standard output, or where it is told to."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._console = _Console(file=file or sys.stdout, highlight=False, markup=False, emoji=False)

    def say(self, text: str = "") -> None:
        """Print one line: a terminal gets it wrapped between words, a file as it is."""
        self._console.print(text, soft_wrap=not self._console.is_terminal)

    @contextmanager
    def progress(self, what: str, total: int, *, unit: str = "records") -> Iterator[Update]:
        """Show how far ``what`` is; gives a function that takes how many of ``total`` are done."""
        with self._bar(what, total, unit) if self._console.is_terminal else self._lines(what, total, unit) as update:
            yield update

    @contextmanager
    def _bar(self, what: str, total: int, unit: str) -> Iterator[Update]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {unit}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done: bar.update(task, completed=done)

    @contextmanager
    def _lines(self, what: str, total: int, unit: str) -> Iterator[Update]:
        said = time.monotonic()
        self.say(f"{what} …")

        def update(done: int) -> None:
            nonlocal said
            if time.monotonic() - said >= LINE_EVERY_S:
                said = time.monotonic()
                self.say(f"{what}: {done:,} of {total:,} {unit}")

        yield update

    def show_table(self, table: Table) -> None:
        """Print a table."""
        self._console.print(table)

    def show(self, found: Mapping[str, Sequence[TableComparison]]) -> None:
        """Print the comparisons, by label of a binding: one row for each group of tables, then what differs."""
        table = Table(
            "binding", "what", box=SIMPLE_HEAD, pad_edge=False, title="Rows, compared one by one", title_justify="left"
        )
        for heading in ("tables", "primary", "copy", "differ"):
            table.add_column(heading, justify="right")
        table.add_column("result")
        for label, comparisons in found.items():
            for what, members in _groups(comparisons).items():
                table.add_row(label, what, *_figures(members))
        self.show_table(table)
        for label, comparisons in found.items():
            for each in comparisons:
                if not each.is_same:
                    self.say(f"{label}: {each.describe('primary', 'copy')}")


def _groups(comparisons: Sequence[TableComparison]) -> dict[str, list[TableComparison]]:
    """What was compared, by kind of table: the first comparison is the archive table's."""
    groups: dict[str, list[TableComparison]] = {"archive": [comparisons[0]]}
    for each in comparisons[1:]:
        name = "metadata" if each.table.endswith("__metadata") else "daily summaries"
        groups.setdefault(name, []).append(each)
    return groups


def _figures(members: Sequence[TableComparison]) -> tuple[str, ...]:
    counts = (
        len(members),
        sum(each.left_count for each in members),
        sum(each.right_count for each in members),
        sum(each.only_left + each.only_right + each.different for each in members),
    )
    verdict = "the same" if all(each.is_same for each in members) else "differs"
    return (*(f"{count:,}" for count in counts), verdict)
