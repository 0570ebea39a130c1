"""The MQTT link: the only import of paho, and the only place that knows its versions and traps.

One thread a link does everything with paho: connecting, reading, writing and every callback. Other threads only put
things into the window and wake that thread. (paho's own threaded use lets the publishing thread write to the socket
beside the network thread, without a lock, as soon as the loop isn't run by ``loop_start``.) Each connection gets a new
paho client, so nothing of an old connection is left over; what survives a connection is in our own window.

Under paho 1.6.1 a message is acknowledged to the broker as soon as ``on_event`` returns, and a refused publish isn't
noticed: it has neither manual acknowledgement nor the reason code. Everything else is the same.
"""

import logging
import random
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, NamedTuple, Self

from ..core.backoff import Backoff
from ..errors import SetupError
from .message import (
    LARGEST_PACKET_BYTES,
    Arrived,
    Connected,
    Denied,
    Disconnected,
    Event,
    Message,
    OnEvent,
    Subscription,
    packet_bytes,
)
from .tls import TlsSettings
from .window import Window

log = logging.getLogger(__name__)

FIRST_DELAY_S, MOST_DELAY_S = 1.0, 60.0
STEADY_AFTER_S = 5.0
"""A connection that lasted so long was a good one: the delays begin anew."""
HANDSHAKE_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 1.5
TICK_S = 1.0
REPEAT_AFTER_S = 60.0
QOS0_MOST_MESSAGES, QOS0_MOST_BYTES = 256, 4 << 20


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is and how we use it. ``window`` bounds what we have in flight, ``receive_maximum`` what it has."""

    client_id: str
    host: str = "localhost"
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsSettings | None = None
    keepalive_s: int = 60
    session_expiry_s: int = 3600
    window: int = 64
    receive_maximum: int = 64
    max_packet_bytes: int = 2 << 20
    log_mqtt: bool = False

    @property
    def address(self) -> str:
        """``host:port``, for messages."""
        return f"{self.host}:{self.port}"


class _Receipt(NamedTuple):
    generation: int
    mid: int


class MqttLink:
    """A ``Link`` to an MQTT v5 broker. Constructor and ``start`` never wait for the network.

    Raises ``SetupError`` when paho isn't installed, ``ConfigError`` when a TLS file can't be used. Whatever ``on_event``
    raises is logged; the message it was given is then acknowledged, or it would come again for ever.
    """

    def __init__(self, settings: MqttSettings, subscriptions: Sequence[Subscription], on_event: OnEvent) -> None:
        self._paho = _import_paho()
        self._settings = settings
        self._tls = settings.tls.make_context() if settings.tls else None
        self._subscriptions = tuple(subscriptions)
        self._on_event = on_event
        self._backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S, random=random.random)
        self._changed = threading.Condition()
        self._window = Window(settings.window)
        self._qos0: deque[tuple[Message, int]] = deque()
        self._qos0_sizes: deque[int] = deque()
        self._receipts: deque[_Receipt] = deque()
        self._waker = _Waker()
        self._closing = threading.Event()
        self._silent = False
        self._generation = 0
        self._connected = False
        self._max_packet_bytes = LARGEST_PACKET_BYTES
        self._seldom = _Seldom(REPEAT_AFTER_S)
        self._thread = threading.Thread(target=self._run, name=f"samesky-mqtt-{settings.client_id}", daemon=True)

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        return self._settings.client_id

    @property
    def connected(self) -> bool:
        """Whether ``publish`` has a chance now."""
        return self._connected

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet the broker takes, as it said in its latest CONNACK."""
        return self._max_packet_bytes

    def start(self) -> None:
        """Begin connecting, once. Raises ``RuntimeError`` after ``close``: a link isn't used twice."""
        if self._closing.is_set():
            raise RuntimeError("the link was closed")
        if not self._thread.ident:
            self._thread.start()

    def close(self) -> None:
        """End the connection; returns within two seconds even when the network doesn't answer."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._waker.wake()
        if not self._thread.ident:
            self._waker.close()
        elif self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)
            self._silent = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        """See ``Link.publish``. On the network thread (inside ``on_event``) it doesn't wait for a slot."""
        size_bytes = packet_bytes(message)
        with self._changed:
            if message.qos and timeout_s > 0 and threading.current_thread() is not self._thread:
                self._changed.wait_for(lambda: not self._connected or self._window.has_room, timeout_s)
            if not self._connected or size_bytes > self._max_packet_bytes:
                return False
            taken = self._take_window(message, size_bytes) if message.qos else self._take_qos0(message, size_bytes)
        if taken and threading.current_thread() is not self._thread:
            self._waker.wake()
        return taken

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing published at QoS 1 is unacknowledged; whether that came true."""
        with self._changed:
            self._changed.wait_for(lambda: not len(self._window) or self._closing.is_set(), timeout_s)
            return not len(self._window)

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget ``message``: sent once all that came before it are acknowledged as well."""
        if isinstance(message.receipt, _Receipt):
            self._receipts.append(message.receipt)
            if threading.current_thread() is not self._thread:
                self._waker.wake()

    def _take_window(self, message: Message, size_bytes: int) -> bool:
        if not self._window.has_room:
            return False
        self._window.add(message, size_bytes)
        return True

    def _take_qos0(self, message: Message, size_bytes: int) -> bool:
        full = len(self._qos0_sizes) >= QOS0_MOST_MESSAGES
        if full or (self._qos0_sizes and sum(self._qos0_sizes) + size_bytes > QOS0_MOST_BYTES):
            return False
        self._qos0_sizes.append(size_bytes)
        self._qos0.append((message, size_bytes))
        return True

    # From here on: the network thread.

    def _run(self) -> None:
        reason = "closed"
        try:
            while not self._closing.is_set():
                reason = self._run_connection()
        finally:
            self._waker.close()
            self._emit(Disconnected(reason, final=True))

    def _run_connection(self) -> str:
        self._generation += 1
        began = time.monotonic()
        connection = _Connection(self, self._generation)
        reason = connection.run()
        steady = self._connected and time.monotonic() - began >= STEADY_AFTER_S
        self._clear_connection()
        if self._closing.is_set():
            return "closed"
        if steady:
            self._backoff.reset()
        delay_s = self._backoff.next_s()
        if self._seldom.due(f"disconnected {reason}"):
            log.warning("mqtt_disconnected client=%s retry_s=%.0f reason=%r", self.client_id, delay_s, reason)
        self._emit(Disconnected(reason))
        self._closing.wait(delay_s)
        return reason

    def _clear_connection(self) -> None:
        with self._changed:
            self._connected = False
            dropped = self._window.connection_ended()
            self._qos0.clear()
            self._qos0_sizes.clear()
            self._receipts.clear()
            self._changed.notify_all()
        if dropped:
            self._report_denied(dropped.topic, "publish", "the connection ended each time this message was sent")

    def _ready(self, *, session_present: bool, receive_maximum: int, max_packet_bytes: int) -> None:
        with self._changed:
            too_large = self._window.connection_began(receive_maximum, max_packet_bytes)
            self._max_packet_bytes = max_packet_bytes
            self._connected = True
            self._changed.notify_all()
        self._seldom.forget("disconnected ")
        log.info(
            "mqtt_connected client=%s broker=%s session=%s", self.client_id, self._settings.address, session_present
        )
        self._emit(Connected(session_present, max_packet_bytes))
        for message in too_large:
            self._report_denied(message.topic, "publish", f"the broker takes no more than {max_packet_bytes} bytes")

    def _puback(self, mid: int, reason: Any) -> None:
        with self._changed:
            message = self._window.acknowledged(mid)
            if message is None and self._qos0_sizes:
                self._qos0_sizes.popleft()
            self._changed.notify_all()
        if message and _code(reason) >= 0x80:
            self._report_denied(message.topic, "publish", f"the broker refused it: {reason}")

    def _report_denied(self, topic: str, action: str, reason: str) -> None:
        if self._seldom.due(f"denied {action} {topic}"):
            log.warning("mqtt_denied client=%s action=%s topic=%r reason=%r", self.client_id, action, topic, reason)
            self._emit(Denied(topic, action, reason))

    def _emit(self, event: Event) -> None:
        if self._silent:
            return
        try:
            self._on_event(event)
        except BaseException as error:  # even SystemExit: only this thread would end, and nobody would notice
            if isinstance(event, Arrived):
                self.acknowledge(event.message)
            if self._seldom.due(f"event {type(event).__name__} {type(error).__name__}"):
                log.exception("mqtt_event_failed client=%s event=%s", self.client_id, type(event).__name__)


