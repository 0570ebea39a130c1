"""A service of blocks for tests, on the test's own event loop, and blocks in memory for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from samesky.blocks.carriers import AmqpCarrier
from samesky.blocks.objects import Block, NoSuchBlock, Objects
from samesky.blocks.paths import Value
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.errors import Unreachable
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url

from .rabbitmq import RabbitmqNode

TEST_DEADLINE_S = 480.0


class BlocksInMemory:
    """Blocks that may be slow, or away: the `Objects` of a service."""

    def __init__(self, **blocks: dict[str, Any]) -> None:
        self.blocks = blocks
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.answers = asyncio.Event()
        """While it is cleared, whoever asks waits."""
        self.answers.set()
        self.is_away = False

    def values_of(self, id: str) -> list[Any]:
        """The ``value`` of each state that was written to the block ``id``, in order."""
        return [data["value"] for written, data in self.written if written == id]

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        await self._serve(id)
        return Block(id, deepcopy(self.blocks[id]))

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        """As of `Objects`."""
        await self._serve(block.id)
        self.blocks[block.id] = dict(data)
        self.written.append((block.id, dict(data)))
        return data

    async def list(self) -> list[str]:
        """As of `Objects`."""
        return sorted(self.blocks)

    async def close(self) -> None:
        """As of `Objects`."""

    async def _serve(self, id: str) -> None:
        await self.answers.wait()
        if self.is_away:
            raise Unreachable("the controller is away")
        if id not in self.blocks:
            raise NoSuchBlock(f"there is no block {id}")


class CountedReadings(BlocksInMemory):
    """Blocks that have another value at each reading: 1, 2, 3 …"""

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        self.blocks[id] = {**self.blocks[id], "value": self.blocks[id]["value"] + 1}
        return await super().read(id)


@asynccontextmanager
async def running_service(
    folder: Path,
    *urls: str,
    may_write: Callable[[str, str], bool] = lambda *_: True,
    exchange: str = "syncast",
    heartbeat_s: int = 60,
    **services: Objects,
) -> AsyncIterator[Synchronising]:
    """A service with its links in ``folder``, at the AMQP broker or cluster at ``urls``.

    A broker gives up a service that was silent for ``heartbeat_s``, as one of a busy machine may be for seconds.
    """
    made = tuple(read_amqp_url(url, environment={}) for url in urls)
    carrier = AmqpCarrier(AmqpSettings(urls=made, heartbeat_s=heartbeat_s, exchange=exchange))
    with Registry(folder / "links.sdb") as registry:
        async with Synchronising(
            registry, objects=services, carriers={"amqp": carrier}, may_write=may_write
        ) as service:
            yield service


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function, with the fixtures ``rabbitmq`` and ``tmp_path``."""

    def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        asyncio.run(asyncio.wait_for(test(rabbitmq, tmp_path), TEST_DEADLINE_S))

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run
