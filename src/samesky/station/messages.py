"""What travels between a primary and its copies: version 1 to the letter, version 2 beside it on the same topics.

Version 1 (seeds 000 and 001): a request's payload is a decimal time, an answer's payload is one record as JSON, and the
user property ``data_binding`` names the stream, ``<instance>/<binding>``. Version 2 marks its messages with the user
property ``samesky`` = ``2`` and says the rest in further user properties, so that a version 1 peer notices nothing.
Every version 2 answer and live message is sealed: its property ``digest`` covers payload and properties.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.columns import Column, Kind
from ..core.strict import (
    FUTURE_LIMIT_S,
    MAX_PAYLOAD_BYTES,
    Reason,
    Refused,
    check_identifier,
    check_number,
    check_properties,
    check_text,
    check_time,
    check_topic_level,
    decode_decimal,
    decode_json_object,
)
from ..link.message import Message
from .schema import KEY_COLUMNS, UNIT_SYSTEMS, Description

VERSION = "2"
COLUMNS_TYPE = "application/vnd.samesky.columns+json"
DESCRIPTION_TYPE = "application/vnd.samesky.description+json"
RESPONSE_PREFIX = "replicate/response/"
MAX_RECORDS = 10_000
MAX_TIME = 1 << 33


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the responder understands it."""

    stream: str
    after: int
    reply_to: str
    correlation: bytes | None
    version: int
    op: str
    """``describe`` or ``page``; a version 1 request is ``stream``: every record after ``after``, one message each."""
    accepts: tuple[str, ...] = ()
    max_records: int = MAX_RECORDS
    max_bytes: int = MAX_PAYLOAD_BYTES
    summaries: bool = True


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """One page, its body still compressed."""

    stream: str
    correlation: bytes
    after: int
    count: int
    last: int
    newest: int
    origin: str
    content_type: str
    body: bytes

    @property
    def more(self) -> bool:
        """Whether the responder holds records after this page."""
        return self.newest > self.last


@dataclass(frozen=True, slots=True)
class DescriptionAnswer:
    """The responder's description of a stream."""

    stream: str
    correlation: bytes
    description: Description


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The responder can't answer: ``busy``, ``not_found``, ``bad_request``, ``failed``, ``version``."""

    stream: str
    correlation: bytes
    code: str
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class RecordMessage:
    """One record: a version 1 catch-up answer, or a live record of either version."""

    stream: str
    record: dict[str, Any]
    live: bool
    previous: int | None = None
    """Version 2: time of the primary's record before this one; 0 when it is the first."""
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class SummaryMessage:
    """Compressed daily summary rows, true when ``through`` was the newest record."""

    stream: str
    through: int
    origin: str
    body: bytes


@dataclass(frozen=True, slots=True)
class LoopMessage:
    """A LOOP packet of the primary."""

    stream: str
    packet: dict[str, Any]


Incoming = PageAnswer | DescriptionAnswer | ErrorAnswer | RecordMessage | SummaryMessage | LoopMessage


# ---------------------------------------------------------------------- requests


def encode_request(request: Request, topic: str, *, qos: int) -> Message:
    """The message that asks; its payload is a decimal integer, the only thing a version 1 responder survives."""
    properties = [("data_binding", request.stream)]
    if request.version >= 2:
        properties += [
            ("samesky", VERSION),
            ("op", request.op),
            ("accept", ",".join(request.accepts)),
            ("records", str(request.max_records)),
            ("bytes", str(request.max_bytes)),
            ("summaries", str(int(request.summaries))),
        ]
    return Message(
        topic,
        str(request.after).encode(),
        qos=qos,
        response_topic=request.reply_to,
        correlation=request.correlation,
        properties=tuple(properties),
        expiry_s=60,
    )


