"""A hundred primaries of one service: does each message arrive, at its time, at somebody else?"""

import asyncio
import json
from pathlib import Path

from tests.stands.amqp_ends import open_links
from tests.stands.blocks_service import CountedReadings, running_service
from tests.stands.rabbitmq import RabbitmqNode

from samesky.blocks.links import decode_primary
from samesky.link.amqp_message import AmqpArrived, AmqpConnected

from ..claims import Claim

PRIMARIES = 100
INTERVAL_S = 1.0
FAREWELL_S = 1.0


def measure(folder: Path, *, seconds: int) -> list[Claim]:
    """How many of all readings weren't heard."""
    with RabbitmqNode(dir=folder / "rabbitmq") as node:
        lost, published = asyncio.run(_run(folder, node.url, seconds))
    what = f"{PRIMARIES} primaries in one process, a message each {INTERVAL_S:g} s, for {seconds} s"
    return [
        Claim(f"{what}: messages lost", lost, "messages", at_most=0),
        Claim(f"{what}: messages", published, "messages", at_least=0.95 * PRIMARIES * seconds / INTERVAL_S),
    ]


async def _run(folder: Path, url: str, seconds: int) -> tuple[int, int]:
    names = [f"s{number}" for number in range(PRIMARIES)]
    blocks = CountedReadings(**{name: {"value": 0} for name in names})
    async with open_links(1, url) as (link,):
        await link.subscribe("a.#")
        await link.wait_for(AmqpConnected)
        async with running_service(folder, url, a=blocks) as service:
            for name in names:
                await service.add(decode_primary("a", {"id": name, "interval": INTERVAL_S}))
            await asyncio.sleep(seconds)
            published = sum(primary.published for primary in service.status()[0])
        await asyncio.sleep(FAREWELL_S)
        heard = {(event.key, json.loads(event.body)["value"]) for event in link.of(AmqpArrived)}
    wanted = {(f"a.{name}", value) for name in names for value in range(1, blocks.blocks[name]["value"] + 1)}
    return len(wanted - heard), published
