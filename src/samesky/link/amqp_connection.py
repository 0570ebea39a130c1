"""One connection to an AMQP broker, and what publishing and consuming need of it: the only import of aio-pika.

Nothing here tries twice. What fails raises `Lost` (open it again) or `NotAllowed` (somebody has to change something),
with a sentence for the user; `amqp.py` decides when to try again.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn, cast

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ChannelPreconditionFailed,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from aiormq.abc import DeliveredMessage
from pamqp.commands import Basic

from .amqp_frames import NO_TEXT, UNREADABLE, ensure_tolerance
from .amqp_message import AmqpArrived, AmqpUnreadable, Properties, Published, Returned, Role
from .amqp_outgoing import Outgoing
from .amqp_settings import AmqpSettings
from .amqp_url import AmqpUrl
from .amqp_words import describe_difference, describe_end, describe_login, describe_loss, describe_reply, describe_vhost

PROVEN_FOR_S = 0.01
"""So long after the broker confirmed something it needn't be asked whether it takes anything."""
CLOSE_TIMEOUT_S = 3.0
NOBODY = "samesky.nobody"
"""The key of the message that proves that the broker takes messages; the default exchange drops it."""

_TROUBLES = (AMQPError, OSError, RuntimeError, EOFError, asyncio.TimeoutError)
"""What aio-pika raises: a closed channel is a RuntimeError."""


class Lost(Exception):
    """The channel or connection is gone; ``str()`` is why."""


class NotAllowed(Exception):
    """The broker won't have us, or what we ask, as things are; ``str()`` says who has to change what."""


