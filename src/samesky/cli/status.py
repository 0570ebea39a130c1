"""`samesky status`: how each stream is doing, as the running processes have written it down."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import config_option, find_config, json_option, read_state_directories, stream_option, why_stopped

if TYPE_CHECKING:
    from rich.table import Table

    from ..core.status import Snapshot

LONG_S = 60.0
"""A process that runs is heard of more often than this."""
WATCH_INTERVAL_S = 2.0
WIDE = 200
"""Columns of the table where no terminal says how many there are."""
_ROLES = {"requester": "copy", "responder": "primary"}


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of one stream, and when it was written down."""

    snapshot: "Snapshot"
    held: str
    heard_at: float
    age_s: float

    @property
    def is_old(self) -> bool:
        """Whether the process that wrote it may not run any more."""
        return self.age_s > LONG_S

    @property
    def exit_status(self) -> int:
        """1 when it is held or different, 3 when it is silent or without a broker, else 0."""
        if self.held or self.snapshot.different or self.snapshot.state == "stopped":
            return 1
        return 3 if self.is_old or self.snapshot.state == "disconnected" else 0


@click.command(
    "status",
    short_help="Show how each stream is doing.",
    epilog="Example: samesky status --watch --config /etc/weewx/weewx.conf",
)
@config_option
@stream_option
@click.option("--watch", is_flag=True, help="Go on showing it, until Ctrl-C.")
@json_option
def command(config: Path | None, stream: str | None, watch: bool, as_json: bool) -> int:
    """Show what the stations of this configuration are doing, and up to where each copy was proven the same.

    Ends with 0 when all is well, 1 when a copy is stopped or differs, 3 when nothing was heard of a process for a
    minute, or it has no broker.
    """
    path = find_config(config)
    directories = read_state_directories(path)
    if watch:
        _watch(directories, stream, path)
    found = read_status(directories, stream, time.time())
    if as_json:
        click.echo(json.dumps([_as_dict(each) for each in found], indent=2))
    else:
        _show(found, directories, path)
    statuses = {each.exit_status for each in found} or {3}
    return 1 if 1 in statuses else max(statuses)


def read_status(directories: Sequence[Path], stream: str | None, now: float) -> list[Heard]:
    """What the state files in these folders say of all streams, or of one; no file is made."""
    from ..station.state import FILE_NAME, State

    found: list[Heard] = []
    for directory in directories:
        if (directory / FILE_NAME).is_file():
            with closing(State(directory)) as state:
                found += [
                    Heard(each, state.read_hold(each.stream) if each.role == "requester" else "", heard, now - heard)
                    for heard, each in state.read_snapshots()
                    if stream in (None, each.stream)
                ]
    return found


def _as_dict(each: Heard) -> dict[str, object]:
    return {**each.snapshot.as_dict(), "held": each.held, "heard_at": each.heard_at, "age": round(each.age_s, 1)}


def _watch(directories: Sequence[Path], stream: str | None, path: Path) -> None:
    from rich.console import Group
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:
        while True:
            found = read_status(directories, stream, time.time())
            live.update(Group(_table(found), *_lines(found, directories, path)), refresh=True)
            time.sleep(WATCH_INTERVAL_S)


def _show(found: Sequence[Heard], directories: Sequence[Path], path: Path) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDE
    if found:
        console.print(_table(found))
    for line in _lines(found, directories, path):
        console.print(line, soft_wrap=not console.is_terminal)


def _table(found: Sequence[Heard]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("stream", no_wrap=True)
    for heading in ("role", "state", "newest record"):
        table.add_column(heading)
    table.add_column("behind", justify="right")
    table.add_column("proven the same")
    table.add_column("mended", justify="right")
    table.add_column("heard")
    for each in found:
        table.add_row(*_cells(each))
    return table


def _cells(each: Heard) -> Iterator[str]:
    from ..station.verdict import moment

    shown = each.snapshot
    position = shown.position or shown.newest
    yield shown.stream
    yield _ROLES[shown.role]
    yield "stopped" if each.held else shown.state
    yield moment(position) if position else "-"
    yield "-" if shown.behind is None else f"{shown.behind:,}"
    yield _proof(shown, each.heard_at + each.age_s)
    yield f"{shown.repaired:,}" if shown.role == "requester" else "-"
    yield f"{describe_age(each.age_s)} ago{': not running?' if each.is_old else ''}"


def _proof(shown: "Snapshot", now: float) -> str:
    from ..station.verdict import count_of, moment

    if shown.role != "requester":
        return "-"
    if shown.proven_through is None or shown.proven_at is None:
        return "different" if shown.different else "not yet"
    through = "" if shown.proven_through == shown.position else f" up to {moment(shown.proven_through)}"
    digest = f", digest {shown.proven_digest}" if shown.proven_digest else ""
    proof = f"{count_of(shown.proven_count or 0, 'record')}{through}, {describe_age(now - shown.proven_at)} ago{digest}"
    return f"different; was {proof}" if shown.different else proof


def _lines(found: Sequence[Heard], directories: Sequence[Path], path: Path) -> Iterator[str]:
    """What is wrong, and what to do."""
    if not found:
        places = " and ".join(map(str, directories)) or "-"
        yield f"nothing was written down in {places}: has it been started with {path}, and with this state_dir?"
    for each in found:
        if each.held:
            yield f"{each.snapshot.stream}: stopped: {why_stopped(each.snapshot.stream, each.held, path)}"
        elif each.snapshot.last_error:
            yield f"{each.snapshot.stream}: {why_stopped(each.snapshot.stream, each.snapshot.last_error, path)}"
        if each.is_old:
            yield (
                f"{each.snapshot.stream}: nothing was heard of the {_ROLES[each.snapshot.role]} for "
                f"{describe_age(each.age_s)}: does it run?"
            )


def describe_age(seconds: float) -> str:
    """``5 s``, ``3 min``, ``2 h``, ``4 days``."""
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 100):
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0, seconds):.0f} s"
