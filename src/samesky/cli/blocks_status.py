"""`samesky blocks status`: how the links of a running service are doing."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..core.spans import describe_span
from .blocks_options import Service, open_service, service_options, show_json, take
from .configuration import json_option
from .console import open_console

if TYPE_CHECKING:
    from rich.table import Table


@click.command(
    "status",
    short_help="Show how the links are doing.",
    epilog="Example: samesky blocks status --url http://brewery:5000",
)
@service_options
@json_option
def command(url: str, token_file: Path | None, as_json: bool) -> int:
    """Show how old each value is, what was written and dropped, and what is wrong.

    Ends with 0 when all is well, 1 when a link fails, is paused or still waits, 3 when a broker carries nothing.
    """
    where = Service(url, token_file)
    with open_service(where) as client:
        told = take(client.get("/status.json"), where)
    if as_json:
        show_json(told)
    else:
        _show(told)
    if told["troubles"]:
        return 3
    return 0 if all(link["health"] == "ok" for link in told["links"]) else 1


def _show(told: dict[str, Any]) -> None:
    console = open_console()
    if told["links"]:
        console.print(_table(told["links"]))
    for line in _lines(told):
        console.print(line, soft_wrap=not console.is_terminal)


def _table(links: list[dict[str, Any]]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("block", "role", "key", "state", "heard"):
        table.add_column(heading)
    for heading in ("sent", "written", "dropped"):
        table.add_column(heading, justify="right")
    for link in links:
        table.add_row(*_cells(link))
    return table


def _cells(link: dict[str, Any]) -> Iterator[str]:
    yield f"{link['service']}.{link['id']}"
    yield link["role"]
    yield link["key"]
    yield link["health"] if link.get("freshness", "fresh") in ("fresh", "never") else f"{link['health']}, stale"
    yield "never" if link["age_s"] is None else f"{describe_span(link['age_s'])} ago"
    yield f"{link['published']:,}" if "published" in link else ""
    yield f"{link['written']:,}" if "written" in link else ""
    yield f"{sum(link.get('dropped', link.get('failed', {})).values()):,}"


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """What is wrong, and what to do."""
    if not told["links"]:
        yield "there are no links: samesky blocks add"
    for carrier, words in told["troubles"].items():
        yield f"{carrier}: {words}"
    for link in told["links"]:
        name = f"{link['service']}.{link['id']}"
        if link["last_error"]:
            yield f"{name}: {link['last_error']}"
            if link["hint"]:
                yield f"  what to do: {link['hint']}"
        if link.get("dropped"):
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(link["dropped"].items()))
            yield f"{name}: dropped messages by reason: {reasons}"
