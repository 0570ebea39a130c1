"""Two hundred blocks and a broker that is killed again and again: when is each replica right once more?"""

import asyncio
import random
import time
from pathlib import Path

from tests.stands.amqp_ends import wait_until
from tests.stands.blocks_service import BlocksInMemory, running_service
from tests.stands.rabbitmq import RabbitmqNode

from samesky.blocks.links import decode_primary, decode_replica

from ..claims import Claim

OBJECTS = 200
INTERVAL_S = 1.0
UPDATES_PER_S = 20
DEADLINE_S = 60.0


def measure(folder: Path, *, kills: int) -> list[Claim]:
    """How long after the broker's return all replicas have the data of their primaries; the longest of all kills."""
    with RabbitmqNode(dir=folder / "rabbitmq") as node:
        longest_s, back = asyncio.run(_run(folder, node, kills))
    what = f"{OBJECTS} blocks, {UPDATES_PER_S} changes a second, the broker killed {kills} times"
    return [
        Claim(f"{what}: until all are right after its return", longest_s, "s", at_most=INTERVAL_S + 5.0),
        Claim(f"{what}: replicas that went back to an older value", back, "blocks", at_most=0),
    ]


async def _run(folder: Path, node: RabbitmqNode, kills: int) -> tuple[float, int]:
    names, chance = [f"s{number}" for number in range(OBJECTS)], random.Random(1)
    a = BlocksInMemory(**{name: {"value": 0} for name in names})
    b = BlocksInMemory(**{name: {"value": -1} for name in names})
    count = 0

    async def change() -> None:
        nonlocal count
        while True:
            await asyncio.sleep(1 / UPDATES_PER_S)
            count += 1
            a.blocks[chance.choice(names)] = {"value": count}

    async with (
        running_service(folder / "a", node.url, a=a) as leader,
        running_service(folder / "b", node.url, b=b) as follower,
    ):
        for name in names:
            await leader.add(decode_primary("a", {"id": name, "interval": INTERVAL_S}))
            await follower.add(decode_replica("b", {"id": name, "key": f"a.{name}"}))
        await wait_until(lambda: a.blocks == b.blocks, DEADLINE_S, what="the same values at the start")
        longest_s = 0.0
        for _ in range(kills):
            changing = asyncio.create_task(change())
            node.kill()
            await asyncio.to_thread(node.start)
            changing.cancel()
            back_at = time.monotonic()
            await wait_until(lambda: a.blocks == b.blocks, DEADLINE_S, what="the same values after a kill")
            longest_s = max(longest_s, time.monotonic() - back_at)
    went_back = sum(b.values_of(name) != sorted(b.values_of(name)) for name in names)
    return longest_s, went_back
