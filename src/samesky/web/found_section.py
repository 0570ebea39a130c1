"""What checks have found on a station's page: when, of which days, how much, and when it was mended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

from ..station.found import FoundDay
from .calendar_days import Coverage, date_of, describe_found
from .layout import render_part
from .pieces import render_ago

MOST_SHOWN = 40
_SAME_CHECK_S = 120.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found of days that follow each other."""

    first: date
    last: date
    found: FoundDay
    """All of it, as of one day."""


def gather_findings(found: Sequence[FoundDay]) -> list[Finding]:
    """Days that follow each other, with the same wrong found by the same check, as one; the newest check first."""
    gathered: list[Finding] = []
    for each in sorted(found, key=lambda each: (each.kind, each.day)):
        day, before = date_of(each.day), gathered[-1] if gathered else None
        if before is not None and _continues(before, each, day):
            total = FoundDay(
                before.found.day, each.kind, before.found.count + each.count, before.found.found_at, each.mended_at
            )
            gathered[-1] = Finding(before.first, day, total)
        else:
            gathered.append(Finding(day, day, each))
    return sorted(gathered, key=lambda each: each.found.found_at, reverse=True)


def render_found(coverage: Coverage, now: float) -> str:
    """The section; for a copy only, and when nothing was found it says so."""
    if coverage.role != "requester":
        return ""
    findings = gather_findings(coverage.found)
    if not findings:
        table = "<p>Nothing in the last ninety days.</p>"
    else:
        rows = "".join(_render_row(each, now) for each in findings[:MOST_SHOWN])
        more = f"<p>and {len(findings) - MOST_SHOWN} more</p>" if len(findings) > MOST_SHOWN else ""
        table = (
            '<div class="scroll" tabindex="0" role="region" aria-label="What checks have found">'
            '<table class="grid"><thead><tr><th scope="col">Found</th><th scope="col">Day</th>'
            '<th scope="col">What</th><th scope="col">Mended</th></tr></thead>'
            f"<tbody>{rows}</tbody></table></div>{more}"
        )
    return f'<section class="card" id="found"><h2>What checks have found</h2>{render_part("found", table)}</section>'


def describe_findings(found: Sequence[FoundDay]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "first": each.first.isoformat(),
            "last": each.last.isoformat(),
            "kind": each.found.kind,
            "count": each.found.count,
            "found_at": each.found.found_at,
            "mended_at": each.found.mended_at,
        }
        for each in gather_findings(found)
    ]


def _continues(before: Finding, each: FoundDay, day: date) -> bool:
    was = before.found
    is_next = before.last < day <= before.last + timedelta(days=1)
    same_end = (was.mended_at is None) == (each.mended_at is None)
    return is_next and was.kind == each.kind and same_end and abs(was.found_at - each.found_at) <= _SAME_CHECK_S


def _render_row(each: Finding, now: float) -> str:
    days = each.first.isoformat() if each.first == each.last else f"{each.first.isoformat()} to {each.last.isoformat()}"
    mended = (
        '<span class="words bad">not yet</span>'
        if each.found.mended_at is None
        else render_ago(each.found.mended_at, now)
    )
    return (
        f"<tr><td>{render_ago(each.found.found_at, now)}</td><td>{days}</td>"
        f"<td>{escape(describe_found(each.found))}</td><td>{mended}</td></tr>"
    )
