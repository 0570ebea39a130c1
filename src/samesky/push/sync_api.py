"""``/sync/v1``: what a pusher says to the centre. Rows travel as columns and never meet pydantic.

Ids, positions and digests are in the site's own ids; the centre translates (`central_database`).
"""

import logging
import time
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import JSONResponse

from .. import __version__
from ..core.strict import (
    HIGHEST_INTEGER,
    LATEST_TIME,
    Reason,
    Refused,
    check_number,
    check_text,
    decode_json,
    decode_json_object,
)
from ..link.problems import Problem
from . import api_document as document
from .access import check_caller, check_site
from .catalogue import MOST_ROWS as MOST_CATALOGUE_ROWS
from .catalogue import decode_catalogue
from .catalogue_plan import CataloguePlan
from .central_database import CentralDatabase
from .central_settings import Limits
from .digest_question import DigestQuestion, encode_digests
from .fleet import Heartbeat
from .guards import inflate_body
from .keys import Scope
from .model import TableModel
from .page import decode_page
from .refusals import Refusals
from .turns import Threads

log = logging.getLogger(__name__)
_RUN = Query(ge=1, le=HIGHEST_INTEGER, description="The run's number, as `POST /sync/v1/runs` gave it.")
Run = Annotated[int, _RUN]
PerhapsRun = Annotated[int | None, _RUN]
DryRun = Annotated[bool, Query(description="Change nothing, only say what would be done. Needs no run.")]
AcceptRenames = Annotated[
    bool, Query(description="Though most rows of a table have other names than before, this is no other database.")
]
Partial = Annotated[bool, Query(description="These are some rows that were missing, not all that are active.")]
TableName = Annotated[str, Path(max_length=64, description="An append-only table of the model.", examples=["Reading"])]
Position = Annotated[
    str | None,
    Query(
        max_length=400,
        description="The key of the page's last row, a JSON list. It's stored with the page. None with rows that are"
        " sent again.",
        examples=["[1700000000,69,1]"],
    ),
]
_HEARTBEAT = frozenset({"hostname", "localtime", "version", "backlog", "proofs"})
MOST_NAME_LENGTH = 255
MOST_VERSION_LENGTH = 64


class SyncApi:
    """The routes of pushers, over one centre."""

    def __init__(self, central: CentralDatabase, *, limits: Limits, threads: Threads, refusals: Refusals) -> None:
        self._central = central
        self._limits = limits
        self._threads = threads
        self._refusals = refusals

    def make_router(self) -> APIRouter:
        """The routes, with what the OpenAPI page says of them."""
        router = APIRouter(prefix="/sync/v1", tags=["sync"])
        add = router.add_api_route
        add("/", self.say_hello, methods=["GET"], **document.HELLO)
        add("/runs", self.begin_run, methods=["POST"], **document.BEGIN_RUN)
        add("/catalogue", self.apply_catalogue, methods=["POST"], **document.CATALOGUE)
        add("/pages/{table}", self.apply_page, methods=["POST"], **document.PAGES)
        add("/digests/{table}", self.read_digests, methods=["POST"], **document.DIGESTS)
        add("/heartbeat", self.apply_heartbeat, methods=["POST"], **document.HEARTBEAT)
        add("/status", self.read_status, methods=["GET"], **document.STATUS)
        return router

    async def say_hello(self) -> JSONResponse:
        return JSONResponse({"name": "samesky push", "version": __version__})

    async def begin_run(self, request: Request) -> JSONResponse:
        site, name = check_site(request, Scope.APPEND)
        state = await self._threads.writes.run(lambda: self._central.begin_run(site))
        log.info("run_begun site=%s run=%d", name, state.run)
        told = {
            "run": state.run,
            "centre": state.centre_id,
            "site": name,
            "positions": dict(state.positions),
            "catalogue": state.catalogue_digest,
            "limits": {"page_bytes": self._limits.body_bytes, "page_rows": self._limits.page_rows},
            "time": int(time.time()),
        }
        return JSONResponse(told, status_code=201)

    async def apply_catalogue(
        self,
        request: Request,
        run: PerhapsRun = None,
        dry_run: DryRun = False,
        accept_renames: AcceptRenames = False,
        partial: Partial = False,
    ) -> JSONResponse:
        (site, _), body = check_site(request, Scope.APPEND), await request.body()
        if run is None and not dry_run:
            raise Problem(400, "parameters", "run is missing, which only a dry_run doesn't need")

        def apply() -> CataloguePlan:
            catalogue = decode_catalogue(
                body, self._central.model, most_rows=MOST_CATALOGUE_ROWS, most_bytes=self._limits.inflated_bytes
            )
            return self._central.apply_catalogue(
                site, catalogue, run=run, dry_run=dry_run, accept_renames=accept_renames, partial=partial
            )

        plan = await self._threads.writes.run(apply)
        return JSONResponse(plan.as_dict())

    async def apply_page(self, request: Request, table: TableName, run: Run, position: Position = None) -> JSONResponse:
        (site, name), model = check_site(request, Scope.APPEND), self._find(table)
        key = None if position is None else decode_position(position, model)
        body, limits = await request.body(), self._limits
        most = {"most_rows": 2 * limits.page_rows, "most_bytes": limits.inflated_bytes}
        rows = await self._threads.quick.run(lambda: decode_page(body, model, now=time.time(), **most))
        stored = await self._threads.writes.run(lambda: self._central.apply_page(site, run, model, rows, position=key))
        told = {"accepted": stored.accepted, "duplicate": stored.duplicate, "changed": stored.changed}
        log.info("page_stored site=%s table=%s accepted=%d duplicate=%d changed=%d", name, table, *told.values())
        rejected = [fault.as_dict() for fault in stored.rejected]
        return JSONResponse({**told, "rejected": rejected, "position": stored.position})

    async def read_digests(self, request: Request, table: TableName) -> JSONResponse:
        (site, _), model = check_site(request, Scope.APPEND, Scope.READ), self._find(table)
        question = DigestQuestion.from_dict(decode_json_object(await self._read_json(request)))
        digests = await self._threads.reads.run(lambda: self._central.read_digests(site, model, question))
        return JSONResponse(encode_digests(digests))

    async def apply_heartbeat(self, request: Request) -> JSONResponse:
        site, _ = check_site(request, Scope.APPEND)
        heartbeat = decode_heartbeat(await self._read_json(request))
        await self._threads.writes.run(lambda: self._central.apply_heartbeat(site, heartbeat))
        return JSONResponse({"time": int(time.time())})

    async def read_status(self, request: Request) -> JSONResponse:
        caller = check_caller(request, Scope.APPEND, Scope.READ)
        only = caller.site if caller.scopes.isdisjoint({Scope.READ, Scope.ADMIN}) else None
        fleet = await self._threads.reads.run(lambda: self._central.read_fleet(only))
        told = {"time": int(time.time()), "site": caller.site_name or None}
        refused = {"refused": self._refusals.counts} if only is None else {}
        return JSONResponse(told | refused | {"sites": [each.as_dict() for each in fleet]})

    async def _read_json(self, request: Request) -> bytes:
        headers = dict(request.scope["headers"])
        return inflate_body(headers, await request.body(), most_bytes=self._limits.body_bytes)

    def _find(self, name: str) -> TableModel:
        table = self._central.model.find(name)
        if table is None or not table.append_only:
            raise Problem(404, "not-found", "there is no append-only table of this name")
        return table


