"""A service of the old kind, written from seed 004 alone: it knows nothing of headers, and shares nothing with ours.

The body is the block's data and the message has no properties; the exchange is declared before every publish; a queue
is exclusive, and nothing is acknowledged.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Self

import aiormq
from aiormq.abc import DeliveredMessage


class OldPeer:
    """The blocks of an old service ``name`` at the broker at ``url``. Used with ``async with``, on one event loop.

    Whatever it hears is in ``heard`` as bytes; how often a declaration of it was refused is in ``refusals``.
    """

    def __init__(self, url: str, name: str, *, exchange: str = "syncast", **blocks: dict[str, Any]) -> None:
        self.blocks = blocks
        self.heard: list[bytes] = []
        self.refusals = 0
        self._url, self._name, self._exchange = url, name, exchange
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = False

    async def __aenter__(self) -> Self:
        self._connection = await aiormq.connect(self._url)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._leaving = True  # a cancellation can be lost in the AMQP library (before Python 3.12)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._connection.close()

    def lead(self, id: str, *, interval_s: float) -> str:
        """POST /remote/master: broadcast the block ``id`` from now on; returns the key."""
        self._tasks.append(asyncio.create_task(self._broadcast(id, interval_s)))
        return f"{self._name}.{id}"

    async def follow(self, id: str, *, key: str, translations: Mapping[str, str] | None = None) -> None:
        """POST /remote/slave: write what comes under ``key`` to the block ``id``, translated."""
        channel = await self._connection.channel()
        await self._declare(channel)
        queue = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(queue, self._exchange, key)

        async def take(message: DeliveredMessage) -> None:
            self.heard.append(message.body)
            self.blocks[id] = translate(json.loads(message.body), self.blocks[id], translations or {})

        await channel.basic_consume(queue, take)

    async def publish(self, key: str, body: bytes) -> None:
        """Say ``body`` under ``key`` once, as `lead` does each time."""
        channel = await self._connection.channel(publisher_confirms=False)
        try:
            await self._declare(channel)
            await channel.basic_publish(body, exchange=self._exchange, routing_key=key)
        finally:
            await channel.close()

    async def _broadcast(self, id: str, interval_s: float) -> None:
        while not self._leaving:
            try:
                await self.publish(f"{self._name}.{id}", json.dumps(self.blocks[id]).encode())
            except aiormq.exceptions.ChannelPreconditionFailed:
                self.refusals += 1
            await asyncio.sleep(interval_s)

    async def _declare(self, channel: Any) -> None:
        await channel.exchange_declare(exchange=self._exchange, exchange_type="topic", durable=False, auto_delete=True)


def translate(incoming: Any, own: Any, translations: Mapping[str, str]) -> Any:
    """What the old service writes: ``incoming``, or ``own`` with the values at the table's paths merged in."""
    if not translations:
        return incoming
    merged = json.loads(json.dumps(own))
    for source, target in translations.items():
        value = incoming
        for name in source.split("/"):
            value = value[name]
        *parents, last = target.split("/")
        node = merged
        for name in parents:
            node = node.setdefault(name, {})
        node[last] = value
    return merged
