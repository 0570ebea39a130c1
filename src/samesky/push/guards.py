"""What every request passes before anything looks at what it says: headers, key, rate, size, time, digest.

The order is what keeps a stranger cheap: a request without a good key is answered before its body is read.
"""

import asyncio
import base64
import binascii
import hashlib
import re
import time
import zlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..core.strict import Reason, Refused, decode_decimal
from ..errors import SameskyError
from .bodies import CONTENT_TYPE as COLUMNS_TYPE
from .central_settings import Limits
from .problems import Problem, wait_and_retry

Headers: TypeAlias = Mapping[bytes, bytes]
ReadCaller: TypeAlias = Callable[[Scope, Headers], Awaitable[str]]
"""Proves who asks, and returns under what name its requests are counted; raises `Problem` (401, 429)."""
Refuse: TypeAlias = Callable[[SameskyError | Problem, Scope], ASGIApp]
"""Notes what ends a request, and makes the answer."""

MOST_COUNTED = 10_000
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE = "application/json"
_ONCE = (b"authorization", b"content-length", b"content-type", b"content-encoding", b"content-digest", b"range")
_DIGEST = re.compile(r"(sha-256|sha-512)=:([A-Za-z0-9+/=]+):")
_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


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
            await self._app(scope, _receive_once(body, receive), send)

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


def check_headers(pairs: Iterable[tuple[bytes, bytes]], limits: Limits) -> dict[bytes, bytes]:
    """Return the headers by name; `Problem` 431 when they are too many or too long, 400 for two where one may be."""
    pairs = list(pairs)
    size = sum(len(name) + len(value) + 4 for name, value in pairs)
    if len(pairs) > limits.header_count or size > limits.header_bytes:
        raise Problem(431, "headers", f"at most {limits.header_count} headers, of {limits.header_bytes} bytes together")
    headers = dict(pairs)
    if len(headers.get(b"authorization", b"")) > limits.authorization_bytes:
        raise Problem(431, "headers", f"Authorization may have at most {limits.authorization_bytes} bytes")
    if len(headers) < len(pairs):
        names = [name for name, _ in pairs]
        if any(names.count(name) > 1 for name in _ONCE):
            raise Problem(400, "headers", "a header is there twice which may be there once")
    return headers


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
    packings = {b"gzip"} if columns else _WINDOW_BITS.keys()
    if encoding != b"identity" and encoding not in packings:
        raise Problem(415, "encoding", "Content-Encoding must be gzip", headers={"accept-encoding": "gzip"})


async def read_body(headers: Headers, receive: Receive, limits: Limits) -> bytes:
    """Return the whole body: 413 before reading when it says that it's too long, 408 when it comes too slowly."""
    too_long = Problem(
        413, "size", f"a body may have at most {limits.body_bytes} bytes", members={"most_bytes": limits.body_bytes}
    )
    if (told := headers.get(b"content-length")) is not None:
        try:
            decode_decimal(told, low=0, high=limits.body_bytes, reason=Reason.SIZE)
        except Refused:
            raise too_long from None
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_total_s):
            more = True
            while more:
                async with asyncio.timeout(limits.body_idle_s):
                    message = await receive()
                if message["type"] != "http.request":
                    raise Problem(400, "cut", "the connection ended within the body")
                body += message.get("body", b"")
                if len(body) > limits.body_bytes:
                    raise too_long
                more = message.get("more_body", False)
    except TimeoutError:
        raise Problem(408, "slow", "the body came too slowly", headers={"connection": "close"}) from None
    return bytes(body)


def check_digest(headers: Headers, body: bytes) -> None:
    """Refuse a body that isn't what its Content-Digest (RFC 9530) says: 422."""
    told = headers.get(b"content-digest")
    if told is None:
        return
    found = _DIGEST.findall(told.decode("latin-1"))
    if not found:
        raise Problem(422, "digest", "Content-Digest must have a sha-256 or a sha-512")
    for algorithm, digest in found:
        try:
            wanted = base64.b64decode(digest, validate=True)
        except binascii.Error:
            wanted = b""
        if wanted != _ALGORITHMS[algorithm](body).digest():
            raise Problem(422, "digest", "the body isn't what its Content-Digest says; send it again")


def inflate_body(headers: Headers, body: bytes, *, most_bytes: int) -> bytes:
    """Return ``body`` without its Content-Encoding, at most ``most_bytes``; raises `Refused` (BOMB, ENCODING)."""
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding == b"identity":
        return body
    stream = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        inflated = stream.decompress(body, most_bytes + 1)
    except zlib.error:
        raise Refused(Reason.ENCODING, "the body isn't packed as its Content-Encoding says") from None
    if len(inflated) > most_bytes:
        raise Refused(Reason.BOMB, f"the body inflates to more than {most_bytes} bytes")
    if not stream.eof or stream.unused_data:
        raise Refused(Reason.ENCODING, "the packed body is cut short, or something follows it")
    return inflated


def _has_body(headers: Headers) -> bool:
    return b"content-length" in headers or b"transfer-encoding" in headers


def _strip_base_path(scope: Scope, base_path: str) -> None:
    """Every address is served with and without the base path, as proxies leave it or strip it."""
    path = scope["path"]
    if base_path and (path == base_path or path.startswith(f"{base_path}/")):
        scope["path"] = path[len(base_path) :] or "/"
        scope["raw_path"] = None  # routes go by path
    scope["state"]["base_path"] = base_path


def _receive_once(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the whole body, then what the connection tells (that it has ended)."""
    given = False

    async def receive_next() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_next
