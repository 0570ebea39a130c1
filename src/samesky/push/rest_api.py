"""``/rest``: the seed's interface to the tables, for its pusher, for scripts, and for a browser.

Rows are JSON objects (`rest_objects`), lists are chosen by the address (`rest_query`). ``/rest/sensortype/`` needs no
key: opening it is how a user tests the connection. Ids are the centre's; nodes keep their site's.
"""

import time
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, cast

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from ..core.strict import HIGHEST_INTEGER, Reason, Refused, decode_decimal, decode_json
from ..link.problems import Problem
from . import api_document as document
from .access import check_caller, find_caller
from .central_database import CentralDatabase
from .central_settings import CentralSettings
from .central_tables import SITE_COLUMN
from .guards import inflate_body
from .idempotency import IdempotencyKeys
from .iso_times import encode_time
from .keys import Scope
from .model import TableModel
from .rest_lists import Lists, RestList
from .rest_objects import decode_key, decode_object, decode_objects, encode_json, etag_of
from .rest_query import decode_query, decode_range
from .rest_reading import EVERYBODY, RestReading, Sight
from .rest_writing import RestWriting, Written, describe_conflicts, locate
from .turns import Threads

Answer = TypeVar("Answer")
TableName = Annotated[
    str, Path(max_length=64, description="A table of the model, in any letters.", examples=["sensortype"])
]
Key = Annotated[
    str,
    Path(max_length=400, description="The row's key; of several columns, with commas between.", examples=["1"]),
]
_JSON = "application/json"


