"""The page below a path of another site (``https://weather.example.org/samesky/``), as a proxy shows it there.

The proxy may take the path off what it passes on, or leave it: both work, and asking this machine directly does too.
Everything inside knows only paths from ``/``; `BelowPath` takes the path off, `place_links` puts it before links.
"""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_LINK = re.compile(r' (href|src|action|data-events)="/')


class BelowPath:
    """Stands before everything else, and takes ``path`` off what is asked for."""

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if self._path and scope["type"] == "http" and (rest := _take_off(self._path, scope["path"])) is not None:
            raw = _take_off(self._path, scope["raw_path"].decode("ascii", "replace"))
            scope = {**scope, "path": rest, "raw_path": (rest if raw is None else raw).encode("ascii", "replace")}
        await self._app(scope, receive, send)


def place_links(html: str, path: str) -> str:
    """Return ``html`` with ``path`` before every link that begins at ``/``; in its texts, quotes are escaped."""
    return _LINK.sub(rf' \1="{path}/', html) if path else html


def _take_off(path: str, asked: str) -> str | None:
    rest = asked.removeprefix(path)
    return (rest or "/") if rest != asked and rest[:1] in ("", "/") else None
