"""An in-process broker on a virtual clock, with seeded loss, duplication, delay and disorder: for simulations.

No threads, no sockets, no clock of its own: what happens follows from the seed and from the calls. ``advance`` lets
time pass; every event is handed out inside it. Exceptions of ``on_event`` go through to the caller, so that a test sees
them. What it models of MQTT: QoS 0 and 1, wildcards, shared subscriptions, sessions that outlive connections (with a
bounded queue), redelivery of what wasn't acknowledged, windows on both sides, message expiry. Nothing is retained.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random
from typing import Self

from .message import Arrived, Connected, Disconnected, Message, OnEvent, Published, Subscription
from .packet import packet_bytes

MAX_PACKET_BYTES = 2 << 20


@dataclass(slots=True, eq=False)
class _Session:
    """What the broker remembers of a client."""

    link: "MemoryLink"
    waiting: deque[tuple[Message, float]] = field(default_factory=deque)
    unacknowledged: dict[int, Message] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Route:
    """Who gets what is published on one topic: (session, QoS of its subscription), and groups that share."""

    direct: list[tuple[_Session, int]] = field(default_factory=list)
    shared: dict[str, list[tuple[_Session, int]]] = field(default_factory=dict)


class MemoryBroker:
    """The broker. Chances are from 0 to 1 and apply to each delivery; ``delay_s`` is a range, drawn each time.

    ``reconnect_s`` is the range from which a link takes the time until it connects again. ``queue`` bounds what is kept
    for a client that is away (mosquitto's default is 1,000; the rest is dropped without a word, as there).
    """

    def __init__(
        self,
        seed: int,
        *,
        loss: float = 0.0,
        duplicate: float = 0.0,
        delay_s: tuple[float, float] = (0.0, 0.0),
        reconnect_s: tuple[float, float] = (0.5, 1.5),
        queue: int = 1000,
        max_packet_bytes: int = MAX_PACKET_BYTES,
    ) -> None:
        self.now = 0.0
        self.loss = loss
        self.duplicate = duplicate
        self.delay_s = delay_s
        self.reconnect_s = reconnect_s
        self.queue = queue
        self.max_packet_bytes = max_packet_bytes
        self.dropped = 0
        """Messages that were lost on the way or didn't fit a queue."""
        self._random = Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._links: dict[str, MemoryLink] = {}
        self._sessions: dict[str, _Session] = {}
        self._routes: dict[str, _Route] = {}
        self._turns: dict[str, int] = {}

    def link(
        self,
        client_id: str,
        subscriptions: Iterable[Subscription],
        on_event: OnEvent,
        *,
        window: int = 64,
        receive_maximum: int = 64,
        tell_published: bool = False,
    ) -> "MemoryLink":
        """Return a new link; one with the same client id, if there is one, must have been closed."""
        link = MemoryLink(self, client_id, tuple(subscriptions), on_event, window, receive_maximum, tell_published)
        self._links[client_id] = link
        return link

    def next_time(self) -> float | None:
        """When something will happen next; None if nothing will, unless somebody publishes."""
        return self._agenda[0][0] if self._agenda else None

    def advance(self, to_time: float) -> None:
        """Let everything happen that is due up to ``to_time``, in order, including what that brings about."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= to_time:
            self.now, _, action = heappop(agenda)
            action()
        self.now = max(self.now, to_time)

    def drop(self, client_id: str, *, for_s: float | None = None) -> None:
        """Cut the connection of ``client_id`` now; it comes back after ``for_s`` (default: as ``reconnect_s`` says)."""
        self._links[client_id]._lose("the connection was lost", for_s)

    def restart(self, *, forget: bool, for_s: float | None = None) -> None:
        """Cut every connection; with ``forget`` the broker loses its sessions and all that is under way as well."""
        if forget:
            self._sessions.clear()
            self._routes.clear()
        for link in list(self._links.values()):
            link._lose("the broker went away", for_s)

    def _after(self, delay_s: float, action: Callable[[], None]) -> None:
        self._order += 1
        heappush(self._agenda, (self.now + delay_s, self._order, action))

    def _draw(self, between: tuple[float, float]) -> float:
        low, high = between
        return low if low == high else low + (high - low) * self._random.random()

    def _connect(self, link: "MemoryLink") -> bool:
        """Attach ``link`` to its session; whether there was one."""
        session = self._sessions.get(link.client_id)
        if session and session.link is link:
            return True
        self._routes.clear()
        if session:
            session.link = link
            return True
        self._sessions[link.client_id] = _Session(link)
        return False

    def _route(self, message: Message) -> None:
        """Send ``message`` on its way to everybody who wants it."""
        route = self._routes.get(message.topic) or self._make_route(message.topic)
        for session, qos in route.direct:
            self._send(session, qos, message)
        for group, members in route.shared.items():
            online = [each for each in members if each[0].link.connected] or members
            turn = self._turns[group] = self._turns.get(group, -1) + 1
            session, qos = online[turn % len(online)]
            self._send(session, qos, message)

    def _send(self, session: _Session, qos: int, message: Message) -> None:
        copies = 1
        if self.loss and self._random.random() < self.loss:
            copies = 0
            self.dropped += 1
        elif self.duplicate and self._random.random() < self.duplicate:
            copies = 2
        published = self.now
        for _ in range(copies):
            self._after(
                self._draw(self.delay_s), lambda: self._deliver(session, min(qos, message.qos), message, published)
            )

    def _deliver(self, session: _Session, qos: int, message: Message, published: float) -> None:
        if self._sessions.get(session.link.client_id) is not session:
            self.dropped += 1  # the broker forgot this session while the message was on its way
        elif qos == 0:
            if session.link.connected:
                session.link._arrive(message, 0, 0)
        elif len(session.waiting) >= self.queue:
            self.dropped += 1
        else:
            session.waiting.append((message, published))
            self._pump(session)

    def _pump(self, session: _Session) -> None:
        """Hand out what waits, for as long as the client is there and has room."""
        link = session.link
        while session.waiting and link.connected and len(session.unacknowledged) < link.receive_maximum:
            message, published = session.waiting.popleft()
            if message.expiry_s is None or self.now - published <= message.expiry_s:
                mid = link._next_mid()
                session.unacknowledged[mid] = message
                link._arrive(message, 1, mid)

    def _redeliver(self, session: _Session) -> None:
        """Put what wasn't acknowledged in front of what waits: the client has come back."""
        session.waiting.extendleft((message, self.now) for message in reversed(session.unacknowledged.values()))
        session.unacknowledged.clear()
        self._pump(session)

    def _make_route(self, topic: str) -> _Route:
        route = _Route()
        for session in self._sessions.values():
            best = -1
            for subscription in session.link.subscriptions:
                group, wanted = _split_shared(subscription.topic)
                if not _matches(wanted, topic):
                    continue
                if group:
                    route.shared.setdefault(subscription.topic, []).append((session, min(subscription.qos, 1)))
                else:
                    best = max(best, min(subscription.qos, 1))
            if best >= 0:
                route.direct.append((session, best))
        self._routes[topic] = route
        return route


class MemoryLink:
    """A ``Link`` to a ``MemoryBroker``. Nothing in it waits: ``timeout_s`` is ignored, ``drain`` only looks."""

    def __init__(
        self,
        broker: MemoryBroker,
        client_id: str,
        subscriptions: Sequence[Subscription],
        on_event: OnEvent,
        window: int,
        receive_maximum: int,
        tell_published: bool,
    ) -> None:
        self.broker = broker
        self.subscriptions = tuple(subscriptions)
        self.receive_maximum = receive_maximum
        self._client_id = client_id
        self._on_event = on_event
        self._window = window
        self._tell_published = tell_published
        self._connected = False
        self._closed = False
        self._connecting = False
        self._generation = 0
        self._mid = 0
        self._in_flight: dict[int, Message] = {}
        self._order: dict[int, bool] = {}

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        return self._client_id

    @property
    def connected(self) -> bool:
        """Whether ``publish`` has a chance now."""
        return self._connected

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet the broker takes."""
        return self.broker.max_packet_bytes

    def start(self) -> None:
        """Connect as soon as time passes."""
        if not self._connecting and not self._connected:
            self._connect_after(self.broker._draw(self.broker.delay_s))

    def close(self) -> None:
        """End the connection for good; the broker keeps the session."""
        if not self._closed:
            self._closed, self._connected = True, False
            self._on_event(Disconnected("closed", final=True))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        """See ``Link.publish``."""
        size_bytes = packet_bytes(message)
        if not self._connected or size_bytes > self.broker.max_packet_bytes:
            return False
        if message.qos:
            if len(self._in_flight) >= self._window:
                return False
            self._send(message)
        else:
            self.broker._route(message)
        return True

    def together(self) -> AbstractContextManager[None]:
        """See ``Link.together``; here everything goes out at once anyway."""
        return nullcontext()

    def drain(self, timeout_s: float) -> bool:
        """Whether the broker has acknowledged everything."""
        return not self._in_flight

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget ``message`` once all that came before it are acknowledged as well."""
        session = self.broker._sessions.get(self._client_id)
        if not (isinstance(message.receipt, tuple) and self._connected and session):
            return
        generation, mid = message.receipt
        if generation != self._generation or mid not in self._order:
            return
        self._order[mid] = True
        while self._order and self._order[first := next(iter(self._order))]:
            del self._order[first]
            session.unacknowledged.pop(first, None)
        if session.waiting:
            self.broker._after(0.0, lambda: self.broker._pump(session))

    def _send(self, message: Message) -> None:
        mid, generation = self._next_mid(), self._generation
        self._in_flight[mid] = message
        self.broker._route(message)
        self.broker._after(self.broker._draw(self.broker.delay_s), lambda: self._finish(mid, generation))

    def _finish(self, mid: int, generation: int) -> None:
        if generation == self._generation and self._connected:
            message = self._in_flight.pop(mid, None)
            if message is not None and self._tell_published:
                self._on_event(Published(message))

    def _next_mid(self) -> int:
        self._mid += 1
        return self._mid

    def _connect_after(self, delay_s: float) -> None:
        self._connecting = True
        self.broker._after(delay_s, self._connect)

    def _connect(self) -> None:
        self._connecting = False
        if self._closed:
            return
        broker = self.broker
        self._generation += 1
        self._order.clear()
        session_present = broker._connect(self)
        self._connected = True
        again, self._in_flight = list(self._in_flight.values()), {}
        for message in again:
            self._send(message)
        self._on_event(Connected(session_present, broker.max_packet_bytes))
        if self._connected:
            broker._redeliver(broker._sessions[self._client_id])

    def _lose(self, reason: str, for_s: float | None) -> None:
        """The connection ends; connect again later."""
        if self._closed or not self._connected:
            return
        self._connected = False
        self._connect_after(self.broker._draw(self.broker.reconnect_s) if for_s is None else for_s)
        self._on_event(Disconnected(reason))

    def _arrive(self, message: Message, qos: int, mid: int) -> None:
        if qos:
            self._order[mid] = False
        self._on_event(
            Arrived(
                Message(
                    message.topic,
                    message.payload,
                    qos,
                    False,
                    message.response_topic,
                    message.correlation,
                    message.content_type,
                    message.properties,
                    message.expiry_s,
                    (self._generation, mid) if qos else None,
                )
            )
        )


def _split_shared(topic: str) -> tuple[str, str]:
    """Return (group, filter) of ``$share/<group>/<filter>``; the group is empty for any other filter."""
    if not topic.startswith("$share/"):
        return "", topic
    _, group, wanted = topic.split("/", 2)
    return group, wanted


def _matches(wanted: str, topic: str) -> bool:
    """Whether the filter ``wanted`` takes ``topic`` (MQTT v5, 4.7)."""
    if wanted == topic:
        return True
    filters, levels = wanted.split("/"), topic.split("/")
    if topic.startswith("$") and filters[0] in ("+", "#"):
        return False
    for position, level in enumerate(filters):
        if level == "#":
            return True
        if position >= len(levels) or level not in ("+", levels[position]):
            return False
    return len(filters) == len(levels)
