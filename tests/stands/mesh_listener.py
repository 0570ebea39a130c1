"""Somebody at a broker who hears what is announced, and announces by hand, without any code of ours."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlsplit

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from .waiting import wait_for


@dataclass(frozen=True, slots=True)
class Heard:
    """One message as it came."""

    topic: str
    payload: bytes = field(repr=False)
    content_type: str
    """The MQTT v5 property; empty when it wasn't set."""

    @property
    def json(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload)


class Listener:
    """A connection to the broker at a URL with user and password. A context manager."""

    def __init__(self, url: str, topics: Sequence[str] = (), *, version_5: bool = True) -> None:
        """Connect and subscribe to ``topics``; returns when the broker has granted them."""
        self._lock = threading.Lock()
        self._heard: list[Heard] = []
        self._version_5 = version_5
        parts = urlsplit(url)
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5 if version_5 else mqtt.MQTTv311
        )
        if parts.username:
            self._client.username_pw_set(parts.username, parts.password)
        granted: list[object] = []
        self._client.on_message = self._on_message
        self._client.on_subscribe = lambda *_: granted.append(_)
        self._client.connect(parts.hostname or "", parts.port or 1883)
        self._client.loop_start()
        wait_for(self._client.is_connected, 60, what="the connection")
        for topic in topics:
            self._client.subscribe(topic, qos=1)
        wait_for(lambda: len(granted) == len(topics), 60, what="the subscriptions")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def heard(self) -> list[Heard]:
        """All messages so far, in their order."""
        with self._lock:
            return list(self._heard)

    def announced(self, path: str) -> list[dict[str, Any]]:
        """The announcements of ``path`` (as v03 has it, without a slash in front), in their order."""
        found = (each.json for each in self.heard)
        return [one for one in found if isinstance(one, dict) and str(one.get("relPath", "")).lstrip("/") == path]

    def wait_for(self, count: int, deadline_s: float = 60) -> list[Heard]:
        """All messages, when there are at least ``count``."""
        wait_for(
            lambda: len(self.heard) >= count, deadline_s, what=f"{count} messages", explain=lambda: str(self.heard)
        )
        return self.heard

    def publish(self, topic: str, payload: object, *, content_type: str = "application/json") -> None:
        """Send ``payload`` (bytes as they are, anything else as JSON); returns when the broker has acknowledged it."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        properties = None
        if self._version_5 and content_type:
            properties = Properties(PacketTypes.PUBLISH)
            properties.ContentType = content_type
        sent = self._client.publish(topic, body, qos=1, properties=properties)
        sent.wait_for_publish(60)
        assert sent.is_published()

    def _on_message(self, client: mqtt.Client, userdata: object, message: mqtt.MQTTMessage) -> None:
        content_type = getattr(message.properties, "ContentType", "")
        with self._lock:
            self._heard.append(Heard(message.topic, bytes(message.payload), content_type))