def decode_request(message: Message, *, response_topics: Iterable[str] = ()) -> Request:
    """The request in ``message``; ``response_topics`` are allowed besides ``replicate/response/<one level>``.

    Raises `Refused`; `reply_address` tells whether the sender can be told.
    """
    properties = _envelope(message)
    stream = decode_stream(properties)
    reply_to = check_reply_topic(message.response_topic, response_topics)
    after = decode_decimal(message.payload, low=0, high=MAX_TIME)
    if "samesky" not in properties:
        return Request(stream, after, reply_to, message.correlation, 1, "stream")
    if not message.correlation or len(message.correlation) > 64:
        raise Refused(Reason.BAD_REQUEST, "a version 2 request needs CorrelationData of 1 to 64 bytes")
    op = properties.get("op", "page")
    if op not in ("describe", "page"):
        raise Refused(Reason.VERSION, f"there is no operation {op[:20]!r}")
    return Request(
        stream,
        after,
        reply_to,
        message.correlation,
        2,
        op,
        accepts=tuple(properties.get("accept", COLUMNS_TYPE).split(",")),
        max_records=_integer(properties, "records", 1, MAX_RECORDS, MAX_RECORDS),
        max_bytes=_integer(properties, "bytes", 1024, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
        summaries=properties.get("summaries", "1") == "1",
    )


def check_reply_topic(topic: str | None, allowed: Iterable[str] = ()) -> str:
    """``replicate/response/<one level>``, its version 1 form ``replicate/request/<client id>``, or one of ``allowed``.

    Raises `Refused` (replyto): a stranger's ResponseTopic never makes us publish elsewhere.
    """
    if topic and topic in allowed:
        return topic
    for prefix in (RESPONSE_PREFIX, "replicate/request/"):
        if topic and topic.startswith(prefix):
            try:
                check_topic_level(topic.removeprefix(prefix))
            except Refused:
                break
            return topic
    raise Refused(Reason.REPLYTO, "the ResponseTopic is missing or not below replicate/response/")


def reply_address(message: Message, *, response_topics: Iterable[str] = ()) -> tuple[str, bytes, str] | None:
    """(topic, correlation, stream) to send an error to; None for a sender of version 1 or without a lawful topic."""
    properties = dict(message.properties[:32])
    if "samesky" not in properties or not message.correlation:
        return None
    try:
        topic = check_reply_topic(message.response_topic, response_topics)
    except Refused:
        return None
    try:
        stream = decode_stream(properties)
    except Refused:
        stream = ""  # what isn't a name isn't sent on
    return topic, message.correlation[:64], stream


# ---------------------------------------------------------------------- answers and live messages


def encode_page(request: Request, page: PageAnswer, *, qos: int) -> Message:
    """The answer to a ``page`` request."""
    properties = (
        ("after", str(page.after)),
        ("count", str(page.count)),
        ("last", str(page.last)),
        ("newest", str(page.newest)),
        ("origin", page.origin),
    )
    return _answer(request, "page", page.body, page.content_type, properties, qos)


def encode_description(request: Request, description: Description, *, qos: int) -> Message:
    """The answer to a ``describe`` request."""
    document = {
        "columns": [[column.name, column.kind] for column in description.columns],
        "summaries": [list(entry) for entry in description.summaries],
        "unit_system": description.unit_system,
        "interval": description.interval_s,
        "day_offsets": [list(run) for run in description.day_offsets],
        "count": description.count,
        "first": description.first,
        "last": description.last,
        "origin": description.origin,
        "accepts": list(description.accepts),
    }
    return _answer(request, "description", json.dumps(document).encode(), DESCRIPTION_TYPE, (), qos)


def encode_error(reply_to: str, correlation: bytes, stream: str, *, code: str, retry_after_s: int, qos: int) -> Message:
    """The answer that there is no answer."""
    request = Request(stream, 0, reply_to, correlation, 2, "page")
    return _answer(request, "error", b"", "", (("code", code), ("retry_after", str(retry_after_s))), qos)


def encode_record(
    topic: str, stream: str, record: Mapping[str, Any], *, qos: int, previous: int | None = None, origin: str = ""
) -> Message:
    """One record as version 1 sends it; with ``previous`` it carries version 2's marks as well."""
    payload = json.dumps({name: value for name, value in record.items() if _is_plain(value)}, allow_nan=False).encode()
    message = Message(topic, payload, qos=qos, properties=(("data_binding", stream),))
    if previous is None:
        return message
    return seal(message, (("previous", str(previous)), ("origin", origin)))


def encode_summary(topic: str, summary: SummaryMessage, *, qos: int) -> Message:
    """Daily summary rows that follow a live record."""
    message = Message(
        topic, summary.body, qos=qos, content_type=COLUMNS_TYPE, properties=(("data_binding", summary.stream),)
    )
    return seal(message, (("through", str(summary.through)), ("origin", summary.origin)))


def encode_loop(topic: str, stream: str, packet: Mapping[str, Any]) -> Message:
    """A LOOP packet; QoS 0, for it is stale in seconds."""
    payload = json.dumps({name: value for name, value in packet.items() if _is_plain(value)}, allow_nan=False).encode()
    return Message(topic, payload, qos=0, properties=(("data_binding", stream),))


def decode_answer(message: Message, kinds: Mapping[str, Mapping[str, Kind]], *, now: float) -> Incoming:
    """What came on our response topic. ``kinds``: stream -> column -> kind at the copy, as in `decode_record`."""
    properties = _envelope(message)
    stream = decode_stream(properties)
    if "samesky" not in properties:
        return RecordMessage(stream, decode_record(message.payload, _kinds_of(kinds, stream), now=now), live=False)
    _check_seal(message, properties)
    match properties.get("kind"):
        case "page":
            return _decode_page(message, stream, properties, now=now)
        case "description":
            return DescriptionAnswer(stream, message.correlation or b"", decode_description(message.payload))
        case "error":
            retry_s = _integer(properties, "retry_after", 0, 86_400, 60)
            return ErrorAnswer(stream, message.correlation or b"", properties.get("code", "failed")[:40], retry_s)
    raise Refused(Reason.UNINVITED, "an answer of a kind that was never asked for")


def decode_live(message: Message, kinds: Mapping[str, Mapping[str, Kind]], *, now: float) -> RecordMessage:
    """A record from the archive topic, of either version."""
    properties = _envelope(message)
    stream = decode_stream(properties)
    wanted = _kinds_of(kinds, stream)
    if "samesky" not in properties:
        return RecordMessage(stream, decode_record(message.payload, wanted, now=now), live=True)
    _check_seal(message, properties)
    record = decode_record(message.payload, wanted, now=now)
    return RecordMessage(
        stream, record, True, _integer(properties, "previous", 0, MAX_TIME), properties.get("origin", "")
    )


def decode_summary(message: Message) -> SummaryMessage:
    """Summary rows from the summary topic."""
    properties = _envelope(message)
    stream = decode_stream(properties)
    _check_seal(message, properties)
    return SummaryMessage(
        stream, _integer(properties, "through", 0, MAX_TIME), properties.get("origin", ""), message.payload
    )


def decode_loop(message: Message, *, now: float) -> LoopMessage:
    """A LOOP packet; what isn't a number is left out."""
    properties = _envelope(message)
    packet = decode_json_object(message.payload)
    time, units = check_time(packet.get("dateTime"), now=now), _unit_system(packet)
    values = {
        name: value for name, value in packet.items() if isinstance(value, int | float) and not isinstance(value, bool)
    }
    return LoopMessage(decode_stream(properties), {**values, "dateTime": time, "usUnits": units})


def decode_record(payload: bytes, kinds: Mapping[str, Kind], *, now: float) -> dict[str, Any]:
    """One archive record. ``kinds`` are the columns of the copy's table; values of other names pass unproven.

    Raises `Refused`: json, shape, required, past, future, name, type, nonfinite, range.
    """
    record = decode_json_object(payload)
    record["dateTime"] = check_time(record.get("dateTime"), now=now)
    record["usUnits"] = _unit_system(record)
    for name, value in record.items():
        if name not in kinds:
            check_identifier(name)
        if value is not None:
            _check_value(name, value, kinds.get(name))
    return record


def decode_description(payload: bytes) -> Description:
    """A peer's description of a stream; every name in it is safe to put into SQL, every number in its range."""
    document = decode_json_object(payload)
    try:
        return Description(
            columns=_decode_columns(document),
            summaries=tuple(
                (check_identifier(obs), _summary_kind(kind)) for obs, kind in _pairs(document, "summaries")
            ),
            unit_system=None if document.get("unit_system") is None else _unit_system(document, "unit_system"),
            interval_s=_optional(document, "interval", low=1),
            day_offsets=tuple(
                (int(check_number(day)), int(check_number(offset))) for day, offset in _pairs(document, "day_offsets")
            ),
            count=_optional(document, "count", low=0) or 0,
            first=_optional(document, "first", low=-MAX_TIME),
            last=_optional(document, "last", low=-MAX_TIME),
            origin=str(document.get("origin", ""))[:64],
            accepts=tuple(str(item)[:80] for item in _list(document, "accepts")[:16]),
        )
    except (TypeError, ValueError) as error:
        raise Refused(Reason.SHAPE, "the description hasn't the expected shape") from error


def _decode_columns(document: Mapping[str, Any]) -> tuple[Column, ...]:
    """The archive columns of a description: none, or the key columns and others, each once."""
    columns = tuple(Column(check_identifier(name), Kind(kind)) for name, kind in _pairs(document, "columns"))
    if len({column.name.lower() for column in columns}) != len(columns):
        raise Refused(Reason.DUPKEY, "the description names a column twice")
    if columns and not {Column(name, Kind.INTEGER) for name in KEY_COLUMNS} <= set(columns):
        raise Refused(Reason.SHAPE, "the description lacks dateTime, usUnits or interval as integers")
    return columns


def decode_stream(properties: Mapping[str, str]) -> str:
    """The stream that ``data_binding`` names: ``<instance>/<binding>``."""
    instance, separator, binding = properties.get("data_binding", "").partition("/")
    if not separator:
        raise Refused(Reason.REQUIRED, "the user property data_binding = <instance>/<binding> is missing")
    return f"{check_topic_level(instance)}/{check_topic_level(binding)}"


# ---------------------------------------------------------------------- the seal


def seal(message: Message, properties: Iterable[tuple[str, str]]) -> Message:
    """``message`` as a version 2 message with these further properties and the digest over all of it."""
    marked = (*message.properties, ("samesky", VERSION), *properties)
    return replace(message, properties=(*marked, ("digest", _digest(message.payload, dict(marked)))))


def _check_seal(message: Message, properties: Mapping[str, str]) -> None:
    covered = {name: value for name, value in properties.items() if name != "digest"}
    if properties.get("digest") != _digest(message.payload, covered):
        raise Refused(Reason.DIGEST, "the digest doesn't fit: the message was changed on its way")


def _digest(payload: bytes, properties: Mapping[str, str]) -> str:
    digest = hashlib.blake2b(payload, digest_size=16)
    for name, value in sorted(properties.items()):
        digest.update(f"\0{name}\0{value}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


# ---------------------------------------------------------------------- parts


def _envelope(message: Message) -> dict[str, str]:
    """The checked user properties; refuses the empty, the too large, another version, and signatures."""
    if not message.payload and dict(message.properties[:32]).get("kind") != "error":
        raise Refused(Reason.EMPTY, "the payload is empty")
    if len(message.payload) > MAX_PAYLOAD_BYTES:
        raise Refused(Reason.SIZE, f"the payload is larger than {MAX_PAYLOAD_BYTES} bytes")
    properties = check_properties(message.properties)
    if properties.get("samesky", VERSION) != VERSION:
        raise Refused(Reason.VERSION, f"this peer speaks versions 1 and {VERSION}")
    if "signature" in properties:
        raise Refused(Reason.SIG, "the message is signed by a key that isn't known here")
    return properties


def _answer(
    request: Request, kind: str, body: bytes, content_type: str, properties: Iterable[tuple[str, str]], qos: int
) -> Message:
    message = Message(
        request.reply_to,
        body,
        qos=qos,
        correlation=request.correlation,
        content_type=content_type or None,
        properties=(("data_binding", request.stream),),
        expiry_s=60,
    )
    return seal(message, (("kind", kind), *properties))


def _decode_page(message: Message, stream: str, properties: Mapping[str, str], *, now: float) -> PageAnswer:
    after, last = (_integer(properties, name, 0, MAX_TIME) for name in ("after", "last"))
    count = _integer(properties, "count", 0, MAX_RECORDS)
    if last < after or (count == 0) != (last == after):
        raise Refused(Reason.SHAPE, "the page's span doesn't fit its count")
    # Records of the future aren't stored, so they must not move the position: they are asked for again in time.
    believable = int(now) + FUTURE_LIMIT_S
    return PageAnswer(
        stream=stream,
        correlation=message.correlation or b"",
        after=after,
        count=count,
        last=max(after, min(last, believable)),
        newest=min(_integer(properties, "newest", 0, MAX_TIME), believable),
        origin=properties.get("origin", ""),
        content_type=message.content_type or "",
        body=message.payload,
    )


def _check_value(name: str, value: Any, kind: Kind | None) -> None:
    if kind is Kind.TEXT and isinstance(value, str):
        check_text(value)
    elif kind is not None or name in ("interval",):
        check_number(value)


def _unit_system(record: Mapping[str, Any], name: str = "usUnits") -> int:
    units = record.get(name)
    if units is None:
        raise Refused(Reason.REQUIRED, f"the record has no {name}")
    if check_number(units) not in UNIT_SYSTEMS:
        raise Refused(Reason.RANGE, f"{name} is none of 1 (US), 16 (METRIC), 17 (METRICWX)")
    return int(units)


def _kinds_of(kinds: Mapping[str, Mapping[str, Kind]], stream: str) -> Mapping[str, Kind]:
    if stream not in kinds:
        raise Refused(Reason.SCOPE, "the message belongs to a stream that isn't followed here")
    return kinds[stream]


def _is_plain(value: Any) -> bool:
    """Whether version 1's JSON can say it; infinities and objects of services' own stay at home."""
    if isinstance(value, float):
        return value - value == 0.0
    return value is None or (isinstance(value, int | str) and not isinstance(value, bool))


def _integer(properties: Mapping[str, str], name: str, low: int, high: int, default: int | None = None) -> int:
    text = properties.get(name)
    if text is None:
        if default is None:
            raise Refused(Reason.REQUIRED, f"the user property {name} is missing")
        return default
    return decode_decimal(text.encode("utf-8", "replace"), low=low, high=high)


def _pairs(document: Mapping[str, Any], name: str) -> list[tuple[Any, Any]]:
    return [(first, second) for first, second in _list(document, name)[:4096]]


def _list(document: Mapping[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    if not isinstance(value, list):
        raise Refused(Reason.SHAPE, f"the description has no list {name}")
    return value


def _optional(document: Mapping[str, Any], name: str, *, low: int) -> int | None:
    value = document.get(name)
    if value is not None and not low <= check_number(value, integer=True) <= MAX_TIME:
        raise Refused(Reason.RANGE, f"the description's {name} can't be right")
    return value


def _summary_kind(kind: Any) -> str:
    if kind not in ("scalar", "vector"):
        raise Refused(Reason.SHAPE, "a daily summary is neither scalar nor vector")
    return str(kind)
