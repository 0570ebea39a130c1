"""Tells over MQTT how a station's streams are doing: when something changes, and every five minutes.

It goes over the link of the role itself, and never costs it anything: what the broker doesn't want of it is logged once
a connection, and not tried again before the next one.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ..core.status import Snapshot
from ..link.message import Connected, Denied, Event, Link, Message, OnEvent, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from .home_assistant import encode_discovery
from .state import State
from .status_message import encode_presence, encode_status, spell_presence_topic, spell_stream_topic
from .status_settings import StatusSettings
from .worker import MakeLink

_log = logging.getLogger(__name__)

REFRESH_S = 300.0
CALM_S = 10.0
"""Progress is told no more often than this; what a person wants to know at once is told at once."""
WILL_DELAY_S = 10
"""Whoever is back within this time was never away."""
GOODBYE_S = 0.5
"""For room on a link that is full; a broker that doesn't take it now will publish the will."""
_URGENT = ("state", "different", "last_error", "hint")


class StatusPublishing:
    """What a role, of ``client_id``, tells of its streams; one for each link. ``tell`` is for one thread.

    ``state`` remembers what the broker retains of us, so that it can be cleared when it is no more.
    """

    def __init__(
        self,
        settings: StatusSettings,
        client_id: str,
        *,
        state: State | None = None,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._client_id = client_id
        self._state = state
        self._timer = timer
        self._link: Link | None = None
        self._connections = 0
        self._begun = 0
        """The connection in which the broker has been told everything."""
        self._denied: set[str] = set()
        self._was_denied = False
        self._told: dict[str, tuple[Snapshot, float]] = {}
        self._forget_at = 0.0

    def link_to(self, mqtt: MqttSettings) -> MakeLink:
        """What makes the role's link to the broker, which it leaves the will that says that we are gone."""
        if self._settings.enabled:
            will = encode_presence(self._settings.topic, self._client_id, online=False)
            mqtt = replace(mqtt, will=will, will_delay_s=min(WILL_DELAY_S, mqtt.session_expiry_s))
        return self.around(lambda subscriptions, on_event: MqttLink(mqtt, subscriptions, on_event))

    def around(self, make_link: MakeLink) -> MakeLink:
        """What makes the same link, over which `tell` then publishes."""

        def make(subscriptions: tuple[Subscription, ...], on_event: OnEvent) -> Link:
            def take(event: Event) -> None:
                if not self._takes(event):
                    on_event(event)

            self._link = make_link(subscriptions, take)
            return self._link

        return make

    def tell(self, snapshots: Sequence[Snapshot], now: float) -> None:
        """Publish what has changed since it was last told; returns at once."""
        if self._link is None or not self._link.connected or not snapshots:
            return
        connection = self._connections
        if self._begun != connection:
            self._told.clear()
            if not self._begin(snapshots):
                return  # the link is full of what matters more: later
            self._begun = connection
        if self._settings.enabled:
            for snapshot in snapshots:
                self._tell_of(snapshot, now)
        if self._timer() >= self._forget_at and self._state is not None:
            self._forget_at = float("inf")
            self._state.write_told(snapshots[0].role, self._topics(snapshots))

    def say_goodbye(self) -> None:
        """Say that we are gone, before the link is closed: a link that is closed leaves no will."""
        if self._settings.enabled:
            self._publish(encode_presence(self._settings.topic, self._client_id, online=False), timeout_s=GOODBYE_S)

    def _takes(self, event: Event) -> bool:
        """Whether an event is ours alone: what isn't let through of a status is no trouble of a stream."""
        match event:
            case Connected():
                self._denied.clear()
                self._connections += 1
            case Denied(topic, _, reason) if self._owns(topic):
                self._denied.add(topic)
                self._note_denied(topic, reason)
                return True
        return False

    def _owns(self, topic: str) -> bool:
        prefix = self._settings.discovery_prefix
        return topic.startswith(f"{self._settings.topic}/") or bool(prefix and topic.startswith(f"{prefix}/"))

    def _note_denied(self, topic: str, reason: str) -> None:
        if not self._was_denied:
            hint = "let this user write there in the broker's ACL, or set status = false; nothing else suffers"
            _log.warning("status_denied topic=%r reason=%r hint=%r", topic, reason, hint)
        self._was_denied = True

    def _begin(self, snapshots: Sequence[Snapshot]) -> bool:
        """The broker may have forgotten everything, or keep what is no more; whether all of that went out."""
        topics = self._topics(snapshots)
        kept = self._state.read_told(snapshots[0].role) if self._state is not None else set()
        messages = [Message(topic, b"", retain=True) for topic in sorted(kept - topics)]
        if self._settings.enabled:
            messages.append(encode_presence(self._settings.topic, self._client_id, online=True))
            messages += self._discoveries(snapshots)
        if self._state is not None and kept != kept | topics:
            self._state.write_told(snapshots[0].role, kept | topics)
        # Only what the broker has seen to be cleared is forgotten; by then it has.
        self._forget_at = self._timer() + REFRESH_S if kept - topics else float("inf")
        return all(self._publish(message) for message in messages)

    def _tell_of(self, snapshot: Snapshot, now: float) -> None:
        topic = spell_stream_topic(self._settings.topic, snapshot, self._client_id)
        before, told_at = self._told.get(topic, (None, 0.0))
        age_s = self._timer() - told_at
        if before is not None and age_s < REFRESH_S and not _is_news(before, snapshot, age_s):
            return
        if self._publish(encode_status(self._settings.topic, snapshot, self._client_id, now)):
            self._told[topic] = (snapshot, self._timer())

    def _publish(self, message: Message, *, timeout_s: float = 0.0) -> bool:
        """Whether it went out, or isn't wanted."""
        if message.topic in self._denied:
            return True
        return self._link is not None and self._link.publish(message, timeout_s=timeout_s)

    def _discoveries(self, snapshots: Sequence[Snapshot]) -> list[Message]:
        settings = self._settings
        if not settings.discovery_prefix:
            return []
        return [
            encode_discovery(settings.discovery_prefix, settings.topic, snapshot, self._client_id)
            for snapshot in snapshots
        ]

    def _topics(self, snapshots: Sequence[Snapshot]) -> set[str]:
        """All that the broker is to retain of us."""
        if not self._settings.enabled:
            return set()
        streams = {spell_stream_topic(self._settings.topic, each, self._client_id) for each in snapshots}
        discoveries = {each.topic for each in self._discoveries(snapshots)}
        return {spell_presence_topic(self._settings.topic, self._client_id)} | streams | discoveries


def _is_news(before: Snapshot, after: Snapshot, age_s: float) -> bool:
    if any(getattr(before, name) != getattr(after, name) for name in _URGENT):
        return True
    return age_s >= CALM_S and _steady(before) != _steady(after)


def _steady(snapshot: Snapshot) -> Snapshot:
    """Without what is always another."""
    return replace(snapshot, lag_s=None, rate_per_s=None)
