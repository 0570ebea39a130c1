"""The AMQP link against a real RabbitMQ: what is published arrives, once; what is no good is rejected."""

import asyncio
import struct

import aio_pika
import aiormq
import pytest
from aiormq.abc import ChannelFrame

from samesky.link.amqp import AmqpLink
from samesky.link.amqp_message import (
    AmqpArrived,
    AmqpConnected,
    AmqpDisconnected,
    AmqpEvent,
    AmqpUnreadable,
    Properties,
    Published,
    Returned,
)
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from stands.amqp_ends import on_a_loop, open_links, wait_until
from stands.rabbitmq import Exchange, RabbitmqNode

pytestmark = pytest.mark.slow

SYNCAST = Exchange("syncast", "topic", durable=False, auto_delete=True)


@on_a_loop
async def test_what_is_published_arrives_with_its_key_and_properties(rabbitmq: RabbitmqNode) -> None:
    properties = Properties("application/json", 1_800_000_000.0, "m1", {"sequence": 7, "origin": "ä", "live": True})
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await replica.subscribe("spark.*")
        await replica.wait_for(AmqpConnected)
        assert await primary.publish("spark.sensor", b'{"value": 1}', properties=properties) == Published()
        arrived = await replica.wait_for(AmqpArrived)
        assert (arrived.key, arrived.body, arrived.properties) == ("spark.sensor", b'{"value": 1}', properties)
        assert primary.connected
        assert replica.connected


