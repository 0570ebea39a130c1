"""One TCP connection to a broker, in a paho client of its own.

``mqtt.py`` hands both in. Connecting, subscribing, keeping alive and taking leave are paho's; PUBLISH and PUBACK, of
which there may be thousands a second, are ours, and so is the socket (``wire.py``). Through paho a message of 400 bytes
cost 65 µs when it came and 190 µs when it went; now 14 and 20.

Everything here runs on one thread: in paho's own threaded use the publishing thread may write to the socket beside the
network thread, without a lock. A new client a connection means that nothing of an old one is left over.
"""

import logging
import selectors
import socket
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .frames import PUBACK, PUBLISH, Body, FrameReader, decode_puback, encode_frame, encode_puback
from .message import LARGEST_PACKET_BYTES, Arrived, Connected, Denied, OnEvent, Published, Subscription
from .outbox import Outbox
from .packet import Receipt, decode_publish
from .reasons import describe_end, describe_error, describe_puback, describe_refusal, describe_silence
from .wire import Wire

if TYPE_CHECKING:
    from .mqtt import MqttSettings

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 30.0
FAREWELL_TIMEOUT_S = 0.7
TICK_S = 1.0
BATCH_S, BATCH_BYTES = 0.001, 1 << 16
"""So long the answers to what came wait for each other; so much is joined before it is sent."""
_CONNECT = 1  # packet type (MQTT v5, 2.1.2)