class _Connection:
    """One TCP connection of a link, from connecting to its end, in a paho client of its own."""

    def __init__(self, link: MqttLink, generation: int) -> None:
        self._link = link
        self._generation = generation
        self._settings = link._settings
        self._client = self._make_client(link._paho)
        self._subscribed = self._settled = False
        self._early: deque[Message] = deque()
        self._unacknowledged: dict[int, bool] = {}
        self._subscribing: list[Subscription] = []
        self._connack: dict[str, Any] = {}
        self._why = ""

    def _make_client(self, paho: ModuleType) -> Any:
        arguments: dict[str, Any] = {"client_id": self._settings.client_id, "protocol": paho.MQTTv5}
        if hasattr(paho, "CallbackAPIVersion"):
            arguments |= {"callback_api_version": paho.CallbackAPIVersion.VERSION2, "manual_ack": True}
        client = paho.Client(**arguments)
        client.max_inflight_messages_set(0)  # the window is ours
        client.on_socket_open = _set_nodelay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_disconnect = self._on_disconnect
        if self._settings.username is not None:
            client.username_pw_set(self._settings.username, self._settings.password)
        if self._link._tls:
            client.tls_set_context(self._link._tls)
        if self._settings.log_mqtt:
            client.enable_logger(log.getChild("paho"))
        return client

    def run(self) -> str:
        """Connect and stay until the connection ends; return why it did, as a sentence. Raises nothing."""
        try:
            self._connect()
            self._loop()
        except Exception as error:  # paho raises struct.error and the like on what it can't decode
            self._why = self._why or _error_words(error, self._settings)
            log.debug("mqtt_connection_failed client=%s", self._settings.client_id, exc_info=True)
        finally:
            if self._client.socket():
                self._client.socket().close()
        return self._why or "the connection was lost"

    def _connect(self) -> None:
        properties = _make_properties("CONNECT")
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.ReceiveMaximum = self._settings.receive_maximum
        properties.MaximumPacketSize = self._settings.max_packet_bytes
        self._client.connect(
            self._settings.host,
            self._settings.port,
            self._settings.keepalive_s,
            clean_start=False,
            properties=properties,
        )

    def _loop(self) -> None:
        client, sock, waker = self._client, self._client.socket(), self._link._waker
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(waker, selectors.EVENT_READ)
            key = selector.register(sock, selectors.EVENT_READ) if sock else None
            while key and client.socket() is sock and not self._is_over(deadline):
                self._send_waiting()
                if client.socket() is not sock:
                    break
                wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if client.want_write() else 0)
                if key.events != wanted:
                    key = selector.modify(sock, wanted)
                self._wait_and_serve(selector, sock)

    def _wait_and_serve(self, selector: selectors.BaseSelector, sock: Any) -> None:
        """Wait for something to do, and do it. A TLS socket may hold bytes that the selector can't see."""
        client = self._client
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        ready = {key.fileobj: mask for key, mask in selector.select(0 if pending else TICK_S)}
        if self._link._waker in ready:
            self._link._waker.clear()
        mask = ready.get(sock, 0)
        if pending or mask & selectors.EVENT_READ:
            client.loop_read()
        if mask & selectors.EVENT_WRITE and client.socket() is sock:
            client.loop_write()
        if client.socket() is sock:
            client.loop_misc()

    def _is_over(self, deadline: float) -> bool:
        if self._link._closing.is_set():
            self._close_politely()
            return True
        if not self._subscribed and time.monotonic() > deadline:
            self._why = f"{self._settings.address} took the connection but doesn't answer"
            return True
        return False

    def _close_politely(self) -> None:
        """Send DISCONNECT behind all that waits, for as long as ``close`` may take; the session stays."""
        self._send_waiting()
        self._client.disconnect()
        deadline = time.monotonic() + CLOSE_TIMEOUT_S / 2
        while (sock := self._client.socket()) and time.monotonic() < deadline:
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                selector.select(0.1)
            self._client.loop_write()

    def _send_waiting(self) -> None:
        """Send what other threads have left for us: acknowledgements first, they are what the broker waits for."""
        link, client = self._link, self._client
        while link._receipts:
            self._acknowledge(link._receipts.popleft())
        if not self._settled:
            return
        while link._qos0:
            self._publish(link._qos0.popleft()[0])
        with link._changed:
            for slot, message in link._window.take_unsent():
                link._window.sent(slot, self._publish(message))
                if not client.socket():
                    break

    def _publish(self, message: Message) -> int:
        properties = _encode_properties(message)
        info = self._client.publish(message.topic, message.payload, min(message.qos, 1), message.retain, properties)
        return int(info.mid)

    def _acknowledge(self, receipt: _Receipt) -> None:
        """Acknowledge in the order of arrival (MQTT v5, 4.6.0-2; rumqttd ends the connection otherwise)."""
        if receipt.generation != self._generation or receipt.mid not in self._unacknowledged:
            return
        self._unacknowledged[receipt.mid] = True
        while self._unacknowledged and self._unacknowledged[first := next(iter(self._unacknowledged))]:
            del self._unacknowledged[first]
            self._client.ack(first, 1)

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if _code(reason):
            self._why = _refusal_words(reason, self._settings)
            return
        self._connack = {
            "session_present": bool(flags["session present"] if isinstance(flags, dict) else flags.session_present),
            "receive_maximum": getattr(properties, "ReceiveMaximum", 65_535),
            "max_packet_bytes": getattr(properties, "MaximumPacketSize", LARGEST_PACKET_BYTES),
        }
        shared = getattr(properties, "SharedSubscriptionAvailable", 1)
        subscriptions = self._link._subscriptions
        self._subscribing = [each for each in subscriptions if shared or not each.topic.startswith("$share/")]
        if not self._subscribing:
            self._settle([])
        else:
            self._subscribe()

    def _subscribe(self) -> None:
        from paho.mqtt.subscribeoptions import SubscribeOptions

        self._client.subscribe([(each.topic, SubscribeOptions(qos=min(each.qos, 1))) for each in self._subscribing])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: Sequence[Any], _properties: Any) -> None:
        refused = [
            (each, reason) for each, reason in zip(self._subscribing, reasons, strict=False) if _code(reason) >= 0x80
        ]
        self._settle(refused)

    def _settle(self, refused: list[tuple[Subscription, Any]]) -> None:
        """All subscriptions are answered: report, then let the messages in that came before the answer."""
        self._subscribed = True
        self._link._ready(**self._connack)
        self._settled = True
        for subscription, reason in refused:
            self._link._report_denied(subscription.topic, "subscribe", f"the broker refused it: {reason}")
        for subscription in set(self._link._subscriptions) - set(self._subscribing):
            self._link._report_denied(subscription.topic, "subscribe", "the broker has no shared subscriptions")
        while self._early:
            self._link._emit(Arrived(self._early.popleft()))

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any = 0, _properties: Any = None) -> None:
        self._link._puback(mid, reason)

    def _on_message(self, client: Any, _userdata: Any, incoming: Any) -> None:
        receipt = None
        if incoming.qos and hasattr(client, "ack"):
            receipt = _Receipt(self._generation, incoming.mid)
            self._unacknowledged[incoming.mid] = False
        try:
            message = replace(_decode_message(incoming), receipt=receipt)
        except (ValueError, TypeError, AttributeError):
            log.warning("mqtt_message_refused client=%s bytes=%d", self._settings.client_id, len(incoming.payload))
            if receipt:
                self._link._receipts.append(receipt)
            return
        if self._settled:
            self._link._emit(Arrived(message))
        elif message.qos and len(self._early) < self._settings.receive_maximum:
            self._early.append(message)

    def _on_disconnect(self, _client: Any, _userdata: Any, *rest: Any) -> None:
        # paho 2: flags, reason, properties; paho 1.6.1: reason or error number, properties
        flags, reason = rest[0], rest[-2]
        from_broker = getattr(flags, "is_disconnect_packet_from_server", hasattr(reason, "getName"))
        if self._why:
            return
        if from_broker:
            self._why = f"the broker ended the connection: {reason}{_ADVICE.get(_code(reason), '')}"
        elif not self._connack:
            self._why = (
                f"{self._settings.address} ended the connection before answering; "
                "is it an MQTT broker, does it speak version 5, and is TLS wanted on that port?"
            )
        else:
            self._why = "the connection was lost"


