"""Links that run, over a real RabbitMQ (blocks/service.py, following.py, broadcasting.py, carriers.py)."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from samesky.blocks.carriers import AmqpCarrier
from samesky.blocks.links import decode_primary, decode_replica
from samesky.blocks.objects import Block, NoSuchBlock
from samesky.blocks.paths import Value
from samesky.blocks.registry import Registry
from samesky.blocks.service import Synchronising
from samesky.blocks.translate import HeldBack
from samesky.core.strict import Reason, Refused
from samesky.errors import Unreachable
from samesky.link.amqp_settings import AmqpSettings
from samesky.link.amqp_url import read_amqp_url
from stands.rabbitmq import RabbitmqNode

pytestmark = pytest.mark.slow

KEY = "a.sensor"
SENSOR = decode_primary("a", {"id": "sensor", "interval": 0.2})
DUMMY = decode_replica("b", {"id": "dummy", "key": KEY})


class Controller:
    """Blocks in memory that may be slow, or away."""

    def __init__(self, **blocks: dict[str, Any]) -> None:
        self.blocks = blocks
        self.written: list[tuple[str, dict[str, Any]]] = []
        self.answers = asyncio.Event()
        self.answers.set()
        self.is_away = False

    async def read(self, id: str) -> Block:
        await self._serve(id)
        return Block(id, dict(self.blocks[id]))

    async def write(self, block: Block, data: Mapping[str, Value]) -> Mapping[str, Value]:
        await self._serve(block.id)
        self.blocks[block.id] = dict(data)
        self.written.append((block.id, dict(data)))
        return data

    async def list(self) -> list[str]:
        return sorted(self.blocks)

    async def close(self) -> None:
        pass

    async def _serve(self, id: str) -> None:
        await self.answers.wait()
        if self.is_away:
            raise Unreachable("the controller is away")
        if id not in self.blocks:
            raise NoSuchBlock(f"there is no block {id}")


@asynccontextmanager
async def running(
    node: RabbitmqNode, folder: Path, may_write: Callable[[str, str], bool] = lambda *_: True, **services: Any
) -> AsyncIterator[Synchronising]:
    """A service of blocks."""
    carriers = {"amqp": AmqpCarrier(AmqpSettings(urls=(read_amqp_url(node.url),), heartbeat_s=4))}
    with Registry(folder / "links.sdb") as registry:
        async with Synchronising(registry, objects=services, carriers=carriers, may_write=may_write) as service:  # type: ignore[arg-type]
            yield service


async def wait_until(condition: Callable[[], bool], deadline_s: float = 20.0, *, what: str = "the condition") -> None:
    """Wait for ``condition`` while the loop goes on."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"{what} didn't come within {deadline_s} s"
        await asyncio.sleep(0.02)


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function."""

    def run(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
        asyncio.run(asyncio.wait_for(test(rabbitmq, tmp_path), 90))

    run.__name__ = test.__name__
    return run


@on_a_loop
async def test_a_replica_follows_its_primary_through_the_broker(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = Controller(sensor={"value": 20.5}), Controller(dummy={"value": 0.5})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        assert await service.add(SENSOR)
        assert await service.add(DUMMY)
        assert not await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 20.5}, what="the first value")
        a.blocks["sensor"] = {"value": 21.0}
        await wait_until(lambda: b.blocks["dummy"] == {"value": 21.0}, what="the second value")
        (primary,), (replica,) = service.status()
        assert (primary.health, replica.health, replica.freshness) == ("ok", "ok", "fresh")
        assert service.troubles() == {}
    assert len(b.written) == 2


@on_a_loop
async def test_links_run_again_after_a_restart(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = Controller(sensor={"value": 20.5}), Controller(dummy={"value": 0.5})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
    a.blocks["sensor"] = {"value": 30.0}
    async with running(rabbitmq, tmp_path, a=a, b=b):
        await wait_until(lambda: b.blocks["dummy"] == {"value": 30.0}, what="the value")


@on_a_loop
async def test_a_goodbye_is_heard_by_other_services(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    b = Controller(dummy={"value": 0.5})
    async with running(rabbitmq, tmp_path / "b", b=b) as follower:
        await follower.add(DUMMY)
        async with running(rabbitmq, tmp_path / "a", a=Controller(sensor={"value": 20.5})) as leader:
            await leader.add(SENSOR)
            await wait_until(lambda: follower.status()[1][0].freshness == "fresh", what="the value")
        await wait_until(lambda: follower.status()[1][0].freshness == "stale", what="the goodbye")
    assert b.blocks["dummy"] == {"value": 20.5}


@on_a_loop
async def test_a_controller_that_does_not_answer_delays_no_other(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b, c = Controller(sensor={"value": 20.5}), Controller(dummy={"value": 0.5}), Controller(dummy={"value": 0.5})
    b.answers.clear()
    async with running(rabbitmq, tmp_path, a=a, b=b, c=c) as service:
        for link in (SENSOR, DUMMY, decode_replica("c", {"id": "dummy", "key": KEY})):
            await service.add(link)
        for value in (1.0, 2.0, 3.0):
            a.blocks["sensor"] = {"value": value}
            await wait_until(lambda value=value: c.blocks["dummy"] == {"value": value}, what=f"{value}")  # type: ignore[misc]
        b.answers.set()
        await wait_until(lambda: b.blocks["dummy"] == {"value": 3.0}, what="the newest value")
        assert [data["value"] for _, data in b.written if data["value"] in (1.0, 2.0)] == []


@on_a_loop
async def test_a_controller_that_was_away_gets_the_newest_value(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = Controller(sensor={"value": 1.0}), Controller(dummy={"value": 0.5})
    b.is_away = True
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: service.status()[1][0].last_error != "", what="the trouble")
        assert service.status()[1][0].last_error == "the controller is away"
        a.blocks["sensor"] = {"value": 2.0}
        b.is_away = False
        await wait_until(lambda: b.blocks["dummy"] == {"value": 2.0}, what="the value")
        await wait_until(lambda: service.status()[1][0].health == "ok", what="health")


@on_a_loop
async def test_a_broker_that_is_killed_delays_the_right_value_and_no_more(
    rabbitmq: RabbitmqNode, tmp_path: Path
) -> None:
    a, b = Controller(sensor={"value": 1.0}), Controller(dummy={"value": 0.5})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, what="the first value")
        rabbitmq.kill()
        a.blocks["sensor"] = {"value": 2.0}
        await wait_until(lambda: bool(service.troubles()), what="the trouble")
        a.blocks["sensor"] = {"value": 3.0}
        await asyncio.to_thread(rabbitmq.start)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 3.0}, what="the value after the broker's return")
    assert [data["value"] for _, data in b.written] == [1.0, 3.0]


@on_a_loop
async def test_what_is_no_message_is_counted_and_settled(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    b = Controller(dummy={"value": 0.5})
    carrier = AmqpCarrier(AmqpSettings(urls=(read_amqp_url(rabbitmq.url),)))
    async with running(rabbitmq, tmp_path, b=b) as service:
        await service.add(DUMMY)
        carrier.start(lambda _: None)
        await carrier.publish(KEY, b"no JSON", {}, timeout_s=10)
        await carrier.publish(KEY, b'{"value": 7}', {}, timeout_s=10)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 7}, what="the good message")
        assert service.status()[1][0].dropped == {"json": 1}
        await carrier.close()


@on_a_loop
async def test_a_link_that_was_removed_does_nothing_more(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    a, b = Controller(sensor={"value": 1.0}), Controller(dummy={"value": 0.5})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, what="the value")
        assert await service.remove(DUMMY)
        assert await service.remove(SENSOR)
        assert not await service.remove(SENSOR)
        assert service.status() == ([], [])
        assert (service.primaries(), service.replicas()) == ([], [])


@on_a_loop
async def test_what_may_not_be_is_refused_when_it_is_registered(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    def may_write(service: str, id: str) -> bool:
        return id == "dummy"

    def reason(refusal: Any) -> Reason:
        found: Reason = refusal.value.reason
        return found

    async with running(rabbitmq, tmp_path, may_write, a=Controller(), b=Controller()) as service:
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
    a, b = Controller(sensor={"value": 1.0}), Controller(dummy={"value": 0.5}, other={"x": 9})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
        link = decode_replica("b", {"id": "other", "key": KEY, "translations": {"value": "x"}})
        block, after = await service.preview(link)
        assert (block.data, after) == ({"x": 9}, None)
        await service.add(SENSOR)
        await service.add(DUMMY)
        await wait_until(lambda: b.blocks["dummy"] == {"value": 1.0}, what="the value")
        assert (await service.preview(link))[1] == {"x": 1.0}
        blocked = decode_replica("b", {"id": "other", "key": KEY, "translations": {"value": "x/y"}})
        assert isinstance((await service.preview(blocked))[1], HeldBack)
        with pytest.raises(NoSuchBlock):
            await service.preview(decode_replica("b", {"id": "nobody", "key": KEY}))
    assert b.blocks["other"] == {"x": 9}


@on_a_loop
async def test_many_links_share_one_broker(rabbitmq: RabbitmqNode, tmp_path: Path) -> None:
    count = 60
    a = Controller(**{f"s{number}": {"value": float(number)} for number in range(count)})
    b = Controller(**{f"d{number}": {"value": -1.0} for number in range(count)})
    async with running(rabbitmq, tmp_path, a=a, b=b) as service:
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
