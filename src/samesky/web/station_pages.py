"""The pages about a station's stream: its calendar, what checks have found, the course of an observation, and a day."""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from urllib.parse import urlencode

from .calendar_days import Coverage, describe_day
from .calendar_section import render_calendar, render_year
from .chart_section import render_chart
from .day_section import render_day_records, render_day_ways
from .found_section import describe_findings, render_found
from .layout import Page
from .noticeboard import Heard
from .pieces import SYSTEM_WORDS, stream_path
from .station_databases import NAMED_ROLES
from .station_views import Calendars
from .status_document import describe_heard
from .stream_page import render_heading, render_state


def render_station(
    stream: str,
    heard: Sequence[Heard],
    calendars: Calendars,
    now: float,
    *,
    query: Mapping[str, str],
    max_lag_s: float | None = None,
) -> Page | None:
    """Return the page about all there is of one stream on this machine; None when nothing is known of it.

    Of the ``query`` are heeded: ``year``, ``of`` (copy or primary), ``observation`` and ``days``.
    """
    coverage = calendars.calendar(stream, now, role=NAMED_ROLES.get(query.get("of", "")))
    if not heard and coverage is None:
        return None
    parts = [_render_heading(stream, heard), render_state(heard, now, max_lag_s=max_lag_s)]
    document: dict[str, object] = {
        "system": "station",
        "stream": stream,
        "streams": [describe_heard(each, now, max_lag_s) for each in heard],
    }
    if coverage is not None:
        roles = [each.role for each in calendars.databases(stream)]
        year = _choose_year(coverage, query)
        chart, series = render_chart(calendars, coverage, query)
        parts += [render_calendar(coverage, year, roles, query), render_found(coverage, now), chart]
        parts.append(render_year(coverage, year))
        document |= _describe_coverage(coverage, year)
        document["series"] = [each.as_dict() for each in series]
    here = stream_path("station", stream) + _keep_query(query)
    return Page(f"{stream} · samesky", "\n".join(filter(None, parts)), document, here=here)


def render_day(stream: str, day: date, calendars: Calendars, now: float) -> Page | None:
    """Return the page with the records of one day, here and at the primary side by side; None without a database.

    It is made when it is asked for, and not again by itself: the primary is asked for its records.
    """
    records = calendars.day(stream, day)
    if records is None:
        return None
    coverage = calendars.calendar(stream, now, role=records.role)
    known = next((each for each in coverage.days if each.date == day), None) if coverage is not None else None
    body = "\n".join(
        [
            _render_day_heading(stream, day),
            render_day_ways(stream, day, coverage),
            render_day_records(records, known, calendars.repair_command(stream), now),
        ]
    )
    document = records.as_dict() | ({"calendar": describe_day(known)} if known is not None else {})
    here = f"{stream_path('station', stream)}/day/{day.isoformat()}"
    return Page(f"{day.isoformat()} · {stream} · samesky", body, document, here=here, live=False)


def _render_heading(stream: str, heard: Sequence[Heard]) -> str:
    if heard:
        return render_heading(heard)
    return f'<nav class="trail" aria-label="Where this is"><a href="/">Overview</a></nav>\n<h1>{escape(stream)}</h1>'


def _render_day_heading(stream: str, day: date) -> str:
    return (
        '<nav class="trail" aria-label="Where this is"><a href="/">Overview</a> <span aria-hidden="true">›</span> '
        f'{SYSTEM_WORDS["station"]} <span aria-hidden="true">›</span> '
        f'<a href="{escape(stream_path("station", stream))}?year={day.year}#calendar">{escape(stream)}</a></nav>\n'
        f"<h1>{day:%A}, {day.day} {day:%B %Y}</h1>"
    )


def _choose_year(coverage: Coverage, query: Mapping[str, str]) -> int | None:
    asked = query.get("year", "")
    newest = next(iter(coverage.years), None)
    return next((year for year in coverage.years if str(year) == asked), newest)


def _describe_coverage(coverage: Coverage, year: int | None) -> dict[str, object]:
    days = coverage.of_year(year) if year is not None else []
    return {
        "calendar": {"years": coverage.years, "year": year} | coverage.as_dict(days),
        "found": describe_findings(coverage.found),
    }


def _keep_query(query: Mapping[str, str]) -> str:
    kept = {name: query[name] for name in ("year", "of", "observation", "days") if query.get(name)}
    return f"?{urlencode(kept)}" if kept else ""
