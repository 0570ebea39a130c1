"""What announcements of every dialect are made of: sizes, checksums, inline content, URLs, read strictly.

Each ``decode_`` and ``check_`` here returns a value that is proven, or raises ``Refused``; nothing else comes out.
"""

import binascii
import re

from ..core.strict import HIGHEST_INTEGER, Reason, Refused
from .announcement import METHODS, Integrity

MAX_ANNOUNCEMENT_BYTES = 8192
"""The largest announcement, its inline content apart (row 9; WIS2's limit as well)."""
MAX_INLINE_BYTES = 4096
"""The largest file that may come inside its announcement, unless the user allows more (row 44; WIS2's limit too)."""
MAX_URL_LENGTH = 4096
"""Room for a host, and for the longest path with every byte percent-encoded."""

_DIGEST_BYTES = {method: make().digest_size for method, make in METHODS.items()}
_URL_CHARACTERS = re.compile(r"[!-\[\]-~\u00a1-\ud7ff\ue000-\U0010ffff]*")


def decode_size(value: object) -> int:
    """Return ``value``, a number of bytes; raises ``Refused``: TYPE (a bool or a float is no size), RANGE."""
    if type(value) is not int:
        raise Refused(Reason.TYPE, "a size must be a whole number")
    if not 0 <= value <= HIGHEST_INTEGER:
        raise Refused(Reason.RANGE, "a size is negative, or has more than 64 bits")
    return value


def decode_integrity(value: object) -> Integrity | None:
    """Return the checksum in ``{"method": …, "value": …}``, or None when its method is none that tells of content.

    The value is base64, as the seed's text and WIS2 say, or hexadecimal, as the seed's example and EUMETSAT's messages
    have it: their lengths differ for every method. Raises ``Refused``: TYPE, or CHECKSUM for a value that is neither;
    one that was cut off can't prove anything.
    """
    if type(value) is not dict:
        raise Refused(Reason.TYPE, "a checksum must be an object with method and value")
    method, digest = value.get("method"), value.get("value")
    if type(method) is not str or type(digest) is not str:
        raise Refused(Reason.TYPE, "a checksum must have a method and a value, both texts")
    return decode_checksum(method, digest)


def decode_checksum(method: str, digest: str) -> Integrity | None:
    """As `decode_integrity`, of the two texts."""
    if method not in METHODS:
        method = _name_method(method)
        if method not in METHODS:
            return None
    return Integrity(method, decode_digest(method, digest))


def decode_digest(method: str, digest: str) -> bytes:
    """Return the bytes of a checksum of ``method`` in base64 or hexadecimal; else ``Refused`` (CHECKSUM)."""
    size_bytes = _DIGEST_BYTES[method]
    try:
        if len(digest) == 2 * size_bytes:
            decoded = binascii.a2b_hex(digest)
        else:
            decoded = binascii.a2b_base64(digest, strict_mode=True)
    except ValueError:
        raise Refused(Reason.CHECKSUM, "a checksum is neither base64 nor hexadecimal") from None
    if len(decoded) != size_bytes:
        raise Refused(Reason.CHECKSUM, f"a checksum hasn't {size_bytes} bytes as its method's have")
    return decoded


def decode_inline_text(value: str, encoding: object) -> bytes:
    """Return the bytes that ``value`` spells in "utf-8" or "base64"; else ``Refused`` (INLINE)."""
    try:
        if encoding == "utf-8":
            return value.encode()
        if encoding == "base64":
            return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise Refused(Reason.INLINE, "the inline content isn't what its encoding says") from None
    raise Refused(Reason.INLINE, "the encoding of the inline content isn't known")


def check_inline_size(content: bytes, size_bytes: int | None, most_bytes: int) -> bytes:
    """Return ``content`` when it has at most ``most_bytes``, and ``size_bytes`` if told; else ``Refused`` (INLINE)."""
    if len(content) > most_bytes:
        raise Refused(Reason.INLINE, f"the inline content has more than {most_bytes} bytes")
    if size_bytes is not None and len(content) != size_bytes:
        raise Refused(Reason.INLINE, "the inline content hasn't the size that was announced")
    return content


def check_url_text(value: object) -> str:
    """Return ``value`` when it has only characters of URLs; whether it may be fetched is decided where it is fetched.

    Raises ``Refused``: TYPE, URL (longer than 4,096 characters, or with a space, a control or a backslash).
    """
    if type(value) is not str:
        raise Refused(Reason.TYPE, "a URL must be a text")
    if len(value) > MAX_URL_LENGTH or not _URL_CHARACTERS.fullmatch(value):
        raise Refused(Reason.URL, "a URL is too long, or has characters that no URL has")
    return value


def _name_method(method: str) -> str:
    """Return a method's name as `METHODS` has it, for ``MD5``, ``SHA-512``, ``sha3_256`` and the like."""
    return method.lower().replace("_", "-").replace("sha-", "sha")
