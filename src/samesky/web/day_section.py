"""A day's records on its page: the copy's and the primary's side by side, with every value that differs marked."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from html import escape
from typing import Any

from .calendar_days import CalendarDay, Coverage
from .day_records import PAIR_WORDS, DayRecords, RecordPair, describe_time
from .pieces import render_ago, render_mark, render_todo, stream_path
from .series import KEYS, USUAL

MOST_SHOWN = 1500


def render_day_ways(stream: str, day: date, coverage: Coverage | None) -> str:
    """Links to the day before, the day after, and the calendar."""
    path = escape(stream_path("station", stream))
    first, last = (coverage.days[0].date, coverage.days[-1].date) if coverage and coverage.days else (day, day)
    links = [f'<a href="{path}?year={day.year}#year">Calendar</a>']
    if day > first:
        before = day - timedelta(days=1)
        links.insert(0, f'<a href="{path}/day/{before.isoformat()}" rel="prev">‹ {before.isoformat()}</a>')
    if day < last:
        after = day + timedelta(days=1)
        links.append(f'<a href="{path}/day/{after.isoformat()}" rel="next">{after.isoformat()} ›</a>')
    return f'<nav class="ways" aria-label="Days">{"".join(links)}</nav>'


def render_day_records(records: DayRecords, known: CalendarDay | None, repair: str, now: float) -> str:
    """The verdict on the day, and its records."""
    return "\n".join([_render_verdict(records, known, repair, now), _render_table(records)])


def _render_verdict(records: DayRecords, known: CalendarDay | None, repair: str, now: float) -> str:
    counts = records.counts()
    wrong = {kind: counts[kind] for kind in ("different", "missing", "extra") if counts[kind]}
    told = ""
    if records.asked_at is None:
        level, sentence = "working", _describe_alone(records)
        told = f"<p>{render_todo(records.hint)}</p>" if records.hint else ""
    elif wrong:
        level = "bad"
        sentence = "This day differs from the primary: " + ", ".join(f"{n:,} {PAIR_WORDS[k]}" for k, n in wrong.items())  # type: ignore[index]
        told = f"<p>{render_todo(f'A check mends it by itself; at once: `{repair}`')}</p>" if repair else ""
    else:
        level, sentence = "good", f"All {counts['same']:,} records are the same at both ends"
    asked = f"<p>The primary said so {render_ago(records.asked_at, now)}.</p>" if records.asked_at is not None else ""
    calendar = f"<p>Calendar: {escape(known.describe())}.</p>" if known is not None else ""
    notes = "".join(f"<p>{escape(note)}</p>" for note in records.notes)
    return (
        f'<section class="card state {level}"><div class="verdict {level}">{render_mark(level)}'  # type: ignore[arg-type]
        f"<div><h2>{escape(sentence)}</h2>{told}{asked}{calendar}{notes}</div></div></section>"
    )


def _describe_alone(records: DayRecords) -> str:
    if records.role == "responder":
        return f"{len(records.pairs):,} records of the primary"
    return f"{len(records.pairs):,} records here; the primary's can't be shown: {records.why_not}"


def _render_table(records: DayRecords) -> str:
    if not records.pairs:
        return '<section class="card"><p>There is no record of this day.</p></section>'
    columns = _order_columns(records)
    sides = records.asked_at is not None
    rows = "".join(row for pair in records.pairs[:MOST_SHOWN] for row in _render_pair(pair, columns, sides=sides))
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
    more = len(records.pairs) - MOST_SHOWN
    cut = f"<p>and {more:,} more: this page as JSON has them all</p>" if more > 0 else ""
    verdict = '<th scope="col">Verdict</th>' if sides else ""
    return (
        '<section class="card"><h2>Records</h2>'
        '<div class="scroll tall" tabindex="0" role="region" aria-label="Records of the day">'
        f'<table class="grid records"><thead><tr><th scope="col">Time</th>{verdict}{names}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{cut}</section>"
    )


def _order_columns(records: DayRecords) -> list[str]:
    """What differs first, then what most people look for, the keys last."""
    differing = {name for pair in records.pairs for name in pair.differing}

    def rank(name: str) -> tuple[bool, bool, int]:
        usual = USUAL.index(name) if name in USUAL else len(USUAL)
        return name not in differing, name in KEYS, usual

    return sorted((name for name in records.columns if name != "dateTime"), key=rank)


def _render_pair(pair: RecordPair, columns: Sequence[str], *, sides: bool) -> Iterator[str]:
    """One row where both are the same; one for each side where they aren't."""
    at = f'<th scope="row">{describe_time(pair.time)}</th>'
    if not sides or pair.kind == "same":
        verdict = f"<td>{PAIR_WORDS[pair.kind]}</td>" if sides else ""
        yield f"<tr>{at}{verdict}{_render_cells(pair.here or pair.there or {}, columns, ())}</tr>"
        return
    if pair.kind != "different":
        verdict = f'<td class="words bad">{PAIR_WORDS[pair.kind]}</td>'
        yield f'<tr class="{pair.kind}">{at}{verdict}{_render_cells(pair.here or pair.there or {}, columns, ())}</tr>'
        return
    for record, words in ((pair.here, "different: here"), (pair.there, "different: primary")):
        cells = _render_cells(record or {}, columns, pair.differing)
        yield f'<tr class="different">{at}<td class="words bad">{words}</td>{cells}</tr>'


def _render_cells(record: Any, columns: Sequence[str], differing: Sequence[str]) -> str:
    cells = []
    for name in columns:
        value = _describe_value(record.get(name), exact=name in differing)
        if name in differing:
            cells.append(f'<td class="differing"><mark>{value}<span class="unseen"> (differs)</span></mark></td>')
        else:
            cells.append(f"<td>{value}</td>")
    return "".join(cells)


def _describe_value(value: object, *, exact: bool) -> str:
    """As many digits as are of use; all of them where two values differ, that they look different."""
    if value is None:
        return '<span class="none">–</span>'
    return escape(f"{value:.6g}" if isinstance(value, float) and not exact else str(value))
