"""The calendar on a station's page: a strip a year, the months of one year with their days, and the same as a table."""

import calendar
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from urllib.parse import urlencode

from .calendar import SIGNS, draw_year, render_month, shape, summarize
from .calendar_days import STATE_WORDS, CalendarDay, Coverage, DayState, count_states
from .layout import render_part
from .pieces import describe_moment, render_todo, stream_path
from .station_databases import ROLE_NAMES, StationRole
from .svg import element


def render_calendar(
    coverage: Coverage, year: int | None, roles: Sequence[StationRole], query: Mapping[str, str]
) -> str:
    """All years; ``year`` is the one whose days are shown (`render_year`), ``roles`` all that have a database here."""
    head = render_part("calendar-state", _render_head(coverage))
    ways = _render_ways(coverage, roles, query)
    if year is None:
        return f'<section class="card calendar" id="calendar"><h2>Calendar</h2>{ways}{head}</section>'
    strips = "".join(_render_strips(coverage, year, query))
    if "table" not in coverage.drawn:
        coverage.drawn["table"] = _render_table(coverage)
    table = render_part("calendar-table", coverage.drawn["table"])
    return f"""<section class="card calendar" id="calendar"><h2>Calendar</h2>{ways}{head}
{_render_legend(coverage)}
<ul class="years">{strips}</ul>
<details class="as-table"><summary>As a table</summary>{table}</details></section>"""


def render_year(coverage: Coverage, year: int | None) -> str:
    """The days of a year, each a link to its records."""
    if year is None:
        return ""
    key = f"months {year}"
    if key not in coverage.drawn:
        coverage.drawn[key] = "".join(_render_months(coverage, year))
    months = coverage.drawn[key]
    return f"""<section class="card" id="year"><h2>Days of {year}</h2>
<p class="more">Choose a day to see its records.</p>
<div class="months">{months}</div></section>"""


def _render_head(coverage: Coverage) -> str:
    """What all days come to, and what is wrong."""
    told = []
    if coverage.trouble:
        told.append(f'<p class="words bad">{escape(coverage.trouble)}</p>')
        told.append(f"<p>{render_todo(coverage.todo)}</p>" if coverage.todo else "")
    if not coverage.days:
        return "".join(told) or "<p>There is no record yet.</p>"
    first, last = coverage.days[0].date, coverage.days[-1].date
    counting = "" if coverage.counted else " Older records are being counted."
    told.append(
        f"<p>{coverage.count:,} records from {first.isoformat()} to {last.isoformat()}: "
        f"{escape(summarize(coverage.days))}.{_describe_proof(coverage)}{counting}</p>"
    )
    return "".join(told)


def _describe_proof(coverage: Coverage) -> str:
    if coverage.role != "requester":
        return ""
    if coverage.proven_through is None:
        return " Not proven the same yet."
    unproven = sum(not each.proven for each in coverage.days)
    days = "" if not unproven else f", except {unproven} day{'' if unproven == 1 else 's'}"
    has_gaps = any(each.proven and each.state != "complete" for each in coverage.days)
    gaps = " Where a proven day has a gap, the primary has it too." if has_gaps else ""
    return f" Proven the same as the primary up to {describe_moment(coverage.proven_through)}{days}.{gaps}"


def _render_ways(coverage: Coverage, roles: Sequence[StationRole], query: Mapping[str, str]) -> str:
    """Links between the copy's calendar and the primary's, where both are on this machine."""
    if len(roles) < 2:
        return ""
    links = []
    for role in roles:
        here = ' aria-current="true"' if role == coverage.role else ""
        href = _href(coverage, {**query, "of": ROLE_NAMES[role]}, "calendar")
        links.append(f'<a href="{href}"{here}>{ROLE_NAMES[role].capitalize()}</a>')
    return f'<nav class="ways" aria-label="Whose calendar">{"".join(links)}</nav>'


def _render_legend(coverage: Coverage) -> str:
    shown: list[tuple[DayState, str, str]] = [(state, text, "") for state, text in STATE_WORDS.items()]
    if coverage.role == "requester":
        shown.insert(1, ("complete", "complete, not proven yet", " unproven"))
    else:
        shown = shown[:3]
    items = "".join(
        f'<li><svg class="drawing key" viewBox="-2 -2 13 13" aria-hidden="true" focusable="false">'
        f"{element('path', d=shape(state, 0, 0), class_=f'cell {state}{more}')}</svg>{escape(text)}</li>"
        for state, text, more in shown
    )
    return f'<ul class="legend" aria-label="What the marks mean">{items}</ul>'


def _render_strips(coverage: Coverage, chosen: int, query: Mapping[str, str]) -> Iterator[str]:
    for year in coverage.years:
        key = f"strip {year}"
        if key not in coverage.drawn:
            days = coverage.of_year(year)
            coverage.drawn[key] = draw_year(days, year, proofs=coverage.role == "requester")
        here = ' aria-current="true"' if year == chosen else ""
        href = _href(coverage, {**query, "year": str(year)}, "year")
        link = f'<a href="{href}"{here}><span class="number">{year}</span>{coverage.drawn[key]}</a>'
        yield render_part(f"year-{year}", link, tag="li")


def _render_months(coverage: Coverage, year: int) -> Iterator[str]:
    days = coverage.of_year(year)
    by_month: dict[int, list[CalendarDay]] = {}
    for each in days:
        by_month.setdefault(each.date.month, []).append(each)
    for month in range(1, 13):
        html = render_month(by_month.get(month, ()), coverage.stream, year, month)
        yield render_part(f"month-{year}-{month}", html)


def _render_table(coverage: Coverage) -> str:
    names = "".join(
        f'<th scope="col"><abbr title="{calendar.month_name[n]}">{calendar.month_abbr[n]}</abbr></th>'
        for n in range(1, 13)
    )
    rows = []
    for year in coverage.years:
        by_month: dict[int, list[CalendarDay]] = {month: [] for month in range(1, 13)}
        for each in coverage.of_year(year):
            by_month[each.date.month].append(each)
        cells = "".join(f"<td>{_summarize_month(days)}</td>" for days in by_month.values())
        rows.append(f'<tr><th scope="row">{year}</th>{cells}</tr>')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Records of each month">'
        f'<table class="grid"><thead><tr><th scope="col">Year</th>{names}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _summarize_month(days: Sequence[CalendarDay]) -> str:
    if not days:
        return '<span class="none" aria-hidden="true">–</span>'
    told = [f"{count} {state} {SIGNS[state]}".strip() for state, count in count_states(days).items() if count]
    return told[0].partition(" ")[2] if len(told) == 1 else "<br>".join(told)


def _href(coverage: Coverage, query: Mapping[str, str], anchor: str) -> str:
    return escape(
        f"{stream_path('station', coverage.stream)}?{urlencode({k: v for k, v in query.items() if v})}#{anchor}"
    )
