"""What a peer answers to those who compare their trees with its own (`questions`). It remembers nothing of them.

An answer goes nowhere but below ``<exchange>/samesky/answer/``, whatever a question's response topic says, is never
longer than 64 KiB, and costs a bounded look at the index; who asks too often is told to wait.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from ..core.strict import Reason, Refused, check_properties, check_topic_level
from ..core.timetree import Sum
from ..errors import SameskyError
from ..link.message import Message
from .announcement import Entry
from .directory_sums import DirectorySums, TreeSums, mark_of
from .index import join_path
from .questions import (
    CONTENT_TYPE,
    ROOM_BYTES,
    Answer,
    DirectoryAnswer,
    DirectoryQuestion,
    FilesAnswer,
    FilesQuestion,
    Question,
    decode_question,
    encode_answer,
    most_size,
    text_size,
)
from .tree_view import TreeView

_log = logging.getLogger(__name__)

MOST_READ = 2000
"""Entries that are looked at for one answer."""
PAGE = 200
ANSWERS_A_SECOND = 100.0
MOST_AT_ONCE = 200.0
MOST_ASKERS = 1000
MOST_CORRELATION_BYTES = 64
BUSY_S = 2
ANSWER_EXPIRY_S = 60
_DIRECTORY_BYTES, _CHILD_BYTES = 160, 48
"""What a directory and each child take in an answer, besides their names."""


def ask_topic(exchange: str) -> str:
    """Where questions go."""
    return f"{exchange}/samesky/ask"


def answer_topic(exchange: str, client_id: str) -> str:
    """Where the answers to the questions of this client go. Raises `Refused` for an id that can't be in a topic."""
    return f"{exchange}/samesky/answer/{check_topic_level(client_id)}"


@dataclass(slots=True)
class _Budget:
    """What one asker may still ask: a bucket that fills up with time."""

    left: float = MOST_AT_ONCE
    at: float = 0.0

    def take(self, now: float) -> bool:
        self.left = min(MOST_AT_ONCE, self.left + max(0.0, now - self.at) * ANSWERS_A_SECOND)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


