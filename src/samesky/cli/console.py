"""Where commands print tables, and the lines that belong to them."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

WIDE = 200
"""Columns of a table where no terminal says how many there are."""


def open_console(*, stderr: bool = False, markup: bool = False) -> "Console":
    """Standard output, or standard error, for rich: as wide as the terminal, or `WIDE`; text is printed as it is.

    With ``markup`` rich's own (``[bold]…[/]``) is heeded.
    """
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False, markup=markup, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    return console
