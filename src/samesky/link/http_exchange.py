"""One download: what is asked for (`Get`), what came of it (`Reply`), and the judgement in between (`Exchange`)."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urljoin

from ..core.strict import Reason, Refused
from .http1 import Head, read_content_range, read_validator
from .urls import Url, UrlRules

log = logging.getLogger(__name__)

MAX_REDIRECTS = 3
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PASSING = frozenset({408, 425, 429})
"""Statuses below 500 that say "not now"."""
STREAMED_COST_BYTES = 64 << 10
MAX_DISCARDED_BYTES = 64 << 10
"""So much of a body that nobody wants is read, for the sake of the connection; then it is closed."""

FailureKind = Literal[
    "url",
    "connect",
    "tls",
    "closed",
    "cut",
    "slow",
    "protocol",
    "size",
    "status",
    "range",
    "encoding",
    "redirect",
    "piece",
]


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """Why a download came to nothing.

    ``url``: not to be fetched, by the rules; ``connect``, ``tls``: no connection; ``closed``, ``cut``: it ended before,
    or within, the answer; ``slow``: a time-out, or too low a rate; ``protocol``: not HTTP as it should be; ``size``:
    more than ``most_bytes``; ``status``: not 200 or 206; ``range``: not the rest that was asked for (what is there of
    the file is of no use; ask anew from its beginning); ``encoding``: a Content-Encoding; ``redirect``: too many, or
    away from TLS; ``piece``: ``on_piece`` raised.
    """

    kind: FailureKind
    words: str
    retry: bool
    """Whether the same question may be answered better later."""


class Reply(NamedTuple):
    """How a download ended: well, unless there is a ``failure``."""

    status: int
    """Of the last answer; 0 when there was none."""
    body: bytes
    """What came, when there was no ``on_piece`` and no failure; else nothing."""
    validator: str
    """For If-Range, to go on with this very version; empty when the server has none to offer."""
    failure: HttpFailure | None
    received: int
    """Bytes of the body, those of a failed download included."""


@dataclass(slots=True, eq=False)
class Get:
    """One file to download.

    ``on_done`` is called once, on the loop's thread, never from within ``HttpClient.get``; after a cancellation it
    isn't. ``most_bytes`` bounds the whole file; nothing waits in a connection behind a large one, so don't exaggerate.
    With ``on_piece`` the body is handed over as it comes, and
    ``begins_at`` tells beforehand where it begins in the file: at ``offset``, or at 0 when the server sends the whole
    (another version, or it knows no ranges). ``validator`` must be given with an ``offset``: `Reply.validator` of the
    download that is continued.
    """

    url: str
    most_bytes: int
    on_done: Callable[[Get, Reply], None]
    on_piece: Callable[[bytes], None] | None = None
    offset: int = 0
    validator: str = ""
    begins_at: int = field(default=0, init=False)
    version: str = field(default="", init=False)
    """The validator of what comes, told beforehand like ``begins_at``."""


class Exchange:
    """A `Get` on its way: where it is asked for now, and what has come so far."""

    __slots__ = (
        *("cost_bytes", "failure", "hops", "left", "location", "most_bytes", "pieces", "received", "request", "status"),
        *("tries", "url", "validator"),
    )

    def __init__(self, request: Get, url: Url) -> None:
        self.request: Get | None = request
        """None when it was cancelled: the answer is read and dropped."""
        self.url = url
        self.hops = 0
        self.tries = 0
        """Connections that ended without an answer to this."""
        self.most_bytes = request.most_bytes
        self.cost_bytes = min(request.most_bytes, STREAMED_COST_BYTES) if request.on_piece else request.most_bytes
        """What it may take of memory."""
        self.clear()

    def clear(self) -> None:
        """Forget what came, for a new beginning."""
        self.status = 0
        self.validator = ""
        self.failure: HttpFailure | None = None
        self.location = ""
        self.pieces: list[bytes] = []
        self.received = 0
        self.left = 0
        """How much more of the body is welcome."""

    def cancel(self) -> None:
        """Nobody wants it any more: read a little of what is left, for the sake of the connection, no more."""
        self.request = None
        self.pieces = []
        self.left = min(self.left, MAX_DISCARDED_BYTES)

    def take_head(self, head: Head) -> bool:
        """Judge the answer by its head; whether its body is to be read, be it to drop it."""
        self.status = head.status
        request = self.request
        if request is None:
            self.left = MAX_DISCARDED_BYTES
        elif head.status == 200 or head.status == 206:
            self._take_good_head(request, head)
        else:
            self._take_other_head(head)
        return head.body_bytes is None or head.body_bytes <= self.left

    def take_piece(self, piece: bytes) -> bool:
        """Keep a piece of the body, or pass it on; whether more is welcome."""
        self.left -= len(piece)
        request = self.request
        if self.failure is not None or self.location or request is None:
            return self.left >= 0
        self.received += len(piece)
        if self.left < 0:
            self.failure = HttpFailure("size", "the file is longer than it should be", False)
            return False
        if request.on_piece is None:
            self.pieces.append(piece)
            return True
        return self._pass_on(piece, request.on_piece)

    def redirect(self, rules: UrlRules) -> bool:
        """After the answer: turn to where it points; whether there is such a place. Else this is a failure."""
        if not self.location:
            return False
        try:
            url = rules.check_url(_join(self.url, self.location))
            if self.hops >= MAX_REDIRECTS:
                self.failure = HttpFailure("redirect", f"more than {MAX_REDIRECTS} redirections", False)
            elif self.url.origin.scheme == "https" and url.origin.scheme != "https":
                self.failure = HttpFailure("redirect", "a redirection away from TLS", False)
        except Refused as refusal:
            self.failure = HttpFailure("url", f"a redirection that isn't followed: {refusal}", False)
        if self.failure is not None:
            return False
        self.clear()
        self.url = url
        self.hops += 1
        return True

    def reply(self) -> Reply:
        """What came of it."""
        body = b"" if self.failure is not None else self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        return Reply(self.status, body, self.validator, self.failure, self.received)

    def _pass_on(self, piece: bytes, on_piece: Callable[[bytes], None]) -> bool:
        try:
            on_piece(piece)
        except Exception as error:
            log.exception("http_piece_failed bytes=%d", len(piece))
            self.failure = HttpFailure("piece", f"{type(error).__name__}: {error}", True)
            return False
        return True

    def _take_good_head(self, request: Get, head: Head) -> None:
        self.left = request.most_bytes
        if head.status == 206:
            self._take_range(request, head)
        coding = head.fields.get("content-encoding", "identity")
        if coding.lower() not in ("identity", ""):
            self._fail("encoding", "the answer has a Content-Encoding nobody asked for")
        elif self.failure is None and head.body_bytes is not None and head.body_bytes > self.left:
            self._fail("size", f"the file has {head.body_bytes} bytes more, and should have {self.left}")
        if self.failure is None:
            request.begins_at = request.offset if head.status == 206 else 0
            self.validator = request.version = read_validator(head)

    def _take_range(self, request: Get, head: Head) -> None:
        """Prove that a 206 is what was asked for: all from ``offset`` on, of the same version."""
        told = read_content_range(head)
        if not request.offset or told is None or told[0] != request.offset:
            return self._fail("range", "206 with another range than was asked for")
        first, last, whole = told
        if (whole is not None and last != whole - 1) or head.body_bytes not in (None, last - first + 1):
            return self._fail("range", "206 with a range that doesn't fit its length")
        found = read_validator(head)
        if found and found[0] == request.validator[:1] == '"' and found != request.validator:
            return self._fail("range", "206 of another version than was asked for")
        self.left = min(request.most_bytes - first, last - first + 1)

    def _take_other_head(self, head: Head) -> None:
        location = head.fields.get("location")
        if head.status in REDIRECTS and location:
            self.location = location
            self.left = MAX_DISCARDED_BYTES
        elif head.status == 416 and self.request is not None and self.request.offset:
            self._fail("range", "416: the file doesn't go so far")
        else:
            passing = head.status >= 500 or head.status in PASSING
            self._fail("status", f"the server answered {head.status}", retry=passing)

    def _fail(self, kind: FailureKind, words: str, *, retry: bool = False) -> None:
        self.failure = HttpFailure(kind, words, retry or kind == "range")
        self.left = MAX_DISCARDED_BYTES


def _join(url: Url, location: str) -> str:
    if not _PLAIN.fullmatch(location):
        raise Refused(Reason.URL, "a Location must be plain ASCII")
    try:
        return urljoin(f"{url.origin}{url.target}", location)
    except ValueError:
        raise Refused(Reason.URL, "a Location is malformed") from None


_PLAIN = re.compile(r"[!-~]{1,8000}")