class _Waker:
    """Wakes a thread that waits in a selector."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._lock = threading.Lock()
        self._awake = False

    def fileno(self) -> int:
        return self._reader.fileno()

    def wake(self) -> None:
        with self._lock:
            if not self._awake and self._writer.fileno() >= 0:
                self._awake = True
                self._writer.send(b"w")

    def clear(self) -> None:
        with self._lock:
            self._awake = False
            self._reader.recv(16)

    def close(self) -> None:
        with self._lock:
            self._reader.close()
            self._writer.close()


class _Seldom:
    """Lets the first of equal reports through at once, and another only after a while."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._last: dict[str, float] = {}

    def due(self, key: str) -> bool:
        now = time.monotonic()
        if now - self._last.get(key, -self._every_s) < self._every_s:
            return False
        if len(self._last) >= 1024:
            self._last.clear()
        self._last[key] = now
        return True

    def forget(self, prefix: str) -> None:
        self._last = {key: when for key, when in self._last.items() if not key.startswith(prefix)}


def _import_paho() -> ModuleType:
    try:
        import paho.mqtt.client as paho
    except ImportError as error:
        raise SetupError(
            "the MQTT library paho isn't installed",
            hint="apt install python3-paho-mqtt, or pip install paho-mqtt into the Python that runs this",
        ) from error
    return paho


