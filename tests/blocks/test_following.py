"""A replica's task (blocks/following.py): when a message is given back to its broker, and who waits for whom."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks import following as following_module
from samesky.blocks import replica as replica_module
from samesky.blocks.envelope import BlockMessage
from samesky.blocks.following import CONTROLLER_TIMEOUT_S, Following
from samesky.blocks.links import decode_replica
from samesky.blocks.objects import Block
from samesky.blocks.paths import Value
from stands.amqp_ends import wait_until
from stands.blocks_old_peer import OldPeer
from stands.blocks_service import BlocksInMemory, on_a_loop, running_service
from stands.rabbitmq import RabbitmqNode

DUMMY = decode_replica("b", {"id": "dummy", "key": "a.sensor"})
DEADLINE_S = 60.0
SOON_S = CONTROLLER_TIMEOUT_S - 1
"""What waited for a controller that hangs would take longer."""


def running_alone(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test with one replica, its blocks, and no broker."""

    def run() -> None:
        async def on_loop() -> None:
            blocks = BlocksInMemory(dummy={"value": 0})
            following = Following(DUMMY, blocks, echo_interval_s=None)
            try:
                await test(following, blocks)
            finally:
                following.cancel()
                await asyncio.gather(following.task, return_exceptions=True)

        asyncio.run(on_loop())

    run.__name__ = test.__name__
    return run


def take(following: Following, value: int, settled: list[int]) -> None:
    """A message with ``value`` comes; when it is given back, the value is in ``settled``."""
    following.take(BlockMessage("a.sensor", {"value": value}), lambda: settled.append(value))


@running_alone
async def test_a_message_is_given_back_when_it_is_written(following: Following, blocks: BlocksInMemory) -> None:
    settled: list[int] = []
    blocks.answers.clear()
    take(following, 1, settled)
    await wait_until(lambda: following.brain.next_time() is None, DEADLINE_S, what="the reading")
    assert settled == []
    blocks.answers.set()
    await wait_until(lambda: settled == [1], DEADLINE_S, what="the end")
    assert blocks.values_of("dummy") == [1]


@running_alone
async def test_what_is_superseded_is_given_back_while_its_controller_is_slow(
    following: Following, blocks: BlocksInMemory
) -> None:
    settled: list[int] = []
    blocks.answers.clear()
    take(following, 1, settled)
    await wait_until(lambda: following.brain.next_time() is None, DEADLINE_S, what="the reading")
    for value in range(2, 6):
        take(following, value, settled)
    assert settled == [2, 3, 4]
    blocks.answers.set()
    await wait_until(lambda: len(settled) == 5, DEADLINE_S, what="the end")
    assert blocks.values_of("dummy") == [5]


@running_alone
async def test_a_message_is_given_back_when_the_controller_failed_and_is_tried_again_all_the_same(
    following: Following, blocks: BlocksInMemory
) -> None:
    settled: list[int] = []
    blocks.is_away = True
    take(following, 1, settled)
    await wait_until(lambda: settled == [1], DEADLINE_S, what="the failure")
    assert following.brain.has_message


class HangingBlocks(BlocksInMemory):
    """Reads or writes that never end."""

    hangs = ""

    async def read(self, id: str) -> Block:
        """As of `Objects`."""
        if self.hangs == "read":
            await asyncio.Event().wait()
        return await super().read(id)

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        """As of `Objects`."""
        if self.hangs == "write":
            await asyncio.Event().wait()
        return await super().write(block, data)


@pytest.mark.parametrize("hangs", ["read", "write"])
def test_a_controller_that_never_answers_is_told_and_tried_again(hangs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following_module, "CONTROLLER_TIMEOUT_S", 0.1)
    monkeypatch.setattr(replica_module, "RETRY_S", 0.1)

    async def run() -> None:
        blocks = HangingBlocks(dummy={"value": 0})
        blocks.hangs = hangs
        following = Following(DUMMY, blocks, echo_interval_s=None)
        settled: list[int] = []
        take(following, 1, settled)
        await wait_until(lambda: settled == [1], DEADLINE_S, what="the end of patience")
        assert "the controller didn't answer" in following.brain.status(time.monotonic()).last_error
        blocks.hangs = ""
        await wait_until(lambda: blocks.values_of("dummy") == [1], DEADLINE_S, what="the value")
        assert following.brain.status(time.monotonic()).health == "ok"
        following.cancel()
        await asyncio.gather(following.task, return_exceptions=True)

    asyncio.run(run())


@running_alone
async def test_a_link_that_ends_gives_back_what_it_has(following: Following, blocks: BlocksInMemory) -> None:
    settled: list[int] = []
    blocks.answers.clear()
    take(following, 1, settled)
    await wait_until(lambda: following.brain.next_time() is None, DEADLINE_S, what="the reading")
    take(following, 2, settled)
    following.cancel()
    assert sorted(settled) == [1, 2]


@pytest.mark.slow
@on_a_loop
async def test_hundreds_of_blocks_of_a_controller_that_hangs_keep_no_other_waiting(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    count = 300
    hanging = BlocksInMemory(**{f"d{number}": {"value": 0} for number in range(count)})
    hanging.answers.clear()
    well = BlocksInMemory(dummy={"value": 0})
    async with (
        OldPeer(rabbitmq.url, "old") as old,
        running_service(tmp_path, rabbitmq.url, hanging=hanging, well=well) as service,
    ):
        for number in range(count):
            await service.add(decode_replica("hanging", {"id": f"d{number}", "key": f"old.s{number}"}))
        await service.add(decode_replica("well", {"id": "dummy", "key": "old.sensor"}))
        async with asyncio.timeout(DEADLINE_S):
            while len(await asyncio.to_thread(rabbitmq.list_bindings, "syncast")) <= count:
                await asyncio.sleep(0.05)
        await old.publish("old.sensor", b'{"value": 1}')
        await wait_until(lambda: well.values_of("dummy") == [1], DEADLINE_S, what="the first value")
        for number in range(count):
            await old.publish(f"old.s{number}", b'{"value": 1}')
        await old.publish("old.sensor", b'{"value": 2}')
        await wait_until(lambda: well.values_of("dummy") == [1, 2], SOON_S, what="the value behind the others")
        assert hanging.written == []
