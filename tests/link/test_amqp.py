"""The AMQP link against a real RabbitMQ: what is published arrives, what is old doesn't, and connections mend."""

import asyncio
import struct
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any

import aio_pika
import aiormq
import pytest
from aiormq.abc import ChannelFrame

from samesky.errors import ConfigError
from samesky.link.amqp import AmqpLink
from samesky.link.amqp_message import (
    AmqpArrived,
    AmqpConnected,
    AmqpDisconnected,
    AmqpEvent,
    AmqpSent,
    AmqpUnreadable,
    Denied,
    Properties,
    Published,
    Returned,
    Superseded,
    TimedOut,
)
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from samesky.link.tls import TlsSettings
from stands.amqp_ends import open_links, wait_until
from stands.ports import free_port
from stands.rabbitmq import Exchange, RabbitmqNode

pytestmark = pytest.mark.slow

SYNCAST = Exchange("syncast", "topic", durable=False, auto_delete=True)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine."""

    @wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


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
        assert rabbitmq.control("list_queues", "exclusive", "durable").split() == [
            "exclusive",
            "durable",
            "true",
            "false",
        ]


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
        await wait_until(lambda: rabbitmq.count_messages() == 0, 5, what="the broker's forgetting")


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
        message = await anext(aiter(dead.iterator(timeout=5)))
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
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 5)
        await primary.publish("a", b"1")
        await primary.publish("a", b"2")
        await wait_until(lambda: seen == [b"1", b"2"], 5)
        await wait_until(lambda: rabbitmq.count_messages() == 0, 5)
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
        await wait_until(lambda: rabbitmq.count_messages() == 0, 5)
    await other.close()


def encode_hostile(channel: int, *, key: bytes = b"a", timestamp: int = 0, headers: bytes = b"") -> bytes:
    """The frames of a message with the body ``1`` as no library makes them (AMQP 0.9.1, 2.3.5)."""
    publish = struct.pack(">HHH", 60, 40, 0) + b"\7syncast" + bytes([len(key)]) + key + b"\0"
    flags = 1 << 13 | 1 << 6  # headers, timestamp
    content = struct.pack(">HHQHI", 60, 0, 1, flags, len(headers)) + headers + struct.pack(">Q", timestamp)
    frames = [(1, publish), (2, content), (3, b"1")]
    return b"".join(struct.pack(">BHI", kind, channel, len(part)) + part + b"\xce" for kind, part in frames)


@on_a_loop
async def test_nothing_is_lost_when_the_exchange_vanishes(rabbitmq: RabbitmqNode) -> None:
    """It does so whenever the last queue goes."""
    async with open_links(2, rabbitmq.url) as (primary, replica):
        for round_ in range(5):
            await replica.subscribe("#")
            await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 5)
            outcomes = await asyncio.gather(*(primary.publish(f"key{n}", b"%d" % round_) for n in range(20)))
            assert set(outcomes) == {Published()}
            await replica.unsubscribe("#")
            assert rabbitmq.find_exchange("syncast") is None
            assert await primary.publish("nobody", b"1") == Returned()
            assert rabbitmq.find_exchange("syncast") == SYNCAST
        assert int(rabbitmq.evaluate("length(rabbit_channel:list())")) == 3  # none was left behind
        await replica.wait_for(AmqpArrived, count=100)
        assert len(replica.bodies) == 100
        assert not primary.of(AmqpDisconnected)


@on_a_loop
async def test_bindings_come_back_after_somebody_deleted_the_exchange(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url, bind_again_s=0.5) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        rabbitmq.evaluate('rabbit_exchange:delete({resource, <<"/">>, exchange, <<"syncast">>}, false, <<"test">>)')
        assert await primary.publish("a", b"1") == Returned()
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 10, what="the binding")
        assert await primary.publish("a", b"2") == Published()
        assert not replica.of(AmqpDisconnected)


@on_a_loop
async def test_a_queue_that_was_deleted_is_made_again(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url, bind_again_s=0.5) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        rabbitmq.evaluate('[rabbit_amqqueue:delete(Q, false, false, <<"test">>) || Q <- rabbit_amqqueue:list()]')
        await replica.wait_for(AmqpConnected, count=2)
        assert await primary.publish("a", b"2") == Published()


@on_a_loop
async def test_an_exchange_that_was_declared_otherwise_is_told_in_words_and_taken_when_it_is_gone(
    rabbitmq: RabbitmqNode,
) -> None:
    other = await aio_pika.connect(rabbitmq.url)
    channel = await other.channel()
    await channel.declare_exchange("syncast", "topic", durable=True)
    async with open_links(1, rabbitmq.url) as (link,):
        await link.subscribe("#")
        denied = await link.publish("a", b"1")
        assert isinstance(denied, Denied)
        assert "declared the exchange syncast" in denied.reason
        assert "durable=false, auto_delete=true" in denied.reason
        await link.wait_for(AmqpDisconnected, count=2)
        assert "delete it there" in link.consuming_trouble
        await (await channel.get_exchange("syncast", ensure=False)).delete()
        await link.wait_for(AmqpConnected, count=2)
        assert (link.publishing_trouble, link.consuming_trouble) == ("", "")
        assert await link.publish("a", b"2") == Published()
    await other.close()


@on_a_loop
async def test_what_the_broker_forbids_is_told_with_what_to_do_and_without_the_password(
    rabbitmq: RabbitmqNode, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = f"amqp://guest:hush@127.0.0.1:{rabbitmq.port}"
    nowhere = f"amqp://guest:guest@127.0.0.1:{rabbitmq.port}/nowhere"
    for url, expected in ((wrong, "refused the user or password"), (nowhere, "has no virtual host nowhere")):
        async with open_links(1, url) as (link,):
            denied = await link.publish("a", b"1")
            assert isinstance(denied, Denied)
            assert expected in denied.reason
    assert "hush" not in caplog.text


@on_a_loop
async def test_a_user_who_may_publish_on_the_exchange_alone_can(rabbitmq: RabbitmqNode) -> None:
    rabbitmq.evaluate('rabbit_auth_backend_internal:add_user(<<"spark">>, <<"hush">>, <<"test">>)')
    rights = '<<"spark">>, <<"/">>, <<"^(syncast|amq.gen.*)$">>, <<"^(syncast|amq.gen.*)$">>, <<".*">>, <<"test">>'
    rabbitmq.evaluate(f"rabbit_auth_backend_internal:set_permissions({rights})")
    async with open_links(2, f"amqp://spark:hush@127.0.0.1:{rabbitmq.port}") as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        assert [await primary.publish("a", b"1"), await primary.publish("a", b"2")] == [Published()] * 2
    async with open_links(1, f"amqp://spark:hush@127.0.0.1:{rabbitmq.port}", exchange="other") as (link,):
        denied = await link.publish("a", b"1")
        assert isinstance(denied, Denied)
        assert "set_permissions" in denied.reason


@on_a_loop
async def test_tls_is_verified_and_several_nodes_are_tried_in_turn(rabbitmq: RabbitmqNode, certificates: Path) -> None:
    port = await asyncio.to_thread(rabbitmq.listen_tls, certificates)
    dead = f"amqps://guest:guest@localhost:{free_port()}"
    urls = (dead, f"amqps://guest:guest@localhost:{port}")
    async with open_links(1, *urls, tls=TlsSettings(ca_file=str(certificates / "ca.pem"))) as (link,):
        assert await link.publish("a", b"1") == Returned()
        assert link.of(AmqpDisconnected)
    async with open_links(1, urls[1]) as (link,):
        untrusted = await link.publish("a", b"1", timeout_s=2)
        assert isinstance(untrusted, TimedOut)
        assert "isn't trusted" in untrusted.reason
    with pytest.raises(ConfigError, match="ca_file"):
        AmqpLink(AmqpSettings(urls=(read_amqp_url(dead),), tls=TlsSettings(ca_file="/no/such.pem")), print)


@on_a_loop
async def test_connections_that_were_closed_by_force_are_back_at_once(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        await primary.publish("a", b"1")
        rabbitmq.close_all_connections("maintenance")
        reason = (await replica.wait_for(AmqpDisconnected)).reason
        assert "maintenance: an operator" in reason
        await replica.wait_for(AmqpConnected, count=2, deadline_s=3)
        assert await primary.publish("a", b"2") == Published()
        await wait_until(lambda: replica.bodies == [b"1", b"2"], 3)


@on_a_loop
async def test_a_killed_broker_is_found_again_and_gets_the_newest_of_each_key(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await replica.subscribe("#")
        assert await primary.publish("a", b"before") in (Published(), Returned())
        await replica.wait_for(AmqpConnected)
        await asyncio.to_thread(rabbitmq.kill)
        assert "was cut" in (await primary.wait_for(AmqpDisconnected)).reason
        for number in range(100):
            primary.offer(f"key{number % 2}", b"%d" % number)
        away = await primary.publish("other", b"given up", timeout_s=1)
        assert isinstance(away, TimedOut)
        assert not away.in_doubt
        assert "is the broker running there?" in away.reason
        assert not primary.connected
        await rabbitmq.start_meanwhile()
        await replica.wait_for(AmqpConnected, count=2, deadline_s=5)
        await wait_until(lambda: len(primary.of(AmqpSent)) == 100, 5)
        assert [each.key for each in primary.of(AmqpSent) if each.outcome != Superseded()] == ["key0", "key1"]
        assert await primary.publish("a", b"after") == Published()
        await wait_until(lambda: b"after" in replica.bodies, 3)
        assert set(replica.bodies) <= {b"before", b"98", b"99", b"after"}


@on_a_loop
async def test_a_frozen_broker_is_noticed_within_two_heartbeats_and_holds_back_nothing_old(
    rabbitmq: RabbitmqNode,
) -> None:
    loop = asyncio.get_running_loop()
    async with open_links(2, rabbitmq.url, heartbeat_s=4) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        await primary.publish("a", b"before")
        await replica.wait_for(AmqpArrived)
        rabbitmq.freeze()
        began = loop.time()
        primary.offer("a", b"old")
        await wait_until(lambda: not primary.connected and not replica.connected, 10)
        assert loop.time() - began <= 2 * 4
        assert "silent" in replica.consuming_trouble
        primary.offer("a", b"newest")
        rabbitmq.thaw()
        await replica.wait_for(AmqpConnected, count=2, deadline_s=8)
        assert await primary.publish("a", b"after") == Published()
        await wait_until(lambda: b"after" in replica.bodies, 5)
        assert b"old" not in replica.bodies


@on_a_loop
async def test_a_broker_short_of_memory_keeps_nothing_old_and_stops_no_consumer(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, both_ways):
        both_ways.acknowledging = False
        await both_ways.subscribe("#")
        await both_ways.wait_for(AmqpConnected)
        await both_ways.publish("b", b"before")
        await both_ways.wait_for(AmqpArrived)
        await asyncio.to_thread(rabbitmq.raise_memory_alarm)
        stalled = await asyncio.gather(*(link.publish("a", b"old", timeout_s=1.5) for link in (primary, both_ways)))
        assert [isinstance(each, TimedOut) and each.in_doubt for each in stalled] == [False, False]
        assert "short of memory" in both_ways.publishing_trouble
        await both_ways.acknowledge(both_ways.of(AmqpArrived)[0])
        await wait_until(lambda: rabbitmq.count_messages() == 0, 5, what="the acknowledgement under the alarm")
        primary.offer("a", b"older")
        primary.offer("a", b"newest")
        await asyncio.to_thread(rabbitmq.clear_memory_alarm)
        await both_ways.wait_for(AmqpArrived, count=2)
        assert await both_ways.publish("a", b"after") == Published()
        await both_ways.wait_for(AmqpArrived, count=3)
        assert both_ways.bodies == [b"before", b"newest", b"after"]


@on_a_loop
async def test_a_link_that_is_closed_lets_out_what_waits_if_it_may_and_tells_that_it_ended(
    rabbitmq: RabbitmqNode,
) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        primary.offer("goodbye", b"1")
        await primary.close(drain_s=5)
        await replica.wait_for(AmqpArrived)
        assert [event.final for event in primary.of(AmqpDisconnected)] == [True]
        await replica.close()
        await wait_until(lambda: rabbitmq.count_connections() == 0, 5)


@on_a_loop
async def test_subscribing_does_not_fail_while_connections_are_cut_again_and_again(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        for number in range(20):
            if number % 4 == 3:
                await asyncio.to_thread(rabbitmq.close_all_connections)
            await asyncio.gather(replica.subscribe(f"key.{number}"), primary.publish("key.0", b"1", timeout_s=5))
        wanted = sorted(f"key.{number}" for number in range(20))
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == wanted, 10, what="all the bindings")
        assert await primary.publish("key.19", b"2") == Published()
        await wait_until(lambda: b"2" in replica.bodies, 5)
