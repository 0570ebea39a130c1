"""The REST interface: ``POST /<service>/remote/master`` and ``/remote/slave``, the seed's, and what shows links.

All of it is served without ``/<service>`` too: what is registered belongs to the only service then, what is asked for
to all of them.
"""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from .. import __version__
from ..core.strict import Refused, decode_json
from ..errors import Locked, SameskyError, Unreachable
from ..link.api_page import HEADERS, render_page
from ..link.problems import Problem, describe_refusal, wait_and_retry
from . import api_document as words
from .api_guard import Guard, Limits
from .links import PrimaryLink, ReplicaLink, check_key, decode_primary, decode_replica, encode_primary, encode_replica
from .metrics import CONTENT_TYPE, render_metrics
from .objects import NoSuchBlock
from .service import Synchronising
from .translate import HeldBack

_log = logging.getLogger(__name__)
_CONTINUED = re.compile(rb'"(?:[^"\\]|\\.)*"?|\\\r?\n', re.DOTALL)
MOST_WAIT_S = 60.0
_NOT_YET = "no message has come under this key; ?wait=10 waits for one"
Start = Callable[[], AbstractAsyncContextManager[Synchronising]]
Role = Literal["master", "slave"]
Link = PrimaryLink | ReplicaLink


def make_app(start: Start, *, services: Sequence[str], token: str = "") -> FastAPI:
    """Return the server of ``services``, whose links run (``start``) while it does. It opens no port."""

    @asynccontextmanager
    async def live(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with start() as service:
            yield {"service": service}

    app = FastAPI(
        title="samesky blocks",
        version=__version__,
        summary=words.SUMMARY,
        lifespan=live,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(Guard, token=token, refuse=Problem.response)
    _answer_with_problems(app)
    _describe(app)
    BlocksApi(services).add_routes(app)
    return app


class BlocksApi:
    """The routes."""

    def __init__(self, services: Sequence[str]) -> None:
        self._services = tuple(services)

    def add_routes(self, app: FastAPI) -> None:
        """Add them to ``app``, those without a service first."""
        add = app.add_api_route
        add("/", self.show_name, include_in_schema=False)
        add("/status.json", self.show_status, **words.STATUS)
        add("/metrics", self.show_metrics, **words.METRICS)
        for prefix in ("", "/{service}"):
            add(f"{prefix}/remote/master", self.add_primary, methods=["POST"], **words.MASTER)
            add(f"{prefix}/remote/slave", self.add_replica, methods=["POST"], **words.SLAVE)
            add(f"{prefix}/remote", self.show_links, **words.LINKS)
            add(f"{prefix}/remote/{{key:path}}", self.show_key, **words.KEY)
            add(f"{prefix}/remote/{{key:path}}", self.remove_key, methods=["DELETE"], **words.REMOVE)

    async def show_name(self) -> JSONResponse:
        """What this is."""
        return JSONResponse({"name": "samesky blocks", "version": __version__, "services": self._services})

    async def show_status(self, request: Request) -> JSONResponse:
        """How everything is doing."""
        service = _find_running(request)
        primaries, replicas = service.status()
        return JSONResponse(
            {
                "version": __version__,
                "services": self._services,
                "troubles": service.troubles(),
                "links": [*(each.as_dict() for each in primaries), *(each.as_dict() for each in replicas)],
            }
        )

    async def show_metrics(self, request: Request) -> Response:
        """The same for Prometheus."""
        service = _find_running(request)
        troubles = service.troubles()
        carriers = {carrier: carrier not in troubles for carrier in service.carriers}
        return Response(render_metrics(*service.status(), carriers), media_type=CONTENT_TYPE)

    async def add_primary(self, request: Request, service: str = "", dry_run: bool = False) -> JSONResponse:
        """The seed's answer: the key."""
        running = _find_running(request)
        link = decode_primary(self._choose(service), await _read_document(request))
        if dry_run:
            running.check(link)
            block = await running.read(link)
            return JSONResponse({"key": link.key, "data": block.data})
        changed = await running.add(link)
        _log.info("block_registered role=master key=%s changed=%s", link.key, changed)
        return JSONResponse({"key": link.key})

    async def add_replica(
        self,
        request: Request,
        service: str = "",
        dry_run: bool = False,
        wait: float = Query(default=0.0, ge=0.0, le=MOST_WAIT_S),
    ) -> JSONResponse:
        """The seed's answer: null."""
        running = _find_running(request)
        link = decode_replica(self._choose(service), await _read_document(request))
        if dry_run:
            return JSONResponse(await _preview(running, link, wait))
        changed = await running.add(link)
        _log.info("block_registered role=slave service=%s id=%s changed=%s", link.service, link.id, changed)
        return JSONResponse(None)

    async def show_links(self, request: Request, service: str = "") -> JSONResponse:
        """All links."""
        return JSONResponse(_show(_find_running(request), self._find_links(request, service)))

    async def show_key(self, request: Request, key: str, service: str = "") -> JSONResponse:
        """The links with this key."""
        return JSONResponse(_show(_find_running(request), self._find_of_key(request, service, key)))

    async def remove_key(
        self, request: Request, key: str, service: str = "", role: Role | None = None, id: str | None = None
    ) -> JSONResponse:
        """Those that were removed."""
        running = _find_running(request)
        links = [
            link
            for link in self._find_of_key(request, service, key)
            if role in (None, _role_of(link)) and id in (None, link.id)
        ]
        if not links:
            raise Problem(404, "not-found", "there is no such link")
        removed = [link for link in links if await running.remove(link)]
        return JSONResponse({"removed": [{"role": _role_of(link), **_name(link)} for link in removed]})

    def _choose(self, service: str) -> str:
        if service or len(self._services) == 1:
            return service or self._services[0]
        names = ", ".join(self._services)
        raise Problem(404, "service", f"there are several services: put one before /remote in the address; {names}")

    def _find_links(self, request: Request, service: str) -> list[Link]:
        if service and service not in self._services:
            raise Problem(404, "service", f"there is no service of this name; there are {', '.join(self._services)}")
        running = _find_running(request)
        links: list[Link] = [*running.primaries(), *running.replicas()]
        return [link for link in links if service in ("", link.service)]

    def _find_of_key(self, request: Request, service: str, key: str) -> list[Link]:
        check_key(key)
        found = [link for link in self._find_links(request, service) if link.key == key]
        if not found:
            raise Problem(404, "not-found", "no link has this key")
        return found


def decode_body(body: bytes) -> object:
    """Return the JSON document in ``body``; a backslash at the end of a line between tokens is white space.

    (The seed's calls of curl have such backslashes within quotes, where the shell leaves them.) Raises ``Refused``.
    """
    if b"\\\n" in body or b"\\\r\n" in body:
        body = _CONTINUED.sub(lambda found: found[0] if found[0].startswith(b'"') else b" ", body)
    return decode_json(body, max_bytes=Limits().body_bytes)


async def _read_document(request: Request) -> object:
    return decode_body(await request.body())


async def _preview(running: Synchronising, link: ReplicaLink, wait_s: float) -> dict[str, object]:
    """What a replica's data are, and what they would be."""
    running.check(link)
    block, after = await running.preview(link, wait_s=wait_s)
    told: dict[str, object] = {"before": block.data, "after": None, "held_back": None}
    if isinstance(after, HeldBack):
        told["held_back"] = {"reason": after.reason, "detail": after.words}
    elif after is None:
        told["held_back"] = {
            "reason": "waiting",
            "detail": f"no message has come under this key in {wait_s:g} s" if wait_s else _NOT_YET,
        }
    else:
        told["after"] = after
    return told


def _show(running: Synchronising, links: Sequence[Link]) -> dict[str, object]:
    primaries, replicas = running.status()
    of_primaries = {(each.service, each.id): each.as_dict() for each in primaries}
    of_replicas = {(each.service, each.id, each.key): each.as_dict() for each in replicas}
    masters = [
        {**_name(link), **encode_primary(link), "status": of_primaries.get((link.service, link.id))}
        for link in links
        if isinstance(link, PrimaryLink)
    ]
    slaves = [
        {**_name(link), **encode_replica(link), "status": of_replicas.get(link.name)}
        for link in links
        if isinstance(link, ReplicaLink)
    ]
    return {"masters": masters, "slaves": slaves}


def _name(link: Link) -> dict[str, object]:
    return {"service": link.service, "id": link.id, "key": link.key}


def _role_of(link: Link) -> Role:
    return "master" if isinstance(link, PrimaryLink) else "slave"


def _find_running(request: Request) -> Synchronising:
    running = request.state.service
    assert isinstance(running, Synchronising)
    return running


def _answer_with_problems(app: FastAPI) -> None:
    """Whatever ends a request is answered as problem+json."""
    answers: dict[type[Exception], Callable[[Any], Problem]] = {
        Problem: lambda problem: problem,
        SameskyError: describe_error,
        RequestValidationError: lambda error: Problem(400, "parameters", _describe_parameters(error)),
        HTTPException: lambda error: Problem(error.status_code, "http", str(error.detail), headers=error.headers),
        Exception: lambda error: Problem(500, "fault", "a fault of the service; its log says more"),
    }
    for kind, describe in answers.items():
        app.add_exception_handler(kind, _make_handler(describe))


def _make_handler(describe: Callable[[Any], Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return describe(error).response()

    return answer


def describe_error(error: SameskyError) -> Problem:
    """Return the answer to what went wrong."""
    hint = {"hint": error.hint} if error.hint else {}
    match error:
        case Refused():
            refused = describe_refusal(error)
            return Problem(refused.status, refused.kind, refused.detail, members=refused.members | hint)
        case NoSuchBlock():
            return Problem(404, "block", str(error), members=hint)
        case Unreachable() | Locked():
            return wait_and_retry(503, "unreachable", str(error))
    return Problem(502, "controller", str(error), members=hint)


def _describe_parameters(error: RequestValidationError) -> str:
    names = sorted({str(mistake["loc"][-1]) for mistake in error.errors() if len(mistake["loc"]) > 1})
    return f"missing, or not as they must be: {', '.join(names)}"


def _describe(app: FastAPI) -> None:
    make = app.openapi

    def make_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = words.complete_document(make())
        return app.openapi_schema

    async def show() -> HTMLResponse:
        return HTMLResponse(render_page(make_document(), access=words.ACCESS), headers=HEADERS)

    app.openapi = make_document  # type: ignore[method-assign]
    app.add_api_route("/docs", show, include_in_schema=False)
