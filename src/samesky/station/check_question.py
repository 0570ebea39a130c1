"""The three questions by which a copy checks itself against its primary, and their bytes.

``root``   the copy's digest of everything up to a moment  -> the primary's, and of its spans where they differ
``nodes``  digests of spans of 36 hours that may differ    -> digests of the leaves of those that do
``rows``   marks of the rows of leaves that differ         -> the rows that differ, the times of those that are gone

Each question is complete in itself, so that any who holds the data may answer it. The nonce of its digests is its
correlation. Questions are asked of a version 2 responder only: their payload is no decimal number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..core.strict import MAX_PAYLOAD_BYTES, Reason, Refused, check_identifier
from ..core.treelists import SIZES, decode_digests, decode_rows
from ..link.message import Message
from .envelope import MAX_TIME, check_seal, decode_property, seal

OPS = ("root", "nodes", "rows")
ROOT_BYTES = 8

TreeName = Literal["archive", "summary"]
TREES: dict[str, TreeName] = {"archive": "archive", "summary": "summary"}


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
    max_bytes: int = MAX_PAYLOAD_BYTES


def question_properties(question: Question) -> tuple[tuple[str, str], ...]:
    """The user properties of a question; those with their usual value are left out."""
    said: list[tuple[str, str]] = [("op", question.op), ("until", str(question.until))]
    if question.op != "root":
        said += [("tree", question.tree), ("size", str(question.size))]
    if question.columns:
        said.append(("columns", ",".join(question.columns)))
    if question.observations:
        said.append(("observations", ",".join(question.observations)))
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


def decode_question(message: Message, properties: Mapping[str, str]) -> Question:
    """The question in a version 2 request with one of `OPS`; raises `Refused`."""
    check_seal(message, properties)
    size = decode_property(properties, "size", SIZES[-1], SIZES[0], SIZES[0])
    tree = TREES.get(properties.get("tree", "archive"))
    if size not in SIZES or tree is None:
        raise Refused(Reason.BAD_REQUEST, "there is no such tree, or size of digests")
    _check_payload(properties["op"], message.payload, size)
    return Question(
        op=properties["op"],
        until=decode_property(properties, "until", 1, MAX_TIME),
        payload=message.payload,
        tree=tree,
        size=size,
        columns=_names(properties.get("columns", "")),
        observations=_names(properties.get("observations", "")),
        max_bytes=decode_property(properties, "bytes", 1024, MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES),
    )


def _check_payload(op: str, payload: bytes, size: int) -> None:
    if op == "nodes":
        decode_digests(payload, size=size)
    elif op == "rows":
        decode_rows(payload, size=size)
    elif len(payload) not in (ROOT_BYTES, 2 * ROOT_BYTES):
        raise Refused(Reason.SHAPE, "a root question brings one or two digests")


def _names(text: str) -> tuple[str, ...]:
    """Column names as listed, sorted; refuses what isn't a name, or one named twice."""
    names = [check_identifier(name) for name in text.split(",")] if text else []
    if len(set(names)) != len(names):
        raise Refused(Reason.DUPKEY, "a column is named twice")
    return tuple(sorted(names))
