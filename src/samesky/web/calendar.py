"""Draws coverage calendars: a strip a year, a column a week, a cell a day; and months as tables whose days are links.

Each state has a shape as well as a colour: a full square is complete, a triangle partial, a frame missing, a diamond
differs. What isn't proven the same yet is pale.
"""

import calendar
from collections.abc import Iterable, Sequence
from datetime import date
from html import escape

from .calendar_days import STATE_WORDS, CalendarDay, Coverage, DayState, count_states
from .pieces import stream_path
from .svg import element, picture, words, write_file

STEP = 11.0
"""From one cell to the next; a cell is 9 wide (`shape`)."""
_TOP = 12.0
STRIP_WIDTH, STRIP_HEIGHT = 54 * STEP, _TOP + 7 * STEP
SIGNS: dict[DayState, str] = {"complete": "", "partial": "◣", "missing": "□", "differs": "◆"}
"""In text, beside the number of a day."""


def draw_year(days: Sequence[CalendarDay], year: int, *, proofs: bool) -> str:
    """The strip of one year, for a page. ``proofs``: it is a copy, whose days are proven or not."""
    return picture(
        STRIP_WIDTH,
        STRIP_HEIGHT,
        *_draw_strip(days, year, proofs=proofs),
        title=f"{year}: {summarize(days)}",
        class_="strip",
    )


def write_calendar(coverage: Coverage) -> str:
    """The whole calendar as an SVG file: all years, the newest first, and what the cells mean."""
    proofs = coverage.role == "requester"
    left, top, row = 46.0, 40.0, STRIP_HEIGHT + 8
    rows = []
    for number, year in enumerate(coverage.years):
        rows.append(words(str(year), x=8, y=top + number * row + 52, class_="year"))
        strip = _draw_strip(coverage.of_year(year), year, proofs=proofs, titles=True)
        rows.append(element("g", *strip, transform=f"translate({left:.0f} {top + number * row:.0f})"))
    height = top + len(coverage.years) * row
    heading = words(f"{coverage.stream}: {_describe_span(coverage)}", x=8, y=22, class_="heading")
    legend = element("g", *_draw_legend(proofs=proofs), transform=f"translate({left:.0f} {height + 6:.0f})")
    return write_file(
        left + STRIP_WIDTH + 8,
        height + 30,
        heading,
        *rows,
        legend,
        title=f"Records of {coverage.stream}, day by day",
        description=f"{_describe_span(coverage)}. {summarize(coverage.days)}.",
    )


def summarize(days: Sequence[CalendarDay]) -> str:
    """``complete``, or ``363 days complete, 2 partial``."""
    told = [(state, count) for state, count in count_states(days).items() if count]
    if not told:
        return "no records"
    if len(told) == 1:
        return told[0][0]
    first, *rest = told
    return ", ".join(
        [f"{first[1]} day{'' if first[1] == 1 else 's'} {first[0]}", *(f"{n} {state}" for state, n in rest)]
    )


def render_month(days: Sequence[CalendarDay], stream: str, year: int, month: int) -> str:
    """A month as a table of weeks; each day with a record, or that should have one, is a link to its records."""
    known = {each.date: each for each in days}
    weeks = calendar.Calendar().monthdatescalendar(year, month)
    rows = "".join(f"<tr>{''.join(_render_cell(each, month, known, stream) for each in week)}</tr>" for week in weeks)
    names = "".join(
        f'<th scope="col"><abbr title="{calendar.day_name[n]}">{calendar.day_name[n][:2]}</abbr></th>' for n in range(7)
    )
    return (
        f'<table class="month"><caption>{calendar.month_name[month]} <span class="unseen">{year}</span></caption>'
        f"<thead><tr>{names}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _render_cell(day: date, month: int, known: dict[date, CalendarDay], stream: str) -> str:
    if day.month != month:
        return "<td></td>"
    found = known.get(day)
    if found is None:
        return f'<td class="day none"><span>{day.day}</span></td>'
    classes = f"day {found.state}{'' if found.proven else ' unproven'}{' lost' if found.lost else ''}"
    label = escape(f"{day.day} {calendar.month_name[month]} {day.year}: {found.describe()}")
    sign = f'<span class="sign" aria-hidden="true">{SIGNS[found.state]}</span>' if SIGNS[found.state] else ""
    href = f"{stream_path('station', stream)}/day/{day.isoformat()}"
    return (
        f'<td class="{classes}"><a href="{escape(href)}" aria-label="{label}" title="{label}">{day.day}{sign}</a></td>'
    )


def _describe_span(coverage: Coverage) -> str:
    if not coverage.days:
        return "no records yet"
    first, last = coverage.days[0].date, coverage.days[-1].date
    return f"{coverage.count:,} records from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _draw_strip(days: Sequence[CalendarDay], year: int, *, proofs: bool, titles: bool = False) -> Iterable[str]:
    """One path for each kind of cell; with ``titles`` each day that isn't as it should be says so by itself."""
    offset = date(year, 1, 1).weekday()
    for month in range(1, 13):
        at = (date(year, month, 1) - date(year, 1, 1)).days + offset
        name = calendar.month_abbr[month]
        yield words(name, x=at // 7 * STEP + (STEP if at % 7 else 0), y=8, class_="month-name")
    paths: dict[str, list[str]] = {}
    for each in days:
        day = each.date
        at = (day - date(year, 1, 1)).days + offset
        x, y = at // 7 * STEP, _TOP + at % 7 * STEP
        kind = f"{each.state}{'' if each.proven or not proofs else ' unproven'}"
        path = shape(each.state, x, y)
        if titles and each.state != "complete":
            title = element("title", escape(f"{day.isoformat()}: {each.describe()}"))
            yield element("path", title, d=path, class_=f"cell {kind}")
        else:
            paths.setdefault(kind, []).append(path)
    for kind, parts in paths.items():
        yield element("path", d="".join(parts), class_=f"cell {kind}")


def shape(state: DayState, x: float, y: float) -> str:
    """The outline of a cell whose upper left corner is there."""
    at = f"M{x:g} {y:g}"
    match state:
        case "complete":
            return f"{at}h9v9h-9z"
        case "partial":
            return f"{at}v9h9z"
        case "missing":
            return f"{at}h9v9h-9zm2 2v5h5v-5z"
        case "differs":
            return f"M{x + 4.5:g} {y - 1:g}l5.5 5.5-5.5 5.5-5.5-5.5z"


def _draw_legend(*, proofs: bool) -> Iterable[str]:
    x = 0.0
    entries: list[tuple[DayState, str, str]] = [(state, state, "") for state in STATE_WORDS]
    if proofs:
        entries.insert(1, ("complete", "complete, not proven yet", " unproven"))
    for state, text, more in entries:
        yield element("path", d=shape(state, x, 0.0), class_=f"cell {state}{more}")
        yield words(text, x=x + 14, y=8.5, class_="legend-word")
        x += 34 + 6.2 * len(text)
