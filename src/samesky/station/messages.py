"""What travels between a primary and its copies: version 1 to the letter, version 2 beside it on the same topics.

Version 1 (seeds 000 and 001): a request's payload is a decimal time, an answer's payload is one record as JSON, and the
user property ``data_binding`` names the stream, ``<instance>/<binding>``. Version 2 marks its messages with the user
property ``samesky`` = ``2`` and says the rest in further user properties, so that a version 1 peer notices nothing.
Every version 2 answer and live message is sealed: its property ``digest`` covers payload and properties.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.columns import Kind
from ..core.strict import (
    FUTURE_LIMIT_S,
    Reason,
    Refused,
    check_identifier,
    check_number,
    check_text,
    check_time,
    decode_json_object,
)
from ..core.timetree import Sum
from ..link.message import Message
from .check_messages import CheckAnswer, decode_check
from .description import Description, decode_description
from .envelope import (
    MAX_TIME,
    StandIn,
    check_seal,
    decode_property,
    decode_stand_in,
    decode_stream,
    open_envelope,
    seal,
)
from .requests import COLUMNS_TYPE, MAX_RECORDS, Request, make_answer
from .schema import check_unit_system


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
    stand_in: StandIn | None = None
    """The copy that answers for its primary; None: the primary itself does."""

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
    stand_in: StandIn | None = None
    """As in `PageAnswer`."""


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """The responder can't answer: ``busy``, ``not_found``, ``bad_request``, ``failed``, ``version``."""

    stream: str
    correlation: bytes
    code: str
    retry_after_s: int


@dataclass(frozen=True, slots=True)
class LiveRoot:
    """What a primary whose sums are added up says of all its records with each live one (`core.timetree`)."""

    until: int
    count: int
    digest: bytes

    @classmethod
    def of(cls, until: int, root: Sum) -> "LiveRoot":
        """The root as it is said of records up to ``until``, which is the digest's nonce."""
        return cls(until, root.count, root.digest(str(until).encode()))

    def encode(self) -> str:
        """As a user property says it."""
        return f"{self.until} {self.count} {self.digest.hex()}"

    @classmethod
    def decode(cls, text: str) -> "LiveRoot":
        """The root that a user property says; raises `Refused`."""
        match = re.fullmatch(r"([0-9]{1,10}) ([0-9]{1,12}) ([0-9a-f]{16})", text, re.ASCII)
        if match is None:
            raise Refused(Reason.SHAPE, "a root is said as until, count and digest")
        return cls(int(match[1]), int(match[2]), bytes.fromhex(match[3]))


@dataclass(frozen=True, slots=True)
class RecordMessage:
    """One record: a version 1 catch-up answer, or a live record of either version."""

    stream: str
    record: dict[str, Any]
    live: bool
    previous: int | None = None
    """Version 2: time of the primary's record before this one; 0 when it is the first."""
    origin: str | None = None
    root: LiveRoot | None = None


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


Incoming = PageAnswer | DescriptionAnswer | ErrorAnswer | CheckAnswer | RecordMessage | SummaryMessage | LoopMessage


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
    return make_answer(request, "page", page.body, page.content_type, properties, qos)


def encode_error(reply_to: str, correlation: bytes, stream: str, *, code: str, retry_after_s: int, qos: int) -> Message:
    """The answer that there is no answer."""
    request = Request(stream, 0, reply_to, correlation, 2, "page")
    return make_answer(request, "error", b"", "", (("code", code), ("retry_after", str(retry_after_s))), qos)


