"""Blocks of today's Brewblox over MQTT: `Brewcast`, where its services can't be reached over HTTP.

Nothing is asked for: a service tells all its blocks every few seconds (`brewcast_events`), and what it told last is
what is read. A write is a message that nobody answers. It is believed when an event shows it:

    brewcast/spark/blocks/patch   {"id": …, "serviceId": …, "type": …, "data": {…}}   some of a block's data
    brewcast/spark/blocks/write   the same with all of its data

What the broker has retained is of unknown age, thus never read; and what a service told is believed for three times the
longest of its last silences and 5 s, at least 15 s.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, cast

from ..core.strict import Refused, check_topic_level
from ..errors import DataError, SameskyError, Unreachable
from ..link.message import Arrived, Connected, Denied, Disconnected, Event, Message, Subscription
from ..link.mqtt import MqttLink, MqttSettings
from ..link.seldom import Seldom
from .brewcast_events import MAX_EVENT_BYTES, decode_patch, decode_state, shows
from .brewcast_memory import BrewcastMemory
from .envelope import encode_body
from .objects import Block
from .paths import Value
from .spark import plan_patch
from .told_blocks import encode_block
from .translate import copy

_log = logging.getLogger(__name__)

STATE_TOPIC, BLOCKS_TOPIC = "brewcast/state", "brewcast/spark/blocks"
TIMEOUT_S = 8.0
"""More than the 5 s between two events of a service, less than what a link waits for its controller."""
KEEPALIVE_S = 10
MOST_TOPIC_BYTES = 1 << 16
Found = TypeVar("Found")
_SELDOM = Seldom()


class Brewcast:
    """The blocks of the service ``name`` that speaks over the broker of ``settings``, whose client id nobody else has.

    It connects when it's first asked for something. See `Objects`.
    """

    def __init__(self, settings: MqttSettings, name: str, *, timeout_s: float = TIMEOUT_S) -> None:
        _log.addFilter(_SELDOM)  # a service that tells nonsense does so every few seconds
        self.name = check_topic_level(name)
        self._settings = replace(
            settings,
            keepalive_s=KEEPALIVE_S,
            session_expiry_s=0,
            clean_start=True,
            max_packet_bytes=MAX_EVENT_BYTES + MOST_TOPIC_BYTES,
        )
        self._timeout_s = timeout_s
        self._state_topic = f"{STATE_TOPIC}/{name}"
        self._patch_topic = f"{self._state_topic}/patch"
        self._lock = threading.Lock()  # the link has a thread of its own
        self._link: MqttLink | None = None
        self._told = BrewcastMemory(name)
        self._trouble = "it hasn't answered yet"
        self._refused: dict[str, str] = {}
        self._waiters: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def trouble(self) -> str:
        """Why nothing is told now, as far as is known: of the broker, or of the service; empty when something is."""
        return self._trouble or self._told.away

    async def read(self, id: str) -> Block:
        """As of `Objects`: what the service told last."""
        self._open()
        return _own(await self._wait_for(lambda: self._told.find(id), f"the block {id}"))

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value] | None:
        """As of `Objects`; returns when an event of the service shows what was written, or rather what became of it."""
        patch = plan_patch(block.data, data)
        if patch == {}:
            return data
        self._open()
        kind, given = ("write", data) if patch is None else ("patch", patch)
        with self._lock:
            known = self._told.blocks.get(block.id, block)
            events = self._told.events
        self._publish(f"{BLOCKS_TOPIC}/{kind}", {"serviceId": self.name, **encode_block(block, given)})
        try:
            shown = await self._wait_for(
                lambda: self._told.find_after(events, block.id, lambda told: shows(known.data, data, told)), "a write"
            )
        except Unreachable:
            raise self._explain(kind, block.id, events) from None
        return _own(shown).data

    async def list(self) -> list[str]:
        """As of `Objects`."""
        self._open()
        return sorted(await self._wait_for(self._told.find_ids, "its blocks"))

    async def close(self) -> None:
        """As of `Objects`."""
        link, self._link = self._link, None
        if link is not None:
            await asyncio.to_thread(link.close)

    # ------------------------------------------------------------------ waiting

    async def _wait_for(self, find: Callable[[], Found | None], what: str) -> Found:
        """What ``find`` finds, asked anew after each event; raises what it raises, and `Unreachable` in the end."""
        woken = asyncio.Event()
        waiter = (asyncio.get_running_loop(), woken)
        self._waiters.add(waiter)
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    with self._lock:
                        found = find()
                    if found is not None:
                        return found
                    await woken.wait()
                    woken.clear()
        except TimeoutError:
            raise self._silence(what) from None
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for loop, woken in self._waiters.copy():
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:
                pass  # that loop has ended, and nobody waits there any more

    def _silence(self, what: str) -> Unreachable:
        if self._trouble:
            return Unreachable(
                f"the broker at {self._settings.address} can't be used: {self._trouble}",
                hint="look whether it runs, and what this user may do there",
            )
        return Unreachable(
            f"{self.name} hasn't told {what} within {self._timeout_s:g} s at {self._settings.address}",
            hint=f"look whether it runs, and tells its blocks under {self._state_topic}",
        )

    def _explain(self, kind: str, id: str, events: int) -> SameskyError:
        """Why no event shows what was written."""
        refused = self._refused.get(f"{BLOCKS_TOPIC}/{kind}")
        if refused is not None:
            words = (
                f"the broker at {self._settings.address} refuses what is published on {BLOCKS_TOPIC}/{kind}: {refused}"
            )
            return Unreachable(words, hint="look at the rights of this user there")
        if self._trouble or self._told.events == events:
            return self._silence("what it made of a write")
        return DataError(
            f"{self.name} goes on as before: {id} hasn't become what was written within {self._timeout_s:g} s",
            hint="its log says why; look whether these data may be written to a block of this type",
        )

    # ------------------------------------------------------------------ the link

    def _open(self) -> None:
        if self._link is None:
            topics = (Subscription(self._state_topic), Subscription(self._patch_topic))
            self._link = MqttLink(self._settings, topics, self._on_event)
            self._link.start()

    def _publish(self, topic: str, told: Mapping[str, Value]) -> None:
        link = self._link
        if link is None or not link.publish(Message(topic, encode_body(told))):
            raise self._silence("anything")

    def _on_event(self, event: Event) -> None:
        """On the link's thread."""
        with self._lock:
            self._take(event)
        if isinstance(event, Arrived) and self._link is not None:
            self._link.acknowledge(event.message)
        self._wake()

    def _take(self, event: Event) -> None:
        match event:
            case Arrived(message) if not message.retain:
                self._take_message(message)
            case Connected():
                self._trouble = ""
                self._refused.clear()
            case Disconnected(reason):
                self._trouble = reason
                self._told.forget()  # what is told meanwhile is missed
            case Denied(topic, "publish", reason):
                self._refused[topic] = reason
            case Denied(topic, _, reason):
                self._trouble = f"it doesn't let us subscribe to {topic}: {reason}"

    def _take_message(self, message: Message) -> None:
        try:
            if message.topic == self._patch_topic:
                self._told.take_patch(decode_patch(message.payload))
            else:
                self._told.take_state(decode_state(message.payload))
        except Refused as refusal:
            _log.warning(
                "brewcast_event_refused topic=%s reason=%s words=%r", message.topic, refusal.reason, str(refusal)
            )


def _own(block: Block) -> Block:
    """A copy that belongs to whoever gets it."""
    data, others = cast(dict[str, Any], copy(dict(block.data))), cast(dict[str, Any], copy(dict(block.others)))
    return replace(block, data=data, others=others)
