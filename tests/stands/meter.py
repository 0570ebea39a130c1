"""What a copy's checks send and get, counted at the copy's own link: each question and each answer to one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from samesky.link.message import Arrived, Event, Link, Message, OnEvent, Subscription
from samesky.link.mqtt import MqttLink, MqttSettings
from samesky.link.packet import packet_bytes
from samesky.station.check_question import OPS


@dataclass(frozen=True, slots=True)
class Counted:
    """One message."""

    kind: str
    """``root?``, ``nodes?`` and ``rows?`` ask; ``check`` answers, ``error`` says why it doesn't."""
    size_bytes: int
    """Payload and user properties, names and values."""
    packet_bytes: int
    """All of the MQTT packet: with topic, response topic and the like."""


@dataclass(slots=True)
class Meter:
    """Counts the messages of checks. `make_link` makes a link that is counted."""

    counted: list[Counted] = field(default_factory=list)
    _asked: set[bytes] = field(default_factory=set)

    def make_link(self, settings: MqttSettings) -> Callable[[tuple[Subscription, ...], OnEvent], Link]:
        """As for `Following`, whose checks are counted then."""
        return lambda subscriptions, on_event: _MeteredLink(self, settings, subscriptions, on_event)

    def take(self) -> list[Counted]:
        """What was counted since the last time."""
        taken, self.counted = self.counted, []
        return taken

    def note_sent(self, message: Message) -> None:
        """Count a question."""
        op = dict(message.properties).get("op", "")
        if op in OPS and message.correlation:
            self._asked.add(message.correlation)
            self._count(f"{op}?", message)

    def note_arrived(self, message: Message) -> None:
        """Count an answer to a question that was counted."""
        if message.correlation in self._asked:
            self._count(dict(message.properties).get("kind", ""), message)

    def _count(self, kind: str, message: Message) -> None:
        said = sum(len(name.encode()) + len(value.encode()) for name, value in message.properties)
        self.counted.append(Counted(kind, len(message.payload) + said, packet_bytes(message)))


class _MeteredLink(MqttLink):
    def __init__(
        self, meter: Meter, settings: MqttSettings, subscriptions: tuple[Subscription, ...], on_event: OnEvent
    ) -> None:
        def note(event: Event) -> None:
            if isinstance(event, Arrived):
                meter.note_arrived(event.message)
            on_event(event)

        self._meter = meter
        super().__init__(settings, subscriptions, note)

    def publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        self._meter.note_sent(message)  # not afterwards: the answer may be there by then
        return super().publish(message, timeout_s=timeout_s)
