"""`samesky station calendar`: which days have all their records, in the terminal, as an SVG file or as JSON."""

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .configuration import config_option, find_config, json_option, stream_option
from .console import open_console

if TYPE_CHECKING:
    from rich.text import Text

    from ..web.calendar_days import CalendarDay, Coverage, DayState
    from ..web.station_databases import StationRole
    from ..web.station_views import Calendars

_WEEKDAYS = ("Mo", "", "We", "", "Fr", "", "Su")
_STYLES = {"complete": "green", "partial": "yellow", "missing": "bright_black", "differs": "bold red"}
_CELLS = {"complete": "■", "partial": "◣", "missing": "□", "differs": "◆"}
_PATIENCE_S = 600.0


@click.command(
    "calendar",
    short_help="Show which days have all their records.",
    epilog="Example: samesky station calendar --config /etc/weewx/weewx.conf --year 2025 --svg calendar.svg",
)
@config_option
@stream_option
@click.option("--year", type=click.IntRange(1970, 2100), help="One year (default: all).")
@click.option(
    "--of",
    type=click.Choice(["copy", "primary"]),
    help="Whose calendar, where a machine has both (default: the copy's).",
)
@click.option(
    "--svg",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write it to this file, as a picture.",
)
@json_option
def command(
    config: Path | None, stream: str | None, year: int | None, of: str | None, svg: Path | None, as_json: bool
) -> int:
    """Show each day of a station's database: complete, partial, missing, or different from the primary.

    Days that aren't proven the same yet are paler. Nothing is changed, and nobody is asked: what checks have found is
    read from what the station has written down. Ends with 1 when something is wrong that a repair would mend.
    """
    coverages = _read(find_config(config), stream, of, only_one=svg is not None)
    if svg is not None:
        _write(coverages[0], svg)
    if as_json:
        click.echo(json.dumps([each.as_dict(_days_of(each, year)) for each in coverages], indent=2))
    else:
        for each in coverages:
            _show(each, year, short=svg is not None)
    return 1 if any(each.trouble or each.counts()["differs"] for each in coverages) else 0


def _read(config: Path, stream: str | None, of: str | None, *, only_one: bool) -> list["Coverage"]:
    """The calendars asked for, counted to the end."""
    from ..errors import ConfigError
    from ..web.station_databases import NAMED_ROLES
    from ..web.station_views import Calendars

    calendars = Calendars([config])
    known = calendars.streams()
    chosen = [name for name in known if stream in (None, name)]
    if not chosen:
        raise ConfigError(
            f"{config} has no station's database" + (f" for {stream}" if stream else ""),
            hint=f"Those it has: {', '.join(known)}." if known else "Give another configuration with --config.",
        )
    if only_one and len(chosen) > 1:
        raise click.UsageError(f"say whose picture: --stream {' or --stream '.join(chosen)}")
    role = NAMED_ROLES[of] if of else None
    found = [_count(calendars, name, role) for name in chosen]
    coverages = [each for each in found if each is not None]
    if not coverages:
        raise ConfigError(f"{config} has no {of} of {' or '.join(chosen)}")
    return coverages


def _count(calendars: "Calendars", stream: str, role: "StationRole | None") -> "Coverage | None":
    ends_at = time.monotonic() + _PATIENCE_S
    while True:
        coverage = calendars.calendar(stream, time.time(), role=role)
        if coverage is None or coverage.counted or coverage.trouble or time.monotonic() > ends_at:
            return coverage


def _write(coverage: "Coverage", path: Path) -> None:
    from ..errors import ConfigError
    from ..web.calendar import write_calendar

    try:
        path.write_text(write_calendar(coverage), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error.strerror or error}") from error
    click.echo(f"wrote {path}", err=True)


def _days_of(coverage: "Coverage", year: int | None) -> Sequence["CalendarDay"]:
    return coverage.days if year is None else coverage.of_year(year)


def _show(coverage: "Coverage", year: int | None, *, short: bool) -> None:
    from ..web.calendar import summarize
    from ..web.station_databases import ROLE_NAMES

    console = open_console()
    days = _days_of(coverage, year)
    count = f"{sum(each.count for each in days):,} records, " if days else ""
    name = f"{coverage.stream} ({ROLE_NAMES[coverage.role]})"
    console.print(f"{name}: {count}{summarize(days)}", soft_wrap=True)
    if coverage.trouble:
        console.print(coverage.trouble, style="bold red")
        console.print(coverage.todo.replace("`", ""), soft_wrap=True)
    if short:
        return
    for each in coverage.years if year is None else [year]:
        console.print()
        for line in _draw(coverage.of_year(each), each, proofs=coverage.role == "requester"):
            console.print(line, soft_wrap=True)
    if days:
        console.print()
        console.print(_legend(proofs=coverage.role == "requester"), soft_wrap=True)


def _draw(days: Sequence["CalendarDay"], year: int, *, proofs: bool) -> list["Text"]:
    """A year: a column a week, a row a weekday."""
    from datetime import date

    from rich.text import Text

    first = date(year, 1, 1)
    rows: list[list[tuple[str, str]]] = [[(" ", "")] * 54 for _ in range(7)]
    for each in days:
        at = (each.date - first).days + first.weekday()
        rows[at % 7][at // 7] = _cell(each.state, pale=proofs and not each.proven)
    lines = [Text(f"{year} {_month_names(year)}", style="bold")]
    for name, row in zip(_WEEKDAYS, rows, strict=True):
        line = Text(f"{name:>4} ")
        for mark, style in row:
            line.append(mark, style=style)
        line.rstrip()
        lines.append(line)
    return lines


def _cell(state: "DayState", *, pale: bool) -> tuple[str, str]:
    style = _STYLES[state]
    return _CELLS[state], f"dim {style}" if pale and state == "complete" else style


def _month_names(year: int) -> str:
    """Each month's name above its first whole week."""
    import calendar
    from datetime import date

    first = date(year, 1, 1)
    line = [" "] * 56
    for month in range(1, 13):
        at = (date(year, month, 1) - first).days + first.weekday()
        column = at // 7 + (1 if at % 7 else 0)
        line[column : column + 3] = calendar.month_abbr[month]
    return "".join(line).rstrip()


def _legend(*, proofs: bool) -> "Text":
    from rich.text import Text

    from ..web.calendar_days import STATE_WORDS

    line = Text()
    for state, words in STATE_WORDS.items():
        mark, style = _cell(state, pale=False)
        line.append(mark, style=style)
        line.append(f" {words}   ")
        if state == "complete" and proofs:
            line.append(mark, style=f"dim {style}")
            line.append(" complete, not proven yet   ")
    return line