def _make_properties(packet: str) -> Any:
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    return Properties(getattr(PacketTypes, packet))


def _encode_properties(message: Message) -> Any:
    properties = _make_properties("PUBLISH")
    if message.response_topic is not None:
        properties.ResponseTopic = message.response_topic
    if message.correlation is not None:
        properties.CorrelationData = message.correlation
    if message.content_type is not None:
        properties.ContentType = message.content_type
    if message.expiry_s is not None:
        properties.MessageExpiryInterval = message.expiry_s
    if message.properties:
        properties.UserProperty = list(message.properties)
    return properties


def _decode_message(incoming: Any) -> Message:
    properties = incoming.properties
    return Message(
        topic=incoming.topic,
        payload=bytes(incoming.payload),
        qos=incoming.qos,
        retain=bool(incoming.retain),
        response_topic=getattr(properties, "ResponseTopic", None),
        correlation=getattr(properties, "CorrelationData", None),
        content_type=getattr(properties, "ContentType", None),
        properties=tuple((name, value) for name, value in getattr(properties, "UserProperty", ())),
        expiry_s=getattr(properties, "MessageExpiryInterval", None),
    )


def _set_nodelay(_client: Any, _userdata: Any, sock: socket.socket) -> None:
    # Without it a window of one page stalls 40 ms a page; paho doesn't set it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _code(reason: Any) -> int:
    return int(getattr(reason, "value", reason))


