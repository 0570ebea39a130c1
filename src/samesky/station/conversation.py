"""A conversation with the primary of one stream, for commands: question, answer, next question, over a link of its own.

The link has a client id and a response topic that nobody else has, so a running copy notices nothing of it. What keeps
the answers away is told apart as far as a broker lets one know: nobody there, no right to ask, no right to hear.
"""

import itertools
import queue
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Self

from ..core.strict import Reason, Refused
from ..core.timetree import LEAF
from ..errors import ConfigError, DataError, SameskyError, Unreachable
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Subscription
from ..link.mqtt import MqttLink
from ..link.reasons import is_ours_to_mend
from .check_messages import CheckAnswer
from .check_question import Question, encode_question
from .check_session import CheckSession, Repair
from .description import Description
from .messages import DescriptionAnswer, ErrorAnswer, decode_answer
from .requests import RESPONSE_PREFIX, Request, encode_request, spell_reply_topic
from .signatures import Trust
from .stanza import RequesterConfig

CONNECT_TIMEOUT_S = 10.0
PATIENCE_S = 5.0
"""Until a question that nobody has answered is asked again, on the other request topic."""
FIRST_TRIES, MOST_TRIES = 2, 4
"""How often: at first, while it isn't known whether anybody is there, and later."""
MOST_BUSY_S = 900.0
OTHERS_S = 1.0
"""When a copy has answered that isn't believed: how long the primary's answer may take then."""
MOST_UNBELIEVED = 20
LONGEST_PAUSE_S = 10.0
# A version 1 primary takes a request for its own: it would stream what comes after this time.
AFTER_EVERYTHING = 2**31 - 1

Say = Callable[[str], None]
_Reply = CheckAnswer | DescriptionAnswer | ErrorAnswer


