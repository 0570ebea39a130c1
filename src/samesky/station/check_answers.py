"""The primary's half of a check: what to answer to each question, from its own trees. It keeps nothing in between."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ..core.columns import Column, Kind, Table, encode_tables
from ..core.strict import Reason, Refused
from ..core.timetree import NODE, NOTHING, STEP, TOP, Sum, View
from ..core.treelists import (
    MAX_LIST_BYTES,
    Digests,
    decode_digests,
    decode_rows,
    differing,
    digests_of,
    encode_digests,
    row_mark,
    size_for,
)
from .check_messages import CheckAnswer
from .check_question import ROOT_BYTES, Question, TreeName
from .compression import compress

MOST_ROWS = 2000
MOST_LEAVES = 1024
"""Looked at for one answer: each is a query, and a station has other things to do."""
MOST_DAYS = 50
"""As `MOST_LEAVES`, for summaries: a day's rows are in a hundred tables."""
GONE = (Column("dateTime", Kind.INTEGER),)


class Trees(Protocol):
    """What the answering side has: both trees up to the question's moment, and the rows."""

    def view(self, tree: TreeName) -> View:
        """The tree as it was at the question's moment."""

    def read_rows(self, tree: TreeName, times: Sequence[int]) -> Table:
        """The rows of these times, in a table named as the tree; of ``summary``, all rows of the days ``times``."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """What an answer says: its body, how digests are cut, the last span looked at."""

    body: bytes
    size: int
    reached: int


def answer_question(question: Question, trees: Trees, *, stream: str, correlation: bytes, origin: str) -> CheckAnswer:
    """The answer to ``question``; raises `Refused` for a question that makes no sense."""
    if question.op == "root":
        return _answer_root(question, trees, stream, correlation, origin)
    view = trees.view(question.tree)
    if question.op == "nodes":
        piece = _compare_nodes(question, view, correlation)
    else:
        piece = _compare_rows(question, trees, view, correlation)
    return CheckAnswer(
        stream,
        correlation,
        question.op,
        origin,
        piece.body,
        tree=question.tree,
        size=piece.size,
        reached=piece.reached,
    )


def _answer_root(question: Question, trees: Trees, stream: str, correlation: bytes, origin: str) -> CheckAnswer:
    asked: list[TreeName] = ["archive", "summary"] if len(question.payload) > ROOT_BYTES else ["archive"]
    sums = {name: trees.view(name).root() for name in asked}
    roots = {name: each.digest(correlation) for name, each in sums.items()}
    theirs = {name: question.payload[n * ROOT_BYTES : (n + 1) * ROOT_BYTES] for n, name in enumerate(asked)}
    differs = next((name for name in asked if roots[name] != theirs[name]), None)
    body, size = b"", 8
    if differs:
        spans = _by_parent(trees.view(differs).tops())
        size = size_for(len(spans))
        body = encode_digests(spans, nonce=correlation, size=size)
    return CheckAnswer(
        stream,
        correlation,
        "root",
        origin,
        body,
        tree=differs,
        size=size,
        count=sums["archive"].count,
        roots={"archive": roots["archive"], "summary": roots.get("summary", NOTHING.digest(correlation))},
    )


def _by_parent(children: dict[int, Sum]) -> dict[int, dict[int, Sum]]:
    parents: dict[int, dict[int, Sum]] = {}
    for child, each in children.items():
        parents.setdefault(child >> STEP, {})[child] = each
    return parents


def _compare_nodes(question: Question, view: View, nonce: bytes) -> _Piece:
    """The leaves of every span of 36 hours that isn't as the question says, one span of 48 days after the other."""
    asked = decode_digests(question.payload, size=question.size)
    found, reached = _differing_nodes(asked, question.size, view, nonce)
    spans = {node: view.children(NODE - STEP, node) for node in found}
    size = size_for(len(spans))
    return _Piece(encode_digests(spans, nonce=nonce, size=size), size, reached)


def _differing_nodes(asked: Digests, size: int, view: View, nonce: bytes) -> tuple[list[int], int]:
    found: list[int] = []
    reached = 0
    most = MAX_LIST_BYTES // 72  # each with 32 digests of two bytes
    for top, theirs in asked.items():
        ours = digests_of(view.children(TOP - STEP, top), nonce=nonce, size=size)
        nodes = differing(ours.keys() | theirs.keys(), ours, theirs)
        if found and len(found) + len(nodes) > most:
            break
        found += nodes
        reached = top
    return found, reached


def _compare_rows(question: Question, trees: Trees, view: View, nonce: bytes) -> _Piece:
    """The rows that the copy lacks or has otherwise, and the times of those that only the copy has."""
    asked = decode_rows(question.payload, size=question.size)
    most = MOST_ROWS
    while True:
        wanted: list[int] = []
        gone: list[int] = []
        reached = 0
        for leaf, theirs in islice(asked.items(), MOST_DAYS if question.tree == "summary" else MOST_LEAVES):
            ours = {time: row_mark(row_hash, nonce=nonce, size=question.size) for time, row_hash in view.entries(leaf)}
            if wanted and len(wanted) + len(ours) > most:
                break
            wanted += differing(ours, ours, theirs)
            gone += sorted(theirs.keys() - ours.keys())
            reached = leaf
        body = _rows_body(question.tree, trees, wanted, gone)
        if len(body) <= question.max_bytes or len(asked) == 1:
            return _Piece(body, 8, reached)
        if most == 1:
            raise Refused(Reason.SIZE, "the rows of one leaf don't fit a message")
        most = max(1, most // 2)


def _rows_body(tree: TreeName, trees: Trees, wanted: Sequence[int], gone: Iterable[int]) -> bytes:
    tables = [trees.read_rows(tree, wanted), Table.from_rows("gone", GONE, [(time,) for time in gone])]
    return compress(encode_tables(tables))
