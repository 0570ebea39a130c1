"""The MQTT link: the only import of paho. It connects, reports, and connects again for as long as it is open.

One thread a link does everything on the network and every event; other threads only leave things in the outbox.
What survives a connection is the outbox's window: unacknowledged messages are sent again on the next connection.

paho 2.x and 1.6.1 (which Debian 12 ships) do the same here; ``connection.py`` makes up for what 1.6.1 lacks.
"""

import logging
import random
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any, Self

from ..core.backoff import Backoff
from ..errors import SetupError
from .connection import Connection
from .message import Arrived, Connected, Denied, Disconnected, Event, Message, OnEvent, Subscription
from .outbox import Outbox
from .packet import Receipt, encode_publish
from .tls import TlsSettings
from .will import REFUSALS, check_will, set_will

log = logging.getLogger(__name__)

FIRST_DELAY_S, MOST_DELAY_S = 1.0, 60.0
STEADY_AFTER_S = 5.0
"""A connection that lasted so long was a good one: the delays begin anew."""
CLOSE_TIMEOUT_S = 1.5
REPEAT_AFTER_S = 60.0


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """Where the broker is and how we use it.

    ``window`` bounds the QoS 1 messages that we have on their way to it (less if its Receive Maximum is lower),
    ``receive_maximum`` those it has on their way to us, ``max_packet_bytes`` the packets it sends us.
    """

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
    clean_start: bool = False
    """Whether the broker is to forget, at the first connection, what it kept for this client id."""
    tell_published: bool = False
    """Whether there is a `Published` event for what the broker acknowledges."""
    will: Message | None = None
    """What the broker publishes for us when the connection ends without a farewell; never a reason not to connect."""
    will_delay_s: int = 0
    """How long the broker waits with it: none is published when we are back within this time."""

    @property
    def address(self) -> str:
        """``host:port``, for messages."""
        return f"{self.host}:{self.port}"