def encode_record(
    topic: str,
    stream: str,
    record: Mapping[str, Any],
    *,
    qos: int,
    previous: int | None = None,
    origin: str = "",
    root: LiveRoot | None = None,
) -> Message:
    """One record as version 1 sends it; with ``previous`` it carries version 2's marks as well."""
    payload = json.dumps({name: value for name, value in record.items() if _is_plain(value)}, allow_nan=False).encode()
    message = Message(topic, payload, qos=qos, properties=(("data_binding", stream),))
    if previous is None:
        return message
    marks = (("previous", str(previous)), ("origin", origin))
    return seal(message, marks if root is None else (*marks, ("root", root.encode())))


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
    properties = open_envelope(message)
    stream = decode_stream(properties)
    if "samesky" not in properties:
        return RecordMessage(stream, decode_record(message.payload, _kinds_of(kinds, stream), now=now), live=False)
    check_seal(message, properties)
    match properties.get("kind"):
        case "check":
            return decode_check(message, stream, properties)
        case "page":
            return _decode_page(message, stream, properties, now=now)
        case "description":
            description = decode_description(message.payload)
            return DescriptionAnswer(stream, message.correlation or b"", description, decode_stand_in(properties))
        case "error":
            retry_s = decode_property(properties, "retry_after", 0, 86_400, 60)
            return ErrorAnswer(stream, message.correlation or b"", properties.get("code", "failed")[:40], retry_s)
    raise Refused(Reason.UNINVITED, "an answer of a kind that was never asked for")


def decode_live(message: Message, kinds: Mapping[str, Mapping[str, Kind]], *, now: float) -> RecordMessage:
    """A record from the archive topic, of either version."""
    properties = open_envelope(message)
    stream = decode_stream(properties)
    wanted = _kinds_of(kinds, stream)
    if "samesky" not in properties:
        return RecordMessage(stream, decode_record(message.payload, wanted, now=now), live=True)
    check_seal(message, properties)
    record = decode_record(message.payload, wanted, now=now)
    return RecordMessage(
        stream,
        record,
        True,
        decode_property(properties, "previous", 0, MAX_TIME),
        properties.get("origin", ""),
        LiveRoot.decode(properties["root"]) if "root" in properties else None,
    )


def decode_summary(message: Message, *, now: float) -> SummaryMessage:
    """Summary rows from the summary topic."""
    properties = open_envelope(message)
    stream = decode_stream(properties)
    check_seal(message, properties)
    through = check_time(decode_property(properties, "through", 0, MAX_TIME), now=now)
    return SummaryMessage(stream, through, properties.get("origin", ""), message.payload)


def decode_loop(message: Message, *, now: float) -> LoopMessage:
    """A LOOP packet; what isn't a number is left out."""
    properties = open_envelope(message)
    packet = decode_json_object(message.payload)
    time, units = check_time(packet.get("dateTime"), now=now), check_unit_system(packet)
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
    record["usUnits"] = check_unit_system(record)
    check_values(record, kinds)
    return record


def check_values(record: Mapping[str, Any], kinds: Mapping[str, Kind]) -> None:
    """Refuse a record with a value that isn't of its column's kind, or a name that is no identifier."""
    for name, value in record.items():
        if name not in kinds:
            check_identifier(name)
        if value is not None:
            _check_value(name, value, kinds.get(name))


# ---------------------------------------------------------------------- parts


def _decode_page(message: Message, stream: str, properties: Mapping[str, str], *, now: float) -> PageAnswer:
    after, last = (decode_property(properties, name, 0, MAX_TIME) for name in ("after", "last"))
    count = decode_property(properties, "count", 0, MAX_RECORDS)
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
        newest=min(decode_property(properties, "newest", 0, MAX_TIME), believable),
        origin=properties.get("origin", ""),
        content_type=message.content_type or "",
        body=message.payload,
        stand_in=decode_stand_in(properties),
    )


def _check_value(name: str, value: Any, kind: Kind | None) -> None:
    if kind is Kind.TEXT and isinstance(value, str):
        check_text(value)
    elif kind is not None or name in ("interval",):
        check_number(value)


def _kinds_of(kinds: Mapping[str, Mapping[str, Kind]], stream: str) -> Mapping[str, Kind]:
    if stream not in kinds:
        raise Refused(Reason.SCOPE, "the message belongs to a stream that isn't followed here")
    return kinds[stream]


def _is_plain(value: Any) -> bool:
    """Whether version 1's JSON can say it; infinities and objects of services' own stay at home."""
    if isinstance(value, float):
        return value - value == 0.0
    return value is None or (isinstance(value, int | str) and not isinstance(value, bool))
