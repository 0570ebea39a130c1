"""`samesky push status`: how the pushes of a site are going, as the running ones have written it down."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..core.counts import count_of
from ..core.spans import describe_span
from .configuration import json_option
from .console import open_console
from .push_site_options import Site, read_site, site_config_option, target_option

if TYPE_CHECKING:
    from rich.table import Table

    from ..push.quarantine import Quarantined
    from ..push.status import PushStatus, TableStatus

SILENT_S = 300.0
"""A pusher that runs is heard of more often than this."""
MOST_SHOWN = 20


@click.command(
    "status",
    short_help="Show how the pushes of this site are going.",
    epilog="Example: samesky push status --config samesky.toml --quarantine",
)
@site_config_option
@target_option
@click.option("--quarantine", is_flag=True, help="Show the rows that the centre refused, too.")
@json_option
def command(config: Path | None, target: str | None, quarantine: bool, as_json: bool) -> int:
    """Show how far each push is, what was proven the same, and what was refused. Asks nobody.

    Ends with 0 when all is well, 1 when something differs or was refused, 3 when a centre can't be reached or nothing
    was heard of the pusher for long.
    """
    site = read_site(config)
    if target is not None:
        site.targets(target)
    statuses, rows = _read(site, target)
    now = time.time()
    if as_json:
        told = [status.as_dict() | {"age": round(now - status.at, 1)} for status in statuses]
        refused = [row.as_dict() for row in rows]
        click.echo(json.dumps({"targets": told, "quarantine": refused} if quarantine else {"targets": told}, indent=2))
    else:
        _show(site, statuses, rows if quarantine else (), now)
    found = {exit_status_of(status, now) for status in statuses} or {3}
    return 1 if 1 in found else max(found)


def exit_status_of(status: "PushStatus", now: float) -> int:
    """1 when something differs or was refused, 3 when the last run failed or the pusher is silent, else 0."""
    if status.refused_dimensions or not all(table.is_well for table in status.tables) or status.state == "stopped":
        return 1
    return 3 if status.last_error or is_silent(status, now) else 0


def is_silent(status: "PushStatus", now: float) -> bool:
    """Whether the process that wrote ``status`` should have been heard of since."""
    if status.state == "idle":
        return status.next_run_at is not None and now > status.next_run_at + SILENT_S
    return status.state != "stopped" and now > status.at + SILENT_S


def _read(site: Site, target: str | None) -> "tuple[list[PushStatus], list[Quarantined]]":
    """What is written down of the targets that there are; no file is made."""
    if not site.cache_path.is_file():
        return [], []
    names = {each.name for each in site.settings.targets if target in (None, each.name)}
    with site.open_cache() as cache:
        statuses = [each for each in cache.read_statuses() if each.target in names]
        return statuses, [each for each in cache.read_quarantine(target) if each.target in names]


def _show(site: Site, statuses: "Sequence[PushStatus]", rows: "Sequence[Quarantined]", now: float) -> None:
    console = open_console()
    if statuses:
        console.print(_table(statuses, now))
    for line in (*_lines(site, statuses, now), *_quarantine_lines(rows)):
        console.print(line, soft_wrap=not console.is_terminal)


def _table(statuses: "Sequence[PushStatus]", now: float) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("target", "table", "state", "pushed up to"):
        table.add_column(heading, no_wrap=heading == "target")
    table.add_column("to push", justify="right")
    table.add_column("compared")
    table.add_column("refused", justify="right")
    table.add_column("heard")
    for status in statuses:
        heard = f"{describe_span(now - status.at)} ago{': not running?' if is_silent(status, now) else ''}"
        for place, each in enumerate(status.tables):
            first = place == 0
            table.add_row(
                status.target if first else "",
                each.table,
                status.state if first else "",
                *_cells(each, now),
                heard if first else "",
            )
    return table


def _cells(table: "TableStatus", now: float) -> Iterator[str]:
    from ..push.proof import moment

    position = table.position[0] if table.position else None
    yield moment(position) if isinstance(position, int) else "-"
    yield "-" if table.backlog is None else f"{table.backlog:,}"
    proof = table.proof
    if proof is None or proof.to_s is None:
        yield "not yet"
    else:
        more = f", {proof.extra_at_centre:,} more there" if proof.extra_at_centre else ""
        verdict = f"the same: {proof.rows:,} rows{more}" if proof.same else "different"
        yield f"{verdict}, {describe_span(now - proof.at)} ago"
    yield f"{sum(table.quarantined.values()):,}"


def _lines(site: Site, statuses: "Sequence[PushStatus]", now: float) -> Iterator[str]:
    """What is wrong, and what to do."""
    if not statuses:
        yield f"nothing was written down in {site.settings.state_dir} yet: {site.command('run')}"
    for status in statuses:
        name = status.target
        yield f"{name}: {', '.join(_describe_runs(status, now))}"
        if status.last_error:
            yield f"{name}: {status.last_error}"
            if status.hint:
                yield f"  what to do: {status.hint}"
        for words in status.refused_dimensions[:MOST_SHOWN]:
            yield f"{name}: refused: {words}"
        for table in status.tables:
            yield from _table_lines(site, name, table)
        if is_silent(status, now):
            yield f"{name}: nothing was heard of the pusher for {describe_span(now - status.at)}: does it run?"


def _describe_runs(status: "PushStatus", now: float) -> Iterator[str]:
    """When it pushed, how much and how fast, and when it goes on."""
    last = status.last_push_at
    yield "never pushed to the end" if last is None else f"pushed to the end {describe_span(now - last)} ago"
    if status.sent_rows:
        speed = f" at {status.rows_per_s:,.0f} rows/s" if status.rows_per_s else ""
        run = "in this run" if status.state in ("pushing", "waiting") else "in the last run"
        yield f"{count_of(status.sent_rows, 'row')} sent {run}{speed}"
    if status.next_run_at is not None and status.next_run_at > now:
        yield f"goes on in {describe_span(status.next_run_at - now)}"


def _table_lines(site: Site, target: str, table: "TableStatus") -> Iterator[str]:
    if table.proof is not None and not table.proof.same:
        yield f"{target}: {table.table}: {table.proof.describe()}"
        yield f"  to send it again: {site.command('verify', target)} --repair"
    if table.quarantined:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(table.quarantined.items()))
        yield f"{target}: {table.table}: refused rows by reason: {reasons}"
        yield f"  to see them: {site.command('status', target)} --quarantine"


def _quarantine_lines(rows: "Sequence[Quarantined]") -> Iterator[str]:
    for row in rows[:MOST_SHOWN]:
        yield f"{row.target}: {row.table} {list(row.key)}: {row.reason}: {row.words}"
        yield f"  {row.row}"
    if len(rows) > MOST_SHOWN:
        yield f"and {count_of(len(rows) - MOST_SHOWN, 'row')} more: --json shows them all"