class RestApi:
    """The routes of the tables, over one centre."""

    def __init__(self, central: CentralDatabase, *, settings: CentralSettings, threads: Threads) -> None:
        self._central = central
        self._limits = settings.limits
        self._base = f"{settings.base_path}/rest/"
        self._threads = threads
        self._reading = RestReading(central)
        self._transactions = central.transactions
        self._keys = IdempotencyKeys()
        self._lists = Lists(threads.reads, at_once=self._limits.lists_at_once)

    def make_router(self) -> APIRouter:
        """The routes, each with and without a slash behind, with what the OpenAPI page says of them."""
        router = APIRouter(prefix="/rest", tags=["rest"])

        def add(path: str, handler: Callable[..., Any], method: str, words: document.Words) -> None:
            router.add_api_route(f"{path}/", handler, methods=[method], **words)
            if path:
                router.add_api_route(path, handler, methods=[method], include_in_schema=False)

        add("", self.list_tables, "GET", document.TABLES)
        add("/bulk", self.create_all, "POST", document.BULK)
        add("/lastsync", self.read_last_sync, "GET", document.LAST_SYNC)
        add("/{table}", self.read_list, "GET", document.LIST)
        add("/{table}", self.create, "POST", document.CREATE)
        add("/{table}/{key}", self.read_one, "GET", document.READ)
        add("/{table}/{key}", self.change, "PUT", document.CHANGE)
        add("/{table}/{key}", self.remove, "DELETE", document.REMOVE)
        return router

    async def list_tables(self, request: Request) -> Response:
        check_caller(request, Scope.APPEND, Scope.READ)
        return _answer({table.name: f"{self._base}{table.name.lower()}/" for table in self._central.model.tables})

    async def read_list(self, request: Request, table: TableName) -> Response:
        model, sight = self._find(table), self._sight(request)
        query = decode_query(request.scope["query_string"], model, extra=self._reading.columns_of(model, sight))
        items = decode_range(dict(request.scope["headers"]).get(b"range"))
        rows = RestList(self._central, self._reading, model, query=query, sight=sight, items=items)
        return await self._lists.answer(rows, find_caller(request))

    async def read_one(self, request: Request, table: TableName, key: Key) -> Response:
        model, sight = self._find(table), self._sight(request)
        found = await self._read(lambda connection: self._find_row(connection, model, key, request, sight))
        body = encode_json(found).encode()
        tag = etag_of(body)
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return Response(body, media_type=_JSON, headers={"etag": tag})

    async def create(self, request: Request, table: TableName) -> Response:
        caller, model = check_caller(request, Scope.APPEND), self._find(table)
        body = await request.body()

        async def work() -> Response:
            given = decode_object(self._decode(request, body), model, now=time.time())
            written = await self._write(lambda connection: self._writing(connection, request).create(given))
            found = await self._read(lambda connection: self._read_back(connection, written, self._sight(request)))
            headers = {"location": f"{self._base}{locate(written)}"}
            return _answer(found, status=201 if written.created else 200, headers=headers)

        return await self._keys.once(caller.key, request.headers.get("idempotency-key"), _request(request, body), work)

    async def create_all(self, request: Request) -> Response:
        caller, body = check_caller(request, Scope.APPEND), await request.body()

        async def work() -> Response:
            model, most = self._central.model, 2 * self._limits.page_rows
            given = await self._threads.quick.run(
                lambda: decode_objects(self._decode(request, body), model, now=time.time(), most=most)
            )

            def store(connection: Connection) -> list[Written]:
                written, faults = self._writing(connection, request).create_all(given)
                if faults:
                    raise describe_conflicts(faults)
                return written

            written = await self._write(store)
            new = sum(each.created for each in written)
            return _answer(
                {"accepted": new, "duplicate": len(written) - new, "rejected": []}, status=201 if new else 200
            )

        return await self._keys.once(caller.key, request.headers.get("idempotency-key"), _request(request, body), work)

    async def change(self, request: Request, table: TableName, key: Key) -> Response:
        check_caller(request, Scope.APPEND)
        model, sight, body = self._find(table), self._sight(request), await request.body()
        given = decode_object(self._decode(request, body), model, now=time.time())

        def change(connection: Connection) -> dict[str, object]:
            writing = self._writing(connection, request)
            writing.lock()
            before = self._find_row(connection, model, key, request, sight)
            _check_match(request, before)
            site = self._site_of(model, before, sight)
            if given.site not in (None, site):
                raise Problem(409, "conflict", "a row can't be moved to another site")
            row = decode_key(key, model)
            writing.change(given, row, site)
            return self._find_row(connection, model, key, request, sight)

        found = await self._write(change)
        return _answer(found, headers={"etag": etag_of(encode_json(found).encode())})

    async def remove(self, request: Request, table: TableName, key: Key) -> Response:
        check_caller(request, Scope.APPEND)
        model, sight = self._find(table), self._sight(request)

        def remove(connection: Connection) -> None:
            writing = self._writing(connection, request)
            writing.lock()
            before = self._find_row(connection, model, key, request, sight)
            _check_match(request, before)
            site = self._site_of(model, before, sight)
            writing.remove(model, decode_key(key, model), site)

        await self._write(remove)
        return Response(status_code=204)

    async def read_last_sync(self, request: Request) -> Response:
        check_caller(request, Scope.APPEND, Scope.READ)
        house = request.query_params.get("house", "")
        if not (house.isascii() and house.isdigit() and len(house) <= 18):
            raise Refused(Reason.BAD_REQUEST, "house must be the id of a house, such as ?house=1")
        sight = self._sight(request)
        latest = await self._read(lambda connection: self._reading.read_last_time(connection, int(house), sight))
        return _answer({"house": int(house), "lastsync": None if latest is None else encode_time(latest)})

    def _find(self, name: str) -> TableModel:
        table = self._central.model.find(name)
        if table is None:
            raise Problem(404, "not-found", "there is no table of this name")
        return table

    def _sight(self, request: Request) -> Sight:
        return Sight.of(find_caller(request))

    def _writing(self, connection: Connection, request: Request) -> RestWriting:
        return RestWriting(self._central, self._reading, connection, check_caller(request, Scope.APPEND))

    def _find_row(
        self, connection: Connection, table: TableModel, key: str, request: Request, sight: Sight
    ) -> dict[str, object]:
        """The object that an address names; `Problem` 404, and 409 when several sites have one."""
        wanted = decode_key(key, table)
        if sight.tells_site(table) and (site := request.query_params.get(SITE_COLUMN)) is not None:
            wanted[SITE_COLUMN] = decode_decimal(site.encode(), low=0, high=HIGHEST_INTEGER)
        found = self._reading.find(connection, table, wanted, sight)
        if not found:
            raise Problem(404, "not-found", f"there is no such row of {table.name}")
        if len(found) > 1:
            raise Problem(409, "ambiguous", f"several sites have this row: say which with ?{SITE_COLUMN}=")
        return found[0]

    def _site_of(self, table: TableModel, found: Mapping[str, object], sight: Sight) -> int | None:
        if not table.of_site:
            return None
        return cast(int, found[SITE_COLUMN]) if sight.tells_site(table) else sight.site

    def _read_back(self, connection: Connection, written: Written, sight: Sight) -> dict[str, object]:
        """The object as it is stored now; a shared row that was there already may be another site's."""
        key = {name: written.values[name] for name in written.table.key}
        if not written.table.of_site:
            return self._reading.find(connection, written.table, key, EVERYBODY)[0]
        of_site = {SITE_COLUMN: written.site} if sight.tells_site(written.table) else {}
        return self._reading.find(connection, written.table, {**key, **of_site}, sight)[0]

    def _decode(self, request: Request, body: bytes) -> object:
        headers = dict(request.scope["headers"])
        inflated = inflate_body(headers, body, most_bytes=self._limits.inflated_bytes)
        return decode_json(inflated, max_bytes=self._limits.inflated_bytes)

    async def _read(self, work: Callable[[Connection], Answer]) -> Answer:
        return await self._threads.reads.run(lambda: self._transactions.read(work))

    async def _write(self, work: Callable[[Connection], Answer]) -> Answer:
        return await self._threads.writes.run(lambda: self._transactions.write(work))


def _answer(document: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(document), status, dict(headers or {}), media_type=_JSON)


def _request(request: Request, body: bytes) -> bytes:
    """What makes two requests the same one."""
    return b"\n".join([request.method.encode(), request.scope["path"].rstrip("/").encode(), body])


def _check_match(request: Request, before: Mapping[str, object]) -> None:
    """`Problem` 412 unless the row is as the client last saw it, when it says what that was."""
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted != "*" and etag_of(encode_json(before).encode()) not in wanted.split(", "):
        raise Problem(412, "changed", "the row was changed since it was read; read it again")
