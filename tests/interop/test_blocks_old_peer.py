"""A service of ours beside one of the old kind: one RabbitMQ, and nothing in common but the seed's exchange."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks.links import decode_primary, decode_replica
from stands.amqp_ends import wait_until
from stands.blocks_old_peer import OldPeer
from stands.blocks_service import BlocksInMemory, on_a_loop, running_service
from stands.rabbitmq import Exchange, RabbitmqNode

pytestmark = pytest.mark.slow

SYNCAST = Exchange("syncast", "topic", durable=False, auto_delete=True)
TABLE = {"value": "targetvalue", "nested/value": "nested/target/value"}
PRIMARY = {"value": 123, "other_value": 567, "nested": {"value": 456, "other_value": 890}}
REPLICA = {"targetvalue": 0, "value": 0, "nested": {"target": {"thing": 0}, "thang": 0}}
MERGED = {"targetvalue": 123, "value": 0, "nested": {"target": {"value": 456, "thing": 0}, "thang": 0}}
INTERVAL_S = 0.2
OUR_PRIMARY = decode_primary("ours", {"id": "sensor", "interval": INTERVAL_S})
OUR_REPLICA = decode_replica("ours", {"id": "dummy", "key": "old.sensor", "translations": TABLE})
DEADLINE_S = 60.0


async def wait_for_exchange(node: RabbitmqNode, wanted: Exchange | None) -> None:
    """Wait until the broker has the seed's exchange as it is ``wanted``."""
    async with asyncio.timeout(DEADLINE_S):
        while await asyncio.to_thread(node.find_exchange, "syncast") != wanted:
            await asyncio.sleep(0.05)


