"""Requests, and where their answers may go. A version 1 request's payload is a decimal time and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ..core.strict import (
    MAX_PAYLOAD_BYTES,
    Reason,
    Refused,
    check_topic_level,
    decode_decimal,
)
from ..link.message import Message
from .check_question import OPS, Question, decode_question
from .envelope import MAX_TIME, VERSION, decode_property, decode_stream, open_envelope, seal

RESPONSE_PREFIX = "replicate/response/"
MAX_RECORDS = 10_000
COLUMNS_TYPE = "application/vnd.samesky.columns+json"


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the responder understands it."""

    stream: str
    after: int
    reply_to: str
    correlation: bytes | None
    version: int
    op: str
    """``describe``, ``page``, a check's; a version 1 request is ``stream``: every record after ``after``, singly."""
    accepts: tuple[str, ...] = ()
    max_records: int = MAX_RECORDS
    max_bytes: int = MAX_PAYLOAD_BYTES
    summaries: bool = True
    question: Question | None = None
    """What a check asks."""
    said: tuple[tuple[str, str], ...] = ()
    """User properties that every answer to it carries: who answers (`envelope.StandIn`)."""
    message: Message | None = field(default=None, compare=False, repr=False)
    """As it came, for an answer that is signed is signed as one to all of it."""


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
    """The request in ``message``; ``response_topics`` are allowed besides those of `check_reply_topic`.

    Raises `Refused`; `reply_address` tells whether the sender can be told.
    """
    return replace(_decode_request(message, response_topics), message=message)


def _decode_request(message: Message, response_topics: Iterable[str]) -> Request:
    properties = open_envelope(message)
    stream = decode_stream(properties)
    reply_to = check_reply_topic(message.response_topic, response_topics)
    if "samesky" not in properties:
        after = decode_decimal(message.payload, low=0, high=MAX_TIME)
        return Request(stream, after, reply_to, message.correlation, 1, "stream")
    if not message.correlation or len(message.correlation) > 64:
        raise Refused(Reason.BAD_REQUEST, "a version 2 request needs CorrelationData of 1 to 64 bytes")
    op = properties.get("op", "page")
    if op in OPS:
        question = decode_question(message, properties)
        return Request(stream, question.until, reply_to, message.correlation, 2, op, question=question)
    after = decode_decimal(message.payload, low=0, high=MAX_TIME)
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
        max_records=decode_property(properties, "records", 1, MAX_RECORDS, MAX_RECORDS),
        max_bytes=decode_property(properties, "bytes", 1024, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
        summaries=properties.get("summaries", "1") == "1",
    )


def check_reply_topic(topic: str | None, allowed: Iterable[str] = ()) -> str:
    """``replicate/response/<one or two levels>``, version 1's ``replicate/request/<client id>``, or one of ``allowed``.

    Of two levels the first is the copy's, which its user may read with all below it, and the second a command's.
    Raises `Refused` (replyto): a stranger's ResponseTopic never makes us publish elsewhere.
    """
    if topic and topic in allowed:
        return topic
    for prefix, most_levels in ((RESPONSE_PREFIX, 2), ("replicate/request/", 1)):
        if topic and topic.startswith(prefix):
            levels = topic.removeprefix(prefix).split("/")
            try:
                if len(levels) <= most_levels and all(map(check_topic_level, levels)):
                    return topic
            except Refused:
                pass
            break
    raise Refused(Reason.REPLYTO, "the ResponseTopic is missing or not below replicate/response/")


def spell_reply_topic(client_id: str, username: str | None = None) -> str:
    """Where a client has its answers sent: below its user's name, by which a broker's ACL tells who may read them."""
    try:
        below_user = f"{check_topic_level(username)}/" if username and username != client_id else ""
    except Refused:
        below_user = ""
    return f"{RESPONSE_PREFIX}{below_user}{client_id}"


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


def make_answer(
    request: Request, kind: str, body: bytes, content_type: str, properties: Iterable[tuple[str, str]], qos: int
) -> Message:
    """The sealed answer of that kind to ``request``; it expires with the question."""
    message = Message(
        request.reply_to,
        body,
        qos=qos,
        correlation=request.correlation,
        content_type=content_type or None,
        properties=(("data_binding", request.stream),),
        expiry_s=60,
    )
    return seal(message, (("kind", kind), *request.said, *properties))
