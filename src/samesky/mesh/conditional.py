"""What a GET with conditions and a range gets (RFC 9110, 13 and 14): pure, so that `serve` only reads and writes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

_RANGE = re.compile(r"bytes=[ \t]*(?P<first>[0-9]{0,18})-(?P<last>[0-9]{0,18})[ \t]*", re.IGNORECASE)
_ETAGS = re.compile(r'(?:W/)?"[^"]*"')


@dataclass(frozen=True, slots=True)
class Representation:
    """A file as HTTP sees it: how long it is, and what tells its versions apart."""

    size: int
    mtime_ns: int
    inode: int

    @property
    def etag(self) -> str:
        """A strong validator: a version of a file comes by rename, thus has an inode and a time of its own."""
        return f'"{self.inode:x}-{self.mtime_ns:x}-{self.size:x}"'

    @property
    def last_modified(self) -> str:
        """As a Last-Modified header has it."""
        return formatdate(self.mtime_ns // 1_000_000_000, usegmt=True)


@dataclass(frozen=True, slots=True)
class Part:
    """What to answer: ``status``, and the bytes from ``start`` up to ``stop`` (none when they are equal)."""

    status: int
    start: int = 0
    stop: int = 0


def plan_part(headers: Mapping[str, str], file: Representation) -> Part:
    """Return what a GET or HEAD with these headers gets of ``file``: 200, 206, 304, 412 or 416.

    The order of the conditions is that of RFC 9110, 13.2.2. Several ranges at once, and what isn't understood, get the
    whole file, as 14.2 allows. ``headers`` must find names in any case.
    """
    if not _is_unchanged(headers, file):
        return Part(412)
    if _is_known(headers, file):
        return Part(304)
    whole = Part(200, 0, file.size)
    wanted = headers.get("Range")
    # A date is a weak validator: two versions of one second have the same.
    if wanted is None or headers.get("If-Range", file.etag) != file.etag:
        return whole
    return _plan_range(wanted, file.size) or whole


def _plan_range(text: str, size: int) -> Part | None:
    match = _RANGE.fullmatch(text)
    if match is None or not (match["first"] or match["last"]):
        return None
    if not match["first"]:
        start, stop = max(0, size - int(match["last"])), size
    else:
        start = int(match["first"])
        stop = min(size, int(match["last"]) + 1) if match["last"] else size
        if match["last"] and int(match["last"]) < start:
            return None  # no range at all
    return Part(206, start, stop) if start < stop else Part(416)


def _is_unchanged(headers: Mapping[str, str], file: Representation) -> bool:
    """Whether what the client insists on is so: If-Match, else If-Unmodified-Since."""
    if (wanted := headers.get("If-Match")) is not None:
        return wanted.strip() == "*" or file.etag in _ETAGS.findall(wanted)
    return not _is_modified_since(headers.get("If-Unmodified-Since"), file, unknown=False)


def _is_known(headers: Mapping[str, str], file: Representation) -> bool:
    """Whether the client has this version: If-None-Match, else If-Modified-Since."""
    if (known := headers.get("If-None-Match")) is not None:
        tags = {tag.removeprefix("W/") for tag in _ETAGS.findall(known)}
        return known.strip() == "*" or file.etag in tags
    return not _is_modified_since(headers.get("If-Modified-Since"), file, unknown=True)


def _is_modified_since(date: str | None, file: Representation, *, unknown: bool) -> bool:
    """Whether ``file`` is newer than ``date``; ``unknown`` when there is no date, or none that can be read."""
    try:
        return file.mtime_ns // 1_000_000_000 > parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return unknown
