"""A connection that tries things out: the configured broker and user, a client id of its own, and nothing left behind.

What is published here has to be harmless to everybody: a request carries a decimal time and all version 1 properties,
an answer or a live message belongs to nobody, and the archive topic is never published to, because a version 1 copy
doesn't survive a record that isn't one.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Self

from ..config import Findings
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from ..link.reasons import is_ours_to_mend
from ..station.requests import spell_reply_topic
from ..station.status_message import spell_presence_topic
from ..station.status_settings import StatusSettings

CONNECT_TIMEOUT_S = 10.0
KEPT_MESSAGES = 500
LEAST_PACKET_BYTES = 64 << 10


class Probe:
    """A context manager around one link. ``settings`` are the checked role's."""

    def __init__(self, settings: MqttSettings, topics: Iterable[str]) -> None:
        client_id = f"{settings.client_id}-check"
        self.settings = replace(settings, client_id=client_id, session_expiry_s=0)
        self.reply_to = spell_reply_topic(client_id, settings.username)
        """A response topic that nobody else listens to."""
        self._changed = threading.Condition()
        self._messages: deque[Message] = deque(maxlen=KEPT_MESSAGES)
        self._denied: dict[tuple[str, str], str] = {}
        self._state: Connected | Disconnected | None = None
        subscriptions = [Subscription(topic) for topic in dict.fromkeys([*topics, self.reply_to])]
        self._link = MqttLink(self.settings, subscriptions, self._take)

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def connect(self) -> str:
        """Wait for the connection; returns why there is none, empty when there is."""
        with self._changed:
            self._changed.wait_for(lambda: self._state is not None, CONNECT_TIMEOUT_S)
            match self._state:
                case Connected():
                    return ""
                case Disconnected(reason, _):
                    return reason
            return f"{self.settings.address} doesn't answer"

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet the broker takes."""
        return self._link.max_packet_bytes

    def denied(self, topic: str, action: str) -> str:
        """Why the broker denied to ``subscribe`` or ``publish``; empty when it didn't."""
        with self._changed:
            return self._denied.get((topic, action), "")

    def publish(self, message: Message, timeout_s: float) -> str:
        """Publish and wait for the broker's word; returns why it was not taken, empty when it was.

        Always at QoS 1, for at QoS 0 the broker says nothing.
        """
        try:
            if not self._link.publish(replace(message, qos=1), timeout_s=timeout_s):
                return "the connection has ended"
        except ValueError as error:  # a topic that is none; said already
            return str(error)
        if not self._link.drain(timeout_s):
            return "the broker didn't acknowledge it"
        return self.denied(message.topic, "publish")

    def find(self, wanted: Callable[[Message], bool], timeout_s: float = 0.0) -> Message | None:
        """The first message that came and is ``wanted``, waiting up to ``timeout_s`` for one."""
        with self._changed:
            self._changed.wait_for(lambda: any(map(wanted, self._messages)), timeout_s)
            return next(filter(wanted, self._messages), None)

    def _take(self, event: Event) -> None:
        with self._changed:
            match event:
                case Arrived(message):
                    self._messages.append(message)
                    self._link.acknowledge(message)
                case Denied(topic, action, reason):
                    self._denied[(topic, action)] = reason.removeprefix("the broker refused it: ")
                case Connected() | Disconnected():
                    self._state = self._state if isinstance(self._state, Connected) else event
            self._changed.notify_all()


def check_connection(probe: Probe, where: str, findings: Findings, unreachable: Findings) -> bool:
    """Whether there is a connection; notes why not, and packets that the broker bounds too narrowly."""
    if reason := probe.connect():
        note = findings if is_ours_to_mend(reason) else unreachable
        note.error(where, f"no connection to the broker: {reason}")
        return False
    settings = probe.settings
    findings.tell(where, f"connected to {settings.address} as {settings.client_id}{_user(settings)}")
    if probe.max_packet_bytes < LEAST_PACKET_BYTES:
        findings.warn(
            where,
            f"the broker takes packets of {probe.max_packet_bytes} bytes at most, so pages are small and catching "
            "up is slow: write max_packet_size 2000000 in mosquitto.conf, or leave it out",
        )
    return True


def check_properties_arrive(probe: Probe, where: str, findings: Findings) -> None:
    """Note messages without user properties: every one of both versions has them, so they were lost on the way."""
    stripped = probe.find(lambda message: bool(message.payload) and not message.properties)
    if stripped is not None:
        findings.error(
            where,
            f"a message on {stripped.topic} came without user properties: something between the stations speaks MQTT "
            "3.1.1; for a mosquitto bridge write bridge_protocol_version mqttv50 in its section, on both brokers",
        )


def check_status_rights(
    probe: Probe, status: StatusSettings, told: Iterable[str], where: str, findings: Findings, patience_s: float
) -> None:
    """Note whether this user may tell how its streams are doing, and Home Assistant what to show; nothing is kept.

    ``told`` are instance and role of the streams: ``home/+/copy``.
    """
    if not status.enabled:
        return
    client_id, off = probe.settings.client_id, "status = false"
    trials = [(spell_presence_topic(status.topic, client_id), f"{status.topic}/+", off)]
    for each in told:
        allow = f"{status.topic}/{each}/+"
        trials.append((f"{allow.replace('+', 'samesky-check', 1).removesuffix('+')}{client_id}", allow, off))
    if prefix := status.discovery_prefix:
        config = f"{prefix}/device/samesky-check/config"
        trials.append((config, f"{prefix}/device/+/config", "home_assistant = false"))
    for topic, allow, instead in trials:
        if reason := probe.publish(Message(topic, b"", retain=True), patience_s):
            words = f"the broker denies publishing to {allow} ({reason}), so nobody elsewhere sees how this is doing"
            findings.warn(where, f"{words}: in its ACL write topic write {allow}, or write {instead} here")
        else:
            findings.tell(where, f"may publish to {allow}")


def _user(settings: MqttSettings) -> str:
    return f", user {settings.username}" if settings.username else ""