@dataclass(slots=True)
class Answering:
    """Answers questions about ``tree``, which is that of ``node`` (its id), served at ``base_url``."""

    tree: TreeView
    node: str
    base_url: str = ""
    exchange: str = "xpublic"
    clock: Callable[[], float] = time.monotonic
    sums: TreeSums | None = None
    """Of ``tree``; may be shared with its comparisons."""
    answered: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    """Questions that weren't answered, by reason."""
    _all: _Budget = field(default_factory=_Budget)
    _askers: OrderedDict[str, _Budget] = field(default_factory=OrderedDict)

    def on_ask(self, message: Message) -> Message | None:
        """The answer to ``message``; None when it is our own, for another, or can't be answered. Raises nothing."""
        try:
            return self._on_ask(message)
        except Refused as refusal:
            self._count(refusal.reason)
            _log.debug("mesh_question_refused reason=%s words=%r", refusal.reason, str(refusal))
        except SameskyError as error:
            self._count(error.code)
            _log.warning("mesh_question_unanswered error=%r", str(error))
        return None

    def _on_ask(self, message: Message) -> Message | None:
        response_topic, correlation = self._check_return(message)
        question = decode_question(message.payload)
        if question.node == self.node or (question.to and question.to != self.node):
            return None
        if self._may_ask(response_topic):
            answer = self._answer(question, correlation)
            self.answered += 1
        else:
            self._count("busy")
            answer = Answer(self.node, busy_s=BUSY_S)
        payload = encode_answer(answer)
        return Message(
            response_topic, payload, correlation=correlation, content_type=CONTENT_TYPE, expiry_s=ANSWER_EXPIRY_S
        )

    def _check_return(self, message: Message) -> tuple[str, bytes]:
        """Where the answer goes, and under what; raises `Refused`."""
        check_properties(message.properties)
        topic, correlation = message.response_topic or "", message.correlation or b""
        prefix = answer_topic(self.exchange, "x")[:-1]
        if not topic.startswith(prefix):
            raise Refused(Reason.REPLYTO, "a question whose answer is wanted elsewhere")
        try:
            check_topic_level(topic.removeprefix(prefix))
        except Refused:
            raise Refused(Reason.REPLYTO, "a question whose answer is wanted elsewhere") from None
        if not 1 <= len(correlation) <= MOST_CORRELATION_BYTES:
            raise Refused(Reason.UNCORRELATED, "a question without correlation data, or with too much")
        return topic, correlation

    def _may_ask(self, asker: str) -> bool:
        now = self.clock()
        budget = self._askers.pop(asker, None) or _Budget(at=now)
        self._askers[asker] = budget
        if len(self._askers) > MOST_ASKERS:
            self._askers.popitem(last=False)
        return budget.take(now) and self._all.take(now)

    def _count(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def _answer(self, question: Question, correlation: bytes) -> Answer:
        if question.files:
            files = tuple(self._tell_files(question, correlation[:64]))
            return Answer(self.node, self.base_url, self.tree.newest, files=files)
        directories = tuple(self._tell_directories(question))
        return Answer(self.node, self.base_url, self.tree.newest, directories=directories)

    # ------------------------------------------------------------------ directories

    def _tell_directories(self, question: Question) -> Iterator[DirectoryAnswer]:
        if self.sums is None:
            self.sums = TreeSums(self.tree)
        sums = self.sums.read()
        room = ROOM_BYTES - text_size(self.base_url)
        for number, asked in enumerate(question.directories):
            room -= _DIRECTORY_BYTES + text_size(asked.path)
            if room < 0 and number:
                return
            whole = sums.whole(asked.path)
            if whole == asked.expected and not asked.after:
                yield DirectoryAnswer(asked.path, whole)
                continue
            told = _tell_directory(sums, asked, room)
            if told.more and number:  # it may do with an answer of its own
                return
            yield told
            room -= sum(_CHILD_BYTES + text_size(name) for name, _ in told.children)

    # ------------------------------------------------------------------ files

    def _tell_files(self, question: Question, nonce: bytes) -> Iterator[FilesAnswer]:
        room = ROOM_BYTES - text_size(self.base_url)
        left = MOST_READ
        for number, asked in enumerate(question.files):
            room -= _DIRECTORY_BYTES + text_size(asked.path) + len(asked.marks) // 5
            if number and (room < 0 or left <= 0):
                return
            page = _FilesPage(asked, room, left, nonce)
            page.read(self.tree)
            if page.reached == asked.after and page.cut:  # not even one: the rest is for the next answer
                return
            yield page.tell()
            if page.cut:
                return
            room, left = page.room, page.left


def _tell_directory(sums: DirectorySums, asked: DirectoryQuestion, room: int) -> DirectoryAnswer:
    """As many children as there is room for, at least one."""
    children: list[tuple[str, Sum]] = []
    more = False
    for path in sums.children(asked.path):
        name = path.rpartition("/")[2]
        if name <= asked.after:
            continue
        room -= _CHILD_BYTES + text_size(name)
        if room < 0 and children:
            more = True
            break
        children.append((name, sums.whole(path)))
    return DirectoryAnswer(asked.path, sums.whole(asked.path), sums.files(asked.path), tuple(children), more)


@dataclass(slots=True)
class _FilesPage:
    """What is told of one directory's files: those that the asker's marks aren't of, while there is room."""

    asked: FilesQuestion
    room: int
    left: int
    """Entries that may still be looked at."""
    nonce: bytes
    reached: str = ""
    """The last name that was looked at."""
    cut: bool = False
    """Whether there are more behind it."""
    _places: dict[bytes, int] = field(default_factory=dict)
    _entries: list[Entry] = field(default_factory=list)

    def read(self, tree: TreeView) -> None:
        """Read what is to be told."""
        self.reached = self.asked.after
        self._places = {mark: place for place, mark in enumerate(self.asked.marks)}
        while not self.cut:
            after = join_path(self.asked.path, self.reached) if self.reached else ""
            limit = min(PAGE, self.left + 1)
            entries = tree.entries(self.asked.path, after=after, limit=limit)
            for entry in entries:
                name = entry.path.rpartition("/")[2]
                if self.asked.upto and name > self.asked.upto:
                    return
                if not self._take(entry):
                    self.cut = True
                    return
                self.reached = name
            if len(entries) < limit:
                return

    def _take(self, entry: Entry) -> bool:
        """Look at ``entry``; False when it has to wait for the next answer."""
        if self.left <= 0:
            return False
        self.left -= 1
        if entry.state == "pruned":
            return True
        if self._places.pop(mark_of(entry, nonce=self.nonce), None) is not None:
            return True
        size = most_size(entry)
        if size > ROOM_BYTES // 2:  # no message has room for all that was passed along with it
            entry = replace(entry, extra={})
            size = most_size(entry)
        if size > self.room:
            return False
        self.room -= size
        self._entries.append(entry)
        return True

    def tell(self) -> FilesAnswer:
        """What was read."""
        absent = frozenset(self._places.values())
        return FilesAnswer(self.asked.path, self.reached if self.cut else "", absent, tuple(self._entries))
