"""HTTP/1.1 without I/O: `encode_get` writes a request, `ResponseReader` reads the answers that come one after another.

It takes what RFC 9112 says and nothing beside it: where two parties read one stream of bytes in two ways, answers get
exchanged. So whatever is ambiguous is ``Refused``: bare line ends, folded fields, a length that is said twice, a length
beside chunks.
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, NamedTuple

from ..core.strict import Reason, Refused

MAX_HEAD_BYTES = 16 << 10
MAX_FIELDS = 100
MAX_INTERIM = 8
"""Answers 1xx before the real one."""
MAX_CHUNK_LINE_BYTES = 256


class End(Enum):
    """The answer is complete."""

    END = "end"


END: Final = End.END


class Head(NamedTuple):
    """Status and fields of an answer; its body follows. A named tuple is made in half the time of a frozen class."""

    status: int
    fields: Mapping[str, str]
    """Names in lower case; what came several times is joined by commas."""
    body_bytes: int | None
    """How long the body is, when that was said (0 where there is none)."""
    keep_alive: bool
    """Whether the server takes more requests on this connection, as far as it says. HTTP/1.0 doesn't."""


Event = Head | bytes | End


def encode_get(target: str, fields: bytes, *, offset: int = 0, validator: str = "") -> bytes:
    """Return a GET request. ``target`` was checked (`urls`); ``fields`` are whole lines, Host among them.

    With an ``offset`` what begins there is asked for, provided that ``validator`` (see `read_validator`) still holds.
    """
    line = b"GET %b HTTP/1.1\r\n%b" % (target.encode("ascii"), fields)
    if not offset:
        return line + b"\r\n"
    if not _VALIDATOR.fullmatch(validator):
        raise ValueError("who asks for the rest of a file must say of which: the validator is missing or malformed")
    return line + f"Range: bytes={offset}-\r\nIf-Range: {validator}\r\n\r\n".encode("latin-1")


def read_validator(head: Head) -> str:
    """Return what tells this version of the resource from others: its strong ETag, else Last-Modified, else ""."""
    for name in ("etag", "last-modified"):
        value = head.fields.get(name, "")
        if len(value) <= 256 and _VALIDATOR.fullmatch(value):
            return value
    return ""


def read_content_range(head: Head) -> tuple[int, int, int | None] | None:
    """Return (first byte, last byte, size of the whole or None) of a 206 answer; None when it says nothing proper."""
    match = _CONTENT_RANGE.fullmatch(head.fields.get("content-range", ""))
    if match is None:
        return None
    first, last, whole = int(match[1]), int(match[2]), None if match[3] == "*" else int(match[3])
    return None if first > last or (whole is not None and last >= whole) else (first, last, whole)


class ResponseReader:
    """Turns received bytes into events: for each answer a `Head`, then pieces of its body (bytes), then `END`.

    ``feed`` it, then call ``next_event`` until it returns None. ``next_event`` and ``feed_end`` raise ``Refused`` when
    the bytes aren't HTTP; the connection is of no use then, and neither is the reader.
    """

    __slots__ = ("_at", "_buffer", "_interim", "_left", "_step")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._left = 0
        self._interim = 0
        self._step: Callable[[], Event | None] = self._read_head

    @property
    def between_answers(self) -> bool:
        """Whether every answer that began has ended, and nothing of another is there."""
        return self._step == self._read_head and self._at == len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what was received."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    def feed_end(self) -> Event | None:
        """The server closed: return `END` if that ends a body without a length, None between answers.

        Raises ``Refused`` (SIZE) when an answer is cut short. Call it after ``next_event`` returned None.
        """
        if self._step == self._read_rest:
            return self._finish()
        if not self.between_answers:
            raise Refused(Reason.SIZE, "the connection ended within an answer")
        return None

    def next_event(self) -> Event | None:
        """Return what the bytes so far tell next, or None when more are needed."""
        return self._step()

    def _read_head(self) -> Event | None:
        end = self._buffer.find(b"\r\n\r\n", self._at, self._at + MAX_HEAD_BYTES)
        if end < 0:
            _check_beginning(self._buffer[self._at :])
            return None
        head = decode_head(self._buffer[self._at : end])
        self._at = end + 4
        if head.status < 200:
            self._interim += 1
            if head.status == 101 or self._interim > MAX_INTERIM:
                raise Refused(Reason.SHAPE, f"an answer {head.status} that nobody asked for")
            return self._read_head()
        self._interim = 0
        self._step = self._step_for(head)
        return head

    def _step_for(self, head: Head) -> Callable[[], Event | None]:
        if head.body_bytes is not None:
            self._left = head.body_bytes
            return self._read_sized if self._left else self._finish
        return self._read_chunk_line if "transfer-encoding" in head.fields else self._read_rest

    def _read_sized(self) -> Event | None:
        piece = self._take(self._left)
        if not self._left:
            self._step = self._finish
        return piece

    def _read_rest(self) -> Event | None:
        return self._take(len(self._buffer))

    def _read_chunk_line(self) -> Event | None:
        line = self._take_line(MAX_CHUNK_LINE_BYTES)
        if line is None:
            return None
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise Refused(Reason.SHAPE, "a chunk has no proper length")
        self._left = int(match[1], 16)
        self._step = self._read_chunk if self._left else self._read_trailer
        return self._step()

    def _read_chunk(self) -> Event | None:
        piece = self._take(self._left)
        if not self._left:
            self._step = self._read_chunk_end
        return piece

    def _read_chunk_end(self) -> Event | None:
        line = self._take_line(0)
        if line is None:
            return None
        self._step = self._read_chunk_line
        return self._read_chunk_line()

    def _read_trailer(self) -> Event | None:
        """Fields behind the chunks: checked, then dropped; ``_left`` counts them down."""
        line = self._take_line(MAX_CHUNK_LINE_BYTES)
        while line:
            _decode_field(line.decode("latin-1"))
            self._left -= 1
            if self._left < -MAX_FIELDS:
                raise Refused(Reason.SIZE, "too many fields behind an answer")
            line = self._take_line(MAX_CHUNK_LINE_BYTES)
        return None if line is None else self._finish()

    def _finish(self) -> Event:
        self._step = self._read_head
        return END

    def _take(self, most_bytes: int) -> bytes | None:
        """What is there of the body, at most so much; counted off ``_left``."""
        at = self._at
        piece = self._buffer[at : at + most_bytes]
        self._at = at + len(piece)
        self._left -= len(piece)
        return piece or None

    def _take_line(self, most_bytes: int) -> bytes | None:
        end = self._buffer.find(b"\r\n", self._at, self._at + most_bytes + 2)
        if end < 0:
            if len(self._buffer) - self._at > most_bytes + 1 or b"\n" in self._buffer[self._at :]:
                raise Refused(Reason.SHAPE, "a chunk isn't framed as it must be")
            return None
        line = self._buffer[self._at : end]
        self._at = end + 2
        return line


