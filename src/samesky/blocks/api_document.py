"""What the OpenAPI page says: bodies, answers and examples of the routes. No request is checked by this."""

from typing import Any, get_args

from ..link.problems import SCHEMA, describe_answers
from .links import LONGEST_S, SHORTEST_INTERVAL_S, Carrier, Publish
from .paths import Spelling
from .translate import NullPolicy

ACCESS = (
    "Where there is a token it travels as <code>Authorization: Bearer TOKEN</code>, or as the password of Basic"
    " (<code>curl -u any:TOKEN</code>, a browser). Without one only this machine is served."
)
Words = dict[str, Any]
SUMMARY = "Blocks whose state is broadcast (masters), and blocks that follow them (slaves)."

_PROBLEMS = {
    400: "Not JSON, not UTF-8, cut short, or a parameter that makes no sense.",
    401: "No token, or another one.",
    403: "This block isn't among those that may be written; or, without a token, another host was meant.",
    404: "There is no such service, block or link.",
    408: "The body came too slowly.",
    409: "A block would follow itself.",
    413: "The body is too long.",
    415: "Content-Type must be application/json.",
    422: "Well-formed, but not what can be registered: see `detail`.",
    431: "The headers are too many, or too long.",
    502: "The controller answered something else than it should.",
    503: "The controller, or the file of links, can't be used now: see Retry-After.",
}
_PROBLEM = {
    **SCHEMA,
    "properties": {
        **SCHEMA["properties"],
        "reason": {"type": "string", "description": "Why an input was refused, in a word."},
        "hint": {"type": "string", "description": "What to do."},
    },
}
_TEXT = {"type": "string"}
_ID = {"type": "string", "minLength": 1, "maxLength": 200}
_TABLE = {"type": "object", "additionalProperties": _TEXT}
_PERIOD = {"type": "number", "minimum": 0, "maximum": LONGEST_S}
_CARRIER = {"type": "string", "enum": list(get_args(Carrier)), "default": "amqp"}
_OBJECT = {"type": "object"}
_MASTER = {
    "type": "object",
    "required": ["id", "interval"],
    "additionalProperties": False,
    "properties": {
        "id": {**_ID, "description": "The block."},
        "interval": {"type": "number", "minimum": SHORTEST_INTERVAL_S, "maximum": LONGEST_S, "description": "Seconds."},
        "publish": {"type": "string", "enum": list(get_args(Publish)), "default": "always"},
        "deadband": {"type": "number", "minimum": 0, "description": "A number that changed by less hasn't."},
        "min_period": _PERIOD,
        "max_period": {**_PERIOD, "minimum": SHORTEST_INTERVAL_S},
        "link": _CARRIER,
    },
    "examples": [{"id": "master-sensor", "interval": 5}],
}
_SLAVE = {
    "type": "object",
    "required": ["id", "key"],
    "additionalProperties": False,
    "properties": {
        "id": {**_ID, "description": "The block that is written."},
        "key": {"type": "string", "minLength": 1, "maxLength": 255, "description": "May have the wildcards * and #."},
        "translations": {**_TABLE, "description": "Source path: target path; without any, all data are replaced."},
        "transforms": {"type": "object", "additionalProperties": _OBJECT, "description": "Source path: transform."},
        "nulls": {"type": "string", "enum": list(get_args(NullPolicy)), "default": "hold"},
        "paths": {"type": "string", "enum": list(get_args(Spelling)), "default": "slash"},
        "ttl": {"type": ["number", "null"], "minimum": 1, "maximum": LONGEST_S, "description": "Seconds."},
        "fallback": {"type": ["object", "null"], "description": "Path: value that is written when nothing comes."},
        "link": _CARRIER,
    },
    "examples": [{"id": "dummy-sensor", "key": "spark-master.master-sensor", "translations": {}}],
}
_LINKS = {
    "type": "object",
    "required": ["masters", "slaves"],
    "properties": {"masters": {"type": "array", "items": _OBJECT}, "slaves": {"type": "array", "items": _OBJECT}},
}


def describe_route(
    summary: str, *, answer: Words, description: str = "", body: Words | None = None, problems: tuple[int, ...] = ()
) -> Words:
    """The words about one route, as arguments of ``add_api_route``; ``answer`` and ``body`` are JSON schemas."""
    numbers = {400, 401, 403, 431, *problems, *((404, 408, 409, 413, 415, 422, 502, 503) if body else ())}
    responses: dict[int | str, Words] = {
        200: {"description": "Done.", "content": {"application/json": {"schema": answer}}}
    }
    responses |= describe_answers(numbers, _PROBLEMS)
    told = {"required": True, "content": {"application/json": {"schema": body}}}
    return {
        "summary": summary,
        "description": description,
        "responses": responses,
        "openapi_extra": {"requestBody": told} if body else {},
    }


MASTER = describe_route(
    "Broadcast a block",
    description="Every `interval` seconds the block is read, and its data are published under the key. The same once"
    " more changes nothing; other words take the place of the ones before. `?dry_run=true` shows the data only.",
    body=_MASTER,
    answer={"type": "object", "properties": {"key": _TEXT}, "examples": [{"key": "spark-master.master-sensor"}]},
)
SLAVE = describe_route(
    "Have a block follow a key",
    description="Each message is written to the block, translated. The same once more changes nothing; other words for"
    " this id and key take the place of the ones before. `?dry_run=true` registers nothing and shows the block's data"
    " `before` and `after`; `&wait=10` waits so many seconds for a message.",
    body=_SLAVE,
    answer={"type": ["object", "null"]},
)
LINKS = describe_route("All links, and how they are doing", answer=_LINKS, problems=(404,))
KEY = describe_route("The links with a key", answer=_LINKS, problems=(404, 422))
REMOVE = describe_route(
    "Remove the links with a key",
    description="`?role=master` or `slave` and `&id=` remove less.",
    answer={"type": "object", "properties": {"removed": {"type": "array", "items": _OBJECT}}},
    problems=(404, 422, 503),
)
STATUS = describe_route("How everything is doing", answer=_OBJECT)
METRICS = describe_route("The same for Prometheus", answer=_TEXT)
METRICS["responses"][200]["content"] = {"text/plain": {"schema": _TEXT}}


def complete_document(document: Words) -> Words:
    """Return FastAPI's ``document`` with what it can't know: problems, and the token."""
    components = document.setdefault("components", {})
    components["schemas"] = {"Problem": _PROBLEM}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "description": "If there is one."}}
    document["security"] = [{"token": []}, {}]
    return document