def decode_position(text: str, table: TableModel) -> list[object]:
    """Return the key in ``position``; raises `Refused` when it isn't a list of values for the table's key."""
    position = decode_json(text.encode("utf-8", "surrogatepass"), max_bytes=1600, max_depth=1)
    if not isinstance(position, list) or len(position) != len(table.key):
        raise Refused(Reason.SHAPE, f"position must be a list of {', '.join(table.key)}")
    for value, name in zip(position, table.key, strict=True):
        wanted = type(value) is str if table.column(name).wire.kind == "text" else type(value) is int
        if not wanted:
            raise Refused(Reason.TYPE, f"{name} in position isn't of the column's kind")
    return position


def decode_heartbeat(payload: bytes) -> Heartbeat:
    """Return what a site says of itself; raises `Refused` for anything else."""
    told = decode_json_object(payload)
    if set(told) != _HEARTBEAT:
        raise Refused(Reason.SHAPE, f"a heartbeat has {', '.join(sorted(_HEARTBEAT))}, and nothing else")
    proofs = told["proofs"]
    if not isinstance(proofs, list) or not all(isinstance(proof, dict) for proof in proofs):
        raise Refused(Reason.SHAPE, "proofs must be a list of objects")
    return Heartbeat(
        hostname=_decode_name(told["hostname"], "hostname"),
        version=_decode_name(told["version"], "version", most=MOST_VERSION_LENGTH),
        localtime_s=_decode_count(told["localtime"], "localtime", most=LATEST_TIME),
        backlog=_decode_count(told["backlog"], "backlog", most=HIGHEST_INTEGER),
        proofs=proofs,
    )


def _decode_name(value: object, name: str, *, most: int = MOST_NAME_LENGTH) -> str:
    if not isinstance(value, str):
        raise Refused(Reason.TYPE, f"{name} must be a text")
    if len(value) > most or not all(char.isprintable() for char in value):
        raise Refused(Reason.NAME, f"{name} must have at most {most} printable characters")
    return check_text(value)


def _decode_count(value: object, name: str, *, most: int) -> int:
    if not 0 <= check_number(value, integer=True) <= most:
        raise Refused(Reason.RANGE, f"{name} must be from 0 to {most}")
    assert isinstance(value, int)
    return value
