"""A copy's rights, and what its primary says of itself.

A broker may say "granted" to a forbidden subscription (mosquitto's ACL files do), so only a message that comes proves
the right to read. The primary's answer is such a message. To ask changes nothing: a version 2 primary describes the
stream, and a version 1 primary, which takes the same request for its own, is asked for what comes after 2038, or on a
response topic that nobody follows for the last half hour.
"""

import itertools
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ..config import Findings
from ..core.strict import Refused
from ..errors import SameskyError
from ..link.message import Message
from ..station.messages import DescriptionAnswer, ErrorAnswer, Incoming, decode_answer, encode_error
from ..station.requests import Request, encode_request
from ..station.signatures import Trust
from .comparison import compare
from .probe import Probe, check_connection, check_properties_arrive, check_status_rights
from .raised import describe_raised
from .roles import RequesterRole

AFTER_EVERYTHING = 2**31 - 1
RECENT_S = 1800
_ERRORS = {
    "not_found": "the primary doesn't serve it: correct the instance's name or primary_data_binding",
    "failed": "the primary can't read its database: its log says why",
    "busy": "the primary answers, but is busy with this copy: ask again later",
}


@dataclass(slots=True)
class _Stream:
    name: str
    request_topics: tuple[str, ...]
    answer: Incoming | None = None
    topic: str = ""
    """Where the answer came."""
    version: int = 0
    asked_on: str = ""


def check_copy_online(role: RequesterRole, findings: Findings, unreachable: Findings, patience_s: float) -> None:
    """Note what the broker denies this copy, who answers, and how its primary differs from it."""
    assert role.config is not None
    try:
        with Probe(role.config.mqtt, [each.topic for each in role.config.follow.subscriptions]) as probe:
            if check_connection(probe, role.where, findings, unreachable):
                _Inquiry(role, probe, findings, unreachable, patience_s).run()
    except SameskyError as error:
        findings.error(role.where, describe_raised(error))