@on_a_loop
async def test_the_exchange_is_the_one_that_every_peer_declares(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await primary.publish("a.b", b"1")
        assert rabbitmq.list_exchanges() == [SYNCAST]
        await replica.subscribe("a.b")
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        assert rabbitmq.list_exchanges() == [SYNCAST]
        assert rabbitmq.list_bindings("syncast") == ["#", "a.b"]
        # In a thread: a program that takes its time would have the broker miss our heartbeats.
        told = await asyncio.to_thread(rabbitmq.control, "list_queues", "exclusive", "durable")
        assert told.split() == ["exclusive", "durable", "true", "false"]


@on_a_loop
async def test_a_message_that_nobody_hears_is_returned_and_that_is_no_fault(rabbitmq: RabbitmqNode) -> None:
    async with open_links(1, rabbitmq.url) as (primary,):
        assert await primary.publish("a.b", b"1") == Returned()
        assert primary.publishing_trouble == ""


@on_a_loop
async def test_a_message_comes_once_however_many_patterns_match_it(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        for pattern in ("a.b", "a.*", "#"):
            await replica.subscribe(pattern)
        await replica.wait_for(AmqpConnected)
        await primary.publish("a.b", b"1")
        await primary.publish("a.b", b"2")
        await replica.wait_for(AmqpArrived, count=2)
        assert replica.bodies == [b"1", b"2"]


@on_a_loop
async def test_patterns_come_and_go_while_connected(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await replica.subscribe("stays")
        await replica.wait_for(AmqpConnected)
        await replica.subscribe("goes")
        assert await primary.publish("goes", b"1") == Published()
        await replica.unsubscribe("goes")
        assert await primary.publish("goes", b"2") == Returned()
        assert await primary.publish("stays", b"3") == Published()
        await replica.wait_for(AmqpArrived, count=2)
        assert replica.bodies == [b"1", b"3"]


@on_a_loop
async def test_what_is_acknowledged_is_forgotten_and_what_is_not_comes_no_faster_than_allowed(
    rabbitmq: RabbitmqNode,
) -> None:
    async with open_links(2, rabbitmq.url, prefetch=2) as (primary, replica):
        replica.acknowledging = False
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        for number in range(3):
            await primary.publish(f"key{number}", b"1")
        await replica.wait_for(AmqpArrived, count=2)
        assert rabbitmq.count_messages() == 3
        assert len(replica.bodies) == 2
        for arrived in replica.of(AmqpArrived) * 2:  # twice does no harm
            await replica.acknowledge(arrived)
        await replica.acknowledge(await replica.wait_for(AmqpArrived, count=3))
        await wait_until(lambda: rabbitmq.count_messages() == 0, 30, what="the broker's forgetting")


@on_a_loop
async def test_what_is_rejected_goes_to_the_dead_letters(rabbitmq: RabbitmqNode) -> None:
    dead_connection = await aio_pika.connect(rabbitmq.url)
    channel = await dead_connection.channel()
    dead = await channel.declare_queue(exclusive=True)
    await dead.bind(await channel.declare_exchange("dead", "fanout", auto_delete=True))
    async with open_links(2, rabbitmq.url, dead_letter_exchange="dead") as (primary, replica):
        replica.acknowledging = False
        await replica.subscribe("a.b")
        await replica.wait_for(AmqpConnected)
        await primary.publish("a.b", b"no good")
        await replica.reject(await replica.wait_for(AmqpArrived))
        message = await anext(aiter(dead.iterator(timeout=30)))
        assert (message.body, message.headers["x-first-death-reason"]) == (b"no good", "rejected")
    await dead_connection.close()


@on_a_loop
async def test_a_message_that_the_application_fails_on_is_rejected_and_the_next_one_comes(
    rabbitmq: RabbitmqNode, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[bytes] = []

    def fail(event: AmqpEvent) -> None:
        if isinstance(event, AmqpArrived):
            seen.append(event.body)
            raise ZeroDivisionError

    settings = AmqpSettings(urls=(read_amqp_url(rabbitmq.url),), prefetch=1)
    async with AmqpLink(settings, fail) as replica, open_links(1, rabbitmq.url) as (primary,):
        await replica.subscribe("#")
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 30)
        await primary.publish("a", b"1")
        await primary.publish("a", b"2")
        await wait_until(lambda: seen == [b"1", b"2"], 30)
        await wait_until(lambda: rabbitmq.count_messages() == 0, 30)
    assert caplog.text.count("amqp_event_failed event=AmqpArrived") == 1


ODD_HEADERS = b"\4textx\0\0\0\1\xff" + b"\4noneV" + b"\5tableF\0\0\0\4\1at\1" + b"\4listA\0\0\0\2b\x80"
BAD_MESSAGES = {
    "microseconds": {"timestamp": 1_800_000_000_000_000},
    "a timestamp of 64 bits": {"timestamp": (1 << 64) - 1},
    "a header whose name is no text": {"headers": b"\1\xffV"},
    "a key that is no text": {"key": b"a\xff"},
}


@on_a_loop
async def test_messages_that_no_library_makes_are_rejected_and_the_next_good_one_comes(rabbitmq: RabbitmqNode) -> None:
    """A peer may write milliseconds where seconds are due (pamqp bears that), or worse."""
    other = await aiormq.connect(rabbitmq.url)
    channel = await other.channel()
    async with open_links(1, rabbitmq.url) as (replica,):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        for parts in (*BAD_MESSAGES.values(), {"headers": ODD_HEADERS}, {"timestamp": 1_800_000_000_000}):
            await other.write_queue.put(ChannelFrame(encode_hostile(channel.number, **parts), should_close=False))
        odd, late = await replica.wait_for(AmqpArrived), await replica.wait_for(AmqpArrived, count=2)
        assert odd.properties.headers == {"text": b"\xff", "none": None, "table": {"a": True}, "list": [-128]}
        assert late.properties.timestamp_s == 1_800_000_000
        assert [each.body for each in replica.of(AmqpUnreadable)] == [b"1"] * len(BAD_MESSAGES)
        assert not replica.of(AmqpDisconnected)
        await wait_until(lambda: rabbitmq.count_messages() == 0, 30)
    await other.close()


def encode_hostile(channel: int, *, key: bytes = b"a", timestamp: int = 0, headers: bytes = b"") -> bytes:
    """The frames of a message with the body ``1`` as no library makes them (AMQP 0.9.1, 2.3.5)."""
    publish = struct.pack(">HHH", 60, 40, 0) + b"\7syncast" + bytes([len(key)]) + key + b"\0"
    flags = 1 << 13 | 1 << 6  # headers, timestamp
    content = struct.pack(">HHQHI", 60, 0, 1, flags, len(headers)) + headers + struct.pack(">Q", timestamp)
    frames = [(1, publish), (2, content), (3, b"1")]
    return b"".join(struct.pack(">BHI", kind, channel, len(part)) + part + b"\xce" for kind, part in frames)
