"""The thread around the requester's brains: receives, stores, publishes, acknowledges, and decides nothing.

One thread and one queue. What has come in by the time the thread looks is taken together, so that a burst of live
records is one transaction. A message is acknowledged when the transaction that holds its data has been committed; one
whose data could not be stored is acknowledged too, because the position hasn't moved and a page will bring it again.
"""

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..core.status import Counters, Snapshot
from ..core.strict import Reason, Refused
from ..errors import SameskyError
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message
from .agreement import CopySettings
from .check_messages import CheckAnswer
from .checker import Proof
from .checks import CheckSettings
from .copy_actions import CopyActions
from .copying import WeewxCode
from .engine_queue import EngineQueue
from .follow_settings import FollowSettings, decode_incoming, stream_of
from .followed_stream import FollowedStream, make_stream
from .holds import Holds
from .messages import (
    ErrorAnswer,
    Incoming,
    LoopMessage,
    RecordMessage,
)
from .reports import Reports
from .signatures import Trust
from .state import State
from .status_publishing import StatusPublishing
from .tree_store import TreeStore
from .worker import MakeLink, Worker

_log = logging.getLogger(__name__)

MAX_BATCH = 500
# Whoever sends old signed messages again doesn't have us ask the primary about each.
DOUBT_S = 60.0


@dataclass(frozen=True, slots=True)
class _EngineDone:
    """The engine has stored records."""


@dataclass(frozen=True, slots=True)
class _CheckWanted:
    """Somebody wants a check."""

    stream: str
    allowed_deletions: int