_ADVICE = {
    0x84: "; samesky needs MQTT version 5 (mosquitto 1.6 or newer)",
    0x85: "; choose another client_id",
    0x86: "; check username and password",
    0x87: "; check username and password, and what the broker's ACL allows this user",
    0x8E: "; another program connects with the same client_id",
    0x95: "; a message was larger than the broker takes",
}


def _refusal_words(reason: Any, settings: MqttSettings) -> str:
    return f"{settings.address} refused the connection: {reason}{_ADVICE.get(_code(reason), '')}"


def _error_words(error: Exception, settings: MqttSettings) -> str:
    match error:
        case ConnectionRefusedError():
            return f"{settings.address} refused the connection; is the broker running there?"
        case socket.gaierror():
            return f"the broker's name {settings.host} can't be resolved: {error.strerror}"
        case TimeoutError():
            return f"{settings.address} doesn't answer"
        case ssl.SSLCertVerificationError():
            return (
                f"the certificate of {settings.address} isn't trusted: {error.verify_message}; check ca_file and host"
            )
        case ssl.SSLError():
            return f"TLS with {settings.address} failed: {error.reason}; is that the broker's TLS port?"
        case OSError():
            return f"no connection to {settings.address}: {error.strerror or error}"
        case _:
            return f"{settings.address} sent what can't be understood: {type(error).__name__} {error}"
