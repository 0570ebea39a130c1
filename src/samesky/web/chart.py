"""Draws the course of an observation: the primary's as a broad pale line, the copy's as a thin one upon it.

Where the two are the same they lie on each other. Gaps stay gaps. A picture for a desk and one for a phone, whose
letters are as large as the rest of the page; which of them is seen is the stylesheet's business.
"""

import math
import time
from collections.abc import Iterator, Sequence

from ..core.counts import count_of
from .pieces import describe_number
from .series import Point, Series
from .station_databases import ROLE_NAMES
from .svg import element, picture, words
from .units import find_unit

WIDE, NARROW = (760.0, 260.0), (340.0, 240.0)
_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 8.0, 12.0, 26.0
_HOUR, _DAY = 3600, 86_400


def draw_chart(series: Sequence[Series]) -> str:
    """The drawings of one observation, wide and narrow; empty when there is nothing to draw."""
    if not any(point for each in series for point in each.points):
        return ""
    return "".join(_draw(series, size, name) for size, name in ((WIDE, "wide"), (NARROW, "narrow")))


def describe_series(series: Series) -> str:
    """``copy: between 12.4 and 21.8 °C, last 18.2 °C``."""
    points = [each for each in series.points if each is not None]
    if not points:
        return f"{ROLE_NAMES[series.role]}: no values"
    unit = find_unit(series.observation, series.unit_system)
    low, high = min(each.low for each in points), max(each.high for each in points)
    gaps = sum(each is None for each in series.points)
    last = f"last {_number(points[-1].mean)}{unit}"
    told = f"{ROLE_NAMES[series.role]}: between {_number(low)} and {_number(high)}{unit}, {last}"
    return told + (f", {count_of(gaps, 'gap')}" if gaps else "")


def _draw(series: Sequence[Series], size: tuple[float, float], name: str) -> str:
    width, height = size
    frame = _Frame(series, width, height)
    lines = [line for each in sorted(series, key=lambda each: each.role == "requester") for line in frame.draw(each)]
    return picture(
        width,
        height,
        *frame.draw_axes(),
        *lines,
        title=series[0].observation,
        description="; ".join(describe_series(each) for each in series),
        class_=f"chart {name}",
    )


class _Frame:
    """Where times and values are on the paper."""

    def __init__(self, series: Sequence[Series], width: float, height: float) -> None:
        self._width, self._height = width, height
        self._since, self._until = series[0].since, max(series[0].until, series[0].since + 1)
        points = [point for each in series for point in each.points if point is not None]
        low, high = min(each.low for each in points), max(each.high for each in points)
        self._ticks = find_ticks(low, high)
        self._low, self._high = min(low, self._ticks[0]), max(high, self._ticks[-1])

    def _x(self, moment: float) -> float:
        return _LEFT + (moment - self._since) / (self._until - self._since) * (self._width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        room = self._height - _TOP - _BOTTOM
        return _TOP + (self._high - value) / ((self._high - self._low) or 1.0) * room

    def draw_axes(self) -> Iterator[str]:
        end = self._width - _RIGHT
        for tick in self._ticks:
            y = self._y(tick)
            yield element("line", x1=_LEFT, x2=end, y1=y, y2=y, class_="grid")
            yield words(_number(tick), x=_LEFT - 6, y=y + 4, class_="axis value")
        most = 8 if self._width > 500 else 4
        for moment, text in find_moments(self._since, self._until, most):
            x = self._x(moment)
            yield element("line", x1=x, x2=x, y1=self._height - _BOTTOM, y2=self._height - _BOTTOM + 4, class_="tick")
            anchor = "end" if x > end - 20 else "middle"
            yield words(text, x=min(x, end), y=self._height - 8, class_="axis", text_anchor=anchor)

    def draw(self, series: Series) -> Iterator[str]:
        name = ROLE_NAMES[series.role]
        for run in _runs(series.points):
            if len(run) == 1:
                x, y = self._x(run[0].time), self._y(run[0].mean)
                yield element("circle", cx=x, cy=y, r=1.6, class_=f"dot {name}")
                continue
            if any(each.high > each.low for each in run):
                upper = [f"{self._x(each.time):.1f} {self._y(each.high):.1f}" for each in run]
                lower = [f"{self._x(each.time):.1f} {self._y(each.low):.1f}" for each in reversed(run)]
                yield element("path", d=f"M{'L'.join([*upper, *lower])}z", class_=f"band {name}")
            line = "L".join(f"{self._x(each.time):.1f} {self._y(each.mean):.1f}" for each in run)
            yield element("path", d=f"M{line}", class_=f"line {name}")


def find_ticks(low: float, high: float, most: int = 5) -> list[float]:
    """A few round values between these, and at most one beyond each."""
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999)
    first = math.floor(low / step)
    return [number * step for number in range(first, math.ceil(high / step - 1e-9) + 1)]


def find_moments(since: int, until: int, most: int) -> list[tuple[int, str]]:
    """Round moments of local time, and what to write there."""
    span = until - since
    for step_s, form in ((_HOUR, "%H:%M"), (3 * _HOUR, "%H:%M"), (6 * _HOUR, "%H:%M"), (12 * _HOUR, "%d %b %H:%M")):
        if span / step_s <= most:
            return [(each, time.strftime(form, time.localtime(each))) for each in _hours(since, until, step_s)]
    days = next((each for each in (1, 2, 7, 14) if span / (each * _DAY) <= most), 0)
    if days:
        return [(each, time.strftime("%d %b", time.localtime(each))) for each in _midnights(since, until, days)]
    months = next((each for each in (1, 2, 3, 6, 12, 24, 60) if span / (each * 30 * _DAY) <= most), 120)
    form = "%Y" if months >= 12 else "%b %Y"
    return [(each, time.strftime(form, time.localtime(each))) for each in _months(since, until, months)]


def _hours(since: int, until: int, step_s: int) -> Iterator[int]:
    """Hours of the day that are whole multiples, also where the clock is changed."""
    moment = since - since % 900
    while moment <= until:
        local = time.localtime(moment)
        if moment >= since and (local.tm_hour * _HOUR + local.tm_min * 60) % step_s == 0:
            yield moment
        moment += 900


def _midnights(since: int, until: int, days: int) -> Iterator[int]:
    local = time.localtime(since)
    for number in range(1, 400, days):
        moment = int(time.mktime((local.tm_year, local.tm_mon, local.tm_mday + number, 0, 0, 0, 0, 0, -1)))
        if moment > until:
            return
        yield moment


def _months(since: int, until: int, months: int) -> Iterator[int]:
    local = time.localtime(since)
    number = (local.tm_year * 12 + local.tm_mon - 1) // months * months
    while True:
        number += months
        moment = int(time.mktime((number // 12, number % 12 + 1, 1, 0, 0, 0, 0, 0, -1)))
        if moment > until:
            return
        if moment >= since:
            yield moment


def _runs(points: Sequence[Point | None]) -> Iterator[list[Point]]:
    run: list[Point] = []
    for each in points:
        if each is not None:
            run.append(each)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _number(value: float) -> str:
    """As many digits as one reads at a glance; 0 is never ``-0``."""
    return describe_number(round(value, 6) + 0.0)
