"""The AMQP link: publishes the newest state of each key, hears what others publish, and connects again when it must.

Two connections, because RabbitMQ stops reading from one that publishes when it is short of memory, acknowledgements
included. Each has a task of its own, all on one asyncio loop. What is published waits here, the newest of each key, and
is written only when the broker has just shown that it takes messages: so nothing old goes out when a broker comes back
(`Publisher.prove`). The link never promises delivery; the newest state, sent again and again, is what heals.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NoReturn, Self

from .amqp_connection import (
    AmqpConnection,
    Consumer,
    Lost,
    NotAllowed,
    Publisher,
    prepare_library,
    settle_delivery,
)
from .amqp_line import STALLED, Line
from .amqp_message import (
    AmqpArrived,
    AmqpEvent,
    AmqpSent,
    AmqpUnreadable,
    Denied,
    Outcome,
    Properties,
    Published,
    Returned,
    Superseded,
    TimedOut,
    check_key,
    check_pattern,
    check_properties,
)
from .amqp_outgoing import Outgoing, Waiting, settle
from .amqp_settings import AmqpSettings
from .tasks import end_tasks

__all__ = ["AmqpLink", "AmqpSettings", "OnAmqpEvent"]

log = logging.getLogger(__name__)

OnAmqpEvent = Callable[[AmqpEvent], None]

BATCH = 256
REPEAT_AFTER_S = 60.0


class AmqpLink:
    """A link to RabbitMQ, or to another broker of AMQP 0.9.1. Everything is on the loop that runs when it is started.

    ``on_event`` is called on that loop and must not block; whatever it raises is logged, and the message it was given
    is rejected. Raises ``ConfigError`` when a TLS file can't be used. Use it with ``async with``, or `start` and
    `close`.
    """

    def __init__(self, settings: AmqpSettings, on_event: OnAmqpEvent) -> None:
        self.settings = settings
        self._on_event = on_event
        self._waiting = Waiting()
        self._in_flight: list[Outgoing] = []
        self._patterns: set[str] = set()
        self._consumer: Consumer | None = None
        self._publishing = Line("publishing", settings, serve=self._publish_for_ever, emit=self._emit)
        self._consuming = Line("consuming", settings, serve=self._consume_for_ever, emit=self._emit)
        self._settling: set[asyncio.Task[None]] = set()
        self._started = False
        self._faults = {"event": 0, "unreadable": 0}
        self._logged_at = dict.fromkeys(self._faults, float("-inf"))

    @property
    def connected(self) -> bool:
        """Whether every connection that is needed stands; each is made when it is first needed."""
        return self._publishing.well and self._consuming.well

    @property
    def publishing_trouble(self) -> str:
        """Why nothing goes out now, a sentence; empty when it does, or nothing had to."""
        return self._publishing.trouble

    @property
    def consuming_trouble(self) -> str:
        """Why nothing comes in now, a sentence; empty when it does, or nothing was subscribed to."""
        return self._consuming.trouble

    def start(self) -> None:
        """Begin; returns at once."""
        prepare_library()
        self._started = True
        if self._patterns:
            self._consuming.start()
        if self._waiting:
            self._publishing.start()

    async def close(self, *, drain_s: float = 0.0) -> None:
        """End both connections for good, after up to ``drain_s`` seconds in which what waits may still go out."""
        deadline = asyncio.get_running_loop().time() + drain_s
        while (left := self._find_undone()) and (rest := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait([each.outcome for each in left], timeout=rest)
        for outgoing in self._find_undone():
            outgoing.outcome.cancel()
        self._started = False
        await asyncio.gather(self._publishing.close(), self._consuming.close())

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def subscribe(self, pattern: str, *, wait_s: float = 0.0) -> None:
        """Hear what is published by keys that ``pattern`` matches, now (if connected) and after every reconnection.

        For a first attempt to connect it waits up to ``wait_s``: if that succeeds, what is published after this has
        returned is heard. Raises ``ValueError`` (`check_pattern`), and nothing for the network.
        """
        self._patterns.add(check_pattern(pattern))
        if self._started:
            self._consuming.start()
            await self._consuming.wait_tried(wait_s)
        await self._bind()

    async def unsubscribe(self, pattern: str) -> None:
        """Hear no more of ``pattern``; harmless when it wasn't subscribed to. What was on its way may still come."""
        self._patterns.discard(pattern)
        await self._bind()

    def offer(self, key: str, body: bytes, *, properties: Properties | None = None) -> None:
        """Publish ``body`` as the newest state of ``key`` as soon as that can be; an `AmqpSent` event follows.

        It replaces what waits for ``key``. Raises ``ValueError`` (`check_key`, `check_properties`).
        """
        outgoing = self._put(key, body, properties)
        outgoing.outcome.add_done_callback(lambda done: self._tell_sent(outgoing, done))

    async def publish(
        self, key: str, body: bytes, *, properties: Properties | None = None, timeout_s: float | None = None
    ) -> Outcome:
        """As `offer`, but wait for what becomes of it, ``timeout_s`` at most (default: the settings' own).

        A body that wasn't written by then never will be. Raises ``ValueError`` (`check_key`, `check_properties`).
        """
        outgoing = self._put(key, body, properties)
        denial = asyncio.ensure_future(self._publishing.denied.wait())
        try:
            limit_s = self.settings.publish_timeout_s if timeout_s is None else timeout_s
            first: set[asyncio.Future[Any]] = {outgoing.outcome, denial}
            await asyncio.wait(first, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            return self._read_outcome(outgoing)
        finally:
            denial.cancel()
            self._waiting.withdraw(outgoing)
            outgoing.outcome.cancel()

    async def acknowledge(self, arrived: AmqpArrived) -> None:
        """Tell the broker that ``arrived`` is dealt with; nothing when it was told, or after a reconnection."""
        await settle_delivery(arrived.delivery, accept=True)

    async def reject(self, arrived: AmqpArrived) -> None:
        """Tell the broker that ``arrived`` is no good: it goes to the dead letters where the settings name some."""
        await settle_delivery(arrived.delivery, accept=False)

    def _put(self, key: str, body: bytes, properties: Properties | None) -> Outgoing:
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        outgoing = Outgoing(check_key(key), body, check_properties(properties or Properties()), outcome)
        self._waiting.put(outgoing)
        if self._started:
            self._publishing.start()
        return outgoing

    def _read_outcome(self, outgoing: Outgoing) -> Outcome:
        if outgoing.outcome.done():
            return outgoing.outcome.result()
        if self._publishing.denied.is_set() and not outgoing.written:
            return Denied(self._publishing.trouble)
        return TimedOut(self._publishing.trouble or STALLED, in_doubt=outgoing.written)

    def _tell_sent(self, outgoing: Outgoing, done: "asyncio.Future[Outcome]") -> None:
        if not done.cancelled() and isinstance(outcome := done.result(), Published | Returned | Superseded):
            self._emit(AmqpSent(outgoing.key, outgoing.properties, outcome))

    def _find_undone(self) -> list[Outgoing]:
        return [each for each in (*self._waiting, *self._in_flight) if not each.outcome.done()]

    async def _publish_for_ever(self, connection: AmqpConnection) -> NoReturn:
        publisher = Publisher(connection)
        await publisher.open()
        self._publishing.note_up(connection.address)
        while True:
            await self._waiting.wait()
            with self._publishing.watch_stall():
                await publisher.prove()
            self._in_flight = self._waiting.take(BATCH)  # some may have been given up meanwhile
            try:
                with self._publishing.watch_stall():
                    trouble = await self._publish_batch(publisher)
            finally:
                for outgoing in self._in_flight:
                    self._waiting.put_back(outgoing)
                self._in_flight = []
            if isinstance(trouble, NotAllowed):
                raise trouble
            if trouble:
                await publisher.open()  # the exchange has vanished: declare it, and publish what was lost again

    async def _publish_batch(self, publisher: Publisher) -> Lost | NotAllowed | None:
        """Publish what is in flight; returns why some of it wasn't."""
        batch, trouble = self._in_flight, None
        async with asyncio.timeout(self.settings.publish_timeout_s):
            found = await publisher.publish(batch)
        for outgoing, outcome in zip(batch, found, strict=True):
            if isinstance(outcome, Published | Returned):
                settle(outgoing, outcome)
            else:
                trouble = outcome
        return trouble

    async def _consume_for_ever(self, connection: AmqpConnection) -> NoReturn:
        consumer = Consumer(connection, self._emit)
        await consumer.open(self._patterns)
        self._consumer = consumer
        await consumer.bind(self._patterns)
        self._consuming.note_up(connection.address)
        try:
            while True:
                await asyncio.sleep(self.settings.bind_again_s)
                await consumer.bind(self._patterns, again=True)
        finally:
            self._consumer = None

    async def _bind(self) -> None:
        if self._consumer is None:
            return
        binding = asyncio.ensure_future(self._consumer.bind(self._patterns))
        await asyncio.wait({binding}, timeout=self.settings.connect_timeout_s)
        # The connection's own task finds out as well what is wrong, and binds on the next one.
        await end_tasks(binding)

    def _emit(self, event: AmqpEvent) -> None:
        if isinstance(event, AmqpUnreadable) and (count := self._count("unreadable")):
            log.warning("amqp_unreadable count=%d", count)
        try:
            self._on_event(event)
        except Exception:
            if count := self._count("event"):
                log.exception("amqp_event_failed event=%s count=%d", type(event).__name__, count)
            if isinstance(event, AmqpArrived):
                task = asyncio.ensure_future(self.reject(event))
                self._settling.add(task)  # else nothing would hold it
                task.add_done_callback(self._settling.discard)

    def _count(self, fault: str) -> int:
        """Count ``fault``; return how many there were since this returned more than 0, once a minute, else 0."""
        self._faults[fault] += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._logged_at[fault] < REPEAT_AFTER_S:
            return 0
        count, self._faults[fault], self._logged_at[fault] = self._faults[fault], 0, now_s
        return count
