"""What the OpenAPI page says: bodies, answers and examples of the routes. No request is checked by this."""

from collections.abc import Mapping
from typing import Any

from ..link.problems import SCHEMA, describe_answers
from .bodies import CONTENT_TYPE
from .model import ColumnModel, Model, TableModel, ValueKind

Words = dict[str, Any]

_PROBLEMS = {
    400: "Not JSON, not UTF-8, cut short, or a number that makes no sense.",
    401: "No key, or one that isn't known, was revoked or has expired.",
    403: "The key doesn't allow this.",
    404: "There is no such table or row.",
    408: "The body came too slowly.",
    409: "Something else must be done first: see `type`.",
    412: "The row was changed meanwhile.",
    413: "The body is too long, also after inflating it: halve it.",
    415: "Another Content-Type or Content-Encoding is needed.",
    416: "There are no such items.",
    422: "Well-formed, but not what the table can hold: see `errors`.",
    429: "Too many requests: see Retry-After.",
    431: "The headers are too many, or too long.",
    500: "A fault of the centre; its log says more.",
    503: "The centre's database can't be used now: see Retry-After.",
}
PROBLEM = {
    **SCHEMA,
    "examples": [{"type": "older", "title": "Conflict", "status": 409, "detail": "a newer run of this site has begun"}],
}
_ALWAYS = (400, 401, 404, 429, 431, 500, 503)
_WITH_BODY = (403, 408, 413, 415, 422)


def describe_route(
    summary: str,
    *,
    description: str = "",
    answer: Mapping[str, Any] | None = None,
    status: int = 200,
    body: Mapping[str, Any] | None = None,
    body_type: str = "application/json",
    problems: tuple[int, ...] = (),
) -> Words:
    """The words about one route, as arguments of ``add_api_route``; ``answer`` and ``body`` are JSON schemas."""
    responses = describe_answers({*_ALWAYS, *problems, *(_WITH_BODY if body else ())}, _PROBLEMS)
    if answer is None:
        responses[status] = {"description": "Done."}
    else:
        content = {"application/json": {"schema": dict(answer)}}
        responses[status] = {"description": answer.get("description", "Done."), "content": content}
    extra = {"requestBody": {"required": True, "content": {body_type: {"schema": dict(body)}}}} if body else {}
    return {
        "summary": summary,
        "description": description,
        "status_code": status,
        "responses": responses,
        "openapi_extra": extra,
    }


def object_of(properties: Mapping[str, Any], *, required: tuple[str, ...] = (), **words: Any) -> Words:
    """The schema of a JSON object with exactly these ``properties``."""
    made: Words = {"type": "object", "properties": dict(properties), "additionalProperties": False, **words}
    return made | ({"required": list(required)} if required else {})


_INTEGER = {"type": "integer", "format": "int64"}
_TEXT = {"type": "string", "maxLength": 255}
_POSITION = {"type": ["array", "null"], "items": {"type": ["integer", "string"]}}


def _describe_columns(name: str, columns: Mapping[str, str], *values: object) -> Words:
    """The schema of rows as columns, with one table of two rows for an example."""
    table = {"name": name, "count": 2, "columns": [list(each) for each in columns.items()], "values": list(values)}
    return {
        "type": "object",
        "required": ["tables"],
        "properties": {"tables": {"type": "array", "items": {"type": "object"}}},
        "description": "Columns in JSON, packed with gzip; see docs/push.md.",
        "examples": [{"tables": [table]}],
    }


_ROOM_TYPES = _describe_columns("RoomType", {"id": "integer", "name": "text"}, [1, 2], ["Bedroom", "Kitchen"])
_READINGS = _describe_columns(
    "Reading",
    {"time": "integer", "nodeId": "integer", "type": "integer", "locationId": "integer", "value": "real"},
    [1700000000, 1700000300],
    [69, 69],
    [1, 1],
    None,
    [21.5, 21.25],
)
_MISSING = "`parent` names dimension rows that must come first, in `missing`; `older` says that a newer run has begun."

