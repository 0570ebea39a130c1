"""The page about one stream: what to think of it, what to do, and all that is known of it."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from ..core.status import State, System
from .details import list_details, render_parts_of
from .layout import Page, render_part
from .noticeboard import Heard
from .overview import render_system
from .pieces import (
    SYSTEM_WORDS,
    begin_sentence,
    describe_lag,
    describe_moment,
    describe_number,
    name_role,
    render_ago,
    render_facts,
    render_mark,
    render_name,
    stream_path,
)
from .status_document import describe_heard
from .stream_table import Judged, describe_rate, judge_all, render_verdict

_BESIDE: Mapping[System, str] = {
    "station": "Other streams",
    "mesh": "Other neighbours",
    "push": "Other sites and centres",
    "blocks": "Other links",
}
_STATE_WORDS: Mapping[State, str] = {
    "waiting": "waiting",
    "catching-up": "catching up",
    "live": "live",
    "stopped": "stopped",
    "disconnected": "no connection",
}


def render_stream(
    heard: Sequence[Heard], now: float, *, others: Sequence[Heard] = (), max_lag_s: float | None = None
) -> Page:
    """Return the page about one stream, of which there may be several on this machine: a primary and copies.

    ``others`` are streams that belong to it: the other neighbours of a mesh, the other sites of a centre.
    """
    shown = heard[0].snapshot
    body = [render_heading(heard), render_state(heard, now, max_lag_s=max_lag_s)]
    if others:
        judged = judge_all(others, now, max_lag_s=max_lag_s)
        body.append(render_system(shown.system, judged, now, heading=_BESIDE[shown.system]))
    streams = [describe_heard(each, now, max_lag_s) for each in heard]
    document = {"system": shown.system, "stream": shown.stream, "streams": streams}
    return Page(f"{shown.stream} · samesky", "\n".join(body), document, here=stream_path(shown.system, shown.stream))


def render_heading(heard: Sequence[Heard]) -> str:
    """The way back, and the stream's name."""
    shown = heard[0].snapshot
    return (
        f'<nav class="trail" aria-label="Where this is"><a href="/">Overview</a> <span aria-hidden="true">›</span> '
        f'<a href="/streams/{shown.system}">{SYSTEM_WORDS[shown.system]}</a></nav>\n'
        f"<h1>{render_name(shown.stream)}</h1>"
    )


def render_state(heard: Sequence[Heard], now: float, *, max_lag_s: float | None = None) -> str:
    """What to think of each of them, what to do, and the facts: the first part of every page about a stream."""
    return "\n".join(_render_one(each, now) for each in judge_all(heard, now, max_lag_s=max_lag_s))


def _render_one(each: Judged, now: float) -> str:
    level, name = each.verdict.level, escape(begin_sentence(name_role(each.heard)))
    html = (
        f'<div class="verdict {level}">{render_mark(level)}'
        f"<div><h2>{name}</h2>{render_verdict(each.verdict)}</div></div>"
        f"{render_facts(_list_facts(each.heard, now))}{render_parts_of(each.heard)}"
    )
    return render_part(each.part, html, tag="section", class_=f"card state {level}")


def _list_facts(heard: Heard, now: float) -> Iterator[tuple[str, str]]:
    shown = heard.snapshot
    since = f", since {render_ago(shown.since, now)}" if shown.since else ""
    yield "State", f"{_STATE_WORDS[shown.state]}{since}"
    if shown.is_copy:
        yield from _list_proof(heard, now)
    if shown.lag_s is not None:
        yield "Age" if shown.system == "blocks" else "Lag", describe_lag(shown.lag_s)
    if shown.behind is not None:
        yield "Waiting", f"{describe_number(shown.behind)} {escape(shown.unit)}"
    if shown.rate_per_s is not None:
        yield "Speed", escape(describe_rate(shown.rate_per_s, shown.unit))
    if shown.position is not None:
        yield "Newest here", describe_moment(shown.position)
    if shown.newest is not None and shown.newest != shown.position:
        yield "Newest there", describe_moment(shown.newest)
    if shown.stored:
        yield "Stored", f"{describe_number(shown.stored)} {escape(shown.unit)}"
    if shown.repaired:
        yield "Mended", describe_number(shown.repaired)
    if shown.refused:
        told = (f"{escape(reason)} {count:,}" for reason, count in sorted(shown.refused.items()))
        yield "Refused", ", ".join(told)
    yield from list_details(heard, now)
    yield "Heard of", render_ago(heard.heard_at, now)


def _list_proof(heard: Heard, now: float) -> Iterator[tuple[str, str]]:
    shown = heard.snapshot
    if shown.proven_at is None:
        yield "Proven the same", "not yet"
        return
    then = " then" if shown.different else ""
    yield "Was proven the same" if then else "Proven the same", render_ago(shown.proven_at, now)
    if shown.proven_count is not None:
        yield f"{begin_sentence(shown.unit)} proven{then}", describe_number(shown.proven_count)
    if shown.proven_through is not None:
        yield f"Proven up to{then}", describe_moment(shown.proven_through)
    if shown.proven_digest:
        yield f"Digest of it{then}", f"<code>{escape(shown.proven_digest)}</code>"
