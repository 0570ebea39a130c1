"""What every request passes before anything looks at what it says: headers, key, rate, size, time, digest.

The order is what keeps a stranger cheap: a request without a good key is answered before its body is read.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from ..core.strict import Packing, inflate
from ..errors import SameskyError
from ..link.problems import Problem, wait_and_retry
from ..link.web_requests import Headers, check_digest, check_headers, give_body, read_body
from .bodies import CONTENT_TYPE as COLUMNS_TYPE
from .central_settings import Limits

ReadCaller: TypeAlias = Callable[[Scope, Headers], Awaitable[str]]
"""Proves who asks, and returns under what name its requests are counted; raises `Problem` (401, 429)."""
Refuse: TypeAlias = Callable[[SameskyError | Problem, Scope], ASGIApp]
"""Notes what ends a request, and makes the answer."""

MOST_COUNTED = 10_000
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE = "application/json"
_PACKINGS: dict[bytes, Packing] = {b"gzip": "gzip", b"x-gzip": "gzip", b"deflate": "zlib"}


class Guards:
    """An ASGI application around another one, which sees only requests that are in order, their bodies complete."""

    def __init__(
        self, app: ASGIApp, *, limits: Limits, read_caller: ReadCaller, refuse: Refuse, base_path: str = ""
    ) -> None:
        self._app = app
        self._limits = limits
        self._read_caller = read_caller
        self._refuse = refuse
        self._base_path = base_path
        self._rates = Rates(limits.requests_per_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._take(scope, receive)
        except (SameskyError, Problem) as error:
            await self._refuse(error, scope)(scope, receive, send)
        else:
            await self._app(scope, give_body(body, receive), send)

    async def _take(self, scope: Scope, receive: Receive) -> bytes:
        headers = check_headers(scope["headers"], self._limits)
        _strip_base_path(scope, self._base_path)
        self._rates.take(await self._read_caller(scope, headers))
        if scope["method"] not in WITH_BODY:
            return b""
        check_media_type(scope["path"], headers)
        body = await read_body(headers, receive, self._limits)
        check_digest(headers, body)
        return body


class Rates:
    """How many requests each caller may still send: ``per_s`` over longer spans, twice as many at once."""

    def __init__(self, per_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._most = max(1.0, 2 * per_s)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> None:
        """Count a request of ``name``; raises `Problem` 429 when it has sent too many."""
        now = self._clock()
        left = self.left(name) - 1
        if left < 0:
            raise wait_and_retry(429, "rate", "too many requests in this short time", after_s=-left / self._per_s)
        self._left[name] = (left, now)
        self._left.move_to_end(name)
        while len(self._left) > MOST_COUNTED:
            self._left.popitem(last=False)

    def left(self, name: str) -> float:
        """How many requests ``name`` may send now."""
        left, at = self._left.get(name, (self._most, self._clock()))
        return min(self._most, left + (self._clock() - at) * self._per_s)


def check_media_type(path: str, headers: Headers) -> None:
    """Refuse bodies that aren't JSON in UTF-8 (415), or are packed in a way that isn't known here."""
    media_type, _, parameters = headers.get(b"content-type", b"").partition(b";")
    wanted = media_type.strip().lower().decode("latin-1")
    columns = path.startswith(("/sync/v1/pages/", "/sync/v1/catalogue"))
    allowed = COLUMNS_TYPE if columns else JSON_TYPE
    empty = headers.get(b"content-length") == b"0" or not _has_body(headers)
    if wanted != allowed and not (empty and not wanted):
        raise Problem(415, "media-type", f"Content-Type must be {allowed}", headers={"accept-post": allowed})
    charset = parameters.strip().lower().replace(b'"', b"")
    if charset not in (b"", b"charset=utf-8"):
        raise Problem(415, "media-type", "the body must be UTF-8")
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    packings = {b"gzip"} if columns else _PACKINGS.keys()
    if encoding != b"identity" and encoding not in packings:
        raise Problem(415, "encoding", "Content-Encoding must be gzip", headers={"accept-encoding": "gzip"})


def inflate_body(headers: Headers, body: bytes, *, most_bytes: int) -> bytes:
    """Return ``body`` without its Content-Encoding, at most ``most_bytes``; raises `Refused` (BOMB, ENCODING)."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding == b"identity":
        return body
    return inflate(body, max_bytes=most_bytes, packing=_PACKINGS[encoding])


def _has_body(headers: Headers) -> bool:
    return b"content-length" in headers or b"transfer-encoding" in headers


def _strip_base_path(scope: Scope, base_path: str) -> None:
    """Every address is served with and without the base path, as proxies leave it or strip it."""
    path = scope["path"]
    if base_path and (path == base_path or path.startswith(f"{base_path}/")):
        scope["path"] = path[len(base_path) :] or "/"
        scope["raw_path"] = None  # routes go by path
    scope["state"]["base_path"] = base_path