HELLO = describe_route(
    "What this is, and its version", answer=object_of({"name": {"type": "string"}, "version": {"type": "string"}})
)
BEGIN_RUN = describe_route(
    "Begin a run",
    description="Pages of older runs of the same site are refused from now on (409 `older`).",
    status=201,
    answer=object_of(
        {
            "run": _INTEGER,
            "centre": {"type": "string", "description": "Another one after the database was made anew."},
            "site": {"type": "string"},
            "positions": {"type": "object", "additionalProperties": _POSITION},
            "catalogue": {"type": ["string", "null"], "description": "The digest of the catalogue that is stored."},
            "limits": object_of({"page_bytes": _INTEGER, "page_rows": _INTEGER}),
            "time": _INTEGER,
        },
        description="The run's number, and up to where the centre has each table.",
    ),
)
CATALOGUE = describe_route(
    "Map a site's dimension rows",
    description="Creates and changes what is missing or other at the centre, or says what it would (`dry_run`).",
    body=_ROOM_TYPES,
    body_type=CONTENT_TYPE,
    answer={"type": "object", "description": "What was created, changed, adopted and refused, by table."},
    problems=(409,),
)
PAGES = describe_route(
    "Store a page of rows",
    description=f"Stored by upsert, together with the position. {_MISSING}",
    body=_READINGS,
    body_type=CONTENT_TYPE,
    answer=object_of(
        {
            "accepted": _INTEGER,
            "duplicate": _INTEGER,
            "changed": _INTEGER,
            "rejected": {"type": "array", "items": {"type": "object"}},
            "position": _POSITION,
        },
        description="How many rows were new, there already, and there with other values.",
    ),
    problems=(409,),
)
DIGESTS = describe_route(
    "Digests of the rows that the centre has",
    description="By day and node, by day, by month, or of everything; in the site's ids.",
    body=object_of(
        {
            "from": _INTEGER,
            "to": _INTEGER,
            "by": {"type": "string", "enum": ["all", "month", "day", "group"]},
            "months": {"type": "array", "items": _INTEGER},
            "days": {"type": "array", "items": _INTEGER},
            "deep": {"type": "boolean"},
        },
        required=("from", "to", "by"),
        examples=[{"from": 1700000000, "to": 1700600000, "by": "day", "months": [202311]}],
    ),
    answer=object_of(
        {"groups": {"type": "array", "items": {"type": "array"}}}, description="Lists of key, count and digest."
    ),
)
HEARTBEAT = describe_route(
    "Say how a site is doing",
    body=object_of(
        {
            "hostname": _TEXT,
            "localtime": _INTEGER,
            "version": _TEXT,
            "backlog": {"type": ["integer", "null"], "minimum": 0},
            "proofs": {"type": ["array", "object", "null"]},
        },
        required=("hostname", "version"),
        examples=[{"hostname": "hill", "localtime": 1700000000, "version": "0.1", "backlog": 0, "proofs": []}],
    ),
    answer=object_of({"time": _INTEGER}),
)
STATUS = describe_route(
    "How the sites are doing",
    description="Every site's backlog, last push and last proof; with a key of scope append the site's own.",
    answer=object_of(
        {
            "time": _INTEGER,
            "site": {"type": ["string", "null"], "description": "The site whose key this is."},
            "refused": {"type": "object", "description": "Requests refused since the server began, by reason."},
            "sites": {"type": "array", "items": {"type": "object"}},
        }
    ),
    problems=(403,),
)


_OBJECT = {"type": "object", "description": "All columns, and `__table__`."}
_ROWS = {"type": "array", "items": _OBJECT}
_ANY_ROW = {"$ref": "#/components/schemas/Row"}

TABLES = describe_route(
    "The tables, and where they are",
    answer={"type": "object", "additionalProperties": {"type": "string"}},
    problems=(403,),
)
LIST = describe_route(
    "Rows of a table",
    description="`column=value`, `le_column=`, `lt_`, `ge_`, `gt_`; `column=` and `column=null` mean NULL;"
    " `sort=column` or `sort=-column`; `Range: items=0-99` asks for a part, answered with 206 and Content-Range."
    " What kinds of rooms, nodes and sensors there are needs no key.",
    answer=_ROWS,
    problems=(416, 422),
)
CREATE = describe_route(
    "Make a row",
    description="201 with Location. What is there already, equal in every value, is answered with 200.",
    status=201,
    body=_ANY_ROW,
    answer=_OBJECT,
    problems=(409,),
)
READ = describe_route("One row", answer=_OBJECT, problems=(409,))
CHANGE = describe_route(
    "Change a row",
    description="All columns are given. With If-Match (the ETag of the row as it was read) only if nobody else did.",
    body=_ANY_ROW,
    answer=_OBJECT,
    problems=(409, 412),
)
REMOVE = describe_route(
    "Remove a row",
    description="Not one that a site pushes, nor one that others refer to.",
    status=204,
    problems=(403, 409, 412),
)
BULK = describe_route(
    "Make many rows",
    description="All or none; objects say of which table they are. Those that are there already are counted.",
    status=201,
    body={"type": "array", "items": _ANY_ROW, "maxItems": 10_000},
    answer=object_of({"accepted": _INTEGER, "duplicate": _INTEGER, "rejected": _ROWS}),
    problems=(409,),
)
LAST_SYNC = describe_route(
    "When the last reading of a house was taken",
    answer=object_of({"house": _INTEGER, "lastsync": {"type": ["string", "null"]}}),
    problems=(403,),
)


def complete_document(document: Words, model: Model) -> Words:
    """Return FastAPI's ``document`` with what it can't know: problems, keys, the tables and their objects."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    schemas |= {table.name: _describe_object(table) for table in model.tables}
    schemas["Row"] = {"oneOf": [{"$ref": f"#/components/schemas/{table.name}"} for table in model.tables]}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "`samesky push key add` makes keys."},
        "password": {"type": "http", "scheme": "basic", "description": "The key as password, any user."},
    }
    document["security"] = [{"key": []}, {"password": []}]
    for path, routes in document["paths"].items():
        names = [table.name.lower() for table in model.tables]
        if path.startswith("/sync"):
            names = [table.name for table in model.append_only()]
        for route in routes.values():
            for parameter in route.get("parameters", ()):
                if parameter["name"] == "table":
                    parameter["schema"] = {"type": "string", "enum": names}
    return document


def _describe_object(table: TableModel) -> Words:
    members = {column.name: _describe_column(column, required=column.name in table.key) for column in table.columns}
    named = {"__table__": {"type": "string", "const": table.name}}
    required = ("__table__", *table.key) if table.append_only or table.keeps_id else ("__table__",)
    return object_of(named | members, required=required, title=table.name)


def _describe_column(column: ColumnModel, *, required: bool) -> Words:
    match column.kind:
        case ValueKind.TEXT:
            words: Words = {"type": "string"} | ({"maxLength": column.size} if column.size else {})
        case ValueKind.TIME:
            words = {"type": "string", "pattern": _TIME, "examples": ["2026-01-31T23:59:59"]}
        case ValueKind.INTEGER:
            words = dict(_INTEGER)
        case ValueKind.DOUBLE:
            words = {"type": "number"}
        case ValueKind.FLAG:
            words = {"type": "boolean"}
    return words if required or column.required else words | {"type": [words["type"], "null"]}


_TIME = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]$"
