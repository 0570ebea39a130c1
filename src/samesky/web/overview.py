"""The first page: one sentence that says whether all is right, then a row for each stream."""

from collections import Counter
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import get_args

from ..core.status import Level, System
from .layout import Page, render_part
from .noticeboard import Heard
from .pieces import SYSTEM_WORDS, render_ago, render_mark, render_todo
from .status_document import describe_status
from .stream_table import COLUMNS, Judged, judge_all, render_streams
from .welcome import describe_waiting, render_waiting, render_welcome

MOST_SHOWN, MOST_OF_ONE = 100, 2000
"""Rows of one system on the page of all, and on its own; the others are counted."""
_TRAIL = '<nav class="trail" aria-label="Where this is"><a href="/">Overview</a></nav>'


def render_overview(
    heard: Sequence[Heard],
    now: float,
    *,
    max_lag_s: float | None = None,
    places: str = "",
    troubles: Sequence[str] = (),
    configs: Sequence[Path] = (),
    only: System | None = None,
) -> Page:
    """Return the first page about everything that is known on this machine.

    ``places`` says where was looked, for who sees nothing; ``troubles`` what couldn't be read, ``configs`` whose
    streams are awaited. With ``only`` it is the page about the streams of that system, all of them.
    """
    chosen = [each for each in heard if only in (None, each.snapshot.system)]
    judged = judge_all(chosen, now, max_lag_s=max_lag_s)
    level, sentence = summarize(judged)
    if troubles and level in ("good", "working"):  # what isn't known can't be called right
        level, sentence = "attention", f"{sentence}, but not all could be read"
    said = render_part("said", escape(sentence), tag="p", class_="unseen", role="status")
    hero = render_part("hero", _render_hero(judged, level, sentence, now, configs), class_=f"hero {level}")
    title = "samesky" if not judged else f"{_TITLE_SIGNS[level]} {sentence} · samesky"
    most = MOST_SHOWN if only is None else MOST_OF_ONE
    systems = [render_system(each, judged, now, most=most) for each in get_args(System)]
    body = [_TRAIL if only else "", said, hero, _render_troubles(troubles), *systems]
    if not judged:
        body.append(render_waiting(configs, places) if configs else render_welcome(places))
    document = {**describe_status(chosen, now, max_lag_s, troubles=troubles), "words": sentence}
    return Page(title, "\n".join(filter(None, body)), document, here=f"/streams/{only}" if only else "/")


def summarize(judged: Sequence[Judged]) -> tuple[Level, str]:
    """Return how well everything is together, and that in a sentence."""
    count, levels = len(judged), Counter(each.verdict.level for each in judged)
    if not count:
        return "working", "Nothing to show yet"
    if bad := levels["bad"]:
        return "bad", "It needs you" if count == 1 else f"{bad} of {count} need{'s' if bad == 1 else ''} you"
    if trouble := levels["attention"]:
        return "attention", "It had trouble" if count == 1 else f"{trouble} of {count} had trouble"
    if working := levels["working"]:
        one, many = f"{working} of {count} is on its way", f"{working} of {count} are on their way"
        return "working", "It is on its way" if count == 1 else one if working == 1 else many
    return "good", _praise(judged)


def _praise(judged: Sequence[Judged]) -> str:
    copies = [each.heard.snapshot for each in judged if each.heard.snapshot.is_copy]
    if not copies or not all(each.same for each in copies):  # some aren't compared, because nobody wants it
        return "It runs" if len(judged) == 1 else f"All {len(judged)} run"
    match len(copies):
        case 1:
            return "The copy is the same"
        case 2:
            return "Both copies are the same"
    return f"All {len(copies)} copies are the same"


def _render_hero(judged: Sequence[Judged], level: Level, sentence: str, now: float, configs: Sequence[Path]) -> str:
    words = _render_proof(judged, now) if judged else describe_waiting(configs)
    counted = _count_levels(judged)
    more = f'<p class="counted">{counted}</p>' if counted else ""
    return f"{render_mark(level, named=False)}<div><h1>{escape(sentence)}</h1><p>{words}</p>{more}</div>"


def _count_levels(judged: Sequence[Judged]) -> str:
    """How many are in which way, where they aren't all alike."""
    levels = Counter(each.verdict.level for each in judged)
    told = [f"{levels[level]} {words[levels[level] > 1]}" for level, words in _COUNTED.items() if levels[level]]
    return " · ".join(told) if len(told) > 1 else ""


def _render_proof(judged: Sequence[Judged], now: float) -> str:
    """Since when it is proven of all copies that they are right, or of how many it is."""
    copies = [each.heard.snapshot for each in judged if each.heard.snapshot.is_copy]
    if not copies:
        return "Nothing here is a copy, so there is nothing to compare."
    proven = [each.proven_at for each in copies if each.proven_at is not None and each.different is not True]
    if not proven:
        return "Nothing has been proven the same yet."
    if len(copies) == 1:
        return f"Proven the same {render_ago(min(proven), now)}."
    some = f"{len(proven)} of {len(copies)} copies {'was' if len(proven) == 1 else 'were'}"
    who = "Each copy was" if len(proven) == len(copies) else some
    return f"{who} proven the same at most {render_ago(min(proven), now)}."


def render_system(
    system: System, judged: Sequence[Judged], now: float, *, heading: str = "", most: int = MOST_SHOWN
) -> str:
    """Return a section with the streams of one system, the worst first; nothing when it has none."""
    found = [each for each in judged if each.heard.snapshot.system == system]
    if not found:
        return ""
    heading = heading or SYSTEM_WORDS[system]
    table = render_streams(found[:most], now, columns=COLUMNS[system], caption=heading)
    more = len(found) - most
    note = (
        f'<p class="more">{more:,} more, none worse than the last one here: '
        f'<a href="/streams/{system}">all of them</a>.</p>'
        if more > 0
        else ""
    )
    title = f'<h2 id="of-{system}">{escape(heading)}</h2>'
    return f'<section aria-labelledby="of-{system}">{title}\n{table}{note}</section>'


_COUNTED: dict[Level, tuple[str, str]] = {
    "bad": ("needs you", "need you"),
    "attention": ("had trouble", "had trouble"),
    "working": ("is on its way", "are on their way"),
    "good": ("is all right", "are all right"),
}
"""Of one, and of several."""
_TITLE_SIGNS = {"good": "✓", "working": "…", "attention": "!", "bad": "✗"}


def _render_troubles(troubles: Sequence[str]) -> str:
    told = "".join(f"<li>{render_todo(each)}</li>" for each in troubles)
    html = f"<h2>What couldn't be read</h2><ul>{told}</ul>" if told else ""
    return render_part("troubles", html, tag="section", class_="card prose troubles" if told else "")
