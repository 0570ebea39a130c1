"""Blocks over a RabbitMQ in trouble: a replica is right again soon after the broker is, and nothing old is written.

The services run on all the while; nothing is restarted but the broker. tests/blocks/test_service.py kills it once.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.service import Synchronising
from stands.amqp_ends import wait_until
from stands.blocks_old_peer import OldPeer
from stands.blocks_service import TEST_DEADLINE_S, BlocksInMemory, on_a_loop, running_service
from stands.rabbitmq import RabbitmqCluster, RabbitmqNode

pytestmark = pytest.mark.slow

INTERVAL_S = 0.5
RIGHT_AGAIN_S = INTERVAL_S + 5.0
"""So soon after the broker is back a replica is right: the bar of the design."""
DEADLINE_S = 120.0
KILLS = 5
OBJECTS = 200
UPDATES_PER_S = 20


@dataclass
class Ends:
    """Two services: the sensor of ``a`` is followed by the dummy of ``b``."""

    a: BlocksInMemory
    b: BlocksInMemory
    leader: Synchronising
    follower: Synchronising

    def sense(self, value: float) -> None:
        """The sensor has another value."""
        self.a.blocks["sensor"] = {"value": value}

    async def wait_for_value(self, value: float, deadline_s: float, what: str) -> None:
        """Wait until the dummy has it."""
        await wait_until(lambda: self.b.blocks["dummy"] == {"value": value}, deadline_s, what=what)

    async def wait_for_failures(self, count: int) -> None:
        """Wait until so many more messages couldn't be published."""
        before = self._count_failures()
        await wait_until(lambda: self._count_failures() >= before + count, DEADLINE_S, what="messages that fail")

    async def wait_for_messages(self, count: int) -> None:
        """Wait until so many more have arrived."""
        before = self.follower.status()[1][0].received
        await wait_until(
            lambda: self.follower.status()[1][0].received >= before + count, DEADLINE_S, what="messages that arrive"
        )

    def _count_failures(self) -> int:
        return sum(self.leader.status()[0][0].failed.values())


@asynccontextmanager
async def running_ends(folder: Path, leaders: list[str], followers: list[str]) -> AsyncIterator[Ends]:
    """Two services at the brokers of these URLs, with 1.0 at both ends."""
    a, b = BlocksInMemory(sensor={"value": 1.0}), BlocksInMemory(dummy={"value": 0.5})
    async with (
        running_service(folder / "b", *followers, heartbeat_s=4, b=b) as follower,
        running_service(folder / "a", *leaders, heartbeat_s=4, a=a) as leader,
    ):
        await follower.add(decode_replica("b", {"id": "dummy", "key": "a.sensor"}))
        await leader.add(decode_primary("a", {"id": "sensor", "interval": INTERVAL_S}))
        ends = Ends(a, b, leader, follower)
        await ends.wait_for_value(1.0, DEADLINE_S, "the first value")
        yield ends


@pytest.mark.parametrize(
    ("harm", "mend"),
    [
        (RabbitmqNode.stop, RabbitmqNode.start),
        (RabbitmqNode.freeze, RabbitmqNode.thaw),
        (RabbitmqNode.raise_memory_alarm, RabbitmqNode.clear_memory_alarm),
    ],
    ids=["stopped", "frozen", "out of memory"],
)
def test_a_replica_is_right_soon_after_its_broker_is_and_nothing_old_was_written(
    rabbitmq: RabbitmqNode,
    tmp_path: Path,
    harm: Callable[[RabbitmqNode], None],
    mend: Callable[[RabbitmqNode], None],
) -> None:
    @on_a_loop
    async def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        async with running_ends(tmp_path, [rabbitmq.url], [rabbitmq.url]) as ends:
            await asyncio.to_thread(harm, rabbitmq)
            ends.sense(2.0)
            await ends.wait_for_failures(2)
            assert ends.leader.troubles() != {}
            ends.sense(3.0)
            await ends.wait_for_failures(2)
            await asyncio.to_thread(mend, rabbitmq)
            await ends.wait_for_value(3.0, RIGHT_AGAIN_S, "the value after the broker's return")
            await ends.wait_for_messages(5)
            assert ends.b.values_of("dummy") == [1.0, 3.0]
            await wait_until(
                lambda: (ends.leader.troubles(), ends.follower.troubles()) == ({}, {}), DEADLINE_S, what="no trouble"
            )

    run(rabbitmq, tmp_path)


