"""The centre's server as an ASGI application: guards, keys, ``/sync/v1`` for pushers, ``/rest`` for everybody else."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Scope

from .. import __version__
from ..errors import SameskyError
from ..link.api_page import HEADERS
from ..link.problems import Problem
from ..link.seldom import Seldom
from .access import Door
from .api_document import complete_document
from .api_page import render_page
from .central_database import CentralDatabase
from .central_settings import CentralSettings
from .guards import Guards
from .keys import Caller
from .problems import describe_error
from .refusals import Refusals
from .rest_api import RestApi
from .sync_api import SyncApi
from .turns import Threads

log = logging.getLogger(__name__)
Refuse: TypeAlias = Callable[[SameskyError | Problem, Scope], Response]
_SELDOM = Seldom()
PACKED_FROM_BYTES = 1024
"""Answers from this size on travel in gzip, to whom takes that."""
_SUMMARY = "The central server of field databases that are pushed here."


def make_app(central: CentralDatabase, settings: CentralSettings) -> FastAPI:
    """Return the server over ``central``, whose tables are there (`ensure_schema`). It opens no port."""
    limits = settings.limits
    threads = Threads.of(central.database.dialect, wait_s=limits.turn_s)

    async def find_caller(key: str) -> Caller | None:
        return await threads.quick.run(lambda: central.keys.find(key))

    @asynccontextmanager
    async def live(_app: FastAPI) -> AsyncIterator[None]:
        yield
        threads.close()

    app = FastAPI(
        title="samesky push",
        version=__version__,
        summary=_SUMMARY,
        lifespan=live,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
    )
    log.addFilter(_SELDOM)
    app.add_middleware(GZipMiddleware, minimum_size=PACKED_FROM_BYTES, compresslevel=6)
    refusals = Refusals()

    def refuse(error: SameskyError | Problem, scope: Scope) -> Response:
        problem = error if isinstance(error, Problem) else _describe_error(error)
        refusals.note(problem, scope)
        return problem.response()

    door = Door(central.model, find_caller=find_caller)
    app.add_middleware(Guards, limits=limits, read_caller=door, refuse=refuse, base_path=settings.base_path)
    app.add_api_route("/", _say_hello, include_in_schema=False)
    app.include_router(SyncApi(central, limits=limits, threads=threads, refusals=refusals).make_router())
    app.include_router(RestApi(central, settings=settings, threads=threads).make_router())
    _answer_with_problems(app, refuse)
    _describe(app, central)
    return app


async def _say_hello() -> JSONResponse:
    told = {"name": "samesky push", "version": __version__, "sync": "sync/v1/", "rest": "rest/", "docs": "docs"}
    return JSONResponse(told)


def _answer_with_problems(app: FastAPI, refuse: Refuse) -> None:
    """Whatever ends a request is answered as problem+json."""
    answers: dict[type[Exception], Callable[[Any], SameskyError | Problem]] = {
        Problem: lambda problem: problem,
        SameskyError: lambda error: error,
        RequestValidationError: _describe_parameters,
        HTTPException: _describe_http,
        Exception: _describe_fault,
    }
    for kind, describe in answers.items():
        app.add_exception_handler(kind, _make_handler(describe, refuse))


def _make_handler(
    describe: Callable[[Any], SameskyError | Problem], refuse: Refuse
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return refuse(describe(error), request.scope)

    return answer


def _describe_error(error: SameskyError) -> Problem:
    problem = describe_error(error)
    if problem.status >= 500:
        # All of it is the text, not its arguments: what fails otherwise is told at once (`Seldom`).
        log.error(f"central_failed error={str(error)!r} hint={error.hint!r}")
    return problem


def _describe_parameters(error: RequestValidationError) -> Problem:
    names = sorted({str(mistake["loc"][-1]) for mistake in error.errors() if len(mistake["loc"]) > 1})
    return Problem(400, "parameters", f"missing, or not as they must be: {', '.join(names)}")


def _describe_http(error: HTTPException) -> Problem:
    kind = {404: "not-found", 405: "method"}.get(error.status_code, "http")
    return Problem(error.status_code, kind, str(error.detail), headers=error.headers)


def _describe_fault(error: Exception) -> Problem:
    return Problem(500, "fault", "a fault of the centre; its log says more")  # uvicorn logs it


def _describe(app: FastAPI, central: CentralDatabase) -> None:
    make = app.openapi

    def make_document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = complete_document(make(), central.model)
        return app.openapi_schema

    async def show() -> HTMLResponse:
        return HTMLResponse(render_page(make_document()), headers=HEADERS)

    app.openapi = make_document  # type: ignore[method-assign]
    app.add_api_route("/docs", show, include_in_schema=False)
