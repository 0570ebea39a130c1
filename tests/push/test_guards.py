"""What every request passes first: headers, kinds of bodies, their size, pace and digest; how many may come."""

import asyncio
import base64
import gzip
import hashlib
import zlib
from collections.abc import Iterable

import pytest

from samesky.core.strict import Reason, Refused
from samesky.link.problems import Problem
from samesky.link.web_requests import check_digest, check_headers, read_body
from samesky.push.central_settings import Limits
from samesky.push.guards import Rates, check_media_type, inflate_body

LIMITS = Limits(body_bytes=100, header_count=5, header_bytes=300, authorization_bytes=100)
JSON = {b"content-type": b"application/json", b"content-length": b"2"}


def test_headers_are_found_by_name() -> None:
    assert check_headers([(b"a", b"1"), (b"b", b"2")], LIMITS) == {b"a": b"1", b"b": b"2"}


@pytest.mark.parametrize(
    "pairs",
    [
        [(b"x", b"1")] * 6,
        [(b"x", b"1" * 300)],
        [(b"authorization", b"1" * 101)],
    ],
)
def test_too_many_or_too_long_headers_are_431(pairs: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(Problem) as problem:
        check_headers(pairs, LIMITS)
    assert problem.value.status == 431


def test_a_header_that_may_come_once_comes_once() -> None:
    assert check_headers([(b"accept", b"a"), (b"accept", b"b")], LIMITS) == {b"accept": b"b"}
    with pytest.raises(Problem) as problem:
        check_headers([(b"content-type", b"a"), (b"content-type", b"b")], LIMITS)
    assert problem.value.status == 400


@pytest.mark.parametrize(
    "media_type", [b"application/json", b"Application/JSON; charset=UTF-8", b'application/json;charset="utf-8"']
)
def test_json_in_utf8_is_taken(media_type: bytes) -> None:
    check_media_type("/rest/node/", JSON | {b"content-type": media_type})


@pytest.mark.parametrize(
    "media_type",
    [
        b"",
        b"text/plain",
        b"application/x-www-form-urlencoded",
        b"application/x-pickle",
        b"application/yaml",
        b"application/json; charset=latin-1",
        b"application/vnd.samesky.columns+json",
        b"\xff",
    ],
)
def test_other_bodies_are_415(media_type: bytes) -> None:
    with pytest.raises(Problem) as problem:
        check_media_type("/rest/node/", JSON | {b"content-type": media_type})
    assert problem.value.status == 415


def test_pages_are_columns_and_nothing_else() -> None:
    check_media_type("/sync/v1/pages/Reading", JSON | {b"content-type": b"application/vnd.samesky.columns+json"})
    with pytest.raises(Problem) as problem:
        check_media_type("/sync/v1/pages/Reading", JSON)
    assert problem.value.status == 415


def test_nothing_needs_no_media_type() -> None:
    check_media_type("/sync/v1/runs", {})
    check_media_type("/sync/v1/runs", {b"content-length": b"0"})


def test_an_unknown_packing_is_415() -> None:
    with pytest.raises(Problem) as problem:
        check_media_type("/rest/node/", JSON | {b"content-encoding": b"br"})
    assert problem.value.status == 415


def read(
    headers: dict[bytes, bytes], pieces: Iterable[bytes], *, stall: bool = False, limits: Limits = LIMITS
) -> bytes:
    async def run() -> bytes:
        left = list(pieces)

        async def receive() -> dict[str, object]:
            if not left and stall:
                await asyncio.Event().wait()
            if not left:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": left.pop(0), "more_body": bool(left) or stall}

        return await read_body(headers, receive, limits)

    return asyncio.run(run())


def test_a_body_may_come_in_pieces() -> None:
    assert read({}, [b"a", b"", b"bc"]) == b"abc"


@pytest.mark.parametrize("length", [b"101", b"9" * 40, b"-1", b"abc", b"1_0"])
def test_a_body_that_says_it_is_too_long_is_not_read(length: bytes) -> None:
    with pytest.raises(Problem) as problem:
        read({b"content-length": length}, [], stall=True)  # reading would wait for ever
    assert problem.value.status == 413


def test_a_body_that_becomes_too_long_is_413() -> None:
    with pytest.raises(Problem) as problem:
        read({}, [b"x" * 60, b"x" * 60])
    assert (problem.value.status, problem.value.members) == (413, {"most_bytes": 100})


@pytest.mark.parametrize("limits", [Limits(body_idle_s=0.01), Limits(body_total_s=0.01)])
def test_a_body_that_stalls_is_408(limits: Limits) -> None:
    with pytest.raises(Problem) as problem:
        read({b"content-length": b"9"}, [b"x"], stall=True, limits=limits)
    assert problem.value.status == 408


def test_a_connection_that_ends_within_a_body_is_a_bad_request() -> None:
    with pytest.raises(Problem) as problem:
        read({b"content-length": b"9"}, [])
    assert problem.value.status == 400


def digest(algorithm: str, body: bytes) -> bytes:
    return f"{algorithm}=:{base64.b64encode(hashlib.new(algorithm.replace('-', ''), body).digest()).decode()}:".encode()


@pytest.mark.parametrize("algorithm", ["sha-256", "sha-512"])
def test_a_body_is_what_its_digest_says(algorithm: str) -> None:
    check_digest({b"content-digest": digest(algorithm, b"body")}, b"body")
    check_digest({}, b"body")
    with pytest.raises(Problem) as problem:
        check_digest({b"content-digest": digest(algorithm, b"body")}, b"bodY")
    assert problem.value.status == 422


@pytest.mark.parametrize("told", [b"md5=:1B2M2Y8AsgTpgAmY7PhCfg==:", b"sha-256=:not base64:", b"sha-256=:A:", b""])
def test_a_digest_that_proves_nothing_is_refused(told: bytes) -> None:
    with pytest.raises(Problem) as problem:
        check_digest({b"content-digest": told}, b"")
    assert problem.value.status == 422


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        (b"gzip", gzip.compress(b"body", mtime=0)),
        (b"GZIP", gzip.compress(b"body", mtime=0)),
        (b"deflate", zlib.compress(b"body")),
        (b"identity", b"body"),
    ],
)
def test_bodies_are_unpacked(encoding: bytes, packed: bytes) -> None:
    assert inflate_body({b"content-encoding": encoding}, packed, most_bytes=4) == b"body"


