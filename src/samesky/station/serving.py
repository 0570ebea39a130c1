"""The thread around the responder's brain: reads databases, publishes, acknowledges, and decides nothing.

One thread does it all, in this order: what came in, live records, then one piece of a waiting answer. So a live record
waits for one page at most, and whoever calls `Serving.publish_record` waits for nothing at all.
"""

import logging
import queue
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..core.status import Snapshot, take_snapshot
from ..core.strict import Reason, Refused
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message
from .advice import advise
from .answering import Answering
from .archive import Archive
from .check_messages import encode_check
from .check_question import Question
from .checker import Proof
from .description import encode_description
from .envelope import StandIn
from .live_publishing import LivePublishing
from .messages import encode_loop, encode_page, encode_record
from .reports import Reports
from .requests import Request
from .responder import STREAM_CHUNK, Job, Responder
from .serve_settings import ServeSettings
from .served_databases import ServedDatabases
from .signatures import Purpose, Signing, digest_question
from .state import State
from .status_publishing import StatusPublishing
from .tree_store import TreeStore
from .worker import MakeLink, Worker

_log = logging.getLogger(__name__)

TAIL_INTERVAL_S = 0.05
# For room in the window, which pages may have filled; without a connection nothing waits.
PATIENCE_S = 2.0
ANSWER_PATIENCE_S = 5.0
EVENTS_A_JOB = 100
PROOF_PAUSE_S = 5.0
# Whoever asked for a page a moment ago is catching up, and shouldn't wait for sums.
CATCHING_UP_S = 1.0
# So many slices of adding up more, if nothing else comes in, rather than have a question asked again later.
MORE_SLICES = 10
# What a PUBLISH of ours needs beside its payload: topic, properties, digest.
ENVELOPE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Authority:
    """What makes a copy answer for its primary."""

    name: str
    """Its response topic."""
    proof: Callable[[str], Proof | None]
    """Stream -> what it was proven the same by; None when it may not answer."""


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
        status: StatusPublishing | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._kept = state
        self._authority = authority
        self._signing = Signing(settings.sign_key, clock=clock) if settings.sign_key else None
        self._streams = {f"{settings.instance}/{binding.name}": binding for binding in settings.bindings}
        self.brain = Responder(
            self._streams,
            throttle=settings.throttle,
            response_topics=settings.response_topics,
            on_refused=self._on_refused,
            qos=settings.publish_qos,
        )
        self._sums_pause = 0.0
        self._reports = Reports()
        self._state, self._since = "disconnected", clock()
        self._handled = 0
        sums = sums or TreeStore(None)
        self._answering = {stream: Answering(sums, stream, clock=clock, timer=timer) for stream in self._streams}
        if state is not None and authority is None:
            state.forget_snapshots("responder", but=self._streams)
        name = f"samesky-responder-{settings.instance}"
        super().__init__(name, make_link, settings.subscriptions, clock=clock, timer=timer, status=status)
        self._databases = ServedDatabases(
            self._streams, track_changes=settings.track_changes, trouble=self._trouble, clock=clock, timer=timer
        )
        self._live = LivePublishing(
            settings,
            self._streams,
            self._databases,
            self._answering,
            publish=lambda message, purpose: self._link.publish(self._sign(message, purpose), timeout_s=PATIENCE_S),
            waiting=self._events.qsize,
            clock=clock,
            timer=timer,
        )
        self.sent = self._live.sent

    def publish_record(self, record: Mapping[str, Any]) -> None:
        """Have a new archive record published; returns at once, from any thread. If it gets lost, pages bring it."""
        self._take(dict(record))

    def publish_loop(self, packet: Mapping[str, Any]) -> None:
        """Have a LOOP packet published, if the link has room for it now; from any thread."""
        if self.settings.loop_packets and self._link.connected:
            main = next(
                (stream for stream, binding in self._streams.items() if binding.main), next(iter(self._streams))
            )
            self._link.publish(self._sign(encode_loop(self.settings.loop_topic, main, packet), "loop"))

    def snapshots(self) -> list[Snapshot]:
        """What each stream is doing; from any thread."""
        return [self._snapshot(stream, self._clock()) for stream in self._streams]

    def _snapshot(self, stream: str, now: float) -> Snapshot:
        words, hint = advise(self._trouble.last or "", stream=stream)
        rough = Snapshot(
            system="station",
            stream=stream,
            role="responder",
            state="live" if self._link.connected and self._state == "live" else "disconnected",
            newest=self._live.newest(stream),
            refused=self.brain.refused.copy(),
            last_error=words,
            hint=hint,
            since=self._since,
            details={f"sent: {what}": count for what, count in self.sent.copy().items()},
        )
        return take_snapshot(rough, now)

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
                self._trouble.report(
                    f"denied {action} {topic}", f"the broker doesn't let us {action} {topic}: {reason}"
                )
            case dict():
                self._live.on_record(event)

    def _due(self) -> float:
        now = self._timer()
        due = [self._reports.next_time(self._news()), self._live.next_time()]
        if (job_time := self.brain.next_time()) is not None:
            due.append(job_time)
        if self.settings.tail:
            due.append(now + TAIL_INTERVAL_S)
        due += [self._sums_due(stream) for stream in self._streams]
        return min(due)

    def _sums_due(self, stream: str) -> float:
        """When the sums of a stream are to be gone on with; a copy's when there is a copy, which a proof shows."""
        if self._authority is not None and self._authority.proof(stream) is None:
            return self._timer() + PROOF_PAUSE_S
        return max(self._databases.retry_time(stream), self._answering[stream].next_time(), self._sums_pause)

    def _work(self) -> None:
        if self.settings.tail:
            self._live.tail()
        self._live.publish_summaries()
        if self._reports.is_due(self._timer(), self._news()):
            self._report()
        job = self.brain.next_job(self._timer())
        if job is not None:
            self._answer(job)
        elif self._events.empty():
            self._add_up()

    def _report(self) -> None:
        """Write down how each stream is doing, for commands that run beside this process."""
        self._tell()
        self._reports.note(self._timer(), self._news(), moves=False)
        if self._kept is not None and self._authority is None:
            for snapshot in self.snapshots():
                self._kept.write_snapshot(snapshot, self._clock())

    def _news(self) -> object:
        """What is told at once when it changes."""
        return self._state, self._trouble.last

    def _add_up(self) -> None:
        """Nothing else is to be done: go on with the sums for checks."""
        now = self._timer()
        for stream, answering in self._answering.items():
            if self._sums_due(stream) <= now:
                with self._databases.guarded(stream):
                    answering.work(self._databases.archive(stream))
                    if answering.take_change() and self._authority is None:
                        self._live.tell_again(stream)

    def _finish(self) -> None:
        for stream, answering in self._answering.items():
            with self._databases.guarded(stream):
                answering.save()
        self._databases.close()

    def _on_state(self, state: str) -> None:
        self._state, self._since = state, self._clock()

    # ------------------------------------------------------------------ requests

    def _on_request(self, message: Message) -> None:
        answer = self.brain.on_request(message, self._timer())
        self._link.acknowledge(message)
        if answer is not None:
            self._publish_answer(answer, message, timeout_s=0.0)

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
            with self._databases.guarded(job.request.stream):
                answer = self._make_answer(job.request)
        finally:
            self.brain.on_done(job)
        if answer is not None:
            self._publish_answer(answer, job.request.message)
            self.sent.add(job.request.op)
        if job.request.question is None:
            self._sums_pause = self._timer() + CATCHING_UP_S

    def _stand_in(self, authority: Authority, request: Request) -> StandIn | None:
        """As whom this copy answers; None when it may not: it isn't proven that far, or has changed since."""
        proof, stream = authority.proof(request.stream), request.stream
        if proof is None:
            return None
        if request.question is not None:
            proven = False
            if proof.through >= request.question.until:
                with self._databases.guarded(stream):
                    proven = self._answering[stream].root(self._databases.archive(stream), proof.through) == proof.root
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
            self._publish_answer(answer, job.request.message)

    def _publish_answer(
        self, answer: Message, question: Message | None, *, timeout_s: float = ANSWER_PATIENCE_S
    ) -> None:
        asked = digest_question(question) if self._signing and question else b""
        self._link.publish(self._sign(answer, "answer", asked), timeout_s=timeout_s)

    def _sign(self, message: Message, purpose: Purpose, asked: bytes = b"") -> Message:
        return message if self._signing is None else self._signing.sign(message, purpose, asked)

    def _make_answer(self, request: Request) -> Message | None:
        archive, pager = self._databases.archive(request.stream), self._databases.pager(request.stream)
        now = self._clock()
        if request.question is not None:
            return self._check(request, request.question, archive)
        if request.op == "describe":
            description = archive.read_description(pager.accepts, now=now)
            self._databases.note_origin(request.stream, description.origin)
            return encode_description(request, description, qos=self.settings.publish_qos)
        room = min(self.settings.max_page_bytes, self._link.max_packet_bytes - ENVELOPE_BYTES)
        page = pager.make_page(request, origin=self._databases.origin(request.stream), max_bytes=room, now=now)
        return encode_page(request, page, qos=self.settings.publish_qos)

    def _check(self, request: Request, question: Question, archive: Archive) -> Message | None:
        answering = self._answering[request.stream]
        try:
            origin = self._databases.origin(request.stream)
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
        with self._databases.guarded(job.request.stream):
            self._stream(job)
            worked = True
        if not worked:
            self.brain.on_unsent(job, self._timer())

    def _stream(self, job: Job) -> None:
        """Send the next chunk of a version 1 stream, each record acknowledged by the broker before the next chunk."""
        request, last, count = job.request, job.request.after, 0
        archive = self._databases.archive(request.stream)
        for record in archive.read_records(request.after, STREAM_CHUNK, until=int(self._clock()) + 3600):
            message = encode_record(request.reply_to, request.stream, record, qos=self.settings.publish_qos)
            if not self._link.publish(message, timeout_s=5.0):
                self.brain.on_unsent(Job(replace(request, after=last)), self._timer())
                return
            last, count = record["dateTime"], count + 1
        self._link.drain(5.0)
        self.sent.add("streamed", count)
        self.brain.on_chunk(job, last, count, self._timer())
