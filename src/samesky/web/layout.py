"""What every page has around it, and how its parts come to be replaced while it is looked at.

A page is made by the server, whole, and needs no scripts. What moves stands in parts (`render_part`): while a page is
open its parts are made again, and those that are other than before are sent (`live.py`). So a page is live without
knowing it, and a part costs what it holds.

Style attributes and scripts inside of a page do nothing: browsers are told not to run them. Looks are classes of
style.css; behaviour is in page.js.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from urllib.parse import quote

from .. import __version__

REFRESH_S = 30
"""How often a page is loaded again where scripts are off."""
SECURITY_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Go with every answer: nothing from elsewhere, nothing inline, in nobody's frame."""
_PART = re.compile(r'<([a-z0-9]+) data-part="([^"]*)"[^>]*>.*?</\1><!--/\2-->', re.DOTALL)
_AGO = re.compile(r"(<time [^>]*data-ago[^>]*>)[^<]*(</time>)")


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its JSON twin."""

    title: str
    body: str
    """What stands in the page's main part, as HTML."""
    document: Mapping[str, object] = field(default_factory=dict)
    """The same for programs."""
    here: str = ""
    """Its path: ``/stream/station/home/wx_binding``."""
    live: bool = True
    status: int = 200


def render_page(title: str, body_html: str, *, here: str = "", live: bool = True) -> str:
    """Return a whole HTML document: ``body_html`` with everything around it.

    ``here`` is the page's path, with its query if it has one; ``live`` pages are kept up to date.
    """
    refresh = f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>' if live else ""
    seen = digest_parts(split_parts(body_html))
    events = f' data-events="/events?page={quote(here, safe="")}&amp;seen={seen}"' if live else ""
    pulse = f'<p id="pulse" class="pulse">Shown anew every {REFRESH_S} s</p>' if live else ""
    overview = ' aria-current="page"' if here == "/" else ""
    return f"""<!doctype html>
<html lang="en"{events}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
{refresh}
<link rel="icon" type="image/svg+xml" href="{name_file("icon.svg")}">
<link rel="stylesheet" href="{name_file("style.css")}">
<link rel="stylesheet" href="{name_file("drawing.css")}">
<script src="{name_file("page.js")}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the page</a>
<header class="top">
<a class="brand" href="/"{overview}><span class="logo" aria-hidden="true"></span>samesky</a>
<p id="connection" class="connection" role="status"></p>{pulse}
</header>
<main id="main">
{body_html}
</main>
<footer class="foot">
<p>samesky {escape(__version__)} · <a href="/">Overview</a>{_render_twin(here)} · <a href="/metrics">Metrics</a></p>
</footer>
</body>
</html>
"""


def _render_twin(here: str) -> str:
    if not here:
        return ""
    twin = f"{here}{'&' if '?' in here else '?'}format=json"
    return f' · <a href="{escape(twin)}">This page as JSON</a>'


def render_part(name: str, html: str, *, tag: str = "div", **attributes: str) -> str:
    """Return ``html`` in an element that is replaced when it changes while the page is open.

    ``name`` is the part's own on its page; a part may not hold another. ``attributes`` are the element's:
    ``class_="row"``, ``aria_label="…"``.
    """
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items() if value
    )
    return f'<{tag} data-part="{escape(name)}"{told}>{html}</{tag}><!--/{escape(name)}-->'


def split_parts(html: str) -> dict[str, str]:
    """Return the parts of a page, whole elements by name."""
    return {found[2]: found[0] for found in _PART.finditer(html)}


def leave_out_ages(html: str) -> str:
    """Return ``html`` without the ages that the page itself keeps up to date, to compare it with another."""
    return _AGO.sub(r"\1\2", html)


def digest_parts(parts: Mapping[str, str]) -> str:
    """Return a word that is another when the parts are, but for their ages."""
    told = "\0".join(f"{name}\0{leave_out_ages(html)}" for name, html in sorted(parts.items()))
    return hashlib.blake2b(told.encode(), digest_size=9).hexdigest()


def name_file(name: str) -> str:
    """Return the path that serves one of the files of this folder, which is another when the file is."""
    return f"/{name}?{hashlib.blake2b(read_file(name), digest_size=5).hexdigest()}"


@cache
def read_file(name: str) -> bytes:
    """Return a file of this folder: style.css, drawing.css, page.js, icon.svg."""
    return (files(__package__) / name).read_bytes()
