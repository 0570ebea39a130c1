"""The page as an application: which path shows what, for people and (``?format=json``) for programs."""

import json
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import date
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from ..core.status import System
from ..link.problems import Problem
from .access import Access
from .below_path import BelowPath, place_links
from .health import describe_health
from .layout import Page, read_file, render_page
from .live import Live
from .metrics import CONTENT_TYPE, render_metrics
from .noticeboard import Heard
from .overview import render_overview
from .sources import Sources
from .station_pages import render_day, render_station
from .station_views import Calendars
from .status_document import describe_status
from .stream_page import render_stream
from .web_settings import WebSettings

READ_AGAIN_AFTER_S = 0.5
MOST_PATH = 2000
"""Characters of a page's path with its query."""
MOST_BESIDE = 50
"""Streams of the same system that are shown below one."""
_FILES = {
    "style.css": "text/css; charset=utf-8",
    "drawing.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_KEPT = "public, max-age=31536000, immutable"
_NOT_KEPT = {"cache-control": "no-store"}


def make_app(sources: Sources, *, settings: WebSettings, calendars: Calendars | None = None) -> Starlette:
    """Return the application; ``app.state.end`` lets who listens to its events go, from any thread.

    ``calendars`` are usually those of the sources' configurations.
    """
    site = Site(sources, settings, calendars or Calendars(sources.configs))
    live = Live(site.make_page, below=settings.path)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        live.end()

    app = Starlette(
        routes=[*_list_routes(site, live), Route("/{path:path}", site.show, methods=["GET"])],
        middleware=[Middleware(BelowPath, path=settings.path), Middleware(Access, settings=settings)],
        exception_handlers={Problem: _answer_problem, Exception: _answer_fault},
        lifespan=lifespan,
    )
    app.state.end = live.end
    return app


def _list_routes(site: "Site", live: Live) -> list[Route]:
    async def events(request: Request) -> Response:
        path = request.query_params.get("page", "/")
        seen = request.headers.get("last-event-id") or request.query_params.get("seen", "")
        told = await live.listen(path, seen)
        return StreamingResponse(told, headers=_NOT_KEPT | {"x-accel-buffering": "no"}, media_type="text/event-stream")

    return [
        Route("/events", events, methods=["GET"]),
        Route("/status.json", site.show_status, methods=["GET"]),
        Route("/metrics", site.show_metrics, methods=["GET"]),
        Route("/health/live", _show_alive, methods=["GET"]),
        Route("/health/ready", site.show_ready, methods=["GET"]),
        *(Route(f"/{name}", _give_file(name, kind), methods=["GET"]) for name, kind in _FILES.items()),
    ]


class Site:
    """The pages about what a source knows."""

    def __init__(self, sources: Sources, settings: WebSettings, calendars: Calendars) -> None:
        self._sources = sources
        self._settings = settings
        self._calendars = calendars
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._heard: list[Heard] = []

    def read(self) -> list[Heard]:
        """What is known, read anew when it is older than half a second, however many ask."""
        with self._lock:
            if time.monotonic() - self._read_at >= READ_AGAIN_AFTER_S or not self._read_at:
                self._heard = self._sources.read(time.time())
                self._read_at = time.monotonic()
            return self._heard

    def make_page(self, target: str) -> Page | None:
        """The page at a path (with its query), as it is now; None when there is none."""
        if len(target) > MOST_PATH or not target.startswith("/") or target.startswith("//"):
            return None
        parts = urlsplit(target)
        heard, now = self.read(), time.time()
        match unquote(parts.path).removeprefix("/").split("/", 2):
            case [""]:
                return self._make_overview(heard, now)
            case ["streams", "station" | "mesh" | "push" | "blocks" as system]:
                return self._make_overview(heard, now, only=system)
            case ["stream", system, name]:
                return self._make_stream_page(system, name, heard, now, dict(parse_qsl(parts.query)))
        return None

    def _make_overview(self, heard: list[Heard], now: float, *, only: System | None = None) -> Page:
        return render_overview(
            heard,
            now,
            max_lag_s=self._settings.max_lag_s,
            places=self._sources.describe_places(),
            troubles=self._sources.troubles,
            configs=self._sources.configs,
            only=only,
        )

    def _make_stream_page(
        self, system: str, name: str, heard: list[Heard], now: float, query: Mapping[str, str]
    ) -> Page | None:
        if system == "station":
            return self._make_station_page(name, heard, now, query)
        found = _choose(heard, system, name)
        if not found:
            return None
        others = [each for each in heard if each.snapshot.system == system and each not in found][:MOST_BESIDE]
        return render_stream(found, now, others=others, max_lag_s=self._settings.max_lag_s)

    def _make_station_page(self, name: str, heard: list[Heard], now: float, query: Mapping[str, str]) -> Page | None:
        """The page about a stream, or below it that about a day: ``home/wx_binding/day/2026-11-21``."""
        stream, is_day, day = name.rpartition("/day/")
        if not is_day:
            found = _choose(heard, "station", name)
            return render_station(name, found, self._calendars, now, query=query, max_lag_s=self._settings.max_lag_s)
        try:
            chosen = date.fromisoformat(day)
        except ValueError:
            return None
        return render_day(stream, chosen, self._calendars, now)

    def show(self, request: Request) -> Response:
        """Answer with a page, or with its JSON twin."""
        query = [(name, value) for name, value in request.query_params.multi_items() if name != "format"]
        path = request.scope["raw_path"].decode("ascii", "replace")
        page = self.make_page(path + (f"?{urlencode(query)}" if query else ""))
        wants_json = request.query_params.get("format") == "json"
        if page is None:
            return self._answer_missing(wants_json)
        if wants_json:
            return _answer_json(page.document, page.status)
        return self._answer_html(render_page(page.title, page.body, here=page.here, live=page.live), page.status)

    def _answer_missing(self, wants_json: bool) -> Response:
        if wants_json:
            return Problem(404, "page", "there is no such page, or its stream isn't known any more").response()
        body = """<section class="card prose"><h1>There is no such page</h1>
<p>Nothing is known of this stream now, or the address is wrong. <a href="/">See what there is.</a></p></section>"""
        return self._answer_html(render_page("Not found · samesky", body, live=False), 404)

    def _answer_html(self, html: str, status: int) -> Response:
        return HTMLResponse(place_links(html, self._settings.path), status, _NOT_KEPT)

    def show_status(self, request: Request) -> Response:
        """Answer with all that is known, for programs."""
        heard, max_lag_s = self.read(), self._settings.max_lag_s
        return _answer_json(describe_status(heard, time.time(), max_lag_s, troubles=self._sources.troubles))

    def show_metrics(self, request: Request) -> Response:
        """Answer with the metrics, for Prometheus."""
        text = render_metrics(self.read(), time.time(), max_lag_s=self._settings.max_lag_s)
        return Response(text, 200, _NOT_KEPT, media_type=CONTENT_TYPE)

    def show_ready(self, request: Request) -> Response:
        """Answer 200 when every stream is well, 503 and what isn't when one is not, or something can't be read."""
        heard, max_lag_s = self.read(), self._settings.max_lag_s
        is_ready, words = describe_health(heard, time.time(), max_lag_s=max_lag_s, troubles=self._sources.troubles)
        return PlainTextResponse(words, 200 if is_ready else 503, _NOT_KEPT)


def _choose(heard: list[Heard], system: str, name: str) -> list[Heard]:
    return [each for each in heard if (each.snapshot.system, each.snapshot.stream) == (system, name)]


def _show_alive(request: Request) -> Response:
    return PlainTextResponse("alive\n", 200, _NOT_KEPT)


def _give_file(name: str, kind: str) -> Callable[[Request], Response]:
    def give(request: Request) -> Response:
        return Response(read_file(name), 200, {"cache-control": _KEPT}, media_type=kind)

    return give


def _answer_json(document: Mapping[str, object], status: int = 200) -> Response:
    text = json.dumps(document, ensure_ascii=False, indent=2)
    return Response(text + "\n", status, _NOT_KEPT, media_type="application/json")


async def _answer_fault(request: Request, error: Exception) -> Response:
    """What is raised again after this, so that the log has it."""
    return Problem(500, "fault", "this is a fault of samesky; its log says more").response()


async def _answer_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()