class Conversation:
    """Asks for one stream of ``config``; a context manager that connects. ``say`` is told what it waits for.

    ``reply_to`` is where answers are wanted, by default the topic of its own. Raises `Unreachable` when nobody answers,
    `ConfigError` when the broker forbids it, or the primary can't do it, `DataError` when it failed.
    """

    def __init__(
        self, config: RequesterConfig, stream: str, *, purpose: str, say: Say = lambda text: None, reply_to: str = ""
    ) -> None:
        client_id = f"{config.mqtt.client_id}-{purpose}-{secrets.token_hex(2)}"
        self.stream = stream
        self.reply_to = reply_to or _reply_topic(config, client_id)
        self.messages = 0
        """Questions and answers of checks."""
        self.size_bytes = 0
        """Their payloads and properties."""
        self._config, self._purpose, self._say = config, purpose, say
        self._topics = list(config.follow.asking[stream].request_topics)
        self._mqtt = replace(config.mqtt, client_id=client_id, session_expiry_s=0)
        self._events: queue.Queue[Event] = queue.Queue()
        self._denied: dict[str, str] = {}
        self._numbers = itertools.count(1)
        trust = config.follow.trust
        self._trust = Trust(trust) if trust else None
        self._disbelieved: Refused | None = None
        self._origin: str | None = None
        self._until = 0
        self._unbelieved = 0
        self._link = MqttLink(self._mqtt, [Subscription(self.reply_to)], self._events.put)

    def __enter__(self) -> Self:
        if self._config.follow.asking[self.stream].protocol == 1:
            raise ConfigError(
                f"{self.stream}: protocol = 1 is set, and version 1 knows no checks", hint="Remove protocol = 1."
            )
        self._link.start()
        try:
            self._await_connection()
        except BaseException:
            self._link.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def new_correlation(self) -> bytes:
        """What the next question is to be sent under; no two are the same."""
        return f"{secrets.token_hex(6)}{next(self._numbers):x}".encode()

    def describe(self) -> Description:
        """What the primary says of its database."""
        correlation = self.new_correlation()
        request = Request(self.stream, AFTER_EVERYTHING, self.reply_to, correlation, 2, "describe")
        message = encode_request(request, self._topics[0], qos=1)
        answer = self._exchange(message, correlation, tries=FIRST_TRIES)
        if not isinstance(answer, DescriptionAnswer):
            raise DataError(f"{self.stream}: the primary doesn't describe its database")
        self._origin = answer.description.origin
        return answer.description

    def go_through(self, session: CheckSession) -> Iterator[Repair]:
        """Ask all of the session's questions; what its answers say is to be done, one after the other."""
        while True:
            correlation = self.new_correlation()
            question = session.next_question(correlation)
            if question is None:
                return
            answer = self.ask(question, correlation)
            try:
                repair = session.on_answer(answer)
            except Refused as refusal:
                raise DataError(f"{self.stream}: the primary's answer makes no sense: {refusal}") from refusal
            if answer.op == "rows" and answer.reached:
                self._say(f"{self.stream}: compared up to {time.strftime('%Y-%m-%d', _local(answer.reached))}")
            if repair is not None:
                yield repair

    def ask(self, question: Question, correlation: bytes) -> CheckAnswer:
        """The primary's answer to a check's question, whose nonce is ``correlation``."""
        message = encode_question(
            self.stream, question, topic=self._topics[0], reply_to=self.reply_to, correlation=correlation
        )
        self._count(message)
        self._until = question.until
        answer = self._exchange(message, correlation, tries=MOST_TRIES)
        if not isinstance(answer, CheckAnswer):
            raise DataError(f"{self.stream}: the primary answers another question")
        if self._origin is not None and answer.origin != self._origin:
            raise Unreachable(f"{self.stream}: the primary's database was replaced meanwhile", hint="Try again.")
        return answer

    # ------------------------------------------------------------------ asking

    def _exchange(self, message: Message, correlation: bytes, *, tries: int) -> _Reply:
        silent, gives_up_at = 0, time.monotonic() + MOST_BUSY_S
        while silent < tries:
            answer, unbelieved = None, self._unbelieved
            if f"publish {self._topics[0]}" not in self._denied:
                if self._trust is not None:
                    self._trust.note_question(message)
                self._link.publish(replace(message, topic=self._topics[0]), timeout_s=PATIENCE_S)
                answer = self._await_answer(correlation, PATIENCE_S)
            if isinstance(answer, ErrorAnswer) and answer.code == "busy":
                if time.monotonic() > gives_up_at:
                    raise Unreachable(f"{self.stream}: the primary is still busy after {MOST_BUSY_S / 60:.0f} minutes")
                self._say(f"{self.stream}: the primary is busy adding up its records")
                silent = 0
                # An answer to what was asked first may be under way.
                answer = self._await_answer(correlation, min(max(1, answer.retry_after_s), LONGEST_PAUSE_S))
                if answer is None or isinstance(answer, ErrorAnswer):
                    continue
            if isinstance(answer, ErrorAnswer):
                raise _worded(self.stream, answer.code)
            if answer is not None:
                return answer
            if unbelieved < self._unbelieved < MOST_UNBELIEVED:
                continue  # copies share the requests with their primary: each goes to another of them
            silent += 1
            self._topics.reverse()
        raise self._find_reason()

    def _await_answer(self, correlation: bytes, patience_s: float) -> _Reply | None:
        """The answer sent under ``correlation``; None when it doesn't come in time."""
        deadline = time.monotonic() + patience_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left_s)
            except queue.Empty:
                return None
            self._note(event)
            if isinstance(event, Denied) and event.action == "publish":
                return None
            if not isinstance(event, Arrived) or event.message.correlation != correlation:
                continue
            if not self._is_proven(event.message):
                continue  # the primary's may come yet
            answer = self._decode(event.message)
            if answer is not None:
                return answer
            deadline = min(deadline, time.monotonic() + OTHERS_S)
        return None

    def _is_proven(self, message: Message) -> bool:
        """Whether the answer is signed by whom this copy trusts, where it trusts somebody."""
        if self._trust is None:
            return True
        try:
            self._trust.check(message, "answer")
        except Refused as refusal:
            if refusal.reason not in (Reason.SIG, Reason.SCOPE):
                raise DataError(f"{self.stream}: the primary's answer can't be used: {refusal}") from refusal
            self._disbelieved = refusal
            return False
        return True

    def _decode(self, message: Message) -> _Reply | None:
        try:
            answer = decode_answer(message, {self.stream: {}}, now=time.time())
        except Refused as refusal:
            raise DataError(f"{self.stream}: the primary's answer can't be used: {refusal}") from refusal
        if isinstance(answer, CheckAnswer):
            self._count(message)
        if isinstance(answer, CheckAnswer | DescriptionAnswer):
            return answer if self._is_believed(answer) else None
        return answer if isinstance(answer, ErrorAnswer) else None

    def _is_believed(self, answer: CheckAnswer | DescriptionAnswer) -> bool:
        """Whether it is the primary's, or of a copy that is proven up to there, but not of the one in question."""
        by = answer.stand_in
        if by is None or (by.name != self._config.follow.reply_to and by.proven >= self._until):
            return True
        self._unbelieved += 1
        return False

    def _count(self, message: Message) -> None:
        self.messages += 1
        self.size_bytes += len(message.payload)
        self.size_bytes += sum(len(name) + len(value) for name, value in message.properties)

    # ------------------------------------------------------------------ the link

    def _await_connection(self) -> None:
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        reason = f"{self._mqtt.address} doesn't answer"
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
        kind = ConfigError if is_ours_to_mend(reason) else Unreachable
        raise kind(f"no connection to the broker: {reason}", hint="samesky check --online says what is wrong.")

    def _note(self, event: Event) -> None:
        match event:
            case Arrived(message):
                self._link.acknowledge(message)
            case Denied(topic, action, reason):
                self._denied[f"{action} {topic}"] = reason

    # ------------------------------------------------------------------ silence

    def _find_reason(self) -> SameskyError:
        """Why nobody has answered, as far as can be found out."""
        if self._disbelieved is not None:
            return DataError(
                f"{self.stream}: no answer came that can be believed: {self._disbelieved}",
                hint=self._disbelieved.hint or "Somebody else may publish on the broker: docs/security.md.",
            )
        if f"subscribe {self.reply_to}" in self._denied:
            return self._denied_reading()
        if all(f"publish {topic}" in self._denied for topic in self._topics):
            topic = min(self._topics, key=len)
            return ConfigError(
                f"{self.stream}: the broker doesn't let this user ask: it denies publishing to {topic}",
                hint=f"In the broker's ACL write: topic write {topic}/#",
            )
        if self.reply_to != self._config.follow.reply_to and self._is_answered_elsewhere():
            return self._denied_reading()
        if self._unbelieved:
            return Unreachable(
                f"{self.stream}: only copies answer, and none that is proven up to there",
                hint="The primary itself has to be reached. Does it run?",
            )
        return Unreachable(
            f"nobody answers for {self.stream} at {self._mqtt.address}",
            hint="Does the primary run, under this instance's name? Try samesky check --online at both ends. "
            "(A primary of version 1 knows no checks.)",
        )

    def _is_answered_elsewhere(self) -> bool:
        """Whether an answer comes where the copy usually gets its own. A broker may forbid reading without a word."""
        usual = self._config.follow.reply_to
        try:
            with Conversation(self._config, self.stream, purpose=self._purpose, reply_to=usual) as other:
                other.describe()
        except SameskyError:
            return False
        return True

    def _denied_reading(self) -> ConfigError:
        return ConfigError(
            f"{self.stream}: the broker doesn't let this user read {self.reply_to}, where the answers come",
            hint=f"In the broker's ACL write: pattern read {RESPONSE_PREFIX}%u/# (or: topic read "
            f"{self.reply_to.rpartition('/')[0]}/#), and see that the primary may write there.",
        )


def _reply_topic(config: RequesterConfig, client_id: str) -> str:
    """Where answers are wanted: beside the copy's own, where its user may read; without users, at a place apart."""
    usual = config.follow.reply_to
    if not config.mqtt.username or not usual.startswith(RESPONSE_PREFIX):
        return spell_reply_topic(client_id)
    return spell_reply_topic(client_id, usual.removeprefix(RESPONSE_PREFIX).split("/")[0])


def _local(leaf: int) -> time.struct_time:
    return time.localtime(leaf << LEAF)


def _worded(stream: str, code: str) -> SameskyError:
    match code:
        case "not_found":
            return ConfigError(
                f"{stream}: the primary doesn't serve it", hint="Correct the instance's name or primary_data_binding."
            )
        case "version" | "bad_request":
            return ConfigError(
                f"{stream}: the primary's samesky doesn't know this question", hint="Bring it up to this version."
            )
        case "failed":
            return Unreachable(f"{stream}: the primary can't read its database", hint="Its log says why.")
    return Unreachable(f"{stream}: the primary answers {code!r}")