class Following(Worker):
    """A running requester. ``engine`` takes the main binding's newest records (the driver's).

    ``clock`` tells the time of day, for records; ``timer`` never jumps, for pauses and deadlines.
    """

    def __init__(
        self,
        settings: FollowSettings,
        make_link: MakeLink,
        *,
        state: State,
        engine: EngineQueue | None = None,
        weewx_code: Mapping[str, WeewxCode] | None = None,
        checks: CheckSettings | None = None,
        status: StatusPublishing | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.refused = Counters()
        self._loop_packet: dict[str, Any] | None = None
        self._loop_came = threading.Condition()
        self._state = state
        self._random = (rng or random.SystemRandom()).random  # nobody is to guess what the next question is called
        self._trust = Trust(settings.trust, timer=timer) if settings.trust else None
        self._engine = engine
        self._weewx_code = weewx_code or {}
        self._check_settings = replace(checks or CheckSettings(TreeStore(None)), state=state)
        self._reports = Reports()
        self._holds = Holds(
            state, [each.stream for each in settings.copies], accept_origin=settings.accept_origin, timer=timer
        )
        super().__init__(
            "samesky-requester", make_link, settings.subscriptions, clock=clock, timer=timer, status=status
        )
        self._actions = CopyActions(
            ask=self._ask,
            refuse=self._refuse,
            holds=self._holds,
            trouble=self._trouble,
            refused=self.refused,
            clock=clock,
            timer=timer,
        )
        self._streams = {
            each.stream: self._make_stream(each) for each in sorted(settings.copies, key=lambda each: each.main)
        }
        state.forget_snapshots("requester", but=self._streams)
        self._progress = threading.Condition()
        self._connected = False
        if engine is not None:
            engine.on_done = lambda: self._take(_EngineDone())

    def _make_stream(self, settings: CopySettings) -> FollowedStream:
        name = settings.stream
        stream = make_stream(
            settings,
            self.settings.asking[name],
            engine=self._engine if settings.main else None,
            weewx_code=self._weewx_code.get(name),
            checks=self._check_settings,
            publish=self._ask,
            on_hold=lambda reason: self._actions.hold(self._streams[name], reason),
            is_held=lambda: self._actions.look_for_hold(self._streams[name]),
            clock=self._clock,
            timer=self._timer,
            random=self._random,
        )
        if reason := self._holds.reason(name):
            stream.brain.stop(reason)
        return stream

    def wait_caught_up(self, patience_s: float) -> bool:
        """Wait until every stream has had what its primary had; gives up after ``patience_s`` without any progress.

        What a stream does after it has caught up is no progress, else a live one would keep us waiting for a dead one.
        """
        waiting = list(self._streams.values())

        def marks() -> list[tuple[str, int, bool]]:
            return [(stream.phase, stream.brain.taken, stream.caught_up) for stream in waiting]

        with self._progress:
            while not self._stopping.is_set():
                waiting = [stream for stream in waiting if not (stream.caught_up or stream.phase == "stopped")]
                if not waiting:
                    return True
                before = marks()
                if not self._progress.wait_for(lambda: marks() != before, patience_s):  # noqa: B023
                    return False
        return False

    def take_loop_packet(self, timeout_s: float) -> dict[str, Any] | None:
        """The primary's newest LOOP packet, once; waits up to ``timeout_s`` for one. From any thread."""
        with self._loop_came:
            self._loop_came.wait_for(lambda: self._loop_packet is not None, timeout_s)
            packet, self._loop_packet = self._loop_packet, None
            return packet

    def column_names(self, stream: str) -> tuple[str, ...]:
        """The columns that a copy takes from its primary; from any thread."""
        return self._streams[stream].copy.column_names

    def makes_summaries(self, stream: str) -> bool:
        """Whether a copy makes its daily summaries itself, of its records; from any thread."""
        return self._streams[stream].copy.summaries == "rebuilt"

    def authority(self, stream: str) -> Proof | None:
        """On what proof a copy may answer for its primary; None: not at all now. From any thread."""
        return self._streams[stream].authority()

    def request_check(self, stream: str, *, allowed_deletions: int = 0) -> None:
        """Have a copy checked soon; from any thread. A person may allow it more deletions than are made unasked."""
        self._take(_CheckWanted(stream, allowed_deletions))

    def check_counts(self, stream: str) -> dict[str, int]:
        """What checks of a stream have come to, by kind; from any thread."""
        return self._streams[stream].checks.checker.counts.copy()

    def snapshots(self) -> list[Snapshot]:
        """What each stream is doing; from any thread."""
        now = self._clock()
        return [each.snapshot(self.refused, self._trouble.last, now=now) for each in self._streams.values()]

    # ------------------------------------------------------------------ the thread

    def step(self, patience_s: float) -> None:
        """Handle what comes in within ``patience_s``, then what is due: the thread's work, piece by piece."""
        arrived: list[Message] = []
        for event in self._next_events(patience_s):
            if isinstance(event, Arrived):
                arrived.append(event.message)
            try:
                self._on_event(event)
            except Exception:
                _log.exception("requester_fault")  # one message's, not its neighbours'
        try:
            self._actions.flush()
        finally:
            for message in arrived:
                self._link.acknowledge(message)
        self._tick()
        self._note_progress()

    def _on_event(self, event: Event | _EngineDone | _CheckWanted | None) -> None:
        match event:
            case Arrived(message):
                self._on_message(message)
            case Connected():
                self._on_connected()
            case Disconnected(reason, _):
                self._on_disconnected(reason)
            case Denied(topic, action, reason):
                self._trouble.report(
                    f"denied {action} {topic}", f"the broker doesn't let us {action} {topic}: {reason}"
                )
            case _EngineDone():
                self._settle()
            case _CheckWanted(name, allowed):
                checker = self._streams[name].checks.checker
                checker.allowed_deletions = max(checker.allowed_deletions, allowed)
                checker.ask_for_check(self._timer())

    def _next_events(self, patience_s: float) -> list[Event | _EngineDone | _CheckWanted | None]:
        events: list[Event | _EngineDone | _CheckWanted | None] = []
        try:
            events.append(self._next_event(patience_s))
            while len(events) < MAX_BATCH:
                events.append(self._events.get_nowait())
        except queue.Empty:
            pass
        return events

    def _due(self) -> float:
        times = [
            min(stream.brain.next_time(), stream.checks.next_time(stream.may_check))
            for stream in self._streams.values()
        ]
        return min(*times, self._reports.next_time(self._news()), self._holds.next_time())

    def _finish(self) -> None:
        self._report()
        for stream in self._streams.values():
            stream.checks.close()
            stream.copy.close()

    def _note_progress(self) -> None:
        for stream in self._streams.values():
            if stream.phase != stream.brain.phase:
                stream.phase, stream.since = stream.brain.phase, self._clock()
                _log.info("state stream=%s phase=%s position=%d", stream.brain.stream, stream.phase, stream.brain.taken)
            stream.caught_up = stream.brain.caught_up
            stream.pace.note(stream.stored, self._clock())
        if self._reports.is_due(self._timer(), self._news()):
            self._report()
        with self._progress:
            self._progress.notify_all()

    def _report(self) -> None:
        """Write down how each stream is doing, for commands that run beside this process."""
        self._tell()
        moves = any(stream.phase == "catching-up" for stream in self._streams.values())
        self._reports.note(self._timer(), self._news(), moves=moves)
        for snapshot in self.snapshots():
            self._state.write_snapshot(snapshot, self._clock())

    def _news(self) -> object:
        """What is told at once when it changes."""
        trouble = self._trouble.last
        return [
            (stream.brain.phase, stream.trouble(trouble), stream.checks.different, stream.checks.proof)
            for stream in self._streams.values()
        ]

    def _on_connected(self) -> None:
        self._connected = True
        self._trouble.note(None)
        for stream in self._streams.values():
            self._open(stream)
            stream.checks.on_connected()
            self._actions.do(stream, stream.brain.on_connected(self._timer()))

    def _open(self, stream: FollowedStream) -> None:
        """Open the copy's database, so that its columns are known before the first record comes."""
        try:
            stream.copy.open()
        except SameskyError as error:
            self._trouble.report(stream.brain.stream, error)

    def _on_disconnected(self, reason: str) -> None:
        self._connected = False
        self._trouble.note(reason)
        for stream in self._streams.values():
            stream.brain.on_disconnected()
            stream.checks.on_disconnected()

    def _tick(self) -> None:
        if not self._connected:
            return
        for stream in self._streams.values():
            self._actions.do(stream, stream.brain.on_tick(self._timer()))
            self._actions.flush()
            stream.checks.work(stream.may_check)
        for name in self._holds.take_released():
            self._release(name)

    def _release(self, name: str) -> None:
        stream = self._streams[name]
        _log.info("released stream=%s", name)
        self._trouble.clear(name)
        stream.brain.resume()
        stream.checks.release()
        if self._connected:
            self._actions.do(stream, stream.brain.on_connected(self._timer()))

    def _settle(self) -> None:
        for stream in self._streams.values():
            if stream.copy.engine is not None:
                self._actions.attempt(stream, partial(stream.copy.settle, self._clock()))

    # ------------------------------------------------------------------ messages

    def _on_message(self, message: Message) -> None:
        if not message.payload and message.retain:
            return  # somebody cleared a retained message
        try:
            decoded = self._decode(message)
        except Refused as refusal:
            self._refuse(message, refusal)
            return
        stream = self._streams.get(decoded.stream)
        if stream is None:
            return  # another primary's LOOP packet or summary: one broker serves many
        stream.distrust, stream.is_believed = "", self._trust is not None
        match decoded:
            case LoopMessage():
                self._put_loop_packet(decoded.packet)
            case CheckAnswer():
                stream.checks.on_answer(decoded)
            case ErrorAnswer() if stream.checks.checker.awaits(decoded.correlation):
                stream.checks.on_error(decoded)
            case _:
                self._actions.do(stream, stream.brain.on_message(decoded, self._timer()), message)
        if isinstance(decoded, RecordMessage) and decoded.root is not None:
            stream.checks.on_live_root(decoded.root)

    def _put_loop_packet(self, packet: dict[str, Any]) -> None:
        with self._loop_came:
            self._loop_packet = packet
            self._loop_came.notify_all()

    def _decode(self, message: Message) -> Incoming:
        kinds = {name: stream.copy.kinds for name, stream in self._streams.items()}
        return decode_incoming(message, self.settings, kinds, now=self._clock(), trust=self._trust)

    def _ask(self, question: Message) -> None:
        if self._trust is not None:
            self._trust.note_question(question)
        self._link.publish(question)

    def _refuse(self, message: Message, refusal: Refused) -> None:
        self.refused.add(refusal.reason)
        stream = self._streams.get(stream_of(message))
        if refusal.reason is Reason.SCOPE and message.topic != self.settings.reply_to and stream is None:
            return  # live topics are shared: another primary's records are no trouble
        if refusal.reason is Reason.REPLAY:
            self._on_replay(stream, message)
            return
        if refusal.reason is Reason.UNCORRELATED:
            return  # late, or a copy's that has this client id no more: it does nothing
        if refusal.reason in (Reason.SIG, Reason.SCOPE) and stream is not None:
            stream.on_distrusted(f"{refusal} {refusal.hint}".strip())
        self._state.keep_refused(message, refusal.reason, self._clock())
        self._trouble.report(f"refused {refusal.reason}", f"{message.topic}: {refusal}")

    def _on_replay(self, stream: FollowedStream | None, message: Message) -> None:
        """A broker sends again what it doesn't know to have arrived; but the primary's clock may have been set back."""
        now = self._timer()
        if stream is None or self._trust is None or not self._trust.is_outdated(message) or now < stream.doubt_until:
            return
        if stream.phase != "describing":  # it is being asked already
            stream.doubt_until = now + DOUBT_S
        self._actions.do(stream, stream.brain.on_doubt(now))