@on_a_loop
async def test_a_broker_that_was_frozen_for_so_long_that_it_was_given_up_is_used_again(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    async with running_ends(tmp_path, [rabbitmq.url], [rabbitmq.url]) as ends:
        rabbitmq.freeze()
        ends.sense(2.0)
        await wait_until(lambda: ends.follower.troubles() != {}, DEADLINE_S, what="the follower's trouble")
        ends.sense(3.0)
        await ends.wait_for_failures(2)
        rabbitmq.thaw()
        await ends.wait_for_value(3.0, RIGHT_AGAIN_S, "the value after the broker's return")
        await ends.wait_for_messages(5)
        assert ends.b.values_of("dummy") == [1.0, 3.0]


@on_a_loop
async def test_connections_that_are_closed_by_force_cost_a_moment(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    async with running_ends(tmp_path, [rabbitmq.url], [rabbitmq.url]) as ends:
        for value in (2.0, 3.0, 4.0):
            await asyncio.to_thread(rabbitmq.close_all_connections)
            ends.sense(value)
            await ends.wait_for_value(value, RIGHT_AGAIN_S, f"the value {value}")
        assert ends.b.values_of("dummy") == [1.0, 2.0, 3.0, 4.0]


def test_a_node_of_three_that_is_killed_costs_a_reconnection_and_nothing_else(tmp_path: Path) -> None:
    async def run(cluster: RabbitmqCluster) -> None:
        first, second, third = (node.url for node in cluster.nodes)
        async with (
            running_ends(tmp_path, [first, second, third], [first, third, second]) as ends,
            OldPeer(third, "old", dummy={}) as old,
        ):
            await old.follow("dummy", key="a.sensor")
            await wait_until(lambda: old.blocks["dummy"] == {"value": 1.0}, DEADLINE_S, what="the old one's value")
            await asyncio.to_thread(cluster.nodes[0].kill)
            ends.sense(2.0)
            await ends.wait_for_value(2.0, RIGHT_AGAIN_S, "the value by another node")
            await wait_until(lambda: old.blocks["dummy"] == {"value": 2.0}, RIGHT_AGAIN_S, what="that of the old one")
            assert ends.b.values_of("dummy") == [1.0, 2.0]

    with RabbitmqCluster(tmp_path / "nodes") as cluster:
        asyncio.run(asyncio.wait_for(run(cluster), TEST_DEADLINE_S))


@on_a_loop
async def test_two_hundred_blocks_are_the_same_soon_after_their_broker_was_killed_again_and_again(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    names = [f"s{number}" for number in range(OBJECTS)]
    chance = random.Random(1)
    a = BlocksInMemory(**{name: {"value": 0} for name in names})
    b = BlocksInMemory(**{name: {"value": -1} for name in names})

    async def update() -> None:
        count = 0
        while True:
            await asyncio.sleep(1 / UPDATES_PER_S)
            count += 1
            a.blocks[chance.choice(names)] = {"value": count}

    async with (
        running_service(tmp_path / "a", rabbitmq.url, a=a) as leader,
        running_service(tmp_path / "b", rabbitmq.url, b=b) as follower,
    ):
        for name in names:
            await leader.add(decode_primary("a", {"id": name, "interval": 1}))
            await follower.add(decode_replica("b", {"id": name, "key": f"a.{name}"}))
        updating = asyncio.create_task(update())
        for _ in range(KILLS):
            await wait_until(lambda: count_equal(a, b) > OBJECTS / 2, DEADLINE_S, what="many right values")
            rabbitmq.kill()
            await asyncio.to_thread(rabbitmq.start)
        updating.cancel()
        await wait_until(lambda: count_equal(a, b) == OBJECTS, DEADLINE_S, what="the same values everywhere")
    for name in names:
        values = b.values_of(name)
        assert values == sorted(values), f"{name} went back: {values}"


def count_equal(a: BlocksInMemory, b: BlocksInMemory) -> int:
    """How many blocks of one have the data of those of the other."""
    return sum(b.blocks[name] == data for name, data in a.blocks.items())
