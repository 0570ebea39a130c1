"""Asks the peers behind several brokers which of them lacks what (`survey`), over connections of its own.

The seed did this with ssh and `du`, and could only say that something was missing. Nothing that a peer is doing is
disturbed: questions and answers are those of `questions`, and a client id nobody else has brings the answers here.
"""

import queue
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Self

from ..core.strict import Refused
from ..errors import DataError, Unreachable
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from .answers import answer_topic, ask_topic
from .questions import (
    CONTENT_TYPE,
    NO_SUM,
    Answer,
    DirectoryQuestion,
    Question,
    decode_answer,
    encode_question,
)
from .survey import Survey, Surveyed, survey

TIMEOUT_S = 10.0
OTHERS_SHARE = 0.1
"""After the first peer behind a broker has answered, how much of that time others may take."""
MOST_BUSY_S = 120.0
TRIES = 3


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A broker behind which no peer answered, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Lag:
    """What was found: of the peers that answered, and of the brokers behind which none did."""

    survey: Survey
    unanswered: tuple[Unanswered, ...]
    messages: int
    size_bytes: int
    """Of questions and answers together."""


class Broker:
    """A connection to the broker ``name`` for asking the peers that listen there; a context manager that connects.

    Raises `Unreachable` when it can't be connected to, refuses our topics, or a peer stops answering.
    """

    def __init__(self, name: str, settings: MqttSettings, *, exchange: str, timeout_s: float = TIMEOUT_S) -> None:
        self.name = name
        self.messages = self.size_bytes = 0
        self._exchange, self._timeout_s = exchange, timeout_s
        self._reply_to = answer_topic(exchange, settings.client_id)
        self._events: queue.Queue[Event] = queue.Queue()
        self._link = MqttLink(replace(settings, session_expiry_s=0), [Subscription(self._reply_to)], self._events.put)

    def __enter__(self) -> Self:
        self._link.start()
        try:
            self._await_connection()
        except BaseException:
            self._link.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def find_peers(self) -> list[Surveyed]:
        """All peers that answer here; raises `Unreachable` when none does."""
        question = Question("", directories=(DirectoryQuestion("", NO_SUM),))
        for _ in range(TRIES):
            found = {each.node: each for each in self._collect(question)}
            if found:
                return [Surveyed(self.name, node, self.ask) for node in sorted(found)]
        raise Unreachable(f"{self.name}: no peer answers there", hint="Does one run that posts there, with --exchange?")

    def ask(self, question: Question) -> Answer:
        """The answer of the peer ``question.to``."""
        busy_until = time.monotonic() + MOST_BUSY_S
        tries = 0
        while tries < TRIES:
            correlation = self._publish(question)
            answer = self._await_answer(correlation, self._timeout_s / TRIES)
            if answer is None:
                tries += 1
            elif not answer.busy_s:
                return answer
            elif time.monotonic() > busy_until:
                raise Unreachable(f"{self.name}: the peer there is still busy after {MOST_BUSY_S:.0f} s")
            else:
                time.sleep(min(answer.busy_s, 5))
        raise Unreachable(f"{self.name}: the peer there has stopped answering")

    def _collect(self, question: Question) -> Iterator[Answer]:
        """The answers of all that are there."""
        correlation = self._publish(question)
        answer = self._await_answer(correlation, self._timeout_s / TRIES)
        deadline = time.monotonic() + OTHERS_SHARE * self._timeout_s
        while answer is not None:
            yield answer
            answer = self._await_answer(correlation, deadline - time.monotonic())

    def _publish(self, question: Question) -> bytes:
        correlation = secrets.token_hex(8).encode()
        message = Message(
            ask_topic(self._exchange),
            encode_question(question),
            response_topic=self._reply_to,
            correlation=correlation,
            content_type=CONTENT_TYPE,
            expiry_s=max(1, int(self._timeout_s)),
        )
        self._count(message)
        self._link.publish(message, timeout_s=self._timeout_s)
        return correlation

    def _await_answer(self, correlation: bytes, patience_s: float) -> Answer | None:
        deadline = time.monotonic() + patience_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left_s)
            except queue.Empty:
                return None
            message = self._note(event)
            if message is None or message.correlation != correlation:
                continue
            try:
                return decode_answer(message.payload)
            except Refused as refusal:
                raise DataError(f"{self.name}: the peer's answer makes no sense: {refusal}") from refusal
        return None

    def _await_connection(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        reason = f"it doesn't answer within {self._timeout_s:.0f} s"
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left_s)
            except queue.Empty:
                break
            self._note(event)
            if isinstance(event, Connected):
                return
            if isinstance(event, Disconnected):
                reason = event.reason
                break
        raise Unreachable(f"{self.name}: {reason}")

    def _note(self, event: Event) -> Message | None:
        """Look at an event; returns the message that it is of."""
        match event:
            case Arrived(message):
                self._link.acknowledge(message)
                self._count(message)
                return message
            case Denied(topic, action, reason):
                raise Unreachable(f"{self.name}: the broker forbids to {action} {topic}: {reason}")
            case Disconnected(reason) if self.messages:
                raise Unreachable(f"{self.name}: {reason}")
        return None

    def _count(self, message: Message) -> None:
        self.messages += 1
        self.size_bytes += len(message.payload)


def read_lag(brokers: Sequence[Broker]) -> Lag:
    """Connect to ``brokers``, and compare the trees of all peers behind them; of a peer behind two, once.

    Raises `Unreachable` when no peer answers anywhere, or one stops answering, `DataError` when one answers nonsense.
    """
    peers: dict[str, Surveyed] = {}
    unanswered: list[Unanswered] = []
    with ExitStack() as stack:
        for broker in brokers:
            try:
                for peer in stack.enter_context(broker).find_peers():
                    peers.setdefault(peer.node, peer)
            except Unreachable as error:
                unanswered.append(Unanswered(broker.name, str(error).removeprefix(f"{broker.name}: ")))
        if not peers:
            raise Unreachable("; ".join(f"{each.name}: {each.reason}" for each in unanswered))
        try:
            found = survey(list(peers.values()))
        except Refused as refusal:
            raise DataError(f"a peer's answer makes no sense: {refusal}") from refusal
        messages = sum(each.messages for each in brokers)
        return Lag(found, tuple(unanswered), messages, sum(each.size_bytes for each in brokers))