class MqttLink:
    """A ``Link`` to an MQTT v5 broker. Neither the constructor nor ``start`` waits for the network.

    Raises ``SetupError`` when paho isn't installed, ``ConfigError`` when a TLS file can't be used, ``ValueError`` for a
    will that can't be MQTT. Whatever ``on_event`` raises is logged; the message it was given is then acknowledged, or
    it would come again for ever.
    """

    def __init__(self, settings: MqttSettings, subscriptions: Sequence[Subscription], on_event: OnEvent) -> None:
        self._paho = _import_paho()
        check_will(settings)
        self._settings = settings
        self._context = settings.tls.make_context() if settings.tls else None
        self._subscriptions = tuple(subscriptions)
        self._on_event = on_event
        self._backoff = Backoff(FIRST_DELAY_S, MOST_DELAY_S, random=random.random)
        self._seldom = _Seldom(REPEAT_AFTER_S)
        self._outbox = Outbox(settings.window)
        self._closing = threading.Event()
        self._abandoned = False
        self._generation = 0
        self._cut_short = 0
        self._will_refused = ""
        self._thread = threading.Thread(target=self._run, name=f"samesky-mqtt-{settings.client_id}", daemon=True)

    @property
    def client_id(self) -> str:
        """The MQTT client identifier."""
        return self._settings.client_id

    @property
    def connected(self) -> bool:
        """Whether ``publish`` has a chance now."""
        return self._outbox.open

    @property
    def max_packet_bytes(self) -> int:
        """The largest packet the broker takes, as it said in its latest CONNACK."""
        return self._outbox.max_packet_bytes

    @property
    def retains(self) -> bool:
        """Whether the broker keeps retained messages, as it said in its latest CONNACK.

        Where it doesn't, what is published with ``retain`` goes out without: the broker would end the connection.
        """
        return self._outbox.retains

    def start(self) -> None:
        """Begin connecting, once. Raises ``RuntimeError`` after ``close``: a link isn't used twice."""
        if self._closing.is_set():
            raise RuntimeError("the link was closed")
        if not self._thread.ident:
            self._thread.start()

    def close(self) -> None:
        """End the connection; returns within two seconds even when the network doesn't answer."""
        self._closing.set()
        self._outbox.close()
        if not self._thread.ident:
            self._outbox.waker.close()
        elif self._thread is not threading.current_thread():
            self._thread.join(CLOSE_TIMEOUT_S)
            self._abandoned = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        """See ``Link.publish``. On the network thread (inside ``on_event``) it doesn't wait for a slot."""
        if message.retain and not self._outbox.retains:
            message = replace(message, retain=False)
        return self._outbox.put(encode_publish(message), timeout_s)

    def together(self) -> AbstractContextManager[None]:
        """See ``Link.together``."""
        return self._outbox.together()

    def drain(self, timeout_s: float) -> bool:
        """Wait until nothing published at QoS 1 is unacknowledged, and that was told; whether that came true."""
        return self._outbox.drain(timeout_s)

    def acknowledge(self, message: Message) -> None:
        """Let the broker forget ``message``: sent once all that came before it are acknowledged as well."""
        if isinstance(message.receipt, Receipt):
            self._outbox.acknowledge(message.receipt)

    def _run(self) -> None:
        self._outbox.serve_this_thread()
        reason = "closed"
        try:
            while not self._closing.is_set():
                reason = self._run_connection()
                if not self._closing.is_set():
                    self._wait(reason)
        except BaseException as error:
            reason = f"the network thread failed: {error!r}"
            log.exception("mqtt_thread_failed client=%s", self.client_id)
        finally:
            self._outbox.close()
            self._outbox.waker.close()
            self._emit(Disconnected("closed" if self._closing.is_set() else reason, final=True))

    def _run_connection(self) -> str:
        self._will_refused = ""
        reason, code = self._connect(self._settings)
        if self._settings.will is not None and code in REFUSALS and not self._closing.is_set():
            self._will_refused = reason
            self._generation -= 1  # nothing came of that one
            reason, _ = self._connect(replace(self._settings, will=None))
        return reason

    def _connect(self, settings: MqttSettings) -> tuple[str, int]:
        """Connect, and stay; (why it ended, the reason code with which the broker refused us or 0)."""
        self._generation += 1
        connection = Connection(
            self._paho,
            _make_client(self._paho, settings, self._context),
            settings,
            self._subscriptions,
            generation=self._generation,
            outbox=self._outbox,
            emit=self._emit,
            closing=self._closing,
        )
        began = time.monotonic()
        reason = connection.run()
        if self._outbox.open:
            reason += self._judge(time.monotonic() - began)
        dropped = self._outbox.end()
        if dropped:
            self._emit(Denied(dropped.topic, "publish", "the connection ended each time this message was sent"))
            self._outbox.told()
        return reason, connection.refusal

    def _judge(self, lasted_s: float) -> str:
        """Begin the delays anew after a steady connection; return a remark when one after the other is cut short."""
        if lasted_s >= STEADY_AFTER_S:
            self._backoff.reset()
            self._cut_short = 0
            return ""
        # mosquitto hangs up without a reason on the one of two clients that was there first.
        self._cut_short += 1
        return f"; does another program connect as client_id {self.client_id}?" if self._cut_short > 1 else ""

    def _wait(self, reason: str) -> None:
        delay_s = self._backoff.next_s()
        if self._seldom.due(f"disconnected {reason}"):
            log.warning("mqtt_disconnected client=%s retry_s=%.1f reason=%r", self.client_id, delay_s, reason)
        self._emit(Disconnected(reason))
        self._closing.wait(delay_s)

    def _emit(self, event: Event) -> None:
        """Hand ``event`` to the application. Denials that repeat are held back for a minute."""
        if self._abandoned or (isinstance(event, Denied) and not self._note_denied(event)):
            return
        if isinstance(event, Connected):
            self._seldom.forget("disconnected ")
            self._seldom.forget("denied subscribe ")
            address, session = self._settings.address, event.session_present
            log.info("mqtt_connected client=%s broker=%s session=%s", self.client_id, address, session)
        try:
            self._on_event(event)
        except BaseException as error:  # even SystemExit: only this thread would end, and nobody would notice
            if isinstance(event, Arrived):
                self.acknowledge(event.message)
            if self._seldom.due(f"event {type(event).__name__} {type(error).__name__}"):
                log.exception("mqtt_event_failed client=%s event=%s", self.client_id, type(event).__name__)
        if isinstance(event, Connected) and self._will_refused and self._settings.will:
            self._emit(Denied(self._settings.will.topic, "will", self._will_refused))

    def _note_denied(self, denied: Denied) -> bool:
        if not self._seldom.due(f"denied {denied.action} {denied.topic}"):
            return False
        line = "mqtt_denied client=%s action=%s topic=%r reason=%r"
        log.warning(line, self.client_id, denied.action, denied.topic, denied.reason)
        return True


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


def _make_client(paho: ModuleType, settings: MqttSettings, context: ssl.SSLContext | None) -> Any:
    arguments: dict[str, Any] = {"client_id": settings.client_id, "protocol": paho.MQTTv5}
    if hasattr(paho, "CallbackAPIVersion"):  # 2.0 and newer
        arguments["callback_api_version"] = paho.CallbackAPIVersion.VERSION2
    client = paho.Client(**arguments)
    if settings.username is not None:
        client.username_pw_set(settings.username, settings.password)
    if context:
        client.tls_set_context(context)
    if settings.will is not None:
        set_will(paho, client, settings)
    if settings.log_mqtt:
        client.enable_logger(log.getChild("paho"))
    return client
