"""Messages: version 1 to the letter, version 2 there and back, and nothing else."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samesky.core.columns import Column, Kind
from samesky.core.strict import Reason, Refused
from samesky.link.message import Message
from samesky.station.description import Description, decode_description, encode_description
from samesky.station.envelope import MAX_TIME
from samesky.station.messages import (
    ErrorAnswer,
    PageAnswer,
    RecordMessage,
    SummaryMessage,
    decode_answer,
    decode_live,
    decode_loop,
    decode_record,
    decode_summary,
    encode_error,
    encode_loop,
    encode_page,
    encode_record,
    encode_summary,
)
from samesky.station.requests import Request, decode_request, encode_request, reply_address

STREAM = "home/wx_binding"
MINE = (("data_binding", STREAM),)
ANSWERS = "replicate/response/copy"
NOW = 1_700_000_000.0
TIME = 1_699_999_800
RECORD = {"dateTime": TIME, "usUnits": 1, "interval": 5, "outTemp": 71.3, "rain": 0.0}
KINDS = {STREAM: {"dateTime": Kind.INTEGER, "usUnits": Kind.INTEGER, "interval": Kind.INTEGER, "outTemp": Kind.REAL}}
KEYS = tuple(Column(name, Kind.INTEGER) for name in ("dateTime", "usUnits", "interval"))
DESCRIPTION = Description(
    columns=(*KEYS, Column("outTemp", Kind.REAL), Column("note", Kind.TEXT)),
    summaries=(("outTemp", "scalar"), ("wind", "vector")),
    unit_system=17,
    interval_s=300,
    day_offsets=((0, 3600), (86_400, 7200)),
    count=5,
    first=TIME - 1200,
    last=TIME,
    origin="abc",
    accepts=("application/vnd.sqlite3",),
)
ASK = Request(STREAM, 0, ANSWERS, b"1", 2, "page", accepts=("a", "b"), max_records=7, max_bytes=5000, summaries=False)


def reason_of(call: Any, *args: Any, **more: Any) -> Reason:
    with pytest.raises(Refused) as refusal:
        call(*args, **more)
    return refusal.value.reason


def test_a_version_1_request_is_what_the_seed_says() -> None:
    request = replace(ASK, version=1, op="stream", after=TIME, correlation=None)
    message = encode_request(request, "replicate/request/home", qos=1)
    assert (message.topic, message.payload, message.response_topic) == (
        "replicate/request/home",
        str(TIME).encode(),
        ANSWERS,
    )
    assert message.properties == MINE
    assert decode_request(message) == Request(STREAM, TIME, ANSWERS, None, 1, "stream")


def test_a_version_1_record_is_what_the_seed_says() -> None:
    message = encode_record("replicate/archive", STREAM, RECORD, qos=1)
    assert (message.properties, message.content_type, message.correlation) == (MINE, None, None)
    assert json.loads(message.payload) == RECORD
    assert decode_live(message, KINDS, now=NOW) == RecordMessage(STREAM, RECORD, True)
    assert decode_answer(message, KINDS, now=NOW) == RecordMessage(STREAM, RECORD, False)


def test_a_version_2_live_record_is_a_version_1_record_with_marks() -> None:
    one = encode_record("replicate/archive", STREAM, RECORD, qos=1)
    two = encode_record("replicate/archive", STREAM, RECORD, qos=1, previous=TIME - 300, origin="abc")
    assert two.payload == one.payload
    assert dict(two.properties)["data_binding"] == STREAM
    assert decode_live(two, KINDS, now=NOW) == RecordMessage(STREAM, RECORD, True, TIME - 300, "abc")


def test_what_json_cannot_say_stays_at_home() -> None:
    message = encode_record(
        "t", STREAM, RECORD | {"a": math.inf, "b": math.nan, "c": object(), "d": True, "e": "x"}, qos=1
    )
    assert json.loads(message.payload) == RECORD | {"e": "x"}


requests = st.builds(
    Request,
    stream=st.just(STREAM),
    after=st.integers(0, MAX_TIME),
    reply_to=st.just(ANSWERS),
    correlation=st.binary(min_size=1, max_size=64),
    version=st.just(2),
    op=st.sampled_from(["page", "describe"]),
    accepts=st.lists(st.sampled_from(["a/b", "c/d"]), min_size=1, max_size=3).map(tuple),
    max_records=st.integers(1, 10_000),
    max_bytes=st.integers(1024, 1 << 20),
    summaries=st.booleans(),
)


@given(requests)
def test_a_version_2_request_comes_back_and_version_1_sees_a_number(request: Request) -> None:
    message = encode_request(request, "replicate/request/home", qos=1)
    assert decode_request(message) == request
    assert int(message.payload) == request.after


@given(
    after=st.integers(0, TIME),
    length=st.integers(1, 100),
    more=st.integers(0, 50),
    origin=st.text("0123456789abcdef", max_size=16),
    body=st.binary(min_size=1, max_size=200),
)
def test_a_page_comes_back(after: int, length: int, more: int, origin: str, body: bytes) -> None:
    page = PageAnswer(STREAM, b"1", after, length, after + length, after + length + more, origin, "a/b", body)
    decoded = decode_answer(encode_page(ASK, page, qos=1), KINDS, now=NOW)
    assert decoded == page
    assert page.more == (more > 0)


def test_a_page_of_the_future_moves_nothing_beyond_an_hour_from_now() -> None:
    page = PageAnswer(STREAM, b"1", TIME, 3, TIME + 90_000, TIME + 99_000, "", "a/b", b"x")
    decoded = decode_answer(encode_page(ASK, page, qos=1), KINDS, now=NOW)
    assert isinstance(decoded, PageAnswer)
    assert (decoded.last, decoded.newest, decoded.more) == (int(NOW) + 3600, int(NOW) + 3600, False)


@pytest.mark.parametrize(("after", "count", "last"), [(10, 1, 10), (10, 0, 11), (10, 1, 9)])
def test_a_page_whose_span_does_not_fit_is_refused(after: int, count: int, last: int) -> None:
    message = encode_page(ASK, PageAnswer(STREAM, b"1", after, count, last, last, "", "a/b", b"x"), qos=1)
    assert reason_of(decode_answer, message, KINDS, now=NOW) is Reason.SHAPE


def test_a_description_comes_back() -> None:
    message = encode_description(ASK, DESCRIPTION, qos=1)
    assert decode_description(message.payload) == DESCRIPTION
    empty = replace(DESCRIPTION, columns=(), summaries=(), unit_system=None, interval_s=None, first=None, last=None)
    assert decode_description(encode_description(ASK, empty, qos=1).payload) == empty


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("columns", [["dateTime", "integer"]]),
        ("columns", [["dateTime", "text"], ["usUnits", "integer"], ["interval", "integer"]]),
        ("columns", [[column.name, "integer"] for column in (*KEYS, KEYS[0])]),
        ("columns", [[column.name, "integer"] for column in KEYS] + [["x; DROP TABLE archive", "real"]]),
        ("columns", [[column.name, "integer"] for column in KEYS] + [["a", "blob"]]),
        ("columns", [1, 2]),
        ("columns", {"dateTime": "integer"}),
        ("summaries", [["outTemp", "tensor"]]),
        ("summaries", [["a b", "scalar"]]),
        ("unit_system", 7),
        ("unit_system", "US"),
        ("interval", 0),
        ("interval", -300),
        ("count", -1),
        ("first", -(1 << 60)),
        ("last", 1 << 60),
        ("last", 1.5),
        ("day_offsets", [[1]]),
        ("day_offsets", [["a", "b"]]),
        ("accepts", "everything"),
    ],
)
def test_a_description_that_cannot_be_right_is_refused(name: str, value: object) -> None:
    document = json.loads(encode_description(ASK, DESCRIPTION, qos=1).payload)
    reason_of(decode_description, json.dumps(document | {name: value}).encode())


def test_an_error_and_a_summary_come_back() -> None:
    error = encode_error(ANSWERS, b"7", STREAM, code="busy", retry_after_s=2, qos=1)
    assert decode_answer(error, KINDS, now=NOW) == ErrorAnswer(STREAM, b"7", "busy", 2)
    summary = SummaryMessage(STREAM, TIME, "abc", b"body")
    assert decode_summary(encode_summary("s", summary, qos=1), now=NOW) == summary
    later = encode_summary("s", replace(summary, through=int(NOW) + 4000), qos=1)
    assert reason_of(decode_summary, later, now=NOW) is Reason.FUTURE


def test_a_loop_packet_keeps_its_numbers() -> None:
    packet = {"dateTime": TIME, "usUnits": 1, "outTemp": 71.3, "note": "x", "flag": True, "bad": math.inf}
    message = encode_loop("replicate/loop", STREAM, packet)
    assert message.qos == 0
    decoded = decode_loop(message, now=NOW)
    assert decoded.packet == {"dateTime": TIME, "usUnits": 1, "outTemp": 71.3}


@given(st.integers(0, 400), st.integers(0, 255))
def test_whatever_is_changed_on_the_way_the_digest_tells(place: int, byte: int) -> None:
    message = encode_record("replicate/archive", STREAM, RECORD, qos=1, previous=5, origin="abc")
    payload = bytearray(message.payload)
    if payload[place % len(payload)] == byte:
        return
    payload[place % len(payload)] = byte
    assert reason_of(decode_live, replace(message, payload=bytes(payload)), KINDS, now=NOW) is Reason.DIGEST
    forged = tuple((name, "4" if name == "previous" else value) for name, value in message.properties)
    assert reason_of(decode_live, replace(message, properties=forged), KINDS, now=NOW) is Reason.DIGEST


def test_whole_floats_for_times_and_units_are_taken_as_integers() -> None:
    record = decode_record(json.dumps(RECORD | {"dateTime": float(TIME), "usUnits": 1.0}).encode(), {}, now=NOW)
    assert (type(record["dateTime"]), type(record["usUnits"])) == (int, int)


@given(st.binary(max_size=300))
def test_any_payload_is_decoded_or_refused(payload: bytes) -> None:
    for decode in (
        lambda message: decode_answer(message, KINDS, now=NOW),
        lambda message: decode_live(message, KINDS, now=NOW),
        lambda message: decode_loop(message, now=NOW),
        lambda message: decode_summary(message, now=NOW),
        decode_request,
        lambda message: decode_description(message.payload),
    ):
        try:
            decode(Message("t", payload, properties=MINE, response_topic=ANSWERS))
        except Refused:
            pass


@given(
    st.dictionaries(st.sampled_from(["data_binding", "samesky", "kind", "op", "after", "digest"]), st.text(max_size=9))
)
def test_any_properties_are_decoded_or_refused(properties: dict[str, str]) -> None:
    message = Message("t", b"5", properties=tuple(properties.items()), response_topic=ANSWERS, correlation=b"1")
    for decode in (lambda: decode_answer(message, KINDS, now=NOW), lambda: decode_request(message)):
        try:
            decode()
        except Refused:
            pass


def test_an_error_goes_only_where_it_may_and_never_echoes_a_name_that_is_none() -> None:
    two = (("samesky", "2"), ("data_binding", "home/\x07"))
    message = Message("t", b"x", response_topic=ANSWERS, correlation=b"1" * 99, properties=two)
    assert reply_address(message) == (ANSWERS, b"1" * 64, "")
    assert reply_address(replace(message, response_topic="elsewhere")) is None
    assert reply_address(replace(message, correlation=None)) is None
    assert reply_address(replace(message, properties=MINE)) is None
