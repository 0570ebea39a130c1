"""The brains of a primary and its copy, each over a table in memory: everything of a station but files and threads.

`Primary` and `Copy` do what `serving`, `following` and `checks` do around the same brains, as simply as it can be done.
A process may end between any two things that it does; its `Database` outlives it. What a copy writes, deletes and
proves is told to a `Judge`.
"""

import marshal
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from samesky.core.columns import Kind
from samesky.link.message import Message
from samesky.station.check_answers import answer_question
from samesky.station.check_messages import CheckAnswer, encode_check
from samesky.station.check_question import TreeName
from samesky.station.check_session import CheckSession, Repair
from samesky.station.checker import Apply, AskCheck, CheckAction, Checker, Delete, Hold, Proven
from samesky.station.description import Description, encode_description
from samesky.station.messages import (
    ErrorAnswer,
    Incoming,
    LiveRoot,
    PageAnswer,
    RecordMessage,
    SummaryMessage,
    decode_answer,
    decode_live,
    decode_summary,
    encode_page,
    encode_record,
    encode_summary,
)
from samesky.station.requester import Action, Ask, Asking, Insert, Prepare, PutSummary, Requester, Store
from samesky.station.requests import Request
from samesky.station.responder import Responder, Throttle

from .brain_tables import Database, Row, Trees, day_of
from .history import Crash
from .small_network import Network

STREAM = "home/wx_binding"
REQUESTS = "replicate/request/home"
ANSWERS = "replicate/response/copy"
LIVE = "replicate/archive"
SUMMARIES = "replicate/archive/summary"
PAGE_TYPE = "test/marshal"
KINDS: dict[str, dict[str, Kind]] = {STREAM: {}}
CHECK_INTERVAL_S = 1800.0
UNTIL_CAUGHT_UP_S = 30.0


class Judge(Protocol):
    """Who hears of everything that a copy does by itself."""

    def writes(self, tree: TreeName, time: int, row: Row) -> None: ...

    def deletes(self, tree: TreeName, times: Sequence[int], allowed: int) -> None: ...

    def begins(self, until: int) -> None: ...

    def mends(self, tree: TreeName, times: Sequence[int]) -> None:
        """A check writes the rows of these times."""

    def ends(self) -> None:
        """A check has found something, and all of it is mended."""

    def proves(self, proof: Proven) -> None: ...


class Surroundings(Protocol):
    """The world, as the processes in it see it."""

    network: Network
    trouble: bool
    """Whether things go wrong now."""
    patient: bool
    """Whether a person allows what was held."""
    checks: bool
    """Whether the copy checks itself."""
    primary_data: Database
    copy_data: Database
    judge: Judge
    draw: Callable[[], float]
    """Numbers from 0 to 1."""


class Process:
    """What both sides have."""

    name = ""

    def __init__(self, world: Surroundings) -> None:
        self.world = world
        self.now = world.network.now

    def publish(self, message: Message) -> None:
        self.world.network.publish(self.name, message)

    def happens(self, chance: float) -> bool:
        """Whether something goes wrong here."""
        return self.world.trouble and self.world.draw() < chance


