"""The thread around the responder's brain: reads databases, publishes, acknowledges, and decides nothing.

One thread does it all, in this order: what came in, live records, then one piece of a waiting answer. So a live record
waits for one page at most, and whoever calls `Serving.publish_record` waits for nothing at all.
"""

import logging
import queue
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from ..core.columns import encode_tables
from ..core.status import Counters, Snapshot
from ..core.strict import Reason, Refused
from ..errors import SameskyError, Unreachable
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Subscription
from .answering import Answering
from .archive import Archive, open_archive
from .check_messages import encode_check
from .check_question import Question
from .checker import Proof
from .compression import compress
from .days import DAY_S, start_of_archive_day
from .description import encode_description
from .dirty_triggers import ensure_triggers
from .envelope import StandIn
from .location import Location
from .messages import SummaryMessage, encode_loop, encode_page, encode_record, encode_summary
from .paging import Pager
from .requests import Request
from .responder import STREAM_CHUNK, Job, Responder, Throttle
from .state import State
from .tree_store import TreeStore
from .worker import MakeLink, Worker

_log = logging.getLogger(__name__)

TAIL_INTERVAL_S = 0.05
SUMMARY_INTERVAL_S = 0.5
RETRY_S = 1.0
# For room in the window, which pages may have filled; without a connection nothing waits.
PATIENCE_S = 2.0
EVENTS_A_JOB = 100
# So many live records that wait are left to the pages, which bring thousands for the work of a few.
MOST_LIVE_WAITING = 1000
# More live records than this waiting: none takes the time to be told with the root of all.
MOST_WAITING_FOR_ROOTS = 10
PROOF_PAUSE_S = 5.0
REPORT_INTERVAL_S = 30.0
# So many slices of adding up more, if nothing else comes in, rather than have a question asked again later.
MORE_SLICES = 10
# What a PUBLISH of ours needs beside its payload: topic, properties, digest.
ENVELOPE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class ServedBinding:
    """One binding of the primary: its name, database, and whether the station archives into it."""

    name: str
    location: Location
    main: bool = True
    delta_s: int = 60


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """How a primary answers; the topics are version 1's unless told otherwise."""

    instance: str
    bindings: tuple[ServedBinding, ...]
    request_topics: tuple[str, ...]
    archive_topic: str = "replicate/archive"
    loop_topic: str = "replicate/loop"
    loop_packets: bool = True
    response_topics: tuple[str, ...] = ()
    publish_qos: int = 1
    subscribe_qos: int = 1
    throttle: Throttle = field(default_factory=Throttle)
    max_page_bytes: int = 1 << 20
    shared: bool = False
    """Whether to share the requests with copies that answer too (MQTT shared subscription)."""
    track_changes: bool = False
    """Whether to note changes by hand as they are made, with triggers in the primary's databases."""
    tail: bool = False
    """Watch the databases for new records oneself, where no WeeWX service reports them."""

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """What the link has to subscribe to."""
        group = f"$share/samesky-{self.instance}/" if self.shared else ""
        return tuple(Subscription(group + topic, self.subscribe_qos) for topic in self.request_topics)


@dataclass(frozen=True, slots=True)
class Authority:
    """What makes a copy answer for its primary."""

    name: str
    """Its response topic."""
    proof: Callable[[str], Proof | None]
    """Stream -> what it was proven the same by; None when it may not answer."""


class _FailedBefore(Unreachable):
    """A database that isn't tried again yet; its trouble has been reported."""