class _Inquiry:
    """One connection's questions."""

    def __init__(
        self, role: RequesterRole, probe: Probe, findings: Findings, unreachable: Findings, patience_s: float
    ) -> None:
        assert role.config is not None
        self._role = role
        self._follow = role.config.follow
        self._where = role.where
        self._probe = probe
        self._findings = findings
        self._unreachable = unreachable
        self._patience_s = patience_s
        self._trust = Trust(self._follow.trust) if self._follow.trust else None
        self._asked: dict[bytes, str] = {}
        self._numbers = itertools.count(1)

    def run(self) -> None:
        """Ask for every stream, then judge what came."""
        streams = [_Stream(name, asking.request_topics) for name, asking in self._follow.asking.items()]
        for attempt, reply_to, after in self._attempts():
            self._ask([each for each in streams if not each.version], attempt, reply_to, after)
        for stream in streams:
            self._judge(stream)
        if not any(each.topic == self._follow.reply_to for each in streams) and self._role.is_ours:
            self._check_echo(streams[0].name)
        self._check_subscriptions()
        if self._role.is_ours:
            self._check_status_rights()
        check_properties_arrive(self._probe, self._where, self._findings)

    def _check_status_rights(self) -> None:
        assert self._role.config is not None
        told = dict.fromkeys(f"{each.stream.partition('/')[0]}/+/copy" for each in self._follow.copies)
        status = self._role.config.status
        check_status_rights(self._probe, status, told, self._where, self._findings, self._patience_s)

    def _attempts(self) -> Iterable[tuple[int, str, int]]:
        """(which request topic, response topic, time) in the order of trying. Another program's topic is left alone."""
        if self._role.is_ours:
            yield from ((number, self._follow.reply_to, AFTER_EVERYTHING) for number in (0, 1))
        yield from ((number, self._probe.reply_to, int(time.time()) - RECENT_S) for number in (0, 1))

    # ------------------------------------------------------------------ asking

    def _ask(self, streams: list[_Stream], number: int, reply_to: str, after: int) -> None:
        for stream in streams:
            topic = stream.request_topics[number]
            correlation = f"check#{next(self._numbers)}".encode()
            self._asked[correlation] = stream.name
            request = Request(stream.name, after, reply_to, correlation, 2, "describe")
            message = encode_request(request, topic, qos=1)
            if self._trust is not None:
                self._trust.note_question(message)
            if not self._probe.publish(message, self._patience_s):
                stream.asked_on = topic
        deadline = time.monotonic() + self._patience_s
        for stream in streams:
            # A stream that could not be asked for may still have been answered on an earlier try.
            left_s = max(0.0, deadline - time.monotonic()) if stream.asked_on else 0.0
            self._take_answer(stream, left_s)

    def _take_answer(self, stream: _Stream, timeout_s: float) -> None:
        message = self._probe.find(lambda each: self._is_answer(each, stream.name), timeout_s)
        if message is None:
            return
        stream.topic = message.topic
        stream.version = 2 if dict(message.properties).get("samesky") else 1
        try:
            self._check_signature(stream, message)
            stream.answer = decode_answer(message, {stream.name: {}}, now=time.time())
        except Refused as refusal:
            hint = f". {refusal.hint}" if refusal.hint else ""
            self._findings.error(self._where, f"{stream.name}: the primary's answer can't be used: {refusal}{hint}")

    def _check_signature(self, stream: _Stream, message: Message) -> None:
        if self._trust is None:
            return
        self._trust.check(message, "answer")
        if self._trust.unsigned:
            self._findings.warn(self._where, f"{stream.name}: the answer isn't signed by a key that is trusted here")
        else:
            key_id = dict(message.properties).get("key", "")
            self._findings.tell(self._where, f"{stream.name}: the answer is signed with the key {key_id}")

    def _is_answer(self, message: Message, stream: str) -> bool:
        if message.topic not in (self._follow.reply_to, self._probe.reply_to):
            return False
        if message.correlation is not None:
            return self._asked.get(message.correlation) == stream
        # Version 1 streams to whoever asked: what comes on the shared topic may be the running copy's.
        return message.topic == self._probe.reply_to and dict(message.properties).get("data_binding") == stream

    # ------------------------------------------------------------------ judging

    def _judge(self, stream: _Stream) -> None:
        self._check_requests(stream)
        if not stream.version:
            if stream.asked_on:
                self._unreachable.error(
                    self._where,
                    f"nobody answers for {stream.name}: does the primary run, is it called "
                    f"{stream.name.partition('/')[0]}, and may it publish to {self._follow.reply_to}?",
                )
            return
        if stream.version == 1:
            self._findings.tell(
                self._where,
                f"{stream.name}: the primary speaks version 1: records alone, without daily summaries and comparison",
            )
        elif self._role.is_ours and stream.topic != self._follow.reply_to:
            self._findings.error(
                self._where,
                f"{stream.name}: answers don't come on {self._follow.reply_to}: in the broker's ACL allow this user to "
                f"read it and the primary to write it, or write response_topic = {self._probe.reply_to}",
            )
        match stream.answer:
            case ErrorAnswer(code=code):
                note = self._findings.warn if code == "busy" else self._findings.error
                note(self._where, f"{stream.name}: {_ERRORS.get(code, f'the primary answers {code!r}')}")
            case DescriptionAnswer(description=description):
                self._findings.tell(self._where, f"{stream.name}: the primary speaks version 2")
                copy = next(each for each in self._follow.copies if each.stream == stream.name)
                compare(self._role, copy, description, self._findings)

    def _check_requests(self, stream: _Stream) -> None:
        first, plain = stream.request_topics
        reason = self._probe.denied(first, "publish")
        if not reason:
            return
        advice = f"the broker denies publishing to {first} ({reason}): in its ACL write topic write {first}"
        if stream.version:
            self._findings.warn(self._where, f"{advice}; it goes by {plain} all the same, after a while")
        else:
            self._findings.error(self._where, advice)

    def _check_echo(self, stream: str) -> None:
        """Nothing came on the response topic: publish something harmless there, where that is allowed."""
        topic = self._follow.reply_to
        echo = encode_error(topic, b"check-echo", stream, code="check", retry_after_s=0, qos=1)
        if self._probe.publish(echo, self._patience_s):
            self._findings.tell(
                self._where,
                f"the right to read {topic} isn't proven: no answer came, and this user may not publish there itself",
            )
        elif self._probe.find(lambda each: each.topic == topic, self._patience_s):
            self._findings.tell(self._where, f"may read {topic}: an echo came back")
        else:
            self._findings.error(
                self._where, f"what is published to {topic} doesn't come: in the broker's ACL write topic read {topic}"
            )

    def _check_subscriptions(self) -> None:
        optional = {self._follow.loop_topic, f"{self._follow.archive_topic}/summary"}
        unproven: list[str] = []
        for subscription in self._follow.subscriptions:
            topic = subscription.topic
            if reason := self._probe.denied(topic, "subscribe"):
                note = self._findings.warn if topic in optional else self._findings.error
                note(
                    self._where,
                    f"the broker denies subscribing to {topic} ({reason}): in its ACL write topic read {topic}",
                )
            elif self._probe.find(lambda each, topic=topic: each.topic == topic):  # type: ignore[misc]
                self._findings.tell(self._where, f"may read {topic}: a message came")
            elif topic != self._follow.reply_to:
                unproven.append(topic)
        if unproven:
            self._findings.tell(
                self._where,
                f"subscribed to {', '.join(unproven)}: the broker doesn't object, but only a message would prove the "
                "right to read, and none came meanwhile",
            )
