"""What `samesky status` shows: a table of all streams, and sentences about those that aren't well."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ..core.spans import describe_span
from ..core.status import Level, Role, Snapshot

if TYPE_CHECKING:
    from rich.table import Table

    from ..web.noticeboard import Heard

_ROLES: Final[dict[Role, str]] = {
    "requester": "copy",
    "responder": "primary",
    "peer": "neighbour",
    "pusher": "push",
    "site": "site",
    "primary": "primary",
    "replica": "replica",
}
WIDE = 150
"""Columns of a terminal that has room for all of the table."""
_HEADINGS: Final = (
    *("", "stream", "role", "state", "newest", "behind", "lag", "per s"),
    *("proven the same", "mended", "heard"),
)
_NUMBERS: Final = frozenset({"behind", "lag", "per s", "mended"})
_LONG: Final = frozenset({"stream", "proven the same"})
_WIDE_ALONE: Final = frozenset({"newest", "per s", "mended", "heard"})
_MARKS: Final[dict[Level, str]] = {"good": "ok", "working": "…", "attention": "!", "bad": "BAD"}
_STYLES: Final[dict[Level, str]] = {"good": "green", "working": "cyan", "attention": "yellow", "bad": "bold red"}


def make_table(found: "Sequence[Heard]", now: float, *, max_lag_s: float | None, width: int) -> "Table":
    """The table of ``found``; a column that would be empty is left out, and what has no room in ``width`` letters."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows = [dict(zip(_HEADINGS, _cells(each, now, max_lag_s, width >= WIDE), strict=True)) for each in found]
    shown = [name for name in _HEADINGS if width >= WIDE or name not in _WIDE_ALONE]
    shown = [name for name in shown if any(row[name] not in ("", "-") for row in rows)]
    for name in shown:
        table.add_column(name, no_wrap=name not in _LONG, justify="right" if name in _NUMBERS else "left")
    for each, row in zip(found, rows, strict=True):
        row[""] = f"[{_STYLES[each.judge(now, max_lag_s=max_lag_s).level]}]{row['']}[/]"
        table.add_row(*(row[name] for name in shown))
    return table


def make_lines(found: "Sequence[Heard]", now: float, *, max_lag_s: float | None) -> Iterator[str]:
    """What isn't well, and what to do or to type."""
    for each in found:
        verdict = each.judge(now, max_lag_s=max_lag_s)
        if verdict.level not in ("bad", "attention") and not verdict.todo:
            continue
        name = each.snapshot.stream
        if each.is_silent(now):
            words = f"nothing was heard of the {_name_role(each)} for {describe_span(each.age_s(now))}: does it run?"
            before = f" Before that: {each.snapshot.last_error}" if each.snapshot.last_error else ""
            yield f"{name}: {words}{before}"
        else:
            stopped = "stopped: " if each.snapshot.state == "stopped" and verdict.words != "stopped" else ""
            yield f"{name}: {stopped}{verdict.words}"
        if verdict.todo:
            yield f"  what to do: {verdict.todo}"


def _cells(each: "Heard", now: float, max_lag_s: float | None, is_wide: bool) -> Iterator[str]:
    from rich.markup import escape

    from ..station.verdict import moment

    shown = each.snapshot
    newest = shown.position or shown.newest
    yield _MARKS[each.judge(now, max_lag_s=max_lag_s).level]
    yield escape(shown.stream)
    yield escape(_name_role(each))
    yield shown.state
    yield moment(newest) if newest else "-"
    yield "-" if shown.behind is None else f"{shown.behind:,}"
    yield "-" if shown.lag_s is None else _describe_lag(shown.lag_s)
    yield _describe_rate(shown.rate_per_s)
    yield escape(_describe_proof(shown, now, is_wide))
    yield f"{shown.repaired:,}" if shown.repaired else "-"
    yield f"{describe_span(each.age_s(now))} ago{': not running?' if each.is_silent(now) else ''}"


def _name_role(each: "Heard") -> str:
    return f"{_ROLES[each.snapshot.role]}{f' at {each.place}' if each.place else ''}"


def _describe_lag(lag_s: float) -> str:
    return f"{lag_s * 1000:.0f} ms" if 0 < lag_s < 1 else describe_span(lag_s)


def _describe_proof(shown: Snapshot, now: float, is_wide: bool) -> str:
    from ..station.verdict import moment

    if not shown.is_copy:
        return "-"
    if shown.proven_at is None:
        return "different" if shown.different else "not compared" if _is_not_compared(shown) else "not yet"
    parts = [] if shown.proven_count is None else [_count(shown.proven_count, shown.unit)]
    if is_wide and shown.proven_through is not None and shown.proven_through != shown.position:
        parts = [" ".join([*parts, f"up to {moment(shown.proven_through)}"])]
    digest = [f"digest {shown.proven_digest}"] if shown.proven_digest and is_wide else []
    proof = ", ".join([*parts, f"{describe_span(now - shown.proven_at)} ago", *digest])
    return f"different; was {proof}" if shown.different else proof


def _is_not_compared(shown: Snapshot) -> bool:
    return shown.details.get("compares") is False


def _count(number: int, unit: str) -> str:
    """``105,120 records``; a unit is a word with an s."""
    return f"{number:,} {unit if number != 1 else unit.removesuffix('s')}"


def _describe_rate(per_s: float | None) -> str:
    return "-" if not per_s else f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.2g}"
