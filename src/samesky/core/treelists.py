"""What two sides tell each other of their time trees: lists of digests and lists of rows, as bytes.

A digest list says, for each span named, which of its 32 children hold anything, and each such child's digest::

    index of the span (4 bytes)   which children (4 bytes, lowest bit first)   a digest for each of them

A row list says, for each leaf named, which rows it holds, by their second within the leaf and the head of their hash::

    index of the leaf (4 bytes)   how many rows (2 bytes)   for each: second (2 bytes), hash

All numbers are big-endian. Digests are short when there are many: a short digest finds nearly every difference, and the
root's, which is always 8 bytes long and has another nonce each time, says whether any is left.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence

from .strict import Reason, Refused
from .timetree import CHILDREN, LEAF, Entry, Sum

MAX_LIST_BYTES = 64 << 10
SIZES = (8, 4, 2)
MOST_SPANS = 700
"""Spans in one digest list: with all 32 children, at 2 bytes each, they fit."""

_HEAD = struct.Struct(">II")
_LEAF_HEAD = struct.Struct(">IH")
_SECOND = struct.Struct(">H")
_SECONDS = 1 << LEAF
_END_OF_SPANS = 1 << 27
"""Spans from here on have children that a list can't name."""

Digests = dict[int, dict[int, bytes]]
"""Span -> child -> digest."""
RowMarks = dict[int, dict[int, bytes]]
"""Leaf -> time -> head of the row's hash."""


def size_for(spans: int) -> int:
    """How long digests may be so that ``spans`` full spans fit a message."""
    return next((size for size in SIZES if spans * (_HEAD.size + CHILDREN * size) <= MAX_LIST_BYTES), SIZES[-1])


def size_for_rows(rows: int, leaves: int) -> int:
    """How long heads of hashes may be so that so many rows fit a message."""
    room = MAX_LIST_BYTES - leaves * _LEAF_HEAD.size
    return next((size for size in SIZES if rows * (_SECOND.size + size) <= room), SIZES[-1])


def encode_digests(spans: Mapping[int, Mapping[int, Sum]], *, nonce: bytes, size: int) -> bytes:
    """The digest list of ``spans``: span -> child -> sum."""
    parts = []
    for span, children in sorted(spans.items()):
        first = span * CHILDREN
        present = sum(1 << (child - first) for child in children)
        parts.append(_HEAD.pack(span, present))
        parts += [children[child].digest(nonce, size) for child in sorted(children)]
    return b"".join(parts)


def decode_digests(payload: bytes, *, size: int) -> Digests:
    """The spans of a digest list. Raises `Refused` (size, shape, range) for what `encode_digests` can't have made."""
    _check_size(payload)
    found: Digests = {}
    at = 0
    while at < len(payload):
        if at + _HEAD.size > len(payload):
            raise Refused(Reason.SHAPE, "a digest list ends in the middle of a span")
        span, present = _HEAD.unpack_from(payload, at)
        if span >= _END_OF_SPANS:
            raise Refused(Reason.RANGE, "a digest list names a span of no century")
        at += _HEAD.size
        children = [span * CHILDREN + number for number in range(CHILDREN) if present >> number & 1]
        end = at + len(children) * size
        if end > len(payload) or (found and span <= next(reversed(found))):
            raise Refused(Reason.SHAPE, "a digest list ends in the middle of a span, or isn't in order")
        found[span] = {child: payload[at + n * size : at + (n + 1) * size] for n, child in enumerate(children)}
        at = end
    return found


def digests_of(children: Mapping[int, Sum], *, nonce: bytes, size: int) -> dict[int, bytes]:
    """Child -> digest, as a digest list says it."""
    return {child: each.digest(nonce, size) for child, each in children.items()}


def row_mark(row_hash: int, *, nonce: bytes, size: int) -> bytes:
    """What a row list says of a row: the head of its hash, keyed with the nonce of the check."""
    digest = hashlib.blake2b(row_hash.to_bytes(16, "big"), digest_size=8, key=nonce)
    return digest.digest()[:size]


def encode_rows(leaves: Mapping[int, Sequence[Entry]], *, nonce: bytes, size: int) -> bytes:
    """The row list of ``leaves``; a leaf without rows is said to be empty."""
    parts = []
    for leaf, entries in sorted(leaves.items()):
        parts.append(_LEAF_HEAD.pack(leaf, len(entries)))
        for time, row_hash in entries:
            parts.append(_SECOND.pack(time % _SECONDS) + row_mark(row_hash, nonce=nonce, size=size))
    return b"".join(parts)


def decode_rows(payload: bytes, *, size: int) -> RowMarks:
    """The leaves of a row list. Raises `Refused` (size, shape)."""
    _check_size(payload)
    found: RowMarks = {}
    at, step = 0, _SECOND.size + size
    while at < len(payload):
        if at + _LEAF_HEAD.size > len(payload):
            raise Refused(Reason.SHAPE, "a row list ends in the middle of a leaf")
        leaf, count = _LEAF_HEAD.unpack_from(payload, at)
        at += _LEAF_HEAD.size
        if at + count * step > len(payload) or (found and leaf <= next(reversed(found))):
            raise Refused(Reason.SHAPE, "a row list ends in the middle of a leaf, or isn't in order")
        marks: dict[int, bytes] = {}
        for place in range(at, at + count * step, step):
            second = _SECOND.unpack_from(payload, place)[0]
            if second >= _SECONDS:
                raise Refused(Reason.SHAPE, "a row lies outside its leaf")
            marks[leaf * _SECONDS + second] = payload[place + 2 : place + step]
        if len(marks) != count:
            raise Refused(Reason.SHAPE, "a row list names a row twice")
        found[leaf] = marks
        at += count * step
    return found


def differing(here: Iterable[int], ours: Mapping[int, bytes], theirs: Mapping[int, bytes]) -> list[int]:
    """Of the spans or rows ``here``, those that the two sides say different things of, in order."""
    return sorted(each for each in set(here) if ours.get(each) != theirs.get(each))


def _check_size(payload: bytes) -> None:
    if len(payload) > MAX_LIST_BYTES:
        raise Refused(Reason.SIZE, f"a list is larger than {MAX_LIST_BYTES} bytes")
