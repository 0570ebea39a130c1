"""What other stations at the same broker tell of their streams: heard, and kept for whoever asks.

A page at the primary shows its copies by this, wherever they are. What comes is a stranger's word: it is decoded
strictly, there is an end to how much is kept, and what it says is to be typed is left out.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

from ..core.status import Counters, Snapshot
from ..core.strict import Refused
from ..link.message import Arrived, Denied, Event, Link, Message, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from .status_message import KEPT_S, MOST_BYTES, Presence, StreamStatus, decode_status
from .status_publishing import REFRESH_S

_log = logging.getLogger(__name__)

MOST_CLIENTS = 1000
MOST_STREAMS = 4000
SILENT_AFTER_S = 2 * REFRESH_S + 60.0
_ENVELOPE_BYTES = 4096

MakeWatchingLink = Callable[[tuple[Subscription, ...], Callable[[Event], None]], Link]


@dataclass(frozen=True, slots=True)
class WatchedStream:
    """A stream of another client, and when it was heard of (Unix seconds, by our clock)."""

    snapshot: Snapshot
    heard_at: float
    client_id: str


class WatchedStatus:
    """Hears what is told of the streams of ``instances``; a context manager, all methods from any thread.

    What the clients ``but`` say is left out: that is known otherwise.
    """

    def __init__(
        self,
        make_link: MakeWatchingLink,
        topic: str,
        instances: Collection[str],
        *,
        but: Collection[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.refused = Counters()
        self._topic = topic
        self._but = frozenset(but)
        self._clock = clock
        self._lock = threading.Lock()
        self._online: dict[str, bool] = {}
        self._streams: dict[str, tuple[StreamStatus, float]] = {}
        wanted = [f"{topic}/+", *(f"{topic}/{instance}/+/+/+" for instance in sorted(instances))]
        self._link = make_link(tuple(Subscription(each, 0) for each in wanted), self._on_event)

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._link.close()

    def read_watched(self) -> list[WatchedStream]:
        """All that is known now, by stream and client."""
        now = self._clock()
        with self._lock:
            known = [(status, heard_at) for status, heard_at in self._streams.values() if now - heard_at <= KEPT_S]
            online = dict(self._online)
        found = [_show(status, heard_at, online=online.get(status.client_id, True)) for status, heard_at in known]
        return sorted(found, key=lambda each: (each.snapshot.stream, each.client_id))

    def _on_event(self, event: Event) -> None:
        match event:
            case Arrived(message):
                self._take(message)
            case Denied(topic, action, reason):
                _log.warning("status_not_heard topic=%r action=%s reason=%r", topic, action, reason)

    def _take(self, message: Message) -> None:
        if not message.payload:
            with self._lock:
                self._streams.pop(message.topic, None)
                self._online.pop(message.topic.removeprefix(f"{self._topic}/"), None)
            return
        try:
            told = decode_status(self._topic, message)
        except Refused as refusal:
            self._refuse(message, refusal)
            return
        if told.client_id in self._but:
            return
        with self._lock:
            self._keep(message, told)

    def _keep(self, message: Message, told: StreamStatus | Presence) -> None:
        now = self._clock()
        match told:
            case Presence(client_id, online):
                if client_id in self._online or len(self._online) < MOST_CLIENTS:
                    self._online[client_id] = online
            case StreamStatus():
                if message.topic in self._streams or len(self._streams) < MOST_STREAMS:
                    # What was retained was said at some other time, by a clock that may be wrong.
                    self._streams[message.topic] = told, min(told.at, now) if message.retain else now

    def _refuse(self, message: Message, refusal: Refused) -> None:
        if not self.refused[refusal.reason]:
            _log.warning("status_refused topic=%r reason=%s error=%r", message.topic, refusal.reason, str(refusal))
        self.refused.add(refusal.reason)


def watching_link(mqtt: MqttSettings, mark: str) -> MakeWatchingLink:
    """What makes a link for `WatchedStatus` beside that of ``mqtt``; ``mark`` is what no other such link has."""
    own = replace(
        mqtt,
        client_id=f"{mqtt.client_id}-page-{mark}",
        clean_start=True,
        session_expiry_s=0,
        max_packet_bytes=MOST_BYTES + _ENVELOPE_BYTES,
    )
    return lambda subscriptions, on_event: MqttLink(own, subscriptions, on_event)


def _show(status: StreamStatus, heard_at: float, *, online: bool) -> WatchedStream:
    """A stream as it is shown here: without words of a stranger's on what to type."""
    told, client_id = status.snapshot, _quote(status.client_id)
    shown = replace(
        told,
        last_error=_quote(told.last_error) if told.last_error else None,
        hint=f"`samesky status` on the machine of {client_id} says what to do." if told.last_error else "",
        details={},
        silent_after_s=SILENT_AFTER_S,
    )
    if not online:
        shown = replace(
            shown,
            state="disconnected",
            last_error=f"{client_id} has no connection to the broker",
            hint="See whether it runs there, and whether it reaches the broker.",
        )
    return WatchedStream(shown, heard_at, status.client_id)


def _quote(words: str) -> str:
    """A stranger's words without backquotes, between which pages and people look for commands to type."""
    return words.replace("`", "'")
