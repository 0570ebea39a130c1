"""What only one system has to tell of a stream (`Snapshot.details`), as facts and as a table.

A name such as ``queue``, ``age_s`` or ``lag mean, s`` is a fact. ``observation: rows to push`` is of one part of the
stream, a table that is pushed, say: where there are such names, the parts are the rows of a table.
"""

from collections.abc import Iterator, Mapping
from html import escape

from ..core.status import Detail
from .noticeboard import Heard
from .pieces import NOTHING, begin_sentence, describe_lag, describe_number, render_ago

_BETWEEN = ": "
_ENDINGS = ("_s", ", s", "_bytes")
_TOLD_ALREADY = frozenset({"age_s", "rows to push", "compares"})
_AS_WRITTEN = frozenset({"value", "key", "url", "neighbour", "tree", "node"})
_WORDS: Mapping[str, str] = {
    "bytes": "Size of all that came",
    "clock_ahead_s": "Its clock is ahead by",
    "interval_s": "A record every",
    "key": "Routing key",
    "last_push_at": "Last push",
    "newest file at": "Newest file here",
    "next_run_at": "Next run",
    "lacking": "Lacking here",
    "late": "Late, come last",
    "queue": "Waiting to be fetched",
    "url": "Address",
}


def list_details(heard: Heard, now: float) -> Iterator[tuple[str, str]]:
    """Yield the facts, by name in words; the values are HTML."""
    for name, value in heard.snapshot.details.items():
        if value not in (None, "") and _BETWEEN not in name and name not in _TOLD_ALREADY:
            yield name_detail(name), render_detail(name, value, now)


def render_parts_of(heard: Heard) -> str:
    """Return the table of the stream's parts; nothing when it has none."""
    parts: dict[str, dict[str, Detail]] = {}
    for name, value in heard.snapshot.details.items():
        part, between, of = name.partition(_BETWEEN)
        if between:
            parts.setdefault(part, {})[of] = value
    if not parts:
        return ""
    columns = list(dict.fromkeys(of for values in parts.values() for of in values))
    head = "".join(f'<th scope="col" role="columnheader">{escape(begin_sentence(each))}</th>' for each in columns)
    rows = "".join(_render_part(part, values, columns) for part, values in parts.items())
    return (
        '<table class="plain parts" role="table"><caption class="unseen">Its parts</caption><thead role="rowgroup">'
        f'<tr role="row"><th scope="col" role="columnheader"><span class="unseen">Part</span></th>{head}</tr></thead>'
        f'<tbody role="rowgroup">{rows}</tbody></table>'
    )


def name_detail(name: str) -> str:
    """The name in words: ``clock_ahead_s`` is ``Its clock is ahead by``."""
    if name in _WORDS:
        return _WORDS[name]
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return begin_sentence(name.replace("_", " "))


def render_detail(name: str, value: Detail, now: float) -> str:
    """The value as HTML, by what its name says that it is."""
    match value:
        case None | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case int() | float() if name.endswith(("_at", " at")):
            return render_ago(value, now)
        case int() | float() if name.endswith(("_s", ", s")):
            return describe_lag(value)
        case int() | float() if name.endswith("bytes"):
            return f"{value / 1e6:,.1f} MB"
        case int() | float():
            return describe_number(value)
        case str() if name in _AS_WRITTEN:
            return f"<code>{escape(value)}</code>"
    return escape(str(value))


def _render_part(part: str, values: Mapping[str, Detail], columns: list[str]) -> str:
    cells = "".join(
        f'<td role="cell"><span class="label" aria-hidden="true">{escape(begin_sentence(each))}</span>'
        f"{render_detail('', values.get(each), 0.0)}</td>"
        for each in columns
    )
    return f'<tr role="row"><th scope="row" role="rowheader">{escape(part)}</th>{cells}</tr>'
