"""What the original did wrong, observed on it: each of it, tried on ours, over a real RabbitMQ.

What it did wrong with bodies of its REST interface is tried in tests/blocks/ with the rest of that.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.objects import Block
from samesky.blocks.paths import Value
from samesky.core.strict import Refused
from stands.amqp_ends import wait_until
from stands.blocks_old_peer import OldPeer
from stands.blocks_service import BlocksInMemory, CountedReadings, on_a_loop, running_service
from stands.rabbitmq import RabbitmqNode

pytestmark = pytest.mark.slow

INTERVAL_S = 0.2
ECHOED_INTERVAL_S = 1.0
"""What comes back within two and a half intervals is an echo: more than a busy machine needs for that."""
DEADLINE_S = 60.0
SENSOR = {"id": "sensor", "interval": INTERVAL_S}
DUMMY = {"id": "dummy", "key": "a.sensor"}


class NullsAreZero(BlocksInMemory):
    """A controller of the first generation: it takes a null for 0.0."""

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        """As of `Objects`."""
        return await super().write(block, {name: 0.0 if value is None else value for name, value in data.items()})


@pytest.mark.parametrize("interval", ["5", 0, -1, 0.001, None, True, [], float("nan"), float("inf"), 1e9])
def test_an_interval_that_is_none_is_refused(interval: Any) -> None:
    """It hung the whole service ("5"), or sent 770 messages a second (0)."""
    with pytest.raises(Refused, match="interval"):
        decode_primary("a", {"id": "sensor", "interval": interval})


@pytest.mark.parametrize("key", [5, None, True, [], {}, "", "k" * 256, "a\n"])
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    """It ended every subscription of the service."""
    with pytest.raises(Refused, match="key"):
        decode_replica("b", {"id": "dummy", "key": key})


@on_a_loop
async def test_a_registration_said_twice_sends_and_writes_once(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """It doubled the messages."""
    async with (
        OldPeer(rabbitmq.url, "old", dummy={}) as old,
        running_service(tmp_path, rabbitmq.url, a=CountedReadings(sensor={"value": 0})) as service,
    ):
        await old.follow("dummy", key="a.sensor")
        began = time.monotonic()
        changes = [await service.add(decode_primary("a", SENSOR)) for _ in range(5)]
        assert changes == [True, False, False, False, False]
        await wait_until(lambda: len(old.heard) >= 10, DEADLINE_S, what="ten messages")
        assert len(old.heard) <= (time.monotonic() - began) / INTERVAL_S + 2
        values = [json.loads(body)["value"] for body in old.heard]
        assert values == sorted(set(values))


@on_a_loop
async def test_registrations_outlive_the_service(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """They lived in memory."""
    a, b = BlocksInMemory(sensor={"value": 1}), BlocksInMemory(dummy={"value": 0})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(decode_primary("a", SENSOR))
        await service.add(decode_replica("b", DUMMY))
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b):
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1}, DEADLINE_S, what="the value")


@on_a_loop
async def test_every_message_is_acknowledged(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """None was: the broker kept them all."""
    a, b = CountedReadings(sensor={"value": 0}), BlocksInMemory(dummy={"value": 0})
    async with running_service(tmp_path, rabbitmq.url, a=a, b=b) as service:
        await service.add(decode_replica("b", DUMMY))
        await service.add(decode_primary("a", SENSOR))
        await wait_until(lambda: len(b.written) >= 5, DEADLINE_S, what="values")
        await service.remove(decode_primary("a", SENSOR))
        async with asyncio.timeout(DEADLINE_S):
            while await asyncio.to_thread(rabbitmq.count_messages):
                await asyncio.sleep(0.05)


@on_a_loop
async def test_primaries_of_one_service_lose_nothing_to_each_other(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """Eight of them lost 53 % of their messages on the one channel that they shared."""
    names = [f"s{number}" for number in range(8)]
    a = CountedReadings(**{name: {"value": 0, "name": name} for name in names})
    b = BlocksInMemory(**{name: {"value": 0} for name in names})
    async with (
        OldPeer(rabbitmq.url, "old", **{name: {} for name in names}) as old,
        running_service(tmp_path, rabbitmq.url, a=a, b=b) as service,
    ):
        for name in names:
            await old.follow(name, key=f"a.{name}")
        for name in names:
            await service.add(decode_primary("a", {"id": name, "interval": 0.1}))
        await wait_until(lambda: len(old.heard) >= 160, DEADLINE_S, what="160 messages")
        failed = {}
        for name in names:
            (failed[name],) = (sum(each.failed.values()) for each in service.status()[0] if each.id == name)
            await service.remove(decode_primary("a", {"id": name, "interval": 0.1}))
        readings = {name: a.blocks[name]["value"] for name in names}
        await wait_until(
            lambda: {name: old.blocks[name].get("value") for name in names} == readings, DEADLINE_S, what="the last"
        )
    heard = [json.loads(body) for body in old.heard]
    for name, last in readings.items():
        # Each reading once, but for those of which it was told that the broker didn't take them; at the end the last
        # one as a goodbye, beside itself or in its place.
        values = [each["value"] for each in heard if each["name"] == name]
        assert values == sorted(values)
        assert len({*range(1, last + 1)} - {*values}) <= failed[name]
        assert len(values) - len({*values}) <= 1


@on_a_loop
async def test_a_sensor_that_fails_never_reads_0(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """Its null was written as 0.0, and the heater ran."""
    b = NullsAreZero(dummy={"value": 20.5})
    async with (
        OldPeer(rabbitmq.url, "old", sensor={"value": 21.0}) as old,
        running_service(tmp_path, rabbitmq.url, b=b) as service,
    ):
        await service.add(decode_replica("b", {"id": "dummy", "key": "old.sensor"}))
        old.lead("sensor", interval_s=INTERVAL_S)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 21.0}, DEADLINE_S, what="the value")
        old.blocks["sensor"] = {"value": None}
        await wait_until(lambda: service.status()[1][0].dropped.get("null", 0) > 2, DEADLINE_S, what="the nulls")
        (status,) = service.status()[1]
        assert status.last_error == "value is null, as of a sensor that has failed"
        assert status.health == "failing"
        old.blocks["sensor"] = {"value": 22.0}
        await wait_until(lambda: b.blocks["dummy"] == {"value": 22.0}, DEADLINE_S, what="the value after the nulls")
        assert b.values_of("dummy") == [21.0, 22.0]


@on_a_loop
async def test_the_last_value_of_a_dead_primary_is_told_and_replaced(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """It stood for ever."""
    b = BlocksInMemory(kept={"value": 0.5}, replaced={"value": 0.5})
    async with running_service(tmp_path, rabbitmq.url, b=b) as service:
        for id, more in (("kept", {}), ("replaced", {"fallback": {"value": 18.0}})):
            await service.add(decode_replica("b", {"id": id, "key": "old.sensor", "ttl": 1, **more}))
        async with OldPeer(rabbitmq.url, "old", sensor={"value": 21.0}) as old:
            old.lead("sensor", interval_s=INTERVAL_S)
            await wait_until(lambda: b.blocks["replaced"] == {"value": 21.0}, DEADLINE_S, what="the value")
        await wait_until(lambda: b.blocks["replaced"] == {"value": 18.0}, DEADLINE_S, what="the fallback")
        await wait_until(
            lambda: [status.freshness for status in service.status()[1]] == ["stale", "stale"],
            DEADLINE_S,
            what="its end",
        )
        assert b.blocks["kept"] == {"value": 21.0}


@on_a_loop
async def test_services_of_ours_that_follow_each_other_come_to_rest(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    """They swapped their values for ever."""
    a, b = BlocksInMemory(x={"value": 1.5}), BlocksInMemory(y={"value": 2.5})
    async with (
        running_service(tmp_path / "a", rabbitmq.url, a=a) as one,
        running_service(tmp_path / "b", rabbitmq.url, b=b) as other,
    ):
        await one.add(decode_replica("a", {"id": "x", "key": "b.y"}))
        await other.add(decode_replica("b", {"id": "y", "key": "a.x"}))
        await one.add(decode_primary("a", {"id": "x", "interval": INTERVAL_S}))
        await other.add(decode_primary("b", {"id": "y", "interval": INTERVAL_S}))
        await wait_until(
            lambda: any(s.status()[1][0].dropped.get("loop", 0) >= 10 for s in (one, other)), DEADLINE_S, what="rest"
        )
        assert len(a.written) + len(b.written) <= 3
        told = [service.status()[1][0] for service in (one, other)]
        assert any("remove one of the links" in status.hint for status in told)


@pytest.mark.parametrize("first", ["primary", "replica"])
def test_a_block_whose_values_an_old_service_sends_back_again_and_again_is_left_alone(
    rabbitmq: RabbitmqNode, tmp_path: Path, first: str
) -> None:
    """An old service tells nothing of where its values are from: that they come back is all there is."""

    @on_a_loop
    async def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        a = BlocksInMemory(x={"value": 1.5})
        async with (
            OldPeer(rabbitmq.url, "old", y={}) as old,
            running_service(tmp_path, rabbitmq.url, a=a) as service,
        ):

            async def swap() -> None:
                while True:
                    await wait_until(lambda: bool(old.heard), DEADLINE_S, what="our value")
                    old.heard.clear()
                    before = 1.5 if old.blocks["y"]["value"] == 2.5 else 2.5
                    await old.publish("old.y", json.dumps({"value": before}).encode())

            await old.follow("y", key="a.x")
            links = [
                decode_primary("a", {"id": "x", "interval": ECHOED_INTERVAL_S}),
                decode_replica("a", {"id": "x", "key": "old.y"}),
            ]
            for link in links if first == "primary" else reversed(links):
                await service.add(link)
            swapping = asyncio.create_task(swap())
            await wait_until(lambda: service.status()[1][0].health == "paused", DEADLINE_S, what="the pause")
            written = len(a.written)
            await wait_until(lambda: service.status()[1][0].dropped.get("paused", 0) >= 5, DEADLINE_S, what="five more")
            swapping.cancel()
            assert len(a.written) == written <= 10
            assert "two blocks follow each other" in service.status()[1][0].hint

    run(rabbitmq, tmp_path)