def decode_head(raw: bytes) -> Head:
    """Return the head in ``raw`` (without the empty line that ends it); raises ``Refused`` (SHAPE, SIZE)."""
    lines = raw.decode("latin-1").split("\r\n")
    status = _STATUS_LINE.fullmatch(lines[0])
    if status is None:
        raise Refused(Reason.SHAPE, "the answer doesn't begin as HTTP/1.1 does")
    if len(lines) > MAX_FIELDS + 1:
        raise Refused(Reason.SIZE, f"an answer has more than {MAX_FIELDS} fields")
    if len(raw.translate(None, _CONTROLS)) != len(raw) - 2 * (len(lines) - 1):
        raise Refused(Reason.SHAPE, "an answer has control characters in its fields")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        key = _USUAL.get(name)
        if key is None or not colon:
            key, value = _decode_field(line)
        if key in fields:
            value = _join(key, fields[key], value)
        fields[key] = value.strip(" \t")
    return _frame(int(status[2]), fields, newer=status[1] == "1")


def _frame(status: int, fields: dict[str, str], *, newer: bool) -> Head:
    """The head with how its body is framed (RFC 9112, 6.3); ``newer`` is HTTP/1.1, else it is 1.0."""
    length = fields.get("content-length")
    body_bytes = None
    if "transfer-encoding" in fields:
        if length is not None or not newer or fields["transfer-encoding"].lower() != "chunked":
            raise Refused(Reason.SHAPE, "an answer's length is ambiguous, or it is coded in a way we don't read")
    elif length is not None:
        if not (length.isascii() and length.isdigit() and len(length) <= 15):
            raise Refused(Reason.SHAPE, "an answer's Content-Length isn't a number")
        body_bytes = int(length)
    if status < 200 or status in (204, 304):
        body_bytes = 0
    options = fields.get("connection", "").lower()
    closes = "close" in options and "close" in {token.strip(" \t") for token in options.split(",")}
    return Head(status, fields, body_bytes, newer and not closes)


def _decode_field(line: str) -> tuple[str, str]:
    match = _FIELD.fullmatch(line)
    if match is None:  # also a line that begins with a space: folding is obsolete, and was never read alike by all
        raise Refused(Reason.SHAPE, "an answer has a malformed field")
    return match[1].lower(), match[2]


def _join(key: str, first: str, second: str) -> str:
    if key in _ONCE:
        raise Refused(Reason.SHAPE, "an answer says twice what may be said once")
    return f"{first}, {second}"


def _check_beginning(raw: bytes) -> None:
    """Refuse what can't become a head any more, without waiting for its end."""
    if len(raw) >= MAX_HEAD_BYTES:
        raise Refused(Reason.SIZE, f"an answer's head is longer than {MAX_HEAD_BYTES} bytes")
    if not b"HTTP/1.".startswith(raw[:7]) or _BARE_LF.search(raw):
        raise Refused(Reason.SHAPE, "the answer doesn't begin as HTTP/1.1 does")


_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9]{2})(?: [^\x00-\x08\x0a-\x1f\x7f]*)?")
_FIELD = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}):([^\x00-\x08\x0a-\x1f\x7f]*)")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")
_VALIDATOR = re.compile(
    r'"[\x21\x23-\x7e]*"|[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT'
)
_CONTROLS = bytes([*range(9), *range(10, 32), 127])
_ONCE = frozenset(
    {"content-length", "transfer-encoding", "content-range", "content-encoding", "location", "etag", "last-modified"}
)
_USUAL = {
    spelt: name.lower()
    for name in (
        *("Server", "Date", "Content-Type", "Content-Length", "Last-Modified", "Connection", "Keep-Alive", "ETag"),
        *("Accept-Ranges", "Transfer-Encoding", "Content-Range", "Location", "Cache-Control", "Vary", "Age", "Via"),
    )
    for spelt in (name, name.lower())
}
