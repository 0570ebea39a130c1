"""Blocks of Python functions (blocks/callable_objects.py); what all blocks have in common is in test_objects.py."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import pytest

from samesky.blocks.callable_objects import CallableObjects
from samesky.blocks.objects import Block, NoSuchBlock
from samesky.errors import ConfigError, DataError, SameskyError, Unreachable
from stands.blocks_objects import run

BLOCK = Block("boiler", {"value": 1})


def raising(error: Exception) -> Callable[..., NoReturn]:
    def function(*arguments: object) -> NoReturn:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (KeyError("boiler"), NoSuchBlock, "there is no block boiler"),
        (TimeoutError("slow bus"), Unreachable, "slow bus"),
        (ConnectionRefusedError(111, "Connection refused"), Unreachable, "Connection refused"),
        (ZeroDivisionError("a fault"), DataError, "the function raising.<locals>.function failed: ZeroDivisionError"),
        (ConfigError("words of its own"), ConfigError, "words of its own"),
    ],
)
def test_what_a_function_raises_is_told_in_the_words_of_all_blocks(
    error: Exception, kind: type[SameskyError], words: str
) -> None:
    objects = CallableObjects(raising(error), raising(error))
    for call in (lambda: objects.read("boiler"), lambda: objects.write(BLOCK, {})):
        with pytest.raises(kind) as caught:
            run(call)
        assert words in str(caught.value)
    run(objects.close)


@pytest.mark.parametrize("told", [None, 5, [1], "text"])
def test_what_is_no_dict_is_not_taken_for_data(told: Any) -> None:
    objects = CallableObjects(lambda id: told)
    with pytest.raises(DataError, match="should return their data, a dict"):
        run(lambda: objects.read("boiler"))
    run(objects.close)


def test_without_a_function_to_write_nothing_is_written_and_without_one_to_list_nothing_listed() -> None:
    objects = CallableObjects(lambda id: {"value": 1})
    with pytest.raises(DataError, match="can't be written"):
        run(lambda: objects.write(BLOCK, {"value": 2}))
    assert run(objects.list) == []
    run(objects.close)


def test_what_the_function_says_it_has_written_is_told() -> None:
    objects = CallableObjects(lambda id: {}, lambda id, data: {"value": 10, "wanted": data["value"]})
    assert run(lambda: objects.write(BLOCK, {"value": 99})) == {"value": 10, "wanted": 99}
    run(objects.close)


def test_whatever_is_awaitable_is_awaited() -> None:
    class Device:
        async def __call__(self, id: str) -> dict[str, Any]:
            return {"value": id}

    objects = CallableObjects(Device())
    assert run(lambda: objects.read("boiler")) == Block("boiler", {"value": "boiler"})
    run(objects.close)


def test_plain_functions_are_called_one_by_one_and_never_hold_up_the_loop() -> None:
    loops: list[bool] = []
    busy = threading.Lock()
    release = threading.Event()

    def read(id: str) -> Mapping[str, Any]:
        assert busy.acquire(blocking=False)
        loops.append(threading.current_thread() is threading.main_thread())
        release.wait(30)
        busy.release()
        return {"value": id}

    async def read_all() -> list[Block]:
        objects = CallableObjects(read)
        reading = asyncio.gather(*(objects.read(str(number)) for number in range(10)))
        await asyncio.sleep(0)
        release.set()  # the loop goes on while the first call waits
        try:
            return await reading
        finally:
            await objects.close()

    assert [block.data["value"] for block in run(read_all)] == [str(number) for number in range(10)]
    assert loops == [False] * 10


def test_a_write_that_was_given_up_before_its_turn_is_not_done() -> None:
    release = threading.Event()
    written: list[object] = []

    def write(id: str, data: Mapping[str, Any]) -> None:
        release.wait(30)
        written.append(data["value"])

    async def change() -> None:
        objects = CallableObjects(lambda id: {}, write)
        first, second, third = (asyncio.create_task(objects.write(BLOCK, {"value": number})) for number in (1, 2, 3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        release.set()
        await asyncio.gather(first, third)
        await objects.close()

    run(change)
    assert written == [1, 3]
