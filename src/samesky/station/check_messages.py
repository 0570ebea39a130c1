"""What travels when a copy checks itself against its primary: three questions and their answers.

``root``   the copy's digest of everything up to a moment  -> the primary's, and of its spans where they differ
``nodes``  digests of spans of 36 hours that may differ    -> digests of the leaves of those that do
``rows``   marks of the rows of leaves that differ         -> the rows that differ, the times of those that are gone

Each question is complete in itself, so that any who holds the data may answer it. The nonce of its digests is its
correlation. Questions are asked of a version 2 responder only: their payload is no decimal number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..core.strict import MAX_PAYLOAD_BYTES, Reason, Refused, check_identifier, check_time
from ..core.treelists import SIZES
from ..link.message import Message
from .envelope import MAX_TIME, check_seal, decode_property, seal
from .requests import Request, make_answer

CHECK_TYPE = "application/vnd.samesky.check"
OPS = ("root", "nodes", "rows")
ROOT_BYTES = 8

TreeName = Literal["archive", "summary"]
_TREES: dict[str, TreeName] = {"archive": "archive", "summary": "summary"}


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a check. ``payload`` holds the copy's digests or marks (`treelists`)."""

    op: str
    until: int
    """Records up to this time are compared, and the summaries of days that are complete by then."""
    payload: bytes
    tree: TreeName = "archive"
    size: int = 8
    """Length of the digests in ``payload``."""
    columns: tuple[str, ...] = ()
    """The columns to compare; empty: all that the primary has."""
    observations: tuple[str, ...] = ()
    """The daily summaries to compare; empty: all that the primary has."""
    fresh_since: int = 0
    """Sums count only if they were made from the rows since then."""
    max_bytes: int = MAX_PAYLOAD_BYTES


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """The answer to a question.

    To ``root``: ``roots`` are the primary's (the summaries' means something only if it was asked for), ``tree`` is the
    first one that differs (None: none does), and ``body`` its digest list. To ``nodes``: ``body`` is a digest list. To
    ``rows``: ``body`` is compressed tables. ``reached`` is the last span of the question that was looked at; the rest
    is to be asked again.
    """

    stream: str
    correlation: bytes
    op: str
    origin: str
    body: bytes
    tree: TreeName | None = None
    size: int = 8
    reached: int = 0
    count: int = 0
    """Records that the primary holds up to ``until``."""
    roots: Mapping[TreeName, bytes] | None = None


def question_properties(question: Question) -> tuple[tuple[str, str], ...]:
    """The user properties of a question; those with their usual value are left out."""
    said: list[tuple[str, str]] = [("op", question.op), ("until", str(question.until))]
    if question.op != "root":
        said += [("tree", question.tree), ("size", str(question.size))]
    if question.columns:
        said.append(("columns", ",".join(question.columns)))
    if question.observations:
        said.append(("observations", ",".join(question.observations)))
    if question.fresh_since:
        said.append(("fresh_since", str(question.fresh_since)))
    if question.max_bytes != MAX_PAYLOAD_BYTES:
        said.append(("bytes", str(question.max_bytes)))
    return tuple(said)


def encode_question(stream: str, question: Question, *, topic: str, reply_to: str, correlation: bytes) -> Message:
    """The message that asks."""
    message = Message(
        topic,
        question.payload,
        qos=1,
        response_topic=reply_to,
        correlation=correlation,
        properties=(("data_binding", stream),),
        expiry_s=60,
    )
    return seal(message, question_properties(question))


def decode_question(message: Message, properties: Mapping[str, str], *, now: float) -> Question:
    """The question in a version 2 request with one of `OPS`; raises `Refused`."""
    check_seal(message, properties)
    size = decode_property(properties, "size", SIZES[-1], SIZES[0], SIZES[0])
    tree = _TREES.get(properties.get("tree", "archive"))
    if size not in SIZES or tree is None:
        raise Refused(Reason.BAD_REQUEST, "there is no such tree, or size of digests")
    if properties["op"] == "root" and len(message.payload) not in (ROOT_BYTES, 2 * ROOT_BYTES):
        raise Refused(Reason.SHAPE, "a root question brings one or two digests")
    return Question(
        op=properties["op"],
        until=check_time(decode_property(properties, "until", 0, MAX_TIME), now=now),
        payload=message.payload,
        tree=tree,
        size=size,
        columns=_names(properties.get("columns", "")),
        observations=_names(properties.get("observations", "")),
        fresh_since=decode_property(properties, "fresh_since", 0, MAX_TIME, 0),
        max_bytes=decode_property(properties, "bytes", 1024, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
    )


def encode_check(request: Request, answer: CheckAnswer, *, qos: int) -> Message:
    """The message that answers."""
    said = [("op", answer.op), ("origin", answer.origin)]
    if answer.tree:
        said.append(("tree", answer.tree))
    if answer.size != SIZES[0]:
        said.append(("size", str(answer.size)))
    if answer.reached:
        said.append(("reached", str(answer.reached)))
    if answer.op == "root":
        said.append(("count", str(answer.count)))
    roots = answer.roots or {}
    # An answer to another question may have nothing to say, but a payload is never empty: it begins with one byte more.
    head = roots["archive"] + roots["summary"] if roots else b"\0"
    return make_answer(request, "check", head + answer.body, CHECK_TYPE, said, qos)


def decode_check(message: Message, stream: str, properties: Mapping[str, str]) -> CheckAnswer:
    """The answer in a sealed version 2 message of kind ``check``; raises `Refused`."""
    op, tree = properties.get("op", ""), properties.get("tree")
    size = decode_property(properties, "size", SIZES[-1], SIZES[0], SIZES[0])
    if op not in OPS or (tree is not None and tree not in _TREES) or size not in SIZES:
        raise Refused(Reason.SHAPE, "an answer of no kind that a check knows")
    roots, body = _split_roots(message.payload) if op == "root" else (None, message.payload[1:])
    return CheckAnswer(
        stream=stream,
        correlation=message.correlation or b"",
        op=op,
        origin=properties.get("origin", ""),
        body=body,
        tree=_TREES[tree] if tree else None,
        size=size,
        reached=decode_property(properties, "reached", 0, MAX_TIME, 0),
        count=decode_property(properties, "count", 0, 1 << 40, 0),
        roots=roots,
    )


def _split_roots(payload: bytes) -> tuple[dict[TreeName, bytes], bytes]:
    if len(payload) < 2 * ROOT_BYTES:
        raise Refused(Reason.SHAPE, "an answer to a root question brings two digests")
    archive, summary = payload[:ROOT_BYTES], payload[ROOT_BYTES : 2 * ROOT_BYTES]
    return {"archive": archive, "summary": summary}, payload[2 * ROOT_BYTES :]


def _names(text: str) -> tuple[str, ...]:
    """Column names as listed, sorted; refuses what isn't a name, or one named twice."""
    names = [check_identifier(name) for name in text.split(",")] if text else []
    if len(set(names)) != len(names):
        raise Refused(Reason.DUPKEY, "a column is named twice")
    return tuple(sorted(names))
