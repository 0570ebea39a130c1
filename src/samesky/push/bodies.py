"""What pages and catalogues are as the body of an HTTP request: columns as JSON, in gzip."""

import zlib

from ..core.strict import Reason, Refused, inflate

CONTENT_TYPE = "application/vnd.samesky.columns+json"
CONTENT_ENCODING = "gzip"
MOST_BYTES = 8 << 20
"""The largest body once expanded, unless the caller says otherwise."""

_GZIP = 31  # zlib's name for RFC 1952, with the largest window
_MAGIC = b"\x1f\x8b"


def compress(data: bytes, *, level: int = 6) -> bytes:
    """Return ``data`` as one gzip member (RFC 1952): equal bytes each time, since it bears no time and no name."""
    compressor = zlib.compressobj(level, wbits=_GZIP)
    return compressor.compress(data) + compressor.flush()


def expand(payload: bytes, *, most_bytes: int = MOST_BYTES) -> bytes:
    """Return what ``payload`` expands to: itself when it isn't gzip, which no JSON text begins like.

    Raises ``Refused``: EMPTY, SIZE (plain and too long), BOMB (expands to more than ``most_bytes``, found without
    expanding it), ENCODING (damaged, cut short, or followed by anything).
    """
    if not payload:
        raise Refused(Reason.EMPTY, "the body is empty")
    if not payload.startswith(_MAGIC):
        if len(payload) > most_bytes:
            raise Refused(Reason.SIZE, f"the body has {len(payload)} bytes, more than {most_bytes}")
        return payload
    return inflate(payload, max_bytes=most_bytes, packing="gzip")
