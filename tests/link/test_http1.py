"""HTTP/1.1 answers as bytes: what is read, and what is refused."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.strict import Reason, Refused
from samesky.link.http1 import (
    END,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    Event,
    Head,
    ResponseReader,
    encode_get,
    read_content_range,
    read_validator,
)

OK = b"HTTP/1.1 200 OK\r\n"


def read(*parts: bytes, closed: bool = False) -> list[Event]:
    """Everything the reader says of ``parts``, pieces that follow one another put together."""
    reader = ResponseReader()
    events: list[Event] = []
    for part in parts:
        reader.feed(part)
        while (event := reader.next_event()) is not None:
            _put(events, event)
    if closed and (event := reader.feed_end()) is not None:
        _put(events, event)
    return events


def _put(events: list[Event], event: Event) -> None:
    if isinstance(event, bytes) and events and isinstance(events[-1], bytes):
        events[-1] += event
    else:
        events.append(event)


def refusal(*parts: bytes, closed: bool = False) -> Reason:
    with pytest.raises(Refused) as refused:
        read(*parts, closed=closed)
    return refused.value.reason


def head(raw: bytes) -> Head:
    event = read(raw)[0]
    assert isinstance(event, Head)
    return event


def test_an_answer_with_a_length() -> None:
    events = read(OK + b"Content-Length: 5\r\nX-Other:\t a  b \r\n\r\nhello")
    assert events == [Head(200, {"content-length": "5", "x-other": "a  b"}, 5, True), b"hello", END]


def test_answers_one_behind_the_other() -> None:
    one = OK + b"Content-Length: 3\r\n\r\none"
    empty = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    none = b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"
    chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
    events = read(one + empty + none + chunked + one)
    assert [event for event in events if not isinstance(event, Head)] == [
        b"one",
        END,
        END,
        END,
        b"two",
        END,
        b"one",
        END,
    ]
    assert [event.status for event in events if isinstance(event, Head)] == [200, 404, 304, 200, 200]


def test_chunks_with_extensions_and_a_trailer() -> None:
    raw = (
        OK + b"Transfer-Encoding: Chunked\r\n\r\n5;a=b\r\nhello\r\n00A \r\n, worlds!!\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"
    )
    assert read(raw)[1:] == [b"hello, worlds!!", END]


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert read(OK + b"\r\nhel", b"lo", closed=True)[1:] == [b"hello", END]
    assert read(b"HTTP/1.0 200 OK\r\n\r\n", closed=True)[1:] == [END]


def test_interim_answers_are_passed_over() -> None:
    raw = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    )
    assert [event.status for event in read(raw) if isinstance(event, Head)] == [200]


def test_interim_answers_without_end_are_refused() -> None:
    assert refusal(b"HTTP/1.1 100 Continue\r\n\r\n" * 9) is Reason.SHAPE
    assert refusal(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n") is Reason.SHAPE


@pytest.mark.parametrize(
    ("raw", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
def test_whether_the_connection_goes_on(raw: bytes, keep: bool) -> None:
    assert head(raw).keep_alive is keep


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>404</html>\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b" HTTP/1.1 200 OK\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nA: b\n\n\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x7f\r\n\r\n",
        b"HTTP/1.1 200 O\x01K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nServer\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA\xfc: b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n Content-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 1-2/3\r\nContent-Range: bytes 0-2/3\r\n\r\n",
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    assert refusal(raw) is Reason.SHAPE


@pytest.mark.parametrize(
    "chunks",
    [
        b"\r\n",
        b"x\r\n",
        b"-1\r\n",
        b"0x5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"5\nhello\r\n",
        b"5\r\nhello5\r\n",
        b"5\r\nhello\n0\r\n",
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"fffffffff\r\n",
        b"5;" + b"a" * 300 + b"\r\n",
        b"5;a\0\r\nhello\r\n",
        b"5" * 300,
        b"0\r\nno field\r\n\r\n",
        b"0\r\n folded: x\r\n\r\n",
        b"0\r\nA: " + b"b" * 300 + b"\r\n\r\n",
    ],
)
def test_chunks_that_arent_framed_properly_are_refused(chunks: bytes) -> None:
    assert refusal(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks) is Reason.SHAPE


def test_a_flood_of_fields_is_refused_before_it_ends() -> None:
    assert refusal(OK + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n") is Reason.SIZE
    assert refusal(OK, *[b"A: " + b"b" * 1000 + b"\r\n"] * 17) is Reason.SIZE
    assert refusal(OK + b"A: " + b"b" * MAX_HEAD_BYTES + b"\r\n\r\n") is Reason.SIZE
    assert refusal(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 102) is Reason.SIZE


def test_an_answer_that_is_cut_short_is_noticed() -> None:
    for raw in (
        b"HTT",
        OK,
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
    ):
        assert refusal(raw, closed=True) is Reason.SIZE
    assert refusal(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", closed=True) is Reason.SIZE


def test_an_end_between_answers_is_no_mistake() -> None:
    assert read(closed=True) == []
    assert read(OK + b"Content-Length: 5\r\n\r\nhello", closed=True)[-1] is END


def test_what_came_before_a_mistake_is_told() -> None:
    reader = ResponseReader()
    reader.feed(OK + b"Content-Length: 5\r\n\r\nhello" + b"garbage\r\n\r\n")
    assert [reader.next_event() for _ in range(3)][1:] == [b"hello", END]
    with pytest.raises(Refused):
        reader.next_event()


bodies = st.lists(st.tuples(st.binary(max_size=60), st.booleans()), min_size=1, max_size=5)


@given(bodies, st.randoms(use_true_random=False))
def test_however_the_bytes_arrive_they_tell_the_same(answers: list[tuple[bytes, bool]], chance: random.Random) -> None:
    raw = b"".join(_encode(body, chunked, chance) for body, chunked in answers)
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(chance.randrange(12)))
    parts = [raw[start:stop] for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    told = read(*(part for part in parts if part))
    assert told == read(raw)
    assert told == read(*(raw[at : at + 1] for at in range(len(raw))))
    assert b"".join(event for event in told if isinstance(event, bytes)) == b"".join(body for body, _ in answers)


def _encode(body: bytes, chunked: bool, chance: random.Random) -> bytes:
    if not chunked:
        return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    raw = OK + b"Transfer-Encoding: chunked\r\n\r\n"
    while body:
        size = chance.randrange(1, len(body) + 1)
        raw, body = raw + b"%x\r\n%b\r\n" % (size, body[:size]), body[size:]
    return raw + b"0\r\n\r\n"


@given(st.binary(max_size=80), st.integers(0, 200))
def test_any_bytes_are_read_or_refused(noise: bytes, at: int) -> None:
    raw = _encode(b"hello" * 10, at % 2 == 0, random.Random(1))
    for damaged in (noise, raw[:at] + noise + raw[at:], raw[:at] + noise + raw[at + len(noise) :]):
        try:
            read(damaged, closed=True)
        except Refused:
            pass


def test_a_request_is_written() -> None:
    assert encode_get("/a?b", b"Host: h\r\n") == b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"


def test_the_rest_of_a_file_is_asked_for_only_of_a_version() -> None:
    ranged = b'GET /a HTTP/1.1\r\nHost: h\r\nRange: bytes=7-\r\nIf-Range: "x"\r\n\r\n'
    assert encode_get("/a", b"Host: h\r\n", offset=7, validator='"x"') == ranged
    for validator in ("", "x", 'W/"x"', '"x"\r\nA: b', '"x" '):
        with pytest.raises(ValueError, match="validator"):
            encode_get("/a", b"", offset=7, validator=validator)


@pytest.mark.parametrize(
    ("fields", "validator"),
    [
        ({"etag": '"abc"', "last-modified": "Sat, 21 Nov 2026 17:00:00 GMT"}, '"abc"'),
        ({"etag": 'W/"abc"', "last-modified": "Sat, 21 Nov 2026 17:00:00 GMT"}, "Sat, 21 Nov 2026 17:00:00 GMT"),
        ({"etag": "abc", "last-modified": "yesterday"}, ""),
        ({"etag": '"' + "a" * 300 + '"'}, ""),
        ({}, ""),
    ],
)
def test_what_tells_versions_apart(fields: dict[str, str], validator: str) -> None:
    assert read_validator(Head(200, fields, 0, True)) == validator


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("bytes 5-9/10", (5, 9, 10)),
        ("bytes 5-9/*", (5, 9, None)),
        ("bytes 9-5/10", None),
        ("bytes 5-10/10", None),
        ("bytes */10", None),
        ("bytes=5-9/10", None),
        ("lines 5-9/10", None),
        ("bytes 5-9/10, bytes 5-9/10", None),
        ("", None),
    ],
)
def test_a_content_range(value: str, found: tuple[int, int, int | None] | None) -> None:
    assert read_content_range(Head(206, {"content-range": value}, None, True)) == found