def test_a_bomb_is_refused_before_it_goes_off() -> None:
    bomb = gzip.compress(bytes(10 << 20))
    with pytest.raises(Refused) as refused:
        inflate_body({b"content-encoding": b"gzip"}, bomb, most_bytes=1 << 20)
    assert refused.value.reason is Reason.BOMB


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"x", Reason.ENCODING),
        (gzip.compress(b"body", mtime=0)[:-1], Reason.ENCODING),
        (gzip.compress(b"body", mtime=0) + b"x", Reason.ENCODING),
    ],
)
def test_a_damaged_body_is_refused(packed: bytes, reason: Reason) -> None:
    with pytest.raises(Refused) as refused:
        inflate_body({b"content-encoding": b"gzip"}, packed, most_bytes=100)
    assert refused.value.reason is reason


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_caller_may_send_so_many_requests_and_more_after_a_while() -> None:
    clock = Clock()
    rates = Rates(2.0, clock=clock)
    for _ in range(4):
        rates.take("a")
    with pytest.raises(Problem) as problem:
        rates.take("a")
    assert (problem.value.status, problem.value.headers) == (429, {"retry-after": "1"})
    rates.take("b")
    clock.now = 0.5
    rates.take("a")
    with pytest.raises(Problem):
        rates.take("a")


def test_what_was_refused_does_not_count() -> None:
    clock = Clock()
    rates = Rates(0.5, clock=clock)
    rates.take("a")
    for _ in range(100):
        with pytest.raises(Problem) as problem:
            rates.take("a")
    assert problem.value.headers == {"retry-after": "2"}
    clock.now = 2.0
    rates.take("a")
