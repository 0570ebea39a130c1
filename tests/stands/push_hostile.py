"""Servers that aren't centres, or bad ones: each answers every request alike."""

import json
from collections.abc import Callable

from stands.mesh_web import Visitor, field_of, whole

Answering = Callable[[Visitor], None]


def answering(status: str, body: object = None, *fields: str, media_type: str = "application/json") -> Answering:
    """A script that answers ``status`` with ``body``, as JSON unless it's bytes; request bodies are read first."""
    payload = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()

    def script(visitor: Visitor) -> None:
        while request := visitor.read_request():
            _read_body(visitor, int(field_of(request, "Content-Length") or 0))
            visitor.send(whole(payload, f"Content-Type: {media_type}", *fields, status=status))

    return script


def problem(status: str, kind: str, *fields: str, **members: object) -> Answering:
    """A script that says no as a centre does."""
    document = {"type": kind, "title": "no", "status": int(status[:3]), "detail": "in its own words", **members}
    return answering(status, document, *fields, media_type="application/problem+json")


def _read_body(visitor: Visitor, size: int) -> None:
    while len(visitor._received) < size:
        data = visitor.connection.recv(65536)
        if not data:
            return
        visitor._received += data
    visitor._received = visitor._received[size:]