class Connection:
    """From connecting to the end. ``emit`` gets Connected, Denied and Arrived; ``run`` returns why it ended."""

    def __init__(
        self,
        paho: ModuleType,
        client: Any,
        settings: "MqttSettings",
        subscriptions: Sequence[Subscription],
        *,
        generation: int,
        outbox: Outbox,
        emit: OnEvent,
        closing: threading.Event,
    ) -> None:
        self._paho = paho
        self._settings = settings
        self._subscriptions = subscriptions
        self._generation = generation
        self._outbox = outbox
        self._emit = emit
        self._closing = closing
        self._client = client
        self._frames = FrameReader(settings.max_packet_bytes)
        self._wire = Wire()
        self.refusal = 0
        """The reason code with which the broker refused the connection."""
        self._connack: dict[str, Any] = {}
        self._asked: list[Subscription] = []
        self._early: deque[Arrived] = deque()
        # A plain dict looks for its first key past all that were deleted before it, thousands of them.
        self._unacknowledged: OrderedDict[int, bool] = OrderedDict()
        self._settled = False
        self._heard = 0.0
        self._why = ""
        self._log_mqtt: Callable[..., None] = log.debug if settings.log_mqtt else lambda *_: None

    def run(self) -> str:
        """Connect and stay until the connection ends; return why it did, as a sentence. Raises nothing."""
        try:
            self._connect()
            self._loop()
        except OSError as error:
            self._why = self._why or self._describe_loss(error)
        except Exception as error:  # paho raises struct.error and the like on what it can't decode
            self._why = self._why or describe_error(self._settings.address, error)
            log.warning("mqtt_connection_failed client=%s", self._settings.client_id, exc_info=True)
        finally:
            self._wire.end()
        return self._why or f"the connection to {self._settings.address} was lost"

    def _describe_loss(self, error: OSError) -> str:
        if not self._wire.is_open:
            return describe_error(self._settings.address, error)
        return "" if self._connack else describe_silence(self._settings.address)

    def _connect(self) -> None:
        client, settings, properties = self._client, self._settings, self._paho.Properties(_CONNECT)
        client.on_socket_open = self._on_socket_open
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_maximum
        properties.MaximumPacketSize = settings.max_packet_bytes
        # A session made with clean start is the one that a broker doesn't keep: never, unless it was asked for.
        clean = settings.clean_start and self._generation == 1
        client.connect(settings.host, settings.port, settings.keepalive_s, clean_start=clean, properties=properties)

    def _loop(self) -> None:
        wire = self._wire
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._outbox.waker, selectors.EVENT_READ)
            key = selector.register(wire, wire.wanted)
            while not wire.closed and not self._is_over(deadline):
                more = self._send_batch()  # not all, or what others publish without end is all that is done
                if key.events != wire.wanted:
                    key = selector.modify(wire, wire.wanted)
                ready = selector.select(0 if more or wire.pending else TICK_S)
                self._outbox.waker.clear()
                if wire.pending or any(each.fileobj is wire for each, _ in ready):
                    self._receive()
                self._client.loop_misc()

    def _receive(self) -> None:
        """Take what came."""
        count = self._wire.read(self._frames.room)
        if count is None:
            return
        if not count:
            raise ConnectionError("the stream has ended")
        self._note_heard()
        for command, body in self._frames.take(count):
            self._take_frame(command, body)
            if self._wire.closed or self._closing.is_set():
                break
            self._answer_in_time()

    def _take_frame(self, command: int, body: Body) -> None:
        kind = command >> 4
        if kind == PUBLISH:
            self._take_publish(command, body)
        elif kind == PUBACK:
            self._take_puback(*decode_puback(body))
        else:
            self._leave_to_paho(encode_frame(command, body))

    def _leave_to_paho(self, packet: bytes) -> None:
        self._wire.show_paho(packet)
        self._client.loop_read()
        if self._client.want_write():  # inside its callbacks paho only notes what it is to send
            self._client.loop_write()
        while self._settled and self._early and not self._closing.is_set():
            self._emit(self._early.popleft())
            self._answer_in_time()

    def _answer_in_time(self) -> None:
        """Send in between when the application takes long with what came: it is no reason to be silent."""
        if time.monotonic() - self._heard > BATCH_S:
            self._send_batch()
            self._client.loop_misc()
            self._note_heard()

    def _note_heard(self) -> None:
        """Let paho know that the broker is alive."""
        self._heard = time.monotonic()
        self._client._last_bytes_received = self._client._last_msg_in = self._heard  # in paho 2.2, and up to 2.1

    def _is_over(self, deadline: float) -> bool:
        if self._closing.is_set():
            self._say_farewell()
            return True
        if not self._settled and time.monotonic() > deadline:
            self._why = f"{self._settings.address} took the connection but doesn't answer"
            return True
        return False

    def _say_farewell(self) -> None:
        """Send DISCONNECT behind all that waits, in the little time that ``close`` has; the session stays."""
        deadline = time.monotonic() + FAREWELL_TIMEOUT_S
        self._send_all(deadline)
        if not self._wire.blocked:
            self._client.disconnect()
            self._send_all(deadline)

    def _send_all(self, deadline: float) -> None:
        while (self._send_batch() or self._wire.blocked) and time.monotonic() < deadline:
            with selectors.DefaultSelector() as selector:
                selector.register(self._wire, selectors.EVENT_WRITE)
                selector.select(0.1)

    def _send_batch(self) -> bool:
        """Send some that waits, acknowledgements first: a broker waits for them. Whether more could be sent now."""
        wire = self._wire
        for receipt in self._outbox.take_receipts():
            self._acknowledge(receipt)
        if wire.blocked:
            self._flush()
        if self._settled and not wire.blocked:
            for mid, parcel in self._outbox.take(BATCH_BYTES):
                self._log_mqtt("Sending PUBLISH mid=%d %r", mid, parcel.message)
                wire.send(parcel.start(mid))
                wire.send(parcel.payload)
        is_full = wire.waiting_bytes >= BATCH_BYTES
        self._flush()
        return is_full and not wire.blocked

    def _flush(self) -> None:
        if self._wire.flush():
            self._client._last_msg_out = time.monotonic()
        if not self._wire.blocked:
            self._outbox.written()

    def _acknowledge(self, receipt: Receipt) -> None:
        """Acknowledge in the order of arrival (MQTT v5, 4.6.0-2; rumqttd ends the connection otherwise)."""
        waiting = self._unacknowledged
        if receipt.generation != self._generation or receipt.mid not in waiting:
            return
        waiting[receipt.mid] = True
        while waiting and waiting[first := next(iter(waiting))]:
            del waiting[first]
            self._log_mqtt("Sending PUBACK mid=%d", first)
            self._wire.send(encode_puback(first))

    def _take_puback(self, mid: int, code: int) -> None:
        tells = code >= 128 or self._settings.tell_published
        message = self._outbox.acknowledged(mid, tells=tells)
        self._log_mqtt("Received PUBACK mid=%d code=%d", mid, code)
        if message and code >= 128:
            self._emit(Denied(message.topic, "publish", describe_puback(code)))
        elif message and tells:
            self._emit(Published(message))
        if tells:
            self._outbox.told()

    def _take_publish(self, command: int, body: Body) -> None:
        mid, qos, message, fault = decode_publish(command, body, self._generation)
        if qos == 1:
            self._unacknowledged[mid] = False
        elif qos == 2:  # we never ask for it, but an old session may; then once is not exactly once
            self._client._send_pubrec(mid)
        self._log_mqtt("mqtt_received mid=%d %r", mid, message or fault)
        if message is None:
            log.warning("mqtt_message_refused client=%s reason=%r", self._settings.client_id, fault)
            if qos == 1:
                self._outbox.acknowledge(Receipt(self._generation, mid))
        elif self._settled:
            self._emit(Arrived(message))
        elif qos and len(self._early) < self._settings.receive_maximum:
            self._early.append(Arrived(message))

    # What paho calls. Its versions have different arguments; what is raised here ends the connection.

    def _on_socket_open(self, client: Any, _userdata: Any, sock: socket.socket) -> None:
        self._wire.open(sock)
        client._sock = self._wire

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if _code(reason):
            self.refusal = _code(reason)
            self._why = describe_refusal(self._settings.address, reason, self.refusal)
            return
        self._connack = {
            "session_present": bool(flags["session present"] if isinstance(flags, dict) else flags.session_present),
            "receive_maximum": getattr(properties, "ReceiveMaximum", 65_535),
            "max_packet_bytes": getattr(properties, "MaximumPacketSize", LARGEST_PACKET_BYTES),
            "retains": bool(getattr(properties, "RetainAvailable", 1)),
        }
        # Asking a broker for a shared subscription that it said it doesn't have would end the connection.
        shared = getattr(properties, "SharedSubscriptionAvailable", 1)
        self._asked = [each for each in self._subscriptions if shared or not each.topic.startswith("$share/")]
        options = self._paho.SubscribeOptions
        if self._asked:
            self._client.subscribe([(each.topic, options(qos=min(each.qos, 1))) for each in self._asked])
        else:
            self._settle([])

    def _on_subscribe(self, _client: Any, _userdata: Any, _mid: int, reasons: Sequence[Any], _properties: Any) -> None:
        answers = [(each.topic, reason) for each, reason in zip(self._asked, reasons, strict=False)]
        self._settle([(topic, f"the broker refused it: {reason}") for topic, reason in answers if _code(reason) >= 128])

    def _settle(self, refused: list[tuple[str, str]]) -> None:
        """All subscriptions are answered: report. Messages that came before the answer are let in next."""
        most = self._connack["max_packet_bytes"]
        self._outbox.retains = self._connack["retains"]
        too_large = self._outbox.begin(receive_maximum=self._connack["receive_maximum"], max_packet_bytes=most)
        self._emit(Connected(self._connack["session_present"], most))
        self._settled = True
        unasked = [each.topic for each in self._subscriptions if each not in self._asked]
        for topic, why in refused + [(topic, "the broker has no shared subscriptions") for topic in unasked]:
            self._emit(Denied(topic, "subscribe", why))
        for message in too_large:
            self._emit(Denied(message.topic, "publish", f"the broker takes no more than {most} bytes"))
        self._outbox.told()

    def _on_disconnect(self, _client: Any, _userdata: Any, *rest: Any) -> None:
        # paho 2: flags, reason, properties; paho 1.6.1: reason or error number, properties
        flags, reason = rest[0], rest[-2]
        from_broker = getattr(flags, "is_disconnect_packet_from_server", hasattr(reason, "getName"))
        if from_broker:
            self._why = self._why or describe_end(self._settings.address, reason, _code(reason))
        elif not self._connack:
            self._why = self._why or describe_silence(self._settings.address)


def _code(reason: Any) -> int:
    return int(getattr(reason, "value", reason))
