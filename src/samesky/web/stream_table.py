"""Streams as a table: what to think of each and what to do, then the figures that matter to its system."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ..core.status import System, Verdict
from .layout import render_part
from .noticeboard import Heard
from .pieces import (
    NOTHING,
    begin_sentence,
    describe_lag,
    describe_number,
    name_role,
    render_ago,
    render_count,
    render_mark,
    render_name,
    render_todo,
    stream_path,
)
from .status_document import WORST_FIRST

MOST_VALUE = 60
"""Characters of a block's value in a table; its page has it whole."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A stream with what to think of it now."""

    heard: Heard
    verdict: Verdict

    @property
    def part(self) -> str:
        """A name for its part of a page: the same every time, and no other stream's."""
        told = "\0".join((*self.heard.key, self.heard.owner)).encode()
        return f"stream-{hashlib.blake2b(told, digest_size=6).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of a table: its heading, and its cell, as HTML."""

    heading: str
    cell: Callable[[Heard, float], str]


def judge_all(heard: Sequence[Heard], now: float, *, max_lag_s: float | None) -> list[Judged]:
    """Return the streams with what to think of each, the worst first, then by name."""
    judged = [Judged(each, each.judge(now, max_lag_s=max_lag_s)) for each in heard]
    return sorted(judged, key=lambda each: (WORST_FIRST.index(each.verdict.level), each.heard.key, each.heard.owner))


def render_streams(judged: Sequence[Judged], now: float, *, columns: Sequence[Column], caption: str) -> str:
    """Return the table. On a phone each row is a card: the roles keep it a table for who doesn't see it."""
    headings = ("Stream", "How it is", *(each.heading for each in columns))
    head = "".join(f'<th scope="col" role="columnheader">{escape(each)}</th>' for each in headings)
    head += '<th scope="col" role="columnheader" class="unseen">What to do</th>'
    rows = "\n".join(_render_row(each, now, columns) for each in judged)
    return (
        f'<table class="streams figures-{len(columns)}" role="table">'
        f'<caption class="unseen">{escape(caption)}, with how each stream is, and what to do</caption>'
        f'<thead role="rowgroup"><tr role="row">{head}</tr></thead>\n<tbody role="rowgroup">\n{rows}\n</tbody></table>'
    )


def _render_row(each: Judged, now: float, columns: Sequence[Column]) -> str:
    shown, level = each.heard.snapshot, each.verdict.level
    name = (
        f'<a href="{escape(stream_path(shown.system, shown.stream))}">{render_name(shown.stream)}</a>'
        f' <span class="role">{escape(name_role(each.heard))}</span>'
    )
    todo = f'<td role="cell" class="todo">{render_todo(each.verdict.todo)}</td>' if each.verdict.todo else ""
    html = (
        f'<th scope="row" role="rowheader">{render_mark(level)}<span class="name">{name}</span></th>'
        f'<td role="cell" class="how"><span class="words">{escape(begin_sentence(each.verdict.words))}</span></td>'
        + "".join(_render_figure(column, column.cell(each.heard, now)) for column in columns)
        + todo
    )
    return render_part(each.part, html, tag="tr", role="row", class_=f"stream {level}")


def _render_figure(column: Column, html: str) -> str:
    label = f'<span class="label" aria-hidden="true">{escape(column.heading)}</span>'
    return f'<td role="cell" class="figure{" empty" if html == NOTHING else ""}">{label}<span>{html}</span></td>'


def render_verdict(verdict: Verdict) -> str:
    """What to think of a stream, and what to do."""
    todo = f'<p class="todo">{render_todo(verdict.todo)}</p>' if verdict.todo else ""
    return f'<p class="words">{escape(begin_sentence(verdict.words))}</p>{todo}'


def render_proven(heard: Heard, now: float) -> str:
    """When it was last proven the same."""
    shown = heard.snapshot
    if not shown.is_copy:
        return NOTHING
    if shown.proven_at is None:
        return "not yet"
    return f"{'was ' if shown.different else ''}{render_ago(shown.proven_at, now)}"


def render_lag(heard: Heard, now: float) -> str:
    """How far behind it is in time."""
    lag_s = heard.snapshot.lag_s
    return NOTHING if lag_s is None else describe_lag(lag_s)


def render_waiting(heard: Heard, now: float) -> str:
    """How much is still to come."""
    return render_count(heard.snapshot.behind)


def render_stored(heard: Heard, now: float) -> str:
    """How much has come since the start."""
    return render_count(heard.snapshot.stored)


def render_value(heard: Heard, now: float) -> str:
    """The beginning of a block's value."""
    value = str(heard.snapshot.details.get("value") or "")
    return escape(value if len(value) <= MOST_VALUE else f"{value[:MOST_VALUE]}…") if value else NOTHING


def render_rate(heard: Heard, now: float) -> str:
    """How much is stored a second, lately."""
    shown = heard.snapshot
    return NOTHING if shown.rate_per_s is None else escape(describe_rate(shown.rate_per_s, shown.unit))


def describe_rate(rate_per_s: float, unit: str) -> str:
    """``12.4 files/s``, ``12 records/h``: of the spans of time the shortest in which there is one."""
    if rate_per_s >= 0.1 or rate_per_s <= 0:
        return f"{describe_number(max(0.0, rate_per_s))} {unit}/s"
    if rate_per_s * 60 >= 1:
        return f"{describe_number(rate_per_s * 60)} {unit}/min"
    return f"{describe_number(rate_per_s * 3600)} {unit}/h"


def render_lacking(heard: Heard, now: float) -> str:
    """How many files a neighbour has that aren't here."""
    lacking = heard.snapshot.details.get("lacking")
    return render_count(lacking) if isinstance(lacking, int | float) else NOTHING


PROVEN, LAG = Column("Proven", render_proven), Column("Lag", render_lag)
WAITING, SPEED = Column("Waiting", render_waiting), Column("Speed", render_rate)
COLUMNS: Mapping[System, Sequence[Column]] = {
    "station": (PROVEN, LAG, WAITING, SPEED),
    "mesh": (PROVEN, Column("Lacking", render_lacking), LAG, Column("To fetch", render_waiting), SPEED),
    "push": (PROVEN, LAG, Column("To push", render_waiting), SPEED),
    "blocks": (Column("Value", render_value), Column("Age", render_lag), Column("Values", render_stored), SPEED),
}
"""What is told of the streams of each system."""
