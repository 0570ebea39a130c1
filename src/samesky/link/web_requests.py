"""A request as a server of ours takes it: headers within bounds, a body that is whole, and is what its digest says."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Protocol, TypeAlias

from starlette.types import Message, Receive

from ..core.strict import Reason, Refused, decode_decimal
from .problems import Problem

Headers: TypeAlias = Mapping[bytes, bytes]

_ONCE = (b"authorization", b"content-length", b"content-type", b"content-encoding", b"content-digest", b"range")
_DIGEST = re.compile(r"(sha-256|sha-512)=:([A-Za-z0-9+/=]+):")
_ALGORITHMS = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}


class RequestLimits(Protocol):
    """How much is taken; what is over is answered with 413, 408 or 431."""

    @property
    def body_bytes(self) -> int:
        """A body as it travels."""
        ...

    @property
    def body_idle_s(self) -> float:
        """How long the next piece of a body may take."""
        ...

    @property
    def body_total_s(self) -> float:
        """How long the whole body may take."""
        ...

    @property
    def header_count(self) -> int:
        """How many headers there may be."""
        ...

    @property
    def header_bytes(self) -> int:
        """All headers together."""
        ...

    @property
    def authorization_bytes(self) -> int:
        """The header Authorization."""
        ...


def check_headers(pairs: Iterable[tuple[bytes, bytes]], limits: RequestLimits) -> dict[bytes, bytes]:
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


def decode_authorization(told: bytes) -> tuple[bytes, bytes]:
    """Return the user and the secret in an Authorization header: of Bearer (RFC 6750) or Basic (RFC 7617).

    With Bearer there is no user. Of any other scheme, and of what isn't base64, both are empty.
    """
    scheme, _, rest = told.strip().partition(b" ")
    match scheme.lower():
        case b"bearer":
            return b"", rest.strip()
        case b"basic":
            try:
                user, _, password = base64.b64decode(rest.strip(), validate=True).partition(b":")
            except binascii.Error:
                return b"", b""
            return user, password
    return b"", b""


async def read_body(headers: Headers, receive: Receive, limits: RequestLimits) -> bytes:
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


def give_body(body: bytes, receive: Receive) -> Receive:
    """Return what an application receives: the whole body, then what the connection tells (that it has ended)."""
    given = False

    async def receive_next() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_next
