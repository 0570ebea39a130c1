"""What a server of ours answers when it can't do what was asked: ``application/problem+json`` (RFC 9457).

``type`` is one word that programs tell problems by; ``detail`` is a sentence for people, and never quotes the request.
"""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from starlette.responses import Response

from ..core.strict import Reason, Refused

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2
SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "required": ["type", "title", "status", "detail"],
        "properties": {
            "type": {"type": "string", "description": "One word for programs."},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "A sentence for people."},
        },
    }
)
"""What an OpenAPI document says of a problem, where it is the schema called Problem (`describe_answers`)."""


class Problem(Exception):
    """Ends a request with ``status``; ``members`` are further fields of the answer."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.members = dict(members or {})
        self.headers = dict(headers or {})

    def encode(self) -> bytes:
        """The answer's body."""
        title = HTTPStatus(self.status).phrase
        document = {"type": self.kind, "title": title, "status": self.status, "detail": self.detail} | self.members
        return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")

    def response(self) -> Response:
        """The answer."""
        headers = {"cache-control": "no-store"} | self.headers
        return Response(self.encode(), self.status, headers, media_type=MEDIA_TYPE)


def wait_and_retry(status: int, kind: str, detail: str, *, after_s: float = RETRY_AFTER_S) -> Problem:
    """429 or 503 with Retry-After, in whole seconds from 1."""
    return Problem(status, kind, detail, headers={"retry-after": str(max(1, round(after_s + 0.5)))})


def describe_refusal(refusal: Refused) -> Problem:
    """Return the answer to an input that was refused."""
    status = _STATUS.get(refusal.reason, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Problem(status, "refused", str(refusal), members={"reason": refusal.reason.value})


def describe_answers(statuses: Iterable[int], words: Mapping[int, str]) -> dict[int | str, Any]:
    """Return what an OpenAPI document says of the answers with ``statuses``, of which ``words`` has a sentence each."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": words[status], "content": content} for status in sorted(statuses)}


_STATUS = {
    Reason.EMPTY: 400,
    Reason.ENCODING: 400,
    Reason.JSON: 400,
    Reason.DEPTH: 400,
    Reason.DUPKEY: 400,
    Reason.BAD_REQUEST: 400,
    Reason.SIG: 401,
    Reason.SCOPE: 403,
    Reason.NOT_FOUND: 404,
    Reason.CONFLICT: 409,
    Reason.OLDER: 409,
    Reason.PARENT: 409,
    Reason.SHARED: 409,
    Reason.AMBIGUOUS: 409,
    Reason.SIZE: 413,
    Reason.BOMB: 413,
    Reason.VERSION: 415,
    Reason.PROPS: 431,
}
