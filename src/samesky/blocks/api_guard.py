"""What every request passes before anything looks at what it says: headers, who asks, the size and kind of its body.

Whoever registers links decides what is written to controllers. So beyond this machine that takes a token; and without
one, a request must have been meant for this machine: a web page that somebody looks at here can't send one unnoticed.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from ..link.problems import Problem
from ..link.web_requests import Headers, check_digest, check_headers, decode_authorization, give_body, read_body
from .blocks_settings import is_local

JSON_TYPE = "application/json"
_OPEN = frozenset({"/", "/docs", "/openapi.json"})
_CHALLENGE = {"www-authenticate": 'Bearer realm="samesky", Basic realm="samesky", charset="UTF-8"'}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken; what is over is answered with 413, 408 or 431."""

    body_bytes: int = 64 << 10
    body_idle_s: float = 10.0
    body_total_s: float = 30.0
    header_count: int = 64
    header_bytes: int = 16 << 10
    authorization_bytes: int = 1 << 10


class Guard:
    """An ASGI application around ``app``, which sees only requests that are in order, their bodies complete.

    With a ``token`` each request must have it, but those for the documentation.
    """

    def __init__(self, app: ASGIApp, *, token: str, refuse: Callable[[Problem], ASGIApp]) -> None:
        self._app = app
        self._token = token
        self._refuse = refuse
        self._limits = Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._take(scope, receive)
        except Problem as problem:
            await self._refuse(problem)(scope, receive, send)
        else:
            await self._app(scope, give_body(body, receive), send)

    async def _take(self, scope: Scope, receive: Receive) -> bytes:
        headers = check_headers(scope["headers"], self._limits)
        if self._token:
            if scope["path"] not in _OPEN:
                check_token(headers, self._token)
        else:
            check_host(headers)
        if scope["method"] not in ("POST", "PUT", "PATCH"):
            return b""
        check_media_type(headers)
        body = await read_body(headers, receive, self._limits)
        check_digest(headers, body)
        return body


def check_token(headers: Headers, token: str) -> None:
    """Refuse whoever hasn't the token, as Bearer or as the password of Basic: 401."""
    _, given = decode_authorization(headers.get(b"authorization", b""))
    if not hmac.compare_digest(given, token.encode()):
        raise Problem(401, "token", "this needs the token: Authorization: Bearer TOKEN", headers=_CHALLENGE)


def check_host(headers: Headers) -> None:
    """Refuse what was meant for another host than this machine: 403. (A name in somebody else's DNS may lead here.)"""
    host = headers.get(b"host", b"localhost").decode("latin-1")
    name, _, port = host.rpartition(":")
    if not is_local(host if name and port.isdigit() else f"{host}:0"):
        raise Problem(403, "host", "without a token only this machine is served, by the name of localhost; set a token")


def check_media_type(headers: Headers) -> None:
    """Refuse bodies that aren't JSON in UTF-8, as they are: 415. (A page's form can't send JSON.)"""
    media_type, _, parameters = headers.get(b"content-type", b"").partition(b";")
    charset = parameters.strip().lower().replace(b'"', b"")
    if media_type.strip().lower() != JSON_TYPE.encode() or charset not in (b"", b"charset=utf-8"):
        raise Problem(415, "media-type", f"Content-Type must be {JSON_TYPE}", headers={"accept-post": JSON_TYPE})
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        raise Problem(415, "encoding", "the body must not be packed", headers={"accept-encoding": "identity"})
