"""The second link: blocks over MQTT, `MqttCarrier`.

Each key has a topic (`mqtt_topics`), where the newest state is retained: who comes later has something to begin with,
marked as of unknown age. Our headers are user properties, thus MQTT v5. A replica may follow over this link what an old
service broadcasts over AMQP to another of ours, and the other way round.

Publishing and hearing have a connection each. What was under way when a connection ended is given up, not sent again on
the next one: it would be old, and the next reading comes soon. When a service dies, its will says so (`mqtt_presence`).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ..core.strict import Refused
from ..errors import Unreachable
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Link, Message, Published, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from ..link.packet import packet_bytes
from .carriers import Arrival, OnArrival
from .envelope import CONTENT_TYPE
from .mqtt_presence import CLIENT, GRACE_S, Presence, strip
from .mqtt_topics import parse_topic, spell_topic

FAREWELL_S = 1.0
KEEPALIVE_S = 10
"""A broker that is frozen is noticed in twice that."""
LOOK_AGAIN_S = 0.1
"""Brokers take a few messages at once, and don't tell each time that there is room."""


class MqttCarrier:
    """Carries blocks over the broker of ``settings``, below the topic ``prefix``; see `CarrierLink`.

    The client ids are that of ``settings`` with ``-out`` and ``-in``: no other service may have it. The will of another
    service is believed when nothing came from it for ``grace_s``.
    """

    def __init__(self, settings: MqttSettings, *, prefix: str = "syncast", grace_s: float = GRACE_S) -> None:
        self._settings = replace(
            settings, keepalive_s=KEEPALIVE_S, session_expiry_s=0, clean_start=True, tell_published=True
        )
        self._prefix = prefix
        self._client_id = f"{settings.client_id}-out"
        self._presence = Presence(prefix, self._on_gone, grace_s=grace_s)
        will = self._presence.make_will(self._client_id)
        self._out = _Line(replace(self._settings, will=will), "out", (), self._on_outgoing)
        self._in = _Line(self._settings, "in", (Subscription(f"{prefix}/#"),), self._on_incoming)
        self._on_arrival: OnArrival | None = None
        self._patterns: set[str] = set()
        self._room = asyncio.Event()
        self._unconfirmed: dict[str, tuple[Message, asyncio.Future[None]]] = {}

    @property
    def trouble(self) -> str:
        """As of `CarrierLink`."""
        return self._out.trouble or self._in.trouble

    def start(self, on_arrival: OnArrival) -> None:
        """As of `CarrierLink`."""
        self._on_arrival = on_arrival
        self._out.open()

    async def close(self) -> None:
        """As of `CarrierLink`."""
        await self._out.close(drain_s=FAREWELL_S)
        await self._in.close()
        self._presence.close()

    async def subscribe(self, pattern: str, *, wait_s: float = 0.0) -> None:
        """As of `CarrierLink`. All blocks of the prefix come then; who wants which is known by its pattern.

        There is nothing to wait for: the broker retains what is published meanwhile.
        """
        self._patterns.add(pattern)
        if not self._in.is_open:
            self._in.open()

    async def unsubscribe(self, pattern: str) -> None:
        """As of `CarrierLink`."""
        self._patterns.discard(pattern)
        if not self._patterns:
            await self._in.close()

    async def publish(self, key: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """As of `CarrierLink`. A newer state of a key that is under way still waits until that was taken."""
        topic = spell_topic(self._prefix, key)
        properties = (*sorted(headers.items()), (CLIENT, self._client_id))
        message = Message(topic, body, retain=True, content_type=CONTENT_TYPE, properties=properties)
        try:
            async with asyncio.timeout(timeout_s):
                await self._hand_on(message)
        except TimeoutError:
            if self._out.refuses():
                raise self._refused(topic) from None
            self._renew()
            raise self._away(f"it hasn't answered within {timeout_s:g} s") from None

    async def _hand_on(self, message: Message) -> None:
        while message.topic in self._unconfirmed:
            await asyncio.wait([self._unconfirmed[message.topic][1]])
        taken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._unconfirmed[message.topic] = (message, taken)
        try:
            while not (taken.done() or self._out.publish(message)):
                self._out.check(message)
                await self._wait_for_room()
            await taken
        finally:
            self._unconfirmed.pop(message.topic, None)
            taken.cancel()

    async def _wait_for_room(self) -> None:
        """Until the broker has taken something, or may have refused it."""
        self._room.clear()
        try:
            async with asyncio.timeout(LOOK_AGAIN_S):
                await self._room.wait()
        except TimeoutError:
            pass

    def _away(self, words: str) -> Unreachable:
        return Unreachable(f"the broker at {self._settings.address} didn't take the message: {words}")

    def _refused(self, topic: str) -> Unreachable:
        return Unreachable(
            f"the broker at {self._settings.address} refuses what is published on {topic}",
            hint="look at the rights of this user there",
        )

    def _on_outgoing(self, event: Event) -> None:
        match event:
            case Connected():
                self._out.publish(self._presence.make_greeting(self._client_id))
            case Published(message):
                self._room.set()
                sent, taken = self._unconfirmed.get(message.topic, (None, None))
                if sent is message and taken is not None and not taken.done():
                    taken.set_result(None)
            case Denied(topic, "publish"):  # told once a minute; the others are waited for in vain
                _, taken = self._unconfirmed.get(topic, (None, None))
                if taken is not None and not taken.done():
                    taken.set_exception(self._refused(topic))
            case Disconnected(reason):
                if self._unconfirmed:
                    self._renew(reason)

    def _renew(self, reason: str = "the connection was given up") -> None:
        """Begin anew with nothing under way."""
        for _, taken in self._unconfirmed.values():
            if not taken.done():
                taken.set_exception(self._away(reason))
                taken.exception()  # who waits for room sees the end of the connection first
        self._out.renew()

    def _on_incoming(self, event: Event) -> None:
        if not isinstance(event, Arrived) or self._on_arrival is None:
            return
        message = event.message
        if self._presence.take(message):
            return
        try:
            key = parse_topic(self._prefix, message.topic)
        except Refused:
            return  # somebody else's
        if message.payload:  # none: what was retained has been cleared
            live = not message.retain
            properties = self._presence.note(key, message.properties) if live else strip(message.properties)
            self._on_arrival(Arrival(key, message.payload, list(properties), _settle, retained=not live))

    def _on_gone(self, key: str) -> None:
        """The service that had broadcast ``key`` has died."""
        if self._on_arrival is not None:
            self._on_arrival(Arrival(key, b"", (), _settle, gone=True))


def _settle(good: bool) -> None:
    """Nothing: a message is acknowledged when it arrives, as MQTT wants that in order, and newer ones come anyway."""


class _Line:
    """One of the two connections: its link, which may be put in the place of another, and what is wrong with it."""

    def __init__(
        self,
        settings: MqttSettings,
        name: str,
        subscriptions: Sequence[Subscription],
        on_event: Callable[[Event], None],
    ) -> None:
        self._settings = replace(settings, client_id=f"{settings.client_id}-{name}")
        self._subscriptions, self._on_event = subscriptions, on_event
        self._link: Link | None = None
        self._trouble = ""
        self._closing: set[asyncio.Future[None]] = set()

    @property
    def is_open(self) -> bool:
        return self._link is not None

    @property
    def trouble(self) -> str:
        """Empty when it is connected, or needn't be."""
        return self._trouble if self.is_open else ""

    def open(self) -> None:
        """Begin connecting, for the loop that runs."""
        loop = asyncio.get_running_loop()

        def hand_over(event: Event) -> None:
            if isinstance(event, Arrived):
                link.acknowledge(event.message)
            loop.call_soon_threadsafe(self._take, link, event)

        self._trouble = f"the broker at {self._settings.address} hasn't answered yet"
        link = MqttLink(self._settings, self._subscriptions, hand_over)
        self._link = link
        link.start()

    def publish(self, message: Message) -> bool:
        return self._link is not None and self._link.publish(message)

    def check(self, message: Message) -> None:
        """Raise `Unreachable` when waiting for room won't help ``message``."""
        if self._link is None or not self._link.connected:
            words = f"didn't take the message: {self.trouble or 'the connection has just ended'}"
        elif packet_bytes(message) > self._link.max_packet_bytes:
            words = f"takes no message of {packet_bytes(message)} bytes"
        else:
            return
        raise Unreachable(f"the broker at {self._settings.address} {words}")

    def refuses(self) -> bool:
        """Whether the broker has answered everything; what it hasn't taken then it has refused."""
        return self._link is not None and self._link.connected and self._link.drain(0)

    def renew(self) -> None:
        """Another link in the place of this one."""
        if self._link is not None:
            closing = asyncio.ensure_future(asyncio.to_thread(self._link.close))
            self._closing.add(closing)  # else nothing would hold it
            closing.add_done_callback(self._closing.discard)
            self.open()

    async def close(self, *, drain_s: float = 0.0) -> None:
        link, self._link = self._link, None
        if link is not None:
            if drain_s and link.connected:
                await asyncio.to_thread(link.drain, drain_s)
            await asyncio.to_thread(link.close)
        if self._closing:
            await asyncio.wait(self._closing)

    def _take(self, link: Link, event: Event) -> None:
        if link is not self._link:
            return
        match event:
            case Connected():
                self._trouble = ""
            case Disconnected(reason):
                self._trouble = reason
            case Denied(topic, "subscribe", reason):
                self._trouble = f"the broker doesn't let us subscribe to {topic}: {reason}"
        self._on_event(event)
