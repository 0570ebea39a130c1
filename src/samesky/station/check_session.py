"""The copy's half of one check: what to ask next, and what the answers say is to be done. It reads sums, nothing else.

A session goes from the root to the rows, one span of time after the other, so that it needs little memory however much
differs. What is found is handed out answer by answer; whether the two sides are the same then, only another session's
root can say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..core.columns import MAX_TABLES_BYTES, Table, decode_tables
from ..core.strict import Reason, Refused, inflate
from ..core.timetree import LEAF, NODE, STEP, Entry, Sum, View
from ..core.treelists import (
    decode_digests,
    differing,
    digests_of,
    encode_digests,
    encode_rows,
    size_for,
    size_for_rows,
)
from .check_answers import GONE, MOST_DAYS, MOST_LEAVES, MOST_ROWS
from .check_messages import CheckAnswer
from .check_question import Question, TreeName
from .schema import SUMMARY_COLUMNS

MOST_TOPS = 200
MOST_ENTRIES = 13_900


@dataclass(frozen=True, slots=True)
class Repair:
    """What one answer says is to be done at the copy: write these rows, delete those of these times.

    For ``summary``, ``rows`` replaces everything there is of the days in it, and ``gone`` are days.
    """

    tree: TreeName
    rows: Table
    gone: tuple[int, ...]

    @property
    def times(self) -> tuple[int, ...]:
        """The times of ``rows``, in order; for ``summary`` the days that they are about."""
        return tuple(sorted({int(str(time)) for time in self.rows.column("dateTime")}))


@dataclass(slots=True)
class _Task:
    """Spans that are still to be asked about: ``nodes`` of spans of 48 days, or ``rows`` of leaves."""

    tree: TreeName
    op: str
    spans: list[int]


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: see `Question`."""

    columns: tuple[str, ...] = ()
    observations: tuple[str, ...] = ()
    summaries: bool = True


