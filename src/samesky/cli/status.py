"""`samesky status`: how each stream is doing, as the running processes have written it down."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import configs_option, find_configs, json_option, stream_option
from .console import open_console
from .web_options import status_dir_option

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..core.status import System
    from ..web.noticeboard import Heard
    from ..web.sources import Sources

WATCH_INTERVAL_S = 2.0


@click.command(
    "status",
    short_help="Show how each stream is doing.",
    epilog="Example: samesky status --watch --config /etc/weewx/weewx.conf",
)
@configs_option
@click.option("--system", type=click.Choice(("station", "mesh", "push", "blocks")), help="One system (default: all).")
@stream_option
@click.option(
    "--max-lag", type=click.FloatRange(min=1), metavar="SECONDS", help="What is further behind is told as bad."
)
@status_dir_option
@click.option("--watch", is_flag=True, help="Go on showing it, until Ctrl-C; with --json a line each time.")
@json_option
def command(
    configs: tuple[Path, ...],
    system: "System | None",
    stream: str | None,
    max_lag: float | None,
    status_dir: Path | None,
    watch: bool,
    as_json: bool,
) -> int:
    """Show what stations, mesh, push and blocks of this machine are doing, and what was proven the same, when.

    Ends with 0 when all is well, 1 when a copy is stopped, differs or is too far behind, 3 when nothing was heard of a
    process for a minute, something couldn't be read, or keeps a stream from going on: its broker, its primary, a full
    disk.
    """
    from ..web.noticeboard import open_noticeboard
    from ..web.sources import Sources
    from ..web.status_document import describe_status

    sources = Sources(find_configs(configs), open_noticeboard(status_dir))
    if watch and as_json:
        _watch_json(sources, system, stream, max_lag)
    if watch:
        _watch(sources, system, stream, max_lag)
    now = time.time()
    found = _read(sources, system, stream, now)
    if as_json:
        click.echo(json.dumps(describe_status(found, now, max_lag, troubles=sources.troubles), indent=2))
    else:
        _show(sources, found, now, max_lag)
    statuses = {exit_status_of(each, now, max_lag) for each in found}
    if sources.troubles or not found:
        statuses.add(3)
    return 1 if 1 in statuses else max(statuses)


def exit_status_of(heard: "Heard", now: float, max_lag_s: float | None = None) -> int:
    """0 when it is well or on its way, 1 when it is stopped, different or too far behind, 3 when it can't go on."""
    if heard.judge(now, max_lag_s=max_lag_s).level != "bad":
        return 0
    shown = heard.snapshot
    if shown.state == "stopped" or shown.different:
        return 1
    return 3 if heard.is_silent(now) or shown.state in ("disconnected", "waiting") else 1


def _read(sources: "Sources", system: "System | None", stream: str | None, now: float) -> "list[Heard]":
    return [
        each
        for each in sources.read(now)
        if system in (None, each.snapshot.system) and stream in (None, each.snapshot.stream)
    ]


def _looks(sources: "Sources", system: "System | None", stream: str | None) -> "Iterator[tuple[float, list[Heard]]]":
    """When it is, and what is found then; again and again, for ever."""
    while True:
        now = time.time()
        yield now, _read(sources, system, stream, now)
        time.sleep(WATCH_INTERVAL_S)


def _watch_json(sources: "Sources", system: "System | None", stream: str | None, max_lag: float | None) -> None:
    from ..web.status_document import describe_status

    for now, found in _looks(sources, system, stream):
        click.echo(json.dumps(describe_status(found, now, max_lag, troubles=sources.troubles)))


def _watch(sources: "Sources", system: "System | None", stream: str | None, max_lag: float | None) -> None:
    from rich.console import Group
    from rich.live import Live

    with Live(auto_refresh=False, screen=False) as live:
        for now, found in _looks(sources, system, stream):
            live.update(Group(*_parts(sources, found, now, max_lag, live.console.width)), refresh=True)


def _show(sources: "Sources", found: "Sequence[Heard]", now: float, max_lag: float | None) -> None:
    from rich.text import Text

    console = open_console(markup=True)
    for part in _parts(sources, found, now, max_lag, console.width):
        console.print(part, soft_wrap=isinstance(part, Text) and not console.is_terminal)


def _parts(
    sources: "Sources", found: "Sequence[Heard]", now: float, max_lag: float | None, width: int
) -> "Iterator[RenderableType]":
    from rich.text import Text

    from .status_table import make_lines, make_table

    if found:
        yield make_table(found, now, max_lag_s=max_lag, width=width)
    else:
        yield Text(_why_nothing(sources, now))
    for line in (*make_lines(found, now, max_lag_s=max_lag), *sources.troubles):
        yield Text(line)


def _why_nothing(sources: "Sources", now: float) -> str:
    others = sorted({each.snapshot.stream for each in sources.read(now)})
    if others:
        return f"there is no such stream here; those that are: {', '.join(others)}"
    configs = " and ".join(map(str, sources.configs))
    started = f": has it been started with {configs}, and with this state_dir?" if configs else "; name a --config"
    return f"nothing was written down in {sources.describe_places()}{started}"