class Primary(Process):
    """`Responder`, and answers to checks."""

    name = "primary"

    def __init__(self, world: Surroundings) -> None:
        super().__init__(world)
        self.data = world.primary_data
        self.brain = Responder([STREAM], throttle=Throttle())
        self._due = math.inf

    def next_time(self) -> float:
        return self._due

    def on_connected(self, now: float) -> None:
        """Nothing is to be said."""

    def on_disconnected(self) -> None:
        self.brain.forget()
        self._due = math.inf

    def on_message(self, message: Message, now: float) -> None:
        answer = self.brain.on_request(message, now)
        if answer is not None:
            self.publish(answer)
        elif self.happens(0.05):
            self._due = now + 1.0  # it has other things to do
        else:
            self.on_tick(now)

    def on_tick(self, now: float) -> None:
        """Answer what was asked."""
        self._due = math.inf
        while job := self.brain.next_job(now):
            if self.happens(0.005):
                raise Crash
            self.brain.on_done(job)
            self.publish(self.answer(job.request))

    def publish_record(self, time: int) -> None:
        row = self.data.records.rows.get(time)
        if row is None:
            return
        newest = self.data.position
        previous = max((other for other in self.data.records.rows if other < time), default=0)
        root = LiveRoot.of(newest, self.data.view("archive", newest).root())
        record = {"dateTime": time, "usUnits": 1, "interval": 5, "outTemp": row[0], "rain": row[1]}
        self.publish(encode_record(LIVE, STREAM, record, qos=1, previous=previous, origin=self.data.origin, root=root))
        body = marshal.dumps(self._days([newest]))
        self.publish(encode_summary(SUMMARIES, SummaryMessage(STREAM, newest, self.data.origin, body), qos=1))

    def answer(self, request: Request) -> Message:
        if self.happens(0.03) and (busy := self.brain.error(request, "busy")):
            return busy
        if request.question is not None:
            correlation = request.correlation or b""
            trees = Trees(self.data, request.question.until)
            answer = answer_question(
                request.question, trees, stream=STREAM, correlation=correlation, origin=self.data.origin
            )
            return encode_check(request, answer, qos=1)
        if request.op == "describe":
            return encode_description(request, self._describe(), qos=1)
        return encode_page(request, self._page(request), qos=1)

    def _page(self, request: Request) -> PageAnswer:
        records = self.data.records.rows
        size = (1, 7, 100)[int(self.world.draw() * 3)]
        times = sorted(time for time in records if time > request.after)[:size]
        return PageAnswer(
            stream=STREAM,
            correlation=request.correlation or b"",
            after=request.after,
            count=len(times),
            last=times[-1] if times else request.after,
            newest=self.data.position,
            origin=self.data.origin,
            content_type=PAGE_TYPE,
            body=marshal.dumps([[[time, *records[time]] for time in times], self._days(times)]),
        )

    def _days(self, times: Sequence[int]) -> list[list[float]]:
        days = self.data.days.rows
        return [[day, *days[day]] for day in sorted({day_of(time) for time in times}) if day in days]

    def _describe(self) -> Description:
        records = self.data.records.rows
        first, last = min(records, default=None), max(records, default=None)
        return Description((), (), 1, 300, (), len(records), first, last, self.data.origin, (PAGE_TYPE,))


