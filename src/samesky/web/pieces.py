"""The small pieces that pages are made of: marks, ages, commands to copy, lists of facts. All return HTML."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from ..core.spans import describe_span
from ..core.status import Level, Role, System
from .noticeboard import Heard

LEVEL_WORDS: Mapping[Level, str] = {
    "good": "All right",
    "working": "On its way",
    "attention": "Had trouble",
    "bad": "Needs you",
}
"""What a mark says to those who don't see it."""
SYSTEM_WORDS: Mapping[System, str] = {"station": "Stations", "mesh": "Mesh", "push": "Push", "blocks": "Blocks"}
_ROLE_WORDS: Mapping[Role, str] = {
    "requester": "copy",
    "responder": "primary",
    "peer": "neighbour",
    "pusher": "push to a centre",
    "site": "site",
    "primary": "primary",
    "replica": "replica",
}
NOTHING = '<span class="none" aria-hidden="true">–</span><span class="unseen">nothing</span>'
"""What stands where there is nothing to tell."""
_SHAPES: Mapping[Level, str] = {
    "good": '<circle cx="12" cy="12" r="11"/><path d="M6.5 12.5l3.6 3.6 7.4-8"/>',
    "working": '<circle cx="12" cy="12" r="11"/><path d="M12 6v6.4l4.2 2.4"/>',
    "attention": '<path class="body" d="M12 1.6 23 21.6H1z"/><path d="M12 8.5v6.2M12 18v.3"/>',
    "bad": '<path class="body" d="M7.4 1h9.2L23 7.4v9.2L16.6 23H7.4L1 16.6V7.4z"/><path d="M8 8l8 8M16 8l-8 8"/>',
}
NO_FUTURE_S = 5.0
_FLAGS = "deep|online|watch|json|dry-run|undo|quarantine|repair"
_OPTION = rf"(?: --(?:{_FLAGS})\b| --?[A-Za-z][\w-]*(?:[ =](?!-)[^\s;,]*[^\s;,.])?)"
_COMMAND = re.compile(
    r"`([^`\n]+)`"
    rf"|(samesky (?:(?:station|mesh|push|blocks) [a-z-]+|(?:demo|check|verify|repair|status|web)\b(?! says)){_OPTION}*)"
)


def describe_lag(lag_s: float) -> str:
    """``120 ms`` where that is short, else as `describe_span`."""
    return f"{lag_s * 1000:.0f} ms" if lag_s < 1 else describe_span(lag_s)


def describe_moment(moment: float) -> str:
    """``2026-11-21 10:05:00 UTC``; what can't be a date is told as it is."""
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{moment:.0f}"


def describe_number(number: float) -> str:
    """``1,234`` or ``12.4``: three figures where that says enough."""
    if number == int(number) or abs(number) >= 99.5:
        return f"{number:,.0f}"
    return f"{number:.1f}" if abs(number) >= 9.95 else f"{number:.2g}"


def begin_sentence(words: str) -> str:
    """``words`` with a capital letter."""
    return words[:1].upper() + words[1:]


def name_role(heard: Heard) -> str:
    """What a stream is, in words: ``copy``, ``copy at balcony``."""
    shown = heard.snapshot
    words = "announced" if (shown.system, shown.role) == ("mesh", "primary") else _ROLE_WORDS[shown.role]
    return f"{words} at {heard.place}" if heard.place else words


def render_mark(level: Level, *, named: bool = True) -> str:
    """A shape and a colour for each level, with its words for those who see neither."""
    words = f'<span class="unseen">{LEVEL_WORDS[level]}: </span>' if named else ""
    return (
        f'<span class="mark {level}"><svg viewBox="0 0 24 24" aria-hidden="true" focusable="false">'
        f"{_SHAPES[level]}</svg></span>{words}"
    )


def describe_ago(seconds: float) -> str:
    """``3 min ago``, or ``in 3 min`` for what is still to come; clocks that differ a little tell no future."""
    return f"in {describe_span(-seconds)}" if seconds < -NO_FUTURE_S else f"{describe_span(seconds)} ago"


def render_ago(moment: float | None, now: float) -> str:
    """``3 min ago``, kept up to date while the page is open."""
    if moment is None:
        return NOTHING
    try:
        told = datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return NOTHING
    exact = describe_moment(moment)
    return f'<time datetime="{told}" title="{exact}" data-ago>{describe_ago(now - moment)}</time>'


def render_name(name: str) -> str:
    """A stream's name, which may be broken where its words end."""
    return re.sub(r"([/_.:@-]+)", r"\1<wbr>", escape(name).replace("&", "\0")).replace("\0", "&")


def render_command(command: str) -> str:
    """A command to type; scripts add a button that copies it."""
    return f'<code class="command" data-copy>{escape(command)}</code>'


def render_todo(text: str) -> str:
    """``text`` with its commands, which stand between backquotes or begin with ``samesky``, ready to be copied."""
    made, end = [], 0
    for found in _COMMAND.finditer(text):
        made += [escape(text[end : found.start()]), render_command(found[1] or found[2])]
        end = found.end()
    return "".join([*made, escape(text[end:])])


def render_facts(facts: Iterable[tuple[str, str]]) -> str:
    """A list of names and values; the values are HTML."""
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in facts)
    return f'<dl class="facts">{rows}</dl>' if rows else ""


def render_count(count: float | None, unit: str = "") -> str:
    """A number with what it counts, or a dash."""
    return NOTHING if count is None else f"{describe_number(count)} {escape(unit)}".strip()


def stream_path(system: str, name: str) -> str:
    """The path of a stream's page."""
    return f"/stream/{quote(system, safe='')}/{quote(name, safe='/').replace('//', '/%2F')}"
