"""The responder's part in checks: the sums of what it serves, the roots it tells, and the answers to questions.

The trees of all columns are kept up whether anybody asks or not, for their root goes with every live record. A copy
that lacks columns, or has other units, asks for trees of its own; they are made when it first asks.
"""

from collections.abc import Callable

from ..core.strict import FUTURE_LIMIT_S, Reason, Refused
from ..core.timetree import Sum
from .archive import Archive
from .check_answers import answer_question
from .check_messages import CheckAnswer
from .check_question import Question
from .days import start_of_archive_day
from .messages import LiveRoot
from .requests import Request
from .stream_trees import AnsweringTrees, StreamTrees
from .tree_store import TreeStore

MOST_SCOPES = 3
NO_TABLE_PAUSE_S = 1.0

_Scope = tuple[tuple[str, ...], tuple[str, ...]]


class Answering:
    """The trees of one stream. Belongs to the responder's thread, which passes its open archive to each call."""

    def __init__(
        self, store: TreeStore, stream: str, *, clock: Callable[[], float], timer: Callable[[], float]
    ) -> None:
        self._store, self._stream = store, stream
        self._clock, self._timer = clock, timer
        self._scopes: dict[_Scope, StreamTrees] = {}
        self._position = 0
        self._paused_until = 0.0
        self._changes = 0

    def on_record(self, archive: Archive, timestamp: int) -> None:
        """The station has archived a record; one that is older than its newest changes sums that are made already."""
        if timestamp < archive.read_position(self._clock()):
            for trees in self._scopes.values() or (self._usual(archive),):
                trees.mark_dirty("archive", [timestamp])
                trees.mark_dirty("summary", [start_of_archive_day(timestamp)])

    def live_root(self, archive: Archive) -> LiveRoot | None:
        """What to tell of all records up to the newest; None while the sums aren't made."""
        return self._usual(archive).live_root(archive, archive.read_position(self._clock()))

    def root(self, archive: Archive, until: int) -> Sum | None:
        """The sum of all records up to ``until``; None while it isn't made."""
        trees = self._usual(archive)
        return trees.view("archive", until).root() if trees.refresh(archive, until) else None

    def answer(self, request: Request, question: Question, archive: Archive, origin: str) -> CheckAnswer | None:
        """The answer to a question; None while the sums it needs aren't made. Raises `Refused`."""
        until = min(question.until, int(self._clock()) + FUTURE_LIMIT_S)
        trees = self._trees(archive, question)
        if not trees.refresh(archive, until):
            return None
        if question.op == "rows":
            archive.forget_pages()  # a byte that has flipped on the disk is no news to SQLite's memory
        return answer_question(
            question,
            AnsweringTrees(trees, archive, until),
            stream=request.stream,
            correlation=request.correlation or b"",
            origin=origin,
        )

    def work(self, archive: Archive) -> None:
        """Do a slice of what is due; call it when nothing else is."""
        if not archive.read_columns():  # weewxd hasn't made its table yet
            self._paused_until = self._timer() + NO_TABLE_PAUSE_S
            return
        self._usual(archive)
        self._position = archive.read_position(self._clock())
        for trees in self._scopes.values():
            trees.work(archive, self._position)

    def take_change(self) -> bool:
        """Whether somebody has changed older rows since the last call."""
        changes = sum(trees.changes for trees in self._scopes.values())
        is_new, self._changes = changes > self._changes, changes
        return is_new

    def next_time(self) -> float:
        """When `work` has something to do, by the timer."""
        return min((trees.next_time(self._position) for trees in self._scopes.values()), default=self._paused_until)

    def save(self) -> None:
        """Save what is new, at the end."""
        for trees in self._scopes.values():
            trees.save()

    def _usual(self, archive: Archive) -> StreamTrees:
        """The trees of all columns and all daily summaries."""
        return self._of_scope(
            tuple(sorted(column.name for column in archive.read_columns())),
            tuple(sorted(archive.read_summary_kinds())),
        )

    def _trees(self, archive: Archive, question: Question) -> StreamTrees:
        usual = self._usual(archive)
        if not question.columns and not question.observations:
            return usual
        if not _has(usual, question):
            archive.forget_schema()  # it may have been added since
            usual = self._usual(archive)
        if not _has(usual, question):  # sums of what isn't there would be made for nothing
            raise Refused(Reason.COLUMN, "a question about a column or a daily summary that isn't here")
        columns = tuple(sorted({*(question.columns or usual.columns), "dateTime"}))
        return self._of_scope(columns, question.observations or usual.observations)

    def _of_scope(self, columns: tuple[str, ...], observations: tuple[str, ...]) -> StreamTrees:
        scope = (columns, observations)
        trees = self._scopes.pop(scope, None) or StreamTrees(
            self._store, self._stream, columns, observations, owner=True, timer=self._timer, clock=self._clock
        )
        self._scopes[scope] = trees
        while len(self._scopes) > MOST_SCOPES:  # the one that was used longest ago
            self._scopes.pop(next(iter(self._scopes))).save()
        return trees


def _has(trees: StreamTrees, question: Question) -> bool:
    """Whether there is all that the question is about."""
    return {*question.columns} <= {*trees.columns} and {*question.observations} <= {*trees.observations}