async def run_in_order(first: str, **steps: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run the step of the name ``first``, then the others."""
    for name in sorted(steps, key=lambda name: name != first):
        await steps[name]()


@pytest.mark.parametrize("first", ["old", "ours"])
def test_ours_writes_what_an_old_one_broadcasts(rabbitmq: RabbitmqNode, tmp_path: Path, first: str) -> None:
    @on_a_loop
    async def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        ours = BlocksInMemory(dummy=REPLICA)
        async with (
            OldPeer(rabbitmq.url, "old", sensor=PRIMARY) as old,
            running_service(tmp_path, rabbitmq.url, ours=ours) as service,
        ):

            async def start_old() -> None:
                old.lead("sensor", interval_s=INTERVAL_S)
                await wait_for_exchange(rabbitmq, SYNCAST)

            async def start_ours() -> None:
                await service.add(OUR_REPLICA)
                await wait_for_exchange(rabbitmq, SYNCAST)

            await run_in_order(first, old=start_old, ours=start_ours)
            await wait_until(lambda: ours.blocks["dummy"] == MERGED, DEADLINE_S, what="the translated block")
            assert await asyncio.to_thread(rabbitmq.find_exchange, "syncast") == SYNCAST
            assert old.refusals == 0
            await wait_until(lambda: service.status()[1][0].health == "ok", DEADLINE_S, what="health")

    run(rabbitmq, tmp_path)


@pytest.mark.parametrize("first", ["old", "ours"])
def test_an_old_one_writes_what_ours_broadcasts(rabbitmq: RabbitmqNode, tmp_path: Path, first: str) -> None:
    @on_a_loop
    async def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        async with (
            OldPeer(rabbitmq.url, "old", dummy=REPLICA) as old,
            running_service(tmp_path, rabbitmq.url, ours=BlocksInMemory(sensor=PRIMARY)) as service,
        ):

            async def start_old() -> None:
                await old.follow("dummy", key="ours.sensor", translations=TABLE)
                await wait_for_exchange(rabbitmq, SYNCAST)

            async def start_ours() -> None:
                await service.add(OUR_PRIMARY)
                await wait_for_exchange(rabbitmq, SYNCAST)

            await run_in_order(first, old=start_old, ours=start_ours)
            await wait_until(lambda: old.blocks["dummy"] == MERGED, DEADLINE_S, what="the translated block")
            assert {json.dumps(json.loads(body), sort_keys=True) for body in old.heard} == {
                json.dumps(PRIMARY, sort_keys=True)
            }
            assert await asyncio.to_thread(rabbitmq.find_exchange, "syncast") == SYNCAST

    run(rabbitmq, tmp_path)


@on_a_loop
async def test_the_exchange_is_what_old_ones_declare_whoever_is_there(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    async def list_exchanges() -> list[str]:
        told = await asyncio.to_thread(
            rabbitmq.control, "list_exchanges", "name", "type", "durable", "auto_delete", "--no-table-headers"
        )
        return [line for line in told.splitlines() if line.startswith("syncast")]

    wanted = ["syncast\ttopic\tfalse\ttrue"]
    ours = BlocksInMemory(sensor={"value": 1}, dummy=REPLICA)
    async with running_service(tmp_path, rabbitmq.url, ours=ours) as service:
        await service.add(OUR_REPLICA)
        await service.add(OUR_PRIMARY)
        await wait_for_exchange(rabbitmq, SYNCAST)
        assert await list_exchanges() == wanted
        async with OldPeer(rabbitmq.url, "old", sensor=PRIMARY, dummy={}) as old:
            old.lead("sensor", interval_s=INTERVAL_S)
            await old.follow("dummy", key="ours.sensor")
            await wait_until(lambda: bool(old.blocks["dummy"]), DEADLINE_S, what="our value at the old one")
            assert await list_exchanges() == wanted
        assert await list_exchanges() == wanted
    await wait_for_exchange(rabbitmq, None)


@on_a_loop
async def test_an_exchange_that_goes_with_the_last_follower_is_there_for_the_next(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    ours = BlocksInMemory(sensor={"value": 0})
    failed: list[Mapping[str, int]] = []
    async with running_service(tmp_path, rabbitmq.url, ours=ours) as service:
        # A message has failed when it takes longer than the interval; in between an exchange is made.
        await service.add(decode_primary("ours", {"id": "sensor", "interval": 2}))
        for value in (1, 2, 3):
            ours.blocks["sensor"] = {"value": value}
            async with OldPeer(rabbitmq.url, "old", dummy={}) as old:
                await old.follow("dummy", key="ours.sensor")
                await wait_until(
                    lambda old=old, value=value: old.blocks["dummy"] == {"value": value},  # type: ignore[misc]
                    DEADLINE_S,
                    what=f"the value {value}",
                )
                if not failed:  # the first may have been too early for a connection
                    failed.append(service.status()[0][0].failed)
            published = service.status()[0][0].published
            await wait_until(
                lambda published=published: service.status()[0][0].published > published,  # type: ignore[misc]
                DEADLINE_S,
                what="a message while nobody follows",
            )
        assert service.status()[0][0].failed == failed[0]
        assert service.troubles() == {}


@on_a_loop
async def test_an_exchange_that_somebody_deletes_loses_nothing_but_moments(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    ours = BlocksInMemory(sensor={"value": 1}, dummy={"value": 0})
    follows = decode_replica("ours", {"id": "dummy", "key": "old.sensor"})
    async with (
        OldPeer(rabbitmq.url, "old", sensor={"value": 1}) as old,
        running_service(tmp_path, rabbitmq.url, ours=ours) as service,
    ):
        await service.add(follows)
        await service.add(OUR_PRIMARY)
        old.lead("sensor", interval_s=INTERVAL_S)
        await wait_until(lambda: ours.blocks["dummy"] == {"value": 1}, DEADLINE_S, what="the first value")
        await asyncio.to_thread(delete_exchange, rabbitmq)
        old.blocks["sensor"] = {"value": 2}
        await wait_until(lambda: ours.blocks["dummy"] == {"value": 2}, DEADLINE_S, what="the value since")
        await wait_for_exchange(rabbitmq, SYNCAST)
        assert old.refusals == 0
        published = service.status()[0][0].published
        await wait_until(lambda: service.status()[0][0].published > published, DEADLINE_S, what="our next message")
    assert ours.values_of("dummy") == [1, 2]


def delete_exchange(node: RabbitmqNode) -> None:
    """Delete the seed's exchange, as an administrator may; all bindings go with it."""
    node.evaluate('rabbit_exchange:delete(rabbit_misc:r(<<"/">>, exchange, <<"syncast">>), false, <<"test">>)')
