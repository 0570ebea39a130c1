"""A hundred replicas of one service: how many messages a second are applied, and how soon each is.

Another process publishes, as another service would, with confirms: first as many as it can, then at a pace that the
claim is about. How long a message takes is measured from its being published to its being written.
"""

import asyncio
import json
import multiprocessing
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.stands.blocks_service import BlocksInMemory, running_service
from tests.stands.rabbitmq import RabbitmqNode

from samesky.blocks.envelope import Metadata, encode_headers
from samesky.blocks.links import decode_replica
from samesky.blocks.objects import Block
from samesky.blocks.paths import Value
from samesky.link.amqp import AmqpLink, AmqpSettings
from samesky.link.amqp_message import Properties
from samesky.link.amqp_url import read_amqp_url

from ..claims import Claim

REPLICAS = 100
BODY_BYTES = 300
PACE_PER_S = 2_000
APPLIED_PER_S = 2_000
P99_MS = 50.0
MOST_CPU_MS = 0.5
"""More, and one process couldn't apply 2,000 a second; this says so on a busy machine, too."""


class Measured(NamedTuple):
    """What one run was like."""

    applied_per_s: float
    cpu_ms: float
    """Of the service's process, for each message that was applied."""
    delays_s: list[float]


class TimedBlocks(BlocksInMemory):
    """Blocks that note how long their values were under way."""

    def __init__(self, **blocks: dict[str, Any]) -> None:
        super().__init__(**blocks)
        self.delays_s: list[float] = []

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        """As of `Objects`."""
        sent_s = data["sent"]
        assert isinstance(sent_s, float)
        self.delays_s.append(time.monotonic() - sent_s)  # the same clock in all processes of a machine
        self.blocks[block.id] = dict(data)
        return data


def measure(folder: Path, *, seconds: int) -> list[Claim]:
    """Messages applied a second at most, and their delay at 2,000 a second."""
    with RabbitmqNode(dir=folder / "rabbitmq") as node:
        most = asyncio.run(_run(folder / "most", node.url, seconds, pace_per_s=None))
        paced = asyncio.run(_run(folder / "paced", node.url, seconds, pace_per_s=PACE_PER_S))
    what = f"{REPLICAS} replicas, {BODY_BYTES}-byte bodies"
    delays_ms = sorted(1000 * delay_s for delay_s in paced.delays_s)
    p50, p99 = delays_ms[len(delays_ms) // 2], delays_ms[int(0.99 * (len(delays_ms) - 1))]
    return [
        Claim(
            f"{what}, as many as another process publishes: applied",
            most.applied_per_s,
            "messages/s",
            at_least=APPLIED_PER_S,
        ),
        Claim(f"{what}: processor time of the service for each", most.cpu_ms, "ms", at_most=MOST_CPU_MS),
        Claim(
            f"{what}, {PACE_PER_S:,} a second: applied", paced.applied_per_s, "messages/s", at_least=0.95 * PACE_PER_S
        ),
        Claim(f"{what}, {PACE_PER_S:,} a second: from published to written, 50 %", p50, "ms"),
        Claim(f"{what}, {PACE_PER_S:,} a second: from published to written, 99 %", p99, "ms", at_most=P99_MS),
    ]


async def _run(folder: Path, url: str, seconds: int, *, pace_per_s: int | None) -> Measured:
    """Apply what another process publishes for so long."""
    blocks = TimedBlocks(**{f"d{number}": {"value": 0} for number in range(REPLICAS)})
    async with running_service(folder, url, b=blocks) as service:
        for number in range(REPLICAS):
            await service.add(decode_replica("b", {"id": f"d{number}", "key": f"a.s{number}"}))
        process = multiprocessing.get_context("spawn").Process(target=_publish, args=(url, seconds, pace_per_s))
        process.start()
        try:
            while not blocks.delays_s:
                await asyncio.sleep(0.01)
            began, cpu_s = time.monotonic(), time.process_time()
            await asyncio.to_thread(process.join)
            took_s, cpu_s = time.monotonic() - began, time.process_time() - cpu_s
        finally:
            process.kill()
        applied = len(blocks.delays_s)
        return Measured(applied / took_s, 1000 * cpu_s / applied, blocks.delays_s)


def _publish(url: str, seconds: int, pace_per_s: int | None) -> None:
    """Publish the blocks in turn, for so long."""
    asyncio.run(_publish_for(url, seconds, pace_per_s))


async def _publish_for(url: str, seconds: int, pace_per_s: int | None) -> None:
    padding = "x" * (BODY_BYTES - 60)
    async with AmqpLink(AmqpSettings(urls=(read_amqp_url(url, environment={}),)), lambda _: None) as link:

        async def publish(number: int, sequence: int) -> None:
            body = json.dumps({"value": sequence, "sent": time.monotonic(), "padding": padding}).encode()
            metadata = Metadata(origin=f"a.s{number}", epoch=1, sequence=sequence, interval_s=1.0)
            await link.publish(
                f"a.s{number}", body, properties=Properties("application/json", headers=encode_headers(metadata))
            )

        began, sequence = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            sequence += 1
            await asyncio.gather(*(publish(number, sequence) for number in range(REPLICAS)))
            if pace_per_s is not None:
                await asyncio.sleep(max(0.0, began + sequence * REPLICAS / pace_per_s - time.monotonic()))