@dataclass(slots=True)
class CheckSession:
    """One check up to ``until``. Ask `next_question` until it is None; give every answer to `on_answer`."""

    views: Mapping[TreeName, View]
    until: int
    scope: Scope = Scope()
    same: bool | None = None
    """Whether both roots were equal; None before that is known."""
    differs: tuple[TreeName, ...] = ()
    """The trees whose roots weren't. A session looks into the first of them."""
    count: int = 0
    """Records up to ``until`` at the primary, as it said."""
    suspect: bool = False
    """Whether a span differed though none of its parts did: the answers don't fit together."""
    rounds: int = 0
    _tree: TreeName = "archive"
    _tasks: list[_Task] = field(default_factory=list)
    _asked: list[int] = field(default_factory=list)
    _op: str = ""
    _nonce: bytes = b""

    def next_question(self, correlation: bytes) -> Question | None:
        """The next question, to be sent under ``correlation``; None when there is nothing more to ask."""
        self._nonce = correlation
        if self.same is None:
            self._op = "root"
            return self._question(b"".join(self._roots().values()))
        if not self._tasks:
            return None
        task = self._tasks[-1]
        self._op, self._tree = task.op, task.tree
        return self._ask_nodes(task.spans) if task.op == "nodes" else self._ask_rows(task.spans)

    def on_answer(self, answer: CheckAnswer) -> Repair | None:
        """Take the answer to the last question; returns what it says is to be done. Raises `Refused`."""
        if answer.op != self._op:
            raise Refused(Reason.UNCORRELATED, "an answer to another question")
        self.rounds += 1
        if answer.op == "root":
            self._on_root(answer)
            return None
        if answer.tree != self._tree:
            raise Refused(Reason.SHAPE, "an answer about another tree")
        repair = None
        rest = [span for span in self._asked if span > answer.reached]
        if len(rest) == len(self._asked):
            raise Refused(Reason.SHAPE, "an answer that answers nothing")
        found: list[int] = []
        if answer.op == "nodes":
            found = self._read_leaves(answer)
        else:
            repair = self._read_repair(answer)
        self._finish_task(rest)
        if found:
            self._tasks.append(_Task(self._tree, "rows", found))
        return repair

    @classmethod
    def of_rows(
        cls, views: Mapping[TreeName, View], until: int, scope: Scope, leaves: Mapping[TreeName, Sequence[int]]
    ) -> "CheckSession":
        """A session that compares the rows of these ``leaves`` themselves, whatever the sums say of them.

        It ends with ``same`` True, unless an answer says that something is to be done.
        """
        session = cls(views, until, scope, same=True)
        session._tasks = [_Task(tree, "rows", sorted(each)) for tree, each in leaves.items() if each]
        return session

    @classmethod
    def of_spans(
        cls, views: Mapping[TreeName, View], until: int, scope: Scope, tree: TreeName, tops: Sequence[int]
    ) -> "CheckSession":
        """A session that looks for what differs in these spans of 48 days, without asking for the roots."""
        session = cls(views, until, scope, same=False)
        session._tasks = [_Task(tree, "nodes", sorted(tops))] if tops else []
        return session

    # ------------------------------------------------------------------ asking

    def _roots(self) -> dict[TreeName, bytes]:
        names: list[TreeName] = ["archive", "summary"] if self.scope.summaries else ["archive"]
        return {name: self.views[name].root().digest(self._nonce) for name in names}

    def _ask_nodes(self, tops: Sequence[int]) -> Question:
        self._asked = list(tops[:MOST_TOPS])
        size = size_for(len(self._asked))
        spans: dict[int, dict[int, Sum]] = {top: self._view.children(NODE, top) for top in self._asked}
        return self._question(encode_digests(spans, nonce=self._nonce, size=size), size)

    def _ask_rows(self, leaves: Sequence[int]) -> Question:
        chosen: dict[int, Sequence[Entry]] = {}
        entries = 0
        for leaf in leaves[: MOST_DAYS if self._tree == "summary" else MOST_LEAVES]:
            rows = self._view.entries(leaf)
            if chosen and entries + len(rows) > MOST_ENTRIES:
                break
            chosen[leaf] = rows
            entries += len(rows)
        self._asked = list(chosen)
        size = size_for_rows(entries, len(chosen))
        return self._question(encode_rows(chosen, nonce=self._nonce, size=size), size)

    def _question(self, payload: bytes, size: int = 8) -> Question:
        return Question(
            op=self._op,
            until=self.until,
            payload=payload,
            tree=self._tree,
            size=size,
            columns=self.scope.columns,
            observations=self.scope.observations,
        )

    @property
    def _view(self) -> View:
        return self.views[self._tree]

    # ------------------------------------------------------------------ answers

    def _on_root(self, answer: CheckAnswer) -> None:
        assert answer.roots is not None
        ours = self._roots()
        self.count = answer.count
        self.differs = tuple(name for name, digest in ours.items() if answer.roots[name] != digest)
        self.same = not self.differs
        if self.same:
            return
        self._tree = self.differs[0]
        if answer.tree != self._tree:
            raise Refused(Reason.SHAPE, "an answer that says nothing of the tree that differs")
        theirs = {
            top: digest
            for span in decode_digests(answer.body, size=answer.size).values()
            for top, digest in span.items()
        }
        mine = digests_of(self._view.tops(), nonce=self._nonce, size=answer.size)
        tops = differing(mine.keys() | theirs.keys(), mine, theirs)
        self.suspect = not tops
        if tops:
            self._tasks.append(_Task(self._tree, "nodes", tops))

    def _read_leaves(self, answer: CheckAnswer) -> list[int]:
        found: list[int] = []
        for node, theirs in decode_digests(answer.body, size=answer.size).items():
            if node >> STEP not in self._asked:
                raise Refused(Reason.SHAPE, "an answer about a span that wasn't asked for")
            mine = digests_of(self._view.children(LEAF, node), nonce=self._nonce, size=answer.size)
            found += differing(mine.keys() | theirs.keys(), mine, theirs)
        self.suspect = self.suspect or not found
        return found

    def _read_repair(self, answer: CheckAnswer) -> Repair:
        tables = {
            table.name: table
            for table in decode_tables(inflate(answer.body, max_bytes=MAX_TABLES_BYTES), max_rows=MOST_ROWS * 128)
        }
        rows, gone = tables.get(self._tree), tables.get("gone")
        if rows is None or gone is None or gone.columns != GONE:
            raise Refused(Reason.SHAPE, "an answer without its tables")
        if self._tree == "summary" and rows.columns != SUMMARY_COLUMNS:
            raise Refused(Reason.SHAPE, "the summary's columns are not those of version 2")
        repair = Repair(self._tree, rows, _times(gone))
        self.same = self.same and not (rows.count or repair.gone)
        asked = set(self._asked)
        if not {time >> LEAF for time in (*_times(rows), *repair.gone)} <= asked:
            raise Refused(Reason.SHAPE, "an answer about rows that weren't asked for")
        return repair

    def _finish_task(self, rest: Sequence[int]) -> None:
        """Take what was answered off the task; what was asked but not reached stays."""
        task = self._tasks[-1]
        answered = set(self._asked) - set(rest)
        task.spans = [span for span in task.spans if span not in answered]
        if not task.spans:
            self._tasks.pop()


def _times(table: Table) -> tuple[int, ...]:
    """The whole numbers of the column ``dateTime``; refuses a table without it, or with something else in it."""
    try:
        times = table.column("dateTime")
    except KeyError:
        raise Refused(Reason.REQUIRED, "a table of rows without their times") from None
    if not all(type(time) is int for time in times):
        raise Refused(Reason.TYPE, "a time that is no whole number")
    return tuple(time for time in times if isinstance(time, int))
