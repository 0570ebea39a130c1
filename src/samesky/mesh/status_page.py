"""What a peer is doing, as an HTML page for people: its neighbours, and what each has that we lack."""

import html
import time
from collections.abc import Iterable, Mapping

from .status import Lag, MeshStatus, NeighbourStatus

CONTENT_TYPE = "text/html; charset=utf-8"
"""What `render_status_page` makes, as a Content-Type header has it."""
REFRESH_S = 5
_STYLE = (
    "body{font:15px/1.5 sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em 1em .3em 0;text-align:left;border-bottom:1px solid #ccc;vertical-align:top}"
    ".bad{color:#b00}.good{color:#070}h1{font-size:1.5em;overflow-wrap:anywhere}:root{color-scheme:light dark}"
    "@media(prefers-color-scheme:dark){.bad{color:#f99}.good{color:#7d7}}"
    # On a phone a neighbour is a list, not a row.
    "@media(max-width:60em){body{margin:1em}tr:first-child{display:none}td{display:block;border:0;padding:.1em 0}"
    "td:before{content:attr(data-of) ': ';color:gray}td:empty{display:none}"
    "tr{display:block;border-bottom:1px solid #ccc;padding:.6em 0}}"
)
_HEADINGS = ("neighbour", "state", "trees", "to fetch", "files", "MB", "not taken", "age of files", "last trouble")


def render_status_page(status: MeshStatus) -> bytes:
    """Return the page for ``status``. It loads itself again every few seconds and needs nothing else."""
    title = html.escape(f"samesky mesh: {status.tree}")
    head = "".join(f"<th>{heading}</th>" for heading in _HEADINGS)
    rows = "\n".join(_render_neighbour(each, status.at) for each in status.neighbours)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width">'
        f'<meta http-equiv="refresh" content="{REFRESH_S}"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{title}</h1>\n<p>{_describe(status)}</p>\n"
        f"<table>\n<tr>{head}</tr>\n{rows}\n</table>\n</body></html>\n"
    ).encode()


def _describe(status: MeshStatus) -> str:
    """The peer itself, in a few sentences."""
    newest = "" if status.newest is None else f", the newest of {_moment(status.newest)}"
    said = [f"{status.files:,} files{newest}", f"{status.announced:,} announced"]
    if status.to_announce:
        said.append(f"{status.to_announce:,} still to be announced ({status.post_state})")
    if status.fetching:
        said.append(f"{status.fetching:,} being fetched")
    said.append(f"since {_moment(status.started_at)}; this is of {_moment(status.at)}")
    trouble = f' <span class="bad">{html.escape(status.last_error)}</span>' if status.last_error else ""
    return "; ".join(said) + "." + trouble


def _render_neighbour(each: NeighbourStatus, now: float) -> str:
    cells = (
        html.escape(each.name),
        _marked(each.state, {"live": "good", "disconnected": "bad", "stopped": "bad"}.get(each.state, "")),
        _render_comparison(each, now),
        f"{each.queue:,}" + (f", {each.late:,} of them late" if each.late else ""),
        f"{each.fetched + each.inlined:,}",
        f"{each.size_bytes / 1e6:,.1f}",
        html.escape(_counts({**each.refused, **({"failed": each.failed} if each.failed else {})})),
        _render_lag(each.lag),
        html.escape(each.last_error),
    )
    named = zip(_HEADINGS, cells, strict=True)
    return "<tr>" + "".join(f'<td data-of="{heading}">{cell}</td>' for heading, cell in named) + "</tr>"


def _render_comparison(each: NeighbourStatus, now: float) -> str:
    proven = "" if each.proven_at is None else f"proven {max(0.0, now - each.proven_at):,.0f} s ago"
    if each.same:
        return _marked(f"the same, {proven}" if proven else "the same", "good")
    if each.same is None:
        return "not yet compared"
    return _marked(f"{each.lacking:,} lacking here" + (f", was {proven}" if proven else ""), "bad")


def _render_lag(lag: Lag) -> str:
    if not lag.count:
        return "-"
    return f"mean {_seconds(lag.mean_s)}, 95 % {_seconds(lag.p95_s)}, most {_seconds(lag.max_s)}"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in _most_first(counts)) or "-"


def _most_first(counts: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return sorted(counts.items(), key=lambda each: (-each[1], str(each[0])))


def _marked(text: str, kind: str) -> str:
    return f'<span class="{kind}">{html.escape(text)}</span>' if kind else html.escape(text)


def _seconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:,.1f} s"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))