class Serving(Worker):
    """A running responder.

    ``clock`` tells the time of day, for records; ``timer`` never jumps, for pauses and deadlines. ``state`` keeps what
    was refused, ``sums`` what has been added up for checks. Given ``authority`` this is a copy that answers for its
    primary, under that name.
    """

    def __init__(
        self,
        settings: ServeSettings,
        make_link: MakeLink,
        *,
        state: State | None = None,
        sums: TreeStore | None = None,
        authority: Authority | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.sent = Counters()
        self._kept = state
        self._authority = authority
        self._streams = {f"{settings.instance}/{binding.name}": binding for binding in settings.bindings}
        self.brain = Responder(
            self._streams,
            throttle=settings.throttle,
            response_topics=settings.response_topics,
            on_refused=self._on_refused,
            qos=settings.publish_qos,
        )
        self._archives: dict[str, tuple[Archive, Pager]] = {}
        self._origins: dict[str, str] = {}
        self._tails: dict[str, tuple[object, int]] = {}
        self._published: dict[str, int] = {}
        self._dirty_days: dict[str, int] = {}
        self._summary_due = self._report_at = 0.0
        self._retry_times: dict[str, float] = {}
        self._state, self._since = "disconnected", clock()
        self._handled = 0
        self._behind = False
        sums = sums or TreeStore(None)
        self._answering = {stream: Answering(sums, stream, clock=clock, timer=timer) for stream in self._streams}
        name = f"samesky-responder-{settings.instance}"
        super().__init__(name, make_link, settings.subscriptions, clock=clock, timer=timer)

    def publish_record(self, record: Mapping[str, Any]) -> None:
        """Have a new archive record published; returns at once, from any thread. If it gets lost, pages bring it."""
        self._take(dict(record))

    def publish_loop(self, packet: Mapping[str, Any]) -> None:
        """Have a LOOP packet published, if the link has room for it now; from any thread."""
        if self.settings.loop_packets and self._link.connected:
            main = next(
                (stream for stream, binding in self._streams.items() if binding.main), next(iter(self._streams))
            )
            self._link.publish(encode_loop(self.settings.loop_topic, main, packet))

    def snapshots(self) -> list[Snapshot]:
        """What each stream is doing; from any thread."""
        state = self._state if self._link.connected else "disconnected"
        return [
            Snapshot(
                stream=stream,
                role="responder",
                state="live" if state == "live" else "disconnected",
                newest=self._published.get(stream),
                refused=self.brain.refused.copy(),
                last_error=self._trouble.last,
                since=self._since,
            )
            for stream in self._streams
        ]

    # ------------------------------------------------------------------ the thread

    def step(self, patience_s: float) -> None:
        """Handle one event, or what is due when none comes within ``patience_s``: the thread's work, piece by piece."""
        try:
            event = self._next_event(patience_s)
        except queue.Empty:
            self._work()
            return
        self._on_event(event)
        self._handled += 1
        if self._handled % EVENTS_A_JOB == 0:
            self._work()  # whoever floods us doesn't keep the others from their answers

    def _on_event(self, event: Event | Mapping[str, Any] | None) -> None:
        match event:
            case Arrived(message):
                self._on_request(message)
            case Connected():
                self._on_state("live")
                self._trouble.note(None)
                _log.info("connected instance=%s", self.settings.instance)
            case Disconnected(reason, _):
                self._on_state("disconnected")
                self.brain.forget()
                self._trouble.note(reason)
            case Denied(topic, action, reason):
                self._trouble.report(f"denied {action} {topic}", reason)
            case dict():
                self._on_record(event)

    def _due(self) -> float:
        now = self._timer()
        due = [self._report_at]
        if (job_time := self.brain.next_time()) is not None:
            due.append(job_time)
        if self._dirty_days:
            due.append(self._summary_due)
        if self.settings.tail:
            due.append(now + TAIL_INTERVAL_S)
        due += [self._sums_due(stream) for stream in self._streams]
        return min(due)

    def _sums_due(self, stream: str) -> float:
        """When the sums of a stream are to be gone on with; a copy's when there is a copy, which a proof shows."""
        if self._authority is not None and self._authority.proof(stream) is None:
            return self._timer() + PROOF_PAUSE_S
        return max(self._retry_times.get(stream, 0.0), self._answering[stream].next_time())

    def _work(self) -> None:
        if self.settings.tail:
            self._tail()
        if self._dirty_days and self._timer() >= self._summary_due:
            self._publish_summaries()
        if self._timer() >= self._report_at:
            self._report()
        job = self.brain.next_job(self._timer())
        if job is not None:
            self._answer(job)
        elif self._events.empty():
            self._add_up()

    def _report(self) -> None:
        """Write down how each stream is doing, for commands that run beside this process."""
        self._report_at = self._timer() + REPORT_INTERVAL_S
        if self._kept is not None and self._authority is None:
            for snapshot in self.snapshots():
                self._kept.write_snapshot(snapshot, self._clock())

    def _add_up(self) -> None:
        """Nothing else is to be done: go on with the sums for checks."""
        now = self._timer()
        for stream, answering in self._answering.items():
            if self._sums_due(stream) <= now:
                with self._guarded(stream):
                    answering.work(self._archive(stream)[0])

    def _finish(self) -> None:
        for stream, answering in self._answering.items():
            with self._guarded(stream):
                answering.save()
        for archive, _ in self._archives.values():
            archive.close()

    def _on_state(self, state: str) -> None:
        self._state, self._since = state, self._clock()
        self._report_at = 0.0

    # ------------------------------------------------------------------ requests

    def _on_request(self, message: Message) -> None:
        answer = self.brain.on_request(message, self._timer())
        self._link.acknowledge(message)
        if answer is not None:
            self._link.publish(answer)

    def _on_refused(self, message: Message, refusal: Refused) -> None:
        if self._kept is not None:
            self._kept.keep_refused(message, refusal.reason, self._clock())
        self._trouble.report(f"refused {refusal.reason}", f"{message.topic}: {refusal}")

    def _answer(self, job: Job) -> None:
        if self._authority is not None:
            stand_in = self._stand_in(self._authority, job.request)
            if stand_in is None:
                self._decline(job)
                return
            job = replace(job, request=replace(job.request, said=stand_in.properties()))
        if job.request.version == 1:
            self._stream_on(job)
            return
        answer = self.brain.error(job.request, "failed")
        try:
            with self._guarded(job.request.stream):
                answer = self._make_answer(job.request)
        finally:
            self.brain.on_done(job)
        if answer is not None:
            self._link.publish(answer, timeout_s=5.0)
            self.sent.add(job.request.op)

    def _stand_in(self, authority: Authority, request: Request) -> StandIn | None:
        """As whom this copy answers; None when it may not: it isn't proven that far, or has changed since."""
        proof, stream = authority.proof(request.stream), request.stream
        if proof is None:
            return None
        if request.question is not None:
            proven = False
            if proof.through >= request.question.until:
                with self._guarded(stream):
                    proven = self._answering[stream].root(self._archive(stream)[0], proof.through) == proof.root
            if not proven:
                return None
        return StandIn(authority.name, proof.through)

    def _decline(self, job: Job) -> None:
        """This copy isn't proven as far as that: somebody else in the group has to answer, or it itself later."""
        if job.request.version == 1:
            self.brain.on_unsent(job, self._timer())
            return
        self.brain.on_done(job)
        if (answer := self.brain.error(job.request, "busy")) is not None:
            self._link.publish(answer, timeout_s=5.0)

    def _make_answer(self, request: Request) -> Message | None:
        archive, pager = self._archive(request.stream)
        now = self._clock()
        if request.question is not None:
            return self._check(request, request.question, archive)
        if request.op == "describe":
            description = archive.read_description(pager.accepts, now=now)
            self._origins[request.stream] = description.origin
            return encode_description(request, description, qos=self.settings.publish_qos)
        room = min(self.settings.max_page_bytes, self._link.max_packet_bytes - ENVELOPE_BYTES)
        page = pager.make_page(request, origin=self._origin(request.stream, archive), max_bytes=room, now=now)
        return encode_page(request, page, qos=self.settings.publish_qos)

    def _check(self, request: Request, question: Question, archive: Archive) -> Message | None:
        answering = self._answering[request.stream]
        try:
            origin = self._origin(request.stream, archive)
            answer = answering.answer(request, question, archive, origin)
            for _ in range(MORE_SLICES):
                if answer is not None or not self._events.empty():
                    break
                answer = answering.answer(request, question, archive, origin)
        except Refused as refusal:
            self.brain.refused.add(refusal.reason)
            return self.brain.error(request, Reason.BAD_REQUEST)
        if answer is None:
            return self.brain.error(request, "busy")
        return encode_check(request, answer, qos=self.settings.publish_qos)

    def _stream_on(self, job: Job) -> None:
        """A version 1 requester never asks again, so a database in trouble only makes it wait."""
        worked = False
        with self._guarded(job.request.stream):
            self._stream(job)
            worked = True
        if not worked:
            self.brain.on_unsent(job, self._timer())

    def _stream(self, job: Job) -> None:
        """Send the next chunk of a version 1 stream, each record acknowledged by the broker before the next chunk."""
        request, last, count = job.request, job.request.after, 0
        archive, _ = self._archive(request.stream)
        for record in archive.read_records(request.after, STREAM_CHUNK, until=int(self._clock()) + 3600):
            message = encode_record(request.reply_to, request.stream, record, qos=self.settings.publish_qos)
            if not self._link.publish(message, timeout_s=5.0):
                self.brain.on_unsent(Job(replace(request, after=last)), self._timer())
                return
            last, count = record["dateTime"], count + 1
        self._link.drain(5.0)
        self.sent.add("streamed", count)
        self.brain.on_chunk(job, last, count, self._timer())

    # ------------------------------------------------------------------ live records

    def _on_record(self, record: Mapping[str, Any]) -> None:
        """Publish a record that the station has just archived: secondary bindings first, each from its database."""
        if self._has_fallen_behind():
            for stream in self._streams:
                self._note_day(stream, int(record["dateTime"]))
            self.sent.add("left to pages")
            return
        for stream, binding in self._streams.items():
            if not binding.main:
                with self._guarded(stream):
                    archive, _ = self._archive(stream)
                    nearest = archive.read_nearest(int(record["dateTime"]), delta_s=binding.delta_s)
                    if nearest and nearest["dateTime"] != self._published.get(stream):
                        self._publish_live(stream, archive, nearest)
        for stream, binding in self._streams.items():
            if binding.main:
                with self._guarded(stream):
                    self._publish_live(stream, self._archive(stream)[0], record)

    def _has_fallen_behind(self) -> bool:
        """Whether a live record is left out: until none waits any more. The next one then shows followers the gap."""
        waiting = self._events.qsize()
        self._behind = waiting > (0 if self._behind else MOST_LIVE_WAITING)
        return self._behind

    def _publish_live(self, stream: str, archive: Archive, record: Mapping[str, Any]) -> None:
        timestamp = int(record["dateTime"])
        answering = self._answering[stream]
        answering.on_record(archive, timestamp)
        message = encode_record(
            self.settings.archive_topic,
            stream,
            record,
            qos=self.settings.publish_qos,
            previous=archive.read_previous(timestamp),
            origin=self._origin(stream, archive),
            root=answering.live_root(archive) if self._events.qsize() < MOST_WAITING_FOR_ROOTS else None,
        )
        # Without room the record is left to the pages: a follower sees the gap at the next one.
        self.sent.add("live" if self._link.publish(message, timeout_s=PATIENCE_S) else "unsent")
        self._published[stream] = timestamp
        self._trouble.clear(stream)
        self._note_day(stream, timestamp)

    def _note_day(self, stream: str, timestamp: int) -> None:
        """The daily summary of this record's day has changed, and is to be published."""
        if not self._dirty_days:
            self._summary_due = self._timer() + (0.0 if self._events.empty() else SUMMARY_INTERVAL_S)
        day = start_of_archive_day(timestamp)
        self._dirty_days[stream] = min(day, self._dirty_days.get(stream, day))

    def _publish_summaries(self) -> None:
        """Publish the daily summary rows of the days that live records have touched since the last time."""
        dirty, self._dirty_days = self._dirty_days, {}
        for stream, day in dirty.items():
            with self._guarded(stream):
                archive, _ = self._archive(stream)
                if archive.read_summary_kinds():
                    self._link.publish(self._make_summary(stream, archive, day), timeout_s=PATIENCE_S)

    def _make_summary(self, stream: str, archive: Archive, day: int) -> Message:
        with archive.reading():
            through = archive.read_position(self._clock())
            # In a day's first hours yesterday's rows come along: their last message may have been lost.
            from_day = start_of_archive_day(day - DAY_S // 2) if through - day < DAY_S // 12 else day
            table = archive.read_summaries(from_day, start_of_archive_day(through))
        body = compress(encode_tables([table]))
        summary = SummaryMessage(stream, through, self._origin(stream, archive), body)
        return encode_summary(f"{self.settings.archive_topic}/summary", summary, qos=self.settings.publish_qos)

    def _tail(self) -> None:
        """Publish what has come into the databases since the last look."""
        for stream in sorted(self._streams, key=lambda name: self._streams[name].main):
            with self._guarded(stream):
                self._tail_stream(stream, self._archive(stream)[0])

    def _tail_stream(self, stream: str, archive: Archive) -> None:
        mark, last = self._tails.get(stream, (None, -1))
        seen = archive.read_change_mark()
        if seen == mark:
            return
        newest = archive.read_position(self._clock())
        records = archive.read_records(last, STREAM_CHUNK, until=newest) if last >= 0 else []
        for record in records:
            self._publish_live(stream, archive, record)
        reached = records[-1]["dateTime"] if records else newest
        self._tails[stream] = (seen if len(records) < STREAM_CHUNK else None, reached)

    # ------------------------------------------------------------------ databases

    def _archive(self, stream: str) -> tuple[Archive, Pager]:
        """The open database of a stream; after a failure it isn't tried again for a second."""
        if stream not in self._archives:
            if self._timer() < self._retry_times.get(stream, 0.0):
                raise _FailedBefore(f"{stream}: the database failed a moment ago")
            archive = open_archive(self._streams[stream].location)
            self._archives[stream] = (archive, Pager(archive))
            if self.settings.track_changes and archive.read_columns():
                ensure_triggers(archive)
        return self._archives[stream]

    @contextmanager
    def _guarded(self, stream: str) -> Iterator[None]:
        """Trouble with one stream's database is reported and leaves the other streams alone."""
        try:
            yield
        except _FailedBefore:
            pass
        except SameskyError as error:
            archive, _ = self._archives.pop(stream, (None, None))
            if archive is not None:
                archive.close()
            self._retry_times[stream] = self._timer() + RETRY_S
            self._trouble.report(stream, error)

    def _origin(self, stream: str, archive: Archive) -> str:
        if not self._origins.get(stream):
            self._origins[stream] = archive.read_origin(self._clock())
        return self._origins[stream]
