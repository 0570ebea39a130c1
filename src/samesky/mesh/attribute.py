"""A file's checksum in extended attributes, as Sarracenia and wmo_mesh keep it: ``user.sr_integrity`` (JSON: method and
value in base64) with ``user.sr_mtime``, the modification time it was made at.

It saves reading large files again when a tree's state was lost, and other programs of the same tree use it.
"""

import base64
import json
import os
from datetime import UTC, datetime

from ..core.strict import Refused, decode_json_object
from .announcement import METHODS, Integrity

INTEGRITY, IDENTITY, MTIME = "user.sr_integrity", "user.sr_identity", "user.sr_mtime"
FROM_BYTES = 1 << 16
"""Smaller files have none: reading them takes no longer than reading an attribute, which takes a block of the disk."""
_MOST_BYTES = 4096
_SECOND = 1_000_000_000
_SLACK_NS = 1000
"""Sarracenia keeps the time as a float, with a microsecond or so."""


def write_checksum(descriptor: int, integrity: Integrity, mtime_ns: int) -> None:
    """Note the checksum of a file that has the modification time ``mtime_ns``, where the file system can."""
    value = json.dumps({"method": integrity.method, "value": integrity.value})
    try:
        os.setxattr(descriptor, INTEGRITY, value.encode())
        os.setxattr(descriptor, MTIME, _encode_time(mtime_ns).encode())
    except (OSError, AttributeError):  # no such attributes on this file system, no room, or not Linux
        pass


def read_checksum(descriptor: int, mtime_ns: int) -> Integrity | None:
    """The checksum noted for a file with the modification time ``mtime_ns``; None when it was noted at another.

    Sarracenia writes it as ``user.sr_identity``: when both are there and tell differently, neither is believed.
    """
    noted = {name: value for name in (INTEGRITY, IDENTITY) if (value := _read(descriptor, name))}
    at = _read(descriptor, MTIME)
    if not noted or not at or abs(_decode_time(at) - mtime_ns) > _SLACK_NS:
        return None
    found = {_decode(value) for value in noted.values()}
    return found.pop() if len(found) == 1 else None


def _decode(value: bytes) -> Integrity | None:
    try:
        noted = decode_json_object(value, max_bytes=_MOST_BYTES)
    except Refused:
        return None
    method, text = noted.get("method"), noted.get("value")
    if not isinstance(method, str) or method not in METHODS or not isinstance(text, str):
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    return Integrity(method, digest) if len(digest) == METHODS[method]().digest_size else None


def _read(descriptor: int, name: str) -> bytes:
    try:
        return os.getxattr(descriptor, name)
    except (OSError, AttributeError):
        return b""


def _encode_time(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, _SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%S}.{fraction:09}"


def _decode_time(text: bytes) -> int:
    """Nanoseconds since 1970; 0 for what is no time."""
    try:
        whole, _, fraction = text.decode("ascii").partition(".")
        seconds = datetime.strptime(whole, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
        return int(seconds) * _SECOND + (int(fraction[:9].ljust(9, "0")) if fraction else 0)
    except ValueError:
        return 0