class Copy(Process):
    """`Requester` and `Checker`, side by side."""

    name = "copy"

    def __init__(self, world: Surroundings) -> None:
        super().__init__(world)
        self.data, self.judge = world.copy_data, world.judge
        asking = Asking(ANSWERS, (REQUESTS, "replicate/request"))
        self.requester = Requester(STREAM, self.data.position, asking=asking, random=world.draw)
        self.checker = Checker(STREAM, topic=REQUESTS, reply_to=ANSWERS, random=world.draw, interval_s=CHECK_INTERVAL_S)
        self._ends = self._count_ends()

    def next_time(self) -> float:
        return min(self.requester.next_time(), self.checker.next_time())

    def on_connected(self, now: float) -> None:
        self.now = now
        self.do(self.requester.on_connected(now))
        if self.world.checks:
            self.checker.on_connected(now)

    def on_disconnected(self) -> None:
        self.requester.on_disconnected()
        self.checker.on_disconnected()

    def on_tick(self, now: float) -> None:
        self.now = now
        self.do(self.requester.on_tick(now))
        if self.checker.wants_to_begin(now):
            self.begin_check(now)
        else:
            self.do_check(self.checker.on_tick(now))

    def on_message(self, message: Message, now: float) -> None:
        self.now = now
        self.take(self._decode(message, now), now)

    def _decode(self, message: Message, now: float) -> Incoming:
        if message.topic == SUMMARIES:
            return decode_summary(message, now=now)
        return (decode_live if message.topic == LIVE else decode_answer)(message, KINDS, now=now)

    def take(self, message: Incoming, now: float) -> None:
        match message:
            case CheckAnswer():
                self.do_check(self.checker.on_answer(message, now))
            case ErrorAnswer() if self.checker.awaits(message.correlation):
                self.checker.on_error(message, now)
            case _:
                self.do(self.requester.on_message(message, now))
        if isinstance(message, RecordMessage) and message.root is not None:
            self.compare_root(message.root, now)

    # ------------------------------------------------------------------ what is new

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            if self.happens(0.005):
                raise Crash
            if isinstance(action, Store | Insert) and self.happens(0.02):
                self.requester.on_failed(self.data.position, "disk full", self.now)
                return
            self.do_one(action)

    def do_one(self, action: Action) -> None:
        match action:
            case Ask(message):
                self.publish(message)
            case Prepare(description):
                self.do(
                    self.requester.on_prepared(
                        description,
                        position=self.data.position,
                        accepts=(PAGE_TYPE,),
                        summaries=True,
                        now=self.now,
                    )
                )
            case Store(page):
                records, days = marshal.loads(page.body)
                for time, *row in records:
                    self.insert(time, (row[0], row[1]))
                self.put_days(days)
            case Insert(message):
                record = message.record
                self.insert(int(record["dateTime"]), (record["outTemp"], record["rain"]))
            case PutSummary(summary):
                if summary.through == self.data.position:
                    self.put_days(marshal.loads(summary.body))

    def insert(self, time: int, row: Row) -> None:
        if time not in self.data.records.rows:
            self.write("archive", time, row)

    def put_days(self, days: list[list[Any]]) -> None:
        for day, *row in days:
            self.write("summary", day, (row[0], row[1]))

    def write(self, tree: TreeName, time: int, row: Row) -> None:
        self.judge.writes(tree, time, row)
        self.data.put(tree, time, row)

    # ------------------------------------------------------------------ what differs

    def compare_root(self, said: LiveRoot, now: float) -> None:
        """See whether the copy is as the primary was when it sent a live record."""
        if self.requester.caught_up and said.until <= self.requester.taken:
            ours = LiveRoot.of(said.until, self.data.view("archive", said.until).root())
            self.checker.on_live_root(ours == said, now)

    def begin_check(self, now: float) -> None:
        until = max(self.requester.taken, self.data.position)
        if not self.requester.caught_up or not until:
            self.checker.postpone(now, UNTIL_CAUGHT_UP_S)
            return
        self.judge.begins(until)
        self.do_check(self.checker.begin(CheckSession(self.data.views(until), until), now))

    def do_check(self, actions: list[CheckAction]) -> None:
        ended = self._has_ended(actions)
        for action in actions:
            if self.happens(0.01):
                raise Crash
            if isinstance(action, Apply | Delete) and self.happens(0.02):
                self.checker.give_up("disk full", self.now)
                return
            self.do_check_action(action)
        if ended:
            self.judge.ends()

    def _has_ended(self, actions: list[CheckAction]) -> bool:
        """Whether a check has come to its end with a difference, and all of it is to be mended now."""
        before, self._ends = self._ends, self._count_ends()
        (different, given_up), (different_before, given_up_before) = self._ends, before
        held = any(isinstance(action, Hold) for action in actions)
        return different > different_before and given_up == given_up_before and not held

    def _count_ends(self) -> tuple[int, int]:
        return self.checker.counts["different"], self.checker.counts["given up"]

    def do_check_action(self, action: CheckAction) -> None:
        match action:
            case AskCheck(message):
                self.publish(message)
            case Apply(repair):
                self.apply(repair)
            case Delete(tree, times):
                self.judge.deletes(tree, times, self.checker.allowed_deletions)
                for time in times:
                    if time in self.data.tables[tree].rows:
                        self.data.remove(tree, time)
            case Hold(count):
                if self.world.patient:
                    self.checker.allowed_deletions = count
                    self.checker.release(self.now)
            case Proven():
                self.judge.proves(action)

    def apply(self, repair: Repair) -> None:
        first, second = ("outTemp", "rain") if repair.tree == "archive" else ("max", "count")
        table = repair.rows
        self.judge.mends(repair.tree, [time for time in table.column("dateTime") if isinstance(time, int)])
        for time, one, two in zip(table.column("dateTime"), table.column(first), table.column(second), strict=True):
            self.write(repair.tree, time, (one, two))  # type: ignore[arg-type]
