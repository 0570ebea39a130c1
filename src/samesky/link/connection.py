"""One TCP connection to a broker, in a paho client of its own.

``mqtt.py`` hands paho in. Everything here runs on one thread, through paho's interface for foreign event loops
(``loop_read``, ``loop_write``, ``loop_misc``): in paho's own threaded use the publishing thread may write to the socket
beside the network thread, without a lock. A new client a connection means that nothing of an old one is left over.
"""

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .message import LARGEST_PACKET_BYTES, Arrived, Connected, Denied, Message, OnEvent, Published, Subscription
from .outbox import Outbox, Receipt
from .packet import decode_publish
from .reasons import describe_end, describe_error, describe_refusal, describe_silence

if TYPE_CHECKING:
    from .mqtt import MqttSettings

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 30.0
FAREWELL_TIMEOUT_S = 0.7
TICK_S = 1.0
_CONNECT, _PUBLISH = 1, 3  # packet types (MQTT v5, 2.1.2)


class Connection:
    """From connecting to the end. ``emit`` gets Connected, Denied and Arrived; ``run`` returns why it ended."""

    def __init__(
        self,
        paho: ModuleType,
        settings: "MqttSettings",
        subscriptions: Sequence[Subscription],
        *,
        generation: int,
        context: ssl.SSLContext | None,
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
        self._client = self._make_client(context)
        self._connack: dict[str, Any] = {}
        self._asked: list[Subscription] = []
        self._early: deque[Message] = deque()
        self._unacknowledged: dict[int, bool] = {}
        self._settled = False
        self._puback_reason: Any = 0
        self._why = ""

    def run(self) -> str:
        """Connect and stay until the connection ends; return why it did, as a sentence. Raises nothing."""
        try:
            self._connect()
            self._loop()
        except OSError as error:
            self._why = self._why or describe_error(self._settings.address, error)
        except Exception as error:  # paho raises struct.error and the like on what it can't decode
            self._why = self._why or describe_error(self._settings.address, error)
            log.warning("mqtt_connection_failed client=%s", self._settings.client_id, exc_info=True)
        finally:
            if sock := self._client.socket():
                sock.close()
        return self._why or f"the connection to {self._settings.address} was lost"

    def _make_client(self, context: ssl.SSLContext | None) -> Any:
        paho, settings = self._paho, self._settings
        arguments: dict[str, Any] = {"client_id": settings.client_id, "protocol": paho.MQTTv5}
        if hasattr(paho, "CallbackAPIVersion"):  # 2.0 and newer
            arguments["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
        client = paho.Client(**arguments)
        client._handle_publish = self._take_publish
        if not hasattr(paho, "CallbackAPIVersion"):
            client._handle_pubackcomp = self._read_puback
        client.max_inflight_messages_set(0)  # the window is ours
        client.on_socket_open = _set_nodelay
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        if settings.username is not None:
            client.username_pw_set(settings.username, settings.password)
        if context:
            client.tls_set_context(context)
        if settings.log_mqtt:
            client.enable_logger(log.getChild("paho"))
        return client

    def _connect(self) -> None:
        settings, properties = self._settings, self._paho.Properties(_CONNECT)
        properties.SessionExpiryInterval = settings.session_expiry_s
        properties.ReceiveMaximum = settings.receive_maximum
        properties.MaximumPacketSize = settings.max_packet_bytes
        # A session made with clean start is the one that a broker doesn't keep.
        self._client.connect(
            settings.host, settings.port, settings.keepalive_s, clean_start=False, properties=properties
        )

    def _loop(self) -> None:
        client, sock = self._client, self._client.socket()
        deadline = time.monotonic() + HANDSHAKE_TIMEOUT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._outbox.waker, selectors.EVENT_READ)
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
        if self._outbox.waker in ready:
            self._outbox.waker.clear()
        mask = ready.get(sock, 0)
        if pending or mask & selectors.EVENT_READ:
            client.loop_read()
            if client.socket() is sock:
                _acknowledge_at_once(sock)
        if mask & selectors.EVENT_WRITE and client.socket() is sock:
            client.loop_write()
        if client.socket() is sock:
            client.loop_misc()

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
        self._send_waiting()
        self._client.disconnect()
        deadline = time.monotonic() + FAREWELL_TIMEOUT_S
        while (sock := self._client.socket()) and time.monotonic() < deadline:
            with selectors.DefaultSelector() as selector:
                selector.register(sock, selectors.EVENT_WRITE)
                selector.select(0.1)
            self._client.loop_write()

    def _send_waiting(self) -> None:
        """Send what other threads have left: acknowledgements first, they are what the broker waits for."""
        for receipt in self._outbox.take_receipts():
            self._acknowledge(receipt)
        if not self._settled:
            return
        for message in self._outbox.take_qos0():
            self._publish(message)
        for slot, message in self._outbox.take_window():
            self._outbox.sent(slot, self._publish(message))
            if not self._client.socket():
                break

    def _publish(self, message: Message) -> int:
        properties = self._encode_properties(message)
        info = self._client.publish(message.topic, message.payload, min(message.qos, 1), message.retain, properties)
        return int(info.mid)

    def _encode_properties(self, message: Message) -> Any:
        properties = self._paho.Properties(_PUBLISH)
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

    def _acknowledge(self, receipt: Receipt) -> None:
        """Acknowledge in the order of arrival (MQTT v5, 4.6.0-2; rumqttd ends the connection otherwise)."""
        waiting = self._unacknowledged
        if receipt.generation != self._generation or receipt.mid not in waiting:
            return
        waiting[receipt.mid] = True
        while waiting and waiting[first := next(iter(waiting))]:
            del waiting[first]
            self._client._send_puback(first)

    # What paho calls. Its versions have different arguments; what is raised here ends the connection.

    def _on_connect(self, _client: Any, _userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        if _code(reason):
            self._why = describe_refusal(self._settings.address, reason, _code(reason))
            return
        self._connack = {
            "session_present": bool(flags["session present"] if isinstance(flags, dict) else flags.session_present),
            "receive_maximum": getattr(properties, "ReceiveMaximum", 65_535),
            "max_packet_bytes": getattr(properties, "MaximumPacketSize", LARGEST_PACKET_BYTES),
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
        answers = zip(self._asked, reasons, strict=False)
        self._settle(
            [(each.topic, f"the broker refused it: {reason}") for each, reason in answers if _code(reason) >= 128]
        )

    def _settle(self, refused: list[tuple[str, str]]) -> None:
        """All subscriptions are answered: report, then let the messages in that came before the answer."""
        most = self._connack["max_packet_bytes"]
        too_large = self._outbox.begin(receive_maximum=self._connack["receive_maximum"], max_packet_bytes=most)
        self._emit(Connected(self._connack["session_present"], most))
        self._settled = True
        refused += [
            (each.topic, "the broker has no shared subscriptions")
            for each in self._subscriptions
            if each not in self._asked
        ]
        for topic, why in refused:
            self._emit(Denied(topic, "subscribe", why))
        for message in too_large:
            self._emit(Denied(message.topic, "publish", f"the broker takes no more than {most} bytes"))
        while self._early:
            self._emit(Arrived(self._early.popleft()))

    def _on_publish(self, _client: Any, _userdata: Any, mid: int, reason: Any = None, _properties: Any = None) -> None:
        message = self._outbox.finished(mid)
        reason = self._puback_reason if reason is None else reason
        if message and _code(reason) >= 128:
            self._emit(Denied(message.topic, "publish", f"the broker refused it: {reason}"))
        elif message and self._settings.tell_published:
            self._emit(Published(message))

    def _read_puback(self, kind: str) -> int:
        """Note the reason code of a PUBACK, which paho 1.6.1 doesn't hand on, and let paho go on with it."""
        octets = self._client._in_packet["packet"]
        code = octets[2] if len(octets) > 2 else 0
        self._puback_reason = self._paho.ReasonCodes(4, identifier=code) if code >= 128 else 0
        return int(type(self._client)._handle_pubackcomp(self._client, kind))

    def _take_publish(self) -> int:
        """Take over from paho a PUBLISH that came, for the sake of ``packet.py`` and of acknowledging by hand."""
        came = decode_publish(self._client._in_packet["command"], self._client._in_packet["packet"])
        receipt = Receipt(self._generation, came.mid) if came.qos == 1 else None
        if receipt:
            self._unacknowledged[came.mid] = False
        elif came.qos == 2:  # we never ask for it, but an old session may; then once is not exactly once
            self._client._send_pubrec(came.mid)
        if self._settings.log_mqtt:
            log.debug("mqtt_received mid=%d %r", came.mid, came.message or came.fault)
        if came.message is None:
            log.warning("mqtt_message_refused client=%s reason=%r", self._settings.client_id, came.fault)
            if receipt:
                self._outbox.acknowledge(receipt)
        elif self._settled:
            self._emit(Arrived(replace(came.message, receipt=receipt)))
        elif came.qos and len(self._early) < self._settings.receive_maximum:
            self._early.append(replace(came.message, receipt=receipt))
        return 0

    def _on_disconnect(self, _client: Any, _userdata: Any, *rest: Any) -> None:
        # paho 2: flags, reason, properties; paho 1.6.1: reason or error number, properties
        flags, reason = rest[0], rest[-2]
        from_broker = getattr(flags, "is_disconnect_packet_from_server", hasattr(reason, "getName"))
        if from_broker:
            self._why = self._why or describe_end(self._settings.address, reason, _code(reason))
        elif not self._connack:
            self._why = self._why or describe_silence(self._settings.address)


def _set_nodelay(_client: Any, _userdata: Any, sock: socket.socket) -> None:
    # Without it a window of one page stalls 40 ms a page; paho doesn't set it.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _acknowledge_at_once(sock: socket.socket) -> None:
    # mosquitto leaves Nagle's algorithm on: it keeps the end of a message back until TCP has acknowledged what it sent
    # before, which Linux puts off for 40 ms unless told otherwise, anew after every read. (44 ms -> 0.7 ms a turn.)
    if hasattr(socket, "TCP_QUICKACK"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _code(reason: Any) -> int:
    return int(getattr(reason, "value", reason))