class AmqpConnection:
    """An open connection; made by `open_connection`, ended by `close`."""

    def __init__(self, raw: AbstractConnection, settings: AmqpSettings, *, address: str) -> None:
        self.raw = raw
        self.settings = settings
        self.address = address
        self._ended: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        raw.close_callbacks.add(self._note_end)

    async def wait_lost(self) -> NoReturn:
        """Wait until the connection ends; raises `Lost` then."""
        error = await asyncio.shield(self._ended)
        if isinstance(error, ConnectionClosed):
            raise Lost(str(self.explain(error)))
        silent = isinstance(error, asyncio.CancelledError)  # aiormq cancels its reader when no heartbeat came
        raise Lost(describe_end(self.address, silent=silent))

    async def close(self) -> None:
        """End the connection; takes no longer than `CLOSE_TIMEOUT_S` even when the broker doesn't answer."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):  # unlike wait_for, it loses no cancellation
                await self.raw.close()
        except (*_TROUBLES, asyncio.InvalidStateError):
            pass  # it is gone already, or doesn't answer

    def explain(self, error: BaseException) -> Lost | NotAllowed:
        """Return what ``error``, of aio-pika or the network, means for us."""
        return explain(error, self.address, self.settings.exchange)

    async def declare_exchange(self, channel: AbstractChannel) -> None:
        """Declare the exchange as every peer does (seed 004), so that it is there; nothing changes where it was."""
        await channel.declare_exchange(
            self.settings.exchange, aio_pika.ExchangeType.TOPIC, durable=False, auto_delete=True
        )

    def _note_end(self, _connection: object, error: BaseException | None) -> None:
        if not self._ended.done():
            self._ended.set_result(error)


async def open_connection(
    url: AmqpUrl, settings: AmqpSettings, *, role: Role, context: ssl.SSLContext | None
) -> AmqpConnection:
    """Return a new connection to ``url``. Raises `Lost` or `NotAllowed`."""
    broker = url.broker
    try:
        raw = await aio_pika.connect(
            host=broker.host,
            port=broker.port,
            login=broker.username or "guest",
            password=broker.password or ("guest" if broker.username is None else ""),
            virtualhost=url.vhost,
            ssl=context is not None,
            ssl_context=context,
            timeout=settings.connect_timeout_s,
            client_properties={"connection_name": f"{settings.name} {role}"},
            heartbeat=_choose_heartbeat(settings.heartbeat_s),
        )
    except InvalidFrameError as error:
        if "Connection.OpenOk" not in str(error):  # all that is left of the broker's words
            raise explain(error, url.address, settings.exchange) from None
        raise NotAllowed(describe_vhost(url.address, url.vhost)) from None
    except _TROUBLES as error:
        raise explain(error, url.address, settings.exchange) from None
    return AmqpConnection(raw, settings, address=url.address)


class Publisher:
    """Publishes on a connection: one batch at a time, by one task."""

    def __init__(self, connection: AmqpConnection) -> None:
        self._connection = connection
        self._asking: AbstractChannel | None = None
        self._may_ask = True
        self._heard_at = float("-inf")

    async def open(self) -> None:
        """Open the channels (again), with the exchange declared. Raises `Lost` or `NotAllowed`."""
        raw = self._connection.raw
        try:
            channel = await raw.channel()
            if self._asking is None:
                self._asking = await raw.channel()
            await self._connection.declare_exchange(channel)
            # A message costs less without aio-pika's own layer, and needn't wait until the one before is in the socket.
            self._channel = cast(aiormq.Channel, await channel.get_underlay_channel())
        except _TROUBLES as error:
            raise self._connection.explain(error) from None

    async def prove(self) -> None:
        """Wait until the broker takes messages, however long that is; raises `Lost` when the channel ends meanwhile.

        A message to nobody is sent and its confirmation awaited. A broker that is short of memory, or frozen, keeps
        what it was sent until it can go on, and delivers it then: let it be that, and not a state that has become
        wrong meanwhile. RabbitMQ says that it is short of memory only when something is published, and it stops before
        the body of that: a message without a body would pass.
        """
        if (
            self._asking is None
            or not self._may_ask
            or asyncio.get_running_loop().time() - self._heard_at < PROVEN_FOR_S
        ):
            return
        message = aio_pika.Message(b"?", delivery_mode=aio_pika.DeliveryMode.NOT_PERSISTENT)
        try:
            await self._asking.default_exchange.publish(message, NOBODY, mandatory=False)
        except _TROUBLES as error:
            why = self._connection.explain(error)
            if not isinstance(why, NotAllowed):
                raise why from None
            self._may_ask = False  # this user may publish on our exchange alone

    async def publish(self, batch: Sequence[Outgoing]) -> list[Published | Returned | Lost | NotAllowed]:
        """Write all of ``batch`` and wait for its confirmations; returns what became of each."""
        for outgoing in batch:
            outgoing.written = True
        found = await asyncio.gather(*map(self._publish_one, batch), return_exceptions=True)
        self._heard_at = asyncio.get_running_loop().time()
        return [self._judge(each) for each in found]

    async def _publish_one(self, outgoing: Outgoing) -> Published | Returned:
        confirmation = await self._channel.basic_publish(
            outgoing.body,
            exchange=self._connection.settings.exchange,
            routing_key=outgoing.key,
            properties=_encode(outgoing.properties),
            mandatory=True,
            wait=False,
        )
        return Published() if isinstance(confirmation, Basic.Ack) else Returned()

    def _judge(self, found: Published | Returned | BaseException) -> Published | Returned | Lost | NotAllowed:
        if isinstance(found, Published | Returned):
            return found
        if isinstance(found, (*_TROUBLES, asyncio.CancelledError)):  # a channel that ends cancels what waits on it
            return self._connection.explain(found)
        raise found


class Consumer:
    """Consumes on a connection, from one queue that the broker names, for us alone, bound by each pattern."""

    def __init__(self, connection: AmqpConnection, on_arrived: Callable[[AmqpArrived | AmqpUnreadable], None]) -> None:
        self._connection = connection
        self._on_arrived = on_arrived
        self._bound: set[str] = set()
        self._one_at_a_time = asyncio.Lock()

    async def open(self, patterns: Iterable[str]) -> None:
        """Open the channel (again), with exchange, queue and bindings. Raises `Lost` or `NotAllowed`."""
        settings = self._connection.settings
        arguments: dict[str, Any] = {"x-max-length": settings.queue_length}
        if settings.dead_letter_exchange:
            arguments["x-dead-letter-exchange"] = settings.dead_letter_exchange
        try:
            self._channel = await self._connection.raw.channel(publisher_confirms=False)
            await self._channel.set_qos(prefetch_count=settings.prefetch)
            await self._connection.declare_exchange(self._channel)
            self._queue: AbstractQueue = await self._channel.declare_queue(exclusive=True, arguments=arguments)
            self._bound = set()
            await self.bind(patterns)
            await (await self._channel.get_underlay_channel()).basic_consume(self._queue.name, self._take)
        except _TROUBLES as error:
            raise self._connection.explain(error) from None

    async def bind(self, patterns: Iterable[str], *, again: bool = False) -> None:
        """Have the queue bound by ``patterns`` and no others; ``again`` declares and binds what should be there, too.

        The exchange vanishes, and our bindings with it, when somebody deletes it, and nobody tells us. Raises `Lost`
        or `NotAllowed`.
        """
        wanted, exchange = set(patterns), self._connection.settings.exchange
        try:
            async with self._one_at_a_time:
                if again:
                    await self._connection.declare_exchange(self._channel)
                for pattern in sorted(wanted if again else wanted - self._bound):
                    await self._queue.bind(exchange, pattern)
                    self._bound.add(pattern)
                for pattern in sorted(self._bound - wanted):
                    await self._queue.unbind(exchange, pattern)
                    self._bound.discard(pattern)
        except _TROUBLES as error:
            raise self._connection.explain(error) from None

    async def _take(self, message: DeliveredMessage) -> None:
        arrived = _decode(message)
        if isinstance(arrived, AmqpUnreadable):
            await settle_delivery(_Delivery(message), accept=False)
        self._on_arrived(arrived)


@dataclass(eq=False, slots=True)
class _Delivery:
    """One delivery, and whether the broker was told what became of it."""

    message: DeliveredMessage
    settled: bool = False


async def settle_delivery(delivery: object, *, accept: bool) -> None:
    """Acknowledge or reject (never requeue) what arrived; nothing when that was done, or its connection is gone."""
    if not isinstance(delivery, _Delivery) or delivery.settled:
        return
    delivery.settled = True  # the broker closes the channel on the second time
    channel, tag = delivery.message.channel, delivery.message.delivery_tag or 0
    try:
        if accept:
            await channel.basic_ack(tag, wait=False)
        else:
            await channel.basic_reject(tag, requeue=False, wait=False)
    except _TROUBLES:
        pass  # the queue went with its connection


def prepare_library() -> None:
    """Have aio-pika bear unreadable messages, and log nothing unless it was told a level: our events say it all."""
    ensure_tolerance()
    for name in ("aio_pika", "aiormq"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL + 1)


def explain(error: BaseException, address: str, exchange: str) -> Lost | NotAllowed:
    """Return what ``error``, of aio-pika or the network, means for us."""
    said = str(error.args[-1]) if error.args else ""
    match error:
        case Lost() | NotAllowed():
            return error
        case AuthenticationError() | ProbableAuthenticationError():
            return NotAllowed(describe_login(address))
        case ChannelPreconditionFailed() if f"exchange '{exchange}'" in said:
            return NotAllowed(describe_difference(address, exchange, said))
        case ChannelClosed() | ConnectionClosed():
            refused = said.startswith(("ACCESS_REFUSED", "NOT_ALLOWED", "PRECONDITION_FAILED"))
            return (NotAllowed if refused else Lost)(describe_reply(address, said))
    return Lost(describe_loss(address, error.__cause__ if isinstance(error.__cause__, OSError) else error))


def _choose_heartbeat(heartbeat_s: int) -> int:
    """What to agree on so that silence is noticed within 2 * ``heartbeat_s``.

    aiormq waits 3 * (heartbeat + 1) s, and looks every half a heartbeat.
    """
    return max(1, int((2 * heartbeat_s - 3) / 3.5))


def _encode(properties: Properties) -> Basic.Properties:
    timestamp_s = properties.timestamp_s
    return Basic.Properties(
        content_type=properties.content_type,
        message_id=properties.message_id,
        timestamp=None if timestamp_s is None else datetime.fromtimestamp(int(timestamp_s), UTC),
        headers=dict(properties.headers),  # type: ignore[arg-type]
        delivery_mode=1,  # the state of a moment isn't worth a place on the broker's disk
    )


def _decode(message: DeliveredMessage) -> AmqpArrived | AmqpUnreadable:
    said = message.header.properties
    key, headers = message.routing_key or "", dict(said.headers or {})
    if NO_TEXT in key or UNREADABLE in headers:
        return AmqpUnreadable(key, message.body)
    timestamp_s = said.timestamp.timestamp() if said.timestamp else None
    properties = Properties(said.content_type, timestamp_s, said.message_id, headers)
    return AmqpArrived(key, message.body, properties, _Delivery(message))
