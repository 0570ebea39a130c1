"""The answers that a copy gets when it checks itself against its primary; the questions are in `check_question`."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..core.strict import Reason, Refused
from ..core.treelists import SIZES
from ..link.message import Message
from .check_question import OPS, ROOT_BYTES, TREES, TreeName
from .envelope import MAX_TIME, StandIn, decode_property, decode_stand_in
from .requests import Request, make_answer

CHECK_TYPE = "application/vnd.samesky.check"


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
    stand_in: StandIn | None = None
    """The copy that answers for its primary; None: the primary itself does."""


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
    if op not in OPS or (tree is not None and tree not in TREES) or size not in SIZES:
        raise Refused(Reason.SHAPE, "an answer of no kind that a check knows")
    roots, body = _split_roots(message.payload) if op == "root" else (None, message.payload[1:])
    return CheckAnswer(
        stream=stream,
        correlation=message.correlation or b"",
        op=op,
        origin=properties.get("origin", ""),
        body=body,
        tree=TREES[tree] if tree else None,
        size=size,
        reached=decode_property(properties, "reached", 0, MAX_TIME, 0),
        count=decode_property(properties, "count", 0, 1 << 40, 0),
        roots=roots,
        stand_in=decode_stand_in(properties),
    )


def _split_roots(payload: bytes) -> tuple[dict[TreeName, bytes], bytes]:
    if len(payload) < 2 * ROOT_BYTES:
        raise Refused(Reason.SHAPE, "an answer to a root question brings two digests")
    archive, summary = payload[:ROOT_BYTES], payload[ROOT_BYTES : 2 * ROOT_BYTES]
    return {"archive": archive, "summary": summary}, payload[2 * ROOT_BYTES :]
