"""Blocks over MQTT, with a real mosquitto (blocks/mqtt_carrier.py)."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from samesky.blocks.carriers import Arrival
from samesky.blocks.envelope import Metadata, encode_headers
from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.mqtt_carrier import MqttCarrier
from samesky.blocks.mqtt_presence import GRACE_S
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.errors import Unreachable
from samesky.link.broker import MosquittoBroker
from samesky.link.message import Message
from samesky.link.mqtt import MqttLink, MqttSettings
from stands.amqp_ends import wait_until
from stands.blocks_objects import run
from stands.blocks_service import BlocksInMemory
from stands.push_proxy import PushProxy

pytestmark = pytest.mark.slow

numbers = count()
HEADERS = {"samesky-origin": "a.sensor", "samesky-epoch": "5"}


@pytest.fixture(scope="module")
def broker() -> Iterator[MosquittoBroker]:
    with MosquittoBroker() as broker:
        yield broker


@pytest.fixture
def private(tmp_path: Path) -> Iterator[MosquittoBroker]:
    """A broker that the test may end."""
    with MosquittoBroker(dir=tmp_path / "broker") as broker:
        yield broker


def make_carrier(
    broker: MosquittoBroker | PushProxy, prefix: str = "syncast", *, grace_s: float = GRACE_S
) -> MqttCarrier:
    settings = MqttSettings(f"test-{next(numbers)}", host="127.0.0.1", port=broker.port)
    return MqttCarrier(settings, prefix=prefix, grace_s=grace_s)


@asynccontextmanager
async def connected(
    broker: MosquittoBroker, *, prefix: str = "syncast", hears: bool = True, grace_s: float = GRACE_S
) -> AsyncIterator[tuple[MqttCarrier, list[Arrival]]]:
    """A carrier, and what arrives."""
    carrier, arrivals = make_carrier(broker, prefix, grace_s=grace_s), list[Arrival]()
    carrier.start(arrivals.append)
    if hears:
        await carrier.subscribe("#")
    try:
        await wait_until(lambda: not carrier.trouble, 30, what="the connection")
        yield carrier, arrivals
    finally:
        await carrier.close()


def publish(broker: MosquittoBroker, *messages: Message) -> None:
    """As somebody else would."""
    connections: list[object] = []
    with MqttLink(MqttSettings(f"other-{next(numbers)}", port=broker.port), (), connections.append) as link:
        run(lambda: wait_until(lambda: link.connected, 30, what="the connection"))
        for message in messages:
            assert link.publish(message, timeout_s=30)
        assert link.drain(30)


def test_what_is_published_arrives_with_its_headers_and_is_kept_for_who_comes_later(broker: MosquittoBroker) -> None:
    keys = ["a.sensor", "a.beer sensor/ü", "a.+.%", "*.x"]

    async def test() -> None:
        async with connected(broker, prefix="kept") as (carrier, arrivals):
            for key in keys:
                await carrier.publish(key, b'{"value":1}', HEADERS, timeout_s=30)
            await wait_until(lambda: len(arrivals) == len(keys), 30, what="the messages")
            assert [each.key for each in arrivals] == keys
            assert all((each.body, dict(each.headers)) == (b'{"value":1}', HEADERS) for each in arrivals)
            assert not any(each.retained for each in arrivals)
            arrivals[0].settle(True)
        async with connected(broker, prefix="kept") as (_, later):
            await wait_until(lambda: len(later) == len(keys), 30, what="what was kept")
            assert sorted(each.key for each in later) == sorted(keys)
            assert all(each.retained for each in later)

    run(test)


def test_who_only_publishes_hears_nothing_and_who_ends_all_subscriptions_neither(broker: MosquittoBroker) -> None:
    async def test() -> None:
        async with (
            connected(broker, prefix="quiet", hears=False) as (carrier, nothing),
            connected(broker, prefix="quiet") as (other, arrivals),
        ):
            await carrier.publish("a.b", b"1", {}, timeout_s=30)
            await wait_until(lambda: len(arrivals) == 1, 30, what="the message")
            await other.unsubscribe("#")
            await carrier.publish("a.b", b"2", {}, timeout_s=30)
            assert other.trouble == ""
            await other.subscribe("a.*")
            await wait_until(lambda: len(arrivals) == 2, 30, what="what was kept")
            assert arrivals[1].body == b"2"
            assert nothing == []

    run(test)


def test_what_others_publish_below_the_prefix_disturbs_nobody(broker: MosquittoBroker) -> None:
    async def test() -> None:
        async with connected(broker, prefix="mixed") as (_, arrivals):
            odd = ["mixed/a.b", "mixed/a%41", "mixed", "mixed/cleared"]
            messages = [Message(topic, b"" if topic.endswith("cleared") else b"1") for topic in odd]
            await asyncio.to_thread(publish, broker, *messages, Message("mixed/a/b", b"old peer"))
            await wait_until(lambda: arrivals, 30, what="the good one")
            assert [(each.key, each.body, each.headers) for each in arrivals] == [("a.b", b"old peer", [])]

    run(test)


def test_a_broker_that_is_away_is_told_and_used_again_when_it_is_back(private: MosquittoBroker) -> None:
    async def test() -> None:
        async with connected(private) as (carrier, arrivals):
            await asyncio.to_thread(private.kill)
            await wait_until(lambda: carrier.trouble, 30, what="the trouble")
            with pytest.raises(Unreachable, match="didn't take the message"):
                await carrier.publish("a.b", b"lost", {}, timeout_s=30)
            await asyncio.to_thread(private.start)
            await wait_until(lambda: not carrier.trouble, 30, what="the connections")
            await carrier.publish("a.b", b"new", {}, timeout_s=30)
            await wait_until(lambda: arrivals, 30, what="the message")
            assert [each.body for each in arrivals] == [b"new"]

    run(test)


@pytest.mark.parametrize("ends", [True, False], ids=["killed", "thawed"])
def test_what_a_frozen_broker_has_not_taken_is_given_up(private: MosquittoBroker, ends: bool) -> None:
    """One that dies then never gets it; one that goes on may have it already, and the next comes after it."""

    async def test() -> None:
        async with connected(private) as (carrier, arrivals):
            assert private.pid
            os.kill(private.pid, signal.SIGSTOP)
            tasks = [
                asyncio.create_task(carrier.publish("a.b", body, {}, timeout_s=0.5)) for body in (b"first", b"second")
            ]
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, Unreachable) for each in outcomes)
            if ends:
                await asyncio.to_thread(private.kill)
                await asyncio.to_thread(private.start)
            else:
                os.kill(private.pid, signal.SIGCONT)
            await wait_until(lambda: not carrier.trouble, 30, what="the connections")
            await carrier.publish("a.b", b"new", {}, timeout_s=30)
            await wait_until(lambda: arrivals and arrivals[-1].body == b"new", 30, what="the message")
            bodies = [each.body for each in arrivals]
            assert bodies == [b"new"] if ends else bodies in ([b"new"], [b"first", b"new"])

    run(test)


def test_hundreds_of_blocks_may_be_published_at_once(broker: MosquittoBroker) -> None:
    async def test() -> None:
        async with connected(broker, prefix="many") as (carrier, arrivals):
            await asyncio.gather(*(carrier.publish(f"a.{number}", b"1", {}, timeout_s=30) for number in range(300)))
            await wait_until(lambda: len(arrivals) == 300, 30, what="all of them")

    run(test)


def test_hundreds_that_wait_for_a_broker_that_ends_are_given_up_at_once(private: MosquittoBroker) -> None:
    async def test() -> None:
        async with connected(private, hears=False) as (carrier, _):
            assert private.pid
            os.kill(private.pid, signal.SIGSTOP)
            tasks = [
                asyncio.create_task(carrier.publish(f"a.{number}", b"1", {}, timeout_s=30)) for number in range(100)
            ]
            await asyncio.sleep(0)
            await asyncio.to_thread(private.kill)
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert {type(each) for each in outcomes} == {Unreachable}
            await asyncio.to_thread(private.start)
            await wait_until(lambda: not carrier.trouble, 30, what="the connection")
            await carrier.publish("a.b", b"new", {}, timeout_s=30)

    run(test)


def test_what_the_broker_refuses_is_told_and_nothing_else_suffers(tmp_path: Path) -> None:
    with MosquittoBroker(dir=tmp_path, users={"spark": "secret"}, acl="user spark\ntopic syncast/mine/#\n") as broker:

        async def test() -> None:
            settings = MqttSettings("denied", port=broker.port, username="spark", password="secret")
            carrier = MqttCarrier(settings)
            carrier.start(lambda arrival: None)
            await wait_until(lambda: not carrier.trouble, 30, what="the connection")
            for _ in range(2):
                with pytest.raises(Unreachable, match="refuses what is published on syncast/other/b") as caught:
                    await carrier.publish("other.b", b"1", {}, timeout_s=2)
                assert "rights" in caught.value.hint
                await carrier.publish("mine.b", b"1", {}, timeout_s=30)
                assert carrier.trouble == ""
            await carrier.close()

        run(test)


def test_who_has_died_is_told_with_its_keys_and_who_was_cut_off_for_a_moment_is_not(private: MosquittoBroker) -> None:
    """One is cut off and connects again; one ends as it should; one is cut off for good, and it alone has died."""

    async def test() -> None:
        with PushProxy(private.port) as of_cut, ExitStack() as way_of_dying:
            of_dying = way_of_dying.enter_context(PushProxy(private.port))
            publishers = [make_carrier(each) for each in (of_cut, private, of_dying)]
            async with connected(private) as (_, arrivals):
                for name, carrier in zip(("cut", "ending", "dying"), publishers, strict=True):
                    carrier.start(lambda arrival: None)
                    await wait_until(lambda each=carrier: not each.trouble, 30, what="the connection")
                    for block in ("a", "b"):
                        await carrier.publish(f"{name}.{block}", b"{}", {}, timeout_s=30)
                await wait_until(lambda: len(arrivals) == 6, 30, what="the messages")
                of_cut.cut()
                await publishers[1].close()
                # It may have connected again before anybody looks whether it was cut.
                await wait_until(
                    lambda: of_cut.connections > 1 and not publishers[0].trouble, 30, what="the next connection"
                )
                await asyncio.to_thread(way_of_dying.close)
                await wait_until(lambda: len(arrivals) == 8, 30, what="the death")
                assert sorted(each.key for each in arrivals if each.gone) == ["dying.a", "dying.b"]
            for carrier in publishers:
                await carrier.close()

    run(test)


def test_a_replica_is_stale_as_soon_as_its_primary_has_died(private: MosquittoBroker, tmp_path: Path) -> None:
    """Its interval alone would tell that in three minutes."""
    b = BlocksInMemory(dummy={"value": 0.5})

    async def test() -> None:
        following = make_carrier(private, grace_s=0.2)
        with ExitStack() as way, Registry(tmp_path / "b.sdb") as registry:
            dying = make_carrier(way.enter_context(PushProxy(private.port)))
            dying.start(lambda arrival: None)
            async with Synchronising(registry, objects={"b": b}, carriers={"mqtt": following}) as service:
                await service.add(decode_replica("b", {"id": "dummy", "key": "a.sensor", "link": "mqtt"}))
                await wait_until(lambda: not (dying.trouble or following.trouble), 30, what="the connections")
                metadata = Metadata(origin="a.sensor", epoch=1, sequence=1, interval_s=60.0)
                await dying.publish("a.sensor", b'{"value": 20.5}', encode_headers(metadata), timeout_s=30)
                await wait_until(lambda: b.blocks["dummy"] == {"value": 20.5}, 30, what="the value")
                assert service.status()[1][0].freshness == "fresh"
                await asyncio.to_thread(way.close)
                await wait_until(lambda: service.status()[1][0].freshness == "stale", 30, what="the death")
                assert service.status()[1][0].last_error == "stale: its primary has ended"
            await dying.close()

    run(test)


def test_a_replica_follows_its_primary_over_mqtt(broker: MosquittoBroker, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 20.5}), BlocksInMemory(dummy={"value": 0.5})
    primary = decode_primary("a", {"id": "sensor", "interval": 0.2, "link": "mqtt"})
    replica = decode_replica("b", {"id": "dummy", "key": "a.*", "link": "mqtt"})

    async def test() -> None:
        leading, following = make_carrier(broker, "both"), make_carrier(broker, "both")
        with Registry(tmp_path / "a.sdb") as one, Registry(tmp_path / "b.sdb") as other:
            async with Synchronising(other, objects={"b": b}, carriers={"mqtt": following}) as follower:
                await follower.add(replica)
                async with Synchronising(one, objects={"a": a}, carriers={"mqtt": leading}) as leader:
                    await leader.add(primary)
                    await wait_until(lambda: b.blocks["dummy"] == {"value": 20.5}, 30, what="the first value")
                    a.blocks["sensor"] = {"value": 21.0}
                    await wait_until(lambda: b.blocks["dummy"] == {"value": 21.0}, 30, what="the second value")
                    assert follower.status()[1][0].freshness == "fresh"
                await wait_until(lambda: follower.status()[1][0].freshness == "stale", 30, what="the goodbye")

    run(test)
