"""What carries messages between services: `CarrierLink`, and the seed's one, `AmqpCarrier`, over an AMQP exchange.

The other is `mqtt_carrier`, over MQTT. A service may have both, and a block that is broadcast over one of them may be
followed over the other: that is how an old service and a new one meet.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ..errors import Unreachable
from ..link.amqp import AmqpLink, AmqpSettings
from ..link.amqp_message import AmqpArrived, AmqpEvent, Properties, Published, Returned
from .envelope import CONTENT_TYPE, name_message
from .registry import MOST_LINKS

PREFETCH = 2 * MOST_LINKS + 1000
"""A replica keeps two messages at most, and one whose controller hangs keeps them: the others need room beside them."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """A message came. ``settle(True)`` when it was dealt with, ``settle(False)`` when it is no good."""

    key: str
    body: bytes
    headers: Sequence[tuple[str, object]]
    settle: Callable[[bool], None]
    retained: bool = False
    gone: bool = False
    """There is no message: whoever had sent those with this key has died."""


OnArrival = Callable[[Arrival], None]


class CarrierLink(Protocol):
    """A link that carries blocks. Belongs to one event loop; it connects again by itself, as often as it must."""

    @property
    def trouble(self) -> str:
        """Why nothing is carried now, a sentence; empty when something is, or needn't be."""
        ...

    def start(self, on_arrival: OnArrival) -> None:
        """Begin; ``on_arrival`` is called on the loop and must not block."""
        ...

    async def close(self) -> None:
        """End, after a moment in which what was published may still go out."""
        ...

    async def subscribe(self, pattern: str, *, wait_s: float = 0.0) -> None:
        """Hear what is published under keys that ``pattern`` matches; returns when it is heard.

        It waits no longer than ``wait_s`` for a broker to which it isn't connected yet.
        """
        ...

    async def unsubscribe(self, pattern: str) -> None:
        """Hear no more of ``pattern``."""
        ...

    async def publish(self, key: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """Publish ``body`` as the newest state of ``key``; raises `Unreachable` when the broker hasn't taken it."""
        ...


class AmqpCarrier:
    """Carries blocks over the exchange of ``settings``, the seed's ``syncast``; see `CarrierLink`."""

    FAREWELL_S = 1.0

    def __init__(self, settings: AmqpSettings) -> None:
        self._link = AmqpLink(replace(settings, prefetch=PREFETCH), self._on_event)
        self._on_arrival: OnArrival | None = None
        self._settling: set[asyncio.Task[None]] = set()

    @property
    def trouble(self) -> str:
        """As of `CarrierLink`."""
        return self._link.consuming_trouble or self._link.publishing_trouble

    def start(self, on_arrival: OnArrival) -> None:
        """As of `CarrierLink`."""
        self._on_arrival = on_arrival
        self._link.start()

    async def close(self) -> None:
        """As of `CarrierLink`."""
        if self._settling:
            await asyncio.wait(self._settling, timeout=self.FAREWELL_S)
        await self._link.close(drain_s=self.FAREWELL_S)

    async def subscribe(self, pattern: str, *, wait_s: float = 0.0) -> None:
        """As of `CarrierLink`."""
        await self._link.subscribe(pattern, wait_s=wait_s)

    async def unsubscribe(self, pattern: str) -> None:
        """As of `CarrierLink`."""
        await self._link.unsubscribe(pattern)

    async def publish(self, key: str, body: bytes, headers: Mapping[str, str], *, timeout_s: float) -> None:
        """As of `CarrierLink`. That nobody listens is no trouble: the next message finds who does then."""
        properties = Properties(CONTENT_TYPE, time.time(), name_message(headers), headers)
        outcome = await self._link.publish(key, body, properties=properties, timeout_s=timeout_s)
        if not isinstance(outcome, Published | Returned):
            words = getattr(outcome, "reason", "a newer message was published before this one")
            raise Unreachable(f"the broker didn't take the message: {words}")

    def _on_event(self, event: AmqpEvent) -> None:
        if isinstance(event, AmqpArrived) and self._on_arrival is not None:
            headers = list(event.properties.headers.items())
            self._on_arrival(Arrival(event.key, event.body, headers, lambda good: self._settle(event, good)))

    def _settle(self, event: AmqpArrived, good: bool) -> None:
        work = self._link.acknowledge(event) if good else self._link.reject(event)
        task = asyncio.ensure_future(work)
        self._settling.add(task)  # else nothing would hold it
        task.add_done_callback(self._settling.discard)
