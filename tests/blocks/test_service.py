"""Links that run, over a real RabbitMQ (blocks/service.py, following.py, broadcasting.py, carriers.py)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks import service as service_module
from samesky.blocks.carriers import AmqpCarrier, CarrierLink
from samesky.blocks.links import Carrier, decode_primary, decode_replica
from samesky.blocks.objects import NoSuchBlock
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.blocks.translate import HeldBack
from samesky.core.strict import Reason, Refused
from samesky.link.amqp_message import AmqpArrived, AmqpConnected
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from stands.amqp_ends import open_links, wait_until
from stands.blocks_old_peer import OldPeer
from stands.blocks_service import BlocksInMemory, on_a_loop, running_service
from stands.rabbitmq import RabbitmqNode

pytestmark = pytest.mark.slow

KEY = "a.sensor"
SENSOR = decode_primary("a", {"id": "sensor", "interval": 0.2})
DUMMY = decode_replica("b", {"id": "dummy", "key": KEY})


@on_a_loop
async def test_a_replica_follows_its_primary_through_the_broker(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 20.5}), BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        assert await service.add(SENSOR)
        assert await service.add(DUMMY)
        assert not await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 20.5}, 30, what="the first value")
        a.blocks["sensor"] = {"value": 21.0}
        await wait_until(lambda: b.blocks["dummy"] == {"value": 21.0}, 30, what="the second value")

        def is_well() -> bool:
            (primary,), (replica,) = service.status()
            return (primary.health, replica.health, replica.freshness) == ("ok", "ok", "fresh")

        await wait_until(is_well, 30, what="health", explain=lambda: str(service.status()))
        await wait_until(lambda: service.troubles() == {}, 30, what="no trouble")
    assert len(b.written) == 2


@on_a_loop
async def test_the_body_is_the_data_alone_and_all_else_stands_beside_it(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    began = int(time.time())
    async with (
        open_links(1, rabbitmq.url) as (anybody,),
        running_service(tmp_path, rabbitmq.url, a=BlocksInMemory(sensor={"value": 20.5})) as service,
    ):
        await anybody.subscribe(KEY)
        await anybody.wait_for(AmqpConnected)
        await service.add(SENSOR)
        await anybody.wait_for(AmqpArrived, count=2)
        first, second = anybody.of(AmqpArrived)[:2]
    assert (first.key, first.body) == (KEY, b'{"value":20.5}')
    said = first.properties
    assert said.content_type == "application/json"
    assert began <= (said.timestamp_s or 0) <= time.time()
    assert said.headers["samesky-origin"] == KEY
    assert said.message_id == f"{said.headers['samesky-epoch']}-{said.headers['samesky-sequence']}"
    assert second.properties.message_id != said.message_id


@on_a_loop
async def test_links_run_again_after_a_restart(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 20.5}), BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
    a.blocks["sensor"] = {"value": 30.0}
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b):
        await wait_until(lambda: b.blocks["dummy"] == {"value": 30.0}, 30, what="the value")


@on_a_loop
async def test_a_replica_hears_the_first_broadcast_of_a_primary_that_is_added_after_it(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    a, b = BlocksInMemory(other={"value": 1.0}, sensor={"value": 20.5}), BlocksInMemory(dummy={"value": 0.5})
    with pytest.MonkeyPatch.context() as patch:
        async with (
            running_service(tmp_path / "a", rabbitmq.url, a=a) as leader,
            running_service(tmp_path / "b", rabbitmq.url, b=b) as follower,
        ):
            await leader.add(decode_primary("a", {"id": "other", "interval": 0.2}))
            await wait_until(lambda: leader.status()[0][0].published > 0, 30, what="a connection to broadcast on")
            patch.setattr(service_module, "HEARD_WITHIN_S", 60.0)  # a busy machine may need seconds to connect
            await follower.add(DUMMY)
            await leader.add(decode_primary("a", {"id": "sensor", "interval": 3600}))
            await wait_until(lambda: b.blocks["dummy"] == {"value": 20.5}, 30, what="the value")


@on_a_loop
async def test_a_goodbye_is_heard_by_other_services(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    b = BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path / "b", rabbitmq.url, b=b) as follower:
        await follower.add(DUMMY)
        async with running_service(tmp_path / "a", rabbitmq.url, a=BlocksInMemory(sensor={"value": 20.5})) as leader:
            await leader.add(SENSOR)
            await wait_until(lambda: follower.status()[1][0].freshness == "fresh", 30, what="the value")
        await wait_until(lambda: follower.status()[1][0].freshness == "stale", 30, what="the goodbye")
    assert b.blocks["dummy"] == {"value": 20.5}


@on_a_loop
async def test_a_primary_that_is_registered_anew_says_no_goodbye(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """Else its replicas would write their fallbacks, though the next value comes in a moment."""
    a, b = BlocksInMemory(sensor={"value": 20.5}), BlocksInMemory(dummy={"value": 0.5})
    followed = {"id": "dummy", "key": "a.sensor", "fallback": {"value": 5.0}}
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(decode_replica("b", followed))
        for number in range(1, 6):
            a.blocks["sensor"] = {"value": 20.0 + number}
            await service.add(decode_primary("a", {"id": "sensor", "interval": 0.2 + number / 10}))
            await wait_until(lambda value=20.0 + number: b.blocks["dummy"] == {"value": value}, 30, what="the value")
        assert b.values_of("dummy") == [21.0, 22.0, 23.0, 24.0, 25.0]
        assert "goodbye" not in service.status()[1][0].dropped
        await service.remove(decode_primary("a", {"id": "sensor", "interval": 1}))
        await wait_until(lambda: b.blocks["dummy"] == {"value": 5.0}, 30, what="the goodbye")


@on_a_loop
async def test_a_controller_that_does_not_answer_delays_no_other(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b, c = (
        BlocksInMemory(sensor={"value": 20.5}),
        BlocksInMemory(dummy={"value": 0.5}),
        BlocksInMemory(dummy={"value": 0.5}),
    )
    b.answers.clear()
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b, c=c) as service:
        for link in (SENSOR, DUMMY, decode_replica("c", {"id": "dummy", "key": KEY})):
            await service.add(link)
        for value in (1.0, 2.0, 3.0):
            a.blocks["sensor"] = {"value": value}
            await wait_until(lambda value=value: c.blocks["dummy"] == {"value": value}, 30, what=f"{value}")  # type: ignore[misc]
        b.answers.set()
        await wait_until(lambda: b.blocks["dummy"] == {"value": 3.0}, 30, what="the newest value")
        assert [data["value"] for _, data in b.written if data["value"] in (1.0, 2.0)] == []


@on_a_loop
async def test_a_controller_that_was_away_gets_the_newest_value(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5})
    b.is_away = True
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: service.status()[1][0].last_error != "", 30, what="the trouble")
        assert service.status()[1][0].last_error == "the controller is away"
        a.blocks["sensor"] = {"value": 2.0}
        b.is_away = False
        await wait_until(lambda: b.blocks["dummy"] == {"value": 2.0}, 30, what="the value")
        await wait_until(lambda: service.status()[1][0].health == "ok", 30, what="health")


@on_a_loop
async def test_a_broker_that_is_killed_delays_the_right_value_and_no_more(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, 30, what="the first value")
        rabbitmq.kill()
        a.blocks["sensor"] = {"value": 2.0}
        await wait_until(lambda: bool(service.troubles()), 30, what="the trouble")
        a.blocks["sensor"] = {"value": 3.0}
        await rabbitmq.start_meanwhile()
        await wait_until(lambda: b.blocks["dummy"] == {"value": 3.0}, 30, what="the value after the broker's return")
    assert [data["value"] for _, data in b.written] == [1.0, 3.0]


@on_a_loop
async def test_what_is_no_message_is_counted_and_settled(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    b = BlocksInMemory(dummy={"value": 0.5})
    carrier = AmqpCarrier(AmqpSettings(urls=(read_amqp_url(rabbitmq.url),)))
    async with running_service(tmp_path, rabbitmq.url, b=b) as service:
        await service.add(DUMMY)
        carrier.start(lambda _: None)
        await wait_until(lambda: rabbitmq.list_bindings("syncast") == [KEY], 30, what="the binding")
        await carrier.publish(KEY, b"no JSON", {}, timeout_s=30)
        await carrier.publish(KEY, b'{"value": 7}', {}, timeout_s=30)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 7}, 30, what="the good message")
        assert service.status()[1][0].dropped == {"json": 1}
        await carrier.close()


@on_a_loop
async def test_a_link_that_was_removed_does_nothing_more(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, 30, what="the value")
        assert await service.remove(DUMMY)
        assert await service.remove(SENSOR)
        assert not await service.remove(SENSOR)
        assert service.status() == ([], [])
        assert (service.primaries(), service.replicas()) == ([], [])


@on_a_loop
async def test_a_primary_that_is_registered_anew_is_followed_from_its_first_message(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: service.status()[0][0].published > 5, 30, what="some messages")
        assert await service.add(decode_primary("a", {"id": "sensor", "interval": 0.25}))
        a.blocks["sensor"] = {"value": 2.0}
        await wait_until(lambda: b.blocks["dummy"] == {"value": 2.0}, 30, what="the value")
        assert "older" not in service.status()[1][0].dropped


@on_a_loop
async def test_one_link_runs_though_many_register_it_at_once(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    async with running_service(tmp_path, rabbitmq.url, a=BlocksInMemory(sensor={"value": 1.0})) as service:
        await service.add(SENSOR)
        await wait_until(lambda: service.status()[0][0].published > 0, 30, what="a message")
        links = [decode_primary("a", {"id": "sensor", "interval": 10 + number}) for number in range(5)]
        await asyncio.gather(*(service.add(link) for link in links))
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count(f"samesky-blocks-{KEY}") == 1


@on_a_loop
async def test_what_may_be_written_no_more_is_not_written_after_a_restart(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    a = BlocksInMemory(sensor={"value": 20.5})
    b = BlocksInMemory(dummy={"value": 0.5}, heater={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        for link in (SENSOR, DUMMY, decode_replica("b", {"id": "heater", "key": KEY})):
            await service.add(link)
        await wait_until(lambda: b.blocks["heater"] == {"value": 20.5}, 20, what="the value")
    a.blocks["sensor"] = {"value": 30.0}
    dummies = {"may_write": lambda _, id: id == "dummy"}
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b, **dummies) as service:
        await wait_until(lambda: b.blocks["dummy"] == {"value": 30.0}, 20, what="the value of the other")
        await wait_until(lambda: service.status()[1][0].received >= 4, 20, what="messages")
        assert [each.id for each in service.status()[1]] == ["dummy"]
        assert {each.id for each in service.replicas()} == {"dummy", "heater"}
    assert b.values_of("heater") == [20.5]


@on_a_loop
async def test_what_may_not_be_is_refused_when_it_is_registered(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    def may_write(service: str, id: str) -> bool:
        return id == "dummy"

    def reason(refusal: Any) -> Reason:
        found: Reason = refusal.value.reason
        return found

    async with running_service(
        tmp_path, rabbitmq.url, may_write=may_write, a=BlocksInMemory(), b=BlocksInMemory()
    ) as service:
        for link, wanted in (
            (decode_primary("c", {"id": "x", "interval": 1}), Reason.NOT_FOUND),
            (decode_primary("a", {"id": "x", "interval": 1, "link": "mqtt"}), Reason.NOT_FOUND),
            (decode_replica("b", {"id": "heater", "key": KEY}), Reason.SCOPE),
            (decode_replica("a", {"id": "dummy", "key": "a.#"}), None),
        ):
            if wanted is None:
                await service.add(link)
                continue
            with pytest.raises(Refused) as refusal:
                await service.add(link)
            assert reason(refusal) is wanted
        with pytest.raises(Refused) as refusal:
            await service.add(decode_primary("a", {"id": "dummy", "interval": 1}))
        assert reason(refusal) is Reason.CONFLICT


@on_a_loop
async def test_a_preview_shows_what_would_be_written(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5}, other={"x": 9})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        link = decode_replica("b", {"id": "other", "key": KEY, "translations": {"value": "x"}})
        block, after = await service.preview(link)
        assert (block.data, after) == ({"x": 9}, None)
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, 30, what="the value")
        assert (await service.preview(link))[1] == {"x": 1.0}
        blocked = decode_replica("b", {"id": "other", "key": KEY, "translations": {"value": "x/y"}})
        assert isinstance((await service.preview(blocked))[1], HeldBack)
        with pytest.raises(NoSuchBlock):
            await service.preview(decode_replica("b", {"id": "nobody", "key": KEY}))
        await service.remove(DUMMY)
        assert (await service.preview(link))[1] is None
        assert (await service.preview(link, wait_s=20))[1] == {"x": 1.0}  # though nobody listens otherwise
    assert b.blocks["other"] == {"x": 9}


@on_a_loop
async def test_many_links_share_one_broker(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    count = 60
    a = BlocksInMemory(**{f"s{number}": {"value": float(number)} for number in range(count)})
    b = BlocksInMemory(**{f"d{number}": {"value": -1.0} for number in range(count)})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        for number in range(count):
            await service.add(decode_primary("a", {"id": f"s{number}", "interval": 0.5}))
            await service.add(decode_replica("b", {"id": f"d{number}", "key": f"a.s{number}"}))
        await wait_until(
            lambda: all(b.blocks[f"d{n}"] == a.blocks[f"s{n}"] for n in range(count)), 30, what="all values"
        )
        for number in range(count):
            a.blocks[f"s{number}"] = {"value": number + 100.0}
        await wait_until(
            lambda: all(b.blocks[f"d{n}"] == a.blocks[f"s{n}"] for n in range(count)), 30, what="new values"
        )


@on_a_loop
async def test_a_replica_hears_its_own_carrier_alone(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """Two exchanges stand for AMQP and MQTT, on which one key may be of two things."""

    def make_carrier(exchange: str) -> AmqpCarrier:
        return AmqpCarrier(AmqpSettings(urls=(read_amqp_url(rabbitmq.url),), exchange=exchange))

    b = BlocksInMemory(dummy={"value": 0}, other={"value": 0})
    carriers: dict[Carrier, CarrierLink] = {"amqp": make_carrier("syncast"), "mqtt": make_carrier("second")}
    with Registry(tmp_path / "links.sdb") as registry:
        async with Synchronising(registry, objects={"b": b}, carriers=carriers) as service:
            await service.add(DUMMY)
            await service.add(decode_replica("b", {"id": "other", "key": KEY, "link": "mqtt"}))
            async with (
                OldPeer(rabbitmq.url, "a", sensor={"value": 1}) as one,
                OldPeer(rabbitmq.url, "a", exchange="second", sensor={"value": 2}) as other,
            ):
                one.lead("sensor", interval_s=0.1)
                other.lead("sensor", interval_s=0.1)
                await wait_until(lambda: min(each.received for each in service.status()[1]) > 3, 30)
    assert (b.values_of("dummy"), b.values_of("other")) == ([1], [2])


@on_a_loop
async def test_a_link_that_is_added_is_heard_by_those_who_heard_nothing_before(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    """Which replicas hear a key is remembered, until there are others."""
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0}, other={"value": 0})
    other = decode_replica("b", {"id": "other", "key": "a.*"})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.values_of("dummy") == [1.0], 30, what="the first value")
        await service.add(other)
        await wait_until(lambda: b.values_of("other") == [1.0], 30, what="the value of the second")
        await service.remove(other)
        a.blocks["sensor"] = {"value": 2.0}
        await wait_until(lambda: b.values_of("dummy") == [1.0, 2.0], 30, what="the second value")
        assert b.values_of("other") == [1.0]


@asynccontextmanager
async def running_chain(
    tmp_path: Path, url: str, **fallback: Any
) -> AsyncIterator[tuple[Synchronising, BlocksInMemory]]:
    """a.sensor is followed by b.dummy, and that by c.end, which has its value; the service, and the blocks of c."""
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0})
    c = BlocksInMemory(end={"value": 0})
    async with running_service(tmp_path, url, a=a, b=b, c=c) as service:
        await service.add(SENSOR)
        await service.add(decode_replica("b", {"id": "dummy", "key": KEY, **fallback}))
        await service.add(decode_primary("b", {"id": "dummy", "interval": 0.2}))
        await service.add(decode_replica("c", {"id": "end", "key": "b.dummy", "ttl": 2}))
        await wait_until(lambda: c.blocks["end"] == {"value": 1.0}, 20, what="the value at the end of the chain")
        yield service, c


@on_a_loop
async def test_a_stale_value_is_fresh_nowhere_in_a_chain(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    async with running_chain(tmp_path, rabbitmq.url) as (service, _):
        await service.remove(SENSOR)

        def freshness() -> dict[str, str]:
            return {each.id: each.freshness for each in service.status()[1]}

        await wait_until(lambda: freshness() == {"dummy": "stale", "end": "stale"}, 20, what="a chain that is stale")

        def says_why() -> bool:
            (middle,) = service.status()[0]
            return (middle.health, "follows a.sensor, which is stale" in middle.last_error) == ("failing", True)

        await wait_until(says_why, 20, what="the reason in the middle of the chain")
        said = service.status()[0][0].published
        await service.add(SENSOR)
        await wait_until(lambda: freshness() == {"dummy": "fresh", "end": "fresh"}, 20, what="a chain that is fresh")

        def is_well() -> bool:
            middle = next(each for each in service.status()[0] if each.id == "dummy")
            return (middle.health, middle.published > said, middle.last_error) == ("ok", True, "")

        await wait_until(is_well, 20, what="the middle of the chain as before")


@on_a_loop
async def test_a_fallback_goes_on_along_the_chain(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    async with running_chain(tmp_path, rabbitmq.url, fallback={"value": 5.0}) as (service, c):
        await service.remove(SENSOR)
        await wait_until(lambda: c.blocks["end"] == {"value": 5.0}, 20, what="the fallback at the end of the chain")
