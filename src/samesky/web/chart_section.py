"""The chart on a station's page, and the form that says which observation and how long a time it shows."""

from collections.abc import Mapping, Sequence
from html import escape

from .calendar_days import Coverage
from .chart import describe_series, draw_chart
from .layout import render_part
from .pieces import stream_path
from .series import Series
from .station_databases import ROLE_NAMES
from .station_views import Calendars

SPANS: Mapping[str, str] = {
    "1": "1 day",
    "7": "7 days",
    "31": "1 month",
    "366": "1 year",
    "0": "everything",
}
_USUAL_DAYS = "7"
_DAY_S = 86_400


def render_chart(calendars: Calendars, coverage: Coverage, query: Mapping[str, str]) -> tuple[str, list[Series]]:
    """The section, and what it draws; nothing where no observation has a value."""
    observations = calendars.observations(coverage.stream)
    if not observations or coverage.newest is None or coverage.first is None:
        return "", []
    asked = query.get("observation", "")
    observation = asked if asked in observations else observations[0]
    days = query.get("days", "") if query.get("days") in SPANS else _USUAL_DAYS
    since = coverage.first - 1 if days == "0" else max(coverage.first - 1, coverage.newest - int(days) * _DAY_S)
    series = calendars.series(coverage.stream, observation, since, coverage.newest)
    html = (
        '<section class="card chart-card" id="chart"><h2>Chart</h2>'
        f"{_render_form(coverage, observations, observation, days, query)}"
        f"{render_part('chart', _render_drawing(series))}</section>"
    )
    return html, series


def _render_drawing(series: Sequence[Series]) -> str:
    drawing = draw_chart(series) or "<p>There is no value in this time.</p>"
    items = "".join(f'<li class="of-{ROLE_NAMES[each.role]}">{escape(describe_series(each))}</li>' for each in series)
    return f'{drawing}<ul class="legend lines">{items}</ul>'


def _render_form(
    coverage: Coverage, observations: Sequence[str], chosen: str, days: str, query: Mapping[str, str]
) -> str:
    kept = "".join(
        f'<input type="hidden" name="{name}" value="{escape(query[name])}">'
        for name in ("year", "of")
        if query.get(name)
    )
    names = _render_options({name: name for name in observations}, chosen)
    return (
        f'<form class="choice" method="get" action="{escape(stream_path("station", coverage.stream))}#chart">{kept}'
        f'<label>Observation <select name="observation">{names}</select></label>'
        f'<label>Time <select name="days">{_render_options(SPANS, days)}</select></label>'
        '<button type="submit">Show</button></form>'
    )


def _render_options(options: Mapping[str, str], chosen: str) -> str:
    return "".join(
        f'<option value="{escape(value)}"{" selected" if value == chosen else ""}>{escape(text)}</option>'
        for value, text in options.items()
    )
