"""The AMQP link against a RabbitMQ in trouble: it mends, nothing old arrives, and the reason is told in words."""

import asyncio
import socket
from pathlib import Path

import aio_pika
import pytest

from samesky.errors import ConfigError
from samesky.link.amqp import AmqpLink
from samesky.link.amqp_message import (
    AmqpArrived,
    AmqpConnected,
    AmqpDisconnected,
    AmqpSent,
    Denied,
    Published,
    Returned,
    Superseded,
    TimedOut,
)
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from samesky.link.tls import TlsSettings
from stands.amqp_ends import on_a_loop, open_links, wait_until
from stands.ports import free_port
from stands.rabbitmq import Exchange, RabbitmqNode

pytestmark = pytest.mark.slow

SYNCAST = Exchange("syncast", "topic", durable=False, auto_delete=True)


@on_a_loop
async def test_nothing_is_lost_when_the_exchange_vanishes(rabbitmq: RabbitmqNode) -> None:
    """It does so whenever the last queue goes."""
    async with open_links(2, rabbitmq.url) as (primary, replica):
        for round_ in range(5):
            await replica.subscribe("#")
            await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 30)
            outcomes = await asyncio.gather(*(primary.publish(f"key{n}", b"%d" % round_) for n in range(20)))
            assert set(outcomes) == {Published()}
            await replica.unsubscribe("#")
            assert rabbitmq.find_exchange("syncast") is None
            assert await primary.publish("nobody", b"1") == Returned()
            assert rabbitmq.find_exchange("syncast") == SYNCAST
        # None was left behind; the broker ends them a moment after it has said so.
        await wait_until(lambda: rabbitmq.evaluate("length(rabbit_channel:list())") == "3", 30, what="three channels")
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
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == ["#"], 30, what="the binding")
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
        await wait_until(lambda: "delete it there" in link.consuming_trouble, 30, what="the consumer's trouble")
        await (await channel.get_exchange("syncast", ensure=False)).delete()
        await wait_until(lambda: link.connected, 30, what="both connections")
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
        link.offer("a", b"1")
        await link.wait_for(AmqpDisconnected)
        untrusted = await link.publish("a", b"1", timeout_s=0.5)
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
        await replica.wait_for(AmqpArrived)
        rabbitmq.close_all_connections("maintenance")
        reason = (await replica.wait_for(AmqpDisconnected)).reason
        assert "maintenance: an operator" in reason
        await replica.wait_for(AmqpConnected, count=2, deadline_s=60)
        assert await primary.publish("a", b"2") == Published()
        await wait_until(lambda: replica.bodies == [b"1", b"2"], 30)


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
        await wait_until(lambda: "is the broker running there?" in primary.publishing_trouble, 30, what="the reason")
        away = await primary.publish("other", b"given up", timeout_s=1)
        assert isinstance(away, TimedOut)
        assert not away.in_doubt
        assert "is the broker running there?" in away.reason
        assert not primary.connected
        await rabbitmq.start_meanwhile()
        await replica.wait_for(AmqpConnected, count=2, deadline_s=60)
        await wait_until(lambda: len(primary.of(AmqpSent)) == 100, 30)
        assert [each.key for each in primary.of(AmqpSent) if each.outcome != Superseded()] == ["key0", "key1"]
        assert await primary.publish("a", b"after") == Published()
        await wait_until(lambda: b"after" in replica.bodies, 30)
        assert set(replica.bodies) <= {b"before", b"98", b"99", b"after"}


@on_a_loop
async def test_who_subscribes_waits_for_a_connection_only_until_it_is_made_or_fails_or_time_is_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"amqp://guest:guest@127.0.0.1:{mute.getsockname()[1]}"
        async with open_links(1, url, connect_timeout_s=60) as (link,):
            await link.subscribe("#", wait_s=0.2)
            assert link.consuming_trouble == ""  # nothing is known yet
    async with open_links(1, "amqp://guest:guest@127.0.0.1:1") as (link,):
        async with asyncio.timeout(60):
            await link.subscribe("#", wait_s=3600)
        assert "refused" in link.consuming_trouble


@on_a_loop
async def test_a_frozen_broker_is_noticed_by_its_silence_and_nothing_is_written_behind_its_back(
    rabbitmq: RabbitmqNode,
) -> None:
    async with open_links(2, rabbitmq.url, heartbeat_s=4) as (primary, replica):
        await replica.subscribe("#")
        await replica.wait_for(AmqpConnected)
        await primary.publish("a", b"before")
        await replica.wait_for(AmqpArrived)
        rabbitmq.freeze()
        primary.offer("a", b"old")
        await wait_until(lambda: not primary.connected and not replica.connected, 60, what="the end of both")
        assert "silent" in replica.consuming_trouble
        primary.offer("a", b"newest")
        rabbitmq.thaw()
        await replica.wait_for(AmqpConnected, count=2, deadline_s=60)
        assert await primary.publish("a", b"after") == Published()
        await wait_until(lambda: b"after" in replica.bodies, 30)
        # What was written before the silence was noticed is in the broker's socket: whether it routes that after its
        # thaw is its own affair, and which queue is bound by then. Nothing is written again by us. The newest is heard
        # when the replica was back before the primary.
        assert replica.bodies.count(b"old") <= 1
        assert set(replica.bodies) - {b"old", b"newest"} == {b"before", b"after"}


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
        await wait_until(lambda: "short of memory" in both_ways.publishing_trouble, 30, what="the reason")
        await both_ways.acknowledge(both_ways.of(AmqpArrived)[0])
        await wait_until(lambda: rabbitmq.count_messages() == 0, 30, what="the acknowledgement under the alarm")
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
        await primary.close(drain_s=30)
        await replica.wait_for(AmqpArrived)
        assert [event.final for event in primary.of(AmqpDisconnected)] == [True]
        await replica.close()
        await wait_until(lambda: rabbitmq.count_connections() == 0, 30)


@on_a_loop
async def test_subscribing_does_not_fail_while_connections_are_cut_again_and_again(rabbitmq: RabbitmqNode) -> None:
    async with open_links(2, rabbitmq.url) as (primary, replica):
        for number in range(20):
            if number % 4 == 3:
                await asyncio.to_thread(rabbitmq.close_all_connections)
            await asyncio.gather(replica.subscribe(f"key.{number}"), primary.publish("key.0", b"1", timeout_s=5))
        wanted = sorted(f"key.{number}" for number in range(20))
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == wanted, 30, what="all the bindings")
        assert await primary.publish("key.19", b"2") == Published()
        await wait_until(lambda: b"2" in replica.bodies, 30)
