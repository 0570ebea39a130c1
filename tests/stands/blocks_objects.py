"""Every implementation of `Objects`, each with a way past it to its blocks, for tests that all of them pass."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from samesky.blocks.brewcast import Brewcast
from samesky.blocks.callable_objects import CallableObjects
from samesky.blocks.json_store import JsonStore
from samesky.blocks.objects import Block, NoSuchBlock, Objects
from samesky.blocks.spark import Spark
from samesky.blocks.spark_2018 import Spark2018
from samesky.link.broker import MosquittoBroker
from samesky.link.mqtt import MqttSettings
from stands.blocks_brewcast import BrewcastStand
from stands.blocks_controllers import Controller2018, ControllerStand, ControllerToday
from stands.waiting import wait_for

Data = dict[str, Any]
Result = TypeVar("Result")
DEADLINE_S = 120.0


@dataclass(frozen=True, slots=True)
class ObjectsWorld:
    """``objects``, and its blocks as those see them who don't ask it."""

    objects: Objects
    put: Callable[[Block], None]
    """Makes a block, or puts another in its place."""
    remove: Callable[[str], None]
    find_data: Callable[[str], Data]
    keeps: Callable[[Block], Block] = lambda block: block
    """What of a block is kept: nobody tells a function of types."""
    stand: ControllerStand | None = None


def run(test: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run ``test`` on an event loop of its own."""
    return asyncio.run(asyncio.wait_for(test(), DEADLINE_S))


@contextmanager
def open_world(kind: str, folder: Path) -> Iterator[ObjectsWorld]:
    """The implementation called ``kind``, one of `KINDS`, without blocks."""
    with ExitStack() as stack:
        world = _MAKERS[kind](stack, folder)
        yield world
        run(world.objects.close)


def _make_store(stack: ExitStack, folder: Path) -> ObjectsWorld:
    store = JsonStore(folder / "blocks.json")

    def remove(id: str) -> None:
        blocks = json.loads(store.path.read_text())
        del blocks[id]
        store.path.write_text(json.dumps(blocks))

    return ObjectsWorld(store, store.put, remove, lambda id: json.loads(store.path.read_text())[id]["data"])


def _make_2018(stack: ExitStack, folder: Path) -> ObjectsWorld:
    stand = stack.enter_context(Controller2018())
    return _make_at_controller(Spark2018(stand.url, stand.service), stand)


def _make_today(stack: ExitStack, folder: Path, *, deep: bool) -> ObjectsWorld:
    stand = stack.enter_context(ControllerToday(deep=deep))
    return _make_at_controller(Spark(stand.url, stand.service), stand)


def _make_at_controller(objects: Objects, stand: ControllerStand) -> ObjectsWorld:
    def keeps(block: Block) -> Block:
        told = stand.blocks[block.id]
        others = {name: value for name, value in told.items() if name not in ("id", "type", "profiles", "data")}
        return Block(block.id, block.data, block.type, block.profiles, others)

    return ObjectsWorld(
        objects,
        stand.put,
        lambda id: void(stand.blocks.pop(id)),
        lambda id: stand.blocks[id]["data"],
        keeps,
        stand,
    )


def _make_brewcast(stack: ExitStack, folder: Path, *, tells_writes: bool) -> ObjectsWorld:
    """What somebody does at the controller is known here a moment later; the test waits for that."""
    broker = stack.enter_context(MosquittoBroker(dir=folder / "mosquitto"))
    stand = stack.enter_context(BrewcastStand(broker.port, tells_writes=tells_writes))
    objects = Brewcast(MqttSettings("test-brewcast", host="127.0.0.1", port=broker.port), stand.service)

    def put(block: Block) -> None:
        stand.put(block)
        wait_for(lambda: read(block.id) == block.data, 60, what="the block's being told")

    def read(id: str) -> Mapping[str, Any] | None:
        try:
            return run(lambda: objects.read(id)).data
        except NoSuchBlock:
            return None

    def keeps(block: Block) -> Block:
        others = {name: stand.blocks[block.id][name] for name in ("nid", "serviceId")}
        return Block(block.id, block.data, block.type, block.profiles, others)

    return ObjectsWorld(objects, put, stand.remove, lambda id: stand.blocks[id]["data"], keeps)


def _make_callable(stack: ExitStack, folder: Path, *, is_async: bool) -> ObjectsWorld:
    blocks: dict[str, Data] = {}

    def read(id: str) -> Data:
        return blocks[id]

    def write(id: str, data: Mapping[str, Any]) -> None:
        if id not in blocks:
            raise KeyError(id)
        blocks[id] = dict(data)

    async def read_async(id: str) -> Data:
        await asyncio.sleep(0)
        return read(id)

    async def write_async(id: str, data: Mapping[str, Any]) -> None:
        await asyncio.sleep(0)
        write(id, data)

    async def list_async() -> list[str]:
        return list(blocks)

    objects = (
        CallableObjects(read_async, write_async, list=list_async)
        if is_async
        else CallableObjects(read, write, list=lambda: blocks)
    )
    return ObjectsWorld(
        objects,
        lambda block: void(blocks.update({block.id: deepcopy(dict(block.data))})),
        lambda id: void(blocks.pop(id)),
        lambda id: blocks[id],
        lambda block: Block(block.id, block.data),
    )


def void(_: object) -> None:
    """For a lambda that returns nothing."""


_MAKERS: Mapping[str, Callable[[ExitStack, Path], ObjectsWorld]] = {
    "json_store": _make_store,
    "spark_2018": _make_2018,
    "spark": lambda stack, folder: _make_today(stack, folder, deep=False),
    "spark_deep": lambda stack, folder: _make_today(stack, folder, deep=True),
    "brewcast": lambda stack, folder: _make_brewcast(stack, folder, tells_writes=True),
    "brewcast_later": lambda stack, folder: _make_brewcast(stack, folder, tells_writes=False),
    "functions": lambda stack, folder: _make_callable(stack, folder, is_async=False),
    "coroutine_functions": lambda stack, folder: _make_callable(stack, folder, is_async=True),
}
KINDS = tuple(_MAKERS)
