"""What goes over a link: messages, subscriptions, the events a link reports, and the interface that every link keeps.

The rules that both implementations (``mqtt.py``, ``memory.py``) keep:

* A link never promises delivery. What was published may be lost, doubled or late; the protocols above survive that.
* Every ``Arrived`` message of QoS 1 is acknowledged by the application, once its data is durable. MQTT v5 (4.6.0-2)
  wants acknowledgements in the order of arrival, so a link holds one back until all earlier ones are given: a message
  that is never acknowledged stops the flow after ``receive_maximum`` more.
* QoS 2 is treated as QoS 1: applying is idempotent, so the second handshake would buy nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Protocol, Self

LARGEST_PACKET_BYTES = 268_435_460
"""The largest MQTT packet there is: four length bytes, and the byte before them."""


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT PUBLISH. ``receipt`` is set on arrival, belongs to the link, and is what ``acknowledge`` needs."""

    topic: str
    payload: bytes = field(repr=False)
    qos: int = 1
    retain: bool = False
    response_topic: str | None = None
    correlation: bytes | None = None
    content_type: str | None = None
    properties: tuple[tuple[str, str], ...] = ()
    expiry_s: int | None = None
    receipt: object | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter (with ``+``, ``#`` or ``$share/<group>/``) and the QoS wanted for it."""

    topic: str
    qos: int = 1


@dataclass(frozen=True, slots=True)
class Connected:
    """The broker took the connection and has answered every subscription.

    ``session_present`` is false when the broker has forgotten us. ``max_packet_bytes`` is the largest it takes.
    """

    session_present: bool
    max_packet_bytes: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection ended, or an attempt failed, for ``reason`` (a sentence). ``final``: there won't be another."""

    reason: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """The broker refused to let us ``action`` ("subscribe", "publish" or "will") on ``topic``; all else goes on."""

    topic: str
    action: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message came."""

    message: Message


@dataclass(frozen=True, slots=True)
class Published:
    """The broker has acknowledged what was published at QoS 1. Links tell it only when they were asked to."""

    message: Message


Event = Connected | Disconnected | Denied | Arrived | Published
OnEvent = Callable[[Event], None]


class Link(Protocol):
    """A connection to a broker that mends itself. Its events go to the one ``on_event`` its constructor was given."""

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""

    @property
    def connected(self) -> bool:
        """Whether ``publish`` has a chance now: connected, and every subscription answered."""

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet the broker takes (of the latest connection)."""

    def start(self) -> None:
        """Begin connecting; returns at once."""

    def close(self) -> None:
        """End the connection for good. What the broker hasn't acknowledged is given up; ``drain`` first."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        """Hand ``message`` to the link.

        At QoS 1 it takes a slot of the bounded window until the broker acknowledges it (and is sent again on the next
        connection if this one ends first); waits up to ``timeout_s`` for a slot. Returns False, and keeps nothing,
        when not connected, when no slot came free, or when the broker takes no packet so large. Raises ``ValueError``
        for a message that can't be MQTT (``packet.encode_publish``).
        """

    def together(self) -> AbstractContextManager[None]:
        """What one thread publishes and acknowledges inside of this may wait until its end, and then goes out at once.

        For hundreds of messages: waking the link's thread for each costs more than the messages. Nothing inside may
        wait for what is sent inside.
        """

    def drain(self, timeout_s: float) -> bool:
        """Wait until the broker has acknowledged everything published at QoS 1; whether it has.

        What there is to tell of that (`Published`, `Denied`) has been told then: `on_event` has returned.
        """

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that ``message`` is safe with us. Any thread; harmless twice, or after a reconnection."""
